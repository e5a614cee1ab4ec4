//! What a bridge does without its controllers: with `fail_mode=standalone` it becomes a switch as any
//! other when none has been reached for three times the inactivity probe, and gives the tables back to
//! the first one that is there again.

use std::time::Duration;

use dp_core::base::{Instant, OfPort};
use dp_ofproto::action::Action;
use dp_ofproto::matching::Match;
use dp_ofproto::table::HiddenRule;

/// How a bridge's controllers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// How long none of them has been there; 0: one is.
    pub(super) lost: Duration,
    /// The longest of their inactivity probes.
    pub(super) probe: Duration,
}

/// Where a bridge stands.
#[derive(Debug, Default)]
pub(super) struct FailOpen {
    /// How long controllers had been away when it was last told.
    told: Option<Duration>,
}

impl FailOpen {
    /// Whether the bridge has failed open.
    pub(super) fn is_open(&self) -> bool {
        self.told.is_some()
    }

    /// Looks at the controllers; `None`: the bridge has none, or does not stand alone without them.
    /// Returns whether the bridge has failed open just now: all its flows are to go.
    pub(super) fn look(&mut self, reach: Option<Reach>, bridge: &str) -> bool {
        let probe = |reach: Reach| if reach.probe.is_zero() { PROBE } else { reach.probe };
        let late = reach.filter(|it| !it.lost.is_zero() && it.lost >= probe(*it) * PROBES);
        let Some(reach) = late else {
            if self.told.is_some() && reach.is_none_or(|it| it.lost.is_zero()) {
                self.told = None;
                log::warn!(target: "fail_open", "{bridge}: No longer in fail-open mode");
            }
            return false;
        };
        let seconds = reach.lost.as_secs();
        match self.told {
            None => {
                log::warn!(
                    target: "fail_open",
                    "{bridge}: Could not connect to controller (or switch failed controller's \
                     post-connection admission control policy) for {seconds} seconds, failing open"
                );
                self.told = Some(reach.lost);
                true
            }
            Some(told) => {
                if reach.lost >= told + TELL_EVERY {
                    log::info!(
                        target: "fail_open",
                        "{bridge}: Still in fail-open mode after {seconds} seconds disconnected from \
                         controller"
                    );
                    self.told = Some(reach.lost);
                }
                false
            }
        }
    }
}

/// The rule of a bridge that has failed open.
pub(super) fn rule() -> HiddenRule {
    let normal = Action::Output { port: OfPort::NORMAL, max_len: 0 };
    HiddenRule { priority: PRIORITY, matching: Match::any(), actions: vec![normal] }
}

/// How long controllers have been away, from when each of them was lost.
pub(super) fn lost_for(since: impl Iterator<Item = Option<Instant>>, now: Instant) -> Duration {
    since.map(|it| it.map_or(Duration::ZERO, |at| now.since(at))).min().unwrap_or_default()
}

/// Before everything, in-band control included.
const PRIORITY: u32 = 0x00f0_f0f0;
/// Silences of this many probes are enough.
const PROBES: u32 = 3;
/// The probe where controllers are not probed.
const PROBE: Duration = Duration::from_secs(5);
/// How often it is told that nothing has changed.
const TELL_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn away(seconds: u64, probe: u64) -> Option<Reach> {
        let (lost, probe) = (Duration::from_secs(seconds), Duration::from_secs(probe));
        Some(Reach { lost, probe })
    }

    #[test]
    fn three_probes_open_it_and_a_controller_closes_it() {
        let mut it = FailOpen::default();
        // Whether it opens just now, and whether it is open then.
        let mut look = |reach| (it.look(reach, "br0"), it.is_open());
        assert_eq!(look(away(14, 5)), (false, false));
        assert_eq!(look(away(15, 5)), (true, true));
        assert_eq!(look(away(16, 5)), (false, true));
        assert_eq!(look(away(0, 5)), (false, false));
        assert_eq!(look(away(0, 5)), (false, false));
        assert_eq!(look(away(29, 10)), (false, false));
        assert_eq!(look(away(30, 10)), (true, true));
        // The configuration says secure now, or has no controllers any more.
        assert_eq!(look(None), (false, false));
    }

    #[test]
    fn one_that_was_just_lost_is_the_one_that_counts() {
        let at = |seconds: u64| Some(Instant::from_millis(seconds * 1000));
        let now = Instant::from_millis(100_000);
        assert_eq!(lost_for([at(10), at(40)].into_iter(), now), Duration::from_secs(60));
        assert_eq!(lost_for([at(10), None].into_iter(), now), Duration::ZERO);
    }
}
