//! A port of the example's own: counts what is sent to it and forgets it. All that a port must be.

use dp_core::base::Instant;
use dp_core::packet::Burst;
use dp_netdev::port::{OpenError, Port, QueueCount, Queues, Sent, TxQueue};

/// The port.
#[derive(Debug)]
pub(crate) struct Sink {
    name: String,
}

impl Sink {
    pub(crate) fn new(name: String) -> Self {
        Self { name }
    }
}

impl Port for Sink {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "sink"
    }

    fn queues(&mut self, _: QueueCount) -> Result<Queues, OpenError> {
        Ok(Queues { rx: Vec::new(), tx: vec![Box::new(Hole)] })
    }
}

/// Where packets end.
#[derive(Debug)]
struct Hole;

impl TxQueue for Hole {
    fn transmit(&mut self, batch: &mut Burst, _: Instant) -> Sent {
        let mut sent = Sent::default();
        for packet in batch.drain() {
            sent.sent(packet.len());
        }
        sent
    }
}
