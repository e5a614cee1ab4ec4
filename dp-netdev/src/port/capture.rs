//! Records everything that passes a port, whatever kind it is, in one capture file.
//!
//! Frames are recorded as they are: a checksum left to be completed is seen incomplete, a frame to
//! be cut is seen whole, as on the kernel's own taps. Both directions share the file, so a lock is
//! taken once a batch: this is for looking, not for speed.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use dp_core::base::Instant;
use dp_core::packet::{Burst, Slots};

use super::{
    Lost, OpenError, Port, PortError, QueueCount, Queues, RxEnd, RxQueue, Sent, TxQueue, Wake,
};
use crate::pcapfile::{Epoch, Writer};

/// A port whose packets are recorded.
pub struct Capture {
    inner: Box<dyn Port>,
    tape: Tape,
}

/// The file, shared by the queues.
#[derive(Clone)]
struct Tape(Arc<Mutex<(Writer, Epoch)>>);

impl Capture {
    /// Records `inner` with `writer`. Where the file cannot be written any more, recording ends
    /// and the port goes on: see [`Watch::error`].
    #[must_use]
    pub fn new(inner: Box<dyn Port>, writer: Writer) -> Self {
        Self { inner, tape: Tape(Arc::new(Mutex::new((writer, Epoch::default())))) }
    }

    /// What tells how the recording goes; stays when the port has been given away.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.tape.clone())
    }
}

/// Tells how a recording goes.
#[derive(Clone)]
pub struct Watch(Tape);

impl Watch {
    /// Writes out what is gathered, and says why recording has ended if it has.
    #[must_use]
    pub fn error(&self) -> Option<std::io::Error> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).0.flush().err()
    }
}

impl Tape {
    fn record(&self, burst: &Burst, slots: Slots, now: Instant) {
        if slots.is_empty() {
            return;
        }
        let (writer, epoch) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let time = epoch.time_of_day(now);
        for packet in slots.iter().filter_map(|slot| burst.get(slot)) {
            if writer.record(time, packet.data()).is_err() {
                return;
            }
        }
    }

    fn flush(&self) {
        // The port itself is sound; `Watch` tells of the file.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).0.flush();
    }
}

impl Port for Capture {
    super::left_to_the_inner_port!();

    fn queues(&mut self, want: QueueCount) -> Result<Queues, OpenError> {
        let Queues { rx, tx } = self.inner.queues(want)?;
        let rx = rx.into_iter().map(|inner| {
            Box::new(CaptureRx { inner, tape: self.tape.clone() }) as Box<dyn RxQueue>
        });
        let tx = tx.into_iter().map(|inner| {
            Box::new(CaptureTx { inner, tape: self.tape.clone() }) as Box<dyn TxQueue>
        });
        Ok(Queues { rx: rx.collect(), tx: tx.collect() })
    }
}

struct CaptureRx {
    inner: Box<dyn RxQueue>,
    tape: Tape,
}

impl RxQueue for CaptureRx {
    fn receive(&mut self, burst: &mut Burst, now: Instant) -> Result<Lost, RxEnd> {
        let before = Slots::first(burst.len());
        let lost = self.inner.receive(burst, now)?;
        let new = Slots(Slots::first(burst.len()).0 & !before.0);
        self.tape.record(burst, new, now);
        Ok(lost)
    }

    fn wake(&self) -> Wake {
        self.inner.wake()
    }
}

struct CaptureTx {
    inner: Box<dyn TxQueue>,
    tape: Tape,
}

impl TxQueue for CaptureTx {
    fn transmit(&mut self, batch: &mut Burst, now: Instant) -> Sent {
        self.tape.record(batch, batch.live(), now);
        self.inner.transmit(batch, now)
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.tape.flush();
        self.inner.flush()
    }
}
