//! Flow monitors: requests, and what they are told (OpenFlow 1.4 section 7.3.5.18, the foundation's
//! extension to 1.3, Nicira's to 1.0).

use dp_core::base::OfPort;

use super::actions::instructions;
use super::matches::{self, flow};
use super::wire::{Cursor, Put};
use super::{Code, Version};
use crate::action::Action;
use crate::group::GroupId;
use crate::matching::Match;

/// What a monitor asks for, as OpenFlow 1.4 numbers it.
pub mod flag {
    /// The flows there are, at first.
    pub const INITIAL: u16 = 1;
    /// Flows that are added.
    pub const ADD: u16 = 1 << 1;
    /// Flows that are removed.
    pub const REMOVED: u16 = 1 << 2;
    /// Flows that are changed.
    pub const MODIFY: u16 = 1 << 3;
    /// Instructions come along.
    pub const INSTRUCTIONS: u16 = 1 << 4;
    /// The own controller's changes are told whole, not briefly. (Nicira's `OWN` is this bit.)
    pub const NO_ABBREV: u16 = 1 << 5;
    /// The same: tools set this bit for their `own`, though the specification has it leave out what
    /// others change.
    pub const OWN: u16 = 1 << 6;
    /// All.
    pub const ALL: u16 = 0x7f;
}

/// What to do with a monitor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Command {
    /// Begin.
    #[default]
    Add,
    /// Change it.
    Modify,
    /// End it.
    Delete,
}

/// A request for a flow monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorRequest {
    /// Its number.
    pub id: u32,
    /// What to do.
    pub command: Command,
    /// [`flag`].
    pub flags: u16,
    /// Flows that output here.
    pub out_port: Option<OfPort>,
    /// Flows that use this group.
    pub out_group: Option<GroupId>,
    /// One table's; `None`: all tables'.
    pub table: Option<u8>,
    /// Flows that this covers.
    pub matching: Match,
}

/// Which family of messages a monitor speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Nicira's.
    Nicira,
    /// The foundation's, and OpenFlow 1.4's.
    Standard,
}

impl MonitorRequest {
    /// Reads all requests of a message.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn decode_all(version: Version, dialect: Dialect, body: &[u8]) -> Result<Vec<Self>, Code> {
        let mut from = Cursor::new(body);
        let mut requests = Vec::new();
        while !from.is_empty() {
            requests.push(match (dialect, version) {
                (Dialect::Nicira, _) => Self::decode_nicira(&mut from)?,
                (_, Version::V14 | Version::V15) => Self::decode14(&mut from)?,
                _ => Self::decode_onf(&mut from)?,
            });
        }
        Ok(requests)
    }

    fn decode_nicira(from: &mut Cursor<'_>) -> Result<Self, Code> {
        let (id, flags, out_port) = (from.u32()?, from.u16()?, OfPort(from.u16()?));
        let (len, table) = (usize::from(from.u16()?), from.u8()?);
        from.zeros(5, Code::NxbrcMustBeZero)?;
        if flags & !0x3f != 0 || flags & 0xf == 0 {
            return Err(Code::MofcBadFlags);
        }
        let list = flow::decode(from.sub(len)?, flow::Unknown::Refuse)?;
        from.skip(len.next_multiple_of(8) - len)?;
        // Nicira numbers: INITIAL, ADD, DELETE, MODIFY, ACTIONS, OWN.
        let own = if flags & 1 << 5 != 0 { flag::NO_ABBREV } else { 0 };
        Ok(Self {
            id,
            command: Command::Add,
            flags: flags & 0x1f | own,
            out_port: (out_port != OfPort::NONE).then_some(out_port),
            out_group: None,
            table: (table != 0xff).then_some(table),
            matching: list.matching,
        })
    }

    fn decode_onf(from: &mut Cursor<'_>) -> Result<Self, Code> {
        let (id, flags, len) = (from.u32()?, from.u16()?, usize::from(from.u16()?));
        let out_port = from.port(Version::V13, Code::MofcBadOut)?;
        let table = from.u8()?;
        from.zeros(3, Code::NxbrcMustBeZero)?;
        // What is there besides: INITIAL, ADD, DELETE, MODIFY, INSTRUCTIONS, OWN.
        if flags & !0x3f != 0 || flags & 0xf == 0 {
            return Err(Code::MofcBadFlags);
        }
        // The length is the one without the padding, which the match has all the same.
        let mut fields = from.sub(len.next_multiple_of(8))?;
        let matching = matches::decode(&mut fields)?;
        Ok(Self {
            id,
            command: Command::Add,
            flags,
            out_port: (out_port != OfPort::NONE).then_some(out_port),
            out_group: None,
            table: (table != 0xff).then_some(table),
            matching,
        })
    }

    fn decode14(from: &mut Cursor<'_>) -> Result<Self, Code> {
        let id = from.u32()?;
        let out_port = from.port(Version::V14, Code::MofcBadOut)?;
        let (out_group, flags) = (GroupId(from.u32()?), from.u16()?);
        let (table, command) = (from.u8()?, from.u8()?);
        let command = match command {
            0 => Command::Add,
            1 => Command::Modify,
            2 => Command::Delete,
            _ => return Err(Code::MofcBadCommand),
        };
        if flags & !flag::ALL != 0 || command != Command::Delete && flags & 0xf == 0 {
            return Err(Code::MofcBadFlags);
        }
        Ok(Self {
            id,
            command,
            flags,
            out_port: (out_port != OfPort::NONE).then_some(out_port),
            out_group: (out_group != GroupId::ANY).then_some(out_group),
            table: (table != 0xff).then_some(table),
            matching: matches::decode(from)?,
        })
    }
}

