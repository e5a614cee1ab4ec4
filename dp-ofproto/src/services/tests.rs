use std::collections::BTreeMap;

use dp_core::action::SlowReasons;
use dp_core::base::{BondId, Duration, Instant, MacAddr, OfPort, PortNo};
use dp_core::flow::{FieldId, FlowKey, FlowMask, layout};

use super::links::{MemberWish, PortWish};
use super::multicast::PortFlags;
use super::watch::WatchWish;
use super::{PortFacts, Services};
use crate::bond;
use crate::bridge::{Bridge, BridgePort, PortMap};
use crate::protocols::{bfd, cfm, lacp, mcast};
use crate::translate::hooks::{BondAdmission, BondOutput, Bonds, McastStep, Protocols};

const START: Instant = Instant(7_000_000_000);
const P1: OfPort = OfPort(1);
const P2: OfPort = OfPort(2);
const P3: OfPort = OfPort(3);

fn up(_: &str, _: OfPort) -> PortFacts {
    PortFacts { carrier: true, rx_packets: 0 }
}

fn member(number: u16) -> MemberWish {
    MemberWish {
        ofport: OfPort(number),
        config: lacp::MemberConfig {
            name: format!("p{number}"),
            mac: MacAddr::new(2, 0, 0, 0, 1, number as u8),
            id: number,
            priority: 65_535,
            key: 0,
            fast: false,
        },
    }
}

fn bond_wish(mode: bond::Mode, lacp: Option<u8>) -> PortWish {
    PortWish {
        name: "bond0".to_owned(),
        bond: Some(bond::Config { mode, ..bond::Config::default() }),
        lacp: lacp.map(|id| lacp::Config {
            id: MacAddr::new(2, 0, 0, 0, 0, id),
            priority: 65_534,
            active: true,
            fast: true,
            fallback_ab: false,
        }),
        members: vec![member(1), member(2)],
    }
}

fn bridge(name: &str) -> Bridge {
    let bridge = Bridge::new(name, Default::default(), Default::default());
    let ports = [P1, P2, P3].map(|ofport| {
        BridgePort::new(ofport, PortNo(u32::from(ofport.0)), format!("p{}", ofport.0))
    });
    bridge.set_ports(PortMap::new(ports).unwrap());
    bridge
}

fn in_bond(bridge: &Bridge, id: BondId) {
    let ports = bridge.ports();
    let changed = ports.iter().map(|port| {
        let mut port = BridgePort::clone(port);
        if port.ofport != P3 {
            port.bundle = "bond0".to_owned();
            port.bond = Some(id);
        }
        port
    });
    bridge.set_ports(PortMap::new(changed.collect::<Vec<_>>()).unwrap());
}

fn flow(src: u64, dst: u64, eth_type: u16) -> FlowKey {
    let mut flow = FlowKey::EMPTY;
    flow.set(FieldId::EthSrc, u128::from(src));
    flow.set(FieldId::EthDst, u128::from(dst));
    flow.set(FieldId::EthType, u128::from(eth_type));
    flow
}

#[test]
fn source_balancing_looks_at_the_source_alone() {
    let services = Services::new();
    let wish = bond_wish(bond::Mode::BalanceSlb, None);
    let id = services.set_ports("br0", &[wish], START)["bond0"];
    let turn = services.run(START, up);
    assert_eq!(turn.announce, [("br0".to_owned(), id)]);
    let mut wc = FlowMask::EMPTY;
    let BondOutput::Member(member) = services.output(id, &flow(5, 6, 0x0800), &mut wc, 0) else {
        panic!("no member");
    };
    assert!([P1, P2].contains(&member));
    assert_eq!(wc.get(FieldId::EthSrc), 0xffff_ffff_ffff);
    assert_eq!(wc.get(FieldId::EthDst), 0);
    let version = Bonds::version(&*services);
    services.run(START, |_, port| PortFacts { carrier: port != member, rx_packets: 0 });
    assert_ne!(Bonds::version(&*services), version, "translation must ask again");
    let BondOutput::Member(other) = services.output(id, &flow(5, 6, 0x0800), &mut wc, 0) else {
        panic!("no member");
    };
    assert_ne!(other, member);
    assert_eq!(services.admit(id, other, MacAddr::BROADCAST), BondAdmission::DropIfMoved);
}

/// Two bridges whose bonds are wired to each other.
fn negotiate(services: &Services, bridges: &[Bridge; 2]) {
    let mut now = START;
    for _ in 0..40 {
        now = now.after(Duration::from_millis(100));
        for outgoing in services.run(now, up).outgoing {
            let to = usize::from(outgoing.bridge == "br0");
            let ports = bridges[to].ports();
            let port = ports.get(outgoing.ofport).unwrap();
            let flow = flow(1, lacp::DST.to_u64(), lacp::ETH_TYPE);
            let mut wc = FlowMask::EMPTY;
            assert_eq!(services.consumes(&bridges[to], port, &flow, &mut wc), SlowReasons::LACP);
            services.process(&bridges[to], port, &flow, &outgoing.frame, now);
        }
    }
}

