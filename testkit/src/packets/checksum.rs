//! The two checksums of the packets here, in their plainest form.
//!
//! Speed is no aim; being obviously right is, as these judge faster ones.

/// Adds `octets` to the one's complement sum `sum` of 16-bit words (RFC 1071), not yet folded.
///
/// An odd last octet counts as the upper half of a word, so only the last of several calls may pass
/// an odd number.
#[must_use]
pub fn internet_sum(sum: u32, octets: &[u8]) -> u32 {
    let (words, last) = octets.as_chunks::<2>();
    let mut sum =
        words.iter().fold(sum, |sum, word| fold(sum + u32::from(u16::from_be_bytes(*word))));
    if let [octet] = last {
        sum = fold(sum + (u32::from(*octet) << 8));
    }
    sum
}

/// The checksum of a sum: folded and complemented.
pub(super) fn finish(sum: u32) -> u16 {
    !(fold(fold(sum)) as u16)
}

fn fold(sum: u32) -> u32 {
    (sum & 0xffff) + (sum >> 16)
}

/// CRC-32C (Castagnoli) as SCTP uses it (RFC 9260 appendix A).
#[must_use]
pub fn crc32c(octets: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for octet in octets {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}
