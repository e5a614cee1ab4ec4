use super::{ChunkIter, ChunkType, HEADER_LEN, Packet, Repr};
use crate::wire::specimens::{SCTP_DATA, SCTP_INIT, bytes, emit, spoiled};
use crate::wire::{Error, Protocol, ipv4};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn deconstruct() {
    let data = bytes(SCTP_INIT);
    let ip = ipv4::Packet::new_checked(&data).unwrap();
    assert_eq!(ip.protocol(), Protocol::SCTP);
    let packet = Packet::new_checked(ip.payload()).unwrap();
    assert!(packet.verify_checksum());
    assert_eq!(Repr::parse(&packet), Ok(Repr { src_port: 5000, dst_port: 6000, tag: 0 }));
    let chunks: Vec<_> = packet.chunks().map(Result::unwrap).collect();
    assert_eq!(chunks.len(), 1);
    assert_eq!((chunks[0].kind, chunks[0].value.len()), (ChunkType::INIT, 16));
}

#[test]
fn chunks_are_walked_over_their_padding() {
    let data = bytes(SCTP_DATA).split_off(20);
    let packet = Packet::new_checked(&data).unwrap();
    let chunks: Vec<_> = packet.chunks().map(Result::unwrap).collect();
    assert_eq!(chunks.len(), 2);
    assert_eq!((chunks[0].kind, chunks[0].value.len()), (ChunkType::SACK, 12));
    assert_eq!((chunks[1].kind, chunks[1].flags), (ChunkType::DATA, 3));
    assert!(chunks[1].value.ends_with(b"seven77"));
    // Without the padding of the last chunk.
    let unpadded = Packet::new_checked(&data[..data.len() - 1]).unwrap();
    assert!(unpadded.chunks().eq(packet.chunks()));
}

#[test]
fn construct() {
    let data = bytes(SCTP_DATA).split_off(20);
    let repr = Repr { src_port: 5000, dst_port: 6000, tag: 0xcafe_0002 };
    let mut buffer = vec![0xa5; data.len()];
    let mut packet = Packet::new_output(&mut buffer).unwrap();
    repr.emit(&mut packet).unwrap();
    packet.payload_mut().copy_from_slice(&data[12..]);
    assert!(!packet.verify_checksum());
    packet.fill_checksum();
    assert_eq!(buffer, data);
}

#[test]
fn lying_chunks_end_the_walk() {
    let walk = |bytes| ChunkIter { rest: bytes }.map(|chunk| chunk.map(|_| ())).collect::<Vec<_>>();
    assert_eq!(walk(&[0, 0, 0]), [Err(Error::Truncated)]);
    assert_eq!(walk(&[0, 0, 0, 0, 0, 0, 0, 4]), [Err(Error::Length)]);
    assert_eq!(walk(&[0, 0, 0, 3, 0, 0, 0, 4]), [Err(Error::Length)]);
    assert_eq!(walk(&[0, 0, 0, 9, 0, 0, 0, 4]), [Err(Error::Truncated)]);
    assert_eq!(walk(&[0, 0, 0, 4, 0, 0, 0, 4]), [Ok(()), Ok(())]);
}

#[test]
fn truncated_at_every_length() {
    for len in 0..HEADER_LEN {
        assert_eq!(Packet::new_checked(&[0; 12][..len]).map(|_| ()), Err(Error::Truncated));
    }
}

#[test]
fn port_zero_is_neither_parsed_nor_emitted() {
    let mut packet = Packet::new_output([0; 12]).unwrap();
    for (src_port, dst_port) in [(0, 1), (1, 0)] {
        let repr = Repr { src_port, dst_port, tag: 0 };
        assert_eq!(repr.emit(&mut packet), Err(Error::Field));
        packet.set_src_port(src_port);
        packet.set_dst_port(dst_port);
        assert_eq!(Repr::parse(&packet), Err(Error::Field));
    }
}

proptest! {
    #[test]
    fn round_trip(src_port in 1_u16.., dst_port in 1_u16.., tag: u32, value in vec(any::<u8>(), 0..40)) {
        let repr = Repr { src_port, dst_port, tag };
        let mut data = emit!(repr);
        data.extend([0, 0, 0, value.len() as u8 + 4]);
        data.extend(&value);
        Packet::new_output(&mut data).unwrap().fill_checksum();
        let packet = Packet::new_checked(&data).unwrap();
        prop_assert!(packet.verify_checksum());
        prop_assert_eq!(Repr::parse(&packet), Ok(repr));
        prop_assert_eq!(packet.chunks().next().unwrap().unwrap().value, &value);
    }

    #[test]
    fn any_bytes_are_survived(mut data in spoiled(SCTP_DATA)) {
        data.drain(..data.len().min(20));
        if let Ok(mut packet) = Packet::new_output(&mut data) {
            prop_assert!(packet.chunks().count() <= 20);
            let _ = (Repr::parse(&packet), packet.verify_checksum());
            packet.fill_checksum();
            prop_assert!(packet.verify_checksum());
        }
    }
}
