use super::{
    Extension, ExtensionType, Extensions, FIXED_LEN, MAX_EXTENSIONS, MessageType, Packet, Repr,
};
use crate::wire::specimens::{GTPU_PDU, GTPU_PLAIN, bytes, emit, spoiled};
use crate::wire::{Error, ipv4, udp};
use proptest::collection::vec;
use proptest::prelude::*;

const PLAIN: Repr<'_> = Repr {
    message_type: MessageType::G_PDU,
    teid: 5,
    seq: None,
    npdu: None,
    extensions: Extensions::NONE,
    payload_len: 28,
};

fn session() -> Repr<'static> {
    let extensions = Extensions::new(ExtensionType::PDU_SESSION, &[1, 0x10, 9, 0]).unwrap();
    Repr { teid: 0x0102_0304, seq: Some(0x99), extensions, ..PLAIN }
}

#[test]
fn specimens_are_parsed_and_emitted() {
    for (specimen, repr) in [(GTPU_PLAIN, PLAIN), (GTPU_PDU, session())] {
        let data = bytes(specimen).split_off(20);
        let udp = udp::Packet::new_checked(&data).unwrap();
        assert_eq!(udp.dst_port(), udp::PORT_GTPU);
        let packet = Packet::new_checked(udp.payload()).unwrap();
        assert_eq!(Repr::parse(&packet), Ok(repr));
        assert!(ipv4::Packet::new_checked(packet.payload()).is_ok());
        let header = emit!(repr);
        assert_eq!(header, &udp.payload()[..packet.header_len()]);
    }
}

#[test]
fn deconstruct() {
    let data = bytes(GTPU_PDU).split_off(28);
    let packet = Packet::new_checked(&data).unwrap();
    assert_eq!((packet.flags(), packet.version(), packet.length()), (0x36, 1, 36));
    assert!(packet.is_gtp() && packet.has_seq() && packet.has_extensions() && !packet.has_npdu());
    let extension = Extension { kind: ExtensionType::PDU_SESSION, content: &[0x10, 9] };
    assert_eq!(packet.extensions().collect::<Vec<_>>(), [Ok(extension)]);
    assert_eq!(packet.header_len(), 16);
}

#[test]
fn a_long_header_without_extensions_ignores_their_type() {
    let data = [0x31, 255, 0, 5, 0, 0, 0, 1, 0xee, 0xee, 7, 0x85, 0xaa];
    let packet = Packet::new_checked(&data).unwrap();
    let repr = Repr { teid: 1, npdu: Some(7), payload_len: 1, ..PLAIN };
    assert_eq!(Repr::parse(&packet), Ok(repr));
    assert_eq!(packet.payload(), [0xaa]);
    // What does not count is written as zero.
    assert_eq!(emit!(repr), [0x31, 255, 0, 5, 0, 0, 0, 1, 0, 0, 7, 0]);
}

#[test]
fn bytes_behind_the_length_are_no_payload() {
    let mut data = bytes(GTPU_PLAIN).split_off(28);
    data.extend([0; 6]);
    assert_eq!(Packet::new_checked(&data).unwrap().payload().len(), 28);
}

#[test]
fn truncated_at_every_length() {
    for specimen in [GTPU_PLAIN, GTPU_PDU] {
        let data = bytes(specimen).split_off(28);
        for len in 0..data.len() {
            assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
        }
    }
}

#[test]
fn contradictions_are_refused() {
    let spoil = |at: usize, value: u8| {
        let mut data = bytes(GTPU_PDU).split_off(28);
        data[at] = value;
        Packet::new_checked(&data).map(|_| ())
    };
    assert_eq!(spoil(0, 0x56), Err(Error::Version));
    assert_eq!(spoil(0, 0x26), Err(Error::Version));
    assert_eq!(spoil(3, 3), Err(Error::Length));
    // A chain that does not move, one that leaves the message, one that goes on into the payload.
    assert_eq!(spoil(12, 0), Err(Error::Length));
    assert_eq!(spoil(12, 255), Err(Error::Truncated));
    assert_eq!(spoil(15, 0x85), Err(Error::Truncated));
    assert_eq!(spoil(3, 4), Err(Error::Truncated));
}

#[test]
fn long_chains_are_refused() {
    let chain = |count: usize| {
        let mut bytes = [1, 0, 0, 0x85].repeat(count);
        bytes[count * 4 - 1] = 0;
        Extensions::new(ExtensionType::PDU_SESSION, &bytes).map(|chain| chain.iter().count())
    };
    assert_eq!(chain(MAX_EXTENSIONS), Ok(MAX_EXTENSIONS));
    assert_eq!(chain(MAX_EXTENSIONS + 1), Err(Error::TooMany));
    let left = Extensions::new(ExtensionType::PDU_SESSION, &[1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(left, Err(Error::Length));
    assert_eq!(Extensions::new(ExtensionType::NONE, &[0]), Err(Error::Length));
}

#[test]
fn too_long_a_payload_is_not_emitted() {
    let mut packet = Packet::new_output([0; 16]).unwrap();
    assert_eq!(Repr { payload_len: 65535, ..PLAIN }.emit(&mut packet), Ok(()));
    let long = Repr { payload_len: 65535, seq: Some(1), ..PLAIN };
    assert_eq!(long.emit(&mut packet), Err(Error::Length));
    let mut short = Packet::new_output([0; FIXED_LEN]).unwrap();
    assert_eq!(session().emit(&mut short), Err(Error::Truncated));
}

proptest! {
    #[test]
    fn round_trip(
        message: u8, teid: u32, seq: Option<u16>, npdu: Option<u8>, payload_len in 0..50_u16,
        contents in vec((1..=255_u8, any::<[u8; 2]>()), 0..4),
    ) {
        let kind = |n: usize| contents.get(n).map_or(0, |(kind, _): &(u8, [u8; 2])| *kind);
        let chain: Vec<_> = (0..contents.len())
            .flat_map(|n| [1, contents[n].1[0], contents[n].1[1], kind(n + 1)])
            .collect();
        let extensions = Extensions::new(ExtensionType(kind(0)), &chain).unwrap();
        let message_type = MessageType(message);
        let repr = Repr { message_type, teid, seq, npdu, extensions, payload_len };
        let mut data = emit!(repr);
        data.resize(data.len() + usize::from(payload_len), 0xa5);
        let packet = Packet::new_checked(&data).unwrap();
        prop_assert_eq!(packet.payload().len(), usize::from(payload_len));
        prop_assert_eq!(Repr::parse(&packet), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(mut data in spoiled(GTPU_PDU)) {
        data.drain(..data.len().min(28));
        if let Ok(mut packet) = Packet::new_output(&mut data) {
            prop_assert!(packet.extensions().count() <= MAX_EXTENSIONS + 1);
            packet.payload_mut().fill(0);
        }
        if let Ok(packet) = Packet::new_checked(&data) {
            let _ = Repr::parse(&packet);
            prop_assert!(packet.header_len() + packet.payload().len() <= data.len());
        }
    }
}
