//! What is told of the switch's work: the page for Prometheus, in the names of the exporters that there
//! are, and turns of packet threads that took too long.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::packets::samples;
use testkit::patience;
use testkit::reference::Reference;

/// The samples of a page, by name with labels.
fn page(port: u16, path: &str) -> Result<BTreeMap<String, f64>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no body")?;
    ensure!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let mut samples = BTreeMap::new();
    let mut family = String::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            rest.split(' ').next().unwrap_or_default().clone_into(&mut family);
            continue;
        }
        let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
        ensure!(name.split('{').next() == Some(family.as_str()), "{line} below {family}");
        let fresh = samples.insert(name.to_owned(), value.parse()?).is_none();
        ensure!(fresh, "{name} stands there twice");
    }
    Ok(samples)
}

/// What `ovs_exporter` shows of a switch: its families, but those about log files, other processes and
/// the exporter itself, and those of statistics that dummy ports do not have.
const EXPORTER: &str = "up info pid memory_usage interface_local_index coverage_avg coverage_total dp_if dp_br_if_total dp_flows \
    dp_lookups_hit dp_lookups_missed dp_lookups_lost dp_masks_hit dp_masks_total \
    dp_masks_hit_ratio interface interface_admin_state interface_link_state \
    interface_ingress_policing_burst interface_ingress_policing_rate interface_mac_in_use \
    interface_mtu interface_of_port interface_if_index interface_rx_packets interface_rx_bytes \
    interface_tx_packets interface_tx_bytes interface_link_resets interface_external_ids \
    interface_options";

/// The same of the pinger of Kube-OVN.
const KUBE_OVN: &str = "ovs_status ovs_info datapath dp_total dp_if dp_if_total dp_flows_total \
    dp_flows_lookup_hit dp_flows_lookup_missed dp_flows_lookup_lost dp_masks_hit dp_masks_total \
    dp_masks_hit_ratio interface interface_admin_state interface_link_state interface_mac_in_use \
    interface_mtu interface_of_port interface_if_index interface_rx_packets interface_rx_bytes \
    interface_tx_packets interface_tx_bytes";

#[test]
fn metrics_bear_the_names_and_labels_that_exporters_give_them() -> Result<()> {
    let switch = Reference::start_ours()?;
    let words = "set Open_vSwitch . external_ids:system-id=sys1 external_ids:hostname=node1 \
                 system_type=debian system_version=12 db_version=8.3.0 -- \
                 add-port br0 p1 -- set Interface p1 type=dummy ofport_request=7 options:ifindex=3 \
                 external_ids:pod_name=pod external_ids:pod_namespace=space \
                 ingress_policing_rate=1000";
    switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let setting = format!("other_config:metrics-listen=127.0.0.1:{port}");
    switch.vsctl(&["set", "Open_vSwitch", ".", &setting])?;
    let up = || page(port, "/metrics").ok();
    patience::wait(Duration::from_secs(10), up).context("no page")?;
    switch.receive_frame("p1", &samples::named("ipv4-udp").context("no frame")?)?;
    let uuid = switch.vsctl(&["get", "Interface", "p1", "_uuid"])?;
    let uuid = uuid.trim();
    for (path, prefix, families, own, interface) in [
        (
            "/metrics",
            "ovs_",
            EXPORTER,
            "system_id=\"sys1\"",
            format!("uuid=\"{uuid}\",name=\"p1\""),
        ),
        (
            "/metrics?names=kube-ovn",
            "kube_ovn_",
            KUBE_OVN,
            "hostname=\"node1\"",
            "interfaceName=\"p1\"".to_owned(),
        ),
    ] {
        let samples = page(port, path)?;
        let has = |family: &str| {
            let name = format!("{prefix}{family}");
            samples.keys().any(|it| it.split('{').next() == Some(name.as_str()))
        };
        for family in families.split_whitespace() {
            ensure!(has(family), "no {prefix}{family}");
        }
        let get = |name: &str, labels: &str| -> Result<f64> {
            let name = format!("{prefix}{name}{{{labels}}}");
            let found = samples.get(&name).copied();
            found.with_context(|| format!("{name} is not in {samples:?}"))
        };
        let labels = format!("{own},{interface}");
        let counted = match prefix {
            "ovs_" => labels.clone(),
            _ => format!("{labels},pod_name=\"pod\",pod_namespace=\"space\""),
        };
        if prefix == "ovs_" {
            let facility = |name: &str| {
                get(
                    "memory_usage",
                    &format!("{own},component=\"ovs-vswitchd\",facility=\"{name}\""),
                )
            };
            ensure!(facility("ports")? == 2.0 && facility("rules")? == 0.0);
            ensure!(facility("udpif keys")? == 1.0 && facility("revalidators")? == 1.0);
            let cells = facility("idl-cells-Open_vSwitch")?;
            let text = switch.appctl(&["memory/show"])?;
            ensure!(text.contains(&format!("idl-cells-Open_vSwitch:{cells} ")), "{text}");
            let shown = switch.appctl(&["dpctl/show"])?;
            let index = get("interface_local_index", &labels)?;
            ensure!(shown.contains(&format!("port {index}: p1 (dummy)")), "{index}: {shown}");
            let info = samples.keys().find(|it| it.starts_with("ovs_info{")).context("no info")?;
            let said = "system_type=\"debian\",system_version=\"12\",db_version=\"8.3.0\"";
            ensure!(info.contains(said), "{info}");
            let user = format!("{own},component=\"ovs-vswitchd\",user=\"root\",group=\"root\"");
            ensure!(get("pid", &user)? == f64::from(switch.id()));
        }
        ensure!(get("interface_of_port", &labels)? == 7.0);
        ensure!(get("interface_link_state", &labels)? == 1.0);
        ensure!(get("interface_rx_packets", &counted)? == 1.0);
        let datapath = format!("{own},datapath=\"ovs-dummy\"");
        let missed = if prefix == "ovs_" { "dp_lookups_missed" } else { "dp_flows_lookup_missed" };
        ensure!(get(missed, &datapath)? == 1.0);
        // What no exporter has is there under a name of its own.
        ensure!(samples.contains_key("dp_bridge_rules{bridge=\"br0\"}"));
    }
    Ok(())
}

