//! The thread that keeps sessions alive: BFD, CFM and LACP are sent and judged in time, whatever the
//! main loop is busy with.
//!
//! ```text
//!   packet threads ─ control frames ─► Services ◄─ pulse: send, judge ─► packet thread 0 ─► port
//!                                         ▲
//!   main loop ─ configuration, trees, what follows from changes
//! ```
//!
//! The main loop reads configurations of any size, writes to the database and answers commands; a BFD
//! session at 10 ms is lost in 30. So what has a deadline is done here, in real time where the system
//! allows it, and what follows from it (the database, flow tables) is left to the main loop, which is
//! woken.
//!
//! Silence is believed only after the packet threads have looked at their queues
//! ([`Netdev::looked_until`](dp_netdev::Netdev::looked_until)): a thread that is behind under load would
//! otherwise pass for a neighbour that is gone.
//!
//! # Threads
//!
//! One, for the switches whose packets are moved by threads; where the main loop moves them by hand it
//! does this too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use dp_core::base::{Instant, OfPort};
use dp_netdev::system::run_in_real_time;

use super::Switch;

/// The thread; it ends when this is dropped.
pub(crate) struct Pulse {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How long the thread sleeps at most: so long may its end take.
const LONGEST: Duration = Duration::from_millis(100);

impl Pulse {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When there can be no further thread.
    pub(crate) fn start(switch: &Arc<Switch>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (own, switch) = (Arc::clone(&stop), Arc::clone(switch));
        let thread = Builder::new().name("pulse".to_owned()).spawn(move || {
            if let Err(error) = run_in_real_time() {
                let why = crate::errno::text(&error);
                log::info!(target: "ofproto_dpif", "sessions are kept without real time: {why}");
            }
            while !own.load(Ordering::Relaxed) {
                switch.services.await_pulse(LONGEST, || switch.now());
                switch.pulse(switch.now());
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has printed why.
            let _ = thread.join();
        }
    }
}

impl Switch {
    /// Until when the packet threads have taken in what came.
    pub(super) fn heard_until(&self, now: Instant) -> Instant {
        let each = self.datapaths();
        each.iter().filter_map(|it| it.netdev.looked_until()).min().map_or(now, |it| it.min(now))
    }

    fn pulse(&self, now: Instant) {
        let facts = self.known_facts();
        let of = |bridge: &str, ofport: OfPort| facts.of(bridge, ofport);
        let turn = self.services.pulse(self.heard_until(now), now, of);
        for outgoing in &turn.outgoing {
            self.send(outgoing, now);
        }
        if turn.in_doubt {
            self.datapaths().iter().for_each(|datapath| datapath.netdev.nudge());
        }
        if turn.changed {
            self.touch();
        }
    }
}
