use super::{
    Crc32c, Pseudo, Sum, checksum, crc32c, never_zero, update_u16, update_u32, update_u128,
};
use crate::wire::ip::Protocol;
use proptest::collection::vec;
use proptest::prelude::*;

/// RFC 1071 section 4.1, word by word.
fn naive(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The register of RFC 9260 appendix A, bit by bit.
fn naive_crc(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn rfc_1071_example() {
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(checksum(&bytes), !0xddf2);
    assert_eq!(checksum(&[]), 0xffff);
    assert_eq!(checksum(&[0xab]), !0xab00);
}

#[test]
fn rfc_1624_example() {
    // Section 4: equation 3 gives 0x0000 where equation 2 gave 0xffff.
    assert_eq!(update_u16(0xdd2f, 0x5555, 0x3285), 0x0000);
}

#[test]
fn crc32c_known_answers() {
    // RFC 3720 appendix B.4.
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc32c(&[]), 0);
}

#[test]
fn zero_is_stored_as_its_equal() {
    assert_eq!(never_zero(0), 0xffff);
    assert_eq!(never_zero(0x1234), 0x1234);
    assert_eq!(never_zero(0xffff), 0xffff);
}

#[test]
fn a_long_run_of_ones_keeps_its_carries() {
    let bytes = vec![0xff; 65535];
    assert_eq!(checksum(&bytes), naive(&bytes));
    assert_eq!(checksum(&bytes[1..]), naive(&bytes[1..]));
}

proptest! {
    #[test]
    fn sum_equals_the_naive_sum(bytes in vec(any::<u8>(), 0..300), at in 0_usize..9) {
        let bytes = bytes.get(at..).unwrap_or_default();
        prop_assert_eq!(checksum(bytes), naive(bytes));
    }

    #[test]
    fn sum_does_not_see_where_segments_are_cut(
        bytes in vec(any::<u8>(), 0..200),
        cuts in vec(0_usize..200, 0..4),
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let (mut sum, mut crc, mut from) = (Sum::new(), Crc32c::new(), 0);
        for to in cuts {
            sum = sum.with(&bytes[from..to]);
            crc = crc.with(&bytes[from..to]);
            from = to;
        }
        prop_assert_eq!(sum.finish(), naive(&bytes));
        prop_assert_eq!(crc.finish(), naive_crc(&bytes));
    }

    #[test]
    fn stored_sum_verifies_and_a_flipped_bit_does_not(
        mut bytes in vec(any::<u8>(), 2..200),
        bit in any::<prop::sample::Index>(),
    ) {
        bytes[..2].fill(0);
        let stored = checksum(&bytes);
        bytes[..2].copy_from_slice(&stored.to_be_bytes());
        prop_assert!(Sum::new().with(&bytes).is_valid());
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        prop_assert!(!Sum::new().with(&bytes).is_valid());
    }

    #[test]
    fn update_equals_summing_again(
        mut bytes in vec(any::<u8>(), 18..120),
        new: [u8; 16],
        at in any::<prop::sample::Index>(),
        width in prop::sample::select(vec![2_usize, 4, 16]),
    ) {
        // Something that stays and is not zero: else zero has two encodings (RFC 1624 section 3).
        bytes[0] |= 1;
        let at = 2 + at.index((bytes.len() - 2 - width) / 2 + 1) * 2;
        let before = checksum(&bytes);
        let mut old = [0; 16];
        old[16 - width..].copy_from_slice(&bytes[at..at + width]);
        bytes[at..at + width].copy_from_slice(&new[16 - width..]);
        let (old, new) = (u128::from_be_bytes(old), u128::from_be_bytes(new));
        let updated = match width {
            2 => update_u16(before, old as u16, new as u16),
            4 => update_u32(before, old as u32, new as u32),
            _ => update_u128(before, old, new),
        };
        prop_assert_eq!(updated, naive(&bytes));
    }

    #[test]
    fn pseudo_header_equals_its_bytes(
        src: [u8; 16], dst: [u8; 16], protocol: u8, payload in vec(any::<u8>(), 0..64),
    ) {
        let len = payload.len() as u32;
        let v6 = [&src[..], &dst, &len.to_be_bytes(), &[0, 0, 0, protocol], &payload].concat();
        let pseudo = Pseudo::V6 { src: src.into(), dst: dst.into() };
        let sum = pseudo.sum(Protocol(protocol), payload.len()).with(&payload);
        prop_assert_eq!(sum.finish(), naive(&v6));

        let (src, dst) = ([src[0], src[1], src[2], src[3]], [dst[0], dst[1], dst[2], dst[3]]);
        let len = payload.len() as u16;
        let v4 = [&src[..], &dst, &[0, protocol], &len.to_be_bytes(), &payload].concat();
        let pseudo = Pseudo::V4 { src: src.into(), dst: dst.into() };
        let sum = pseudo.sum(Protocol(protocol), payload.len()).with(&payload);
        prop_assert_eq!(sum.finish(), naive(&v4));
    }

    #[test]
    fn crc_equals_the_bitwise_crc(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(crc32c(&bytes), naive_crc(&bytes));
    }
}
