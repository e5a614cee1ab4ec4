//! Rates of counters: what they were some time ago.

use std::collections::{BTreeMap, VecDeque};

use dp_core::base::{Duration, Instant};

/// Counters by name.
pub(crate) type Counters = BTreeMap<&'static str, u64>;

/// Samples of counters: every five seconds for a minute, every minute for an hour.
#[derive(Debug, Default)]
pub(super) struct Rates {
    fine: VecDeque<(Instant, Counters)>,
    coarse: VecDeque<(Instant, Counters)>,
}

impl Rates {
    /// Whether a sample is due.
    pub(super) fn due(&self, now: Instant) -> bool {
        self.fine.back().is_none_or(|(at, _)| now.since(*at) >= FINE)
    }

    /// Takes a sample.
    pub(super) fn sample(&mut self, counters: Counters, now: Instant) {
        if self.coarse.back().is_none_or(|(at, _)| now.since(*at) >= COARSE) {
            keep(&mut self.coarse, (now, counters.clone()), 61);
        }
        keep(&mut self.fine, (now, counters), 13);
    }

    /// Events a second, over the last five seconds, minute and hour.
    pub(super) fn rates(&self, counters: &Counters) -> BTreeMap<&'static str, [f64; 3]> {
        let oldest_but = |samples: &VecDeque<(Instant, Counters)>, back: usize| {
            let at = samples.len().saturating_sub(back);
            samples.get(at).map(|(_, counters)| counters.clone()).unwrap_or_default()
        };
        let before = [
            (oldest_but(&self.fine, 1), 5.0),
            (oldest_but(&self.fine, 12), 60.0),
            (oldest_but(&self.coarse, 60), 3600.0),
        ];
        let rate = |(name, total): (&&'static str, &u64)| {
            let over = |(before, seconds): &(Counters, f64)| {
                let events = total.saturating_sub(before.get(name).copied().unwrap_or(0));
                to_f64(events) / seconds
            };
            let [a, b, c] = &before;
            (*name, [over(a), over(b), over(c)])
        };
        counters.iter().map(rate).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates are printed with a few digits")]
fn to_f64(events: u64) -> f64 {
    events as f64
}

fn keep<T>(samples: &mut VecDeque<T>, sample: T, most: usize) {
    if samples.len() >= most {
        samples.pop_front();
    }
    samples.push_back(sample);
}

const FINE: Duration = Duration::from_secs(5);
const COARSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use dp_core::base::Instant;

    use super::{Counters, Rates};

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let mut rates = Rates::default();
        let counters = |value| Counters::from([("x", value)]);
        for second in [0_u64, 5, 10] {
            assert!(rates.due(Instant::from_millis(second * 1000)));
            rates.sample(counters(second), Instant::from_millis(second * 1000));
        }
        assert!(!rates.due(Instant::from_millis(14_000)));
        let [five, minute, hour] = rates.rates(&counters(20))["x"];
        assert!((five - 2.0).abs() < 1e-9 && (minute - 20.0 / 60.0).abs() < 1e-9);
        assert!((hour - 20.0 / 3600.0).abs() < 1e-9);
    }
}
