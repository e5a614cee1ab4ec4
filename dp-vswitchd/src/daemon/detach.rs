//! Becoming a daemon: into the background, watched, and with the starter waiting until it is ready.
//!
//! ```text
//!   starter ── waits for a byte ──┐
//!     └─ fork ─► (monitor) ── waits, restarts ──┐
//!                  └─ fork ─► daemon ── ready: a byte ──► starter ends with success
//! ```

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::exit;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, pipe, setsid};

use super::detach_unsafe::{die_of_faults, fork_single};

/// How the process became what it is, and whom to tell that it is ready.
#[derive(Debug, Default)]
pub(crate) struct Detached {
    starter: Option<OwnedFd>,
    background: bool,
    no_chdir: bool,
}

/// Forks as asked. Returns in the process that is to be the daemon; the others end in here.
pub(crate) fn detach(background: bool, monitor: bool, no_chdir: bool) -> io::Result<Detached> {
    let mut detached = Detached { starter: None, background, no_chdir };
    if background {
        detached.starter = Some(fork_and_wait()?);
        setsid()?;
    }
    if monitor {
        watch(&mut detached)?;
    }
    Ok(detached)
}

impl Detached {
    /// Whether the process is to let go of its terminal when it is ready.
    pub(crate) fn leaves_terminal(&self) -> bool {
        self.background
    }

    /// Tells the starter, and lets go of its terminal.
    pub(crate) fn ready(&mut self) {
        if let Some(starter) = self.starter.take() {
            // A starter that has gone needs no word.
            let _ = std::fs::File::from(starter).write_all(&[0]);
        }
        if std::mem::take(&mut self.background) {
            if !self.no_chdir {
                let _ = chdir("/");
            }
            if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
                let _ = dup2_stdin(&null);
                let _ = dup2_stdout(&null);
                let _ = dup2_stderr(&null);
            }
        }
    }
}

/// Forks; the parent ends when the child says that it is ready, or with the child. Returns in the
/// child, with what to say it through.
fn fork_and_wait() -> io::Result<OwnedFd> {
    let (read, write) = pipe()?;
    match fork_single()? {
        ForkResult::Child => Ok(write),
        ForkResult::Parent { child } => {
            drop(write);
            let mut byte = [0];
            match std::fs::File::from(read).read(&mut byte) {
                Ok(1) => exit(0),
                _ => exit(end_of(child)),
            }
        }
    }
}

/// The exit status of a child that has ended.
fn end_of(child: Pid) -> i32 {
    match waitpid(child, None) {
        Ok(WaitStatus::Exited(_, 0)) => {
            eprintln!("child process exited before it was ready");
            1
        }
        Ok(WaitStatus::Exited(_, status)) => status,
        Ok(WaitStatus::Signaled(_, signal, _)) => {
            eprintln!("fork child died before signaling startup (killed by {})", signal.as_str());
            1
        }
        _ => 1,
    }
}

/// Forks the daemon and stays to start it again when it dies by a fault. Returns in the daemon.
fn watch(detached: &mut Detached) -> io::Result<()> {
    let mut first = true;
    let mut last = Instant::now();
    loop {
        let (read, write) = pipe()?;
        match fork_single()? {
            ForkResult::Child => {
                drop(read);
                detached.starter = Some(write);
                return die_of_faults();
            }
            ForkResult::Parent { child } => {
                drop(write);
                let mut byte = [0];
                let ready = matches!(std::fs::File::from(read).read(&mut byte), Ok(1));
                if !ready && first {
                    exit(end_of(child));
                }
                if ready {
                    // From here on it is this process whom nobody waits for.
                    detached.ready();
                }
                first = false;
                let fault = match waitpid(child, None) {
                    Ok(WaitStatus::Signaled(_, signal, _)) if is_fault(signal) => signal,
                    Ok(WaitStatus::Exited(_, status)) => exit(status),
                    _ => exit(0),
                };
                log::error!(
                    target: "daemon_unix",
                    "{child} died, killed ({}), restarting", fault.as_str()
                );
                // Not more often than every ten seconds.
                if let Some(wait) = PAUSE.checked_sub(last.elapsed()) {
                    thread::sleep(wait);
                }
                last = Instant::now();
            }
        }
    }
}

/// Whether a process that died so may do better the next time.
fn is_fault(signal: Signal) -> bool {
    matches!(
        signal,
        Signal::SIGABRT
            | Signal::SIGALRM
            | Signal::SIGBUS
            | Signal::SIGFPE
            | Signal::SIGILL
            | Signal::SIGPIPE
            | Signal::SIGSEGV
            | Signal::SIGXCPU
            | Signal::SIGXFSZ
    )
}

const PAUSE: Duration = Duration::from_secs(10);
