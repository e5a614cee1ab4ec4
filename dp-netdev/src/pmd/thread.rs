//! A packet thread: the loop around the turn.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{Builder, JoinHandle};

use super::rest::{Idle, NapLimit, Rest};
use super::turn::Pmd;
use crate::system::{Clock, Ticker, fine_timers, pin_to_cpu};

/// How a packet thread lives.
#[derive(Clone, Debug)]
pub(crate) struct How {
    /// The processor it stays on.
    pub(crate) cpu: Option<usize>,
    /// What it does when there is nothing to do.
    pub(crate) idle: Idle,
    /// How long it may nap.
    pub(crate) naps: NapLimit,
    /// The clock by which it moves packets.
    pub(crate) clock: Clock,
}

/// Starts a thread that drives `pmd` until its mailbox says stop. The thread holds the lock as long
/// as it runs: that nobody else can take it means that the thread runs.
///
/// # Errors
///
/// When there can be no further thread, or not on this processor.
pub(crate) fn spawn(name: String, pmd: Arc<Mutex<Pmd>>, how: How) -> io::Result<JoinHandle<()>> {
    let (tell, told) = mpsc::sync_channel(1);
    let body = move || {
        let pinned = how.cpu.map_or(Ok(()), pin_to_cpu);
        let failed = pinned.is_err();
        let mut pmd = pmd.lock().unwrap_or_else(PoisonError::into_inner);
        // The starter waits for this word: after it, the thread runs.
        let _ = tell.send(pinned);
        if !failed {
            run(&mut pmd, &how);
        }
    };
    let thread = Builder::new().name(name).spawn(body)?;
    match told.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the packet thread ended at once")),
    }
}

fn run(pmd: &mut Pmd, how: &How) {
    // A nap of a microsecond is not to last fifty.
    fine_timers();
    let mailbox = Arc::clone(pmd.mailbox());
    let counters = pmd.loop_counters();
    let mut rest = Rest::new(how.idle, Arc::clone(&how.naps));
    let mut ticker = Ticker::new(how.clock);
    let mut now = ticker.now();
    while !mailbox.is_stopping() {
        let moved = pmd.turn(now);
        if moved != 0 {
            rest.over();
        } else if rest.take(pmd, now) {
            counters.naps.add(1);
        }
        let eased = rest.ease(moved);
        if eased != 0 {
            counters.naps.add(1);
            counters.nap_micros.add(eased);
        }
        // A turn that follows at once begins when the one before has ended: no need to look again.
        let at_once = moved != 0 && eased == 0;
        now = if at_once { ticker.at(pmd.mark()) } else { ticker.now() };
    }
    pmd.flush_queues(ticker.now());
}
