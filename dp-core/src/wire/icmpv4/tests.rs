use super::{CODE_FRAGMENTATION_NEEDED, HEADER_LEN, MessageType, Packet, Repr};
use crate::wire::specimens::{ICMP_ECHO, ICMP_FRAG_NEEDED, bytes, emit, spoiled};
use crate::wire::{Error, Protocol, ipv4};
use proptest::prelude::*;
use std::net::Ipv4Addr;

#[test]
fn deconstruct_an_echo() {
    let data = bytes(ICMP_ECHO);
    let ip = ipv4::Packet::new_checked(&data).unwrap();
    let packet = Packet::new_checked(ip.payload()).unwrap();
    assert!(packet.verify_checksum());
    assert_eq!(Repr::parse(&packet), Ok(Repr::EchoRequest { ident: 0x77, seq: 3 }));
    assert_eq!(packet.payload(), b"ping");
    assert_eq!(packet.quoted().map(|_| ()), Err(Error::Field));
}

#[test]
fn deconstruct_an_error_and_what_it_quotes() {
    let data = bytes(ICMP_FRAG_NEEDED).split_off(20);
    let packet = Packet::new_checked(&data).unwrap();
    assert!(packet.verify_checksum());
    let repr = Repr::Unreachable { code: CODE_FRAGMENTATION_NEEDED, mtu: 1400 };
    assert_eq!(Repr::parse(&packet), Ok(repr));
    let quoted = packet.quoted().unwrap();
    assert_eq!((quoted.protocol(), quoted.total_len()), (Protocol::UDP, 1500));
    assert_eq!(quoted.dst(), Ipv4Addr::new(10, 9, 9, 9));
    assert_eq!(quoted.payload(), &data[28..]);
    assert_eq!(quoted.payload().len(), 8);
}

#[test]
fn extensions_are_not_quoted() {
    let mut data = bytes(ICMP_FRAG_NEEDED).split_off(20);
    data.extend([0x20, 0, 0, 0, 0, 8, 1, 1, 0, 1, 1, 1]);
    data[5] = 7;
    let packet = Packet::new_checked(&data).unwrap();
    assert_eq!(packet.quoted().unwrap().payload(), &data[28..36]);
    assert_eq!(packet.payload().len(), 40);
    // The length must be there, and is none in a redirect: it belongs to the gateway.
    data[5] = 11;
    assert_eq!(Packet::new_checked(&data).map(|_| ()), Err(Error::Truncated));
    data[0] = MessageType::REDIRECT.0;
    assert!(Packet::new_checked(&data).unwrap().quoted().is_ok());
}

#[test]
fn construct() {
    let data = bytes(ICMP_ECHO).split_off(20);
    let mut buffer = vec![0xa5; 12];
    let mut packet = Packet::new_output(&mut buffer).unwrap();
    Repr::EchoRequest { ident: 0x77, seq: 3 }.emit(&mut packet).unwrap();
    packet.payload_mut().copy_from_slice(b"ping");
    packet.fill_checksum();
    assert_eq!(buffer, data);

    let redirect = Repr::Redirect { code: 1, gateway: Ipv4Addr::new(10, 0, 0, 254) };
    assert_eq!(emit!(redirect), [5, 1, 0, 0, 10, 0, 0, 254]);
    assert_eq!(emit!(Repr::TimeExceeded { code: 0 }), [11, 0, 0, 0, 0, 0, 0, 0]);
    let problem = Repr::ParameterProblem { code: 0, pointer: 20 };
    assert_eq!(emit!(problem), [12, 0, 0, 0, 20, 0, 0, 0]);
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(ICMP_FRAG_NEEDED).split_off(20);
    for len in 0..data.len() {
        let packet = Packet::new_checked(&data[..len]);
        assert_eq!(packet.is_ok(), len >= HEADER_LEN);
        let quoted = packet.and_then(|packet| packet.quoted().map(|_| ()));
        assert_eq!(quoted.is_ok(), len >= HEADER_LEN + ipv4::HEADER_LEN);
    }
}

#[test]
fn codes_that_a_message_has_not_are_refused() {
    let illegal = [
        Repr::Unreachable { code: 16, mtu: 0 },
        Repr::Unreachable { code: 3, mtu: 1400 },
        Repr::Redirect { code: 4, gateway: Ipv4Addr::LOCALHOST },
        Repr::TimeExceeded { code: 2 },
        Repr::ParameterProblem { code: 3, pointer: 0 },
    ];
    for repr in illegal {
        assert_eq!(repr.emit(&mut Packet::new_output([0; 8]).unwrap()), Err(Error::Field));
    }
    for (kind, code) in [(8, 1), (0, 1), (3, 16), (11, 2), (12, 3), (5, 4), (13, 0), (200, 0)] {
        let packet = Packet::new_checked([kind, code, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(Repr::parse(&packet), Err(Error::Field), "{kind} {code}");
    }
}

fn reprs() -> impl Strategy<Value = Repr> {
    prop_oneof![
        any::<(u16, u16)>().prop_map(|(ident, seq)| Repr::EchoRequest { ident, seq }),
        any::<(u16, u16)>().prop_map(|(ident, seq)| Repr::EchoReply { ident, seq }),
        any::<u16>().prop_map(|mtu| Repr::Unreachable { code: CODE_FRAGMENTATION_NEEDED, mtu }),
        (5..16_u8).prop_map(|code| Repr::Unreachable { code, mtu: 0 }),
        (0..4_u8, any::<[u8; 4]>())
            .prop_map(|(code, gateway)| Repr::Redirect { code, gateway: gateway.into() }),
        (0..2_u8).prop_map(|code| Repr::TimeExceeded { code }),
        (0..3_u8, any::<u8>()).prop_map(|(code, pointer)| Repr::ParameterProblem { code, pointer }),
    ]
}

proptest! {
    #[test]
    fn round_trip(repr in reprs()) {
        let mut data = emit!(repr);
        Packet::new_output(&mut data).unwrap().fill_checksum();
        let packet = Packet::new_checked(&data).unwrap();
        prop_assert!(packet.verify_checksum());
        prop_assert_eq!(Repr::parse(&packet), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(mut data in spoiled(ICMP_FRAG_NEEDED)) {
        data.drain(..data.len().min(20));
        if let Ok(mut packet) = Packet::new_output(&mut data) {
            let _ = (Repr::parse(&packet), packet.verify_checksum());
            if let Ok(quoted) = packet.quoted() {
                let _ = (quoted.payload().len(), quoted.options().count());
            }
            packet.fill_checksum();
        }
    }
}
