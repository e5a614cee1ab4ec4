//! What the page says: every figure once, under the names and labels of one exporter or of another.
//!
//! Dashboards and alarms are written against names. `ovs_exporter` (port 9475 of so many hosts) and the
//! pinger of Kube-OVN show the same figures under different ones, each scraping a switch from outside;
//! here the switch itself says them, in whichever words it is asked for. Figures that no exporter has
//! begin with `dp_` in both.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use dp_core::base::PortNo;
use dp_core::boundary::{Datapath as _, PortInfo};
use nix::unistd::{Gid, Group, Uid, User};

use crate::commands::coverage;
use crate::commands::daemon::usage_of_memory;
use crate::daemon::usage;
use crate::switch::{Datapath, Interface, RunningBridge, Switch};

/// Whose names are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// `ovs_exporter`'s.
    Exporter,
    /// Those of Kube-OVN's pinger.
    KubeOvn,
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// A page of metrics: samples by family.
pub(super) struct Page {
    names: Names,
    families: BTreeMap<String, (&'static str, Vec<String>)>,
}

impl Page {
    pub(super) fn new(names: Names) -> Self {
        Self { names, families: BTreeMap::new() }
    }

    /// A sample of the family of this whole name.
    pub(super) fn add(
        &mut self,
        name: &str,
        kind: &'static str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) {
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escape(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let family = self.families.entry(name.to_owned()).or_insert((kind, Vec::new()));
        family.1.push(format!("{name}{labels} {value}\n"));
    }

    /// A sample of the family that is called so in the one exporter or the other; nothing where that
    /// one has none.
    fn either(
        &mut self,
        [exporter, kube]: [&str; 2],
        kind: &'static str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) {
        let (prefix, name) = match self.names {
            Names::Exporter => ("ovs_", exporter),
            Names::KubeOvn => ("kube_ovn_", kube),
        };
        if !name.is_empty() {
            self.add(&format!("{prefix}{name}"), kind, labels, value);
        }
    }

    pub(super) fn text(self) -> String {
        let mut text = String::new();
        for (name, (kind, samples)) in self.families {
            // Writing to a string cannot fail.
            let _ = write!(text, "# TYPE {name} {kind}\n{}", samples.concat());
        }
        text
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Who the switch is, as labels say it.
struct Host {
    system_id: String,
    hostname: String,
    rundir: String,
    /// What the database says of the host and of itself: type, version, the schema's version.
    system: [String; 3],
}

impl Host {
    /// The label that every sample has.
    fn label(&self, names: Names) -> (&'static str, &str) {
        match names {
            Names::Exporter => ("system_id", &self.system_id),
            Names::KubeOvn => ("hostname", &self.hostname),
        }
    }
}

/// The page as it is now.
pub(super) fn page(switch: &Switch, names: Names) -> String {
    let mut page = Page::new(names);
    let said = |key| switch.external_id(key).unwrap_or_default();
    let host = Host {
        system_id: said("system-id"),
        hostname: said("hostname"),
        rundir: switch.paths.run.display().to_string(),
        system: switch.system(),
    };
    of_process(switch, &host, &mut page);
    let datapaths = switch.datapaths();
    page.either(["", "dp_total"], "gauge", &[host.label(names)], datapaths.len());
    for datapath in &datapaths {
        let ports: BTreeMap<PortNo, PortInfo> =
            datapath.netdev.ports().into_iter().map(|port| (port.port, port)).collect();
        of_datapath(datapath, &ports, &host, &mut page);
        for bridge in switch.bridges() {
            if bridge.datapath.to_string() == datapath.to_string() {
                of_bridge(&bridge, &ports, &host, &mut page);
            }
        }
    }
    page.text()
}

/// Names of the user and the group that the process belongs to, or their numbers.
fn owner() -> [String; 2] {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    let user = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |it| it.name);
    let group = Group::from_gid(gid).ok().flatten().map_or_else(|| gid.to_string(), |it| it.name);
    [user, group]
}

fn of_process(switch: &Switch, host: &Host, page: &mut Page) {
    let own = host.label(page.names);
    let component = ("component", "ovs-vswitchd");
    if page.names == Names::Exporter {
        page.add("ovs_up", "gauge", &[], 1);
    }
    page.either(["", "ovs_status"], "gauge", &[own, component], 1);
    let labels = [
        ("system_id", host.system_id.as_str()),
        ("rundir", &host.rundir),
        ("hostname", &host.hostname),
        ("ovs_version", usage::COMPATIBLE),
        ("system_type", &host.system[0]),
        ("system_version", &host.system[1]),
        ("db_version", &host.system[2]),
    ];
    page.either(["info", "ovs_info"], "gauge", &labels, 1);
    let [user, group] = owner();
    let labels = [own, component, ("user", user.as_str()), ("group", &group)];
    page.either(["pid", ""], "gauge", &labels, std::process::id());
    let mut numbers = vec![("ovs-vswitchd", usage_of_memory(switch))];
    numbers.extend(switch.server_census.get().map(|it| ("ovsdb-server", it.numbers())));
    for (component, numbers) in numbers {
        for (facility, number) in numbers {
            let labels = [own, ("component", component), ("facility", facility)];
            page.either(["memory_usage", ""], "gauge", &labels, number);
        }
    }
    let counters = coverage::counters(switch);
    let rates = switch.rates(&counters);
    for (event, total) in &counters {
        let labels = [own, component, ("event", event)];
        page.either(["coverage_total", ""], "counter", &labels, total);
        let rates = rates.get(event).copied().unwrap_or_default();
        for (interval, rate) in ["5s", "5m", "1h"].into_iter().zip(rates) {
            let labels = [own, component, ("event", event), ("interval", interval)];
            page.either(["coverage_avg", ""], "gauge", &labels, rate);
        }
    }
}

fn of_datapath(
    datapath: &Datapath,
    ports: &BTreeMap<PortNo, PortInfo>,
    host: &Host,
    page: &mut Page,
) {
    let totals = datapath.netdev.totals();
    let own = host.label(page.names);
    let labels = [own, ("datapath", datapath.name.as_str())];
    let kinds = [own, ("datapath", datapath.name.as_str()), ("type", datapath.kind.as_str())];
    page.either(["", "datapath"], "gauge", &kinds, 1);
    page.either(["dp_flows", "dp_flows_total"], "gauge", &labels, totals.flows);
    let hits = totals.hits();
    page.either(["dp_lookups_hit", "dp_flows_lookup_hit"], "counter", &labels, hits);
    let missed = totals.upcalls;
    page.either(["dp_lookups_missed", "dp_flows_lookup_missed"], "counter", &labels, missed);
    let lost = totals.upcalls_failed;
    page.either(["dp_lookups_lost", "dp_flows_lookup_lost"], "counter", &labels, lost);
    page.either(["dp_masks_hit"; 2], "counter", &labels, totals.masks_probed);
    page.either(["dp_masks_total"; 2], "gauge", &labels, totals.masks);
    let packets = hits + missed;
    let ratio = if packets == 0 { 0.0 } else { totals.masks_probed as f64 / packets as f64 };
    page.either(["dp_masks_hit_ratio"; 2], "gauge", &labels, ratio);
    page.either(["", "dp_if_total"], "gauge", &labels, ports.len());
    let known = datapath.ports().clone();
    for (number, port) in ports {
        let kind = known.get(number).map_or("", |it| it.kind.as_str());
        let number = number.0.to_string();
        let labels = [
            own,
            ("datapath", datapath.name.as_str()),
            ("port", &port.name),
            ("type", kind),
            ("ofPort", &number),
        ];
        page.either(["", "dp_if"], "gauge", &labels, 1);
    }
}

fn of_bridge(
    bridge: &RunningBridge,
    ports: &BTreeMap<PortNo, PortInfo>,
    host: &Host,
    page: &mut Page,
) {
    let own = host.label(page.names);
    let labels = [("bridge", bridge.name.as_str())];
    let rules = bridge.bridge.tables().snapshot().len();
    page.add("dp_bridge_rules", "gauge", &labels, rules);
    page.add("dp_bridge_macs", "gauge", &labels, bridge.bridge.macs().len());
    let hits = bridge.bridge.limit_counters();
    let limits = [
        ("depth", hits.depth()),
        ("resubmits", hits.resubmits()),
        ("stack", hits.stack()),
        ("recirculations", hits.recirculations()),
    ];
    for (limit, count) in limits {
        let labels = [("bridge", bridge.name.as_str()), ("limit", limit)];
        page.add("dp_bridge_limit_hits", "counter", &labels, count);
    }
    let interfaces: Vec<Interface> = bridge.state().interfaces.values().cloned().collect();
    let datapath = bridge.datapath.name.as_str();
    let labels = [own, ("datapath", datapath), ("bridge", bridge.name.as_str())];
    page.either(["dp_br_if_total", ""], "gauge", &labels, interfaces.len());
    for interface in &interfaces {
        let number = |it: Option<u32>| it.map_or_else(String::new, |it| it.to_string());
        let ofport = number(interface.ofport.map(|it| u32::from(it.0)));
        let index = number(interface.number.map(|it| it.0));
        let labels = [
            own,
            ("datapath", datapath),
            ("bridge", bridge.name.as_str()),
            ("name", &interface.config.name),
            ("ofport", &ofport),
            ("index", &index),
            ("port_type", interface.shown_kind()),
        ];
        page.either(["dp_if", ""], "gauge", &labels, 1);
        of_interface(bridge, interface, ports, host, page);
    }
}

fn of_interface(
    bridge: &RunningBridge,
    interface: &Interface,
    ports: &BTreeMap<PortNo, PortInfo>,
    host: &Host,
    page: &mut Page,
) {
    let (own, uuid) = (host.label(page.names), interface.config.uuid.to_string());
    let config = &interface.config;
    let name = config.name.as_str();
    let labels: Labels<'_> = match page.names {
        Names::Exporter => vec![own, ("uuid", &uuid), ("name", name)],
        Names::KubeOvn => vec![own, ("interfaceName", name)],
    };
    let with =
        |key, value| -> Labels<'_> { labels.iter().copied().chain([(key, value)]).collect() };
    let main = match page.names {
        Names::Exporter => labels.clone(),
        Names::KubeOvn => vec![own, ("uuid", &uuid), ("interfaceName", name)],
    };
    page.either(["interface"; 2], "gauge", &main, 1);
    let netdev = &bridge.datapath.netdev;
    let status = interface.number.and_then(|it| netdev.port_status(it));
    // 0 down, 1 up, 2 neither.
    let open = interface.ofport.is_some();
    let state = |up: Option<bool>| up.map_or(if open { 1 } else { 2 }, u8::from);
    let [admin, link] = [status.map(|it| it.admin_up), status.map(|it| it.up())].map(state);
    page.either(["interface_admin_state"; 2], "gauge", &labels, admin);
    page.either(["interface_link_state"; 2], "gauge", &labels, link);
    if let Some(status) = status {
        let mac = status.mac.to_string();
        page.either(["interface_mac_in_use"; 2], "gauge", &with("mac_address", &mac), 1);
        page.either(["interface_mtu"; 2], "gauge", &labels, status.mtu);
        page.either(["interface_if_index"; 2], "gauge", &labels, status.ifindex);
    }
    if let Some(number) = interface.number {
        page.either(["interface_local_index", ""], "gauge", &labels, number.0);
    }
    let ofport = interface.ofport.map_or(-1, |it| i64::from(it.0));
    page.either(["interface_of_port"; 2], "gauge", &labels, ofport);
    let policing = config.policing;
    page.either(["interface_ingress_policing_rate", ""], "gauge", &labels, policing.rate);
    page.either(["interface_ingress_policing_burst", ""], "gauge", &labels, policing.burst);
    let resets = interface.ofport.map_or(0, |it| bridge.link_resets(it));
    page.either(["interface_link_resets", ""], "counter", &labels, resets);
    if let Some(link) = interface.number.and_then(|it| netdev.port_link(it)) {
        let speed = u64::from(link.mbps) * 1_000_000;
        page.either(["interface_link_speed", ""], "gauge", &labels, speed);
        let duplex = link.full_duplex.map_or(0, |full| if full { 2 } else { 1 });
        page.either(["interface_duplex", ""], "gauge", &labels, duplex);
    }
    let details = interface.number.map(|it| netdev.port_details(it)).unwrap_or_default();
    let status = details.iter().map(|(key, value)| (*key, value.as_str()));
    for (key, value) in status {
        page.either(["interface_status", ""], "gauge", &pair(&labels, key, value), 1);
    }
    for (key, value) in &config.options {
        page.either(["interface_options", ""], "gauge", &pair(&labels, key, value), 1);
    }
    for (key, value) in &config.external_ids {
        page.either(["interface_external_ids", ""], "gauge", &pair(&labels, key, value), 1);
    }
    let pod = |key: &str| config.external_ids.get(key).map_or("", String::as_str);
    let mut labels = labels.clone();
    if page.names == Names::KubeOvn {
        labels.extend([("pod_name", pod("pod_name")), ("pod_namespace", pod("pod_namespace"))]);
    }
    for (key, value) in bridge.statistics_of(interface, ports).unwrap_or_default() {
        if let Some((_, names)) = STATISTICS.iter().find(|(known, _)| *known == key) {
            let names = names.map(|name| format!("interface_{name}"));
            page.either(names.each_ref().map(String::as_str), "counter", &labels, value);
        }
    }
}

fn pair<'a>(labels: &[(&'static str, &'a str)], key: &'a str, value: &'a str) -> Labels<'a> {
    labels.iter().copied().chain([("key", key), ("value", value)]).collect()
}

/// Keys of the column `statistics` that exporters show, and what they call them behind `interface_`.
const STATISTICS: [(&str, [&str; 2]); 13] = [
    ("collisions", ["collisions"; 2]),
    ("rx_bytes", ["rx_bytes"; 2]),
    ("rx_crc_err", ["rx_crc_err"; 2]),
    ("rx_dropped", ["rx_dropped"; 2]),
    ("rx_errors", ["rx_errors"; 2]),
    ("rx_frame_err", ["rx_frame_err"; 2]),
    ("rx_missed_errors", ["rx_missed_errors", "rx_missed_err"]),
    ("rx_over_err", ["rx_over_err"; 2]),
    ("rx_packets", ["rx_packets"; 2]),
    ("tx_bytes", ["tx_bytes"; 2]),
    ("tx_dropped", ["tx_dropped"; 2]),
    ("tx_errors", ["tx_errors"; 2]),
    ("tx_packets", ["tx_packets"; 2]),
];

#[cfg(test)]
mod tests {
    use super::{Names, Page};

    #[test]
    fn samples_stand_by_family_with_their_labels() {
        let mut page = Page::new(Names::Exporter);
        page.add("b", "gauge", &[("n", "a\"b")], 1);
        page.add("a", "counter", &[], 2);
        page.add("b", "gauge", &[("n", "c")], 3);
        assert_eq!(
            page.text(),
            "# TYPE a counter\na 2\n# TYPE b gauge\nb{n=\"a\\\"b\"} 1\nb{n=\"c\"} 3\n"
        );
    }

    #[test]
    fn an_exporter_s_names_are_given_to_those_who_ask_for_them() {
        let text = |names| {
            let mut page = Page::new(names);
            page.either(["dp_flows", "dp_flows_total"], "gauge", &[], 7);
            page.either(["pid", ""], "gauge", &[], 1);
            page.text()
        };
        let exporter =
            "# TYPE ovs_dp_flows gauge\novs_dp_flows 7\n# TYPE ovs_pid gauge\novs_pid 1\n";
        assert_eq!(text(Names::Exporter), exporter);
        let kube = "# TYPE kube_ovn_dp_flows_total gauge\nkube_ovn_dp_flows_total 7\n";
        assert_eq!(text(Names::KubeOvn), kube);
    }
}
