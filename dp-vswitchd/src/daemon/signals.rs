//! Signals as a task of the main loop: the end, and a log file that was moved away.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::event_loop::{Task, Turn, Wants};
use crate::switch::Switch;

/// The signals that the daemon listens to.
pub(super) struct Signals {
    fd: SignalFd,
    switch: Arc<Switch>,
    stopping: Rc<Cell<bool>>,
}

impl Signals {
    /// Blocks the signals for this thread, and those it starts from now on.
    pub(super) fn new(switch: Arc<Switch>) -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGALRM] {
            set.add(signal);
        }
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd, switch, stopping: Rc::default() })
    }

    /// Whether a signal asked for the end.
    pub(super) fn stopping(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.stopping)
    }
}

impl Task for Signals {
    fn name(&self) -> &'static str {
        "signals"
    }

    fn run(&mut self, _turn: &Turn<'_>) {
        while let Ok(Some(info)) = self.fd.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            match Signal::try_from(number) {
                Ok(Signal::SIGHUP) => {
                    // Whoever has no log file has nothing to open again.
                    let _ = self.switch.vlog.reopen_file();
                }
                Ok(signal) => {
                    let name = match signal {
                        Signal::SIGTERM => "Terminated",
                        Signal::SIGINT => "Interrupt",
                        _ => "Alarm clock",
                    };
                    log::warn!(
                        target: "fatal_signal",
                        "terminating with signal {number} ({name})"
                    );
                    self.stopping.set(true);
                }
                Err(_) => {}
            }
        }
    }

    fn wait(&mut self, wants: &mut Wants) {
        wants.read(&self.fd);
    }
}
