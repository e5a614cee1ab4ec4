//! Shares of the flow table: how many megaflows the packets of one port may have.
//!
//! A stranger who sends from ever new addresses gets a megaflow for each connection. Without this room
//! he fills the table, and everybody's new connections are answered packet by packet. Therefore:
//!
//! * a port has a **fair share**, the limit by one more than the ports that have megaflows. Below it, it
//!   gets megaflows as long as the table has room;
//! * beyond it, a port gets what others leave but for a **reserve**, an eighth of the limit, which so
//!   is there for ports below their share at any time;
//! * what they have taken of the reserve, revalidation takes back from ports beyond their share, those
//!   megaflows first that have been used the longest ago. It is whole again after two rounds, so a port
//!   below its share gets an eighth of the limit a second.
//!
//! A bound of a number for each port would leave most of the table unused where there are many ports.
//!
//! # Threads
//!
//! Counts are relaxed: packet threads that are at it at once may exceed a share by one each.
//!
//! # Cost
//!
//! One addition for each upcall that installs; 32 KiB.

use dp_core::base::PortNo;
use dp_core::sync::machine::{AtomicUsize, Ordering};

/// Ports that are told apart; those whose numbers differ by a multiple share a share.
const SLOTS: usize = 4096;

/// How many megaflows there are of each port.
#[derive(Debug)]
pub struct Shares {
    counts: Box<[AtomicUsize]>,
    /// Ports that have any.
    ports: AtomicUsize,
}

impl Default for Shares {
    fn default() -> Self {
        let counts = (0..SLOTS).map(|_| AtomicUsize::new(0)).collect();
        Self { counts, ports: AtomicUsize::new(0) }
    }
}

/// What of the limit is for ports below their share alone.
#[must_use]
pub const fn reserve(limit: usize) -> usize {
    limit / 8
}

impl Shares {
    fn slot(&self, port: PortNo) -> Option<&AtomicUsize> {
        self.counts.get(port.0 as usize % SLOTS)
    }

    /// A megaflow more.
    pub(super) fn add(&self, port: PortNo) {
        if self.slot(port).is_some_and(|slot| slot.fetch_add(1, Ordering::Relaxed) == 0) {
            self.ports.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One less.
    pub(super) fn sub(&self, port: PortNo) {
        if self.slot(port).is_some_and(|slot| slot.fetch_sub(1, Ordering::Relaxed) == 1) {
            self.ports.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many a port has.
    #[must_use]
    pub fn of(&self, port: PortNo) -> usize {
        self.slot(port).map_or(0, |slot| slot.load(Ordering::Relaxed))
    }

    /// What is a fair share of so many. A port that has none yet counts as well.
    #[must_use]
    pub fn fair(&self, limit: usize) -> usize {
        limit / self.ports.load(Ordering::Relaxed).saturating_add(1)
    }

    /// Whether a port may have one more, where there are `total` of at most `limit`.
    #[must_use]
    pub fn admits(&self, port: PortNo, total: usize, limit: usize) -> bool {
        let most = match self.of(port) < self.fair(limit) {
            true => limit,
            false => limit - reserve(limit),
        };
        total < most
    }
}
