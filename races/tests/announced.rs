//! What connections announce, the ports that translation gives them, and datagrams in pieces, while
//! several threads are at it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dp_core::action::Ct;
use dp_core::action::ct::{Helper, Nat, NatChoice, NatEnd, NatTarget};
use dp_core::base::{Instant, PortNo, Zone};
use dp_core::conntrack::{Conntrack, CtState};
use dp_core::flow::{BurstKeys, Extractor, Pass, VlanLimit};
use dp_core::packet::{Burst, Pool, Slots};
use dp_core::wire::checksum::checksum;
use races::model;
use shuttle::thread;

const NOW: Instant = Instant::from_millis(1_000_000);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// A burst of one packet with this frame.
fn packet(frame: &[u8]) -> Burst {
    let mut packet = Pool::for_len(frame.len()).and_then(Pool::alloc).expect("a buffer");
    packet.append(frame.len()).expect("room").copy_from_slice(frame);
    let mut burst = Burst::default();
    assert!(burst.push(packet).is_ok());
    let extractor = Extractor::portable(VlanLimit::One);
    extractor.burst(&mut burst, Slots::first(1), Pass::First(PortNo(1)), &mut BurstKeys::default());
    burst
}

/// A datagram between two hosts.
fn udp(src: Ipv4Addr, dst: Ipv4Addr, from: u16, to: u16, body: &[u8]) -> Burst {
    let len = 8 + body.len() as u16;
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend((20 + len).to_be_bytes());
    frame.extend([0, 7, 0, 0, 64, 17, 0, 0]);
    frame.extend(src.octets());
    frame.extend(dst.octets());
    let sum = checksum(&frame[14..34]).to_be_bytes();
    frame[24..26].copy_from_slice(&sum);
    frame.extend(from.to_be_bytes());
    frame.extend(to.to_be_bytes());
    frame.extend(len.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(body);
    packet(&frame)
}

fn commit() -> Ct {
    Ct { commit: true, zone: Zone(1), ..Ct::default() }
}

/// Runs a packet through; its state, or `None` if it is gone.
fn run(tracker: &Conntrack, burst: &mut Burst, ct: &Ct) -> Option<CtState> {
    tracker.run(burst, Slots::first(1), ct, Some(PortNo(1)), NOW);
    let found = burst.get(0)?.ct()?;
    Some(CtState::from_bits_retain(found.state))
}

fn expectations(tracker: &Conntrack) -> usize {
    tracker.expected(None, NOW).len()
}

#[test]
fn what_is_announced_while_it_comes_is_related_or_new_and_leaves_nothing() {
    model(300, || {
        let tracker = Arc::new(Conntrack::new(7));
        let request = b"\0\x01file\0octet\0";
        let helped = Ct { helper: Some(Helper::Tftp), ..commit() };
        let announces = thread::spawn({
            let (tracker, mut burst) =
                (Arc::clone(&tracker), udp(CLIENT, SERVER, 500, 69, request));
            move || run(&tracker, &mut burst, &helped)
        });
        let comes = thread::spawn({
            let (tracker, mut burst) =
                (Arc::clone(&tracker), udp(SERVER, CLIENT, 900, 500, b"data"));
            move || run(&tracker, &mut burst, &commit())
        });
        assert!(announces.join().unwrap().is_some_and(|state| state.contains(CtState::NEW)));
        let state = comes.join().unwrap().expect("goes on");
        assert!(state.contains(CtState::NEW), "{state:?}");
        assert_eq!(tracker.connections(), 2);
        assert!(expectations(&tracker) <= 1);
        // Who comes afterwards is what the first was, or related.
        let mut again = udp(CLIENT, SERVER, 500, 900, b"ack");
        let back = run(&tracker, &mut again, &commit()).expect("goes on");
        assert!(back.contains(CtState::EST | CtState::RPL), "{back:?}");
        assert_eq!(back.contains(CtState::REL), state.contains(CtState::REL));
        tracker.flush(None, NOW);
        assert_eq!((tracker.connections(), expectations(&tracker)), (0, 0));
    });
}

#[test]
fn an_announcement_beside_a_flush_leaves_no_expectation_without_its_parent() {
    model(300, || {
        let tracker = Arc::new(Conntrack::new(8));
        let helped = Ct { helper: Some(Helper::Tftp), ..commit() };
        let announces = [500, 501].map(|port| {
            let (tracker, helped) = (Arc::clone(&tracker), helped.clone());
            let mut burst = udp(CLIENT, SERVER, port, 69, b"\0\x01file\0octet\0");
            thread::spawn(move || run(&tracker, &mut burst, &helped))
        });
        let flushes = thread::spawn({
            let tracker = Arc::clone(&tracker);
            move || tracker.flush(None, NOW)
        });
        for thread in announces {
            assert!(thread.join().unwrap().is_some());
        }
        flushes.join().unwrap();
        tracker.flush(None, NOW);
        assert_eq!((tracker.connections(), expectations(&tracker)), (0, 0));
    });
}

/// Translates sources to one address with few ports.
fn translated(ports: (u16, u16)) -> Ct {
    let address = IpAddr::from([192, 0, 2, 1]);
    let to = NatTarget {
        end: NatEnd::Src,
        addresses: Some((address, address)),
        ports: Some(ports),
        persistent: false,
        choice: NatChoice::Default,
    };
    Ct { nat: Some(Nat { to: Some(to), also: None }), ..commit() }
}

/// Source address and port of a frame of UDP over IPv4.
fn source(burst: &Burst) -> Option<([u8; 4], u16)> {
    let frame = burst.get(0)?.data();
    let address = frame[26..30].try_into().ok()?;
    Some((address, u16::from_be_bytes([frame[34], frame[35]])))
}

#[test]
fn two_threads_never_give_one_port_to_two_connections() {
    model(400, || {
        let tracker = Arc::new(Conntrack::new(9));
        let threads = [1, 2, 3].map(|host| {
            let tracker = Arc::clone(&tracker);
            let mut burst = udp(Ipv4Addr::new(10, 0, 0, host), SERVER, 2000, 53, b"?");
            thread::spawn(move || {
                let state = run(&tracker, &mut burst, &translated((2000, 2001)));
                (state, source(&burst))
            })
        });
        let outcomes = threads.map(|thread| thread.join().unwrap());
        let is_translated =
            |state: &Option<CtState>| state.is_some_and(|it| it.contains(CtState::SNAT));
        let mut given: Vec<u16> = outcomes
            .iter()
            .filter(|(state, _)| is_translated(state))
            .filter_map(|(_, source)| *source)
            .map(|(address, port)| {
                assert_eq!(address, [192, 0, 2, 1]);
                port
            })
            .collect();
        given.sort_unstable();
        // Two ports, three hosts: two are served, each with a port of its own.
        assert_eq!(given, [2000, 2001], "{outcomes:?}");
        assert_eq!(tracker.connections(), 2);
        tracker.flush(None, NOW);
        assert_eq!(tracker.connections(), 0);
    });
}

/// Bytes of a piece: not so few that it is refused.
const PIECE: u16 = 1400;

/// A datagram cut in two.
fn halves() -> [Burst; 2] {
    let whole = udp(CLIENT, SERVER, 5, 6, &[7; 2 * PIECE as usize - 8]);
    let frame = whole.get(0).expect("a packet").data().to_vec();
    [(0, 0x2000), (PIECE, 0)].map(|(from, more)| {
        let start = 34 + usize::from(from);
        let mut piece = frame[..34].to_vec();
        piece.extend(&frame[start..start + usize::from(PIECE)]);
        piece[16..18].copy_from_slice(&(20 + PIECE).to_be_bytes());
        piece[20..22].copy_from_slice(&(more | from / 8).to_be_bytes());
        piece[24..26].fill(0);
        let sum = checksum(&piece[14..34]).to_be_bytes();
        piece[24..26].copy_from_slice(&sum);
        packet(&piece)
    })
}

#[test]
fn pieces_that_two_threads_bring_go_on_once_and_together() {
    model(400, || {
        let tracker = Arc::new(Conntrack::new(10));
        let threads = halves().map(|mut burst| {
            let tracker = Arc::clone(&tracker);
            thread::spawn(move || {
                let ct = commit();
                let tracked = tracker.run(&mut burst, Slots::first(1), &ct, Some(PortNo(1)), NOW);
                tracked.released.iter().map(Burst::len).sum::<usize>()
            })
        });
        let released: usize = threads.map(|thread| thread.join().unwrap()).iter().sum();
        assert_eq!(released, 2, "both pieces, once");
        assert_eq!(tracker.connections(), 1);
    });
}
