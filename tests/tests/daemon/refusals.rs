//! What makes no sense, or cannot be had: told in the row that says it, or in the log where the row has
//! no place for it; everything else is in force, and so is what is put right afterwards.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::patience;
use testkit::reference::{Reference, Setup};

struct Lab(Reference);

impl Lab {
    fn new() -> Result<Self> {
        Ok(Self(Reference::start_ours()?))
    }

    fn vsctl(&self, words: &str) -> Result<String> {
        Ok(self.0.vsctl(&words.split_whitespace().collect::<Vec<_>>())?)
    }

    /// The column `error` of an interface.
    fn error(&self, name: &str) -> Result<String> {
        Ok(self.vsctl(&format!("get Interface {name} error"))?.trim().trim_matches('"').to_owned())
    }

    /// Fails unless a port that is added now works.
    fn rest_is_in_force(&self, name: &str) -> Result<()> {
        self.vsctl(&format!("add-port br0 {name} -- set Interface {name} type=dummy"))?;
        ensure!(self.error(name)? == "[]");
        ensure!(self.vsctl(&format!("get Interface {name} link_state"))?.trim() == "up");
        Ok(())
    }

    fn log_says(&self, what: &str) -> Result<()> {
        let path = self.0.folder().join("ovs-vswitchd.log");
        let said = || std::fs::read_to_string(&path).ok()?.contains(what).then_some(());
        patience::wait(Duration::from_secs(10), said).with_context(|| format!("no {what:?}"))
    }
}

#[test]
fn an_unknown_interface_type_is_an_error_of_its_row() -> Result<()> {
    let lab = Lab::new()?;
    lab.vsctl("add-port br0 odd -- set Interface odd type=nosuch")?;
    let why = "could not open network device odd (Address family not supported by protocol)";
    ensure!(lab.error("odd")? == why, "{}", lab.error("odd")?);
    ensure!(lab.vsctl("get Interface odd ofport")?.trim() == "-1");
    lab.rest_is_in_force("good")?;
    lab.vsctl("set Interface odd type=dummy")?;
    ensure!(lab.error("odd")? == "[]" && lab.vsctl("get Interface odd link_state")?.trim() == "up");
    Ok(())
}

#[test]
fn a_port_that_cannot_be_opened_is_an_error_of_its_row() -> Result<()> {
    let lab = Lab::new()?;
    let folder = lab.0.folder().join("nosuch/p.pcap");
    lab.vsctl(&format!(
        "add-port br0 away0 -- add-port br0 lone -- set Interface lone type=patch -- add-port br0 tun \
         -- set Interface tun type=vxlan -- add-port br0 file -- set Interface file type=dummy \
         options:pcap={}",
        folder.display()
    ))?;
    for (name, why) in [
        ("away0", "could not open network device away0 (No such device)"),
        ("lone", "lone: patch type requires valid 'peer' argument"),
        ("tun", "vxlan type requires valid 'remote_ip' argument"),
        ("file", "nosuch/p.pcap: No such file or directory)"),
    ] {
        let found = lab.error(name)?;
        ensure!(found.contains(why), "{name}: {found}");
        ensure!(lab.vsctl(&format!("get Interface {name} ofport"))?.trim() == "-1");
    }
    lab.rest_is_in_force("good")
}

