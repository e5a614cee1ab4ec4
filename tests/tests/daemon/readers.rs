//! Programs that read what the switch says about itself, and how they take it apart.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use testkit::packets::samples;
use testkit::reference::{Reference, Setup};

/// A datapath as the pinger of Kube-OVN reads it from `dpctl/show NAME`.
#[derive(Debug, Default)]
struct Datapath {
    /// The numbers behind `lookups:`, `flows:` and `masks:`, by name.
    numbers: BTreeMap<String, f64>,
    /// Name and type of each port by its number.
    ports: BTreeMap<String, (String, String)>,
}

/// `TYPE@NAME` a line.
fn datapaths(text: &str) -> Vec<(&str, &str)> {
    text.lines().filter_map(|line| line.trim().split_once('@')).collect()
}

fn datapath(text: &str) -> Result<Datapath> {
    let mut found = Datapath::default();
    for line in text.lines().map(str::trim) {
        for family in ["lookups", "masks"] {
            let Some(rest) = line.strip_prefix(&format!("{family}:")) else { continue };
            for field in rest.split_whitespace() {
                let (name, value) = field.split_once(':').with_context(|| line.to_owned())?;
                found.numbers.insert(format!("{family} {name}"), value.parse()?);
            }
        }
        if let Some(rest) = line.strip_prefix("flows:") {
            let value = rest.split_whitespace().next().context("no number of flows")?;
            found.numbers.insert("flows".to_owned(), value.parse()?);
        }
        if let Some(rest) = line.strip_prefix("port ") {
            let mut words = rest.split_whitespace();
            let number = words.next().context("no number")?.trim_matches(':');
            let name = words.next().context("no name")?;
            let kind = words.next().map_or("system", |it| it.trim_matches(['(', ')', ':']));
            found.ports.insert(number.to_owned(), (name.to_owned(), kind.to_owned()));
        }
    }
    Ok(found)
}

fn kube_ovn_reads(switch: &Reference) -> Result<()> {
    let words = "set Bridge br0 fail_mode=standalone external_ids:vendor=kube-ovn -- add-port br0 p1 \
                 -- set Interface p1 type=dummy external_ids:iface-id=pod.space -- add-port br0 p2 -- \
                 set Interface p2 type=dummy";
    switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    let frame = samples::named("ipv4-udp").context("no frame")?;
    for _ in 0..3 {
        switch.receive_frame("p1", &frame)?;
    }
    // The pinger: which datapaths there are, and each by its bare name.
    let text = switch.appctl(&["dpctl/dump-dps"])?;
    let all = datapaths(&text);
    ensure!(all == [("dummy", "ovs-dummy")], "{text}");
    for (_, name) in all {
        let text = switch.appctl(&["dpctl/show", name])?;
        let shown = datapath(&text)?;
        let number = |name: &str| shown.numbers.get(name).copied().context(name.to_owned());
        ensure!(number("lookups hit")? == 2.0 && number("lookups missed")? == 1.0, "{text}");
        ensure!(number("lookups lost")? == 0.0 && number("flows")? == 1.0, "{text}");
        let port = |number: &str| shown.ports.get(number).cloned().context(text.clone());
        ensure!(port("1")? == ("p1".to_owned(), "dummy".to_owned()), "{text}");
        ensure!(port("0")?.0 == "ovs-dummy", "{text}");
    }
    // Its tables: columns of every interface, and the figures it knows by key.
    let columns =
        "_uuid,name,admin_state,link_state,mac_in_use,mtu,ofport,ifindex,error,statistics";
    let words = ["--format=csv", "--data=bare", "--no-heading"];
    let column = format!("--columns={columns}");
    let rows = switch.vsctl(&[&words[..], &[&column, "find", "Interface", "name=p1"]].concat())?;
    let fields: Vec<&str> = rows.trim().split(',').collect();
    ensure!(fields.len() == columns.split(',').count(), "{rows}");
    ensure!(fields[2..4] == ["up", "up"] && fields[4].split(':').count() == 6, "{rows}");
    ensure!(fields[5..8].iter().all(|it| it.parse::<i64>().is_ok()), "{rows}");
    ensure!(fields[8].is_empty(), "{rows}");
    let figures: BTreeMap<&str, u64> = fields[9]
        .split_whitespace()
        .filter_map(|it| it.split_once('='))
        .filter_map(|(key, value)| Some((key, value.parse().ok()?)))
        .collect();
    for key in ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"] {
        ensure!(figures.contains_key(key), "no {key} in {rows}");
    }
    // The agent: bridges and interfaces by their external ids, waiting for a port, learned addresses.
    let words = ["--columns=name", "find", "Bridge", "external_ids:vendor=kube-ovn"];
    let bridges = switch.vsctl(&[&["--no-heading", "--data=bare"][..], &words].concat())?;
    ensure!(bridges.trim() == "br0", "{bridges}");
    let words = ["--columns=name", "find", "Interface", "external_ids:iface-id=pod.space"];
    let found = switch.vsctl(&[&["--no-heading", "--data=bare"][..], &words].concat())?;
    ensure!(found.trim() == "p1", "{found}");
    switch.vsctl(&["wait-until", "Interface", "p1", "ofport>0", "link_state=up"])?;
    let dpdk = switch.vsctl(&["get", "Open_vSwitch", ".", "dpdk_initialized"])?;
    ensure!(dpdk.trim() == "false", "{dpdk}");
    let learned = switch.appctl(&["fdb/show", "br0"])?;
    let row: Vec<&str> = learned.lines().nth(1).context("none")?.split_whitespace().collect();
    ensure!(row.len() == 4 && row[0] == "1" && row[2].split(':').count() == 6, "{learned}");
    // Its flows, replaced as one from its standard input, read back and traced.
    let path = switch.folder().join("flows");
    std::fs::write(&path, "priority=10,in_port=1,actions=output:2\npriority=0,actions=NORMAL\n")?;
    let path = path.display().to_string();
    switch.ofctl(&["--bundle", "replace-flows", "br0", &path])?;
    let flows = switch.ofctl(&["dump-flows", "br0"])?;
    ensure!(flows.contains("priority=10,in_port=1 actions=output:2"), "{flows}");
    let trace = switch.appctl(&["ofproto/trace", "br0", "in_port=1,icmp"])?;
    ensure!(trace.contains("Datapath actions: 2"), "{trace}");
    Ok(())
}

#[test]
fn readers_of_kube_ovn_find_what_they_parse() -> Result<()> {
    kube_ovn_reads(&Reference::start_ours()?)
}

#[test]
fn readers_of_kube_ovn_find_it_in_the_database_inside_too() -> Result<()> {
    kube_ovn_reads(&Setup::embedded()?.start()?)
}