/// What happened to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was there when the monitor began.
    Initial,
    /// It was added.
    Added,
    /// It was removed, for this reason ([`super::packet::RemovedReason`]).
    Removed(u8),
    /// It was changed.
    Modified,
}

/// One thing that a monitor is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update<'a> {
    /// What happened to a flow.
    Full {
        /// What.
        event: Event,
        /// Its table.
        table: u8,
        /// Its idle timeout.
        idle_timeout: u16,
        /// Its hard timeout.
        hard_timeout: u16,
        /// Its priority.
        priority: u16,
        /// Its cookie.
        cookie: u64,
        /// Its match.
        matching: &'a Match,
        /// What it does, if the monitor wants to know.
        actions: Option<&'a [Action]>,
    },
    /// The controller's own request has been carried out.
    Abbreviated {
        /// The request.
        xid: u32,
    },
    /// From here on something is missing.
    Paused,
    /// From here on nothing is missing.
    Resumed,
}

impl Update<'_> {
    /// Writes it as an entry of a reply.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version, dialect: Dialect) {
        let start = out.len();
        let modern = dialect == Dialect::Standard && version >= Version::V14;
        out.zeros(2);
        match self {
            Self::Full { event, .. } => {
                // Nicira's and the foundation's numbers begin with "added".
                let (number, reason) = match (modern, event) {
                    (true, Event::Initial) => (0, 0),
                    (true, Event::Added) => (1, 0),
                    (true, Event::Removed(reason)) => (2, *reason),
                    (true, Event::Modified) => (3, 0),
                    (false, Event::Initial | Event::Added) => (0, 0),
                    (false, Event::Removed(reason)) => (1, *reason),
                    (false, Event::Modified) => (2, 0),
                };
                out.put16(number);
                self.encode_full(out, version, modern, reason);
            }
            Self::Abbreviated { xid } => {
                out.put16(if modern { 4 } else { 3 });
                out.put32(*xid);
            }
            Self::Paused => {
                out.put16(5);
                out.zeros(4);
            }
            Self::Resumed => {
                out.put16(6);
                out.zeros(4);
            }
        }
        out.put_len(start, 0);
    }

    fn encode_full(&self, out: &mut Vec<u8>, version: Version, modern: bool, reason: u8) {
        let Self::Full {
            table,
            idle_timeout,
            hard_timeout,
            priority,
            cookie,
            matching,
            actions,
            ..
        } = self
        else {
            return;
        };
        if modern {
            out.put8(*table);
            out.put8(reason);
            for number in [*idle_timeout, *hard_timeout, *priority] {
                out.put16(number);
            }
            out.zeros(4);
            out.put64(*cookie);
            matches::encode(out, matching, version);
        } else {
            out.put16(u16::from(reason));
            for number in [*priority, *idle_timeout, *hard_timeout, 0] {
                out.put16(number);
            }
            let len_at = out.len() - 2;
            out.put8(*table);
            out.put8(0);
            out.put64(*cookie);
            let start = out.len();
            let len = match version {
                Version::V10 | Version::V11 => {
                    flow::encode(out, matching, version);
                    u16::try_from(out.len() - start).unwrap_or(u16::MAX)
                }
                _ => {
                    matches::encode(out, matching, version);
                    // What the match says itself, without the padding behind it.
                    let own = out.get(start + 2..).and_then(|it| it.first_chunk());
                    own.map_or(0, |len| u16::from_be_bytes(*len))
                }
            };
            out.set16(len_at, len);
            out.pad8(start);
        }
        if let Some(actions) = actions {
            instructions::encode_matched(out, actions, matching, version);
        }
    }
}
