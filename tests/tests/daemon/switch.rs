//! What the switch does, with the tools of the reference on a real database.
use std::io::Read as _;
use std::time::Duration;

use anyhow::Result;
use testkit::packets::samples;
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

#[test]
fn frames_are_switched_and_addresses_learned() -> Result<()> {
    let switch = Reference::start_ours()?;
    switch.vsctl(&["set", "Bridge", BRIDGE, "fail_mode=standalone"])?;
    switch.add_dummy_port("p1", 1)?;
    switch.add_dummy_port("p2", 2)?;
    let frame = samples::named("ipv4-udp").unwrap();
    switch.receive_frame("p1", &frame)?;
    assert_eq!(switch.sent("p2")?, [frame]);
    assert!(switch.sent("p1")?.is_empty());
    let fdb = switch.appctl(&["fdb/show", BRIDGE])?;
    assert_eq!(fdb.lines().count(), 2, "{fdb}");
    switch.time_stop()?;
    switch.time_warp(Duration::from_secs(301), Some(Duration::from_secs(1)))?;
    assert_eq!(switch.appctl(&["fdb/show", BRIDGE])?.lines().count(), 1);
    Ok(())
}

#[test]
fn what_cannot_be_opened_is_an_error_of_its_row_and_the_rest_works() -> Result<()> {
    let switch = Reference::start_ours()?;
    let words = "add-port br0 good -- set Interface good type=dummy -- add-port br0 bad -- set \
                 Interface bad type=nosuch -- add-port br0 gone0";
    switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    let get = |name: &str, column: &str| switch.vsctl(&["get", "Interface", name, column]);
    assert_eq!(get("good", "error")?.trim(), "[]");
    assert_eq!(get("good", "link_state")?.trim(), "up");
    let why = get("bad", "error")?;
    assert!(why.contains("bad (Address family not supported by protocol)"), "{why}");
    let why = get("gone0", "error")?;
    assert!(why.contains("gone0 (No such device)"), "{why}");
    assert_eq!(get("gone0", "ofport")?.trim(), "-1");
    Ok(())
}

#[test]
fn a_port_keeps_its_number_while_others_come_and_go() -> Result<()> {
    let switch = Reference::start_ours()?;
    for name in ["a", "b", "c"] {
        switch.vsctl(&["add-port", BRIDGE, name, "--", "set", "Interface", name, "type=dummy"])?;
    }
    switch.vsctl(&["del-port", "b"])?;
    switch.vsctl(&["add-port", BRIDGE, "d", "--", "set", "Interface", "d", "type=dummy"])?;
    let number = |name: &str| switch.vsctl(&["get", "Interface", name, "ofport"]);
    assert_eq!([number("a")?, number("c")?, number("d")?], ["1\n", "3\n", "4\n"]);
    Ok(())
}

#[test]
fn a_loop_in_the_tables_is_told_once_in_the_log_with_a_packet_that_hit_it() -> Result<()> {
    let switch = Reference::start_ours()?;
    switch.add_dummy_port("p1", 1)?;
    switch.add_flow(BRIDGE, "actions=resubmit(,0)")?;
    for sample in samples::all().into_iter().take(5) {
        switch.receive_frame("p1", &sample.frame)?;
    }
    assert!(switch.sent("p1")?.is_empty());
    let log = std::fs::read_to_string(switch.folder().join("ovs-vswitchd.log"))?;
    let told: Vec<&str> = log.lines().filter(|line| line.contains("|WARN|")).collect();
    // What it was, and by which way it came to the bound.
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("over max translation depth 64 on bridge br0"), "{told:?}");
    assert!(told[0].contains("while processing in_port=1,"), "{told:?}");
    assert!(told[1].contains("|ofproto_dpif_upcall|WARN|Flow: in_port=1,"), "{told:?}");
    assert!(log.matches("\n    resubmit(,0)\n").count() >= 64, "{log}");
    Ok(())
}

#[test]
fn a_controller_is_called_again_when_that_is_asked() -> Result<()> {
    let switch = Reference::start_ours()?;
    let socket = switch.folder().join("controller.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket)?;
    switch.vsctl(&["set-controller", BRIDGE, &format!("unix:{}", socket.display())])?;
    listener.set_nonblocking(true)?;
    let limit = Duration::from_secs(20);
    let call = || {
        let (stream, _) = patience::eventually("a call", limit, || listener.accept().ok());
        stream.set_read_timeout(Some(limit)).map(|()| stream)
    };
    let first = call()?;
    assert!(switch.appctl(&["bridge/reconnect", "nosuch"]).is_err());
    switch.appctl(&["bridge/reconnect", BRIDGE])?;
    // Its hello, and then the end.
    let said = std::io::read_to_string(std::io::BufReader::new(&first).take(1 << 16));
    assert!(said.is_ok_and(|text| !text.is_empty()));
    let again = call()?;
    let mut hello = [0; 8];
    (&again).read_exact(&mut hello)?;
    assert_eq!(hello[1], 0, "{hello:?}");
    Ok(())
}
