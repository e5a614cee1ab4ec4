use super::{MAX_LABEL, Packet, Repr, Stack};
use crate::wire::specimens::{MPLS_STACK, bytes, emit};
use crate::wire::{Error, ethernet, ipv4};
use proptest::prelude::*;

const TOP: Repr = Repr { label: 16, tc: 5, bottom: false, ttl: 64 };
const BOTTOM: Repr = Repr { label: MAX_LABEL, tc: 0, bottom: true, ttl: 1 };

#[test]
fn deconstruct() {
    let data = bytes(MPLS_STACK);
    let frame = ethernet::Packet::new_checked(&data).unwrap();
    assert!(frame.ethertype().unwrap().is_mpls());
    let top = Packet::new_checked(frame.payload()).unwrap();
    assert_eq!(top.entry(), 0x0001_0a40);
    assert_eq!(Repr::parse(&top), Ok(TOP));
    assert_eq!(Repr::parse(&Packet::new_checked(top.payload()).unwrap()), Ok(BOTTOM));
}

#[test]
fn the_stack_ends_at_its_bottom() {
    let data = bytes(MPLS_STACK);
    let mut stack = Stack::new(&data[14..]);
    assert_eq!(stack.by_ref().collect::<Result<Vec<_>, _>>(), Ok(vec![TOP, BOTTOM]));
    assert!(ipv4::Packet::new_checked(stack.rest()).is_ok());
}

#[test]
fn a_stack_without_bottom_is_truncated_once() {
    let entries: Vec<_> = Stack::new(&[0; 9]).collect();
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[2], Err(Error::Truncated));
}

#[test]
fn construct() {
    let mut data = [0xa5; 6];
    let mut packet = Packet::new_output(&mut data).unwrap();
    packet.set_label(MAX_LABEL);
    packet.set_tc(0);
    packet.set_bottom(true);
    packet.set_ttl(1);
    packet.payload_mut().fill(0);
    assert_eq!(data, [0xff, 0xff, 0xf1, 0x01, 0, 0]);
    assert_eq!(emit!(BOTTOM), &data[..4]);
}

#[test]
fn truncated_at_every_length() {
    for len in 0..4 {
        assert_eq!(Packet::new_checked(&[0; 4][..len]).map(|_| ()), Err(Error::Truncated));
    }
}

#[test]
fn values_out_of_range_are_not_emitted() {
    for bad in [Repr { label: MAX_LABEL + 1, ..TOP }, Repr { tc: 8, ..TOP }] {
        assert_eq!(bad.emit(&mut Packet::new_output([0; 4]).unwrap()), Err(Error::Field));
    }
}

proptest! {
    #[test]
    fn round_trip(entry: u32) {
        let mut packet = Packet::new_output([0; 4]).unwrap();
        packet.set_entry(entry);
        let repr = Repr::parse(&packet).unwrap();
        prop_assert_eq!(emit!(repr), entry.to_be_bytes());
    }
}
