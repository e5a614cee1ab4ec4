//! IPFIX (RFC 7011): sampled packets as records of flows, with or without a cache that adds them up.
//!
//! ```text
//!   sample ─► flow id (what its record begins with) ─► cache ─┬─ active timeout ─► record
//!                                                             ├─ cache full ─────► record
//!                        without a cache ─────────────────────┴──────────────────► record
//! ```
//!
//! # Invariants
//!
//! * The cache, the observation domains that templates were sent for, and the records that nobody has
//!   taken are bounded; what is lost is counted.

mod record;
mod template;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};

use ahash::RandomState;
use dp_core::base::{Duration, Instant};
use dp_core::flow::FlowKey;

use self::record::{Deltas, Finished, FlowId, Totals};
use super::Tunnel;
use super::bytes::{Put, low32};

/// What an exporter is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long flows are added up; zero: not at all.
    pub active_timeout: Duration,
    /// How many flows are added up at once; 0: none.
    pub max_flows: usize,
    /// How often the exporter tells of itself.
    pub stats_interval: Duration,
    /// How often templates are sent again.
    pub template_interval: Duration,
    /// The virtual observation point, where there is one.
    pub virtual_point: Option<String>,
    /// Whether the tunnel that a packet came out of is told.
    pub tunnels: bool,
}

/// How often templates and statistics are sent where nothing is said.
pub const INTERVAL: Duration = Duration::from_secs(600);

/// An interface.
#[derive(Clone, Copy, Debug)]
pub struct Interface<'a> {
    /// Its number; 0 where it has none.
    pub ifindex: u32,
    /// Its name.
    pub name: &'a str,
}

/// A packet that was sampled.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Observation domain.
    pub domain: u32,
    /// Observation point.
    pub point: u32,
    /// Its key.
    pub key: &'a FlowKey,
    /// The frame.
    pub frame: &'a [u8],
    /// Where it came in.
    pub input: Interface<'a>,
    /// Where it leaves, if it was sampled there.
    pub output: Option<Interface<'a>>,
    /// The kind of the tunnel that it came out of.
    pub tunnel: Option<Tunnel>,
    /// It goes nowhere.
    pub dropped: bool,
}

/// What an exporter has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Flows ever.
    pub total_flows: u64,
    /// Flows in the cache.
    pub current_flows: u64,
    /// Packets sampled.
    pub packets: u64,
    /// Of IPv4.
    pub ipv4_packets: u64,
    /// Of IPv6.
    pub ipv6_packets: u64,
    /// Packets whose records were lost.
    pub lost_packets: u64,
    /// Of IPv4.
    pub lost_ipv4_packets: u64,
    /// Of IPv6.
    pub lost_ipv6_packets: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages that could not be sent.
    pub send_errors: u64,
}

impl Stats {
    fn lose(&mut self, record: &Finished) {
        let packets = record.deltas.packets();
        self.lost_packets += packets;
        match record.id.version() {
            Some(4) => self.lost_ipv4_packets += packets,
            Some(6) => self.lost_ipv6_packets += packets,
            _ => {}
        }
    }
}

/// A flow in the cache.
#[derive(Debug)]
struct Cached {
    deltas: Deltas,
    network: bool,
    tcp: bool,
}

/// An observation domain.
#[derive(Clone, Copy, Debug, Default)]
struct Domain {
    /// Data records sent so far.
    records: u32,
    templates_at: Option<Instant>,
    stats_at: Option<Instant>,
    used: Instant,
}

/// An exporter.
#[derive(Debug)]
pub struct Exporter {
    config: Config,
    /// The time since 1970 when the clock showed zero.
    origin: Duration,
    cache: HashMap<FlowId, Cached, RandomState>,
    /// Flows of the cache, by when they began.
    order: VecDeque<(Instant, FlowId)>,
    finished: Vec<Finished>,
    totals: Totals,
    domains: BTreeMap<u32, Domain>,
    stats: Stats,
    /// Packets whose loss has been told.
    told_lost: u64,
}

impl Exporter {
    /// An exporter that starts at `now`, which is `unix` since 1970.
    #[must_use]
    pub fn new(config: Config, now: Instant, unix: Duration) -> Self {
        Self {
            config,
            origin: unix.saturating_sub(Duration::from_nanos(now.0)),
            cache: HashMap::default(),
            order: VecDeque::new(),
            finished: Vec::new(),
            totals: Totals::default(),
            domains: BTreeMap::new(),
            stats: Stats::default(),
            told_lost: 0,
        }
    }

