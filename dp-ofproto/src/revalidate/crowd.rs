//! Which megaflows go where ports below their share have taken of the reserve.
//!
//! Those that stay are seen one by one; in the end, as many as the reserve lacks are picked among those
//! of ports beyond their share, the longest unused first, and of none so many that its share is left
//! unused. While the reserve is whole nothing is kept but a number.

use std::collections::HashMap;

use dp_core::base::{Instant, PortNo};
use dp_core::boundary::FlowDump;

use crate::upcall::Ukeys;
use crate::upcall::shares::{Shares, reserve};

/// The megaflows of a round.
pub(super) struct Crowd<'s> {
    shares: &'s Shares,
    fair: usize,
    /// Megaflows that leave the reserve alone.
    most: usize,
    /// Whether the reserve may have been touched.
    presses: bool,
    ports: HashMap<PortNo, usize>,
    candidates: Vec<(Instant, FlowDump)>,
}

impl<'s> Crowd<'s> {
    pub(super) fn new(ukeys: &'s Ukeys, limit: usize) -> Self {
        let (shares, most) = (ukeys.shares(), limit - reserve(limit));
        Self {
            shares,
            fair: shares.fair(limit),
            most,
            presses: ukeys.len() > most,
            ports: HashMap::new(),
            candidates: Vec::new(),
        }
    }

    /// One that stays, as far as it goes by itself.
    pub(super) fn see(&mut self, flow: FlowDump) {
        let port = flow.key.in_port();
        if self.presses && self.shares.of(port) > self.fair {
            *self.ports.entry(port).or_default() += 1;
            let used = flow.stats.snapshot().used.unwrap_or(flow.created);
            self.candidates.push((used, flow));
        }
    }

    /// Those that are to go, where `total` are remembered.
    pub(super) fn out(mut self, total: usize) -> Vec<FlowDump> {
        let excess = total.saturating_sub(self.most);
        if excess == 0 {
            return Vec::new();
        }
        self.candidates.sort_unstable_by_key(|(used, _)| *used);
        let (ports, fair) = (&mut self.ports, self.fair);
        let beyond = self.candidates.into_iter().filter(|(_, flow)| {
            match ports.get_mut(&flow.key.in_port()) {
                Some(left) if *left > fair => {
                    *left -= 1;
                    true
                }
                _ => false,
            }
        });
        beyond.take(excess).map(|(_, flow)| flow).collect()
    }
}
