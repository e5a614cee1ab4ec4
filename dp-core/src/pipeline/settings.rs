//! What can be set about a pipeline.

pub use crate::flow::extract::Parser;
use crate::flow::extract::{Extractor, VlanLimit};
use crate::lookup::emc::{DEFAULT_ENTRIES, DEFAULT_INSERT_INV_PROB};
use crate::lookup::kernel::Kernel;
use crate::lookup::megaflow::Limits;

/// What becomes of packets that contradict themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They are dropped, each kind under its own reason.
    Drop,
    /// They are forwarded on what was parsed, as the reference does, and counted. Frames shorter
    /// than an Ethernet header are dropped all the same: they have no key.
    Forward,
}

/// The settings of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Entries of the exact-match cache; rounded up to a power of two.
    pub emc_entries: usize,
    /// One in so many misses makes an entry there: 1 all of them, 0 none (which turns the cache
    /// off).
    pub emc_insert_inv_prob: u32,
    /// Whether the signature match cache is on (8 MiB a thread).
    pub smc: bool,
    /// Whether megaflows are guessed before the caches are asked. Where every miss is to make an entry
    /// of the exact-match cache they are not in any case.
    pub guesses: bool,
    /// Megaflows at most; what comes beyond is executed but not installed.
    pub flow_limit: usize,
    /// Masks at most, each counted once a port of entry; flows with further ones are executed but
    /// not installed.
    pub mask_limit: usize,
    /// Masks of one port of entry at most. Flows with further ones are installed under a wider mask
    /// that is there already, or for their connection alone, so that a stranger who makes the
    /// tables produce masks cannot make look-ups slow.
    pub mask_budget: usize,
    /// Passes that a packet may make beyond its first.
    pub recirc_limit: u8,
    /// What becomes of malformed packets.
    pub malformed: Malformed,
    /// How deep VLAN tags are looked at.
    pub vlan_limit: VlanLimit,
    /// Keys the hashes, so that a stranger cannot make keys that collide; from a source of
    /// randomness in production, fixed in tests.
    pub seed: u64,
    /// Which machine code does the look-ups.
    pub kernel: Kernel,
    /// Which machine code parses frames.
    pub parser: Parser,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            emc_entries: DEFAULT_ENTRIES,
            emc_insert_inv_prob: DEFAULT_INSERT_INV_PROB,
            smc: false,
            guesses: true,
            flow_limit: 200_000,
            mask_limit: usize::MAX,
            mask_budget: 256,
            recirc_limit: 8,
            malformed: Malformed::Drop,
            vlan_limit: VlanLimit::One,
            seed: 0,
            kernel: Kernel::best(),
            parser: Parser::default(),
        }
    }
}

impl Settings {
    pub(super) fn extractor(&self) -> Extractor {
        Extractor::with(self.vlan_limit, self.parser)
    }

    /// Entries of the signature match cache.
    pub(super) const fn smc_entries(&self) -> usize {
        if self.smc { crate::lookup::smc::DEFAULT_ENTRIES } else { 0 }
    }

    pub(super) const fn limits(&self) -> Limits {
        Limits { flows: self.flow_limit, masks: self.mask_limit, budget: self.mask_budget }
    }
}