    /// What it was told.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Tells it something else: what it knows of flows ends, what it has counted stays.
    pub fn configure(&mut self, config: Config) {
        if config != self.config {
            self.end();
            self.domains.clear();
            self.config = config;
        }
    }

    /// What it has counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { current_flows: u64::try_from(self.cache.len()).unwrap_or(0), ..self.stats }
    }

    /// Packets whose records were lost since the last call.
    pub fn take_lost(&mut self) -> u64 {
        let lost = self.stats.lost_packets;
        lost - std::mem::replace(&mut self.told_lost, lost)
    }

    /// What became of a message.
    pub fn note_sent(&mut self, sent: u64, failed: u64) {
        self.stats.sent += sent;
        self.stats.send_errors += failed;
    }

    /// Takes a packet that was sampled.
    pub fn sample(&mut self, sample: &Sample<'_>, now: Instant) {
        let tunnel = sample.tunnel.filter(|_| self.config.tunnels);
        let sample = &Sample { tunnel, ..*sample };
        let id = record::flow_id(sample, self.config.virtual_point.as_deref());
        let amount = record::amount(sample);
        let when = self.origin + Duration::from_nanos(now.0);
        self.totals.add(&amount);
        self.stats.packets += 1;
        if amount.network {
            *if amount.ipv6 {
                &mut self.stats.ipv6_packets
            } else {
                &mut self.stats.ipv4_packets
            } += 1;
        }
        if let Some(known) = self.cache.get_mut(&id) {
            known.deltas.add(&amount, when);
            return;
        }
        self.stats.total_flows += 1;
        let mut flow =
            Cached { deltas: Deltas::default(), network: amount.network, tcp: amount.tcp };
        flow.deltas.add(&amount, when);
        if self.most() == 0 {
            self.finish(id, &flow, ACTIVE_TIMEOUT);
            return;
        }
        while self.cache.len() >= self.most() {
            if !self.end_oldest(LACK_OF_RESOURCES) {
                break;
            }
        }
        self.order.push_back((now, id.clone()));
        self.cache.insert(id, flow);
    }

    /// Flows that are added up at once at most.
    fn most(&self) -> usize {
        if self.config.active_timeout.is_zero() { 0 } else { self.config.max_flows.min(FLOWS) }
    }

    /// Ends the flow that has been in the cache for longest.
    fn end_oldest(&mut self, reason: u8) -> bool {
        let Some((_, id)) = self.order.pop_front() else { return false };
        if let Some(flow) = self.cache.remove(&id) {
            self.finish(id, &flow, reason);
        }
        true
    }

    fn finish(&mut self, id: FlowId, flow: &Cached, reason: u8) {
        let (network, tcp) = (flow.network, flow.tcp);
        let (deltas, totals) = (flow.deltas, self.totals);
        let record = Finished { id, deltas, totals, reason, network, tcp };
        if self.finished.len() >= FINISHED {
            self.stats.lose(&record);
        } else {
            self.finished.push(record);
        }
    }

    /// Ends all flows, because the exporter itself ends.
    pub fn end(&mut self) {
        while self.end_oldest(FORCED_END) {}
    }

    /// Lets time pass, and gives the messages that are to be sent; `unix` is the time since 1970.
    pub fn run(&mut self, now: Instant, unix: Duration) -> Vec<Vec<u8>> {
        self.origin = unix.saturating_sub(Duration::from_nanos(now.0));
        let timeout = self.config.active_timeout;
        while self.order.front().is_some_and(|(began, _)| now >= began.after(timeout)) {
            self.end_oldest(ACTIVE_TIMEOUT);
        }
        // Times are told from the next full second backwards.
        let export = Duration::from_secs(unix.as_secs() + u64::from(unix.subsec_nanos() > 0));
        let mut messages = Messages { export, done: Vec::new() };
        let finished = std::mem::take(&mut self.finished);
        for record in &finished {
            self.know(record.id.domain, now);
        }
        self.refresh(now, &mut messages);
        for record in &finished {
            match self.domains.get_mut(&record.id.domain) {
                Some(domain) => messages.put(record, domain),
                None => self.stats.lose(record),
            }
        }
        messages.finish()
    }

    /// Sees to it that a domain is known.
    fn know(&mut self, number: u32, now: Instant) {
        if !self.domains.contains_key(&number) && self.domains.len() >= DOMAINS {
            let oldest = self.domains.iter().min_by_key(|(_, domain)| domain.used);
            if let Some(oldest) = oldest.map(|(number, _)| *number) {
                self.domains.remove(&oldest);
            }
        }
        self.domains.entry(number).or_default().used = now;
    }

    /// Sends templates and statistics where they are due.
    fn refresh(&mut self, now: Instant, messages: &mut Messages) {
        let lost = self.stats.lost_packets;
        for (number, domain) in &mut self.domains {
            let due = |at: Option<Instant>, interval| {
                at.is_none_or(|at: Instant| now >= at.after(interval))
            };
            if due(domain.templates_at, self.config.template_interval) {
                domain.templates_at = Some(now);
                let most = MESSAGE - HEAD;
                for set in template::sets(self.config.virtual_point.is_some(), most) {
                    messages.put_set(*number, domain.records, &set);
                }
            }
            if due(domain.stats_at, self.config.stats_interval) {
                domain.stats_at = Some(now);
                let mut set = Vec::with_capacity(16);
                for half in [template::OPTIONS, 16] {
                    set.u16(half);
                }
                set.u32(1);
                set.u64(lost);
                messages.put_set(*number, domain.records, &set);
                domain.records = domain.records.wrapping_add(1);
            }
        }
    }

    /// When [`Self::run`] has something to do.
    #[must_use]
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        if !self.finished.is_empty() {
            return Some(now);
        }
        let first = self.order.front().map(|(began, _)| began.after(self.config.active_timeout));
        let domains = self.domains.values().flat_map(|domain| {
            let templates = domain.templates_at.map(|at| at.after(self.config.template_interval));
            let stats = domain.stats_at.map(|at| at.after(self.config.stats_interval));
            templates.into_iter().chain(stats)
        });
        first.into_iter().chain(domains).min()
    }
}

