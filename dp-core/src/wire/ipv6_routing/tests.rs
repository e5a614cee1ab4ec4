use super::{MAX_SEGMENTS, Packet, Repr, RoutingType};
use crate::wire::specimens::{SRH, UDP6_CHAIN, bytes, emit, spoiled};
use crate::wire::{Error, Protocol, ipv6};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::Ipv6Addr;

fn address(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last)
}

#[test]
fn deconstruct() {
    let data = bytes(SRH);
    let ip = ipv6::Packet::new_checked(&data).unwrap();
    let packet = Packet::new_checked(ip.payload()).unwrap();
    assert_eq!(packet.routing_type(), RoutingType::SEGMENT);
    assert_eq!((packet.segments_left(), packet.last_entry()), (1, 1));
    assert!(packet.segments().eq([address(2), address(3)]));
    let inner = ipv6::Packet::new_checked(packet.payload()).unwrap();
    assert_eq!(inner.src(), address(0xa));
}

#[test]
fn construct() {
    let data = bytes(SRH);
    let segments = [address(2).octets(), address(3).octets()];
    let repr = Repr { next_header: Protocol::IPV6, segments_left: 1, tag: 0, segments: &segments };
    assert_eq!(emit!(repr), &data[40..80]);
    assert_eq!(Repr::parse(&Packet::new_checked(&data[40..]).unwrap()), Ok(repr));
}

#[test]
fn another_type_is_viewed_but_not_represented() {
    let data = bytes(UDP6_CHAIN).split_off(56);
    let packet = Packet::new_checked(&data[..]).unwrap();
    assert_eq!(packet.routing_type(), RoutingType::SOURCE_ROUTE);
    assert_eq!((packet.header_len(), packet.next_header()), (24, Protocol::IPV6_FRAGMENT));
    assert_eq!(Repr::parse(&packet), Err(Error::Field));
}

#[test]
fn lists_that_lie_are_refused() {
    let data = bytes(SRH).split_off(40);
    for (at, value, error) in [(4, 2, Error::Length), (4, 0, Error::Field), (3, 2, Error::Field)] {
        let mut data = data.clone();
        data[at] = value;
        assert_eq!(Repr::parse(&Packet::new_checked(&data[..]).unwrap()), Err(error));
    }
    let mut packet = Packet::new_output(vec![0; 2048]).unwrap();
    let repr = Repr { next_header: Protocol::UDP, segments_left: 0, tag: 0, segments: &[] };
    assert_eq!(repr.emit(&mut packet), Err(Error::Length));
    let many = [[0; 16]; MAX_SEGMENTS + 1];
    assert_eq!(Repr { segments: &many, ..repr }.emit(&mut packet), Err(Error::Length));
    assert_eq!(Repr { segments: &many[1..], ..repr }.emit(&mut packet), Ok(()));
    let left = Repr { segments: &many[..3], segments_left: 3, ..repr };
    assert_eq!(left.emit(&mut packet), Err(Error::Field));
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(SRH).split_off(40);
    for len in 0..40 {
        assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
    }
}

proptest! {
    #[test]
    fn round_trip(next_header: u8, left: u8, tag: u16, segments in vec(any::<[u8; 16]>(), 1..6)) {
        let segments_left = left % segments.len() as u8;
        let next_header = Protocol(next_header);
        let repr = Repr { next_header, segments_left, tag, segments: &segments };
        let data = emit!(repr);
        prop_assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(data in spoiled(SRH)) {
        if let Ok(packet) = Packet::new_output(data.get(40..).unwrap_or_default()) {
            prop_assert!(packet.segments().count() <= data.len() / 16);
            let _ = (Repr::parse(&packet), packet.payload().len());
        }
    }
}