#[test]
fn suspicious_turns_of_threads_are_logged_with_those_around_them() -> Result<()> {
    let switch = Reference::start_ours()?;
    let set = |words: &str| {
        let words = words.split_whitespace();
        let all: Vec<&str> = ["dpif-netdev/pmd-perf-log-set"].into_iter().chain(words).collect();
        switch.appctl(&all)
    };
    for nonsense in ["on -x", "maybe", "on -b", "on -b -1", "on -us x"] {
        let refused = set(nonsense).err().context("nonsense is taken")?.to_string();
        ensure!(refused.contains("Usage: ovs-appctl dpif-netdev/pmd-perf-log-set"), "{refused}");
    }
    switch.vsctl(&["set", "Open_vSwitch", ".", "other_config:pmd-perf-metrics=true"])?;
    switch.vsctl(&["add-port", "br0", "p1", "--", "set", "Interface", "p1", "type=dummy-pmd"])?;
    ensure!(set("on -b 2 -a 1 -us 0 -q 64")?.is_empty());
    let log = || std::fs::read_to_string(switch.folder().join("ovs-vswitchd.log"));
    let told = "pmd-perf-log-set: on, before=2, after=1, extend=false, us_thr=0, q_thr=64";
    ensure!(log()?.contains(told));
    let suspicious = || {
        let log = log().ok()?;
        let first = log.find("Suspicious iteration (Excessive total cycles): iter=")?;
        let (_, around) = log[first..].split_once("Neighborhood of suspicious iteration:\n")?;
        let rows: Vec<&str> = around.lines().take(4).collect();
        let is_row = |row: &&str| row.split_whitespace().all(|it| it.parse::<u64>().is_ok());
        let complete = rows.len() == 4 && rows[0].contains("cycles/upcall");
        (complete && rows[1..].iter().all(is_row)).then_some(())
    };
    patience::wait(Duration::from_secs(10), suspicious).context("nothing is told")?;
    set("off")?;
    set("-b 2000")?;
    ensure!(log()?.contains("off, before=998, after=0, extend=false, us_thr=0, q_thr=64"));
    Ok(())
}
