//! What one thread knows of a port's settings.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use dp_core::base::Instant;
use dp_core::packet::Burst;

use super::police::Policer;
use super::shaper::Shaper;
use super::{Egress, PortQos};
use crate::port::{Sent, TxQueue};

/// The way in of one receive queue.
#[derive(Debug)]
pub(crate) struct IngressGate {
    qos: Arc<PortQos>,
    seen: u32,
    policer: Option<Arc<Policer>>,
}

impl IngressGate {
    pub(crate) fn new(qos: &Arc<PortQos>) -> Self {
        // Another version than any: what is set is looked at with the first packets.
        Self { qos: Arc::clone(qos), seen: qos.version().wrapping_sub(1), policer: None }
    }

    /// Drops what may not come in; returns how many packets.
    #[inline]
    pub(crate) fn pass(&mut self, burst: &mut Burst, now: Instant) -> u32 {
        if self.qos.version() != self.seen {
            self.refresh();
        }
        let Some(policer) = &self.policer else { return 0 };
        let dropped = policer.police(burst, now);
        if dropped != 0 {
            self.qos.rx_policed.fetch_add(u64::from(dropped), Ordering::Relaxed);
        }
        dropped
    }

    #[cold]
    fn refresh(&mut self) {
        let set = self.qos.lock();
        self.seen = self.qos.version();
        self.policer.clone_from(&set.ingress);
    }
}

/// The way out of one transmit queue.
#[derive(Debug)]
pub(crate) struct EgressGate {
    qos: Arc<PortQos>,
    seen: u32,
    egress: Option<Egress>,
    /// What leaves a shaper at once.
    leaving: Burst,
}

impl EgressGate {
    pub(crate) fn new(qos: &Arc<PortQos>) -> Self {
        let seen = qos.version().wrapping_sub(1);
        Self { qos: Arc::clone(qos), seen, egress: None, leaving: Burst::default() }
    }

    /// Sends a batch, or lets it wait. The second value says that something waits.
    #[inline]
    pub(crate) fn transmit(
        &mut self,
        queue: &mut dyn TxQueue,
        batch: &mut Burst,
        now: Instant,
    ) -> (Sent, bool) {
        if self.qos.version() != self.seen {
            let left = self.refresh(queue, now);
            if left.packets != 0 || left.dropped() != 0 {
                let (mut sent, waits) = self.send(queue, batch, now);
                sent.add(left);
                return (sent, waits);
            }
        }
        self.send(queue, batch, now)
    }

    #[inline]
    fn send(&mut self, queue: &mut dyn TxQueue, batch: &mut Burst, now: Instant) -> (Sent, bool) {
        match &self.egress {
            None => (queue.transmit(batch, now), false),
            Some(Egress::Police(policer)) => {
                let policed = policer.police(batch, now);
                self.qos.tx_policed.fetch_add(u64::from(policed), Ordering::Relaxed);
                let mut sent = queue.transmit(batch, now);
                sent.policed += policed;
                (sent, false)
            }
            Some(Egress::Shape(shaper)) => {
                let mut shaper = locked(shaper);
                if shaper.is_closed() {
                    return (queue.transmit(batch, now), false);
                }
                let overflow = shaper.enqueue(batch, now);
                self.qos.tx_overflow.fetch_add(u64::from(overflow), Ordering::Relaxed);
                let mut sent = release(&mut shaper, &mut self.leaving, queue, now);
                sent.overflow += overflow;
                (sent, shaper.waits())
            }
        }
    }

    /// Sends what may leave by now. The second value says whether something waits still.
    pub(crate) fn drain(&mut self, queue: &mut dyn TxQueue, now: Instant) -> (Sent, bool) {
        let mut sent = Sent::default();
        if self.qos.version() != self.seen {
            sent = self.refresh(queue, now);
        }
        let Some(Egress::Shape(shaper)) = &self.egress else { return (sent, false) };
        let mut shaper = locked(shaper);
        sent.add(release(&mut shaper, &mut self.leaving, queue, now));
        (sent, shaper.waits())
    }

    /// Whether something waits, and until when.
    pub(crate) fn due(&self) -> Option<Instant> {
        let Some(Egress::Shape(shaper)) = &self.egress else { return None };
        locked(shaper).due()
    }

    /// Whether something may wait here that another thread has left.
    pub(crate) fn may_wait(&mut self) -> bool {
        if self.qos.version() != self.seen && self.egress.is_none() {
            let set = self.qos.lock();
            self.seen = self.qos.version();
            self.egress.clone_from(&set.egress);
        }
        match &self.egress {
            Some(Egress::Shape(shaper)) => locked(shaper).waits(),
            _ => false,
        }
    }

    /// Looks at what is set. What waits in a shaper that is no longer in force leaves at once.
    #[cold]
    fn refresh(&mut self, queue: &mut dyn TxQueue, now: Instant) -> Sent {
        let new = {
            let set = self.qos.lock();
            self.seen = self.qos.version();
            set.egress.clone()
        };
        let old = std::mem::replace(&mut self.egress, new);
        let mut sent = Sent::default();
        let Some(Egress::Shape(old)) = old else { return sent };
        if let Some(Egress::Shape(new)) = &self.egress
            && Arc::ptr_eq(&old, new)
        {
            return sent;
        }
        let mut shaper = locked(&old);
        shaper.close();
        while shaper.take_any(&mut self.leaving) {
            sent.add(queue.transmit(&mut self.leaving, now));
            self.leaving.clear();
        }
        sent
    }
}

fn locked(shaper: &std::sync::Mutex<Shaper>) -> MutexGuard<'_, Shaper> {
    shaper.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends what may leave by now.
fn release(
    shaper: &mut Shaper,
    leaving: &mut Burst,
    queue: &mut dyn TxQueue,
    now: Instant,
) -> Sent {
    let mut sent = Sent::default();
    while shaper.release(leaving, now) {
        sent.add(queue.transmit(leaving, now));
        leaving.clear();
    }
    sent
}
