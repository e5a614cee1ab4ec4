//! Connection tracking: announcements in payloads, sequences of packets, pieces, quoted packets.

use core::net::IpAddr;

use dp_core::action::ct::{Helper, Nat, NatChoice, NatEnd, NatTarget};
use dp_core::action::{Ct, Masked};
use dp_core::base::{Duration, Instant, PortNo, Zone};
use dp_core::conntrack::{Conntrack, ftp};
use dp_core::flow::{BurstKeys, Extractor, Pass};
use dp_core::packet::{Burst, Packet, Pool, Slots};

/// An FTP announcement is inside its payload, and what is written in its place is read again.
pub fn ct_announcements(payload: &[u8]) {
    let Some(found) = ftp::announcement(payload) else { return };
    let place = payload.get(found.place.clone());
    assert!(place.is_some_and(|place| !place.is_empty()), "it lies inside the payload");
    assert_ne!(found.port, 0);
    let address = found.address.unwrap_or(IpAddr::from([10, 0, 0, 1]));
    let written = found.written(address, found.port).unwrap_or_default();
    let mut other = payload.to_vec();
    other.splice(found.place.clone(), written.bytes());
    let again = ftp::announcement(&other);
    let parts = |it: &ftp::Announcement| (it.port, it.address, it.form);
    assert_eq!(again.as_ref().map(parts), Some(parts(&found)), "what was written is read again");
}

/// Packets of all shapes through one tracker: nothing panics, counts are those of what is there, and
/// an empty tracker is empty.
pub fn ct_sequence(input: &[u8]) {
    let tracker = Conntrack::new(1);
    tracker.set_max_connections(16);
    let mut now = Instant::from_millis(1000);
    let mut rest = input;
    while let Some((&[how, len, wait], tail)) = rest.split_first_chunk::<3>() {
        let len = usize::from(len).min(tail.len());
        let (frame, tail) = tail.split_at(len);
        rest = tail;
        now = now.after(Duration::from_millis(u64::from(wait) * 100));
        step(&tracker, &frame_of(how, frame), how, now);
        match wait {
            255 => {
                tracker.flush(Some(Zone(u16::from(how & 1))), now);
            }
            254 => while !tracker.sweep(now, 8) {},
            _ => {}
        }
        let mut counted = 0u32;
        tracker.dump(None, now, |_| counted += 1);
        assert!(counted <= tracker.connections() && tracker.connections() <= 16);
    }
    let zones: u32 = (0..2).map(|zone| tracker.zone_limit(Zone(zone)).count).sum();
    assert_eq!(zones, tracker.connections());
    tracker.flush(None, now);
    assert_eq!(tracker.connections(), 0);
    assert_eq!(tracker.occupancy().sum::<usize>(), 0);
}

/// The input as a frame of its own, or as what follows an IPv4 header with a right checksum.
fn frame_of(how: u8, bytes: &[u8]) -> Vec<u8> {
    if how & 0x80 != 0 {
        return bytes.to_vec();
    }
    let proto = [6, 17, 1, 132][usize::from(how >> 5 & 3)];
    let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let mut header = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, proto, 0, 0];
    let (a, b) = if how & 0x10 != 0 { (1, 2) } else { (2, 1) };
    header.extend([10, 0, 0, a, 10, 0, 0, b]);
    let total = u16::try_from(20 + bytes.len()).unwrap_or(u16::MAX);
    header[2..4].copy_from_slice(&total.to_be_bytes());
    let sum = dp_core::wire::checksum::checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    out.extend(header);
    out.extend(bytes);
    out
}

