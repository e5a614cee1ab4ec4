//! Child processes that end with the test that started them.
//!
//! A test may fail anywhere, and the daemon it started must not outlive it. [`Guarded`] owns its
//! child and kills that very process, by its id, when it is dropped.

mod signal_unsafe;

#[cfg(test)]
mod tests;

use std::{
    io,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use crate::patience;

/// A running child, killed when dropped.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    name: String,
}

impl Guarded {
    /// Starts the command, with its standard streams as the command says.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Start`].
    pub fn spawn(command: &mut Command) -> Result<Self, ProcessError> {
        let name = describe(command);
        match command.spawn() {
            Ok(child) => Ok(Self { child, name }),
            Err(source) => Err(ProcessError::Start { command: name, source }),
        }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output, once, if that is a pipe.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Its standard error, once, if that is a pipe.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Wait`].
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        self.child
            .try_wait()
            .map_err(|source| ProcessError::Wait { command: self.name.clone(), source })
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Late`] if it still runs at the limit.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, ProcessError> {
        match patience::wait(limit, || self.ended().transpose()) {
            Some(ended) => ended,
            None => Err(ProcessError::Late { command: self.name.clone(), limit }),
        }
    }

    /// Asks it to end (`SIGTERM`) and waits; kills it at the limit.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Late`] if it had to be killed.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus, ProcessError> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        signal_unsafe::terminate(&self.child)
            .map_err(|source| ProcessError::Wait { command: self.name.clone(), source })?;
        let status = self.wait(limit);
        if matches!(status, Err(ProcessError::Late { .. })) {
            self.kill();
        }
        status
    }

    fn kill(&mut self) {
        // Both fail only where the child is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command to its end and gives its standard output.
///
/// # Errors
///
/// [`ProcessError::Start`], or [`ProcessError::Failed`] with what it wrote to standard error.
pub fn run(command: &mut Command) -> Result<String, ProcessError> {
    let output = output(command)?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    Err(ProcessError::Failed { command: describe(command), status: output.status, stdout, stderr })
}

/// Runs a command to its end, without standard input, and gives all it said.
///
/// # Errors
///
/// [`ProcessError::Start`]; a failure of the command itself is in the answer.
pub fn output(command: &mut Command) -> Result<Output, ProcessError> {
    command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ProcessError::Start { command: describe(command), source })
}

/// Why a process did not do what was wanted.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("{command}: {source}")]
    Start {
        /// The command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended with a failure.
    #[error("{command}: {status}: {stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard output.
        stdout: String,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// It ran longer than it was given.
    #[error("{command}: still running after {limit:?}")]
    Late {
        /// The command line.
        command: String,
        /// The time it had.
        limit: Duration,
    },
    /// The system could not say how it fares, or signal it.
    #[error("{command}: waiting: {source}")]
    Wait {
        /// The command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The command line as one would type it, quotes aside.
fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
