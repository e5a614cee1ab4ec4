use super::{MAX_ICV_LEN, Packet, Repr};
use crate::wire::specimens::{AH6, bytes, emit, spoiled};
use crate::wire::{Error, Protocol};
use proptest::collection::vec;
use proptest::prelude::*;

const REPR: Repr<'_> = Repr { next_header: Protocol::UDP, spi: 0x100, seq: 5, icv: &[1; 12] };

#[test]
fn deconstruct() {
    let data = bytes(AH6).split_off(40);
    let packet = Packet::new_checked(&data).unwrap();
    assert_eq!(Repr::parse(&packet), Ok(REPR));
    assert_eq!((packet.icv(), packet.payload()), (&[1; 12][..], &data[24..]));
}

#[test]
fn construct() {
    assert_eq!(emit!(REPR), &bytes(AH6)[40..64]);
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(AH6).split_off(40);
    for len in 0..24 {
        assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
    }
    let mut data = data;
    data[1] = 0;
    assert_eq!(Packet::new_checked(&data).map(|_| ()), Err(Error::Length));
}

#[test]
fn an_odd_or_too_long_check_value_is_not_emitted() {
    let icv = [0; MAX_ICV_LEN + 4];
    let emit =
        |len| Repr { icv: &icv[..len], ..REPR }.emit(&mut Packet::new_output([0; 2000]).unwrap());
    assert_eq!(emit(3), Err(Error::Length));
    assert_eq!(emit(MAX_ICV_LEN), Ok(()));
    assert_eq!(emit(MAX_ICV_LEN + 4), Err(Error::Length));
}

proptest! {
    #[test]
    fn round_trip(next_header: u8, spi: u32, seq: u32, icv in vec(any::<[u8; 4]>(), 0..9)) {
        let repr = Repr { next_header: Protocol(next_header), spi, seq, icv: icv.as_flattened() };
        let data = emit!(repr);
        prop_assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(data in spoiled(AH6)) {
        if let Ok(packet) = Packet::new_output(data.get(40..).unwrap_or_default()) {
            let _ = (Repr::parse(&packet), packet.icv().len(), packet.payload().len());
        }
    }
}
