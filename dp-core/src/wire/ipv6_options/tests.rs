use super::{MAX_OPTIONS_LEN, OPTION_ROUTER_ALERT, Opt, OptionIter, Packet, Repr};
use crate::wire::specimens::{UDP6_CHAIN, bytes, emit, spoiled};
use crate::wire::{Error, Protocol, ipv6};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn deconstruct() {
    let data = bytes(UDP6_CHAIN);
    let ip = ipv6::Packet::new_checked(&data).unwrap();
    let hops = Packet::new_checked(ip.payload()).unwrap();
    assert_eq!((hops.next_header(), hops.header_len()), (Protocol::IPV6_DESTINATION, 8));
    let alert = Opt { kind: OPTION_ROUTER_ALERT, data: &[0, 0] };
    assert_eq!(hops.options().collect::<Vec<_>>(), [Ok(alert)]);
    let destination = Packet::new_checked(hops.payload()).unwrap();
    assert_eq!(destination.options().count(), 0);
    assert_eq!(destination.next_header(), Protocol::IPV6_ROUTING);
}

#[test]
fn construct_with_padding() {
    let repr = |options| Repr { next_header: Protocol::ICMPV6, options };
    assert_eq!(emit!(repr(&[5, 2, 0, 0])), [58, 0, 5, 2, 0, 0, 1, 0]);
    assert_eq!(emit!(repr(&[5, 3, 0, 0, 0])), [58, 0, 5, 3, 0, 0, 0, 0]);
    assert_eq!(emit!(repr(&[])), [58, 0, 1, 4, 0, 0, 0, 0]);
    let long = emit!(repr(&[0; 7]));
    assert_eq!(long[..2], [58, 1]);
    assert_eq!(long[9..], [1, 5, 0, 0, 0, 0, 0]);
}

#[test]
fn truncated_at_every_length() {
    let data = emit!(Repr { next_header: Protocol::UDP, options: &[0; 20] });
    for len in 0..data.len() {
        assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
    }
}

#[test]
fn an_option_behind_the_end_is_an_error() {
    let walk = |bytes| OptionIter { rest: bytes }.collect::<Vec<_>>();
    assert_eq!(walk(&[0, 1]), [Err(Error::Truncated)]);
    assert_eq!(walk(&[1, 3, 0, 0]), [Err(Error::Truncated)]);
    assert_eq!(walk(&[1, 1, 0, 9, 0]), [Ok(Opt { kind: 9, data: &[] })]);
    let packet = Packet::new_checked([17, 0, 9, 5, 0, 0, 0, 0]).unwrap().into_inner();
    assert_eq!(Repr::parse(&Packet::new_checked(&packet).unwrap()), Err(Error::Truncated));
    let bad = Repr { next_header: Protocol::UDP, options: &[9] };
    assert_eq!(bad.emit(&mut Packet::new_output([0; 8]).unwrap()), Err(Error::Truncated));
}

#[test]
fn more_options_than_fit_are_not_emitted() {
    let options = [0; MAX_OPTIONS_LEN + 1];
    let repr = |len| Repr { next_header: Protocol::UDP, options: &options[..len] };
    let mut packet = Packet::new_output([0; 3000]).unwrap();
    assert_eq!(repr(MAX_OPTIONS_LEN).emit(&mut packet), Ok(()));
    assert_eq!(packet.header_len(), 2048);
    assert_eq!(repr(MAX_OPTIONS_LEN + 1).emit(&mut packet), Err(Error::Length));
}

proptest! {
    #[test]
    fn round_trip(next_header: u8, kind in 2..=255_u8, option in vec(any::<u8>(), 0..60)) {
        let options = [&[kind, option.len() as u8], &option[..]].concat();
        let data = emit!(Repr { next_header: Protocol(next_header), options: &options });
        let packet = Packet::new_checked(&data).unwrap();
        prop_assert_eq!(packet.next_header(), Protocol(next_header));
        let expected = Opt { kind, data: &option };
        prop_assert_eq!(packet.options().collect::<Vec<_>>(), [Ok(expected)]);
        prop_assert_eq!(emit!(Repr::parse(&packet).unwrap()), data.clone());
    }

    #[test]
    fn any_bytes_are_survived(data in spoiled("3a01050200000104000000000905112233445566")) {
        if let Ok(packet) = Packet::new_output(&data) {
            prop_assert!(packet.options().count() <= data.len());
            let _ = (Repr::parse(&packet), packet.payload().len());
        }
    }
}
