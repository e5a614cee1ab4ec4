//! NetFlow version 5: what IPv4 flows have carried, as records.
//!
//! Flows are credited with what megaflows have carried, when revalidation learns of it. A record is
//! written when a flow has been active for so long, when it goes another way, and when nothing
//! carries it any more. Datagrams go out with the next turn.
//!
//! # Invariants
//!
//! * Flows, and records that nobody has taken, are bounded: what does not fit is written early, or
//!   counted and lost.

mod datagram;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ahash::RandomState;
use dp_core::base::{Duration, Instant};

/// What an exporter is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The engine's type, as collectors know it.
    pub engine_type: u8,
    /// The engine's number.
    pub engine_id: u8,
    /// Puts the engine's number into the numbers of interfaces.
    pub add_id_to_interface: bool,
    /// How long a flow is active before it is told; `None`: only when it ends.
    pub active_timeout: Option<Duration>,
}

/// The active timeout where none is asked for.
pub const ACTIVE_TIMEOUT: Duration = Duration::from_secs(600);

/// Which flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId {
    /// The port that it comes in by.
    pub input: u16,
    /// Source.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
    /// Protocol.
    pub protocol: u8,
    /// Differentiated services and ECN.
    pub tos: u8,
    /// Transport source port; 0 for ICMP.
    pub src_port: u16,
    /// Transport destination port; type and code of ICMP.
    pub dst_port: u16,
}

/// Numbers of outputs that are no port.
pub mod output {
    /// Dropped.
    pub const DROP: u16 = 0xfffd;
    /// To several ports.
    pub const MULTI: u16 = 0xfffe;
    /// Flooded.
    pub const FLOOD: u16 = 0xffff;
}

/// What a flow has carried since it was told last.
#[derive(Clone, Copy, Debug)]
struct Flow {
    output: u16,
    packets: u64,
    bytes: u64,
    tcp_flags: u8,
    /// When it was told last, or began.
    told: Instant,
    /// When the first packet of the next record came.
    first: Instant,
    last: Instant,
}

/// A record to be written.
#[derive(Clone, Copy, Debug)]
struct Record {
    id: FlowId,
    output: u16,
    packets: u32,
    bytes: u32,
    tcp_flags: u8,
    first: Instant,
    last: Instant,
}

/// An exporter.
#[derive(Debug)]
pub struct Cache {
    config: Config,
    boot: Instant,
    next_look: Instant,
    flows: HashMap<FlowId, Flow, RandomState>,
    records: Vec<Record>,
    /// Records written so far.
    sequence: u32,
    lost: u64,
}

impl Cache {
    /// An exporter that starts at `now`.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            boot: now,
            next_look: now.after(LOOK),
            flows: HashMap::default(),
            records: Vec::new(),
            sequence: 0,
            lost: 0,
        }
    }

    /// What it was told.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Flows that it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether it knows no flow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Records that were lost since the last call, because nobody took them.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Credits a flow with packets, the last of them at `used`.
    pub fn credit(
        &mut self,
        id: FlowId,
        output: u16,
        (packets, bytes, tcp_flags): (u64, u64, u8),
        used: Instant,
    ) {
        if self.flows.len() >= FLOWS && !self.flows.contains_key(&id) {
            // Room is made where it costs least: all that is known is told.
            let all: Vec<FlowId> = self.flows.keys().copied().collect();
            all.into_iter().for_each(|id| self.end(id));
        }
        let new = Flow {
            output,
            packets: 0,
            bytes: 0,
            tcp_flags: 0,
            told: used,
            first: used,
            last: used,
        };
        let flow = self.flows.entry(id).or_insert(new);
        if flow.output != output {
            let before = *flow;
            *flow = new;
            self.tell(id, &before);
        }
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if flow.packets == 0 {
            flow.first = used;
        }
        flow.packets = flow.packets.saturating_add(packets);
        flow.bytes = flow.bytes.saturating_add(bytes);
        flow.tcp_flags |= tcp_flags;
        flow.last = flow.last.max(used);
    }

    /// Nothing carries a flow any more.
    pub fn end(&mut self, id: FlowId) {
        if let Some(flow) = self.flows.remove(&id) {
            self.tell(id, &flow);
        }
    }

    fn tell(&mut self, id: FlowId, flow: &Flow) {
        let (mut packets, mut bytes) = (flow.packets, flow.bytes);
        // Counters have 32 bits: what is more goes into further records.
        while packets > 0 {
            if self.records.len() >= RECORDS {
                self.lost += 1;
                return;
            }
            let part = packets.min(bytes.div_ceil(u64::from(MOST)).max(1));
            let share = if bytes > u64::from(MOST) {
                (packets / part).max(1)
            } else {
                packets.min(u64::from(u32::MAX))
            };
            let record = Record {
                id,
                output: flow.output,
                packets: u32::try_from(share).unwrap_or(u32::MAX),
                bytes: u32::try_from(bytes.min(u64::from(MOST))).unwrap_or(u32::MAX),
                tcp_flags: flow.tcp_flags,
                first: flow.first,
                last: flow.last,
            };
            self.records.push(record);
            packets = packets.saturating_sub(share);
            bytes = bytes.saturating_sub(u64::from(record.bytes));
        }
    }

    /// Lets time pass, and gives the datagrams that are to be sent; `unix` is the time since 1970.
    pub fn run(&mut self, now: Instant, unix: Duration) -> Vec<Vec<u8>> {
        if let Some(timeout) = self.config.active_timeout
            && now >= self.next_look
        {
            self.next_look = now.after(LOOK);
            let mut due: Vec<(FlowId, bool)> = self
                .flows
                .iter()
                .filter(|(_, flow)| now > flow.told.after(timeout))
                .map(|(id, flow)| (*id, flow.last < flow.told || flow.packets == 0))
                .collect();
            due.sort_unstable();
            for (id, idle) in due {
                if idle {
                    self.end(id);
                } else if let Some(flow) = self.flows.get_mut(&id) {
                    let before = *flow;
                    (flow.packets, flow.bytes, flow.tcp_flags, flow.told) = (0, 0, 0, now);
                    self.tell(id, &before);
                }
            }
        }
        let records = std::mem::take(&mut self.records);
        records.chunks(datagram::RECORDS).map(|records| self.datagram(records, now, unix)).collect()
    }

    fn datagram(&mut self, records: &[Record], now: Instant, unix: Duration) -> Vec<u8> {
        let bytes = datagram::write(&self.config, records, self.sequence, self.boot, now, unix);
        let count = u32::try_from(records.len()).unwrap_or(0);
        self.sequence = self.sequence.wrapping_add(count);
        bytes
    }

    /// When [`Self::run`] has something to do.
    #[must_use]
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        if !self.records.is_empty() {
            return Some(now);
        }
        (self.config.active_timeout.is_some() && !self.flows.is_empty()).then_some(self.next_look)
    }
}

/// Flows that are known at most.
const FLOWS: usize = 65_536;
/// Records that wait at most.
const RECORDS: usize = 131_072;
/// Bytes that a record tells at most.
const MOST: u32 = u32::MAX;
const LOOK: Duration = Duration::from_secs(1);
