//! What may be set of a bridge and its ports.

use std::collections::BTreeMap;

use dp_core::base::{Duration, MacAddr};

use crate::protocols::bpdu::BridgeId;

/// The settings of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its priority and address.
    pub id: BridgeId,
    /// How often it speaks as the root.
    pub hello: Duration,
    /// When information is too old.
    pub max_age: Duration,
    /// How long ports wait before they learn, and again before they forward.
    pub forward_delay: Duration,
}

impl Config {
    /// The settings of a bridge with this address and these `other_config`. Times outside the ranges
    /// of the standard are brought into them.
    #[must_use]
    pub fn from_keys(mac: MacAddr, keys: &BTreeMap<String, String>) -> Self {
        let number = |key: &str| keys.get(key).and_then(|value| value.parse::<u64>().ok());
        let seconds = |key: &str, low: u64, high: u64, default: u64| {
            Duration::from_secs(number(key).unwrap_or(default).clamp(low, high))
        };
        let priority = number("stp-priority").and_then(|it| u16::try_from(it).ok());
        let own = keys.get("stp-system-id").and_then(|it| it.parse().ok());
        let hello = seconds("stp-hello-time", 1, 10, 2);
        // 8.10.2: both ends of the range that the other times leave.
        let forward_delay = seconds("stp-forward-delay", 4, 30, 15);
        let most = (forward_delay - Duration::from_secs(1)) * 2;
        let least = (hello + Duration::from_secs(1)) * 2;
        let max_age = seconds("stp-max-age", 6, 40, 20).min(most).max(least);
        let id = BridgeId::new(priority.unwrap_or(0x8000), own.unwrap_or(mac));
        Self { id, hello, max_age, forward_delay }
    }
}

/// The settings of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Its name.
    pub name: String,
    /// Its address.
    pub mac: MacAddr,
    /// Its priority.
    pub priority: u8,
    /// Its number, from 1 on.
    pub number: u8,
    /// What it costs to go by it.
    pub path_cost: u32,
}

impl PortConfig {
    /// Priority and number.
    #[must_use]
    pub const fn id(&self) -> u16 {
        (self.priority as u16) << 8 | self.number as u16
    }
}

/// The cost of a port of this speed in Mbit/s; 0: unknown, taken for 10 Gbit/s (802.1D-1998, table
/// 8-5).
#[must_use]
pub const fn path_cost(speed: u64) -> u32 {
    match speed {
        0 | 10_000.. => 2,
        1000.. => 4,
        100.. => 19,
        16.. => 62,
        10.. => 100,
        _ => 250,
    }
}
