//! Statistics of flows, and of all flows that a match covers.

use dp_core::base::{Duration, OfPort};

use super::actions::instructions;
use super::matches::{self, fixed, flow};
use super::port::put_duration;
use super::stats::Stats;
use super::wire::{Cursor, Put};
use super::{Code, Version};
use crate::action::Action;
use crate::group::GroupId;
use crate::matching::Match;

/// Which flows are asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowStatsRequest {
    /// One table's; `None`: all tables'.
    pub table: Option<u8>,
    /// Those that this match covers.
    pub matching: Match,
    /// Those that output to this port.
    pub out_port: Option<OfPort>,
    /// Those that use this group.
    pub out_group: Option<GroupId>,
    /// Those with this cookie under its mask.
    pub cookie: u64,
    /// Which bits of the cookie count.
    pub cookie_mask: u64,
}

impl FlowStatsRequest {
    /// Reads the body of OpenFlow 1.0's request.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn decode10(body: &[u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let matching = fixed::decode10(&mut from)?;
        let table = from.u8()?;
        from.skip(1)?;
        let out_port = OfPort(from.u16()?);
        Ok(Self {
            table: (table != 0xff).then_some(table),
            matching,
            out_port: (out_port != OfPort::NONE).then_some(out_port),
            ..Self::default()
        })
    }

    /// Reads the body of the extension's request.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn decode_nicira(body: &[u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let (out_port, len) = (OfPort(from.u16()?), usize::from(from.u16()?));
        let table = from.u8()?;
        from.skip(3)?;
        let list = flow::decode(from.sub(len)?, flow::Unknown::Refuse)?;
        let (cookie, cookie_mask) = list.cookie.unwrap_or((0, 0));
        Ok(Self {
            table: (table != 0xff).then_some(table),
            matching: list.matching,
            out_port: (out_port != OfPort::NONE).then_some(out_port),
            out_group: None,
            cookie,
            cookie_mask,
        })
    }

    /// Reads the body of a request of OpenFlow 1.1 and later.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn decode11(body: &[u8], version: Version) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let table = from.u8()?;
        from.skip(3)?;
        let out_port = from.port(version, Code::BrcBadPort)?;
        let out_group = GroupId(from.u32()?);
        from.skip(4)?;
        let (cookie, cookie_mask) = (from.u64()?, from.u64()?);
        let matching = matches::decode(&mut from)?;
        Ok(Self {
            table: (table != 0xff).then_some(table),
            matching,
            out_port: (out_port != OfPort::NONE).then_some(out_port),
            out_group: (out_group != GroupId::ANY).then_some(out_group),
            cookie: cookie & cookie_mask,
            cookie_mask,
        })
    }
}

/// The form of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As the version's specification has it.
    Standard,
    /// As the extension to OpenFlow 1.0 and 1.1 has it.
    Nicira,
}

/// What is said of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStats<'a> {
    /// Its table.
    pub table: u8,
    /// How long it has been there.
    pub duration: Duration,
    /// Its priority.
    pub priority: u16,
    /// Its idle timeout.
    pub idle_timeout: u16,
    /// Its hard timeout.
    pub hard_timeout: u16,
    /// How long since its last packet.
    pub idle_age: Duration,
    /// How long since its last change.
    pub hard_age: Duration,
    /// Its flags, as [`super::flow_mod::rule_flags`] gives them.
    pub flags: u16,
    /// Its importance.
    pub importance: u16,
    /// Its cookie.
    pub cookie: u64,
    /// Packets it has matched.
    pub packets: u64,
    /// Bytes it has matched.
    pub bytes: u64,
    /// Its match.
    pub matching: &'a Match,
    /// What it does.
    pub actions: &'a [Action],
}

impl FlowStats<'_> {
    /// Writes it as one entry of a reply.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version, form: Form) {
        let start = out.len();
        match (form, version) {
            (Form::Nicira, _) => self.encode_nicira(out, version),
            (_, Version::V15) => self.encode15(out),
            _ => self.encode_standard(out, version),
        }
        out.put_len(start, 0);
    }

    fn encode_nicira(&self, out: &mut Vec<u8>, version: Version) {
        // An age of zero means that it is not known, so one second is added to each.
        let age =
            |age: Duration| u16::try_from(age.as_secs().saturating_add(1)).unwrap_or(u16::MAX);
        out.zeros(2);
        out.put8(self.table);
        out.put8(0);
        put_duration(out, self.duration);
        for number in [self.priority, self.idle_timeout, self.hard_timeout, 0] {
            out.put16(number);
        }
        let len_at = out.len() - 2;
        out.put16(age(self.idle_age));
        out.put16(age(self.hard_age));
        for number in [self.cookie, self.packets, self.bytes] {
            out.put64(number);
        }
        let start = out.len();
        flow::encode(out, self.matching, Version::V10);
        out.set16(len_at, u16::try_from(out.len() - start).unwrap_or(u16::MAX));
        out.pad8(start);
        instructions::encode_matched(out, self.actions, self.matching, version);
    }

    fn encode_standard(&self, out: &mut Vec<u8>, version: Version) {
        out.zeros(2);
        out.put8(self.table);
        out.put8(0);
        if version == Version::V10 {
            fixed::encode10(out, self.matching);
        }
        put_duration(out, self.duration);
        for number in [self.priority, self.idle_timeout, self.hard_timeout] {
            out.put16(number);
        }
        match version {
            Version::V13 | Version::V14 => {
                out.put16(self.flags);
                out.put16(if version == Version::V14 { self.importance } else { 0 });
                out.zeros(2);
            }
            _ => out.zeros(6),
        }
        for number in [self.cookie, self.packets, self.bytes] {
            out.put64(number);
        }
        if version > Version::V10 {
            // OpenFlow 1.1 too: its own structure could not say what a rule of another version does.
            matches::encode_fields(out, self.matching, version);
        }
        instructions::encode_matched(out, self.actions, self.matching, version);
    }

    fn encode15(&self, out: &mut Vec<u8>) {
        out.zeros(4);
        out.put8(self.table);
        out.put8(0);
        for number in
            [self.priority, self.idle_timeout, self.hard_timeout, self.flags, self.importance]
        {
            out.put16(number);
        }
        out.put64(self.cookie);
        matches::encode(out, self.matching, Version::V15);
        let stats = Stats {
            duration: Some(self.duration),
            idle: Some(self.idle_age),
            flows: None,
            packets: Some(self.packets),
            bytes: Some(self.bytes),
        };
        stats.encode(out);
        instructions::encode_matched(out, self.actions, self.matching, Version::V15);
    }
}

/// Sums over flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aggregate {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// How many flows.
    pub flows: u32,
}

impl Aggregate {
    /// Writes the body of a reply.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        if version == Version::V15 {
            let stats = Stats {
                flows: Some(self.flows),
                packets: Some(self.packets),
                bytes: Some(self.bytes),
                ..Stats::default()
            };
            return stats.encode(out);
        }
        out.put64(self.packets);
        out.put64(self.bytes);
        out.put32(self.flows);
        out.zeros(4);
    }
}
