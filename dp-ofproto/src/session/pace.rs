//! How fast packets go to a controller (`controller_rate_limit`, `controller_burst_limit`).
//!
//! As long as less comes than is allowed, packets pass at once. What comes faster waits in a queue of
//! its port, and the queues take turns: a port that floods delays and loses its own packets, not those
//! of its neighbours. What waits is bounded over all ports; when there is one packet too many, the
//! longest queue loses its oldest.
//!
//! One for packets that missed and one for packets that an action sent, so that neither starves the
//! other.

use std::collections::{BTreeMap, VecDeque};

use dp_core::base::{Duration, Instant, OfPort};

/// How many packets a second go to a controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Packets a second; 0: any number.
    pub rate: u32,
    /// How many may come at once, and how many may wait; 0: a quarter of a second's.
    pub burst: u32,
}

impl RateLimit {
    fn packets(self) -> u32 {
        if self.burst == 0 { (self.rate / 4).max(1) } else { self.burst }
    }
}

/// What a [`Pace`] has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaceStats {
    /// Packets that passed at once.
    pub bypassed: u64,
    /// Packets that had to wait.
    pub queued: u64,
    /// Of these, packets that were given up because too many waited.
    pub dropped: u64,
    /// Packets that wait now.
    pub backlog: usize,
}

/// Lets messages of packets through at a rate.
#[derive(Debug)]
pub(super) struct Pace {
    limit: RateLimit,
    /// Thousandths of packets.
    tokens: u64,
    filled: Instant,
    queues: BTreeMap<OfPort, VecDeque<Vec<u8>>>,
    /// The port that was served last.
    last: OfPort,
    stats: PaceStats,
}

impl Pace {
    pub(super) fn new(limit: RateLimit, now: Instant) -> Self {
        let tokens = u64::from(limit.packets()) * PACKET;
        Self {
            limit,
            tokens,
            filled: now,
            queues: BTreeMap::new(),
            last: OfPort(0),
            stats: PaceStats::default(),
        }
    }

    /// Another limit, from now on.
    pub(super) fn set_limit(&mut self, limit: RateLimit) {
        self.limit = limit;
    }

    pub(super) const fn stats(&self) -> PaceStats {
        self.stats
    }

    /// Gives a message back that may go at once, and keeps it otherwise.
    pub(super) fn pass(&mut self, port: OfPort, message: Vec<u8>, now: Instant) -> Option<Vec<u8>> {
        if self.stats.backlog == 0 && self.take_token(now) {
            self.stats.bypassed += 1;
            return Some(message);
        }
        if self.stats.backlog >= self.limit.packets() as usize {
            self.drop_one();
        }
        self.queues.entry(port).or_default().push_back(message);
        self.stats.queued += 1;
        self.stats.backlog += 1;
        None
    }

    /// The next message that waited and may go now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.stats.backlog == 0 || !self.take_token(now) {
            return None;
        }
        let behind = (std::ops::Bound::Excluded(self.last), std::ops::Bound::Unbounded);
        let port = self.queues.range(behind).chain(self.queues.iter()).next().map(|it| *it.0)?;
        self.last = port;
        self.take_from(port)
    }

    /// When [`Self::next`] has something to give.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let missing = PACKET.saturating_sub(self.tokens);
        let wait = missing.div_ceil(u64::from(self.limit.rate.max(1)));
        (self.stats.backlog > 0).then(|| self.filled.max(now).after(Duration::from_millis(wait)))
    }

    /// The longest queue loses its oldest.
    fn drop_one(&mut self) {
        let longest = self.queues.iter().max_by_key(|queue| queue.1.len()).map(|it| *it.0);
        if longest.and_then(|port| self.take_from(port)).is_some() {
            self.stats.dropped += 1;
        }
    }

    fn take_from(&mut self, port: OfPort) -> Option<Vec<u8>> {
        let queue = self.queues.get_mut(&port)?;
        let message = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&port);
        }
        self.stats.backlog -= 1;
        Some(message)
    }

    fn take_token(&mut self, now: Instant) -> bool {
        let most = u64::from(self.limit.packets()) * PACKET;
        let passed = u64::try_from(now.since(self.filled).as_millis()).unwrap_or(u64::MAX);
        if passed > 0 {
            // A packet a second is a thousandth of a packet a millisecond.
            let earned = passed.saturating_mul(u64::from(self.limit.rate));
            self.tokens = self.tokens.saturating_add(earned).min(most);
            self.filled = now;
        }
        match self.tokens.checked_sub(PACKET) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

/// What a packet costs.
const PACKET: u64 = 1000;

#[cfg(test)]
mod tests {
    use dp_core::base::{Instant, OfPort};

    use super::{Pace, PaceStats, RateLimit};

    fn at(millis: u64) -> Instant {
        Instant::from_millis(10_000 + millis)
    }

    #[test]
    fn a_port_that_floods_loses_its_own_packets() {
        let mut pace = Pace::new(RateLimit { rate: 100, burst: 25 }, at(0));
        let passed = (0..60).filter(|_| pace.pass(OfPort(1), vec![1], at(0)).is_some()).count();
        assert_eq!(passed, 25, "what had not been used");
        for n in 0..3 {
            assert!(pace.pass(OfPort(2), vec![2, n], at(0)).is_none());
        }
        // 38 had to wait, 25 may.
        let stats = PaceStats { bypassed: 25, queued: 38, dropped: 13, backlog: 25 };
        assert_eq!(pace.stats(), stats);
        assert!(pace.next(at(9)).is_none());
        assert_eq!(pace.deadline(at(9)), Some(at(10)));
        // Ports take turns.
        let next: Vec<_> = (1..=8).filter_map(|n| pace.next(at(n * 10))).collect();
        let ports: Vec<_> = next.iter().map(|it| it[0]).collect();
        assert_eq!(ports, [1, 2, 1, 2, 1, 2, 1, 1]);
        let two: Vec<_> = next.iter().filter(|it| it[0] == 2).map(|it| it[1]).collect();
        assert_eq!(two, [0, 1, 2], "a port's packets keep their order");
        let rest = (0..100).filter(|n| pace.next(at(1000 + n)).is_some()).count();
        assert_eq!((rest, pace.stats().backlog, pace.deadline(at(2000))), (17, 0, None));
    }

    #[test]
    fn without_a_burst_a_quarter_of_a_second_may_wait() {
        let mut pace = Pace::new(RateLimit { rate: 400, burst: 0 }, at(0));
        let passed = (0..300).filter(|_| pace.pass(OfPort(1), vec![], at(0)).is_some()).count();
        assert_eq!((passed, pace.stats().backlog), (100, 100));
        assert_eq!(pace.stats().dropped, 100);
        pace.set_limit(RateLimit { rate: 1000, burst: 100 });
        assert_eq!(pace.deadline(at(0)), Some(at(1)));
    }
}
