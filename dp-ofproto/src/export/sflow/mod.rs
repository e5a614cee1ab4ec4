//! sFlow: packets that were sampled and counters that were polled, as datagrams.
//!
//! An agent belongs to one bridge. Samples come in from packet threads at any time; counters are
//! polled as time passes, the ports spread over the interval. What is full goes out at once, the
//! rest when a second is over.
//!
//! # Invariants
//!
//! * Datagrams that nobody has taken are bounded; what does not fit is counted and lost.

mod datagram;
mod path;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use dp_core::base::{Duration, Instant, MacAddr, OfPort};

pub use path::{Path, TunnelPath, ingress};

/// What an agent is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its address, as collectors know it.
    pub agent: IpAddr,
    /// Which of the switch's agents it is.
    pub sub_agent: u32,
    /// One packet in so many is sampled.
    pub sampling: u32,
    /// How often counters are told; zero: never.
    pub polling: Duration,
    /// Bytes of a sampled packet.
    pub header: usize,
}

/// Whom a sample is of: class (8 bits) and index (24 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(pub u32);

impl SourceId {
    /// An interface.
    #[must_use]
    pub const fn interface(ifindex: u32) -> Self {
        Self(ifindex & 0x00ff_ffff)
    }

    /// An agent as a whole.
    #[must_use]
    pub const fn agent(number: u32) -> Self {
        Self(2 << 24 | (1000 + number) & 0x00ff_ffff)
    }
}

/// A packet that was sampled.
#[derive(Clone, Debug)]
pub struct FlowSample<'a> {
    /// Its first bytes.
    pub header: &'a [u8],
    /// How long it is.
    pub frame_len: usize,
    /// The interface that it came in by; 0: none that has a number.
    pub input: u32,
    /// Where it goes, in sFlow's encoding.
    pub output: u32,
    /// Its tag when it came, without the bit that says whether there is one.
    pub vlan_in: u16,
    /// Its tag when it leaves.
    pub vlan_out: u16,
    /// The tunnel that it came out of.
    pub tunnel_in: Option<TunnelPath>,
    /// The tunnel that it goes into.
    pub tunnel_out: Option<TunnelPath>,
    /// The labels that it leaves with, if they are others than it came with.
    pub labels: &'a [u32],
}

/// What a port has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortCounters {
    /// The interface's number.
    pub ifindex: u32,
    /// Its OpenFlow number.
    pub ofport: OfPort,
    /// Its name.
    pub name: String,
    /// Bits a second.
    pub speed: u64,
    /// Whether it sends and receives at once, if that is known.
    pub full_duplex: Option<bool>,
    /// Whether its owner wants it to work.
    pub admin_up: bool,
    /// Whether it does.
    pub link_up: bool,
    /// Frames and bytes.
    pub rx_packets: u64,
    /// See [`Self::rx_packets`].
    pub rx_bytes: u64,
    /// Lost at receipt, if that is known.
    pub rx_dropped: Option<u64>,
    /// See [`Self::rx_packets`].
    pub tx_packets: u64,
    /// See [`Self::rx_packets`].
    pub tx_bytes: u64,
    /// Lost at sending, if that is known.
    pub tx_dropped: Option<u64>,
    /// What LACP has counted there.
    pub lacp: Option<LacpCounters>,
}

/// LACP of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LacpCounters {
    /// System id of this side.
    pub actor: MacAddr,
    /// System id of the other.
    pub partner: MacAddr,
    /// The key that members share.
    pub aggregator: u32,
    /// Actor's administrative and operational state, partner's ones.
    pub states: [u8; 4],
    /// Messages received.
    pub rx: u64,
    /// Received and not understood.
    pub rx_bad: u64,
    /// Sent.
    pub tx: u64,
}

/// What the process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Processor time in user mode, milliseconds.
    pub user_ms: u32,
    /// Processor time in the kernel, milliseconds.
    pub system_ms: u32,
    /// Bytes in memory.
    pub memory: u64,
}

/// What the datapath has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchCounters {
    /// Packets that a cached flow was found for.
    pub hits: u64,
    /// Packets that none was found for.
    pub misses: u64,
    /// Packets of these that were lost.
    pub lost: u64,
    /// Cached flows.
    pub flows: u64,
}

/// Everything that polling asks for.
#[derive(Clone, Debug, Default)]
pub struct Polled {
    /// The bridge's datapath id.
    pub datapath_id: u64,
    /// Its ports that have an interface number.
    pub ports: Vec<PortCounters>,
    /// The process.
    pub resources: Resources,
    /// The datapath.
    pub switch: SwitchCounters,
}

/// A source that is polled.
#[derive(Clone, Copy, Debug)]
struct Poller {
    sequence: u32,
    next: Instant,
}

/// An agent.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    boot: Instant,
    next_tick: Instant,
    sequence: u32,
    flow_sequence: u32,
    pool: u32,
    pollers: BTreeMap<SourceId, Poller>,
    /// Samples of the datagram that is being filled.
    pending: Vec<u8>,
    samples: u32,
    /// Datagrams that are full.
    full: Vec<Vec<u8>>,
    now: Instant,
    lost: u64,
}

