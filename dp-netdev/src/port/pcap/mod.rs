//! Capture files as a port: what comes in is replayed from one, what goes out is written to one.
//!
//! A replay runs at full speed or at the capture's own times, once, a number of times or for ever.
//! Damage in the file ends the receive queue with an error that names the record; what stands
//! before it is delivered first. Frames that leave are completed first (checksums, segments): a
//! capture holds what a wire would carry.

mod replay;
#[cfg(test)]
mod tests;
mod write;

pub use replay::{Pace, Repeat, Replay};
pub use write::Recorder;

use std::path::Path;

use super::{OpenError, Port, QueueCount, Queues, RxQueue, TxQueue};
use crate::pcapfile::{Epoch, WriterOptions};

/// A port of capture files.
#[derive(Debug)]
pub struct Pcap {
    name: String,
    rx: Option<Replay>,
    tx: Option<Recorder>,
    taken: bool,
}

impl Pcap {
    /// A port with neither side yet: it receives nothing and drops what is sent to it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), rx: None, tx: None, taken: false }
    }

    /// Receives from a capture.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or is no Ethernet capture.
    pub fn replaying(mut self, path: &Path, pace: Pace, repeat: Repeat) -> Result<Self, OpenError> {
        self.rx = Some(Replay::open(path, pace, repeat)?);
        Ok(self)
    }

    /// Writes to a capture.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn writing(mut self, path: &Path, options: WriterOptions) -> Result<Self, OpenError> {
        self.tx = Some(Recorder::create(path, options)?);
        Ok(self)
    }

    /// Says which time of day the origin of the clock is: see [`Recorder::with_epoch`].
    #[must_use]
    pub fn with_epoch(mut self, epoch: Epoch) -> Self {
        self.tx = self.tx.map(|tx| tx.with_epoch(epoch));
        self
    }
}

impl Port for Pcap {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "pcap"
    }

    fn queues(&mut self, _want: QueueCount) -> Result<Queues, OpenError> {
        if std::mem::replace(&mut self.taken, true) {
            return Err(OpenError::QueuesTaken { port: self.name.clone() });
        }
        Ok(Queues {
            rx: self.rx.take().map(|rx| Box::new(rx) as Box<dyn RxQueue>).into_iter().collect(),
            tx: self.tx.take().map(|tx| Box::new(tx) as Box<dyn TxQueue>).into_iter().collect(),
        })
    }
}
