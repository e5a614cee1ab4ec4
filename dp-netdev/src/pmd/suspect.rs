//! Turns of a packet thread that took too long, or found a guest's ring too full, with those around
//! them: what `pmd-perf-log-set` asks for.
//!
//! A packet thread logs nothing. It notes that a turn was suspicious, goes on until as many turns have
//! followed as are to be told, and leaves the whole for the main loop to take and log.
//!
//! # Cost
//!
//! Two comparisons a turn, while turns are noted at all; about a copy of some turns for each report.

use std::collections::VecDeque;

use super::perf::{REMEMBERED, Sample};
use crate::system::cycles_per_second;

/// What makes a turn suspicious, and how much around it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// Whether anything is told.
    pub on: bool,
    /// Turns before it that are told.
    pub before: usize,
    /// Turns after it that are told.
    pub after: usize,
    /// Whether another one, before the turns are told, makes it more turns.
    pub extend: bool,
    /// A turn is suspicious that takes longer, in microseconds.
    pub micros: u32,
    /// A turn is suspicious that finds more packets in a guest's ring.
    pub ring: u32,
}

impl Default for Suspicion {
    fn default() -> Self {
        Self { on: false, before: BEFORE, after: AFTER, extend: false, micros: 250, ring: 128 }
    }
}

impl Suspicion {
    /// With turns around as far as they are remembered.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.before = self.before.min(REMEMBERED - 2);
        self.after = self.after.min(REMEMBERED - 2 - self.before);
        self
    }
}

/// A suspicious turn with those around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// What was suspicious.
    pub(crate) why: &'static str,
    /// Which turn.
    pub(crate) number: u64,
    /// How long it took.
    pub(crate) micros: u64,
    /// The turns, latest last.
    pub(crate) turns: Vec<Sample>,
}

/// Watches the turns of one thread.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    suspicion: Suspicion,
    /// The suspicious turn that waits for those after it, and the last turn to be told.
    waiting: Option<(Report, u64)>,
    reports: VecDeque<Report>,
}

impl Watch {
    /// Goes by other settings from now on.
    pub(crate) fn set(&mut self, suspicion: Suspicion) {
        if self.suspicion != suspicion {
            self.suspicion = suspicion;
            self.waiting = None;
        }
    }

    /// Forgets what it waits for: turns are counted anew.
    pub(crate) fn restart(&mut self) {
        self.waiting = None;
    }

    /// Looks at the last of these turns.
    pub(crate) fn look(&mut self, turns: &VecDeque<Sample>) {
        let Some(turn) = turns.back().filter(|_| self.suspicion.on) else { return };
        let most = cycles_per_second() / 1_000_000 * u64::from(self.suspicion.micros);
        let why = match turn {
            turn if turn.cycles > most => Some("Excessive total cycles"),
            turn if turn.guest_ring > u64::from(self.suspicion.ring) => Some("Vhost RX queue full"),
            _ => None,
        };
        let until = turn.number + self.suspicion.after as u64;
        if let Some(why) = why {
            match &mut self.waiting {
                Some((_, last)) if self.suspicion.extend => *last = until,
                Some(_) => {}
                None => {
                    let micros = turn.cycles / (cycles_per_second() / 1_000_000).max(1);
                    let report = Report { why, number: turn.number, micros, turns: Vec::new() };
                    self.waiting = Some((report, until));
                }
            }
        }
        if self.waiting.as_ref().is_some_and(|(_, last)| turn.number >= *last) {
            self.finish(turns);
        }
    }

    /// Leaves what was waited for to be taken.
    fn finish(&mut self, turns: &VecDeque<Sample>) {
        let Some((mut report, _)) = self.waiting.take() else { return };
        let first = report.number.saturating_sub(self.suspicion.before as u64);
        report.turns = turns.iter().filter(|turn| turn.number >= first).copied().collect();
        if report.turns.len() > LONG {
            // To tell so much takes time, which would be the next suspicion.
            self.suspicion.before = BEFORE;
            self.suspicion.after = AFTER;
            self.suspicion.extend = false;
        }
        if self.reports.len() == REPORTS {
            self.reports.pop_front();
        }
        self.reports.push_back(report);
    }