impl Agent {
    /// An agent that starts at `now`.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            boot: now,
            next_tick: now.after(TICK),
            sequence: 0,
            flow_sequence: 0,
            pool: 0,
            pollers: BTreeMap::new(),
            pending: Vec::new(),
            samples: 0,
            full: Vec::new(),
            now,
            lost: 0,
        }
    }

    /// What it was told.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Samples that were lost since the last call, because nobody took the datagrams.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Takes a packet that was sampled.
    pub fn sample(&mut self, sample: &FlowSample<'_>, now: Instant) {
        self.now = self.now.max(now);
        self.flow_sequence = self.flow_sequence.wrapping_add(1);
        self.pool = self.pool.wrapping_add(self.config.sampling);
        let head = datagram::FlowHead {
            sequence: self.flow_sequence,
            source: SourceId::agent(self.config.sub_agent),
            rate: self.config.sampling,
            pool: self.pool,
        };
        let bytes = datagram::flow_sample(&head, sample);
        self.append(&bytes);
    }

    /// Lets time pass: polls what is due and gives the datagrams that are to be sent.
    pub fn run(&mut self, now: Instant, polled: impl FnOnce() -> Polled) -> Vec<Vec<u8>> {
        self.now = self.now.max(now);
        if now >= self.next_tick {
            self.next_tick = now.after(TICK);
            if !self.config.polling.is_zero() {
                self.poll(now, &polled());
            }
            self.flush();
        }
        std::mem::take(&mut self.full)
    }

    /// When [`Self::run`] has something to do.
    #[must_use]
    pub const fn wake(&self) -> Instant {
        if self.full.is_empty() { self.next_tick } else { self.now }
    }

    fn poll(&mut self, now: Instant, polled: &Polled) {
        let own = SourceId::agent(self.config.sub_agent);
        let sources = polled.ports.iter().map(|port| SourceId::interface(port.ifindex));
        let there: Vec<SourceId> = sources.chain([own]).collect();
        self.pollers.retain(|source, _| there.contains(source));
        if let Some(sequence) = self.due(own, now) {
            let bytes = datagram::switch_sample(own, sequence, &polled.resources, &polled.switch);
            self.append(&bytes);
        }
        for port in &polled.ports {
            if let Some(sequence) = self.due(SourceId::interface(port.ifindex), now) {
                let bytes = datagram::port_sample(sequence, polled.datapath_id, port);
                self.append(&bytes);
            }
        }
    }

    /// The number of a source's sample, if one is due.
    fn due(&mut self, source: SourceId, now: Instant) -> Option<u32> {
        let interval = self.config.polling;
        let poller = self.pollers.entry(source).or_insert_with(|| {
            // Sources are spread over the interval, by their number.
            let seconds = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX).max(1);
            let first = Duration::from_secs((source.0 % seconds).into());
            Poller { sequence: 0, next: now.after(first) }
        });
        if now < poller.next {
            return None;
        }
        // As though it had been on time, unless it was far off.
        poller.next = poller.next.after(interval);
        if poller.next <= now {
            poller.next = now.after(interval);
        }
        poller.sequence = poller.sequence.wrapping_add(1);
        Some(poller.sequence)
    }

    fn append(&mut self, sample: &[u8]) {
        if HEAD + self.pending.len() + sample.len() > DATAGRAM {
            self.flush();
        }
        if HEAD + sample.len() > DATAGRAM || self.full.len() >= DATAGRAMS {
            self.lost += 1;
            return;
        }
        self.pending.extend_from_slice(sample);
        self.samples += 1;
    }

    fn flush(&mut self) {
        if self.samples == 0 {
            return;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let uptime = self.now.since(self.boot).as_secs().saturating_mul(1000);
        let head = datagram::Head {
            agent: self.config.agent,
            sub_agent: self.config.sub_agent,
            sequence: self.sequence,
            uptime_ms: u32::try_from(uptime & 0xffff_ffff).unwrap_or(0),
            samples: self.samples,
        };
        let mut out = Vec::with_capacity(HEAD + self.pending.len());
        head.put(&mut out);
        out.append(&mut self.pending);
        self.samples = 0;
        self.full.push(out);
    }
}

/// Bytes of a datagram at most, as the reference has it.
const DATAGRAM: usize = 1400;
/// Bytes of a datagram's head at most: with an agent over IPv6.
const HEAD: usize = 40;
/// Bytes of a packet that a sample can hold, with every record beside it.
pub const MAX_HEADER: usize = 1024;
/// Full datagrams that wait at most.
const DATAGRAMS: usize = 1024;
const TICK: Duration = Duration::from_secs(1);

/// Where a packet goes, in sFlow's encoding of output interfaces.
pub mod output {
    /// Nowhere: dropped.
    pub const DROPPED: u32 = 0x4000_0000 | 256;

    /// To so many ports.
    #[must_use]
    pub const fn several(ports: u32) -> u32 {
        0x8000_0000 | ports & 0x3fff_ffff
    }

    /// To how many ports a code says.
    #[must_use]
    pub const fn count(code: u32) -> u32 {
        match code >> 30 {
            0 => (code & 0x3fff_ffff != 0) as u32,
            2 => code & 0x3fff_ffff,
            _ => 0,
        }
    }
}
