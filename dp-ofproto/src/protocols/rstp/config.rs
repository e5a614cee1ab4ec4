//! What may be set of a bridge and its ports.

use std::collections::BTreeMap;

use dp_core::base::MacAddr;

use super::port::Times;
use crate::protocols::bpdu::BridgeId;

/// The settings of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its priority and address.
    pub id: BridgeId,
    /// Whether it is more than an STP bridge.
    pub rapid: bool,
    /// When information is too old, in seconds.
    pub max_age: u16,
    /// How long ports wait at STP bridges, in seconds.
    pub forward_delay: u16,
    /// Data units that a port may send in a second.
    pub hold_count: u8,
    /// How long addresses are kept, in seconds.
    pub ageing_time: u32,
}

/// How often a port speaks, in seconds: the standard has no other value (17.14).
pub(super) const HELLO_TIME: u16 = 2;

impl Config {
    /// The settings of a bridge with this address and these `other_config`. Times outside the
    /// standard's ranges, and those that contradict each other (17.13), are left at their defaults.
    #[must_use]
    pub fn from_keys(mac: MacAddr, keys: &BTreeMap<String, String>) -> Self {
        let number = |key: &str| keys.get(key).and_then(|value| value.parse::<u64>().ok());
        let within = |key: &str, low: u64, high: u64, default: u64| {
            number(key).filter(|it| (low..=high).contains(it)).unwrap_or(default)
        };
        // As the reference, which keeps the lower 16 bits.
        let priority = number("rstp-priority").map_or(0x8000, |it| it as u16 & 0xf000);
        let own = keys.get("rstp-address").and_then(|it| it.parse().ok());
        let delay = within("rstp-forward-delay", 4, 30, 15);
        let age = within("rstp-max-age", 6, 40, 20);
        let agree = |(age, delay): &(u64, u64)| *age <= 2 * (delay - 1);
        let ways = [(age, delay), (20, delay), (age, 15)];
        let (max_age, forward_delay) = ways.into_iter().find(agree).unwrap_or((20, 15));
        Self {
            id: BridgeId::new(priority, own.unwrap_or(mac)),
            rapid: number("rstp-force-protocol-version").is_none_or(|version| version >= 2),
            max_age: max_age as u16,
            forward_delay: forward_delay as u16,
            hold_count: within("rstp-transmit-hold-count", 1, 10, 6) as u8,
            ageing_time: within("rstp-ageing-time", 10, 1_000_000, 300) as u32,
        }
    }

    pub(super) const fn times(&self) -> Times {
        Times {
            message_age: 0,
            max_age: self.max_age,
            hello: HELLO_TIME,
            forward_delay: self.forward_delay,
        }
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
    /// Its priority, a multiple of 16.
    pub priority: u8,
    /// Its number, 1 to 4,095.
    pub number: u16,
    /// What it costs to go by it.
    pub path_cost: u32,
    /// There is no bridge behind it, says the operator.
    pub admin_edge: bool,
    /// Whether it finds out by itself that there is none.
    pub auto_edge: bool,
    /// Looks anew for rapid bridges when it becomes true.
    pub mcheck: bool,
}

impl PortConfig {
    /// Priority and number.
    #[must_use]
    pub const fn id(&self) -> u16 {
        (self.priority as u16 & 0xf0) << 8 | self.number & 0xfff
    }
}

/// The cost of a port of this speed in Mbit/s; 0: unknown, taken for 10 Gbit/s (table 17-3).
#[must_use]
pub const fn path_cost(speed: u64) -> u32 {
    match speed {
        0 | 10_000..100_000 => 2000,
        100_000..1_000_000 => 200,
        1_000_000..10_000_000 => 20,
        10_000_000.. => 2,
        1000..10_000 => 20_000,
        100..1000 => 200_000,
        10..100 => 2_000_000,
        _ => 20_000_000,
    }
}
