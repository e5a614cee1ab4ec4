//! What a translation wants to happen beside the datapath's actions.

use std::sync::Arc;

use dp_core::base::{Instant, MacAddr, OfPort};

use crate::bridge::Bridge;
use crate::table::Rule;

/// One effect. Applied for the packet that was translated, and for those that its megaflow
/// carries.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A rule acted on the packet.
    Credit(Arc<Rule>),
    /// The packet shows where an address is.
    Learn {
        /// Its VLAN.
        vlan: u16,
        /// Its source address.
        mac: MacAddr,
        /// The port it came in by.
        port: OfPort,
    },
}

impl Effect {
    /// Applies the effect of `packets` packets of `bytes` bytes in all, the last at `used`.
    pub fn apply(&self, bridge: &Bridge, packets: u64, bytes: u64, used: Instant) {
        match self {
            Self::Credit(rule) => rule.credit(packets, bytes, used),
            Self::Learn { vlan, mac, port } => bridge.macs().learn(*vlan, *mac, *port, used),
        }
    }
}
