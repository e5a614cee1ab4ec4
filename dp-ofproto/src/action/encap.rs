//! `encap(…)` and `decap(…)`: headers put on and taken off.

/// Name space and type of a packet's outermost header, as `packet_type` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketType(pub u32);

impl PacketType {
    /// Ethernet: (0,0).
    pub const ETHERNET: Self = Self(0);
    /// NSH: (1,0x894f).
    pub const NSH: Self = Self(0x0001_894f);
    /// MPLS unicast: (1,0x8847).
    pub const MPLS: Self = Self(0x0001_8847);
    /// MPLS multicast: (1,0x8848).
    pub const MPLS_MULTICAST: Self = Self(0x0001_8848);
    /// In `decap`: what the packet turns out to be (0,0xfffe).
    pub const USE_NEXT_PROTO: Self = Self(0x0000_fffe);

    /// Of its parts.
    #[must_use]
    pub const fn new(namespace: u16, ns_type: u16) -> Self {
        Self((namespace as u32) << 16 | ns_type as u32)
    }

    /// The name space.
    #[must_use]
    pub const fn namespace(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The type in it.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    pub const fn ns_type(self) -> u16 {
        self.0 as u16
    }
}

/// A property of a header that is put on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EncapProperty {
    /// NSH metadata type, 1 or 2.
    NshMdType(u8),
    /// An NSH context header of metadata type 2.
    NshTlv {
        /// Class.
        class: u16,
        /// Type.
        kind: u8,
        /// Value.
        value: Box<[u8]>,
    },
}

/// `encap(…)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Encap {
    /// The header that is put on.
    pub packet_type: PacketType,
    /// What is said of it.
    pub properties: Box<[EncapProperty]>,
}
