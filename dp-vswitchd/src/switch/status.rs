//! What is written back: the state of what runs, as columns of the rows it was made from.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use dp_core::base::PortNo;
use dp_core::boundary::{Datapath as _, PortInfo};
use dp_ofproto::tunnel::is_tunnel;

use super::bridge::{Interface, RunningBridge, own_mac};
use super::{Switch, features, open, system_stats};
use dp_netdev::port::dpdk;

use crate::config::{PortConfig, SwitchConfig, is_true, wrong};
use crate::daemon::DummyMode;
use crate::ovsdb::database::Database;
use crate::ovsdb::uuid::Uuid;
use crate::ovsdb::value::{Atom, Datum};

/// Columns by row.
#[derive(Debug, Default)]
pub(super) struct Columns {
    rows: BTreeMap<(&'static str, Uuid), BTreeMap<&'static str, Datum>>,
}

impl Columns {
    pub(super) fn set(
        &mut self,
        table: &'static str,
        uuid: Uuid,
        column: &'static str,
        value: Datum,
    ) {
        if uuid != Uuid::ZERO {
            self.rows.entry((table, uuid)).or_default().insert(column, value);
        }
    }

    /// The operations that make a database say this: nothing for what it says already.
    pub(super) fn operations(&self, database: &Database) -> Vec<Value> {
        let mut operations = Vec::new();
        for ((table, uuid), columns) in &self.rows {
            let Some(at) = database.schema().table_index(table) else { continue };
            let Some(schema) = database.schema().tables.get(at) else { continue };
            let Some(row) = database.row(at, *uuid) else { continue };
            let mut changed = Map::new();
            for (column, value) in columns {
                // A schema of another version may lack it.
                if let Some(place) = schema.column_index(column)
                    && row.get(place) != value
                {
                    changed.insert((*column).to_owned(), value.to_json());
                }
            }
            if !changed.is_empty() {
                let uuid = json!(["uuid", uuid.to_string()]);
                let condition = json!([["_uuid", "==", uuid]]);
                operations.push(
                    json!({"op": "update", "table": table, "where": condition, "row": changed}),
                );
            }
        }
        operations
    }
}

impl Switch {
    /// The state of everything.
    pub(super) fn columns(&self, config: &SwitchConfig, statistics: bool) -> Columns {
        let mut columns = Columns::default();
        if let Some(root) = config.root {
            let table = "Open_vSwitch";
            columns.set(table, root, "cur_cfg", number(config.next_cfg));
            let kinds = open::known_kinds(self.dummy).into_iter();
            columns.set(table, root, "iface_types", texts(kinds));
            let mut datapaths = vec!["netdev"];
            if self.dummy != DummyMode::Off {
                datapaths.push("dummy");
            }
            columns.set(table, root, "datapath_types", texts(datapaths.into_iter()));
            let runs = Datum::scalar(Atom::Boolean(dpdk::is_running()));
            if is_true(&config.other_config, "enable-statistics") {
                if statistics {
                    let figures = system_stats::collect(&self.paths.program, self.clock.origin());
                    let pairs = figures.iter().map(|(key, value)| pair(key, value)).collect();
                    columns.set(table, root, "statistics", map(pairs));
                }
            } else {
                columns.set(table, root, "statistics", Datum::empty_map());
            }
            columns.set(table, root, "dpdk_initialized", runs);
            let version = dpdk::version().unwrap_or_else(|| "none".to_owned());
            columns.set(table, root, "dpdk_version", text(&version));
        }
        let ports: BTreeMap<String, BTreeMap<PortNo, PortInfo>> = self
            .datapaths()
            .iter()
            .filter(|_| statistics)
            .map(|datapath| {
                let ports = datapath.netdev.ports().into_iter().map(|port| (port.port, port));
                (datapath.kind.clone(), ports.collect())
            })
            .collect();
        let none = BTreeMap::new();
        for bridge in self.bridges() {
            let infos = ports.get(&bridge.datapath.kind).unwrap_or(&none);
            bridge_columns(&bridge, &mut columns);
            self.service_columns(&bridge, &mut columns);
            let interfaces: Vec<Interface> = bridge.state().interfaces.values().cloned().collect();
            let complaints: BTreeMap<String, String> = {
                let state = bridge.state();
                let told = |port: &PortConfig| Some((port.name.clone(), wrong::port(port)?));
                state.config.ports.iter().filter_map(told).collect()
            };
            for interface in &interfaces {
                let complaint = complaints.get(interface.port.as_str());
                interface_columns(&bridge, interface, complaint, &mut columns);
                if interface.ofport.is_some() && is_tunnel(&interface.kind) {
                    tunnel_columns(self, interface, &mut columns);
                }
                let counted = statistics.then(|| bridge.statistics_of(interface, infos));
                if let Some(values) = counted.flatten() {
                    let uuid = interface.config.uuid;
                    columns.set("Interface", uuid, "statistics", numbers(values));
                }
            }
        }
        for (uuid, known) in self.controller_status() {
            let connected = Datum::scalar(Atom::Boolean(known.connected));
            columns.set("Controller", uuid, "is_connected", connected);
            let role = known.role.as_deref().map_or_else(Datum::empty_set, text);
            columns.set("Controller", uuid, "role", role);
            let pairs = known.status.iter().map(|(key, value)| pair(key, value)).collect();
            columns.set("Controller", uuid, "status", map(pairs));
        }
        for bridge in &config.bridges {
            if self.bridge(&bridge.name).is_none() {
                columns.set("Bridge", bridge.uuid, "datapath_id", Datum::empty_set());
            }
        }
        for (kind, row) in &config.datapaths {
            let capabilities = features::capabilities().map(|(name, it)| pair(name, it)).collect();
            let kind = Self::datapath_kind(kind);
            if self.datapaths().iter().any(|it| it.kind == kind) {
                columns.set("Datapath", row.uuid, "capabilities", map(capabilities));
            }
        }
        columns
    }
}

impl RunningBridge {
    /// What an interface has counted, by the names of the column `statistics`; `ports` are those of
    /// the datapath. `None` of one that is not open.
    pub(crate) fn statistics_of(
        &self,
        interface: &Interface,
        ports: &BTreeMap<PortNo, PortInfo>,
    ) -> Option<Vec<(String, u64)>> {
        if interface.is_virtual() {
            let carried = self.bridge.carried(interface.ofport?);
            let values = [
                ("rx_packets", carried.rx.packets()),
                ("rx_bytes", carried.rx.bytes()),
                ("tx_packets", carried.tx.packets()),
                ("tx_bytes", carried.tx.bytes()),
            ];
            return Some(values.map(|(name, value)| (name.to_owned(), value)).into());
        }
        let info = ports.get(&interface.number?)?;
        let mut values = counts_of(info, &interface.kind);
        // What a device counts itself comes beside, but what packets show is ours.
        for (name, value) in self.datapath.netdev.port_counters(info.port) {
            match values.iter_mut().find(|(known, _)| *known == name) {
                // Some are lost there and some here.
                Some((known, count)) if known.ends_with("_dropped") => *count += value,
                Some(_) => {}
                None => values.push((name, value)),
            }
        }
        values.extend(self.qos_drops(interface));
        Some(values)
    }
}

fn bridge_columns(bridge: &RunningBridge, columns: &mut Columns) {
    let state = bridge.state();
    let uuid = state.config.uuid;
    columns.set("Bridge", uuid, "datapath_id", text(&format!("{:016x}", state.datapath_id)));
    columns.set("Bridge", uuid, "datapath_version", text("<built-in>"));
}

/// What is known of an interface; `complaint` is what is wrong with the settings of its port.
fn interface_columns(
    bridge: &RunningBridge,
    interface: &Interface,
    complaint: Option<&String>,
    columns: &mut Columns,
) {
    let uuid = interface.config.uuid;
    let mut set = |column, value| columns.set("Interface", uuid, column, value);
    let status = interface.number.and_then(|it| bridge.datapath.netdev.port_status(it));
    let ofport = interface.ofport.map_or(-1, |it| i64::from(it.0));
    set("ofport", number(ofport));
    let error = interface.error.clone();
    let error = error.or_else(|| bridge.qos_error(&interface.config.name));
    let error = error.or_else(|| lonely(bridge, interface));
    let error = error.or_else(|| wrong::interface(&interface.config).or(complaint.cloned()));
    set("error", error.as_deref().map_or_else(Datum::empty_set, text));
    let Some(status) = status else {
        for column in NEEDS_DEVICE {
            set(column, Datum::empty_set());
        }
        if matches!(interface.kind.as_str(), "patch" | open::ROUTED) && interface.ofport.is_some() {
            set("admin_state", text("up"));
            set("link_state", text("up"));
            set("link_resets", number(0));
            set("mac_in_use", text(&own_mac(uuid).to_string()));
            set("ifindex", number(0));
            return;
        }
        if interface.ofport.is_none() {
            set("statistics", Datum::empty_map());
            set("status", Datum::empty_map());
        }
        return;
    };
    let word = |up| text(if up { "up" } else { "down" });
    set("admin_state", word(status.admin_up));
    // A dummy that is switched off has no carrier either.
    let carrier = status.admin_up || !interface.kind.starts_with("dummy");
    set("link_state", word(status.link_up && carrier));
    let resets = interface.ofport.and_then(|it| bridge.state().link_resets.get(&it).copied());
    set("link_resets", number(resets.unwrap_or(0)));
    set("mac_in_use", text(&status.mac.to_string()));
    set("mtu", number(i64::from(status.mtu)));
    let pretended = interface.config.options.get("ifindex").and_then(|it| it.parse().ok());
    let pretended = pretended.filter(|_| interface.kind.starts_with("dummy"));
    set("ifindex", number(pretended.unwrap_or(i64::from(status.ifindex))));
    let netdev = &bridge.datapath.netdev;
    let details = interface.number.map(|it| netdev.port_details(it)).unwrap_or_default();
    set(
        "status",
        match details.is_empty() {
            false => map(details.iter().map(|(key, value)| pair(key, value)).collect()),
            true => map(status_of(&interface.kind)),
        },
    );
    let link = interface.number.and_then(|it| netdev.port_link(it));
    let speed = link.map(|it| number(i64::from(it.mbps) * 1_000_000));
    set("link_speed", speed.unwrap_or_else(Datum::empty_set));
    let duplex = link.and_then(|it| it.full_duplex);
    let word = |full| text(if full { "full" } else { "half" });
    set("duplex", duplex.map_or_else(Datum::empty_set, word));
}

/// Why a patch port leads nowhere, if it does: the other end is not there, or is another's.
fn lonely(bridge: &RunningBridge, interface: &Interface) -> Option<String> {
    if interface.kind != "patch" || interface.ofport.is_none() {
        return None;
    }
    let (name, datapath) = (&interface.config.name, &bridge.datapath);
    let peer = interface.config.options.get("peer").map_or("", String::as_str);
    let found = datapath.ofproto.world().peer(name, peer);
    let why = format!("No usable peer '{peer}' exists in '{}' datapath.", datapath.kind);
    found.is_none().then_some(why)
}

/// A tunnel is up as long as it is there; its status says which way it leads.
fn tunnel_columns(switch: &Switch, interface: &Interface, columns: &mut Columns) {
    let uuid = interface.config.uuid;
    let mut set = |column, value| columns.set("Interface", uuid, column, value);
    set("admin_state", text("up"));
    set("link_state", text("up"));
    set("link_resets", number(0));
    set("mac_in_use", text(&own_mac(uuid).to_string()));
    set("ifindex", number(0));
    let mut status = status_of(&interface.kind);
    if let Some((device, up)) = switch.egress(interface) {
        status.push(pair("tunnel_egress_iface", &device));
        status.push(pair("tunnel_egress_iface_carrier", if up { "up" } else { "down" }));
    }
    set("status", map(status));
}

/// Columns of an interface that mean nothing without a device.
const NEEDS_DEVICE: [&str; 8] = [
    "admin_state",
    "link_state",
    "mac_in_use",
    "mtu",
    "ifindex",
    "link_resets",
    "link_speed",
    "duplex",
];

/// What a driver says of itself where it is not asked.
fn status_of(kind: &str) -> Vec<(Atom, Atom)> {
    match kind {
        "system" | "tap" => Vec::new(),
        _ => OFFLOADS.iter().map(|name| pair(name, "false")).collect(),
    }
}

/// The offloads that a dummy port could have.
const OFFLOADS: &[&str] = &[
    "tx_geneve_tso_offload",
    "tx_gre_tso_offload",
    "tx_ip_csum_offload",
    "tx_out_ip_csum_offload",
    "tx_out_udp_csum_offload",
    "tx_sctp_csum_offload",
    "tx_tcp_csum_offload",
    "tx_tcp_seg_offload",
    "tx_udp_csum_offload",
    "tx_vxlan_tso_offload",
];

fn counts_of(info: &PortInfo, kind: &str) -> Vec<(String, u64)> {
    let stats = info.stats;
    let mut values = vec![
        ("rx_packets", stats.rx_packets),
        ("rx_bytes", stats.rx_bytes),
        ("tx_packets", stats.tx_packets),
        ("tx_bytes", stats.tx_bytes),
    ];
    if !kind.starts_with("dummy") {
        values.extend([("rx_dropped", stats.rx_dropped), ("tx_dropped", stats.tx_dropped)]);
    }
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), value));
    values.chain(custom_of_kind(info, kind)).collect()
}

