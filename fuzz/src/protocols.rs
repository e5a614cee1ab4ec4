//! Bridge protocols: whatever neighbours say, machines stay within their bounds, and what parses can
//! be written and parses again.
//!
//! An input is a sequence of messages: a byte for the port and the time that passes, a byte for the
//! length, and the message. So replays, contradictions and truncated messages come by themselves.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use dp_core::base::{Duration, Instant, MacAddr, OfPort};
use dp_ofproto::protocols::bfd::{self, Control, Received, Session};
use dp_ofproto::protocols::bpdu::Bpdu;
use dp_ofproto::protocols::cfm::{self, Ccm, Cfm};
use dp_ofproto::protocols::lacp::{self, Lacp, MemberConfig, Pdu, Slow};
use dp_ofproto::protocols::mcast::{self, Snooping};
use dp_ofproto::protocols::rstp::{self, Rstp};
use dp_ofproto::protocols::stp::{self, Stp};

use crate::bytes::Bytes;

/// Messages of an input that are looked at: what more would tell is little.
const MESSAGES: usize = 64;

/// Messages with the port that they come in by and the time that passes before.
fn messages(data: &[u8]) -> impl Iterator<Item = (OfPort, Instant, &[u8])> {
    let (mut rest, mut now) = (data, Instant::from_millis(1_000_000));
    std::iter::from_fn(move || {
        let (&[how, len], after) = rest.split_first_chunk()?;
        let (message, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        // From nothing to half a minute.
        now = now.after(Duration::from_millis(
            [0, 1, 50, 300, 999, 3000, 10_000, 30_000][usize::from(how >> 5)],
        ));
        Some((OfPort(u16::from(how & 3) + 1), now, message))
    })
    .take(MESSAGES)
}

fn keys(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

const MAC: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);

/// BFD control packets.
pub fn bfd_packets(data: &[u8]) {
    if let Ok(control) = Control::parse(data) {
        assert_eq!(Control::parse(&control.emit()), Ok(control));
    }
    let all = keys(&[("enable", "true"), ("min_rx", "50"), ("decay_min_rx", "700")]);
    let Some(config) = bfd::Config::from_keys(&all, &mut Vec::new()) else { return };
    let mut session = Session::new("p1", MAC, config.clone(), 1, Instant::from_millis(1_000_000));
    for (at, (port, now, payload)) in messages(data).enumerate() {
        let received = Received {
            eth_dst: config.local_dst_mac,
            ip_dst: Ipv4Addr::new(169, 254, 1, 0),
            ttl: if port == OfPort(4) { 254 } else { 255 },
            udp_dst: bfd::UDP_PORT,
            tunnel_key: 0,
            payload,
        };
        session.receive(&received, now);
        session.run(at as u64, now);
        // However often it is asked for: a poll is answered once, and the next packet has its time.
        let sent = (0..8).filter(|_| session.send(now).is_some()).count();
        assert!(sent <= 2, "{sent} packets at once");
        assert!(session.events().len() <= 4);
        assert!(!session.show(now).is_empty() && session.status(now).len() == 6);
    }
}

/// Continuity checks.
pub fn cfm_messages(data: &[u8]) {
    for extended in [false, true] {
        if let Ok(ccm) = Ccm::parse(data, extended) {
            assert_eq!(Ccm::parse(&ccm.emit(), extended), Ok(ccm));
        }
        let all = keys(&[("cfm_interval", "100"), ("cfm_extended", &extended.to_string())]);
        let config = cfm::Config::from_keys(7, &all);
        let mut point = Cfm::new("p1", MAC, config, 1, Instant::from_millis(1_000_000));
        for (_, now, payload) in messages(data) {
            point.receive(payload, now);
            point.run(0, now);
            assert!((0..8).filter(|_| point.send(now).is_some()).count() <= 1);
            assert!(point.events().len() <= 4);
            assert!(point.remote_mpids().len() <= 256);
            assert!(point.health().is_none_or(|percent| percent <= 100));
            assert!(!point.show(now).is_empty());
        }
    }
}

/// Link aggregation control.
pub fn lacp_units(data: &[u8]) {
    if let Slow::Lacp(pdu) = Pdu::parse(data) {
        let again = Pdu::parse(&pdu.emit());
        assert_eq!(again, Slow::Lacp(pdu));
    }
    let config = lacp::Config { id: MAC, priority: 9, active: true, fast: true, fallback_ab: true };
    let mut lacp = Lacp::new("bond0", config);
    let start = Instant::from_millis(1_000_000);
    for number in 1..=3 {
        let config = MemberConfig {
            name: format!("p{number}"),
            mac: MAC,
            id: number,
            priority: 1,
            key: 0,
            fast: true,
        };
        lacp.put_member(OfPort(number), config, start);
        lacp.carrier_changed(OfPort(number), true, start);
    }
    for (port, now, payload) in messages(data) {
        lacp.receive(port, payload, now);
        lacp.run(now);
        // A member says at most one thing at a time.
        assert!(lacp.send(now).len() <= 3);
        assert!(lacp.send(now).len() <= 3);
        assert!(!lacp.show().is_empty() && !lacp.show_stats().is_empty());
    }
}

/// Data units of spanning trees.
pub fn bridge_units(data: &[u8]) {
    if let Ok(bpdu) = Bpdu::parse(data) {
        let frame = bpdu.frame(MAC);
        assert_eq!(Bpdu::parse(frame.get(14..).unwrap_or_default()), Ok(bpdu));
    }
    let start = Instant::from_millis(1_000_000);
    let mut old = Stp::new("br0", stp::Config::from_keys(MAC, &keys(&[])), start);
    let mut new = Rstp::new("br0", rstp::Config::from_keys(MAC, &keys(&[])), start);
    for number in 1..=3u16 {
        let (name, ofport) = (format!("p{number}"), OfPort(number));
        let config = stp::PortConfig {
            up: true,
            name: name.clone(),
            mac: MAC,
            priority: 128,
            number: number as u8,
            path_cost: 2,
        };
        old.put_port(ofport, config, start);
        let config = rstp::PortConfig {
            up: true,
            name,
            mac: MAC,
            priority: 128,
            number,
            path_cost: 2000,
            admin_edge: false,
            auto_edge: true,
            mcheck: false,
        };
        new.put_port(ofport, config, start);
    }
    for (port, now, llc) in messages(data) {
        old.receive(port, llc, now);
        old.run(now);
        assert!(old.send().len() <= 32, "a port says little at once");
        new.receive(port, llc, now);
        new.run(now);
        // Ten a second and port; whoever slept is paid for some of the seconds.
        assert!(new.send().len() <= 3 * 10 * 121);
        assert!(!old.show().is_empty() && !new.show().is_empty());
        // A loop of the bridge with itself: what it says comes back.
        for (from, frame) in old.send() {
            old.receive(OfPort(from.0 % 3 + 1), frame.get(14..).unwrap_or_default(), now);
        }
    }
}

/// Reports and queries of multicast.
pub fn multicast_messages(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let size = 10 + usize::from(bytes.byte());
    let mut table = Snooping::new(mcast::Config { table_size: size, ..mcast::Config::default() });
    for (port, now, payload) in messages(bytes.rest()) {
        let vlan = port.0 % 2;
        let igmp = mcast::parse_igmp(Ipv4Addr::new(10, 0, 0, 1), payload);
        let mld = mcast::parse_mld(Ipv6Addr::LOCALHOST, payload);
        for message in igmp.into_iter().chain(mld) {
            table.learn(vlan, port, false, &message, now);
        }
        table.expire(now);
        let lines = table.show(now, |port| port.0.to_string()).lines().count();
        // A group has a line for each of four ports at most; routers have theirs.
        assert!(lines <= 4 * size + 16, "{lines} lines of {size} groups");
    }
}