    /// What was found since the last call, and the settings as they are now.
    pub(crate) fn take(&mut self) -> (Vec<Report>, Suspicion) {
        (std::mem::take(&mut self.reports).into(), self.suspicion)
    }
}

const BEFORE: usize = 5;
const AFTER: usize = 5;
/// A report of more turns than this is not to be followed by others of its kind.
const LONG: usize = 100;
/// Reports that wait to be taken; the oldest give way.
const REPORTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at turns of these lengths, in microseconds, and of these rings.
    fn watch(suspicion: Suspicion, turns: &[(u64, u64)]) -> Vec<(u64, &'static str, Vec<u64>)> {
        let mut watch = Watch::default();
        watch.set(suspicion);
        let (mut history, mut found) = (VecDeque::new(), Vec::new());
        for (number, (micros, guest_ring)) in (1..).zip(turns) {
            let cycles = micros * (cycles_per_second() / 1_000_000);
            history.push_back(Sample {
                number,
                cycles,
                guest_ring: *guest_ring,
                ..Sample::default()
            });
            watch.look(&history);
            for report in watch.take().0 {
                let numbers = report.turns.iter().map(|turn| turn.number).collect();
                found.push((report.number, report.why, numbers));
            }
        }
        found
    }

    const ON: Suspicion =
        Suspicion { on: true, before: 2, after: 1, extend: false, micros: 250, ring: 128 };
    const LONG_TURN: &str = "Excessive total cycles";

    #[test]
    fn a_long_turn_is_told_with_those_around_it() {
        let turns = [(1, 0), (1, 0), (1, 0), (300, 0), (1, 0), (1, 0), (1, 129), (1, 0)];
        let told =
            vec![(4, LONG_TURN, vec![2, 3, 4, 5]), (7, "Vhost RX queue full", vec![5, 6, 7, 8])];
        assert_eq!(watch(ON, &turns), told);
        assert!(watch(Suspicion { on: false, ..ON }, &turns).is_empty());
        let lenient = Suspicion { micros: 301, ring: 129, ..ON };
        assert!(watch(lenient, &turns).is_empty());
        // The first turns have fewer before them, and without any after it one is told at once.
        let told = watch(Suspicion { after: 0, ..ON }, &[(300, 0), (1, 0)]);
        assert_eq!(told, [(1, LONG_TURN, vec![1])]);
    }

    #[test]
    fn another_suspicious_turn_makes_it_longer_where_that_is_asked() {
        let turns = [(300, 0), (300, 0), (300, 0), (1, 0), (1, 0)];
        let once = watch(ON, &turns);
        assert_eq!(once, [(1, LONG_TURN, vec![1, 2]), (3, LONG_TURN, vec![1, 2, 3, 4])]);
        let told = watch(Suspicion { extend: true, ..ON }, &turns);
        assert_eq!(told, [(1, LONG_TURN, vec![1, 2, 3, 4])]);
    }

    #[test]
    fn what_is_told_is_bounded() {
        let far = Suspicion { before: 5000, after: 5000, ..ON }.bounded();
        assert_eq!((far.before, far.after), (998, 0));
        let mut watch = Watch::default();
        watch.set(Suspicion { after: 200, extend: true, ..ON });
        let mut turns = VecDeque::new();
        let mut number = 0;
        let mut pass = |watch: &mut Watch, count: u64, micros: u64| {
            for _ in 0..count {
                number += 1;
                let cycles = micros * (cycles_per_second() / 1_000_000);
                turns.push_back(Sample { number, cycles, ..Sample::default() });
                watch.look(&turns);
            }
        };
        pass(&mut watch, 1, 300);
        pass(&mut watch, 200, 1);
        let (reports, now) = watch.take();
        assert_eq!(reports[0].turns.len(), 201);
        assert_eq!((now.before, now.after, now.extend), (5, 5, false));
        // Nobody takes them: the latest stay.
        pass(&mut watch, 600, 300);
        assert_eq!(watch.take().0.len(), REPORTS);
    }
}
