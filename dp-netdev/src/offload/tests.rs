use super::vnet;
use super::{Layout, Unfinished, complete_checksum, finish, is_finished};
use dp_core::packet::{Offloads, Packet, Pool};
use dp_core::wire::checksum::{Pseudo, Sum, crc32c};
use dp_core::wire::ip::Protocol;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, Debug)]
struct Shape {
    v6: bool,
    tag: bool,
    protocol: u8,
    payload: usize,
    flags: u8,
}

const PLAIN: Shape = Shape { v6: false, tag: false, protocol: 6, payload: 3000, flags: 0x10 };

/// A frame with a partial checksum, as a kernel would hand it over.
fn frame(shape: Shape) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if shape.tag {
        frame.extend([0x81, 0, 0, 42]);
    }
    let header = if shape.protocol == 6 { 32 } else { 8 };
    let l4_len = u16::try_from(header + shape.payload).unwrap();
    if shape.v6 {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(l4_len.to_be_bytes());
        frame.extend([shape.protocol, 64]);
        frame.extend([0xfd; 16]);
        frame.extend([0xfe; 16]);
    } else {
        frame.extend([0x08, 0, 0x45, 0]);
        frame.extend((l4_len + 20).to_be_bytes());
        frame.extend([0xff, 0xff, 0x40, 0, 64, shape.protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    }
    let l4 = frame.len();
    if shape.protocol == 6 {
        frame.extend([0, 80, 1, 1, 0xff, 0xff, 0xff, 0, 0, 0, 0, 9, 0x80, shape.flags, 1, 0]);
        frame.extend([0; 16]);
    } else {
        frame.extend([0, 80, 1, 1]);
        frame.extend(l4_len.to_be_bytes());
        frame.extend([0, 0]);
    }
    frame.extend((0..shape.payload).map(|n| u8::try_from(n % 251).unwrap()));
    let partial =
        !pseudo(&frame, shape.v6, l4).sum(Protocol(shape.protocol), l4_len.into()).finish();
    let field = l4 + if shape.protocol == 6 { 16 } else { 6 };
    if shape.protocol == 6 || shape.protocol == 17 {
        frame[field..field + 2].copy_from_slice(&partial.to_be_bytes());
    }
    frame
}

fn pseudo(frame: &[u8], v6: bool, l4: usize) -> Pseudo {
    if v6 {
        let at = |from: usize| Ipv6Addr::from(*frame[from..].first_chunk::<16>().unwrap());
        Pseudo::V6 { src: at(l4 - 32), dst: at(l4 - 16) }
    } else {
        let at = |from: usize| Ipv4Addr::from(*frame[from..].first_chunk::<4>().unwrap());
        Pseudo::V4 { src: at(l4 - 8), dst: at(l4 - 4) }
    }
}

fn packet(bytes: &[u8], offloads: Offloads, segment: u16) -> Packet {
    let mut packet = Pool::for_len(bytes.len()).unwrap().alloc().unwrap();
    packet.append(bytes.len()).unwrap().copy_from_slice(bytes);
    packet.meta_mut().offloads = offloads;
    packet.meta_mut().segment = segment;
    packet
}

/// Checks every length and checksum; returns where the payload begins.
fn check(bytes: &[u8]) -> usize {
    let layout = Layout::of(bytes).unwrap();
    assert_eq!(layout.end, bytes.len());
    if !layout.v6 {
        assert!(Sum::new().with(&bytes[layout.l3..layout.l4]).is_valid(), "IPv4 header");
    }
    let sum = pseudo(bytes, layout.v6, layout.l4)
        .sum(Protocol(layout.protocol), bytes.len() - layout.l4)
        .with(&bytes[layout.l4..]);
    assert!(sum.is_valid(), "transport");
    layout.payload(bytes).unwrap()
}

fn finished(packet: Packet) -> Vec<Packet> {
    let mut all = Vec::new();
    finish(packet, &mut |packet| all.push(packet)).unwrap();
    all
}

#[test]
fn a_partial_checksum_is_completed() {
    for v6 in [false, true] {
        for protocol in [6, 17] {
            let mut bytes = frame(Shape { v6, protocol, payload: 101, tag: v6, ..PLAIN });
            if !v6 {
                dp_core::offload::fill_ipv4_header(&mut bytes, 14, 34);
            }
            let packet = packet(&bytes, Offloads::L4_CSUM_PARTIAL, 0);
            assert!(!is_finished(&packet));
            let [done] = <[Packet; 1]>::try_from(finished(packet)).unwrap();
            assert!(is_finished(&done));
            check(done.data());
        }
    }
}

#[test]
fn padding_is_not_summed_up() {
    let mut bytes = frame(Shape { payload: 0, v6: true, ..PLAIN });
    bytes.extend([0xaa; 9]);
    let mut packet = packet(&bytes, Offloads::L4_CSUM_PARTIAL, 0);
    complete_checksum(&mut packet);
    packet.truncate(bytes.len() - 9);
    check(packet.data());
}

#[test]
fn flags_stand_on_the_right_segments() {
    let bytes = frame(Shape { flags: 0x80 | 0x10 | 0x08 | 0x01, payload: 2500, ..PLAIN });
    let packets = finished(packet(&bytes, Offloads::TSO | Offloads::L4_CSUM_PARTIAL, 1000));
    let seen: Vec<_> = packets
        .iter()
        .map(|packet| {
            let data = packet.data();
            let id = u16::from_be_bytes([data[18], data[19]]);
            let seq = u32::from_be_bytes([data[38], data[39], data[40], data[41]]);
            (data[47], id, seq, data.len() - check(data))
        })
        .collect();
    let seq = 0xffff_ff00_u32;
    assert_eq!(
        seen,
        [
            (0x90, 0xffff, seq, 1000),
            (0x10, 0, seq.wrapping_add(1000), 1000),
            (0x19, 1, seq.wrapping_add(2000), 500)
        ]
    );
}

#[test]
fn what_cannot_be_cut_says_so() {
    let refused = |bytes: &[u8]| {
        let mut none = |_| panic!("no segment expected");
        finish(packet(bytes, Offloads::TSO, 1000), &mut none).unwrap_err()
    };
    assert_eq!(refused(&[0; 60]), Unfinished::NotSegmentable);
    assert_eq!(refused(&frame(Shape { protocol: 47, ..PLAIN })), Unfinished::NotSegmentable);
    let mut lying = frame(PLAIN);
    lying[46] = 0xf0;
    lying.truncate(14 + 20 + 40);
    assert_eq!(refused(&lying), Unfinished::NotSegmentable);
}

#[test]
fn a_kernel_header_says_what_the_packet_says() {
    for v6 in [false, true] {
        for protocol in [6, 17] {
            let bytes = frame(Shape { v6, protocol, tag: true, ..PLAIN });
            let offloads = Offloads::TSO | Offloads::L4_CSUM_PARTIAL;
            let mut sent = packet(&bytes, offloads, 1000);
            let header = vnet::transmit(&mut sent);
            assert_eq!(sent.data(), bytes);
            let mut received = packet(&bytes, Offloads::empty(), 0);
            assert!(vnet::receive(&header, 0, &mut received));
            assert_eq!(received.meta().offloads, offloads);
            assert_eq!(received.meta().segment, 1000);
        }
    }
    let mut plain = packet(&frame(PLAIN), Offloads::empty(), 0);
    assert_eq!(vnet::transmit(&mut plain), [0; vnet::LEN]);
}

#[test]
fn a_whole_checksum_of_a_large_frame_becomes_partial() {
    let partial = frame(PLAIN);
    let mut whole = packet(&partial, Offloads::L4_CSUM_PARTIAL, 0);
    complete_checksum(&mut whole);
    assert_ne!(whole.data(), partial);
    whole.meta_mut().offloads = Offloads::TSO;
    whole.meta_mut().segment = 1000;
    assert_eq!(vnet::transmit(&mut whole)[0], 1);
    assert_eq!(whole.data(), partial);
}

#[test]
fn checksums_that_only_the_header_locates_are_completed_on_receipt() {
    let header = |start: u16, offset: u16| {
        let [c0, c1] = start.to_ne_bytes();
        let [o0, o1] = offset.to_ne_bytes();
        [1, 0, 0, 0, 0, 0, c0, c1, o0, o1]
    };
    // SCTP, whose checksum is a CRC.
    let mut bytes = frame(Shape { protocol: 132, payload: 40, ..PLAIN });
    bytes[34..46].fill(0);
    let mut sctp = packet(&bytes, Offloads::empty(), 0);
    assert!(vnet::receive(&header(34, 8), 0, &mut sctp));
    assert!(is_finished(&sctp));
    assert_eq!(sctp.data()[42..46], crc32c(&bytes[34..]).to_le_bytes());
    // GRE with a checksum field.
    let mut bytes = frame(Shape { protocol: 47, payload: 40, ..PLAIN });
    bytes[38..40].fill(0);
    let mut gre = packet(&bytes, Offloads::empty(), 0);
    assert!(vnet::receive(&header(34, 4), 0, &mut gre));
    assert!(is_finished(&gre));
    assert!(Sum::new().with(&gre.data()[34..]).is_valid());
    // An inserted tag moves everything.
    let bytes = frame(Shape { tag: true, ..PLAIN });
    let mut tagged = packet(&bytes, Offloads::empty(), 0);
    assert!(vnet::receive(&header(34, 16), 4, &mut tagged));
    assert_eq!(tagged.meta().offloads, Offloads::L4_CSUM_PARTIAL);
    // UFO and unknown kinds.
    let mut ufo = [0; vnet::LEN];
    ufo[1] = 3;
    assert!(!vnet::receive(&ufo, 0, &mut tagged));
}

proptest! {
    #[test]
    fn segments_carry_the_payload(
        v6: bool, tag: bool, tcp: bool, payload in 0usize..20_000, size in 1u16..9000,
    ) {
        let size = size.max(u16::try_from(payload / 1000).unwrap());
        let shape = Shape { v6, tag, payload, protocol: if tcp { 6 } else { 17 }, flags: 0x18 };
        let bytes = frame(shape);
        let packets = finished(packet(&bytes, Offloads::TSO | Offloads::L4_CSUM_PARTIAL, size));
        let mut carried = Vec::new();
        for packet in &packets {
            prop_assert!(is_finished(packet));
            let at = check(packet.data());
            prop_assert!(packet.len() - at <= usize::from(size));
            carried.extend_from_slice(&packet.data()[at..]);
        }
        prop_assert_eq!(packets.len(), payload.div_ceil(size.into()).max(1));
        prop_assert_eq!(&carried[..], &bytes[bytes.len() - payload..]);
    }

    #[test]
    fn no_bytes_and_no_header_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..120), header: [u8; 10], segment: u16, shift in 0usize..5,
        ip: bool, v6: bool,
    ) {
        let mut bytes = bytes;
        if ip && bytes.len() > 15 {
            bytes[12..15].copy_from_slice(if v6 { &[0x86, 0xdd, 0x60] } else { &[8, 0, 0x45] });
        }
        let mut one = packet(&bytes, Offloads::empty(), segment);
        let _ = vnet::receive(&header, shift, &mut one);
        let _ = vnet::transmit(&mut one);
        let _ = finish(one, &mut |_| {});
        let _ = finish(packet(&bytes, Offloads::TSO, segment), &mut |_| {});
        let _ = finish(packet(&bytes, Offloads::L4_CSUM_PARTIAL, segment), &mut |_| {});
    }
}
