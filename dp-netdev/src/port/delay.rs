//! Delays what comes in by a port.
//!
//! Packets stay in order and come out a fixed time after they came in. What waits is bounded;
//! beyond the bound packets are lost as on a wire that is full, and counted as missed.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use dp_core::base::{Duration, Instant};
use dp_core::packet::{Burst, Packet};

use super::{Lost, OpenError, Port, QueueCount, Queues, RxEnd, RxQueue, Wake};

/// A port whose incoming packets are delayed.
pub struct Delay {
    inner: Box<dyn Port>,
    by: Duration,
    limit: usize,
}

impl Delay {
    /// Delays what comes in by `by`; at most `limit` packets wait in a queue.
    #[must_use]
    pub fn new(inner: Box<dyn Port>, by: Duration, limit: usize) -> Self {
        Self { inner, by, limit }
    }
}

impl Port for Delay {
    super::left_to_the_inner_port!();

    fn queues(&mut self, want: QueueCount) -> Result<Queues, OpenError> {
        let Queues { rx, tx } = self.inner.queues(want)?;
        let rx = rx.into_iter().map(|inner| {
            let (by, limit) = (self.by, self.limit);
            let (scratch, waiting) = (Burst::default(), VecDeque::new());
            Box::new(DelayRx { inner, by, limit, scratch, waiting, end: None }) as Box<dyn RxQueue>
        });
        Ok(Queues { rx: rx.collect(), tx })
    }
}

struct DelayRx {
    inner: Box<dyn RxQueue>,
    by: Duration,
    limit: usize,
    scratch: Burst,
    waiting: VecDeque<(Instant, Packet)>,
    /// The end of the inner queue, told when all that waits has come out.
    end: Option<RxEnd>,
}

impl RxQueue for DelayRx {
    fn receive(&mut self, burst: &mut Burst, now: Instant) -> Result<Lost, RxEnd> {
        let mut lost = Lost::NONE;
        if self.end.is_none() {
            match self.inner.receive(&mut self.scratch, now) {
                Ok(more) => lost = more,
                Err(end) => self.end = Some(end),
            }
        }
        for packet in self.scratch.drain() {
            if self.waiting.len() < self.limit {
                self.waiting.push_back((now.after(self.by), packet));
            } else {
                lost.missed += 1;
            }
        }
        if self.waiting.is_empty()
            && let Some(end) = self.end.take()
        {
            self.end = Some(RxEnd::Finished);
            return Err(end);
        }
        while !burst.is_full() && self.waiting.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, packet)) = self.waiting.pop_front() else { break };
            // There is room: the loop's condition.
            drop(burst.push(packet));
        }
        Ok(lost)
    }

    fn wake(&self) -> Wake {
        let Some((due, _)) = self.waiting.front() else { return self.inner.wake() };
        if self.end.is_some() {
            return Wake::at(*due);
        }
        let inner = self.inner.wake();
        if inner == Wake::POLL {
            return inner;
        }
        Wake { at: Some(inner.at.map_or(*due, |at| at.min(*due))), ..inner }
    }
}
