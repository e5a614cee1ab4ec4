//! A packet thread: the loop around the turn.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{Builder, JoinHandle};

use super::rest::{Idle, Rest};
use super::turn::Pmd;
use crate::system::{Clock, pin_to_cpu};

/// Starts a thread that drives `pmd` until its mailbox says stop. The thread holds the lock as long
/// as it runs: that nobody else can take it means that the thread runs.
///
/// # Errors
///
/// When there can be no further thread, or not on this processor.
pub(crate) fn spawn(
    name: String,
    pmd: Arc<Mutex<Pmd>>,
    cpu: Option<usize>,
    idle: Idle,
    clock: Clock,
) -> io::Result<JoinHandle<()>> {
    let (tell, told) = mpsc::sync_channel(1);
    let body = move || {
        let pinned = cpu.map_or(Ok(()), pin_to_cpu);
        let failed = pinned.is_err();
        let mut pmd = pmd.lock().unwrap_or_else(PoisonError::into_inner);
        // The starter waits for this word: after it, the thread runs.
        let _ = tell.send(pinned);
        if !failed {
            run(&mut pmd, idle, clock);
        }
    };
    let thread = Builder::new().name(name).spawn(body)?;
    match told.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the packet thread ended at once")),
    }
}

fn run(pmd: &mut Pmd, idle: Idle, clock: Clock) {
    let mailbox = Arc::clone(pmd.mailbox());
    let counters = pmd.loop_counters();
    let mut rest = Rest::new(idle);
    while !mailbox.is_stopping() {
        let now = clock.now();
        if pmd.turn(now) != 0 {
            rest.over();
        } else if rest.take(pmd, now) {
            counters.naps.add(1);
        }
    }
    pmd.flush_queues();
}
