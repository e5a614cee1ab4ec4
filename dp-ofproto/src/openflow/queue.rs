//! Queues of ports: configuration and statistics.

use dp_core::base::{Duration, OfPort};

use super::port::put_duration;
use super::wire::{Cursor, Put};
use super::{Code, Version};

/// All queues.
pub const ALL: u32 = 0xffff_ffff;

/// A queue's configuration; rates in tenths of a per cent of the port's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// The port.
    pub port: OfPort,
    /// The queue.
    pub queue: u32,
    /// What it is guaranteed.
    pub min_rate: Option<u16>,
    /// What it may have at most.
    pub max_rate: Option<u16>,
}

impl QueueConfig {
    /// Writes one entry: of a reply of its own before OpenFlow 1.4, of a multipart reply since.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        let start = out.len();
        let len_at = match version {
            Version::V10 | Version::V11 => {
                out.put32(self.queue);
                out.zeros(4);
                4
            }
            Version::V12 | Version::V13 => {
                out.put32(self.queue);
                out.put_port(version, self.port);
                out.zeros(8);
                8
            }
            _ => {
                out.put_port(version, self.port);
                out.put32(self.queue);
                out.zeros(8);
                8
            }
        };
        for (ty, rate) in [(1, self.min_rate), (2, self.max_rate)] {
            let Some(rate) = rate else { continue };
            let at = out.begin_property(ty);
            if version < Version::V14 {
                out.zeros(4);
                out.put16(rate);
                out.zeros(6);
            } else {
                out.put16(rate);
                out.zeros(2);
            }
            out.end_property(at);
        }
        out.put_len(start, len_at);
    }
}

/// Whose queues are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRequest {
    /// One port's; `None`: all ports'.
    pub port: Option<OfPort>,
    /// One queue; `None`: all.
    pub queue: Option<u32>,
}

/// Reads a request for configurations.
///
/// # Errors
///
/// If it is too short.
pub fn decode_config_request(version: Version, body: &[u8]) -> Result<QueueRequest, Code> {
    let mut from = Cursor::new(body);
    let port = from.port(version, Code::QofcBadPort)?;
    let queue = if version >= Version::V14 { from.u32()? } else { ALL };
    let any = port == OfPort::NONE && version > Version::V10;
    Ok(QueueRequest { port: (!any).then_some(port), queue: (queue != ALL).then_some(queue) })
}

/// Reads a request for statistics.
///
/// # Errors
///
/// If it is too short.
pub fn decode_stats_request(version: Version, body: &[u8]) -> Result<QueueRequest, Code> {
    let mut from = Cursor::new(body);
    let port = from.port(version, Code::QofcBadPort)?;
    if version == Version::V10 {
        from.skip(2)?;
    }
    let queue = from.u32()?;
    let any = port == OfPort::NONE || port == OfPort::ALL;
    Ok(QueueRequest { port: (!any).then_some(port), queue: (queue != ALL).then_some(queue) })
}

/// What a queue has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueStats {
    /// The port.
    pub port: OfPort,
    /// The queue.
    pub queue: u32,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets lost.
    pub tx_errors: u64,
    /// Since when.
    pub duration: Duration,
}

impl QueueStats {
    /// Writes one entry of a reply.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        let start = out.len();
        if version >= Version::V14 {
            out.zeros(8);
        }
        out.put_port(version, self.port);
        if version == Version::V10 {
            out.zeros(2);
        }
        out.put32(self.queue);
        for number in [self.tx_bytes, self.tx_packets, self.tx_errors] {
            out.put64(number);
        }
        if version >= Version::V13 {
            put_duration(out, self.duration);
        }
        if version >= Version::V14 {
            out.put_len(start, 0);
        }
    }
}
