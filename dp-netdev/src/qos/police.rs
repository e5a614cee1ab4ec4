//! Policing: what exceeds a rate is dropped.
//!
//! On the way in, by bytes and by packets (`ingress_policing_*`). On the way out by one rate
//! (`egress-policer`) or by RFC 4115's two rates and three colours, queue by queue and then for the
//! port (`trtcm-policer`): what is red in the end is dropped.
//!
//! Bytes are those behind the Ethernet header, as users of poll-mode ports know it.
//!
//! *Cost*: one atomic exchange a burst and bucket.

use dp_core::base::Instant;
use dp_core::packet::{Burst, Packet};

use super::bucket::{Rate, SharedBucket};

/// The length of an Ethernet header, which does not count.
const ETHERNET: usize = 14;

/// How much may come in by a port; zero is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicerConfig {
    /// Bits a second.
    pub bits: u64,
    /// Bits at once.
    pub bits_burst: u64,
    /// Packets a second.
    pub packets: u64,
    /// Packets at once.
    pub packets_burst: u64,
}

impl PolicerConfig {
    /// Whether it limits nothing.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.bits == 0 && self.packets == 0
    }
}

/// What lets in at most a rate.
#[derive(Debug)]
pub struct Policer {
    bits: Option<SharedBucket>,
    packets: Option<SharedBucket>,
}

fn billed(packet: &Packet) -> u64 {
    packet.len().saturating_sub(ETHERNET) as u64
}

impl Policer {
    /// A policer whose buckets are full.
    #[must_use]
    pub fn new(config: PolicerConfig, now: Instant) -> Self {
        let bucket =
            |rate, burst| (rate != 0).then(|| SharedBucket::full(Rate::new(rate, burst), now));
        Self {
            bits: bucket(config.bits, config.bits_burst),
            packets: bucket(config.packets, config.packets_burst),
        }
    }

    /// Drops the packets that exceed the rates; returns how many.
    pub fn police(&self, burst: &mut Burst, now: Instant) -> u32 {
        let mut dropped = self.packets.as_ref().map_or(0, |it| drop_excess(it, burst, now, |_| 1));
        let bits = |packet: &Packet| billed(packet) * 8;
        dropped += self.bits.as_ref().map_or(0, |it| drop_excess(it, burst, now, bits));
        if dropped != 0 {
            burst.close_gaps();
        }
        dropped
    }
}

/// Drops the packets for which a bucket has not enough; returns how many.
fn drop_excess(
    bucket: &SharedBucket,
    burst: &mut Burst,
    now: Instant,
    cost: impl Fn(&Packet) -> u64,
) -> u32 {
    let live = burst.live();
    let excess = bucket.take(now, |level| {
        let mut excess = dp_core::packet::Slots::NONE;
        for slot in live.iter() {
            let tokens = burst.get(slot).map_or(0, &cost);
            if !level.take(bucket.rate(), tokens) {
                excess.insert(slot);
            }
        }
        excess
    });
    for slot in excess.iter() {
        drop(burst.take(slot));
    }
    u32::try_from(excess.len()).unwrap_or(u32::MAX)
}

/// Two rates, in bytes a second, each with its burst, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TwoRates {
    /// Committed information rate.
    pub cir: u64,
    /// Committed burst size.
    pub cbs: u64,
    /// Excess information rate.
    pub eir: u64,
    /// Excess burst size.
    pub ebs: u64,
}

/// What may leave by a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrtcmConfig {
    /// The port's rates. Without an excess rate there is only green and red.
    pub port: TwoRates,
    /// Rates of queues, by number: none where the port's alone count.
    pub queues: Vec<(u32, TwoRates)>,
}

/// A packet's colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    Green,
    Yellow,
    Red,
}

/// RFC 4115's marker.
#[derive(Debug)]
struct Marker {
    committed: SharedBucket,
    excess: Option<SharedBucket>,
}

impl Marker {
    fn new(rates: TwoRates, now: Instant) -> Self {
        let excess = rates.eir != 0;
        Self {
            committed: SharedBucket::full(Rate::new(rates.cir, rates.cbs), now),
            excess: excess.then(|| SharedBucket::full(Rate::new(rates.eir, rates.ebs), now)),
        }
    }

    /// The colour of a packet that had this one.
    fn mark(&self, bytes: u64, colour: Colour, now: Instant) -> Colour {
        let committed = &self.committed;
        let has = |bucket: &SharedBucket| bucket.take(now, |it| it.take(bucket.rate(), bytes));
        if colour == Colour::Green && has(committed) {
            return Colour::Green;
        }
        if colour != Colour::Red && self.excess.as_ref().is_some_and(has) {
            return Colour::Yellow;
        }
        Colour::Red
    }
}

/// What lets out at most a rate.
#[derive(Debug)]
pub struct EgressPolicer {
    port: Marker,
    queues: Vec<(u32, Marker)>,
}

impl EgressPolicer {
    /// A policer whose buckets are full.
    #[must_use]
    pub fn new(config: &TrtcmConfig, now: Instant) -> Self {
        let queues = config.queues.iter();
        Self {
            port: Marker::new(config.port, now),
            queues: queues.map(|(id, rates)| (*id, Marker::new(*rates, now))).collect(),
        }
    }

    /// Drops the packets that are red; returns how many.
    pub fn police(&self, burst: &mut Burst, now: Instant) -> u32 {
        let mut dropped = 0;
        for slot in burst.live().iter() {
            let Some(packet) = burst.get(slot) else { continue };
            let (_, queue) = packet.meta().marks();
            let bytes = billed(packet);
            let marker = self.marker(queue);
            let colour = marker.map_or(Colour::Green, |it| it.mark(bytes, Colour::Green, now));
            if self.port.mark(bytes, colour, now) == Colour::Red {
                drop(burst.take(slot));
                dropped += 1;
            }
        }
        dropped
    }

    /// The marker of a queue; of the default queue where there is no such one.
    fn marker(&self, queue: u32) -> Option<&Marker> {
        let of = |id| self.queues.iter().find(|(it, _)| *it == id).map(|(_, marker)| marker);
        of(queue).or_else(|| of(0))
    }
}
