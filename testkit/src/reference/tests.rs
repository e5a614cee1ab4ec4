use super::*;
use crate::{
    frames::{assert_frames_eq, assert_sound, dissect},
    netns::{self, Namespace},
    packets::{Ipv4, Mac, Packet, samples},
    patience, pcap,
};

const SOON: Duration = Duration::from_secs(10);

fn two_ports() -> Reference {
    let switch = Reference::start().unwrap();
    switch.add_dummy_port("p1", 1).unwrap();
    switch.add_dummy_port("p2", 2).unwrap();
    switch
}

#[test]
fn a_packet_goes_through_octet_for_octet() {
    let switch = two_ports();
    switch.add_flow(BRIDGE, "in_port=1,actions=output:2").unwrap();
    let frames: Vec<Vec<u8>> = ["ipv4-udp", "vlan-ipv6-udp", "arp-request"]
        .map(|name| samples::named(name).unwrap())
        .into();
    for frame in &frames {
        switch.receive_frame("p1", frame).unwrap();
    }
    assert_frames_eq(&frames, &switch.sent("p2").unwrap());
    assert_frames_eq(&frames, &switch.received("p1").unwrap());
    assert!(switch.sent("p1").unwrap().is_empty());
}

#[test]
fn a_packet_may_be_given_as_a_flow_and_is_changed_by_actions() {
    let switch = two_ports();
    let actions = "dec_ttl,mod_nw_src:10.9.9.9,mod_vlan_vid:5,output:2";
    switch.add_flows(BRIDGE, &format!("in_port=1,ip,actions={actions}\nactions=drop\n")).unwrap();
    let flow = "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x0800),\
                ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)";
    switch.receive("p1", flow).unwrap();
    let sent = switch.sent("p2").unwrap();
    assert_eq!(sent.len(), 1);
    assert_sound(&sent);
    let wanted = Packet::ethernet(Mac::host(1), Mac::host(2))
        .vlan(5)
        .layer(Ipv4 { ttl: 63, ..Ipv4::new("10.9.9.9", "10.0.0.2") })
        .udp(1, 2);
    let got = dissect(&sent[0]);
    let headers = got.headers.last().unwrap().range.end;
    // The switch invents the payload, so the headers are compared but for lengths and sums.
    let wanted = wanted.build();
    for name in ["ethernet.src", "vlan.tci", "vlan.type", "ipv4.ttl", "ipv4.src", "udp.dst"] {
        let range = got.field(name).unwrap().range.clone();
        assert_eq!(sent[0][range.clone()], wanted[range], "{name}");
    }
    assert_eq!(headers, wanted.len());
}

#[test]
fn megaflows_tell_match_actions_and_counts() {
    let switch = two_ports();
    switch.add_flow(BRIDGE, "in_port=1,actions=output:2").unwrap();
    let frame = samples::named("ipv4-udp").unwrap();
    for _ in 0..3 {
        switch.receive_frame("p1", &frame).unwrap();
    }
    assert_eq!(switch.sent("p2").unwrap().len(), 3);
    let flows = switch.dump_megaflows().unwrap();
    assert_eq!(flows.len(), 1);
    let flow = &flows[0];
    assert!(flow.matching.contains("in_port(1)"), "{flow}");
    // The first packet was sent by the upcall that made the flow.
    assert_eq!((flow.packets, flow.actions.as_str()), (2, "2"));
    assert_eq!(flow.bytes, 2 * frame.len() as u64);
    assert_eq!(flow.to_string().parse(), Ok(flow.clone()));
}

#[test]
fn traces_take_flows_and_octets() {
    let switch = two_ports();
    switch.add_flow(BRIDGE, "in_port=1,udp,actions=output:2").unwrap();
    let of_flow = switch.trace(BRIDGE, "in_port=1,udp").unwrap();
    assert!(of_flow.contains("Datapath actions: 2"), "{of_flow}");
    let of_frame = switch.trace_frame(BRIDGE, 1, &samples::named("ipv4-udp").unwrap()).unwrap();
    assert!(of_frame.contains("Datapath actions: 2"), "{of_frame}");
    assert!(of_frame.contains("nw_src=10.0.0.1"), "{of_frame}");
}

#[test]
fn time_stands_and_is_moved_by_hand() {
    let switch = two_ports();
    switch.time_stop().unwrap();
    switch.add_flow(BRIDGE, "in_port=1,idle_timeout=60,actions=output:2").unwrap();
    let flows = || switch.ofctl(&["--no-stats", "dump-flows", BRIDGE]).unwrap();
    switch.time_warp(Duration::from_secs(50), None).unwrap();
    assert!(flows().contains("in_port=1"), "{}", flows());
    switch.time_warp(Duration::from_secs(20), Some(Duration::from_secs(1))).unwrap();
    assert!(!flows().contains("in_port=1"), "{}", flows());
}

#[test]
fn errors_are_the_switchs_own_words() {
    let switch = two_ports();
    let error = switch.add_flow(BRIDGE, "in_port=1,actions=fly").unwrap_err().to_string();
    assert!(error.contains("fly"), "{error}");
    let error = switch.receive("p9", "00").unwrap_err().to_string();
    assert!(error.contains("no dummy netdev") || error.contains("p9"), "{error}");
    let error = switch.add_port(BRIDGE, "x1", "no-such-type", 7, &[]).unwrap_err().to_string();
    assert!(error.contains("port x1: wanted number 7"), "{error}");
    assert!(switch.sent("p9").is_err());
    assert!(switch.vsctl(&["list", "NoSuchTable"]).is_err());
}

