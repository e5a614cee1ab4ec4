//! Network service headers (RFC 8300), as actions carry them.

use smallvec::SmallVec;

/// The fields that a flow can match and set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// Flags: 2 bits.
    pub flags: u8,
    /// TTL: 6 bits.
    pub ttl: u8,
    /// Metadata type: 1 (four context words) or 2 (variable).
    pub mdtype: u8,
    /// Next protocol.
    pub np: u8,
    /// Service path identifier: 24 bits.
    pub spi: u32,
    /// Service index.
    pub si: u8,
    /// Context words of metadata type 1.
    pub context: [u32; 4],
}

/// A header to push.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Its fields.
    pub key: Key,
    /// Metadata of type 2 as on the wire, a multiple of four bytes; empty for type 1.
    pub metadata2: SmallVec<[u8; 32]>,
}
