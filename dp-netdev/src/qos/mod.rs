//! Quality of service: how much of what comes in is let in, and how fast what goes out leaves.
//!
//! ```text
//!   receive ─► [Policer] ─► pipeline ─► [EgressPolicer | Shaper: queues, one a class] ─► transmit
//! ```
//!
//! A port has one [`PortQos`], which the control side changes and whoever owns a queue of the port
//! looks at once a burst: one relaxed load as long as nothing is set. What is set is a value of its
//! own behind an `Arc`; setting another drops it.
//!
//! | room | what |
//! |---|---|
//! | [`bucket`] | token buckets: shared by threads, or owned |
//! | [`police`] | dropping what exceeds a rate |
//! | [`shaper`] | holding back what exceeds a rate, in queues |
//! | [`gate`] | what one thread knows of a port's settings |

pub mod bucket;
pub(crate) mod gate;
pub mod police;
pub mod shaper;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dp_core::base::Instant;

use police::{EgressPolicer, Policer, PolicerConfig, TrtcmConfig};
use shaper::{QueueReport, Shaper, ShaperConfig};

/// What is asked of a port's way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EgressConfig {
    /// Nothing: packets leave as they come.
    #[default]
    Open,
    /// What exceeds a rate is dropped: one rate, or two with three colours.
    Police(TrtcmConfig),
    /// What exceeds a rate waits in queues.
    Shape(ShaperConfig),
}

/// What is in force on a port's way out.
#[derive(Clone, Debug)]
pub(crate) enum Egress {
    Police(Arc<EgressPolicer>),
    Shape(Arc<Mutex<Shaper>>),
}

/// The settings of a port, and what they have cost.
#[derive(Debug, Default)]
pub struct PortQos {
    /// Moves on with each change.
    version: AtomicU32,
    set: Mutex<Set>,
    /// Packets that policing has dropped: on the way in, on the way out.
    pub(crate) rx_policed: AtomicU64,
    pub(crate) tx_policed: AtomicU64,
    /// Packets for which a queue had no room.
    pub(crate) tx_overflow: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Set {
    pub(crate) ingress: Option<Arc<Policer>>,
    pub(crate) egress: Option<Egress>,
    ingress_config: PolicerConfig,
    egress_config: EgressConfig,
}

/// What the settings of a port have cost, and what its queues hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QosReport {
    /// Packets dropped by policing on the way in.
    pub rx_policed: u64,
    /// Packets dropped by policing on the way out.
    pub tx_policed: u64,
    /// Packets dropped because a queue was full.
    pub tx_overflow: u64,
    /// The queues, by number; none unless the port is shaped.
    pub queues: Vec<QueueReport>,
}

impl PortQos {
    /// Says how much may come in. The same again changes nothing.
    pub fn set_ingress(&self, config: PolicerConfig, now: Instant) {
        let mut set = self.lock();
        if set.ingress_config != config {
            set.ingress = (!config.is_open()).then(|| Arc::new(Policer::new(config, now)));
            set.ingress_config = config;
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Says how packets leave. The same again changes nothing; a shaper with other rates keeps what
    /// waits in it and what it has counted.
    pub fn set_egress(&self, config: EgressConfig, now: Instant) {
        let mut set = self.lock();
        if set.egress_config == config {
            return;
        }
        if let (EgressConfig::Shape(new), Some(Egress::Shape(shaper))) = (&config, &set.egress) {
            shaper.lock().unwrap_or_else(PoisonError::into_inner).configure(new, now);
        } else {
            set.egress = match &config {
                EgressConfig::Open => None,
                EgressConfig::Police(config) => {
                    Some(Egress::Police(Arc::new(EgressPolicer::new(config, now))))
                }
                EgressConfig::Shape(config) => {
                    Some(Egress::Shape(Arc::new(Mutex::new(Shaper::new(config, now)))))
                }
            };
            self.version.fetch_add(1, Ordering::Release);
        }
        set.egress_config = config;
    }

    /// What the settings have cost so far.
    #[must_use]
    pub fn report(&self) -> QosReport {
        let set = self.lock();
        let queues = match &set.egress {
            Some(Egress::Shape(shaper)) => {
                shaper.lock().unwrap_or_else(PoisonError::into_inner).report()
            }
            _ => Vec::new(),
        };
        QosReport {
            rx_policed: self.rx_policed.load(Ordering::Relaxed),
            tx_policed: self.tx_policed.load(Ordering::Relaxed),
            tx_overflow: self.tx_overflow.load(Ordering::Relaxed),
            queues,
        }
    }

    /// The version of the settings.
    #[inline]
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
