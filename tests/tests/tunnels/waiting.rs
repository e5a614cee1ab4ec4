//! Packets that wait for the neighbour their tunnel leads to, under a clock that is set by hand.

use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::packets::{Mac, Packet, samples};
use testkit::reference::{BRIDGE, Reference};

/// A switch with a tunnel to 1.1.2.92, which nobody knows yet.
fn with_tunnel() -> Result<Reference> {
    let switch = Reference::start_ours()?;
    switch.add_dummy_port("v2", 1)?;
    let pcap = switch.folder().join("p1-tx.pcap");
    let words = format!(
        "add-br under -- set bridge under datapath_type=dummy fail_mode=secure \
         other_config:hwaddr=aa:55:aa:55:00:00 -- add-port under p1 -- set Interface p1 type=dummy \
         ofport_request=1 options:tx_pcap={} -- add-port {BRIDGE} vx -- set Interface vx \
         ofport_request=11 type=vxlan options:remote_ip=1.1.2.92 options:key=7",
        pcap.display()
    );
    switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    switch.add_flow("under", "in_port=LOCAL,actions=1")?;
    switch.add_flow("under", "in_port=1,actions=LOCAL")?;
    switch.add_flow(BRIDGE, "in_port=1,actions=11")?;
    switch.appctl(&["netdev-dummy/ip4addr", "under", "1.1.2.88/24"])?;
    switch.time_stop()?;
    Ok(switch)
}

fn counter(switch: &Reference, name: &str) -> Result<u64> {
    Ok(switch.appctl(&["coverage/read-counter", name])?.trim().parse()?)
}

/// What left by the port underneath: ARP requests, and packets in the tunnel.
fn sent(switch: &Reference) -> Result<(usize, usize)> {
    let frames = switch.sent("p1")?;
    let arp = frames.iter().filter(|frame| frame.get(12..14) == Some(&[0x08, 0x06])).count();
    Ok((arp, frames.len() - arp))
}

const REPLY: &str = "in_port(1),eth(src=f8:bc:12:44:34:b6,dst=aa:55:aa:55:00:00),eth_type(0x0806),\
                     arp(sip=1.1.2.92,tip=1.1.2.88,op=2,sha=f8:bc:12:44:34:b6,\
                     tha=aa:55:aa:55:00:00)";

#[test]
fn packets_wait_for_the_answer_and_none_is_lost() -> Result<()> {
    let switch = with_tunnel()?;
    let frame = samples::named("ipv4-udp").context("a sample")?;
    for _ in 0..5 {
        switch.receive_frame("v2", &frame)?;
    }
    assert_eq!(sent(&switch)?, (1, 0), "one question, nothing sent yet");
    switch.receive("p1", REPLY)?;
    switch.time_warp(Duration::from_millis(100), None)?;
    assert_eq!(sent(&switch)?, (1, 5));
    let last = switch.sent("p1")?.pop().context("it was sent")?;
    assert_eq!(last.get(50..), Some(&frame[..]));
    assert_eq!(counter(&switch, "tunnel_neigh_queued")?, 5);
    assert_eq!(counter(&switch, "tunnel_neigh_released")?, 5);
    // From now on they are sent at once.
    switch.appctl(&["revalidator/wait"])?;
    switch.receive_frame("v2", &frame)?;
    assert_eq!((sent(&switch)?, counter(&switch, "tunnel_neigh_queued")?), ((1, 6), 5));
    Ok(())
}

#[test]
fn a_neighbour_that_stays_silent_costs_the_packets_that_wait_and_a_bounded_number_waits()
-> Result<()> {
    let switch = with_tunnel()?;
    let frame = samples::named("ipv4-udp").context("a sample")?;
    for _ in 0..70 {
        switch.receive_frame("v2", &frame)?;
    }
    assert_eq!(counter(&switch, "drop_action_tunnel_neigh_queue_full")?, 6);
    switch.time_warp(Duration::from_secs(5), Some(Duration::from_millis(100)))?;
    assert_eq!(sent(&switch)?, (3, 0), "it is asked three times");
    assert_eq!(counter(&switch, "drop_action_tunnel_neigh_silent")?, 64);
    // The next packet asks anew.
    switch.receive_frame("v2", &frame)?;
    switch.receive("p1", REPLY)?;
    switch.time_warp(Duration::from_millis(100), None)?;
    assert_eq!(sent(&switch)?, (4, 1));
    Ok(())
}

/// More ends than may be asked for at a time: the rest is refused, and nothing grows by it.
#[test]
fn a_bounded_number_of_neighbours_is_asked_for() -> Result<()> {
    const MOST: usize = 1024;
    let switch = with_tunnel()?;
    switch.vsctl(&["set", "Interface", "vx", "options:remote_ip=flow"])?;
    switch.appctl(&["netdev-dummy/ip4addr", "under", "1.2.0.1/16"])?;
    switch.add_flow(
        BRIDGE,
        "priority=40000,in_port=1,ip,actions=move:NXM_OF_IP_DST[]->NXM_NX_TUN_IPV4_DST[],11",
    )?;
    let ends = (0..MOST + 60).map(|n| {
        let to = format!("1.2.{}.{}", 1 + n / 250, 1 + n % 250);
        Packet::ethernet(Mac::host(1), Mac::host(2)).ipv4("10.0.0.1", to.as_str()).udp(1, 2).build()
    });
    switch.receive_frames("v2", &ends.collect::<Vec<_>>())?;
    assert_eq!(sent(&switch)?, (MOST, 0), "questions, and nothing in the tunnel");
    assert!(counter(&switch, "tunnel_neigh_table_full")? >= 60);
    Ok(())
}

