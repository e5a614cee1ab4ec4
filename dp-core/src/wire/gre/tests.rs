use super::{MAX_LEN, Packet, Repr};
use crate::wire::specimens::{GRE_ALL, GRE_PLAIN, INNER_FRAME, bytes, emit, spoiled};
use crate::wire::{Error, EtherType, Protocol, ipv4};
use proptest::collection::vec;
use proptest::prelude::*;

const ALL: Repr =
    Repr { protocol: EtherType::TEB, checksum: true, key: Some(0xdead_beef), seq: Some(7) };

#[test]
fn deconstruct() {
    let data = bytes(GRE_ALL);
    let ip = ipv4::Packet::new_checked(&data).unwrap();
    assert_eq!(ip.protocol(), Protocol::GRE);
    let packet = Packet::new_checked(ip.payload()).unwrap();
    assert!(packet.verify_checksum());
    assert_eq!((packet.flags(), packet.checksum()), (0xb000, Some(0xc50c)));
    assert_eq!(Repr::parse(&packet), Ok(ALL));
    assert_eq!(packet.header_len(), MAX_LEN);
    assert_eq!(packet.payload(), bytes(INNER_FRAME));

    let data = bytes(GRE_PLAIN).split_off(20);
    let packet = Packet::new_checked(&data).unwrap();
    let plain = Repr { protocol: EtherType::IPV4, checksum: false, key: None, seq: None };
    assert_eq!(Repr::parse(&packet), Ok(plain));
    assert!(packet.verify_checksum() && packet.checksum().is_none());
    assert!(ipv4::Packet::new_checked(packet.payload()).is_ok());
}

#[test]
fn construct() {
    let data = bytes(GRE_ALL).split_off(20);
    let mut buffer = vec![0xa5; data.len()];
    let mut packet = Packet::new_output(&mut buffer).unwrap();
    ALL.emit(&mut packet).unwrap();
    packet.payload_mut().copy_from_slice(&bytes(INNER_FRAME));
    assert!(!packet.verify_checksum());
    packet.fill_checksum();
    assert_eq!(buffer, data);
    let key = Repr { checksum: false, seq: None, ..ALL };
    assert_eq!(emit!(key), [0x20, 0, 0x65, 0x58, 0xde, 0xad, 0xbe, 0xef]);
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(GRE_ALL).split_off(20);
    for len in 0..MAX_LEN {
        assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
        if let Ok(mut packet) = Packet::new_output(vec![0; len]) {
            assert_eq!(ALL.emit(&mut packet), Err(Error::Truncated));
        }
    }
}

#[test]
fn other_versions_and_routing_are_refused() {
    let check = |flags: u16| {
        let data = [flags.to_be_bytes(), [0x65, 0x58], [0; 2], [0; 2]].concat();
        Packet::new_checked(data).map(|_| ())
    };
    assert_eq!(check(0x2001), Err(Error::Version));
    assert_eq!(check(0x4000), Err(Error::Field));
    assert_eq!(check(0x0800), Err(Error::Field));
    assert_eq!(check(0x0400), Err(Error::Field));
    // Bits 6 to 12 are to be ignored.
    assert_eq!(check(0x03f8), Ok(()));
}

proptest! {
    #[test]
    fn round_trip(
        protocol: u16, checksum: bool, key: Option<u32>, seq: Option<u32>,
        payload in vec(any::<u8>(), 0..40),
    ) {
        let repr = Repr { protocol: EtherType(protocol), checksum, key, seq };
        let mut data = emit!(repr);
        data.extend(&payload);
        Packet::new_output(&mut data).unwrap().fill_checksum();
        let packet = Packet::new_checked(&data).unwrap();
        prop_assert!(packet.verify_checksum());
        prop_assert_eq!(packet.payload(), payload);
        prop_assert_eq!(Repr::parse(&packet), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(mut data in spoiled(GRE_ALL)) {
        data.drain(..data.len().min(20));
        if let Ok(mut packet) = Packet::new_output(&mut data) {
            let _ = (Repr::parse(&packet), packet.verify_checksum(), packet.payload().len());
            let _ = (packet.checksum(), packet.key(), packet.seq());
            packet.fill_checksum();
            packet.payload_mut().fill(0);
        }
    }
}
