//! What may be set of a bond.

use std::fmt;

use dp_core::base::Duration;

/// How a bond uses its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One carries everything, another takes over.
    #[default]
    ActiveBackup,
    /// Flows are dealt out by source address and VLAN.
    BalanceSlb,
    /// Flows are dealt out by addresses and ports; needs LACP.
    BalanceTcp,
}

impl Mode {
    /// The mode of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "active-backup" => Some(Self::ActiveBackup),
            "balance-slb" => Some(Self::BalanceSlb),
            "balance-tcp" => Some(Self::BalanceTcp),
            _ => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ActiveBackup => "active-backup",
            Self::BalanceSlb => "balance-slb",
            Self::BalanceTcp => "balance-tcp",
        })
    }
}

/// The settings of a bond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How members are used.
    pub mode: Mode,
    /// Mixed into the hash.
    pub basis: u32,
    /// How long a link must be up before it carries traffic.
    pub updelay: Duration,
    /// How long it may be down and still count as up.
    pub downdelay: Duration,
    /// How often load is evened out; zero: never.
    pub rebalance_interval: Duration,
    /// The member that is active whenever it can be.
    pub primary: Option<String>,
    /// Multicast is taken in by all members of a balance-slb bond.
    pub all_active: bool,
    /// The datapath chooses members from a table of its own instead of coming back.
    pub lb_output: bool,
    /// Without an LACP partner the bond works as active-backup.
    pub fallback_ab: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::ActiveBackup,
            basis: 0,
            updelay: Duration::ZERO,
            downdelay: Duration::ZERO,
            rebalance_interval: Duration::from_secs(10),
            primary: None,
            all_active: false,
            lb_output: false,
            fallback_ab: false,
        }
    }
}