/// Counters that only ports of this kind have.
pub(crate) fn custom_of_kind(info: &PortInfo, kind: &str) -> Vec<(String, u64)> {
    let stats = info.stats;
    let values = [
        ("rx_q0_packets", stats.rx_packets),
        ("rx_q0_bytes", stats.rx_bytes),
        ("tx_q0_packets", stats.tx_packets),
        ("tx_q0_bytes", stats.tx_bytes),
        // What a dummy shows for statistics of its own: packets, and packets again.
        ("rx_custom_packets_1", stats.rx_packets),
        ("rx_custom_packets_2", stats.rx_packets),
    ];
    let values = values.into_iter().filter(|_| kind.starts_with("dummy"));
    values.map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) fn number(value: i64) -> Datum {
    Datum::scalar(Atom::Integer(value))
}

pub(super) fn truth(value: bool) -> Datum {
    Datum::scalar(Atom::Boolean(value))
}

pub(super) fn integers(values: Vec<i64>) -> Datum {
    let atoms = values.into_iter().map(Atom::Integer).collect();
    Datum::set(atoms).unwrap_or_else(|_| Datum::empty_set())
}

pub(super) fn map_of(values: Vec<(&'static str, String)>) -> Datum {
    map(values.iter().map(|(key, value)| pair(key, value)).collect())
}

pub(super) fn text(value: &str) -> Datum {
    Datum::scalar(Atom::String(value.into()))
}

pub(super) fn texts<'a>(values: impl Iterator<Item = &'a str>) -> Datum {
    let atoms = values.map(|value| Atom::String(value.into())).collect();
    Datum::set(atoms).unwrap_or_else(|_| Datum::empty_set())
}

fn pair(key: &str, value: &str) -> (Atom, Atom) {
    (Atom::String(key.into()), Atom::String(value.into()))
}

fn map(pairs: Vec<(Atom, Atom)>) -> Datum {
    Datum::map(pairs).unwrap_or_else(|_| Datum::empty_map())
}

pub(super) fn numbers(values: Vec<(String, u64)>) -> Datum {
    let atom = |value| Atom::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    map(values.into_iter().map(|(key, value)| (Atom::String(key.into()), atom(value))).collect())
}
