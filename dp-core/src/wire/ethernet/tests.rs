use super::{Encoding, EtherType, HEADER_LEN, MIN_TYPE, Packet, Repr};
use crate::base::MacAddr;
use crate::wire::Error;
use crate::wire::specimens::{ARP_REPLY, SNAP_ARP, STP, bytes, emit, spoiled};
use proptest::prelude::*;

const A: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);
const B: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 2);

#[test]
fn deconstruct() {
    let data = bytes(ARP_REPLY);
    let packet = Packet::new_checked(&data).unwrap();
    assert_eq!((packet.dst(), packet.src()), (B, A));
    assert_eq!(packet.ethertype(), Some(EtherType::ARP));
    assert_eq!(packet.payload(), &data[14..]);
}

#[test]
fn construct() {
    let mut data = bytes(ARP_REPLY);
    let expected = data.clone();
    data[..14].fill(0xa5);
    let mut packet = Packet::new_output(&mut data).unwrap();
    packet.set_dst(B);
    packet.set_src(A);
    packet.set_type_or_len(EtherType::ARP.0);
    assert_eq!(packet.payload_mut(), &expected[14..]);
    assert_eq!(packet.into_inner(), &expected);
}

#[test]
fn snap_names_a_type_and_its_length_cuts_the_padding() {
    let mut data = bytes(SNAP_ARP);
    data.extend([0xee; 10]);
    let packet = Packet::new_checked(&data).unwrap();
    let encoding = Encoding::Snap { len: 36, ethertype: EtherType::ARP };
    assert_eq!(Repr::parse(&packet).unwrap().encoding, encoding);
    assert_eq!(packet.header_len(), 22);
    assert_eq!(packet.payload(), &data[22..50]);
    assert_eq!(emit!(Repr::parse(&packet).unwrap()), &data[..22]);
}

#[test]
fn other_llc_names_no_type() {
    let data = bytes(STP);
    let packet = Packet::new_checked(&data).unwrap();
    assert_eq!(packet.encoding(), Encoding::Llc { len: 38 });
    assert_eq!(packet.ethertype(), None);
    assert_eq!(packet.payload(), &data[14..]);
    assert!(packet.dst().is_reserved());
    // SNAP of another organisation, and SNAP with a number that is no type.
    for (at, value) in [(17, 1), (20, 5)] {
        let mut data = bytes(SNAP_ARP);
        data[at] = value;
        assert_eq!(Packet::new_checked(&data).unwrap().ethertype(), None);
    }
}

#[test]
fn the_type_begins_at_0x600() {
    let mut data = vec![0; HEADER_LEN + 0x600];
    for number in [0x5ff, 0x600] {
        data[12..14].copy_from_slice(&u16::to_be_bytes(number));
        let is_type = Packet::new_checked(&data).unwrap().ethertype().is_some();
        assert_eq!(is_type, number >= MIN_TYPE);
    }
}

#[test]
fn truncated_at_every_length() {
    for (specimen, need) in [(ARP_REPLY, 14), (SNAP_ARP, 50), (STP, 52)] {
        let data = bytes(specimen);
        for len in 0..=data.len() {
            let result = Packet::new_checked(&data[..len]).map(|_| ());
            assert_eq!(result, if len < need { Err(Error::Truncated) } else { Ok(()) });
        }
    }
}

#[test]
fn illegal_values_are_not_emitted() {
    let cases = [
        (Encoding::Type(EtherType(0x5ff)), Error::Field),
        (Encoding::Llc { len: 0x600 }, Error::Field),
        (Encoding::Snap { len: 0x600, ethertype: EtherType::ARP }, Error::Field),
        (Encoding::Snap { len: 8, ethertype: EtherType(1) }, Error::Field),
        (Encoding::Snap { len: 7, ethertype: EtherType::ARP }, Error::Length),
    ];
    for (encoding, error) in cases {
        let mut buffer = [0; 22];
        let mut packet = Packet::new_output(&mut buffer).unwrap();
        assert_eq!(Repr { dst: A, src: B, encoding }.emit(&mut packet), Err(error));
    }
    let encoding = Encoding::Snap { len: 8, ethertype: EtherType::ARP };
    let mut packet = Packet::new_output([0; 21]).unwrap();
    assert_eq!(Repr { dst: A, src: B, encoding }.emit(&mut packet), Err(Error::Truncated));
}

fn encodings() -> impl Strategy<Value = Encoding> {
    let types = (MIN_TYPE..=u16::MAX).prop_map(EtherType);
    prop_oneof![
        types.clone().prop_map(Encoding::Type),
        (8_u16..100, types).prop_map(|(len, ethertype)| Encoding::Snap { len, ethertype }),
        (0_u16..100).prop_map(|len| Encoding::Llc { len }),
    ]
}

proptest! {
    #[test]
    fn round_trip(dst: [u8; 6], src: [u8; 6], encoding in encodings()) {
        let repr = Repr { dst: MacAddr(dst), src: MacAddr(src), encoding };
        let mut data = emit!(repr);
        data.resize(200, 0);
        prop_assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(data in spoiled(SNAP_ARP)) {
        if let Ok(mut packet) = Packet::new_output(data.clone()) {
            let _ = (Repr::parse(&packet), packet.payload().len(), packet.payload_mut().len());
        }
        if let Ok(packet) = Packet::new_checked(&data) {
            prop_assert!(packet.header_len() + packet.payload().len() <= data.len());
        }
    }
}
