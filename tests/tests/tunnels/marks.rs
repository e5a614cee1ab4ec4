//! A tunnel's mark chooses the routing table, and with it the link: `options:egress_pkt_mark` and
//! `ovs/route/rule`, live, with the kernel's VXLAN as the other end.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::netns::{Namespace, veth_pair};
use testkit::reference::{Reference, Setup};

use crate::live::reaches;

/// The underlay of one family.
struct Underlay {
    /// Of each link: our address, theirs.
    links: [(&'static str, &'static str); 2],
    /// The length of the links' prefixes.
    len: &'static str,
    /// Where the far ends of the tunnels are, beyond either link.
    far: &'static str,
    network: &'static str,
    /// What the commands about rules begin with.
    family: &'static str,
}

const UNDERLAYS: [Underlay; 2] = [
    Underlay {
        links: [("192.168.7.1", "192.168.7.254"), ("192.168.8.1", "192.168.8.254")],
        len: "24",
        far: "10.77.0.1",
        network: "10.77.0.0/16",
        family: "",
    },
    Underlay {
        links: [("fd07::1", "fd07::fe"), ("fd08::1", "fd08::fe")],
        len: "64",
        far: "fd77::1",
        network: "fd77::/64",
        family: "-6 ",
    },
];

fn words(namespace: &Namespace, words: &str) -> Result<()> {
    namespace.ip(&words.split_whitespace().collect::<Vec<_>>())?;
    Ok(())
}

fn command(switch: &Reference, words: &str) -> Result<()> {
    let answer = switch.appctl(&words.split_whitespace().collect::<Vec<_>>())?;
    ensure!(answer.trim() == "OK", "{words}: {answer}");
    Ok(())
}

/// On which of the two links packets of the instance `vni` arrive, while it is pinged through.
fn link_of(there: &Namespace, pod: &Namespace, vni: u8, to: &str) -> Result<usize> {
    let wires = [there.frames("eth0")?, there.frames("eth1")?];
    reaches(pod, to, "56")?;
    let tunnelled = |frame: &[u8]| {
        let vxlan = if frame.get(12) == Some(&0x86) { 62 } else { 42 };
        frame.get(vxlan - 6..vxlan - 4) == Some(&4789_u16.to_be_bytes())
            && frame.get(vxlan..vxlan + 8) == Some(&[8, 0, 0, 0, 0, 0, vni, 0])
            // An echo request, which none but the pod sends.
            && frame.get(vxlan + 42) == Some(&8)
    };
    let mut seen = Vec::new();
    for (link, wire) in wires.iter().enumerate() {
        if wire.receive_matching(Duration::from_millis(300), tunnelled)?.is_some() {
            seen.push(link);
        }
    }
    ensure!(seen.len() == 1, "instance {vni} was seen on links {seen:?}");
    seen.first().copied().context("one")
}

