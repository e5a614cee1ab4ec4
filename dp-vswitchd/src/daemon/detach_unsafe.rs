//! `fork(2)`: the only way to become a daemon whose starter waits until it is ready.

#![expect(unsafe_code, reason = "fork")]

use std::io;

use nix::unistd::{ForkResult, fork};

/// Forks a process that has one thread only.
pub(super) fn fork_single() -> io::Result<ForkResult> {
    // SAFETY: called before any thread is started, so the child finds no lock held by a thread that
    // does not exist there, and may go on as any process.
    Ok(unsafe { fork() }?)
}
