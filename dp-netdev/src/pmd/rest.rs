//! What a packet thread does when no packet moved: spin, or sleep until something happens.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dp_core::base::{Duration, Instant};
use dp_core::packet::BURST;

use super::turn::Pmd;
use crate::port::Wake;
use crate::system::wait;

/// What a packet thread does when there is nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// Asks its queues again at once: the least delay, at the price of a whole processor.
    Spin,
    /// Asks again for some microseconds, then sleeps until a queue, a moment or the control side
    /// wakes it. Queues that cannot wake anybody are asked about every millisecond.
    #[default]
    Sleep,
}

/// How long a spinning thread may nap between turns that bring little, in microseconds; 0: it never
/// does. Shared with the control side.
pub type NapLimit = Arc<AtomicU32>;

/// Packets in a turn at which a thread is busy and does not nap.
const MUCH: usize = BURST / 2;

/// How long a thread asks on before it sleeps.
const PATIENCE: Duration = Duration::from_micros(50);
/// The first nap where some queue must be asked again, and the longest.
const NAPS: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(1)];
/// The longest sleep otherwise: housekeeping is due.
const LONGEST: Duration = Duration::from_millis(100);

/// A thread's idleness so far.
#[derive(Debug)]
pub(crate) struct Rest {
    idle: Idle,
    since: Option<Instant>,
    nap: Duration,
    polled: Vec<libc::pollfd>,
    limit: NapLimit,
    /// How long it naps now, in microseconds.
    growing: u32,
}

impl Rest {
    pub(crate) fn new(idle: Idle, limit: NapLimit) -> Self {
        Self { idle, since: None, nap: NAPS[0], polled: Vec::new(), limit, growing: 0 }
    }

    /// A turn has moved so many packets. Where it was few, a spinning thread naps: a microsecond
    /// longer each time, up to its limit, and not at all as soon as there are many. Returns how long
    /// it napped, in microseconds.
    pub(crate) fn ease(&mut self, moved: usize) -> u64 {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit == 0 || self.idle != Idle::Spin {
            return 0;
        }
        if moved >= MUCH {
            self.growing = 0;
            return 0;
        }
        self.growing = (self.growing + 1).min(limit);
        std::thread::sleep(Duration::from_micros(u64::from(self.growing)));
        u64::from(self.growing)
    }

    /// Packets have moved.
    pub(crate) fn over(&mut self) {
        self.since = None;
        self.nap = NAPS[0];
    }

    /// Nothing has moved in a turn at `now`; rests as long as is right. Returns whether it slept.
    pub(crate) fn take(&mut self, pmd: &mut Pmd, now: Instant) -> bool {
        let since = match self.since {
            Some(since) => since,
            None => {
                pmd.flush_queues(now);
                *self.since.insert(now)
            }
        };
        // A thread without queues has nothing to be quick for.
        let spin = self.idle == Idle::Spin && pmd.serves();
        if spin || now.since(since) < PATIENCE {
            std::hint::spin_loop();
            return false;
        }
        let limit = self.limit(pmd, now);
        if limit.is_zero() {
            return false;
        }
        let mailbox = Arc::clone(pmd.mailbox());
        mailbox.about_to_sleep();
        let sleep = !pmd.has_work() && !mailbox.is_stopping();
        if sleep {
            let bell: Option<RawFd> = Some(mailbox.bell.fd());
            let queues = pmd.wakes().filter_map(|wake| wake.readable);
            wait(bell.into_iter().chain(queues), limit, &mut self.polled);
        }
        mailbox.awake();
        sleep
    }

    /// How long the thread may sleep.
    fn limit(&mut self, pmd: &Pmd, now: Instant) -> Duration {
        let mut limit = LONGEST;
        let mut ask = false;
        for wake in pmd.wakes() {
            ask |= wake == Wake::POLL;
            if let Some(at) = wake.at {
                limit = limit.min(at.since(now));
            }
        }
        if ask {
            limit = limit.min(self.nap);
            self.nap = (self.nap * 2).min(NAPS[1]);
        }
        limit
    }
}
