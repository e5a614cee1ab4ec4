use super::{MAX_PATH, Metadata, NextProtocol, Packet, Repr, Tlv, TlvIter, Tlvs};
use crate::wire::specimens::{INNER_FRAME, NSH_MD1, bytes, emit, spoiled};
use crate::wire::{Error, EtherType, ethernet};
use proptest::collection::vec;
use proptest::prelude::*;

const MD1: Repr<'_> = Repr {
    oam: false,
    ttl: 63,
    next_protocol: NextProtocol::ETHERNET,
    path: 0x123456,
    index: 254,
    metadata: Metadata::Fixed([1, 2, 3, 4]),
};
const TLVS: [u8; 16] = [1, 3, 0x80, 5, b'h', b'e', b'l', b'l', b'o', 0, 0, 0, 1, 3, 7, 0];

#[test]
fn deconstruct() {
    let data = bytes(NSH_MD1);
    let frame = ethernet::Packet::new_checked(&data).unwrap();
    assert_eq!(frame.ethertype(), Some(EtherType::NSH));
    let packet = Packet::new_checked(frame.payload()).unwrap();
    assert_eq!((packet.version(), packet.length(), packet.md_type()), (0, 6, 1));
    assert_eq!(Repr::parse(&packet), Ok(MD1));
    assert_eq!(packet.payload(), bytes(INNER_FRAME));
}

#[test]
fn construct() {
    assert_eq!(emit!(MD1), &bytes(NSH_MD1)[14..38]);
    let metadata = Metadata::Variable(Tlvs::new(&TLVS).unwrap());
    let data = emit!(Repr { metadata, oam: true, ..MD1 });
    assert_eq!(data[..8], [0x2f, 0xc6, 0x02, 0x03, 0x12, 0x34, 0x56, 0xfe]);
    assert_eq!(data[8..], TLVS);
    assert_eq!(emit!(Repr { metadata: Metadata::Variable(Tlvs::NONE), ..MD1 }).len(), 8);
}

#[test]
fn metadata_are_walked_over_their_padding() {
    let tlvs: Vec<_> = Tlvs::new(&TLVS).unwrap().iter().map(Result::unwrap).collect();
    let hello = Tlv { class: 0x103, kind: 0x80, value: b"hello" };
    assert_eq!(tlvs, [hello, Tlv { class: 0x103, kind: 7, value: &[] }]);
    let mut buffer = [0xa5; 12];
    hello.emit(&mut buffer).unwrap();
    assert_eq!(buffer, TLVS[..12]);
    assert_eq!(hello.emit(&mut buffer[..11]), Err(Error::Truncated));
    let long = Tlv { value: &[0; 128], ..hello };
    assert_eq!(long.emit(&mut [0; 200]), Err(Error::Length));
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(NSH_MD1).split_off(14);
    for len in 0..24 {
        assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
    }
    for len in 1..12 {
        let end = TlvIter { rest: &TLVS[..len] }.last();
        assert_eq!(end, Some(Err(Error::Truncated)));
    }
}

#[test]
fn contradictions_are_refused() {
    let spoil = |at: usize, value: u8| {
        let mut data = bytes(NSH_MD1).split_off(14);
        data[at] = value;
        let packet = Packet::new_checked(&data[..])?;
        Repr::parse(&packet).map(|_| ())
    };
    assert_eq!(spoil(0, 0x4f), Err(Error::Version));
    assert_eq!(spoil(1, 0xc5), Err(Error::Length));
    assert_eq!(spoil(1, 0xc7), Err(Error::Length));
    assert_eq!(spoil(2, 0), Err(Error::Field));
    assert_eq!(spoil(2, 15), Err(Error::Field));
    // The context words read as metadata of type 2, the first one too long.
    let mut data = bytes(NSH_MD1).split_off(14);
    data[2] = 2;
    data[11] = 0x7f;
    assert_eq!(Repr::parse(&Packet::new_checked(&data[..]).unwrap()), Err(Error::Truncated));
    let short = Packet::new_checked([0x0f, 0xc1, 2, 3, 0, 0, 0, 0]);
    assert_eq!(short.map(|_| ()), Err(Error::Length));
    assert_eq!(Tlvs::new(&[0; 248]), Err(Error::Length));
}

#[test]
fn values_out_of_range_are_not_emitted() {
    for bad in [Repr { ttl: 64, ..MD1 }, Repr { path: MAX_PATH + 1, ..MD1 }] {
        assert_eq!(bad.emit(&mut Packet::new_output([0; 24]).unwrap()), Err(Error::Field));
    }
}

proptest! {
    #[test]
    fn round_trip(
        oam: bool, ttl in 0..64_u8, next: u8, path in 0..=MAX_PATH, index: u8, context: [u32; 4],
        values in vec((any::<(u16, u8)>(), vec(any::<u8>(), 0..20)), 0..4),
    ) {
        let mut tlvs = Vec::new();
        for ((class, kind), value) in &values {
            let tlv = Tlv { class: *class, kind: *kind, value };
            let start = tlvs.len();
            tlvs.resize(start + tlv.buffer_len(), 0xa5);
            tlv.emit(&mut tlvs[start..]).unwrap();
        }
        let variable = Metadata::Variable(Tlvs::new(&tlvs).unwrap());
        for metadata in [Metadata::Fixed(context), variable] {
            let next_protocol = NextProtocol(next);
            let repr = Repr { oam, ttl, next_protocol, path, index, metadata };
            let data = emit!(repr);
            prop_assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()), Ok(repr));
        }
    }

    #[test]
    fn any_bytes_are_survived(data in spoiled(NSH_MD1)) {
        if let Ok(packet) = Packet::new_output(data.get(14..).unwrap_or_default()) {
            let _ = (Repr::parse(&packet), packet.metadata().len(), packet.payload().len());
        }
    }
}
