//! A datapath flow as the tools print it.
//!
//! ```text
//! recirc_id(0),in_port(1),…, packets:3, bytes:180, used:0.5s, flags:., actions:2
//! ```

use std::{fmt, str::FromStr};

/// One line of `dpctl/dump-flows`, with what changes from run to run set apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Megaflow {
    /// What it matches, as printed.
    pub matching: String,
    /// What it does, as printed.
    pub actions: String,
    /// Packets that took it.
    pub packets: u64,
    /// Their octets.
    pub bytes: u64,
    /// What else is told: time of last use, TCP flags, with `-m` the datapath's layer.
    pub told: Vec<String>,
}

impl Megaflow {
    /// Match and actions, which two switches can agree on.
    #[must_use]
    pub fn rule(&self) -> String {
        format!("{}, actions:{}", self.matching, self.actions)
    }
}

impl fmt::Display for Megaflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, packets:{}, bytes:{}, ", self.matching, self.packets, self.bytes)?;
        for told in &self.told {
            write!(f, "{told}, ")?;
        }
        write!(f, "actions:{}", self.actions)
    }
}

/// The line is no datapath flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a datapath flow")]
pub struct MegaflowError;

impl FromStr for Megaflow {
    type Err = MegaflowError;

    fn from_str(line: &str) -> Result<Self, MegaflowError> {
        let (matching, rest) = line.split_once(", packets:").ok_or(MegaflowError)?;
        let (statistics, actions) = rest.split_once(", actions:").ok_or(MegaflowError)?;
        let mut told = statistics.split(", ").map(str::to_owned);
        let number = |text: Option<String>, name: &str| text?.strip_prefix(name)?.parse().ok();
        let packets = number(told.next(), "").ok_or(MegaflowError)?;
        let bytes = number(told.next(), "bytes:").ok_or(MegaflowError)?;
        Ok(Self {
            matching: matching.to_owned(),
            actions: actions.to_owned(),
            packets,
            bytes,
            told: told.collect(),
        })
    }
}
