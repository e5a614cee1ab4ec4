//! One transmit queue for several threads.
//!
//! The lock is taken once a batch. It is for ports with fewer transmit queues than there are
//! threads; a port that has enough never sees it.

use std::sync::{Arc, Mutex, PoisonError};

use dp_core::base::Instant;
use dp_core::packet::Burst;

use super::{PortError, Sent, TxQueue};

/// A share in a transmit queue; clones send through the same queue.
#[derive(Clone)]
pub struct SharedTx(Arc<Mutex<Box<dyn TxQueue>>>);

impl SharedTx {
    /// Makes a queue shareable.
    #[must_use]
    pub fn new(queue: Box<dyn TxQueue>) -> Self {
        Self(Arc::new(Mutex::new(queue)))
    }

    /// Deals queues out to `threads` threads: each its own while there are enough, shares in them
    /// in turn otherwise. Empty if there are none.
    #[must_use]
    pub fn deal(queues: Vec<Box<dyn TxQueue>>, threads: usize) -> Vec<Box<dyn TxQueue>> {
        if queues.len() >= threads {
            return queues.into_iter().take(threads).collect();
        }
        let shared: Vec<Self> = queues.into_iter().map(Self::new).collect();
        let shares = shared.iter().cycle().take(if shared.is_empty() { 0 } else { threads });
        shares.map(|share| Box::new(share.clone()) as Box<dyn TxQueue>).collect()
    }
}

impl TxQueue for SharedTx {
    fn transmit(&mut self, batch: &mut Burst, now: Instant) -> Sent {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).transmit(batch, now)
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}
