use super::{HEADER_LEN, MAX_UNITS, Packet, Repr};
use crate::wire::specimens::{UDP6_CHAIN, bytes, emit};
use crate::wire::{Error, Protocol};
use proptest::prelude::*;

const FIRST: Repr = Repr { next_header: Protocol::UDP, units: 0, more: true, ident: 0xdead_beef };

#[test]
fn deconstruct() {
    // Behind hop-by-hop, destination and routing headers.
    let data = bytes(UDP6_CHAIN).split_off(40 + 8 + 8 + 24);
    let packet = Packet::new_checked(&data).unwrap();
    let repr = Repr::parse(&packet).unwrap();
    assert_eq!(repr, FIRST);
    assert_eq!((repr.offset(), repr.is_atomic()), (0, false));
    assert_eq!(packet.payload(), &data[8..]);
}

#[test]
fn construct() {
    let repr = Repr { units: 0x1001, ..FIRST };
    assert_eq!(emit!(repr), [17, 0, 0x80, 0x09, 0xde, 0xad, 0xbe, 0xef]);
    assert_eq!(repr.offset(), 0x8008);
    assert!(Repr { more: false, ..FIRST }.is_atomic());
}

#[test]
fn truncated_at_every_length() {
    for len in 0..HEADER_LEN {
        assert_eq!(Packet::new_checked(&[0; 8][..len]).map(|_| ()), Err(Error::Truncated));
    }
}

#[test]
fn an_offset_out_of_range_is_not_emitted() {
    let repr = Repr { units: MAX_UNITS + 1, ..FIRST };
    assert_eq!(repr.emit(&mut Packet::new_output([0; 8]).unwrap()), Err(Error::Field));
}

proptest! {
    #[test]
    fn round_trip(next_header: u8, units in 0..=MAX_UNITS, more: bool, ident: u32) {
        let repr = Repr { next_header: Protocol(next_header), units, more, ident };
        let data = emit!(repr);
        prop_assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()), Ok(repr));
    }

    #[test]
    fn any_bytes_give_a_header(data: [u8; 9]) {
        let packet = Packet::new_checked(data).unwrap();
        prop_assert!(Repr::parse(&packet).unwrap().units <= MAX_UNITS);
        prop_assert_eq!(packet.payload(), &data[8..]);
    }
}