#[test]
fn transport_balancing_hashes_in_the_datapath_once_lacp_agrees() {
    let services = Services::new();
    let bridges = [bridge("br0"), bridge("br1")];
    for (at, bridge) in bridges.iter().enumerate() {
        let wish = bond_wish(bond::Mode::BalanceTcp, Some(at as u8));
        let id = services.set_ports(bridge.name(), &[wish], START)["bond0"];
        services.set_bond_recirc(id, Some(77));
        in_bond(bridge, id);
    }
    let id = bridges[0].ports().get(P1).unwrap().bond.unwrap();
    let mut wc = FlowMask::EMPTY;
    services.run(START, up);
    assert_eq!(services.output(id, &flow(5, 6, 0x0800), &mut wc, 0), BondOutput::None);
    assert_eq!(services.admit(id, P1, MacAddr::BROADCAST), BondAdmission::Drop);
    negotiate(&services, &bridges);
    assert_eq!(services.lacp_current("br0", P1), Some(true));
    assert_eq!(services.lacp_current("br0", P3), None);
    let first = services.output(id, &flow(5, 6, 0x0800), &mut wc, 0);
    assert_eq!(first, BondOutput::Recirculate { id: 77, basis: 0 });
    let mut back = flow(5, 6, 0x0800);
    back.store(layout::RECIRC_ID, 77);
    back.store(layout::DP_HASH, 0x1234_5601);
    assert_eq!(services.output(id, &back, &mut wc, 0), BondOutput::Member(P2));
    assert_eq!(wc.load(layout::DP_HASH), 0xff);
    services.account(id, &back, 0, 4096);
    let text = services.with_bond("bond0", |bond| bond.show(START)).unwrap();
    assert!(text.contains("  hash 1: 4 kB load\n"), "{text}");
}

#[test]
fn members_that_are_watched_carry_nothing_until_the_watch_is_content() {
    let services = Services::new();
    let wish = bond_wish(bond::Mode::ActiveBackup, None);
    let id = services.set_ports("br0", &[wish], START)["bond0"];
    let watch = WatchWish {
        name: "p1".to_owned(),
        mac: MacAddr::new(2, 0, 0, 0, 1, 1),
        bfd: Some(bfd::Config::default()),
        cfm: None,
        rx_packets: 0,
    };
    services.set_watch("br0", P1, &watch, START);
    services.run(START, up);
    let mut wc = FlowMask::EMPTY;
    assert_eq!(services.output(id, &FlowKey::EMPTY, &mut wc, 0), BondOutput::Member(P2));
    assert!(!services.is_content("br0", P1));
    assert!(services.is_content("br0", P2));
    let off = WatchWish { bfd: None, ..watch };
    services.set_watch("br0", P1, &off, START);
    assert!(services.is_content("br0", P1));
}

#[test]
fn watches_take_their_packets_and_no_others() {
    let services = Services::new();
    let bridge = bridge("br0");
    let watch = WatchWish {
        name: "p1".to_owned(),
        mac: MacAddr::new(2, 0, 0, 0, 1, 1),
        bfd: Some(bfd::Config::default()),
        cfm: Some(cfm::Config::from_keys(9, &BTreeMap::new())),
        rx_packets: 0,
    };
    services.set_watch("br0", P1, &watch, START);
    let ports = bridge.ports();
    let consumes = |ofport: OfPort, flow: &FlowKey, wc: &mut FlowMask| {
        services.consumes(&bridge, ports.get(ofport).unwrap(), flow, wc)
    };
    let mut wc = FlowMask::EMPTY;
    let mut packet = flow(1, 2, 0x0800);
    packet.set(FieldId::NwProto, 17);
    packet.set(FieldId::UdpDst, 53);
    assert_eq!(consumes(P1, &packet, &mut wc), SlowReasons::empty());
    assert_eq!(wc.get(FieldId::UdpDst), 0xffff, "the port was looked at");
    assert_eq!(wc.get(FieldId::Ipv4Dst), 0);
    packet.set(FieldId::UdpDst, 3784);
    assert_eq!(consumes(P1, &packet, &mut wc), SlowReasons::BFD);
    let mut none = FlowMask::EMPTY;
    assert_eq!(consumes(P2, &packet, &mut none), SlowReasons::empty());
    assert_eq!(none, FlowMask::EMPTY, "nothing watches there");
    let ccm = flow(1, cfm::DST.to_u64(), cfm::ETH_TYPE);
    assert_eq!(consumes(P1, &ccm, &mut wc), SlowReasons::CFM);
    // What watches sends; and a session takes what its like has sent.
    let sent = services.run(START.after(Duration::from_secs(2)), up).outgoing;
    assert_eq!(sent.len(), 2);
    services.process(&bridge, ports.get(P1).unwrap(), &packet, &sent[0].frame, START);
    let mut states = Vec::new();
    services.each_bfd(Some("p1"), |session| states.push(session.state()));
    assert_eq!(states, [bfd::State::Init]);
    assert_eq!(services.each_bfd(Some("p9"), |_| ()), 0);
    assert_eq!(services.cfm_status("br0", P1).unwrap().remote_mpids, [0; 0]);
    assert_eq!(services.bfd_status("br0", P1, START).unwrap()["state"], "init");
}

