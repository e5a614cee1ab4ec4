//! Identifiers as newtypes, so that mixing two of them does not compile.

use core::fmt;

/// A port number of the datapath (the "odp port"): an index that the datapath hands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortNo(pub u32);

impl PortNo {
    /// No port: also the in_port of a packet that entered by no port.
    pub const NONE: Self = Self(u32::MAX);
}

impl fmt::Display for PortNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An OpenFlow port number of a bridge. 16 bits, as in OpenFlow 1.0; later versions widen the
/// reserved ones to 32 bits on the wire ([`OfPort::to_wire32`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OfPort(pub u16);

impl OfPort {
    /// Largest number that an ordinary port may have, exclusive (OFPP_MAX).
    pub const MAX: Self = Self(0xff00);
    /// The action set's output is unset (OXM `actset_output`).
    pub const UNSET: Self = Self(0xfff7);
    /// Back where it came from.
    pub const IN_PORT: Self = Self(0xfff8);
    /// To table 0, from a packet-out.
    pub const TABLE: Self = Self(0xfff9);
    /// The switch's own L2 processing.
    pub const NORMAL: Self = Self(0xfffa);
    /// Every port but the input, unless it says no-flood.
    pub const FLOOD: Self = Self(0xfffb);
    /// Every port but the input.
    pub const ALL: Self = Self(0xfffc);
    /// The controllers.
    pub const CONTROLLER: Self = Self(0xfffd);
    /// The bridge's local port.
    pub const LOCAL: Self = Self(0xfffe);
    /// No port; in flow-mods "any".
    pub const NONE: Self = Self(0xffff);

    /// The names of the reserved ports, as flow text spells them.
    pub const RESERVED: [(Self, &'static str); 9] = [
        (Self::UNSET, "UNSET"),
        (Self::IN_PORT, "IN_PORT"),
        (Self::TABLE, "TABLE"),
        (Self::NORMAL, "NORMAL"),
        (Self::FLOOD, "FLOOD"),
        (Self::ALL, "ALL"),
        (Self::CONTROLLER, "CONTROLLER"),
        (Self::LOCAL, "LOCAL"),
        (Self::NONE, "ANY"),
    ];

    /// The number as OpenFlow 1.1 and later carry it: reserved numbers move to 0xffffffxx.
    #[must_use]
    pub const fn to_wire32(self) -> u32 {
        if self.0 >= Self::MAX.0 { 0xffff_0000 | self.0 as u32 } else { self.0 as u32 }
    }

    /// The inverse of [`Self::to_wire32`]; `None` for numbers that no 16-bit port has.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "both arms are bounded to 16 bits")]
    pub const fn from_wire32(wire: u32) -> Option<Self> {
        if wire < Self::MAX.0 as u32 || wire >= 0xffff_0000 | Self::MAX.0 as u32 {
            Some(Self(wire as u16))
        } else {
            None
        }
    }
}

impl fmt::Display for OfPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::RESERVED.iter().find(|(port, _)| port == self) {
            Some((_, name)) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

/// A recirculation id: which continuation a packet resumes when it enters the datapath again.
/// Zero is a packet's first pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecircId(pub u32);

/// A meter of the datapath.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MeterId(pub u32);

/// A bond whose members the datapath chooses from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BondId(pub u32);

/// A conntrack zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zone(pub u16);

/// The unique id of a megaflow: 128 bits, derived from its mask and its masked key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ufid(pub u128);

impl fmt::Display for Ufid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            v >> 96,
            (v >> 80) & 0xffff,
            (v >> 64) & 0xffff,
            (v >> 48) & 0xffff,
            v & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Ufid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{OfPort, Ufid};

    #[test]
    fn reserved_ports_widen_and_narrow() {
        for port in [OfPort(0), OfPort(1), OfPort(0xfeff), OfPort::LOCAL, OfPort::NONE] {
            assert_eq!(OfPort::from_wire32(port.to_wire32()), Some(port));
        }
        assert_eq!(OfPort::LOCAL.to_wire32(), 0xffff_fffe);
        assert_eq!(OfPort::from_wire32(0xff00), None);
    }

    #[test]
    fn ufid_prints_as_a_uuid() {
        let ufid = Ufid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(ufid.to_string(), "01234567-89ab-cdef-0123-456789abcdef");
    }
}