#[test]
fn a_daemon_that_does_not_come_up_is_told_with_its_words() {
    let error = Reference::start_with("/bin/false").unwrap_err().to_string();
    assert!(error.starts_with("/bin/false did not come up: it ended, exit status: 1"), "{error}");
    let error = Reference::start_with("/no/such/daemon").unwrap_err();
    assert!(matches!(error, ReferenceError::Process(ProcessError::Start { .. })), "{error}");
    let error = Setup::new().argument("--no-such-argument").start().unwrap_err().to_string();
    assert!(error.contains("unrecognized option '--no-such-argument'"), "{error}");
}

#[test]
fn instances_stand_side_by_side_and_end_with_their_guards() {
    let (one, two) = (two_ports(), two_ports());
    assert_ne!(one.folder(), two.folder());
    let (id, folder) = (one.id(), one.folder().to_owned());
    drop(one);
    assert!(!Path::new(&format!("/proc/{id}")).exists());
    assert!(!folder.exists());
    assert!(two.vsctl(&["list-br"]).unwrap().contains(BRIDGE));
}

#[test]
fn it_switches_between_namespaces() {
    let switch_space = Namespace::quiet("switch").unwrap();
    let hosts = [1, 2].map(|n| {
        let host = Namespace::new(&format!("host{n}")).unwrap();
        netns::veth_pair((&host, "eth0"), (&switch_space, &format!("veth{n}"))).unwrap();
        host.address("eth0", &format!("10.0.0.{n}/24")).unwrap();
        host
    });
    let switch = Setup::within(&switch_space).start().unwrap();
    switch.add_flow(BRIDGE, "actions=normal").unwrap();
    for n in [1, 2] {
        switch.add_port(BRIDGE, &format!("veth{n}"), "system", n, &[]).unwrap();
    }
    let said = hosts[0].exec(&["ping", "-c", "3", "-i", "0.2", "-W", "5", "10.0.0.2"]).unwrap();
    assert!(said.contains("3 received"), "{said}");
}

#[test]
fn dpdk_sends_a_packet_octet_for_octet() {
    let folder = Folder::new("dpdk").unwrap();
    let tx = folder.join("tx.pcap");
    let switch = Reference::start_dpdk().unwrap();
    switch.add_dummy_port("p1", 1).unwrap();
    let device = format!("options:dpdk-devargs=net_pcap0,tx_pcap={}", tx.display());
    switch.add_port(BRIDGE, "p2", "dpdk", 2, &[&device]).unwrap();
    switch.add_flow(BRIDGE, "in_port=1,actions=output:2").unwrap();
    let frames: Vec<Vec<u8>> = samples::all().into_iter().map(|sample| sample.frame).collect();
    for frame in &frames {
        switch.receive_frame("p1", frame).unwrap();
    }
    let got = patience::eventually("all frames are sent", SOON, || {
        let (records, _) = pcap::parse(&fs::read(&tx).unwrap_or_default());
        (records.len() >= frames.len()).then_some(records)
    });
    let got: Vec<Vec<u8>> = got.into_iter().map(|record| record.frame).collect();
    assert_frames_eq(&frames, &got);
    let version = switch.vsctl(&["get", "Open_vSwitch", ".", "dpdk_version"]).unwrap();
    assert!(version.contains("DPDK "), "{version}");
}

#[test]
fn the_next_release_stands_beside_this_one_and_its_tools_judge_any_daemon() {
    let newer = Reference::start_newer().unwrap();
    let ours = Setup::newer().unwrap().daemon(crate::daemon::built().unwrap()).start().unwrap();
    let older = Reference::start().unwrap();
    let version = |switch: &Reference| switch.appctl(&["version"]).unwrap();
    assert!(version(&newer).starts_with("ovs-vswitchd (Open vSwitch) 3.5"), "{}", version(&newer));
    assert!(!version(&older).contains(" 3.5"), "{}", version(&older));
    for switch in [&newer, &ours] {
        switch.add_dummy_port("p1", 1).unwrap();
        switch.add_dummy_port("p2", 2).unwrap();
        switch.add_flow(BRIDGE, "in_port=1,actions=output:2").unwrap();
        let frame = samples::named("ipv4-udp").unwrap();
        switch.receive_frame("p1", &frame).unwrap();
        assert_eq!(switch.sent("p2").unwrap(), [frame]);
        assert!(switch.ofctl(&["--version"]).unwrap().contains(" 3.5"));
    }
}

#[test]
fn the_next_release_switches_between_namespaces() {
    let space = Namespace::quiet("newer").unwrap();
    let host = Namespace::new("host").unwrap();
    netns::veth_pair((&host, "eth0"), (&space, "veth1")).unwrap();
    host.address("eth0", "10.0.0.1/24").unwrap();
    let switch = Setup::newer().unwrap().and_within(&space).start().unwrap();
    switch.add_port(BRIDGE, "veth1", "system", 1, &[]).unwrap();
    switch.add_flow(BRIDGE, "actions=normal").unwrap();
    space.exec(&["ip", "address", "add", "10.0.0.2/24", "dev", BRIDGE]).unwrap();
    space.exec(&["ip", "link", "set", BRIDGE, "up"]).unwrap();
    let said = host.exec(&["ping", "-c", "3", "-i", "0.2", "-W", "5", "10.0.0.2"]).unwrap();
    assert!(said.contains("3 received"), "{said}");
}