#[test]
fn multicast_goes_where_somebody_listens() {
    let services = Services::new();
    let bridge = bridge("br0");
    let flags = PortFlags { ofport: P3, flood: false, flood_reports: true };
    services.set_snooping("br0", Some((mcast::Config::default(), vec![flags])));
    let ports = bridge.ports();
    let steps = |ofport: OfPort, flow: &FlowKey, wc: &mut FlowMask| {
        services.multicast(&bridge, ports.get(ofport).unwrap(), 0, flow, wc)
    };
    let mut report = flow(1, 0x0100_5e01_0101, 0x0800);
    report.set(FieldId::NwProto, 2);
    report.store(layout::TP_SRC, 0x16);
    let mut igmp = vec![0x16, 0, 0, 0, 239, 1, 1, 1];
    let sum = dp_core::wire::checksum::checksum(&igmp).to_be_bytes();
    igmp[2..4].copy_from_slice(&sum);
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 1, 2, 0, 0, 10, 0, 0, 1, 239, 1, 1, 1]);
    frame.extend(igmp);
    services.snoop_multicast(&bridge, ports.get(P1).unwrap(), 0, &report, &frame, START);
    let mut wc = FlowMask::EMPTY;
    let note = "forwarding report to mcast flagged port";
    let sent = steps(P2, &report, &mut wc).unwrap();
    assert_eq!(sent.steps, [McastStep::Output { port: P3, note }]);
    let mut data = report.clone();
    data.set(FieldId::NwProto, 17);
    data.set(FieldId::Ipv4Dst, 0xef01_0101);
    let mut wc = FlowMask::EMPTY;
    let note = "forwarding to mcast group port";
    let sent = steps(P2, &data, &mut wc).unwrap();
    assert_eq!(sent.steps, [McastStep::Output { port: P1, note }]);
    assert_eq!(wc.get(FieldId::Ipv4Dst), 0xffff_ffff);
    let back = steps(P1, &data, &mut wc).unwrap();
    assert_eq!(back.steps, [McastStep::Note("mcast group port is input port, dropping")]);
    data.set(FieldId::Ipv4Dst, 0xef01_0102);
    assert!(steps(P2, &data, &mut wc).unwrap().flood, "nobody reported that group");
    assert_eq!(steps(P2, &flow(1, 2, 0x0800), &mut wc), None, "unicast");
    assert_eq!(steps(P2, &flow(1, 0xffff_ffff_ffff, 0x0800), &mut wc), None, "broadcast");
    let text = services.with_snooping("br0", |table| table.show(START, |port| port.to_string()));
    assert!(text.unwrap().contains("    1     0  IGMPv2    239.1.1.1"));
    services.set_snooping("br0", None);
    assert_eq!(steps(P2, &data, &mut wc), None);
}

#[test]
fn an_announcement_teaches_each_address_of_other_ports() {
    let services = Services::new();
    let bridge = bridge("br0");
    let wish = bond_wish(bond::Mode::ActiveBackup, None);
    let id = services.set_ports("br0", &[wish], START)["bond0"];
    in_bond(&bridge, id);
    services.run(START, up);
    let mac = MacAddr::new(2, 0, 0, 0, 9, 9);
    bridge.macs().learn(10, mac, P3, START);
    bridge.macs().learn(0, MacAddr::new(2, 0, 0, 0, 9, 8), P1, START);
    let frames = services.announcements(&bridge, id, START);
    assert_eq!(frames.len(), 1, "what is behind the bond needs no announcement");
    assert_eq!(frames[0].ofport, P1);
    assert_eq!(frames[0].frame[6..12], mac.0);
    assert_eq!(frames[0].frame[12..18], [0x81, 0, 0, 10, 0x80, 0x35]);
}

#[test]
fn a_bridge_that_goes_takes_its_own_along() {
    let services = Services::new();
    services.set_ports("br0", &[bond_wish(bond::Mode::BalanceTcp, Some(1))], START);
    services.set_ports("br1", &[bond_wish(bond::Mode::BalanceTcp, Some(2))], START);
    services.remove_bridge("br0");
    let mut left = Vec::new();
    services.each_bond(|bridge, _| left.push(bridge.to_owned()));
    assert_eq!(left, ["br1"]);
    assert_eq!(services.each_lacp(None, |_| ()), 1);
}
