//! Connection tracking: announcements in payloads, and sequences of packets.

use core::net::IpAddr;

use dp_core::action::ct::{Helper, Nat, NatChoice, NatEnd, NatTarget};
use dp_core::action::{Ct, Masked};
use dp_core::base::{Duration, Instant, PortNo, Zone};
use dp_core::conntrack::{Conntrack, ftp, tftp};
use dp_core::flow::{BurstKeys, Extractor, Pass};
use dp_core::packet::{Burst, Packet, Pool, Slots};

/// An FTP announcement is inside its payload, and what is written in its place is read again.
pub fn ct_announcements(payload: &[u8]) {
    let _ = tftp::is_request(payload);
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
        persistent: false,
        choice: NatChoice::Default,
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
