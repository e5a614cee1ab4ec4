//! How it goes, while it goes: a line refreshed in place on a terminal, a line a second elsewhere.

use std::io::IsTerminal;

use dp_core::base::{Duration, Instant};
use dp_netdev::datapath::Totals;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::share;

/// How often there is a line where it cannot be refreshed.
const LINES: Duration = Duration::from_secs(1);
/// Over which time rates are taken.
const RATE: Duration = Duration::from_millis(250);

/// The line, and what it was made of.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// Packets at a moment, for the rate.
    mark: Option<(Instant, u64)>,
    rate: f64,
    told: Option<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, mark: None, rate: 0.0, told: None }
    }

    /// Shows the counts.
    pub(crate) fn show(&mut self, totals: &Totals, now: Instant) {
        match self.mark {
            None => self.mark = Some((now, totals.received)),
            Some((then, packets)) if now.since(then) >= RATE => {
                let packets = totals.received.saturating_sub(packets);
                self.rate = packets as f64 / now.since(then).as_secs_f64();
                self.mark = Some((now, totals.received));
            }
            Some(_) => {}
        }
        let line = self.line(totals);
        match &self.bar {
            Some(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            None if self.told.is_none_or(|told| now.since(told) >= LINES) => {
                eprintln!("{line}");
                self.told = Some(now);
            }
            None => {}
        }
    }

    fn line(&self, totals: &Totals) -> String {
        let passes =
            totals.emc_hits + totals.megaflow_hits + totals.upcalls + totals.upcalls_failed;
        format!(
            "{} packets  {:.2} Mpps  cache {}  megaflow {}  upcall {}  dropped {}",
            totals.received,
            self.rate / 1e6,
            share(totals.emc_hits, passes),
            share(totals.megaflow_hits, passes),
            share(totals.upcalls + totals.upcalls_failed, passes),
            totals.dropped_in_all(),
        )
    }

    /// Says something between the lines.
    pub(crate) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
