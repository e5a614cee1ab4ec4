//! How long turns take: a loop that does not come round answers nobody.

use std::time::{Duration, Instant};

use nix::sys::{
    resource::{Usage, UsageWho, getrusage},
    time::{TimeVal, TimeValLike},
};

/// What was read at the start of a turn.
#[derive(Debug, Default)]
pub(super) struct Pace {
    start: Option<(Instant, Usage)>,
}

impl Pace {
    /// A turn begins.
    pub(super) fn begin(&mut self) {
        self.start = getrusage(UsageWho::RUSAGE_THREAD).ok().map(|usage| (Instant::now(), usage));
    }

    /// The turn's work is done; if it took unreasonably long, the log says with what.
    pub(super) fn end(&mut self) {
        let Some((start, before)) = self.start.take() else { return };
        let took = start.elapsed();
        if took < LONG {
            return;
        }
        let Ok(after) = getrusage(UsageWho::RUSAGE_THREAD) else { return };
        let millis = |time: fn(&Usage) -> TimeVal| {
            time(&after).num_milliseconds() - time(&before).num_milliseconds()
        };
        let count = |number: fn(&Usage) -> i64| number(&after) - number(&before);
        log::warn!(
            target: "timeval",
            "Unreasonably long {}ms poll interval ({}ms user, {}ms system)",
            took.as_millis(),
            millis(Usage::user_time),
            millis(Usage::system_time),
        );
        log::warn!(
            target: "timeval",
            "faults: {} minor, {} major",
            count(|it| it.minor_page_faults()),
            count(|it| it.major_page_faults()),
        );
        log::warn!(
            target: "timeval",
            "context switches: {} voluntary, {} involuntary",
            count(|it| it.voluntary_context_switches()),
            count(|it| it.involuntary_context_switches()),
        );
    }
}

/// A turn of this length is reported.
const LONG: Duration = Duration::from_secs(1);
