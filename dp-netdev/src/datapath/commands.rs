//! Commands to packet threads, whether a thread drives them or not.

use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use dp_core::boundary::DatapathError;

use super::worker::Worker;
use crate::pmd::Command;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a waiting asker looks whether the thread has ended meanwhile.
const LOOK: Duration = Duration::from_millis(20);

impl Worker {
    /// Sends a command: it takes effect at once if no thread drives the packets, at the thread's
    /// next turn otherwise.
    pub(super) fn post(&self, command: Command) -> Result<(), DatapathError> {
        let posted = match self.mailbox.try_post(command) {
            Ok(()) => Ok(()),
            Err(command) => {
                // Full. Where nobody reads, we do.
                self.obey();
                self.mailbox.post(command)
            }
        };
        self.obey();
        posted
    }

    /// Sends a command and waits for its answer.
    pub(super) fn ask<T>(
        &self,
        command: impl FnOnce(Sender<T>) -> Command,
    ) -> Result<T, DatapathError> {
        let (answer, answered) = bounded(1);
        self.post(command(answer))?;
        let start = Instant::now();
        loop {
            match answered.recv_timeout(LOOK) {
                Ok(value) => return Ok(value),
                Err(RecvTimeoutError::Disconnected) => return Err(DatapathError::NoThread),
                Err(RecvTimeoutError::Timeout) if start.elapsed() > PATIENCE => {
                    return Err(DatapathError::Busy);
                }
                // The thread may have stopped since.
                Err(RecvTimeoutError::Timeout) => self.obey(),
            }
        }
    }

    /// Takes the thread's part, if no thread runs.
    fn obey(&self) {
        if let Some(mut pmd) = self.at_rest() {
            pmd.obey();
        }
    }
}
