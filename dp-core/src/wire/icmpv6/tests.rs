use super::{HEADER_LEN, Packet, Repr};
use crate::wire::checksum::Pseudo;
use crate::wire::specimens::{ICMP6_ECHO, ICMP6_TOO_BIG, bytes, emit, spoiled};
use crate::wire::{Error, Protocol, ipv6};
use proptest::prelude::*;
use std::net::Ipv6Addr;

const ENDS: Pseudo = Pseudo::V6 {
    src: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1),
    dst: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2),
};

#[test]
fn deconstruct_an_echo() {
    let data = bytes(ICMP6_ECHO);
    let ip = ipv6::Packet::new_checked(&data).unwrap();
    let packet = Packet::new_checked(ip.payload()).unwrap();
    assert!(packet.verify_checksum(ENDS));
    assert_eq!(Repr::parse(&packet), Ok(Repr::EchoRequest { ident: 0x88, seq: 4 }));
    assert_eq!(packet.payload(), b"six");
    assert_eq!(packet.quoted().map(|_| ()), Err(Error::Field));
}

#[test]
fn deconstruct_an_error_and_what_it_quotes() {
    let data = bytes(ICMP6_TOO_BIG).split_off(40);
    let packet = Packet::new_checked(&data).unwrap();
    assert!(packet.verify_checksum(ENDS));
    assert_eq!(Repr::parse(&packet), Ok(Repr::PacketTooBig { mtu: 1280 }));
    let quoted = packet.quoted().unwrap();
    assert_eq!((quoted.next_header(), quoted.payload_len()), (Protocol::UDP, 1400));
    assert_eq!(quoted.payload(), &data[48..]);
}

#[test]
fn extensions_are_not_quoted() {
    let mut data = bytes(ICMP6_TOO_BIG).split_off(40);
    data.extend([0x20, 0, 0, 0]);
    data[0] = 1;
    data[4..8].copy_from_slice(&[6, 0, 0, 0]);
    let packet = Packet::new_checked(&data).unwrap();
    assert_eq!(packet.quoted().unwrap().payload(), &data[48..56]);
    data[4] = 8;
    assert_eq!(Packet::new_checked(&data).map(|_| ()), Err(Error::Truncated));
}

#[test]
fn construct() {
    let data = bytes(ICMP6_ECHO).split_off(40);
    let mut buffer = vec![0xa5; 11];
    let mut packet = Packet::new_output(&mut buffer).unwrap();
    Repr::EchoRequest { ident: 0x88, seq: 4 }.emit(&mut packet).unwrap();
    packet.payload_mut().copy_from_slice(b"six");
    packet.fill_checksum(ENDS);
    assert_eq!(buffer, data);
    assert_eq!(emit!(Repr::Unreachable { code: 4 }), [1, 4, 0, 0, 0, 0, 0, 0]);
    let problem = Repr::ParameterProblem { code: 1, pointer: 40 };
    assert_eq!(emit!(problem), [4, 1, 0, 0, 0, 0, 0, 40]);
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(ICMP6_TOO_BIG).split_off(40);
    for len in 0..data.len() {
        let packet = Packet::new_checked(&data[..len]);
        assert_eq!(packet.is_ok(), len >= HEADER_LEN);
        let quoted = packet.and_then(|packet| packet.quoted().map(|_| ()));
        assert_eq!(quoted.is_ok(), len >= HEADER_LEN + ipv6::HEADER_LEN);
    }
}

#[test]
fn codes_that_a_message_has_not_are_refused() {
    let illegal = [
        Repr::Unreachable { code: 9 },
        Repr::TimeExceeded { code: 2 },
        Repr::ParameterProblem { code: 11, pointer: 0 },
    ];
    for repr in illegal {
        assert_eq!(repr.emit(&mut Packet::new_output([0; 8]).unwrap()), Err(Error::Field));
    }
    for (kind, code) in [(128, 1), (129, 1), (1, 9), (3, 2), (4, 11), (135, 0), (200, 0)] {
        let packet = Packet::new_checked([kind, code, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(Repr::parse(&packet), Err(Error::Field), "{kind} {code}");
    }
    // But this one's code is passed over.
    let packet = Packet::new_checked([2, 7, 0, 0, 0, 0, 5, 0]).unwrap();
    assert_eq!(Repr::parse(&packet), Ok(Repr::PacketTooBig { mtu: 1280 }));
}

fn reprs() -> impl Strategy<Value = Repr> {
    prop_oneof![
        any::<(u16, u16)>().prop_map(|(ident, seq)| Repr::EchoRequest { ident, seq }),
        any::<(u16, u16)>().prop_map(|(ident, seq)| Repr::EchoReply { ident, seq }),
        (0..9_u8).prop_map(|code| Repr::Unreachable { code }),
        any::<u32>().prop_map(|mtu| Repr::PacketTooBig { mtu }),
        (0..2_u8).prop_map(|code| Repr::TimeExceeded { code }),
        (0..11_u8, any::<u32>())
            .prop_map(|(code, pointer)| Repr::ParameterProblem { code, pointer }),
    ]
}

proptest! {
    #[test]
    fn round_trip(repr in reprs()) {
        let mut data = emit!(repr);
        Packet::new_output(&mut data).unwrap().fill_checksum(ENDS);
        let packet = Packet::new_checked(&data).unwrap();
        prop_assert!(packet.verify_checksum(ENDS));
        prop_assert_eq!(Repr::parse(&packet), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(mut data in spoiled(ICMP6_TOO_BIG)) {
        data.drain(..data.len().min(40));
        if let Ok(mut packet) = Packet::new_output(&mut data) {
            let _ = (Repr::parse(&packet), packet.verify_checksum(ENDS));
            if let Ok(quoted) = packet.quoted() {
                let _ = quoted.payload().len();
            }
            packet.fill_checksum(ENDS);
        }
    }
}