#[test]
fn a_wrong_number_is_told_by_its_key_and_the_usual_one_holds() -> Result<()> {
    let lab = Lab::new()?;
    lab.vsctl("add-port br0 p1 -- set Interface p1 type=dummy-pmd")?;
    lab.vsctl("add-port br0 p2 -- set Interface p2 type=dummy")?;
    for (settings, why) in [
        (
            "set Interface p1 other_config:lacp-port-priority=high",
            "p1: other_config:lacp-port-priority=high: expected a whole number",
        ),
        ("set Interface p1 options:n_rxq=two", "p1: options:n_rxq=two: expected a whole number"),
        (
            "set Port p1 other_config:bond-rebalance-interval=1s",
            "port p1: other_config:bond-rebalance-interval=1s: expected a whole number",
        ),
        (
            "set Port p1 qos=@q -- --id=@q create QoS type=linux-htb other_config:max-rate=1M",
            "port p1: QoS other_config:max-rate=1M: expected a whole number",
        ),
        (
            "set Port p1 qos=@q -- --id=@q create QoS type=linux-htb queues:4=@a -- --id=@a create \
             Queue other_config:burst=-1",
            "port p1: Queue 4 other_config:burst=-1: expected a whole number",
        ),
    ] {
        lab.vsctl(settings)?;
        ensure!(lab.error("p1")? == why, "{settings}: {}", lab.error("p1")?);
        ensure!(lab.error("p2")? == "[]", "{}", lab.error("p2")?);
        // It is open all the same.
        ensure!(lab.vsctl("get Interface p1 link_state")?.trim() == "up");
        lab.vsctl("clear Interface p1 other_config options -- clear Port p1 other_config qos")?;
        ensure!(lab.error("p1")? == "[]", "{}", lab.error("p1")?);
    }
    // Rows without a column for it: the log.
    for (settings, why) in [
        ("set Open_vSwitch . other_config:flow-limit=all", "other_config:flow-limit=all: expected"),
        (
            "set Bridge br0 other_config:mac-table-size=many",
            "bridge br0: other_config:mac-table-size=many: expected a whole number",
        ),
    ] {
        lab.vsctl(settings)?;
        lab.log_says(why)?;
    }
    let table = lab.0.appctl(&["fdb/stats-show", "br0"])?;
    ensure!(table.contains("Current/maximum MAC entries in the table: 0/8192"), "{table}");
    lab.rest_is_in_force("good")
}

