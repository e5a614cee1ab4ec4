//! How another thread makes the main loop take a turn.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use nix::{
    errno::Errno,
    sys::eventfd::{EfdFlags, EventFd},
};

/// Wakes the main loop, from any thread. Calls before the next turn count as one.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    pub(super) fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Self(Arc::new(EventFd::from_flags(flags)?)))
    }

    /// Makes the loop take a turn soon.
    pub fn wake(&self) {
        // It can only fail by being full, and then the loop is awake already.
        let _ = self.0.write(1);
    }

    /// Forgets calls up to now.
    pub(super) fn reset(&self) -> io::Result<()> {
        match self.0.read() {
            Ok(_) | Err(Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
