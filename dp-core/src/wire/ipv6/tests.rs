use super::{HEADER_LEN, MAX_FLOW_LABEL, Packet, Repr};
use crate::wire::specimens::{UDP6, bytes, emit, spoiled};
use crate::wire::{Error, Protocol};
use proptest::prelude::*;
use std::net::Ipv6Addr;

const REPR: Repr = Repr {
    src: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1),
    dst: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2),
    next_header: Protocol::UDP,
    hop_limit: 61,
    dscp: 46,
    ecn: 1,
    flow_label: 0x12345,
    payload_len: 15,
};

#[test]
fn deconstruct() {
    let data = bytes(UDP6);
    let packet = Packet::new_checked(&data).unwrap();
    assert_eq!(packet.version(), 6);
    assert_eq!(Repr::parse(&packet), Ok(REPR));
    assert_eq!(packet.payload(), &data[40..]);
}

#[test]
fn construct() {
    let data = bytes(UDP6);
    assert_eq!(emit!(REPR), &data[..40]);
    let mut buffer = vec![0xa5; 42];
    let mut packet = Packet::new_output(&mut buffer).unwrap();
    Repr { payload_len: 2, ..REPR }.emit(&mut packet).unwrap();
    packet.payload_mut().copy_from_slice(b"ab");
    packet.set_ecn(3);
    assert_eq!(buffer[..4], [0x6b, 0xb1, 0x23, 0x45]);
    assert_eq!(buffer[40..], *b"ab");
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(UDP6);
    for len in 0..data.len() {
        assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
        assert_eq!(Packet::new_quoted(&data[..len]).is_ok(), len >= HEADER_LEN);
    }
    let padded = [&data[..], &[0; 9]].concat();
    assert_eq!(Packet::new_checked(&padded).unwrap().payload().len(), 15);
}

#[test]
fn another_version_is_refused() {
    let mut data = bytes(UDP6);
    data[0] = 0x4b;
    assert_eq!(Packet::new_checked(&data).map(|_| ()), Err(Error::Version));
    assert_eq!(Packet::new_quoted(&data).map(|_| ()), Err(Error::Version));
}

#[test]
fn values_out_of_range_are_not_emitted() {
    let bad = [
        Repr { dscp: 64, ..REPR },
        Repr { ecn: 4, ..REPR },
        Repr { flow_label: MAX_FLOW_LABEL + 1, ..REPR },
    ];
    for repr in bad {
        assert_eq!(repr.emit(&mut Packet::new_output([0; 40]).unwrap()), Err(Error::Field));
    }
}

proptest! {
    #[test]
    fn round_trip(
        ips: [[u8; 16]; 2], next_header: u8, hop_limit: u8, dscp in 0..64_u8, ecn in 0..4_u8,
        flow_label in 0..=MAX_FLOW_LABEL, payload_len in 0..100_u16,
    ) {
        let repr = Repr {
            src: ips[0].into(), dst: ips[1].into(), next_header: Protocol(next_header), hop_limit,
            dscp, ecn, flow_label, payload_len,
        };
        let mut data = emit!(repr);
        data.resize(HEADER_LEN + usize::from(payload_len), 0);
        prop_assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(mut data in spoiled(UDP6)) {
        if let Ok(mut packet) = Packet::new_output(&mut data) {
            let _ = (Repr::parse(&packet), packet.payload().len(), packet.payload_mut().len());
        }
    }
}