fn step(tracker: &Conntrack, frame: &[u8], how: u8, now: Instant) {
    let Some(packet) = packet(frame) else { return };
    let mut burst = Burst::default();
    assert!(burst.push(packet).is_ok());
    let slots = Slots::first(1);
    let keys = &mut BurstKeys::default();
    Extractor::default().burst(&mut burst, slots, Pass::First(PortNo(1)), keys);
    if let Some(packet) = burst.get_mut(0) {
        // Checksums would keep all but a few inputs out.
        packet.meta_mut().offloads |= dp_core::packet::Offloads::RX_L4_CSUM_GOOD;
    }
    let host = IpAddr::from([10, 0, 0, 9]);
    let to = NatTarget {
        end: if how & 2 != 0 { NatEnd::Src } else { NatEnd::Dst },
        addresses: Some((host, host)),
        ports: None,
        persistent: how & 0x10 != 0,
        choice: match how >> 5 & 3 {
            1 => NatChoice::Hash,
            2 => NatChoice::Random,
            _ => NatChoice::Default,
        },
    };
    let other = if to.end == NatEnd::Src { NatEnd::Dst } else { NatEnd::Src };
    let also = NatTarget { end: other, ..to.clone() };
    let also = (how & 0x14 == 0x14).then_some(also);
    let ct = Ct {
        zone: Zone(u16::from(how & 1)),
        commit: how & 4 != 0,
        force: how & 12 == 12,
        nat: (how & 8 != 0).then_some(Nat { to: (how & 4 != 0).then_some(to), also }),
        helper: (how & 4 != 0).then_some(if how & 0x20 != 0 { Helper::Tftp } else { Helper::Ftp }),
        mark: Some(Masked { value: 1, mask: 3 }),
        ..Ct::default()
    };
    let before = tracker.connections();
    let tracked = tracker.run(&mut burst, slots, &ct, Some(PortNo(1)), now);
    assert!(ct.commit || tracker.connections() <= before);
    for burst in std::iter::once(&burst).chain(&tracked.released) {
        for packet in burst.iter() {
            assert!(packet.ct().is_some_and(|ct| ct.state & 0x20 != 0), "every packet is tracked");
        }
    }
}

fn packet(frame: &[u8]) -> Option<Packet> {
    let mut packet = Pool::for_len(frame.len())?.alloc()?;
    packet.append(frame.len())?.copy_from_slice(frame);
    Some(packet)
}

/// Pieces of datagrams in both families, in any order and with any offsets: every piece waits, is
/// refused, goes on or is counted as expired, none twice, and never more wait than may.
pub fn ct_fragments(input: &[u8]) {
    const MOST: u32 = 32;
    let tracker = Conntrack::new(1);
    assert!(tracker.fragments().set_max(MOST));
    let mut now = Instant::from_millis(1000);
    let (mut sent, mut gone) = (0u64, 0u64);
    let mut rest = input;
    while let Some((&[how, high, low, len], tail)) = rest.split_first_chunk::<4>() {
        let (seed, tail) = tail.split_at(tail.len().min(1));
        rest = tail;
        if how & 0xc0 == 0xc0 {
            now = now.after(Duration::from_millis(u64::from(len) * 100));
        }
        let word = u16::from_be_bytes([high & 0x3f, low]);
        let body = vec![seed.first().copied().unwrap_or(0); 8 * usize::from(len)];
        let Some(packet) = packet(&piece_of(how, word, &body)) else { continue };
        let mut burst = Burst::default();
        assert!(burst.push(packet).is_ok());
        let slots = Slots::first(1);
        let keys = &mut BurstKeys::default();
        Extractor::default().burst(&mut burst, slots, Pass::First(PortNo(1)), keys);
        let ct = Ct { zone: Zone(u16::from(how >> 2 & 1)), commit: true, ..Ct::default() };
        let tracked = tracker.run(&mut burst, slots, &ct, Some(PortNo(1)), now);
        sent += 1;
        let released = tracked.released.iter().map(|burst| burst.iter().count() as u64);
        gone += released.sum::<u64>() + tracked.expired;
        gone += tracked.refused.iter().map(|(_, _, pieces)| pieces).sum::<u64>();
        gone += burst.iter().count() as u64;
        let waiting = sent.checked_sub(gone);
        assert!(waiting.is_some_and(|count| count <= u64::from(MOST)), "{sent} sent, {gone} gone");
    }
    now = now.after(Duration::from_secs(60));
    gone += tracker.fragments().expire(now);
    assert_eq!(sent, gone, "every piece has gone somewhere");
}

