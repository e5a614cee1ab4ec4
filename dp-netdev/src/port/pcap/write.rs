//! Writing what leaves to a capture.

use std::path::Path;

use dp_core::base::Instant;
use dp_core::packet::Burst;

use crate::offload::{self, Unfinished};
use crate::pcapfile::{Epoch, FileError, Writer, WriterOptions};
use crate::port::{OpenError, PortError, Sent, TxQueue};

/// The transmit queue that writes a capture. Frames get the time of their batch, as time of day.
///
/// What cannot be written counts as refused; the file ends with the last whole record then, and the
/// next flush says why. What is kept back reaches the file when the thread rests and when the queue
/// is dropped.
#[derive(Debug)]
pub struct Recorder {
    writer: Writer,
    epoch: Epoch,
}

impl Recorder {
    /// Makes a capture file.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn create(path: &Path, options: WriterOptions) -> Result<Self, OpenError> {
        Ok(Self { writer: Writer::create(path, options)?, epoch: Epoch::default() })
    }

    /// Says which time of day the origin of the clock is, instead of asking the system at the
    /// first batch: for repeatable files.
    #[must_use]
    pub const fn with_epoch(mut self, epoch: Epoch) -> Self {
        self.epoch = epoch;
        self
    }
}

impl TxQueue for Recorder {
    fn transmit(&mut self, batch: &mut Burst, now: Instant) -> Sent {
        let mut sent = Sent::default();
        let time = self.epoch.time_of_day(now);
        for packet in batch.drain() {
            let written = offload::finish(packet, &mut |packet| match self
                .writer
                .record(time, packet.data())
            {
                Ok(()) => sent.sent(packet.len()),
                Err(_) => sent.failed += 1,
            });
            match written {
                Ok(()) => {}
                Err(Unfinished::NoBuffer) => sent.no_buffer += 1,
                Err(Unfinished::NotSegmentable) => sent.failed += 1,
            }
        }
        sent
    }

    fn flush(&mut self) -> Result<(), PortError> {
        let written = self.writer.flush();
        let path = || self.writer.path().to_owned();
        written.map_err(|source| FileError::Io { path: path(), source }.into())
    }
}
