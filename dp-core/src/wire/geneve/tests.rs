use super::{MAX_VNI, Opt, OptionIter, Options, Packet, Repr};
use crate::wire::specimens::{GENEVE, INNER_FRAME, bytes, emit, spoiled};
use crate::wire::{Error, EtherType, udp};
use proptest::collection::vec;
use proptest::prelude::*;

const OPTIONS: [u8; 12] = [1, 2, 0x80, 1, 1, 2, 3, 4, 1, 3, 1, 0];

fn repr() -> Repr<'static> {
    let options = Options::new(&OPTIONS).unwrap();
    Repr { oam: false, protocol: EtherType::TEB, vni: 0xabcdef, options }
}

#[test]
fn deconstruct() {
    let data = bytes(GENEVE).split_off(20);
    let udp = udp::Packet::new_checked(&data).unwrap();
    assert_eq!(udp.dst_port(), udp::PORT_GENEVE);
    let packet = Packet::new_checked(udp.payload()).unwrap();
    assert_eq!((packet.version(), packet.options_words()), (0, 3));
    assert!(packet.is_critical() && !packet.is_oam());
    let options: Vec<_> = packet.options().map(Result::unwrap).collect();
    let first = Opt { class: 0x102, kind: 0x80, data: &[1, 2, 3, 4] };
    assert_eq!(options, [first, Opt { class: 0x103, kind: 1, data: &[] }]);
    assert!(options[0].is_critical() && !options[1].is_critical());
    assert_eq!(Repr::parse(&packet), Ok(repr()));
    assert_eq!(packet.payload(), bytes(INNER_FRAME));
}

#[test]
fn construct() {
    assert_eq!(emit!(repr()), &bytes(GENEVE)[28..48]);
    let plain = Repr { oam: true, options: Options::new(&OPTIONS[8..]).unwrap(), ..repr() };
    assert_eq!(emit!(plain)[..2], [0x01, 0x80]);
}

#[test]
fn an_option_is_emitted_whole_or_not() {
    let mut buffer = [0xa5; 8];
    let option = Opt { class: 0x102, kind: 0x80, data: &[1, 2, 3, 4] };
    option.emit(&mut buffer).unwrap();
    assert_eq!(buffer, OPTIONS[..8]);
    assert_eq!(option.emit(&mut buffer[..7]), Err(Error::Truncated));
    for len in [3, 128] {
        let option = Opt { data: &[0; 128][..len], ..option };
        assert_eq!(option.emit(&mut [0; 200]), Err(Error::Length));
    }
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(GENEVE).split_off(28);
    for len in 0..20 {
        assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
    }
}

#[test]
fn contradictions_are_refused() {
    let mut data = bytes(GENEVE).split_off(28);
    data[0] = 0x43;
    assert_eq!(Packet::new_checked(&data).map(|_| ()), Err(Error::Version));
    // Options that end within one.
    data[0] = 0x01;
    assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()), Err(Error::Truncated));
    let walk = |bytes| OptionIter { rest: bytes }.collect::<Vec<_>>();
    assert_eq!(walk(&[0, 0, 0]), [Err(Error::Truncated)]);
    assert_eq!(walk(&[0, 0, 0, 2, 0, 0, 0, 0]), [Err(Error::Truncated)]);
    // The three reserved bits beside the length do not count.
    assert_eq!(walk(&[0, 1, 2, 0xe0]), [Ok(Opt { class: 1, kind: 2, data: &[] })]);
    assert_eq!(Options::new(&[0; 256]), Err(Error::Length));
}

#[test]
fn an_identifier_out_of_range_is_not_emitted() {
    let bad = Repr { vni: MAX_VNI + 1, ..repr() };
    assert_eq!(bad.emit(&mut Packet::new_output([0; 20]).unwrap()), Err(Error::Field));
}

proptest! {
    #[test]
    fn round_trip(
        oam: bool, protocol: u16, vni in 0..=MAX_VNI,
        values in vec((any::<(u16, u8)>(), vec(any::<[u8; 4]>(), 0..8)), 0..5),
    ) {
        let mut options = Vec::new();
        for ((class, kind), data) in &values {
            let option = Opt { class: *class, kind: *kind, data: data.as_flattened() };
            let start = options.len();
            options.resize(start + option.buffer_len(), 0xa5);
            option.emit(&mut options[start..]).unwrap();
        }
        let options = Options::new(&options).unwrap();
        let repr = Repr { oam, protocol: EtherType(protocol), vni, options };
        let data = emit!(repr);
        let packet = Packet::new_checked(&data).unwrap();
        prop_assert_eq!(packet.is_critical(), values.iter().any(|((_, kind), _)| kind & 0x80 != 0));
        prop_assert_eq!(Repr::parse(&packet), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(data in spoiled(GENEVE)) {
        if let Ok(packet) = Packet::new_output(data.get(28..).unwrap_or_default()) {
            prop_assert!(packet.options().count() <= 63);
            let _ = (Repr::parse(&packet), packet.payload().len());
        }
    }
}
