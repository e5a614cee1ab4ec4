//! Connection tracking as an action: `ct(…)`, and `nat(…)` inside it.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Action, Subfield};

/// Where the zone of a `ct` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZoneSource {
    /// This one.
    Zone(u16),
    /// The one whose number a subfield holds, at most 16 bits wide.
    Field(Subfield),
}

/// A helper for protocols that negotiate further connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alg {
    /// FTP, RFC 959.
    Ftp,
    /// TFTP, RFC 1350.
    Tftp,
}

impl Alg {
    /// The port number that stands for it on the wire.
    #[must_use]
    pub const fn wire(self) -> u16 {
        match self {
            Self::Ftp => 21,
            Self::Tftp => 69,
        }
    }

    /// What text calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ftp => "ftp",
            Self::Tftp => "tftp",
        }
    }
}

/// `ct(…)`: sends the packet through the connection tracker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ct {
    /// Commit the connection.
    pub commit: bool,
    /// Commit it anew in this packet's direction, if it is known in the other one.
    pub force: bool,
    /// The zone.
    pub zone: ZoneSource,
    /// The table in which the packet goes on when it comes back; `None`: it does not.
    pub table: Option<u8>,
    /// The helper.
    pub alg: Option<Alg>,
    /// Translate addresses.
    pub nat: Option<Nat>,
    /// Translate the other end as well; only where `nat` names one.
    pub nat_also: Option<Nat>,
    /// What is set on a connection that is committed: `set_field` and `move` to the mark and label.
    pub exec: Box<[Action]>,
}

impl Default for Ct {
    fn default() -> Self {
        Self {
            commit: false,
            force: false,
            zone: ZoneSource::Zone(0),
            table: None,
            alg: None,
            nat: None,
            nat_also: None,
            exec: Box::default(),
        }
    }
}

/// Which address is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NatKind {
    /// The source.
    Src,
    /// The destination.
    Dst,
}

/// Addresses to choose from, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NatAddresses {
    /// IPv4.
    V4 {
        /// The first.
        min: Ipv4Addr,
        /// The last; the first if there is one only.
        max: Option<Ipv4Addr>,
    },
    /// IPv6.
    V6 {
        /// The first.
        min: Ipv6Addr,
        /// The last; the first if there is one only.
        max: Option<Ipv6Addr>,
    },
}

/// `nat(…)` of a `ct`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Nat {
    /// Which address a new connection has translated; `None`: only what is known of established
    /// ones is applied.
    pub kind: Option<NatKind>,
    /// To which addresses; `None`: it keeps its own.
    pub addresses: Option<NatAddresses>,
    /// To which ports, first and last; `None`: any.
    pub ports: Option<(u16, Option<u16>)>,
    /// The same address for a client at every time.
    pub persistent: bool,
    /// Ports by hash.
    pub protocol_hash: bool,
    /// Ports at random.
    pub protocol_random: bool,
}
