use dp_core::action::tunnel::Kind;
use dp_core::action::{Action, Masked, Set, TunnelPush};
use dp_core::base::{Duration, Instant, OfPort, PortNo};
use dp_core::flow::{FlowKey, layout};
use dp_core::packet::TunnelMeta;

use super::{Agent, Config, DATAGRAMS, FlowSample, Path, Polled, PortCounters, output};

fn config(polling: u64) -> Config {
    Config {
        agent: "127.0.0.1".parse().unwrap(),
        sub_agent: 3,
        sampling: 64,
        polling: Duration::from_secs(polling),
        header: 128,
    }
}

fn sample(header: &[u8]) -> FlowSample<'_> {
    FlowSample {
        header,
        frame_len: header.len(),
        input: 1,
        output: 2,
        vlan_in: 0,
        vlan_out: 0,
        tunnel_in: None,
        tunnel_out: None,
        labels: &[],
    }
}

fn port(number: u16) -> PortCounters {
    PortCounters {
        ifindex: 1000 + u32::from(number),
        ofport: OfPort(number),
        name: format!("p{number}"),
        speed: 0,
        full_duplex: None,
        admin_up: true,
        link_up: true,
        rx_packets: 0,
        rx_bytes: 0,
        rx_dropped: None,
        tx_packets: 0,
        tx_bytes: 0,
        tx_dropped: None,
        lacp: None,
    }
}