#[test]
fn the_second_port_on_one_device_is_told_and_the_first_keeps_it() -> Result<()> {
    let lab = Lab::new()?;
    lab.vsctl("add-port br0 p1 -- set Interface p1 type=dummy")?;
    lab.vsctl("add-br br1 -- set Bridge br1 datapath_type=dummy")?;
    let device = lab.vsctl("get Interface p1 _uuid")?;
    for (bridge, port) in [("br0", "second"), ("br1", "third")] {
        lab.vsctl(&format!(
            "-- --id=@p create Port name={port} interfaces={} -- add Bridge {bridge} ports @p",
            device.trim()
        ))?;
        lab.log_says(&format!("port {port}: interface p1 is on port p1 already"))?;
        ensure!(lab.error("p1")? == "[]", "{}", lab.error("p1")?);
        ensure!(lab.vsctl("get Interface p1 ofport")?.trim() == "1");
    }
    let shown = lab.0.appctl(&["dpctl/show"])?;
    ensure!(shown.matches(": p1 (").count() == 1, "{shown}");
    lab.rest_is_in_force("good")?;
    // With the first gone, another one has the device.
    let port = lab.vsctl("get Port p1 _uuid")?;
    lab.vsctl(&format!("--no-wait remove Bridge br0 ports {}", port.trim()))?;
    let moved = || lab.0.ofctl(&["show", "br0"]).ok()?.contains("(p1)").then_some(());
    patience::wait(Duration::from_secs(10), moved).context("nobody has the device")?;
    // A database allows one row of each name.
    let twice = lab.vsctl("-- --id=@i create Interface name=p1 -- add Port good interfaces @i");
    ensure!(twice.is_err());
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_written_is_told_and_stops_nothing() -> Result<()> {
    let lab = Lab::new()?;
    // Sockets of a bridge and a passive controller belong into folders that are not there.
    lab.vsctl("set-controller br0 punix:/nosuch/folder/br0.ctl")?;
    lab.log_says("/nosuch/folder/br0.ctl")?;
    lab.vsctl(
        "add-port br0 cap -- set Interface cap type=dummy options:tx_pcap=/proc/nosuch.pcap",
    )?;
    let why = lab.error("cap")?;
    ensure!(why.starts_with("could not open network device cap ("), "{why}");
    let refused = lab.0.appctl(&["vlog/set", "nosuch:file:dbg"]);
    ensure!(refused.is_err());
    lab.rest_is_in_force("good")?;
    ensure!(lab.0.appctl(&["version"])?.contains("ovs-vswitchd"));
    Ok(())
}

/// Options of tunnels that make no sense, or little: what comes of each is what comes of it in the newer
/// reference, in the row's `error` and in the configuration that is in force.
const TUNNELS: &[(&str, &str)] = &[
    ("vxlan", "key=x in_key=x out_key=x key=-1 key=99999999999 key=0x12"),
    ("vxlan", "dst_port=x dst_port=0 dst_port=99999 dst_port=-1"),
    ("vxlan", "tos=x tos=16x tos=0x1 tos=0x10 tos=010 tos=300 tos=-4"),
    ("vxlan", "ttl=x ttl=0 ttl=300 ttl=12x ttl=010 ttl=0x10 ttl=-1 ttl=inherit"),
    ("vxlan", "df_default=maybe egress_pkt_mark=x csum=maybe seq=maybe packet_type=odd exts=odd"),
    ("vxlan", "remote_ip=x remote_ip=300.1.1.1 remote_ip=224.0.0.1 local_ip=x nosuch=1"),
    ("vxlan", "erspan_ver=1 erspan_ver=x erspan_idx=x erspan_dir=x erspan_hwid=x srv6_segs=x"),
    ("erspan", "erspan_ver=x erspan_ver=3 erspan_ver=0 erspan_idx=x erspan_idx=9999999"),
    ("erspan", "erspan_dir=x erspan_dir=2 erspan_hwid=x erspan_hwid=99 erspan_idx=0xfffff"),
    ("gre", "key=x seq=maybe dst_port=5 exts=gbp tos=x"),
    ("geneve", "dst_port=x dst_port=0 exts=gbp ttl=x packet_type=ptap"),
    ("gtpu", "key=x packet_type=legacy_l2"),
    ("srv6", "srv6_flowlabel=x srv6_segs=x srv6_segs=fc00::5,x"),
    ("bareudp", "payload_type=x payload_type=mpls payload_type=0x800"),
];

/// What comes of one option: the row's `error`, and the configuration that listings show.
fn outcome(switch: &Reference, kind: &str, option: &str) -> Result<[String; 2]> {
    let remote = if kind == "srv6" { "fc00::9" } else { "1.1.1.9" };
    let mut words = vec![format!("type={kind}"), format!("options:remote_ip={remote}")];
    let version = if option.starts_with("erspan_ver") { "" } else { "options:erspan_ver=2" };
    if kind == "erspan" {
        words.extend(["options:key=1".to_owned(), version.to_owned()]);
    }
    words.push(format!("options:{option}"));
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
    let add = ["add-port", "br0", "odd", "--", "set", "Interface", "odd"];
    switch.vsctl(&[&add[..], &words].concat())?;
    let error = switch.vsctl(&["get", "Interface", "odd", "error"])?;
    let shown = switch.appctl(&["dpif/show"])?;
    let shown = shown.lines().find_map(|line| line.trim().strip_prefix("odd "));
    // Numbers of ports are given in turn.
    let shown = shown.and_then(|it| it.split_once(": ")).map_or("", |it| it.1);
    let outcome = [error.trim().to_owned(), shown.to_owned()];
    switch.vsctl(&["del-port", "odd"])?;
    Ok(outcome)
}

#[test]
fn wrong_options_of_tunnels_come_to_what_they_do_in_the_newer_reference() -> Result<()> {
    let reference = Setup::newer()?.start()?;
    let ours = Setup::newer()?.daemon(testkit::daemon::built()?).start()?;
    let (mut differences, mut refused, mut count) = (Vec::new(), 0, 0);
    for (kind, options) in TUNNELS {
        for option in options.split(' ') {
            let (wanted, found) =
                (outcome(&reference, kind, option)?, outcome(&ours, kind, option)?);
            if wanted != found {
                differences.push(format!("{kind} {option}: {wanted:?}, ours {found:?}"));
            }
            count += 1;
            refused += usize::from(wanted[0] != "[]");
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    ensure!(count > 60 && refused > 8, "{refused} of {count} are refused");
    Ok(())
}
