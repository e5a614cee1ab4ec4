//! What a packet thread counts: written by it alone, read by any.

use crate::base::DropCounters;
use crate::sync::Counter;

/// The counters of one pipeline. A packet that makes several passes counts once in `received` and
/// once a pass in what follows it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct PipelineCounters {
    /// Packets received.
    pub received: Counter,
    /// Passes beyond a packet's first.
    pub recirculated: Counter,
    /// First passes whose frames a vector kernel parsed, and further ones.
    pub vector_parsed: Counter,
    /// Passes that the fast path for simple flows answered.
    pub simple_hits: Counter,
    /// Passes that the exact-match cache answered.
    pub emc_hits: Counter,
    /// Passes that the signature match cache answered.
    pub smc_hits: Counter,
    /// Passes that the megaflow table answered.
    pub megaflow_hits: Counter,
    /// Subtables asked for those hits and for misses.
    pub masks_probed: Counter,
    /// Passes that the slow path answered.
    pub upcalls: Counter,
    /// Passes that the slow path did not answer; the packets were dropped.
    pub upcalls_failed: Counter,
    /// Verdicts that were not installed because the flow table was full.
    pub flow_limit_hits: Counter,
    /// Verdicts that were not installed because of the mask budget.
    pub mask_limit_hits: Counter,
    /// Flows that were installed under a wider mask because of the mask budget.
    pub widened: Counter,
    /// Malformed packets that were forwarded nevertheless.
    pub malformed_forwarded: Counter,
    /// Flows that have been installed.
    pub installed: Counter,
    /// Megaflows now.
    pub flows: Counter,
    /// Masks now, each counted once a port of entry.
    pub masks: Counter,
    /// Drops by reason.
    pub drops: DropCounters,
}
