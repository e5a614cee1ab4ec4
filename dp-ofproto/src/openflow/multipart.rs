//! Requests and replies of several parts (OpenFlow 1.3, section A.3.5; statistics in 1.0).
//!
//! A reply is written entry by entry; where an entry would not fit into a message any more, the
//! message ends with "more follows" and the next one begins.

use super::wire::{Cursor, Put};
use super::{Code, Header, Version, experimenter};

/// Kinds of requests, as the specifications number them.
pub mod kind {
    /// Who made the switch.
    pub const DESC: u16 = 0;
    /// Flows.
    pub const FLOW: u16 = 1;
    /// Sums over flows.
    pub const AGGREGATE: u16 = 2;
    /// Tables.
    pub const TABLE: u16 = 3;
    /// Ports.
    pub const PORT: u16 = 4;
    /// Queues.
    pub const QUEUE: u16 = 5;
    /// Groups.
    pub const GROUP: u16 = 6;
    /// Descriptions of groups.
    pub const GROUP_DESC: u16 = 7;
    /// What groups can be.
    pub const GROUP_FEATURES: u16 = 8;
    /// Meters.
    pub const METER: u16 = 9;
    /// Descriptions of meters.
    pub const METER_CONFIG: u16 = 10;
    /// What meters can be.
    pub const METER_FEATURES: u16 = 11;
    /// What tables can be.
    pub const TABLE_FEATURES: u16 = 12;
    /// Descriptions of ports.
    pub const PORT_DESC: u16 = 13;
    /// Descriptions of tables.
    pub const TABLE_DESC: u16 = 14;
    /// Descriptions of queues.
    pub const QUEUE_DESC: u16 = 15;
    /// Flow monitors.
    pub const FLOW_MONITOR: u16 = 16;
    /// Somebody's own.
    pub const EXPERIMENTER: u16 = 0xffff;
}

/// Message types of requests and replies.
#[must_use]
pub const fn types(version: Version) -> (u8, u8) {
    match version {
        Version::V10 => (16, 17),
        _ => (18, 19),
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`kind`].
    Standard(u16),
    /// [`experimenter::nicira_stats`].
    Nicira(u32),
    /// [`experimenter::onf`].
    Onf(u32),
}

/// A request, not yet read further.
#[derive(Clone, Copy, Debug)]
pub struct MultipartRequest<'a> {
    /// What it asks for.
    pub kind: Kind,
    /// Whether more parts follow.
    pub more: bool,
    /// What is said of it.
    pub body: &'a [u8],
}

/// Reads the head of a request.
///
/// # Errors
///
/// If it is too short, or of an experimenter that is not known.
pub fn decode(version: Version, body: &[u8]) -> Result<MultipartRequest<'_>, Code> {
    let mut from = Cursor::new(body);
    let (ty, flags) = (from.u16()?, from.u16()?);
    if version > Version::V10 {
        from.skip(4)?;
    }
    let kind = match ty {
        kind::EXPERIMENTER => {
            let vendor = from.u32()?;
            let subtype = from.u32()?;
            if version == Version::V10 && vendor == experimenter::id::NICIRA {
                from.skip(4)?;
            }
            match vendor {
                experimenter::id::NICIRA => Kind::Nicira(subtype),
                experimenter::id::ONF => Kind::Onf(subtype),
                _ => return Err(Code::BrcBadVendor),
            }
        }
        ty => Kind::Standard(ty),
    };
    Ok(MultipartRequest { kind, more: flags & 1 != 0, body: from.rest() })
}

/// A reply in the making.
#[derive(Debug)]
pub struct Reply {
    version: Version,
    xid: u32,
    kind: Kind,
    done: Vec<Vec<u8>>,
    current: Vec<u8>,
    entry: Vec<u8>,
}

impl Reply {
    /// An empty reply to a request of that kind.
    #[must_use]
    pub fn new(version: Version, xid: u32, kind: Kind) -> Self {
        let mut reply =
            Self { version, xid, kind, done: Vec::new(), current: Vec::new(), entry: Vec::new() };
        reply.begin();
        reply
    }

    /// Adds an entry that `write` writes; one that no message could hold is left out.
    pub fn entry(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.entry.clear();
        let mut entry = std::mem::take(&mut self.entry);
        write(&mut entry);
        if !self.fits(&entry) {
            self.current.set16(FLAGS_AT, 1);
            self.finish_current();
            self.begin();
        }
        if self.fits(&entry) {
            self.current.put(&entry);
        }
        self.entry = entry;
    }

    /// Whether the message that entries are added to now can hold another one.
    #[must_use]
    pub fn fits(&self, entry: &[u8]) -> bool {
        self.current.len() + entry.len() <= usize::from(u16::MAX)
    }

    /// Whether it has no entry yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.done.is_empty() && self.current.len() <= 24
    }

    /// The last message alone, for a reply that is made in parts: `more` of them follow.
    #[must_use]
    pub fn finish_part(mut self, more: bool) -> Option<Vec<u8>> {
        if more {
            self.current.set16(FLAGS_AT, 1);
        }
        self.finish_current();
        self.done.pop()
    }

    /// The messages.
    #[must_use]
    pub fn finish(mut self) -> Vec<Vec<u8>> {
        self.finish_current();
        self.done
    }

    fn begin(&mut self) {
        let out = &mut self.current;
        Header::begin(out, self.version, types(self.version).1, self.xid);
        let (ty, vendor) = match self.kind {
            Kind::Standard(ty) => (ty, None),
            Kind::Nicira(subtype) => {
                (kind::EXPERIMENTER, Some((experimenter::id::NICIRA, subtype)))
            }
            Kind::Onf(subtype) => (kind::EXPERIMENTER, Some((experimenter::id::ONF, subtype))),
        };
        out.put16(ty);
        out.put16(0);
        if self.version > Version::V10 {
            out.zeros(4);
        }
        if let Some((vendor, subtype)) = vendor {
            out.put32(vendor);
            out.put32(subtype);
            if self.version == Version::V10 && vendor == experimenter::id::NICIRA {
                out.zeros(4);
            }
        }
    }

    fn finish_current(&mut self) {
        Header::end(&mut self.current, 0);
        self.done.push(std::mem::take(&mut self.current));
    }
}

/// Where the flags of a reply stand.
const FLAGS_AT: usize = 10;

#[cfg(test)]
mod tests {
    use super::{Kind, Reply, kind};
    use crate::openflow::Version;

    #[test]
    fn long_replies_are_split_between_entries() {
        let mut reply = Reply::new(Version::V13, 7, Kind::Standard(kind::FLOW));
        for _ in 0..100 {
            reply.entry(|out| out.extend_from_slice(&[1; 1000]));
        }
        let messages = reply.finish();
        assert_eq!(messages.len(), 2);
        let lengths: Vec<_> =
            messages.iter().map(|message| u16::from_be_bytes([message[2], message[3]])).collect();
        assert_eq!(lengths.iter().map(|len| usize::from(*len) - 16).sum::<usize>(), 100_000);
        assert_eq!((messages[0][11], messages[1][11]), (1, 0));
    }
}
