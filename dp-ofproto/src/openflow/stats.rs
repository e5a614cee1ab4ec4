//! OXS: statistics as lists of fields (OpenFlow 1.5, section 7.2.4).

use dp_core::base::Duration;

use super::Code;
use super::port::put_duration;
use super::wire::{Cursor, Put};

const CLASS: u16 = 0x8002;
const DURATION: u8 = 0;
const IDLE_TIME: u8 = 1;
const FLOW_COUNT: u8 = 3;
const PACKET_COUNT: u8 = 4;
const BYTE_COUNT: u8 = 5;

/// What a list of statistics says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How long something has been there.
    pub duration: Option<Duration>,
    /// How long it has been idle.
    pub idle: Option<Duration>,
    /// How many flows.
    pub flows: Option<u32>,
    /// How many packets.
    pub packets: Option<u64>,
    /// How many bytes.
    pub bytes: Option<u64>,
}

impl Stats {
    /// Writes them as `ofp_stats`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.zeros(4);
        let head = |out: &mut Vec<u8>, number: u8, len: u8| {
            out.put16(CLASS);
            out.put8(number << 1);
            out.put8(len);
        };
        if let Some(duration) = self.duration {
            head(out, DURATION, 8);
            put_duration(out, duration);
        }
        if let Some(idle) = self.idle {
            head(out, IDLE_TIME, 8);
            put_duration(out, idle);
        }
        if let Some(flows) = self.flows {
            head(out, FLOW_COUNT, 4);
            out.put32(flows);
        }
        if let Some(packets) = self.packets {
            head(out, PACKET_COUNT, 8);
            out.put64(packets);
        }
        if let Some(bytes) = self.bytes {
            head(out, BYTE_COUNT, 8);
            out.put64(bytes);
        }
        out.put_len(start, 2);
        out.pad8(start);
    }

    /// Reads `ofp_stats` with its padding; fields that are not known are passed over.
    ///
    /// # Errors
    ///
    /// If a length does not fit.
    pub fn decode(from: &mut Cursor<'_>) -> Result<Self, Code> {
        let mut head = *from;
        head.skip(2)?;
        let len = usize::from(head.u16()?);
        let mut fields = head.sub(len.checked_sub(4).ok_or(Code::BrcBadLen)?)?;
        from.skip(len.next_multiple_of(8))?;
        let mut stats = Self::default();
        while !fields.is_empty() {
            let (class, number, len) = (fields.u16()?, fields.u8()? >> 1, fields.u8()?);
            let mut value = fields.sub(usize::from(len))?;
            let mut duration = || {
                Ok::<_, Code>(Duration::new(u64::from(value.u32()?), value.u32()?.min(999_999_999)))
            };
            match (class, number) {
                (CLASS, DURATION) => stats.duration = Some(duration()?),
                (CLASS, IDLE_TIME) => stats.idle = Some(duration()?),
                (CLASS, FLOW_COUNT) => stats.flows = Some(value.u32()?),
                (CLASS, PACKET_COUNT) => stats.packets = Some(value.u64()?),
                (CLASS, BYTE_COUNT) => stats.bytes = Some(value.u64()?),
                _ => {}
            }
        }
        Ok(stats)
    }
}