/// Messages that are being written.
struct Messages {
    export: Duration,
    done: Vec<Vec<u8>>,
}

impl Messages {
    /// A message with one set.
    fn put_set(&mut self, domain: u32, sequence: u32, set: &[u8]) {
        let mut message = self.head(domain, sequence);
        message.bytes(set);
        self.done.push(message);
    }

    /// Adds a record to the last message, if that is of its domain and has room.
    fn put(&mut self, record: &Finished, domain: &mut Domain) {
        let mut bytes = Vec::with_capacity(384);
        record.put(&mut bytes, self.export);
        let number = record.id.domain.to_be_bytes();
        let fits = |message: &Vec<u8>| {
            let last = message.get(HEAD..HEAD + 2).map(|id| u16::from_be_bytes([id[0], id[1]]));
            message.get(12..16) == Some(&number[..])
                && last.is_some_and(|id| id >= 256 && id != template::OPTIONS)
                && message.len() + 4 + bytes.len() <= MESSAGE
        };
        if !self.done.last().is_some_and(fits) {
            let head = self.head(record.id.domain, domain.records);
            self.done.push(head);
        }
        if let Some(message) = self.done.last_mut() {
            message.u16(record.id.kind);
            message.u16(u16::try_from(4 + bytes.len()).unwrap_or(0));
            message.append(&mut bytes);
            domain.records = domain.records.wrapping_add(1);
        }
    }

    fn head(&self, domain: u32, sequence: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(MESSAGE);
        out.u16(10);
        out.u16(0);
        out.u32(low32(self.export.as_secs()));
        out.u32(sequence);
        out.u32(domain);
        out
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        for message in &mut self.done {
            let len = u16::try_from(message.len()).unwrap_or(0);
            message.patch16(2, len);
        }
        self.done
    }
}

/// Bytes of a message at most, and of its head.
const MESSAGE: usize = 1400;
const HEAD: usize = 16;
/// Flows of a cache at most, whatever is asked for.
const FLOWS: usize = 1 << 20;
/// Records that wait at most.
const FINISHED: usize = 16_384;
/// Domains whose templates are remembered.
const DOMAINS: usize = 256;
/// Why flows end.
const ACTIVE_TIMEOUT: u8 = 2;
const FORCED_END: u8 = 4;
const LACK_OF_RESOURCES: u8 = 5;
