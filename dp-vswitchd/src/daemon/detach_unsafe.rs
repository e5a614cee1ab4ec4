//! `fork(2)`: the only way to become a daemon whose starter waits until it is ready. And dying of a
//! fault at the first signal that says so.

#![expect(unsafe_code, reason = "fork and signal have no safe interface")]

use std::io;

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, fork};

/// Forks a process that has one thread only.
pub(super) fn fork_single() -> io::Result<ForkResult> {
    // SAFETY: called before any thread is started, so the child finds no lock held by a thread that
    // does not exist there, and may go on as any process.
    Ok(unsafe { fork() }?)
}

/// Has faults end the process whoever sends them: the handlers that a Rust program starts with take
/// a first one from outside for a question about the stack, and go on.
pub(super) fn die_of_faults() -> io::Result<()> {
    for fault in [Signal::SIGSEGV, Signal::SIGBUS] {
        // SAFETY: no handler of ours is installed, only the system's own action.
        unsafe { signal(fault, SigHandler::SigDfl) }?;
    }
    Ok(())
}