fn marks_choose(underlay: &Underlay) -> Result<()> {
    let (here, there) = (Namespace::new("mark-gw")?, Namespace::new("mark-peer")?);
    let pod = Namespace::new("mark-pod")?;
    let Underlay { links, len, far, network, family } = underlay;
    for (link, (_, theirs)) in links.iter().enumerate() {
        let eth = format!("eth{link}");
        veth_pair((&here, &eth), (&there, &eth))?;
        there.address(&eth, &format!("{theirs}/{len}"))?;
    }
    veth_pair((&here, "pod0"), (&pod, "eth0"))?;
    words(&there, &format!("addr add {far}/{} dev lo", if far.contains(':') { 128 } else { 32 }))?;
    words(&there, "link set lo up")?;
    for (link, (ours, _)) in links.iter().enumerate() {
        let vni = 7 + link;
        // Without learning it answers to where it was told, whichever way packets come.
        let far = format!("dstport 4789 remote {ours} local {far} nolearning");
        words(&there, &format!("link add vx{vni} type vxlan id {vni} {far}"))?;
        there.address(&format!("vx{vni}"), &format!("10.{vni}.0.2/24"))?;
        words(&there, &format!("link set vx{vni} up"))?;
    }
    let switch = Setup::within(&here).daemon(testkit::daemon::built()?).start()?;
    let setup = format!(
        "add-br phy0 -- set bridge phy0 datapath_type=netdev -- add-port phy0 eth0 -- \
         add-br phy1 -- set bridge phy1 datapath_type=netdev -- add-port phy1 eth1 -- \
         add-br br-int -- set bridge br-int datapath_type=netdev -- add-port br-int pod0 -- \
         set Interface pod0 ofport_request=1 -- \
         add-port br-int tun0 -- set Interface tun0 ofport_request=2 type=vxlan \
         options:remote_ip={far} options:key=7 -- \
         add-port br-int tun1 -- set Interface tun1 ofport_request=3 type=vxlan \
         options:remote_ip={far} options:key=8 options:egress_pkt_mark=9"
    );
    switch.vsctl(&setup.split_whitespace().collect::<Vec<_>>())?;
    for (link, (ours, theirs)) in links.iter().enumerate() {
        let bridge = format!("phy{link}");
        here.address(&bridge, &format!("{ours}/{len}"))?;
        words(&here, &format!("link set {bridge} up"))?;
        // The switch follows the kernel's addresses; a route may come before the address is seen.
        let table = if link == 0 { "" } else { "table=100" };
        let route = format!("ovs/route/add {network} {bridge} {theirs} {table}");
        testkit::patience::wait(Duration::from_secs(10), || command(&switch, &route).ok())
            .context(route)?;
    }
    command(&switch, &format!("ovs/route/rule/add {family}from=all prio=50 mark=9 table=100"))?;
    // Each network of the pod's has its tunnel.
    switch.ofctl(&["del-flows", "br-int"])?;
    switch.add_flows(
        "br-int",
        "in_port=1,arp,arp_tpa=10.7.0.0/24,actions=2\nin_port=1,ip,nw_dst=10.7.0.0/24,actions=2\n\
         in_port=1,arp,arp_tpa=10.8.0.0/24,actions=3\nin_port=1,ip,nw_dst=10.8.0.0/24,actions=3\n\
         in_port=2,actions=1\nin_port=3,actions=1\n",
    )?;
    pod.address("eth0", "10.7.0.1/24")?;
    words(&pod, "addr add 10.8.0.1/24 dev eth0")?;

    let link = |vni: u8, to: &str| {
        switch.appctl(&["revalidator/wait"])?;
        link_of(&there, &pod, vni, to).with_context(|| format!("{far}: {}", switch.log_tail()))
    };
    let nowhere = || -> Result<()> {
        let traced = switch.trace("br-int", "in_port=1,icmp,nw_dst=10.8.0.2")?;
        ensure!(traced.contains("native tunnel routing failed"), "{traced}");
        ensure!(pod.exec(&["ping", "-c", "1", "-W", "1", "10.8.0.2"]).is_err(), "it answers");
        Ok(())
    };
    assert_eq!((link(7, "10.7.0.2")?, link(8, "10.8.0.2")?), (0, 1));
    // The tunnel gets a mark that no rule and no route is for.
    switch.vsctl(&["set", "Interface", "tun1", "options:egress_pkt_mark=10"])?;
    nowhere()?;
    // A route of that mark leads over the first link, and the other tunnel stays where it is.
    let first = links[0].1;
    command(&switch, &format!("ovs/route/add {network} phy0 {first} pkt_mark=10"))?;
    assert_eq!((link(7, "10.7.0.2")?, link(8, "10.8.0.2")?), (0, 0));
    // A rule for the mark is asked before that route's table.
    let rule = "from=all prio=51 mark=10 table=100";
    command(&switch, &format!("ovs/route/rule/add {family}{rule}"))?;
    assert_eq!((link(7, "10.7.0.2")?, link(8, "10.8.0.2")?), (0, 1));
    command(&switch, &format!("ovs/route/rule/del {family}{rule}"))?;
    assert_eq!(link(8, "10.8.0.2")?, 0);
    command(&switch, &format!("ovs/route/del {network} pkt_mark=10"))?;
    nowhere()?;
    // A flow's own mark does it, too, for a tunnel that has none.
    switch.ofctl(&["mod-flows", "br-int", "in_port=1,ip,actions=set_field:9->pkt_mark,2"])?;
    assert_eq!(link(7, "10.7.0.2")?, 1);
    Ok(())
}

#[test]
fn marks_choose_the_link_over_ipv4() -> Result<()> {
    marks_choose(&UNDERLAYS[0])
}

#[test]
fn marks_choose_the_link_over_ipv6() -> Result<()> {
    marks_choose(&UNDERLAYS[1])
}
