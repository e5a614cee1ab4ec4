//! Writing what leaves to a capture.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use dp_core::base::Instant;
use dp_core::packet::Burst;

use crate::offload::{self, Unfinished};
use crate::pcapfile::{Writer, WriterOptions};
use crate::port::{OpenError, Sent, TxQueue};

/// The transmit queue that writes a capture. Frames get the time of their batch, as time of day.
///
/// What cannot be written counts as refused; the file ends with the last whole record then. What
/// is kept back reaches the file when the thread rests and when the queue is dropped.
#[derive(Debug)]
pub struct Recorder {
    writer: Writer,
    /// Nanoseconds between 1970 and the origin of the caller's clock.
    epoch: Option<u64>,
}

impl Recorder {
    /// Makes a capture file.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn create(path: &Path, options: WriterOptions) -> Result<Self, OpenError> {
        Ok(Self { writer: Writer::create(path, options)?, epoch: None })
    }

    /// Says which time of day the origin of the clock is, in nanoseconds since 1970, instead of
    /// asking the system at the first batch: for repeatable files.
    #[must_use]
    pub fn with_epoch(mut self, nanos: u64) -> Self {
        self.epoch = Some(nanos);
        self
    }

    fn time_of_day(&mut self, now: Instant) -> u64 {
        let epoch = self.epoch.get_or_insert_with(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(0).saturating_sub(now.0)
        });
        epoch.saturating_add(now.0)
    }
}

impl TxQueue for Recorder {
    fn transmit(&mut self, batch: &mut Burst, now: Instant) -> Sent {
        let mut sent = Sent::default();
        let time = self.time_of_day(now);
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

    fn flush(&mut self) {
        // What is lost so is in the file's length; the next batch is refused and counted.
        let _ = self.writer.flush();
    }
}
