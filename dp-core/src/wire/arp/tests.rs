use super::{Operation, Packet, Repr};
use crate::base::MacAddr;
use crate::wire::specimens::{ARP_REPLY, bytes, emit, spoiled};
use crate::wire::{Error, EtherType};
use proptest::prelude::*;
use std::net::Ipv4Addr;

const REPLY: Repr = Repr {
    operation: Operation::REPLY,
    sender_mac: MacAddr::new(2, 0, 0, 0, 0, 1),
    sender_ip: Ipv4Addr::new(10, 0, 0, 1),
    target_mac: MacAddr::new(2, 0, 0, 0, 0, 2),
    target_ip: Ipv4Addr::new(10, 0, 0, 2),
};

#[test]
fn deconstruct() {
    let data = bytes(ARP_REPLY);
    let packet = Packet::new_checked(&data[14..]).unwrap();
    assert_eq!((packet.hardware(), packet.protocol()), (1, EtherType::IPV4));
    assert_eq!(packet.operation(), Operation::REPLY);
    assert_eq!(packet.sender_hardware(), REPLY.sender_mac.as_bytes());
    assert_eq!(packet.sender_protocol(), REPLY.sender_ip.octets());
    assert_eq!(packet.target_hardware(), REPLY.target_mac.as_bytes());
    assert_eq!(packet.target_protocol(), REPLY.target_ip.octets());
    assert_eq!(Repr::parse(&packet), Ok(REPLY));
}

#[test]
fn emit_writes_every_byte() {
    assert_eq!(emit!(REPLY), &bytes(ARP_REPLY)[14..]);
}

#[test]
fn other_addresses_are_viewed_but_not_represented() {
    let data = bytes(ARP_REPLY)[14..].to_vec();
    for (at, value) in [(0, 1), (2, 9), (4, 2), (5, 3)] {
        let mut data = data.clone();
        data[at] = value;
        let packet = Packet::new_checked(&data).unwrap();
        assert_eq!(Repr::parse(&packet), Err(Error::Field), "byte {at}");
    }
    let packet = Packet::new_checked([0, 6, 8, 0, 1, 2, 0, 1, 11, 21, 22, 31, 41, 42]).unwrap();
    assert_eq!((packet.sender_hardware(), packet.target_hardware()), (&[11][..], &[31][..]));
    assert_eq!(
        (packet.sender_protocol(), packet.target_protocol()),
        (&[21, 22][..], &[41, 42][..])
    );
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(ARP_REPLY)[14..].to_vec();
    for len in 0..data.len() {
        assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
        let emitted = Packet::new_output(vec![0; len]).map(|mut packet| REPLY.emit(&mut packet));
        assert!(matches!(emitted, Err(Error::Truncated) | Ok(Err(Error::Truncated))));
    }
}

proptest! {
    #[test]
    fn round_trip(operation: u16, macs: [[u8; 6]; 2], ips: [[u8; 4]; 2]) {
        let repr = Repr {
            operation: Operation(operation),
            sender_mac: macs[0].into(),
            sender_ip: ips[0].into(),
            target_mac: macs[1].into(),
            target_ip: ips[1].into(),
        };
        let data = emit!(repr);
        prop_assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(data in spoiled(ARP_REPLY)) {
        if let Ok(packet) = Packet::new_output(data.get(14..).unwrap_or_default()) {
            let _ = Repr::parse(&packet);
            let _ = (packet.sender_hardware(), packet.target_protocol());
        }
    }
}
