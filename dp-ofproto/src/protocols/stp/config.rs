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
        // As the reference, which keeps the lower 16 bits.
        let priority = number("stp-priority").map(|it| it as u16);
        let own = keys.get("stp-system-id").and_then(|it| it.parse().ok());
        let hello = seconds("stp-hello-time", 1, 10, 2);
        // 8.10.2: both other times leave a range. The reference has the hello time at one second as
        // soon as it is set, and so never finds the age too short for it.
        let least = (hello + Duration::from_secs(1)) * 2;
        let max_age = seconds("stp-max-age", 6, 40, 20).max(least);
        let enough = max_age / 2 + Duration::from_secs(1);
        let forward_delay = seconds("stp-forward-delay", 4, 30, 15).max(enough);
        let id = BridgeId::new(priority.unwrap_or(0x8000), own.unwrap_or(mac));
        Self { id, hello, max_age, forward_delay }
    }
}

/// The settings of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Whether its link is up: a port whose link is down takes no part, and keeps its number.
    pub up: bool,
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
