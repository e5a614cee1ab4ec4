//! What keeps a storm of new flows from starving established ones.
//!
//! A packet without a flow costs a translation, a thousand times what others cost. Two things would
//! follow without this room: the queue that brings such packets takes the thread away from the other
//! queues, and within the queue from packets that have a flow. Therefore:
//!
//! * **Between queues**: each is served for as many cycles of a turn as the costliest was, as long
//!   as its ring brings full bursts. What a storm cannot get served is lost in its own ring.
//! * **Within a queue** that is saturated and brings packets with a flow too: translations get half
//!   of the time, by a budget that fills with half of what passes; what is beyond it is dropped and
//!   counted. The budget lasts for 50 ms of translations, so that a start is no storm.
//!
//! Neither delays or reorders a packet. A queue that nobody competes with gets everything.
//!
//! Frames of protocols that keep links alive are answered in any case ([`is_control`]).
//!
//! # Cost
//!
//! A few comparisons a burst.

use dp_core::flow::{FieldId, FlowKey};
use dp_core::packet::BURST;

use crate::system::cycles_per_second;

/// Turns in which every queue takes less than this need no second look.
const UNREMARKABLE: u64 = 20_000;
/// How many bursts long a packet with a flow is remembered.
const MEMORY: u8 = 64;
const UDP: u8 = 17;
/// The UDP port of BFD (RFC 5881 section 4).
const BFD: u128 = 3784;

/// A queue's share of translations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Cycles that translations may take; below zero, those that the last one took too many.
    left: i64,
    /// The most that is saved.
    most: i64,
    /// Until when it has been filled, by the processor's clock.
    filled: u64,
    /// Bursts for which packets with a flow are remembered.
    established: u8,
}

impl Budget {
    /// A full budget, `now` by the processor's clock.
    pub(crate) fn new(now: u64) -> Self {
        let most = i64::try_from(cycles_per_second() / 20).unwrap_or(i64::MAX);
        Self { left: most, most, filled: now, established: 0 }
    }

    /// Fills it with half of the cycles that have passed. Returns what translations may take for a
    /// burst of `len` packets: without limit unless the queue is saturated and competed for.
    #[inline]
    pub(crate) fn open(&mut self, now: u64, len: usize) -> u64 {
        let passed = now.wrapping_sub(self.filled);
        self.filled = now;
        self.left = self.left.saturating_add_unsigned(passed / 2).min(self.most);
        let limited = len == BURST && self.established != 0;
        if limited { u64::try_from(self.left).unwrap_or(0) } else { u64::MAX }
    }

    /// Notes what became of a burst: `len` packets, of which `asked` had no flow, at a cost of
    /// `spent` cycles.
    #[inline]
    pub(crate) fn close(&mut self, len: usize, asked: u64, spent: u64) {
        self.left = self.left.saturating_sub_unsigned(spent).max(-self.most);
        let all = asked >= len as u64;
        self.established = if all { self.established.saturating_sub(1) } else { MEMORY };
    }
}

/// Whether a queue that took `took` cycles of a turn, and brought a full burst, is to be asked again
/// since another took `worst`.
#[inline]
pub(crate) const fn is_owed(took: u64, worst: u64) -> bool {
    worst > UNREMARKABLE && took < worst
}

/// Whether a frame belongs to a protocol that tells whether links and paths are alive: those of the
/// addresses that bridges keep to themselves (IEEE 802.1Q table 8-1, and 802.1ag's groups), and BFD.
pub(crate) fn is_control(key: &FlowKey) -> bool {
    let reserved = match key.get(FieldId::EthDst) >> 8 {
        0x01_80c2_0000 => matches!(key.get(FieldId::EthDst) & 0xff, 0x00..=0x0f | 0x30..=0x3f),
        _ => false,
    };
    reserved || (key.nw_proto() == UDP && key.get(FieldId::UdpDst) == BFD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(most: i64) -> Budget {
        Budget { left: most, most, filled: 0, established: 0 }
    }

    #[test]
    fn a_queue_that_brings_new_flows_alone_has_no_limit() {
        let mut budget = budget(1000);
        for turn in 0..100 {
            assert_eq!(budget.open(turn, BURST), u64::MAX);
            budget.close(BURST, BURST as u64, 1_000_000);
        }
    }

    #[test]
    fn a_queue_that_is_not_saturated_has_no_limit() {
        let mut budget = budget(1000);
        for turn in 0..100 {
            assert_eq!(budget.open(turn, BURST - 1), u64::MAX);
            budget.close(BURST - 1, 3, 1_000_000);
        }
    }

    #[test]
    fn beside_established_flows_translations_get_half_of_the_time() {
        let mut budget = budget(10_000);
        budget.close(BURST, 1, 0);
        let (mut now, mut translated) = (0, 0);
        for _ in 0..10_000 {
            let may = budget.open(now, BURST);
            // Fifteen packets without a flow, 300 cycles each, as long as there is budget.
            let asked = (0..15).take_while(|each| each * 300 < may).count() as u64;
            budget.close(BURST, 15, asked * 300);
            translated += asked * 300;
            now += 1000 + asked * 300;
        }
        let share = translated as f64 / now as f64;
        assert!((0.45..0.55).contains(&share), "{share}");
    }

    #[test]
    fn a_budget_is_saved_up_to_its_size() {
        let mut budget = budget(10_000);
        budget.close(BURST, 1, 10_000);
        assert_eq!(budget.open(0, BURST), 0);
        assert_eq!(budget.open(1000, BURST), 500);
        assert_eq!(budget.open(1_000_000, BURST), 10_000);
    }

    #[test]
    fn queues_are_owed_what_the_costliest_took() {
        assert!(is_owed(3000, 100_000));
        assert!(!is_owed(100_000, 100_000));
        assert!(!is_owed(3000, 5000), "ordinary turns are left alone");
    }

    #[test]
    fn frames_that_tell_that_links_live_are_known() {
        let key = |mac: u128, port: u128| {
            let mut key = FlowKey::default();
            key.set(FieldId::EthDst, mac);
            key.set(FieldId::EthType, 0x0800);
            key.set(FieldId::NwProto, 17);
            key.set(FieldId::UdpDst, port);
            key
        };
        let (lacp, cfm, own) = (0x0180_c200_0002, 0x0180_c200_0031, 0x0200_0000_0001);
        assert!(is_control(&key(lacp, 80)) && is_control(&key(cfm, 80)));
        assert!(is_control(&key(own, 3784)));
        assert!(!is_control(&key(own, 80)) && !is_control(&key(0x0180_c200_0020, 80)));
    }
}
