//! What need not be tracked is let by, and nothing else is: through the daemon, as users set it.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::packets::Packet;
use testkit::patience::eventually;
use testkit::reference::{BRIDGE, Reference};
use testkit::seed::{Rng, Seeded};

use super::hosts::PATIENCE;

fn start(flows: &str) -> Result<Reference> {
    let switch = Reference::start_ours()?;
    switch.vsctl(&["set", "Bridge", BRIDGE, "fail_mode=secure"])?;
    switch.add_dummy_port("p1", 1)?;
    switch.add_dummy_port("p2", 2)?;
    switch.time_stop()?;
    switch.add_flows(BRIDGE, flows)?;
    Ok(switch)
}

fn set(switch: &Reference, key: &str, value: &str) -> Result<()> {
    switch.vsctl(&["set", "Open_vSwitch", ".", &format!("other_config:{key}=\"{value}\"")])?;
    Ok(())
}

fn udp(src: Ipv4Addr, dst: Ipv4Addr, sport: u16) -> Vec<u8> {
    Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02")
        .ipv4(&*src.to_string(), &*dst.to_string())
        .udp(sport, 53)
        .payload(b"data")
        .build()
}

fn connections(switch: &Reference) -> Result<usize> {
    Ok(switch.appctl(&["dpctl/dump-conntrack"])?.lines().count())
}

/// Packets that the rule of the prefixes has let by, if there is one.
fn let_by(switch: &Reference) -> Option<u64> {
    let shown = switch.appctl(&["conntrack/skip-show"]).ok()?;
    shown
        .lines()
        .find(|line| line.contains(" dst-cidrs,"))?
        .rsplit_once("n_packets=")?
        .1
        .trim()
        .parse()
        .ok()
}

#[test]
fn an_address_is_let_by_a_second_after_it_was_listed_and_tracked_again_after_it_was_not()
-> Result<()> {
    let switch = start("ip,actions=ct(commit,zone=1,table=1)\ntable=1,in_port=1,actions=2\n")?;
    let (client, server) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 96, 0, 10));
    let mut port = 1000;
    let mut give = |count: u16| -> Result<()> {
        for _ in 0..count {
            port += 1;
            switch.receive_frame("p1", &udp(client, server, port))?;
        }
        Ok(())
    };
    give(10)?;
    ensure!(connections(&switch)? == 10, "without a policy all are tracked");
    // The switch's clock goes on by a second and no more, however long the machine takes.
    let second = || switch.time_warp(Duration::from_secs(1), Some(Duration::from_millis(100)));
    set(&switch, "skip_conntrack_dst_cidrs", "10.96.0.0/16")?;
    second()?;
    eventually("the address is let by", PATIENCE, || {
        give(1).ok()?;
        (let_by(&switch)? > 0).then_some(())
    });
    let (before, counted) = (connections(&switch)?, let_by(&switch).context("a counter")?);
    give(20)?;
    ensure!(connections(&switch)? == before, "nothing is entered any more");
    // What megaflows have let by is added up as the clock goes on.
    eventually("all are counted", PATIENCE, || {
        second().ok()?;
        (let_by(&switch)? >= counted + 20).then_some(())
    });
    switch.appctl(&["dpctl/flush-conntrack"])?;
    give(20)?;
    ensure!(connections(&switch)? == 0, "the table stays empty");
    switch.vsctl(&["remove", "Open_vSwitch", ".", "other_config", "skip_conntrack_dst_cidrs"])?;
    second()?;
    eventually("it is tracked again", PATIENCE, || {
        give(1).ok()?;
        (connections(&switch).ok()? > 0).then_some(())
    });
    ensure!(let_by(&switch).is_none(), "there is no rule");
    Ok(())
}

/// An address that some rule means, or one beside it.
fn address(rng: &mut Rng) -> Ipv4Addr {
    let low = |rng: &mut Rng, most: u64| u8::try_from(rng.below(most)).unwrap_or(0);
    let bases = [[10, 1, 0], [10, 1, 1], [10, 2, 0], [169, 254, 20], [169, 254, 21], [10, 96, 0]];
    let [a, b, c] = rng.pick(&bases).copied().unwrap_or_default();
    let low = if rng.bool() { 8 + low(rng, 6) } else { low(rng, 255) };
    Ipv4Addr::new(a, b, c, low)
}

/// Whether the policy of the test below lets a first `ct` without translation be passed by.
fn is_meant(src: Ipv4Addr, dst: Ipv4Addr) -> bool {
    let listed = |it: Ipv4Addr| {
        matches!(it.octets(), [169, 254, 20, 10] | [10, 96, 0, 10])
            // Of 10.1.0.0/24 and 169.254.0.0/16, the second is link-local.
            || matches!(it.octets(), [10, 1, 0, _])
    };
    let local = |it: Ipv4Addr| matches!(it.octets(), [10, 2, 0, low] if low < 16);
    listed(src) || listed(dst) || (local(src) && local(dst))
}

#[test]
fn each_packet_gets_its_own_answer_whatever_came_before() -> Result<()> {
    // The upper half of the prefix is translated, and then tracked once more, in another zone.
    let switch = start(
        "priority=2,ip,nw_dst=10.1.0.128/25,actions=ct(table=1,zone=1,nat)\n\
         priority=1,ip,actions=ct(table=1,zone=1)\n\
         table=1,priority=2,ip,nw_dst=10.1.0.128/25,actions=ct(table=2,zone=2)\n\
         table=1,priority=1,actions=goto_table:2\n\
         table=2,actions=move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_SRC[0..7],\
         move:NXM_NX_CT_ZONE[]->NXM_OF_ETH_SRC[16..31],2\n",
    )?;
    set(&switch, "node_local_dns_ip", "169.254.20.10,10.96.0.10")?;
    set(&switch, "skip_conntrack_dst_cidrs", "10.1.0.0/24,169.254.0.0/16")?;
    set(&switch, "ls_ct_skip_dst_lport_ips", "10.2.0.0/28")?;
    let mut rng = Seeded::new(0x5_1c1b);
    let mut given = Vec::new();
    for _ in 0..200 {
        let (src, dst) = (address(&mut rng), address(&mut rng));
        switch.receive_frame("p1", &udp(src, dst, 1000))?;
        given.push((src, dst));
    }
    let sent = switch.sent("p2")?;
    ensure!(sent.len() == given.len(), "{} of {} have left", sent.len(), given.len());
    let (mut by, mut tracked) = (0, 0);
    for ((src, dst), frame) in given.iter().zip(&sent) {
        let translated = matches!(dst.octets(), [10, 1, 0, low] if low >= 128);
        let (zone, state) = (frame.get(9).copied(), frame.get(11).copied().unwrap_or(0) & 0x20);
        let expected = match (translated, is_meant(*src, *dst)) {
            (true, _) => (Some(2), 0x20),
            (false, true) => (Some(0), 0),
            (false, false) => (Some(1), 0x20),
        };
        ensure!((zone, state) == expected, "{src} to {dst}: {zone:?} {state:#x}, not {expected:?}");
        if state == 0 { by += 1 } else { tracked += 1 }
    }
    ensure!(by > 20 && tracked > 20, "both are tried: {by}, {tracked}");
    let megaflows = switch.dump_megaflows()?.len();
    ensure!(megaflows < given.len(), "{megaflows} megaflows: some packets share one");
    Ok(())
}
