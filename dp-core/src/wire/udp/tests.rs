use super::{HEADER_LEN, Packet, Repr};
use crate::wire::checksum::Pseudo;
use crate::wire::specimens::{IPV4_OPTIONS, UDP6, bytes, emit, spoiled};
use crate::wire::{Error, ipv4, ipv6};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const V4: Pseudo = Pseudo::V4 { src: Ipv4Addr::new(10, 0, 0, 1), dst: Ipv4Addr::new(10, 0, 0, 2) };

#[test]
fn deconstruct_over_ipv4() {
    let data = bytes(IPV4_OPTIONS);
    let ip = ipv4::Packet::new_checked(&data).unwrap();
    let packet = Packet::new_checked(ip.payload()).unwrap();
    assert_eq!((packet.src_port(), packet.dst_port(), packet.datagram_len()), (53, 5353, 13));
    assert!(packet.has_checksum() && packet.verify_checksum(V4));
    assert!(!packet.verify_checksum(Pseudo::V4 {
        src: Ipv4Addr::new(10, 0, 0, 3),
        dst: Ipv4Addr::new(10, 0, 0, 2)
    }));
    assert_eq!(packet.payload(), b"hello");
}

#[test]
fn deconstruct_over_ipv6() {
    let data = bytes(UDP6);
    let ip = ipv6::Packet::new_checked(&data).unwrap();
    let ends = Pseudo::V6 { src: ip.src(), dst: ip.dst() };
    let packet = Packet::new_checked(ip.payload()).unwrap();
    assert!(packet.verify_checksum(ends));
    let repr = Repr { src_port: 1234, dst_port: 4321, payload_len: 7 };
    assert_eq!(Repr::parse(&packet), Ok(repr));

    let mut buffer = vec![0xa5; 15];
    let mut packet = Packet::new_output(&mut buffer).unwrap();
    repr.emit(&mut packet).unwrap();
    packet.payload_mut().copy_from_slice(b"payload");
    packet.fill_checksum(ends);
    assert_eq!(buffer, &data[40..]);
}

#[test]
fn absence_of_a_checksum_is_right_over_ipv4_only() {
    let data = emit!(Repr { src_port: 1, dst_port: 2, payload_len: 0 });
    let packet = Packet::new_checked(&data).unwrap();
    assert!(!packet.has_checksum() && packet.verify_checksum(V4));
    let zero = [0; 16].into();
    assert!(!packet.verify_checksum(Pseudo::V6 { src: zero, dst: zero }));
}

#[test]
fn a_sum_of_zero_is_stored_as_ones() {
    let mut buffer = [0; 10];
    let mut packet = Packet::new_output(&mut buffer).unwrap();
    Repr { src_port: 0, dst_port: 0, payload_len: 2 }.emit(&mut packet).unwrap();
    packet.fill_checksum(V4);
    // The payload that brings the sum to its complement.
    let rest = packet.checksum();
    packet.payload_mut().copy_from_slice(&rest.to_be_bytes());
    packet.fill_checksum(V4);
    assert_eq!(packet.checksum(), 0xffff);
    assert!(packet.verify_checksum(V4));
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(UDP6).split_off(40);
    for len in 0..data.len() {
        assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
    }
    for len in 0..HEADER_LEN as u8 {
        let mut data = data.clone();
        data[5] = len;
        assert_eq!(Packet::new_checked(&data).map(|_| ()), Err(Error::Length));
    }
}

#[test]
fn bytes_behind_the_length_are_no_payload() {
    let mut data = bytes(UDP6).split_off(40);
    data.extend([0xff; 3]);
    assert_eq!(Packet::new_checked(&data).unwrap().payload(), b"payload");
}

#[test]
fn too_long_a_payload_is_not_emitted() {
    let repr = Repr { src_port: 1, dst_port: 2, payload_len: 65528 };
    assert_eq!(repr.emit(&mut Packet::new_output([0; 8]).unwrap()), Err(Error::Length));
}

proptest! {
    #[test]
    fn round_trip(src_port: u16, dst_port: u16, payload in vec(any::<u8>(), 0..99)) {
        let repr = Repr { src_port, dst_port, payload_len: payload.len() as u16 };
        let mut buffer = emit!(repr);
        buffer.extend(&payload);
        Packet::new_output(&mut buffer).unwrap().fill_checksum(V4);
        let packet = Packet::new_checked(&buffer).unwrap();
        prop_assert!(packet.verify_checksum(V4));
        prop_assert_eq!(packet.payload(), payload);
        prop_assert_eq!(Repr::parse(&packet), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(mut data in spoiled(UDP6)) {
        data.drain(..data.len().min(40));
        if let Ok(mut packet) = Packet::new_output(&mut data) {
            let _ = (Repr::parse(&packet), packet.verify_checksum(V4), packet.payload().len());
            packet.fill_checksum(V4);
            packet.payload_mut().fill(0);
        }
    }
}
