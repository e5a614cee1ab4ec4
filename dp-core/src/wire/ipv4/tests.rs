use super::{OPTION_RECORD_ROUTE, OPTION_ROUTER_ALERT, Opt, OptionIter, Options, Packet, Repr};
use crate::wire::specimens::{IPV4_OPTIONS, bytes, emit, spoiled};
use crate::wire::{Error, Protocol};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const PLAIN: Repr<'_> = Repr {
    src: Ipv4Addr::new(10, 0, 0, 1),
    dst: Ipv4Addr::new(10, 0, 0, 2),
    protocol: Protocol::UDP,
    ttl: 63,
    dscp: 46,
    ecn: 1,
    ident: 0x1234,
    dont_fragment: true,
    more_fragments: false,
    fragment_units: 0,
    options: Options::NONE,
    payload_len: 13,
};

#[test]
fn deconstruct() {
    let data = bytes(IPV4_OPTIONS);
    let packet = Packet::new_checked(&data).unwrap();
    assert_eq!((packet.version(), packet.ihl(), packet.header_len()), (4, 9, 36));
    assert_eq!((packet.dscp(), packet.ecn(), packet.total_len()), (46, 1, 49));
    assert_eq!((packet.ident(), packet.fragment_offset()), (0x1234, 0));
    assert!(packet.dont_fragment() && !packet.more_fragments() && !packet.is_fragment());
    assert_eq!((packet.ttl(), packet.protocol()), (63, Protocol::UDP));
    assert_eq!((packet.src(), packet.dst()), (PLAIN.src, PLAIN.dst));
    assert!(packet.verify_checksum());
    assert_eq!(packet.payload(), &data[36..]);
    let options: Vec<_> = packet.options().map(Result::unwrap).collect();
    let route = [4, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(options[0], Opt::Other { kind: OPTION_ROUTER_ALERT, data: &[0, 0] });
    assert_eq!(options[1], Opt::Other { kind: OPTION_RECORD_ROUTE, data: &route });
    assert_eq!(options.len(), 2);
}

#[test]
fn parse_and_emit_give_the_bytes_back() {
    let data = bytes(IPV4_OPTIONS);
    let repr = Repr::parse(&Packet::new_checked(&data).unwrap()).unwrap();
    assert_eq!(Repr { options: Options::NONE, ..repr }, PLAIN);
    assert_eq!(repr.options.iter().count(), 2);
    assert_eq!(emit!(repr), &data[..36]);
}

#[test]
fn construct() {
    let mut data = vec![0xa5; 33];
    let mut packet = Packet::new_output(&mut data).unwrap();
    PLAIN.emit(&mut packet).unwrap();
    packet.set_dont_fragment(false);
    packet.set_more_fragments(true);
    packet.set_fragment_units(0x1001);
    packet.set_ttl(1);
    packet.fill_checksum();
    packet.payload_mut().fill(0xee);
    let packet = Packet::new_checked(&data).unwrap();
    assert!(packet.verify_checksum() && packet.is_later_fragment() && packet.is_fragment());
    assert_eq!(data[..10], [0x45, 0xb9, 0, 33, 0x12, 0x34, 0x30, 0x01, 1, 17]);
    assert_eq!(data[20..], [0xee; 13]);
    data[8] = 2;
    assert!(!Packet::new_checked(&data).unwrap().verify_checksum());
}

#[test]
fn padding_of_the_frame_is_no_payload() {
    let mut data = bytes(IPV4_OPTIONS);
    data.extend([0; 20]);
    assert_eq!(Packet::new_checked(&data).unwrap().payload(), &data[36..49]);
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(IPV4_OPTIONS);
    for len in 0..data.len() {
        assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
        let quoted = Packet::new_quoted(&data[..len]);
        assert_eq!(quoted.is_ok(), len >= 36);
        assert_eq!(quoted.map_or(0, |packet| packet.payload().len()), len.saturating_sub(36));
    }
}

#[test]
fn contradicting_lengths_are_refused() {
    let data = bytes(IPV4_OPTIONS);
    let spoil = |at: usize, value: u8| {
        let mut data = data.clone();
        data[at] = value;
        Packet::new_checked(&data).map(|_| ())
    };
    assert_eq!(spoil(0, 0x69), Err(Error::Version));
    assert_eq!(spoil(0, 0x44), Err(Error::Length));
    assert_eq!(spoil(0, 0x40), Err(Error::Length));
    assert_eq!(spoil(0, 0x4f), Err(Error::Length));
    assert_eq!(spoil(3, 35), Err(Error::Length));
    assert_eq!(spoil(3, 36), Ok(()));
    assert_eq!(spoil(3, 50), Err(Error::Truncated));
}

#[test]
fn options_end_where_they_must() {
    let walk = |bytes| OptionIter { rest: bytes }.collect::<Vec<_>>();
    assert_eq!(walk(&[1, 0, 9, 9]), [Ok(Opt::Nop)]);
    assert_eq!(walk(&[1, 7]), [Ok(Opt::Nop), Err(Error::Truncated)]);
    assert_eq!(walk(&[7, 0, 1, 1]), [Err(Error::Length)]);
    assert_eq!(walk(&[7, 1, 1, 1]), [Err(Error::Length)]);
    assert_eq!(walk(&[7, 5, 1, 1]), [Err(Error::Truncated)]);
    assert_eq!(walk(&[7, 2]), [Ok(Opt::Other { kind: 7, data: &[] })]);
    assert_eq!(Options::new(&[1; 41]), Err(Error::Length));
    assert_eq!(Options::new(&[1, 7]), Err(Error::Truncated));
}

#[test]
fn a_fragment_behind_the_greatest_packet_is_refused() {
    let repr = Repr { fragment_units: 0x1fff, payload_len: 8, ..PLAIN };
    let mut data = emit!(repr);
    data.resize(28, 0);
    assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()), Err(Error::Length));
}

