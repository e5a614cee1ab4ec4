//! Questions for routers that come in from the physical side: dropped at ports with
//! `other_config:router-guard`.

use anyhow::{Result, ensure};
use testkit::reference::{BRIDGE, Reference};

const GUARD: &str = "other_config:router-guard=\"10.16.1.1,fd10:16:1::1\"";

/// A bridge with `v1`, which is guarded, and `v2`; a patch to another bridge.
fn switch() -> Result<Reference> {
    let switch = Reference::start_ours()?;
    switch.add_dummy_port("v1", 1)?;
    switch.add_dummy_port("v2", 2)?;
    let words = "add-br far -- set bridge far datapath_type=dummy -- \
                 add-port far there -- set Interface there type=patch options:peer=here -- \
                 add-port br0 here -- set Interface here type=patch options:peer=there \
                 ofport_request=3 -- add-port far v3 -- set Interface v3 type=dummy";
    switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    switch.add_flow(BRIDGE, "in_port=1,actions=2")?;
    switch.add_flow(BRIDGE, "in_port=2,actions=1")?;
    switch.add_flow(BRIDGE, "in_port=3,actions=2")?;
    switch.vsctl(&["set", "Port", "v1", GUARD])?;
    Ok(switch)
}

fn dropped(switch: &Reference) -> Result<u64> {
    let text = switch.appctl(&["coverage/read-counter", "drop_action_router_asked"])?;
    Ok(text.trim().parse()?)
}

const ARP: &str = "eth(src=02:00:00:00:99:01,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),\
                   arp(sip=192.0.2.1,tip=TARGET,op=OP,sha=02:00:00:00:99:01,tha=00:00:00:00:00:00)";
const ND: &str = "eth(src=02:00:00:00:99:01,dst=33:33:ff:00:00:01),eth_type(0x86dd),\
                  ipv6(src=2001:db8::1,dst=ff02::1:ff00:1,label=0,proto=58,tclass=0,hlimit=255,frag=no),\
                  icmpv6(type=135,code=0),nd(target=TARGET,sll=02:00:00:00:99:01,tll=00:00:00:00:00:00)";

fn arp(target: &str, op: u8) -> String {
    ARP.replace("TARGET", target).replace("OP", &op.to_string())
}

fn nd(target: &str) -> String {
    ND.replace("TARGET", target)
}

#[test]
fn questions_for_routers_do_not_come_in_by_a_guarded_port() -> Result<()> {
    let switch = switch()?;
    let cases = [
        ("v1", arp("10.16.1.1", 1), true),
        ("v1", nd("fd10:16:1::1"), true),
        // For somebody else, an answer, from elsewhere.
        ("v1", arp("10.16.1.2", 1), false),
        ("v1", arp("10.16.1.1", 2), false),
        ("v1", nd("fd10:16:1::2"), false),
        ("v2", arp("10.16.1.1", 1), false),
        ("v2", nd("fd10:16:1::1"), false),
    ];
    // Each by translation, and by the megaflow that it has left.
    let mut expected = 0;
    for _ in 0..2 {
        for (port, packet, is_dropped) in &cases {
            let out = if *port == "v1" { "v2" } else { "v1" };
            let before = switch.sent(out)?.len();
            switch.receive(port, packet)?;
            let went = switch.sent(out)?.len() - before;
            assert_eq!(went, usize::from(!is_dropped), "{port} {packet}");
            expected += u64::from(*is_dropped);
        }
    }
    assert_eq!(dropped(&switch)?, expected);

    let trace = switch.trace(BRIDGE, "in_port=1,arp,arp_op=1,arp_tpa=10.16.1.1")?;
    let told = "dropping question for router address 10.16.1.1 received on port v1";
    ensure!(trace.contains(told) && trace.contains("Datapath actions: drop"), "{trace}");
    ensure!(trace.contains("arp_tpa=10.16.1.1,arp_op=1"), "{trace}");
    let six = "in_port=1,icmp6,icmpv6_type=135,icmpv6_code=0,nd_target=fd10:16:1::1";
    let trace = switch.trace(BRIDGE, six)?;
    ensure!(trace.contains(&told.replace("10.16.1.1", "fd10:16:1::1")), "{trace}");
    // What is no question costs the megaflow no more than that it is none.
    let trace = switch.trace(BRIDGE, "in_port=1,udp6,udp_dst=53")?;
    let megaflow = trace.lines().find(|line| line.starts_with("Megaflow")).unwrap_or_default();
    assert_eq!(megaflow, "Megaflow: recirc_id=0,eth,udp6,in_port=1,nw_frag=no");

    // The setting goes, and its megaflows with it.
    switch.vsctl(&["remove", "Port", "v1", "other_config", "router-guard"])?;
    switch.appctl(&["revalidator/wait"])?;
    let before = switch.sent("v2")?.len();
    switch.receive("v1", &arp("10.16.1.1", 1))?;
    switch.receive("v1", &nd("fd10:16:1::1"))?;
    assert_eq!(switch.sent("v2")?.len() - before, 2);
    Ok(())
}

#[test]
fn patches_are_guarded_too_and_a_list_with_a_mistake_guards_nothing_and_says_so() -> Result<()> {
    let switch = switch()?;
    switch.vsctl(&["set", "Port", "here", GUARD])?;
    switch.receive("v3", &arp("10.16.1.1", 1))?;
    switch.receive("v3", &arp("10.16.1.3", 1))?;
    let came: Vec<_> =
        switch.sent("v2")?.iter().map(|it| it.get(38..42).map(<[u8]>::to_vec)).collect();
    assert_eq!(came, [Some(vec![10, 16, 1, 3])]);

    switch.vsctl(&["set", "Port", "v1", "other_config:router-guard=\"10.16.1.1,10.16.1\""])?;
    switch.receive("v1", &arp("10.16.1.1", 1))?;
    assert_eq!(switch.sent("v2")?.len(), 2);
    let log = switch.log_tail();
    let told = "port v1: other_config:router-guard: 10.16.1: expected addresses of routers";
    ensure!(log.contains(told), "{log}");
    Ok(())
}
