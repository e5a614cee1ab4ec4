use super::{MAX_VID, Packet, Repr};
use crate::wire::ethernet::{self, Encoding, EtherType};
use crate::wire::specimens::{QINQ_TCP, bytes, emit, spoiled};
use crate::wire::{Error, ipv4};
use proptest::prelude::*;

#[test]
fn deconstruct_two_tags() {
    let data = bytes(QINQ_TCP);
    let frame = ethernet::Packet::new_checked(&data).unwrap();
    assert_eq!(frame.ethertype(), Some(EtherType::VLAN_AD));
    let outer = Packet::new_checked(frame.payload()).unwrap();
    assert_eq!((outer.tci(), outer.ethertype()), (0xa064, Some(EtherType::VLAN)));
    let inner = Packet::new_checked(outer.payload()).unwrap();
    let repr = Repr { pcp: 3, dei: true, vid: 4001, encoding: Encoding::Type(EtherType::IPV4) };
    assert_eq!(Repr::parse(&inner), Ok(repr));
    assert!(ipv4::Packet::new_checked(inner.payload()).is_ok());
}

#[test]
fn construct() {
    let mut data = [0xa5; 6];
    let mut packet = Packet::new_output(&mut data).unwrap();
    packet.set_pcp(5);
    packet.set_dei(false);
    packet.set_vid(100);
    packet.set_type_or_len(0x0800);
    packet.payload_mut().fill(0x11);
    assert_eq!(data, [0xa0, 0x64, 0x08, 0x00, 0x11, 0x11]);
}

#[test]
fn a_length_behind_the_tag_is_judged_as_in_an_untagged_frame() {
    let data = [&[0x00, 0x07, 0x00, 0x09, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x06, 0x77][..], &[0; 5]];
    let data = data.concat();
    let packet = Packet::new_checked(&data).unwrap();
    assert_eq!(packet.encoding(), Encoding::Snap { len: 9, ethertype: EtherType::ARP });
    assert_eq!(packet.payload(), [0x77]);
    assert_eq!(Packet::new_checked(&data[..12]).map(|_| ()), Err(Error::Truncated));
    assert_eq!(emit!(Repr::parse(&packet).unwrap()), &data[..12]);
}

#[test]
fn truncated_at_every_length() {
    for len in 0..4 {
        assert_eq!(Packet::new_checked(&[0x88; 4][..len]).map(|_| ()), Err(Error::Truncated));
    }
}

#[test]
fn reserved_identifier_is_neither_parsed_nor_emitted() {
    let packet = Packet::new_checked([0x0f, 0xff, 0x08, 0x00]).unwrap();
    assert_eq!(Repr::parse(&packet), Err(Error::Field));
    let good = Repr { pcp: 0, dei: false, vid: 1, encoding: Encoding::Type(EtherType::IPV4) };
    for bad in [Repr { vid: 0xfff, ..good }, Repr { pcp: 8, ..good }] {
        assert_eq!(bad.emit(&mut Packet::new_output([0; 4]).unwrap()), Err(Error::Field));
    }
}

proptest! {
    #[test]
    fn round_trip(pcp in 0..8_u8, dei: bool, vid in 0..=MAX_VID, ethertype in 0x600_u16..) {
        let repr = Repr { pcp, dei, vid, encoding: Encoding::Type(EtherType(ethertype)) };
        let data = emit!(repr);
        prop_assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(data in spoiled("00070009aaaa030000000806770000")) {
        if let Ok(mut packet) = Packet::new_output(data) {
            let _ = (Repr::parse(&packet), packet.payload().len(), packet.payload_mut().len());
        }
    }
}