fn polled() -> Polled {
    Polled { ports: (1..=3).map(port).collect(), ..Polled::default() }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Kind, sequence and source of each sample, with the datagram's own number.
fn samples(datagram: &[u8]) -> (u32, Vec<(u32, u32, u32)>) {
    assert_eq!((word(datagram, 0), word(datagram, 4), word(datagram, 12)), (5, 1, 3));
    let mut at = 28;
    let mut found = Vec::new();
    for _ in 0..word(datagram, 24) {
        found.push((word(datagram, at), word(datagram, at + 8), word(datagram, at + 12)));
        at += 8 + usize::try_from(word(datagram, at + 4)).unwrap();
    }
    assert_eq!(at, datagram.len());
    (word(datagram, 16), found)
}

fn at(seconds: u64) -> Instant {
    Instant::from_millis(5_000 + 1_000 * seconds)
}

#[test]
fn counters_are_polled_once_an_interval() {
    let mut agent = Agent::new(config(30), at(0));
    let mut all = Vec::new();
    for second in 0..=121 {
        for datagram in agent.run(at(second), polled) {
            let (_, found) = samples(&datagram);
            all.extend(found.into_iter().map(|it| (second, it)));
        }
    }
    for source in [1001, 1002, 1003, 2 << 24 | 1003] {
        let own: Vec<_> = all.iter().filter(|(_, (_, _, of))| *of == source).collect();
        assert_eq!(own.len(), 4, "{source:#x}");
        assert!(own.windows(2).all(|two| two[1].0 - two[0].0 == 30), "{own:?}");
        let numbers: Vec<u32> = own.iter().map(|(_, (_, number, _))| *number).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
    }
    let mut seconds: Vec<_> = all.iter().map(|(second, _)| second).collect();
    seconds.dedup();
    assert!(seconds.len() > 4, "ports are spread: {seconds:?}");
}

#[test]
fn without_an_interval_nothing_is_polled() {
    let mut agent = Agent::new(config(0), at(0));
    for second in 0..100 {
        assert!(agent.run(at(second), || unreachable!()).is_empty());
    }
}

#[test]
fn a_sample_waits_for_a_second_at_most() {
    let mut agent = Agent::new(config(0), at(0));
    assert_eq!(agent.wake(), at(1));
    agent.sample(&sample(&[1; 60]), Instant::from_millis(5_400));
    agent.sample(&sample(&[2; 61]), Instant::from_millis(5_500));
    assert!(agent.run(Instant::from_millis(5_999), Polled::default).is_empty());
    let sent = agent.run(at(1), Polled::default);
    assert_eq!(sent.len(), 1);
    let own = 2 << 24 | 1003;
    assert_eq!(samples(&sent[0]), (1, vec![(1, 1, own), (1, 2, own)]));
    // The pool grows by the rate with each sample.
    assert_eq!(word(&sent[0], 28 + 8 + 12), 64);
    assert!(agent.run(at(2), Polled::default).is_empty());
}

#[test]
fn what_is_full_goes_at_once_and_what_nobody_takes_is_bounded() {
    let mut agent = Agent::new(config(0), at(0));
    for _ in 0..20 {
        agent.sample(&sample(&[1; 128]), at(0));
    }
    assert_eq!(agent.wake(), at(0));
    let sent = agent.run(at(0), Polled::default);
    assert!(sent.len() > 1 && sent.iter().all(|it| it.len() <= 1400));
    for _ in 0..DATAGRAMS * 20 {
        agent.sample(&sample(&[1; 128]), at(0));
    }
    assert!(agent.take_lost() > 0 && agent.take_lost() == 0);
    assert_eq!(agent.run(at(0), Polled::default).len(), DATAGRAMS);
}

#[test]
fn outputs_are_counted() {
    assert_eq!(output::count(output::DROPPED), 0);
    assert_eq!(output::count(output::several(7)), 7);
    assert_eq!((output::count(1004), output::count(0)), (1, 0));
}

fn mpls(labels: &[u32]) -> FlowKey {
    let mut key = FlowKey::default();
    key.store(layout::ETH_TYPE, 0x8847);
    let places = [layout::MPLS0, layout::MPLS1, layout::MPLS2];
    for (place, lse) in places.into_iter().zip(labels) {
        key.store(place, (*lse).into());
    }
    key
}

#[test]
fn labels_are_those_that_a_packet_leaves_with() {
    let of = |actions: &[Action], key: &FlowKey| Path::of(actions, key).labels.to_vec();
    let two = mpls(&[0x0064_0640, 0x0065_0740]);
    assert_eq!(of(&[Action::Output(PortNo(1))], &two), []);
    assert_eq!(of(&[Action::PopMpls { eth_type: 0x8847 }], &two), [0x0065_0740]);
    let push = |lse| Action::PushMpls { lse, eth_type: 0x8847 };
    assert_eq!(of(&[push(7)], &two), [7, 0x0064_0640, 0x0065_0740]);
    assert_eq!(of(&[push(0x140), push(2)], &FlowKey::default()), [2, 0x140]);
    let ttl = Action::Set(Set::Mpls(Masked { value: 0x3f, mask: 0xff }));
    assert_eq!(of(&[ttl], &mpls(&[0x0064_0140])), [0x0064_013f]);
    let pop = Action::PopMpls { eth_type: 0x0800 };
    assert_eq!(of(&[pop.clone(), pop], &mpls(&[0x0064_0140])), []);
    assert_eq!(of(&vec![push(1); 40], &FlowKey::default()), []);
}

#[test]
fn the_tunnel_is_told_where_there_is_one() {
    let mut header = vec![0; 50];
    header[14] = 0x45;
    header[15] = 0x28;
    header[23] = 17;
    header[26..34].copy_from_slice(&[1, 1, 2, 88, 1, 1, 2, 92]);
    header[36..38].copy_from_slice(&4789_u16.to_be_bytes());
    header[46..50].copy_from_slice(&[0, 0, 123, 0]);
    let push = |header: Vec<u8>| {
        Action::TunnelPush(Box::new(TunnelPush {
            tunnel_port: PortNo(1),
            out_port: PortNo(2),
            kind: Kind::Vxlan,
            header: header.into(),
        }))
    };
    let key = FlowKey::default();
    let tunnel = Path::of(&[push(header.clone())], &key).tunnel.unwrap();
    assert_eq!((tunnel.protocol, tunnel.dst_port, tunnel.tos), (17, 4789, 0x28));
    assert_eq!((tunnel.src.octets(), tunnel.dst.octets()), ([1, 1, 2, 88], [1, 1, 2, 92]));
    assert_eq!(tunnel.vni, Some(123));
    let inside = Action::Clone([push(header.clone())].into());
    assert!(Path::of(&[inside], &key).tunnel.is_some());
    assert_eq!(Path::of(&[push(header.clone()), push(header.clone())], &key).tunnel, None);
    // Headers that are too short, or IPv6's, say nothing.
    for len in 0..header.len() {
        let _ = Path::of(&[push(header[..len].to_vec())], &key);
    }
    header[14] = 0x60;
    assert_eq!(Path::of(&[push(header)], &key).tunnel, None);
    let set = TunnelMeta { id: 9, dst: [1, 1, 2, 92].into(), ..TunnelMeta::NONE };
    let tunnel = Path::of(&[Action::Set(Set::Tunnel(Box::new(set)))], &key).tunnel.unwrap();
    assert_eq!(tunnel.vni, Some(9));
}