#[test]
fn illegal_values_are_not_emitted() {
    let cases = [
        (Repr { dscp: 64, ..PLAIN }, Error::Field),
        (Repr { ecn: 4, ..PLAIN }, Error::Field),
        (Repr { fragment_units: 0x2000, ..PLAIN }, Error::Field),
        (Repr { payload_len: 65516, ..PLAIN }, Error::Length),
    ];
    for (repr, error) in cases {
        assert_eq!(repr.emit(&mut Packet::new_output([0; 60]).unwrap()), Err(error));
    }
    let repr = Repr { options: Options::new(&[1]).unwrap(), ..PLAIN };
    assert_eq!(repr.buffer_len(), 24);
    assert_eq!(repr.emit(&mut Packet::new_output([0; 23]).unwrap()), Err(Error::Truncated));
}

proptest! {
    #[test]
    fn round_trip(
        ips: [[u8; 4]; 2], protocol: u8, ttl: u8, dscp in 0..64_u8, ecn in 0..4_u8, ident: u16,
        flags: (bool, bool), fragment_units in 0..4000_u16, payload_len in 0..200_u16,
        kind in 2..=255_u8, option in vec(any::<u8>(), 0..36),
    ) {
        // One option, padded to whole words as it is read back.
        let mut options = vec![kind, option.len() as u8 + 2];
        options.extend(option);
        options.resize(options.len().next_multiple_of(4), 0);
        let repr = Repr {
            src: ips[0].into(), dst: ips[1].into(), protocol: Protocol(protocol), ttl, dscp, ecn,
            ident, dont_fragment: flags.0, more_fragments: flags.1, fragment_units,
            options: Options::new(&options).unwrap(), payload_len,
        };
        let mut data = emit!(repr);
        data.resize(repr.buffer_len() + usize::from(payload_len), 0);
        let packet = Packet::new_checked(&data).unwrap();
        prop_assert!(packet.verify_checksum());
        prop_assert_eq!(Repr::parse(&packet), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(mut data in spoiled(IPV4_OPTIONS)) {
        if let Ok(packet) = Packet::new_output(&data) {
            let _ = (Repr::parse(&packet), packet.verify_checksum(), packet.payload().len());
            prop_assert!(packet.options().count() <= 40);
        }
        if let Ok(mut packet) = Packet::new_output(&mut data) {
            packet.payload_mut().fill(0);
            packet.fill_checksum();
        }
        if let Ok(packet) = Packet::new_checked(&data) {
            prop_assert_eq!(packet.payload().len() + packet.header_len(), packet.total_len().into());
        }
    }
}
