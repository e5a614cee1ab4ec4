//! Meters: how much may pass, counted across threads without a lock.
//!
//! ```text
//!   control ── MeterTable: set, get, delete ──► Meters (a snapshot) ──► packet threads
//!                              └── Arc<Meter>: buckets and statistics, atomics ──┘
//! ```
//!
//! A band is a token bucket, kept as one number: the moment at which the bucket was (or will be)
//! empty. It fills by time passing, and a packet moves the moment by what the packet costs; the
//! packet exceeds the band if that would lie in the future. So a bucket is one atomic word that
//! threads move with compare and exchange, once a batch, and nobody ever refills it.
//!
//! A packet that exceeds bands is dropped and counted by the one with the highest rate; the other
//! bands have been charged for it nevertheless.
//!
//! # Cost
//!
//! One exchange a band and two additions a batch, on lines that the threads share.

mod band;
mod table;

pub use table::{MeterError, MeterTable, Meters};

use crate::base::Instant;
use crate::packet::Slots;
use crate::sync::SharedCounter;
use band::Bucket;

/// What a meter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterUnit {
    /// Packets a second; bursts in packets.
    Packets,
    /// Kilobits a second; bursts in kilobits.
    Kilobits,
}

/// A band: what exceeds it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// What may pass, in the meter's unit; at least 1.
    pub rate: u32,
    /// What may pass at once; `None`: what passes in a second.
    pub burst: Option<u32>,
}

/// How a meter is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterConfig {
    /// What it counts.
    pub unit: MeterUnit,
    /// Its bands.
    pub bands: Vec<Band>,
}

/// What a meter has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeterStats {
    /// Packets that came to it.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What each band has dropped, in the order of the bands.
    pub bands: Vec<BandStats>,
    /// When the meter was made.
    pub created: Instant,
}

/// What a band has dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BandStats {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A meter in force; shared by all packet threads.
#[derive(Debug)]
pub struct Meter {
    config: MeterConfig,
    created: Instant,
    packets: SharedCounter,
    bytes: SharedCounter,
    bands: Box<[BandState]>,
}

#[derive(Debug)]
struct BandState {
    bucket: Bucket,
    packets: SharedCounter,
    bytes: SharedCounter,
}

/// Lengths of the packets of a batch, by slot.
pub type Lengths = [u32; crate::packet::BURST];

impl Meter {
    /// A meter whose buckets are full at `now`.
    #[must_use]
    pub fn new(config: MeterConfig, now: Instant) -> Self {
        let bands = config
            .bands
            .iter()
            .map(|band| BandState {
                bucket: Bucket::new(config.unit, *band, now),
                packets: SharedCounter::default(),
                bytes: SharedCounter::default(),
            })
            .collect();
        Self {
            config,
            created: now,
            packets: SharedCounter::default(),
            bytes: SharedCounter::default(),
            bands,
        }
    }

    /// How it was made.
    #[must_use]
    pub const fn config(&self) -> &MeterConfig {
        &self.config
    }

    /// What it has seen.
    #[must_use]
    pub fn stats(&self) -> MeterStats {
        let band =
            |band: &BandState| BandStats { packets: band.packets.get(), bytes: band.bytes.get() };
        MeterStats {
            packets: self.packets.get(),
            bytes: self.bytes.get(),
            bands: self.bands.iter().map(band).collect(),
            created: self.created,
        }
    }

    /// Charges the packets in `slots`; returns those that are to be dropped.
    pub fn charge(&self, slots: Slots, lengths: &Lengths, now: Instant) -> Slots {
        let bytes_of = |slots: Slots| -> u64 {
            slots.iter().filter_map(|slot| lengths.get(slot)).map(|&len| u64::from(len)).sum()
        };
        self.packets.add(slots.len() as u64);
        self.bytes.add(bytes_of(slots));
        // The band with the highest rate that a packet exceeds is the one that drops it.
        let mut exceeded = Slots::NONE;
        let mut by_band = [(Slots::NONE, 0u32); MAX_BANDS];
        for ((state, band), mine) in self.bands.iter().zip(&self.config.bands).zip(&mut by_band) {
            *mine = (state.bucket.charge(slots, lengths, now), band.rate);
            exceeded = exceeded.or(mine.0);
        }
        if exceeded.is_empty() {
            return Slots::NONE;
        }
        let mut left = exceeded;
        while !left.is_empty() {
            // In the order of rates, highest first; of equal ones the first.
            let Some((at, &(mine, _))) = by_band
                .iter()
                .enumerate()
                .filter(|(_, (mine, _))| !mine.and(left).is_empty())
                .max_by_key(|&(at, &(_, rate))| (rate, MAX_BANDS - at))
            else {
                break;
            };
            let mine = mine.and(left);
            left = left.without(mine);
            if let Some(state) = self.bands.get(at) {
                state.packets.add(mine.len() as u64);
                state.bytes.add(bytes_of(mine));
            }
        }
        exceeded
    }
}

/// Bands that a meter has at most.
pub const MAX_BANDS: usize = 8;
/// Meters that a datapath has at most.
pub const MAX_METERS: u32 = 1 << 18;

#[cfg(test)]
mod tests;
