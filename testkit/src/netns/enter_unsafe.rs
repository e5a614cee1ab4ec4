//! Moving a thread into a namespace and back.
#![expect(unsafe_code, reason = "setns(2)")]

use std::{fs::File, io, marker::PhantomData, os::fd::AsRawFd, path::Path, thread};

/// The current thread is in another network namespace while this lives.
///
/// It stays with its thread, as the namespace is the thread's.
#[derive(Debug)]
pub struct Entered {
    previous: File,
    _not_send: PhantomData<*const ()>,
}

impl Entered {
    /// Enters the namespace that `path` stands for.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let previous = File::open("/proc/thread-self/ns/net")?;
        let namespace = File::open(path)?;
        join(&namespace)?;
        Ok(Self { previous, _not_send: PhantomData })
    }
}

impl Drop for Entered {
    #[expect(clippy::panic, reason = "a thread must not go on in a namespace it believes left")]
    fn drop(&mut self) {
        if let Err(error) = join(&self.previous)
            && !thread::panicking()
        {
            panic!("returning to the former namespace: {error}");
        }
    }
}

fn join(namespace: &File) -> io::Result<()> {
    // SAFETY: setns takes two integers and touches no memory of ours; the descriptor is open for as
    // long as `namespace` is borrowed.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
