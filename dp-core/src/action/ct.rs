//! Connection tracking, as actions ask for it.

use core::net::IpAddr;

use super::Masked;
use crate::base::Zone;

/// Looks a packet up in the connection table, and perhaps enters or changes its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ct {
    /// Enters the connection if it is new.
    pub commit: bool,
    /// Enters it anew if the packet goes against its direction.
    pub force: bool,
    /// The zone.
    pub zone: Zone,
    /// Changes the connection's mark.
    pub mark: Option<Masked<u32>>,
    /// Changes the connection's label.
    pub label: Option<Masked<u128>>,
    /// Follows the protocol for further connections that it announces.
    pub helper: Option<Helper>,
    /// Translates addresses.
    pub nat: Option<Nat>,
    /// Timeout policy, by name; `None` is the zone's.
    pub timeout: Option<Box<str>>,
    /// Which events are told, as bits; `None`: all.
    pub event_mask: Option<u32>,
}

/// A protocol whose control connection announces others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Helper {
    /// FTP (RFC 959, RFC 2428).
    Ftp,
    /// TFTP (RFC 1350).
    Tftp,
}

impl Helper {
    /// Its name in text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ftp => "ftp",
            Self::Tftp => "tftp",
        }
    }
}

/// Address translation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Nat {
    /// For new connections that are committed: what to translate to. `None` translates packets of
    /// connections that have a translation already.
    pub to: Option<NatTarget>,
    /// What the other end is translated to as well.
    pub also: Option<NatTarget>,
}

/// What a new connection is translated to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NatTarget {
    /// Which end.
    pub end: NatEnd,
    /// First and last address; `None` keeps the address.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// First and last port; `None` keeps the port if it is free.
    pub ports: Option<(u16, u16)>,
    /// The same address for all connections of a host.
    pub persistent: bool,
    /// How a port is chosen.
    pub choice: NatChoice,
}

/// The end of a connection that is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NatEnd {
    /// The source of the original direction.
    Src,
    /// The destination of the original direction.
    Dst,
}

/// How a port is chosen from the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NatChoice {
    /// The packet's own if possible.
    #[default]
    Default,
    /// By a hash of the connection.
    Hash,
    /// At random.
    Random,
}