#[test]
fn a_neighbour_that_is_forgotten_is_not_learned_again_from_an_old_answer() -> Result<()> {
    let switch = with_tunnel()?;
    let frame = samples::named("ipv4-udp").context("a sample")?;
    switch.receive("p1", REPLY)?;
    switch.receive_frame("v2", &frame)?;
    assert_eq!(sent(&switch)?, (0, 1));
    switch.appctl(&["tnl/neigh/flush"])?;
    switch.appctl(&["revalidator/wait"])?;
    assert_eq!(switch.appctl(&["tnl/neigh/show"])?.lines().count(), 2, "nobody is known");
    switch.receive_frame("v2", &frame)?;
    assert_eq!(sent(&switch)?, (1, 1));
    Ok(())
}

/// The gratuitous ARP packets that left by the port underneath: who says to be where.
fn announced(switch: &Reference) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let frames = switch.sent("p1")?;
    let arp = frames.iter().filter(|frame| {
        frame.get(12..14) == Some(&[0x08, 0x06]) && frame.get(28..32) == frame.get(38..42)
    });
    let part = |frame: &Vec<u8>, from: usize, to: usize| {
        frame.get(from..to).map(<[u8]>::to_vec).context("it is whole")
    };
    arp.map(|frame| Ok((part(frame, 28, 32)?, part(frame, 22, 28)?))).collect()
}

#[test]
fn an_address_whose_mac_changes_is_announced_but_not_where_others_do_so() -> Result<()> {
    let switch = with_tunnel()?;
    let move_to = |mac: &str| -> Result<()> {
        let setting = format!("other_config:hwaddr={mac}");
        switch.vsctl(&["set", "bridge", "under", &setting])?;
        Ok(switch.time_warp(Duration::from_millis(100), None)?)
    };
    assert!(announced(&switch)?.is_empty(), "what is new is not announced");
    move_to("aa:55:aa:55:00:09")?;
    let expected = (vec![1, 1, 2, 88], vec![0xaa, 0x55, 0xaa, 0x55, 0, 9]);
    assert_eq!(announced(&switch)?, std::slice::from_ref(&expected));
    switch.vsctl(&["set", "Interface", "under", "external_ids:vendor=kube-ovn"])?;
    move_to("aa:55:aa:55:00:0a")?;
    assert_eq!(announced(&switch)?, [expected]);
    assert_eq!(counter(&switch, "address_announced")?, 1);
    assert_eq!(counter(&switch, "address_left_to_others")?, 1);
    Ok(())
}

#[test]
fn over_ipv6_it_is_announced_by_an_advertisement_that_nobody_asked_for() -> Result<()> {
    let switch = with_tunnel()?;
    switch.appctl(&["netdev-dummy/ip6addr", "under", "2001:db8::58/64"])?;
    let advertised = || -> Result<Vec<Vec<u8>>> {
        let mut frames = switch.sent("p1")?;
        // IPv6, ICMPv6, neighbour advertisement.
        frames.retain(|it| {
            it.get(12..14) == Some(&[0x86, 0xdd])
                && (it.get(20), it.get(54)) == (Some(&58), Some(&136))
        });
        Ok(frames)
    };
    let move_to = |mac: &str| -> Result<()> {
        let setting = format!("other_config:hwaddr={mac}");
        switch.vsctl(&["set", "bridge", "under", &setting])?;
        Ok(switch.time_warp(Duration::from_millis(100), None)?)
    };
    assert!(advertised()?.is_empty(), "what is new is not announced");
    move_to("aa:55:aa:55:00:09")?;
    let own: Ipv6Addr = "2001:db8::58".parse()?;
    let is_ours = |frame: &Vec<u8>| frame.get(62..78) == Some(&own.octets());
    let frames: Vec<_> = advertised()?.into_iter().filter(is_ours).collect();
    let [frame] = frames.as_slice() else { anyhow::bail!("one is sent: {frames:?}") };
    assert_eq!(frame.get(..6), Some(&[0x33, 0x33, 0, 0, 0, 1][..]), "to all nodes");
    assert_eq!(frame.get(58), Some(&0x20), "not asked for, and it overrides (RFC 4861, 4.4)");
    let link_layer = [2, 1, 0xaa, 0x55, 0xaa, 0x55, 0, 9];
    assert_eq!(frame.get(78..86), Some(&link_layer[..]));
    switch.vsctl(&["set", "Interface", "under", "external_ids:vendor=kube-ovn"])?;
    move_to("aa:55:aa:55:00:0a")?;
    let count = advertised()?.iter().filter(|it| is_ours(it)).count();
    assert_eq!(count, 1, "that one is left to others");
    Ok(())
}