/// A piece: IPv4 with these flags and offset (in the header's form), or IPv6 with a fragment header.
fn piece_of(how: u8, word: u16, body: &[u8]) -> Vec<u8> {
    let (id, proto) = (how & 1, if how & 8 != 0 { 17 } else { 6 });
    let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
    if how & 2 != 0 {
        let offset = (word & 0x1fff) << 3 | u16::from(word & 0x2000 != 0);
        out.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        out.extend((len + 8).to_be_bytes());
        out.extend([44, 64]);
        for host in [1, 2] {
            out.extend([0xfc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
        }
        out.extend([proto, 0]);
        out.extend(offset.to_be_bytes());
        out.extend([0, 0, 0, id]);
    } else {
        let mut header =
            vec![0x45, 0, 0, 0, 0, id, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        header[2..4].copy_from_slice(&(len + 20).to_be_bytes());
        header[6..8].copy_from_slice(&word.to_be_bytes());
        let sum = dp_core::wire::checksum::checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        out.extend([8, 0]);
        out.extend(header);
    }
    out.extend(body);
    out
}

/// ICMP errors of both families that quote anything, to hosts whose connections are translated:
/// errors enter nothing, keep their length, and what is no error of theirs is not related.
pub fn ct_errors(input: &[u8]) {
    let Some((&[how, kind, code], quoted)) = input.split_first_chunk::<3>() else { return };
    let tracker = Conntrack::new(1);
    let now = Instant::from_millis(1000);
    let v6 = how & 1 != 0;
    let host = |last: u8| -> IpAddr {
        if v6 {
            [0xfc00, 0, 0, 0, 0, 0, 0, u16::from(last)].into()
        } else {
            [10, 0, 0, last].into()
        }
    };
    let to = NatTarget {
        end: NatEnd::Src,
        addresses: Some((host(9), host(9))),
        ports: None,
        persistent: false,
        choice: NatChoice::Default,
    };
    let enter = Ct { commit: true, nat: Some(Nat { to: Some(to), also: None }), ..Ct::default() };
    let begins = whole(v6, host(1), host(2), 17, &[0, 1, 0, 2, 0, 8, 0, 0]);
    run(&tracker, &begins, &enter, now);
    assert_eq!(tracker.connections(), 1);
    // Some quote the connection, as it went out, with their own bytes behind.
    let mut body = vec![kind, code, 0, 0, 0, 0, 0, 0];
    if how & 2 != 0 {
        let went = whole(v6, host(9), host(2), 17, &[0, 1, 0, 2, 0, 8, 0, 0]);
        body.extend(went.get(14..).unwrap_or_default());
        let from = 8 + usize::from(how >> 2);
        for (place, byte) in body.iter_mut().skip(from).zip(quoted) {
            *place ^= byte;
        }
        body.extend(quoted.iter().skip(64));
    } else {
        body.extend(quoted);
    }
    let frame = whole(v6, host(2), host(9), if v6 { 58 } else { 1 }, &body);
    let look = Ct { nat: Some(Nat::default()), ..Ct::default() };
    let Some((state, out)) = run(&tracker, &frame, &look, now) else { return };
    assert_eq!(out.len(), frame.len(), "a translation keeps the length");
    assert_eq!(tracker.connections(), 1, "an error enters nothing");
    const REL_INV: u8 = 0x04 | 0x10;
    assert_ne!(state & REL_INV, REL_INV, "related and invalid");
    let is_error = if v6 { kind < 128 } else { matches!(kind, 3 | 4 | 5 | 11 | 12) };
    assert!(state & 0x04 == 0 || is_error, "type {kind} is related");
    if how & 2 != 0 && quoted.is_empty() && kind == if v6 { 1 } else { 3 } {
        assert_ne!(state & 0x04, 0, "what quotes the connection is related to it");
        assert_ne!(out, frame, "and reaches the host behind the translation");
    }
    if state & 0x04 == 0 {
        assert_eq!(out, frame, "what belongs to nothing is left as it was");
    }
}

/// A frame with a whole datagram.
fn whole(v6: bool, src: IpAddr, dst: IpAddr, proto: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
    let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    let mut header = if v6 {
        out.extend([0x86, 0xdd]);
        let [high, low] = len.to_be_bytes();
        vec![0x60, 0, 0, 0, high, low, proto, 64]
    } else {
        out.extend([8, 0]);
        let [high, low] = len.saturating_add(20).to_be_bytes();
        vec![0x45, 0, high, low, 0, 1, 0, 0, 64, proto, 0, 0]
    };
    for address in [src, dst] {
        match address {
            IpAddr::V4(v4) => header.extend(v4.octets()),
            IpAddr::V6(v6) => header.extend(v6.octets()),
        }
    }
    if !v6 {
        let sum = dp_core::wire::checksum::checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    out.extend(header);
    out.extend(body);
    out
}

/// Runs a frame through, its transport checksum taken for right: state bits and what came out.
fn run(tracker: &Conntrack, frame: &[u8], ct: &Ct, now: Instant) -> Option<(u8, Vec<u8>)> {
    let mut burst = Burst::default();
    assert!(burst.push(packet(frame)?).is_ok());
    let slots = Slots::first(1);
    let keys = &mut BurstKeys::default();
    Extractor::default().burst(&mut burst, slots, Pass::First(PortNo(1)), keys);
    if let Some(packet) = burst.get_mut(0) {
        packet.meta_mut().offloads |= dp_core::packet::Offloads::RX_L4_CSUM_GOOD;
    }
    tracker.run(&mut burst, slots, ct, Some(PortNo(1)), now);
    let packet = burst.get(0)?;
    Some((packet.ct()?.state, packet.data().to_vec()))
}
