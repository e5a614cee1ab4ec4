//! Which packets need not be tracked: an ordered list of named rules, asked during translation.
//!
//! Tracking what needs no state costs table space and time: packets to a node's own name server,
//! multicast, direct traffic between the ports of one switch. A rule says so from fields of the packet
//! alone and un-wildcards just the bits that it looked at, so the answer becomes part of the megaflow:
//! every packet that the megaflow covers would have got the same.
//!
//! ```text
//!   ct(…) ─► nat? tracked already? ──yes──► tracked
//!                    │ no
//!                 rule 1, rule 2, …  ──match──► goes on untracked; the rule counts it
//!                    │ none
//!                 tracked
//! ```
//!
//! # Invariants
//!
//! * A `ct` with address translation, and a packet that is tracked already, are never skipped.
//! * Link-local destinations never count as inside a *prefix*; an address that is listed as itself
//!   (a name server at 169.254.20.10) counts.
//! * Without [`Rule::both_directions`] replies are tracked.
//! * Connections that exist when a rule appears are left to age.
//!
//! # Threads
//!
//! The list is replaced as a whole while packets flow ([`SkipPolicy::set`]); whoever asks sees one
//! list or the other. [`SkipPolicy::version`] moves on, so that megaflows are translated again.

mod prefixes;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use prefixes::{ParsePrefixError, PrefixSet};

use super::CtState;
use crate::flow::{FieldId, FlowKey, FlowMask, layout};
use crate::sync::Word64;

/// One thing that a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The destination is one of these.
    DestinationIn(Arc<PrefixSet>),
    /// The Ethernet destination is a group address.
    EthernetMulticast,
    /// Source and destination are both among these: traffic between the ports of one switch.
    Direct(Arc<PrefixSet>),
    /// The flow that says `ct` carries the hint.
    Hint,
    /// The protocol, and the destination port if it has one.
    Protocol {
        /// IP protocol.
        proto: u8,
        /// First and last destination port.
        ports: Option<(u16, u16)>,
    },
}

/// A rule: all its conditions must hold.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it is called in traces and counters.
    pub name: String,
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// Replies match as well: source and destination are looked at the other way round, too.
    pub both_directions: bool,
    /// Packets that it let by.
    pub packets: Arc<Word64>,
}

impl Rule {
    /// A rule for one direction.
    #[must_use]
    pub fn new(name: impl Into<String>, conditions: Vec<Condition>) -> Self {
        Self { name: name.into(), conditions, both_directions: false, packets: Arc::default() }
    }
}

/// What is asked: a `ct` on its way.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The packet.
    pub flow: &'a FlowKey,
    /// The `ct` translates addresses.
    pub nat: bool,
    /// The flow that says `ct` carries the hint.
    pub hint: bool,
}

/// An ordered list of rules.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// The rules in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// The first rule that lets the packet by. What was looked at counts in `wc` afterwards.
    #[must_use]
    pub fn decide(&self, question: &Question<'_>, wc: &mut FlowMask) -> Option<&Rule> {
        if self.0.is_empty() || question.nat {
            return None;
        }
        let rule = self.0.iter().find(|rule| rule.matches(question, wc))?;
        // Whether it is tracked already matters only to what a rule would let by.
        let tracked = u128::from(CtState::TRK.bits());
        wc.unwildcard_bits(FieldId::CtState, tracked);
        (question.flow.get(FieldId::CtState) & tracked == 0).then_some(rule)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    There,
    Back,
}

impl Rule {
    fn matches(&self, question: &Question<'_>, wc: &mut FlowMask) -> bool {
        let mut all = |direction| {
            self.conditions.iter().all(|condition| condition.holds(question, direction, wc))
        };
        all(Direction::There) || (self.both_directions && all(Direction::Back))
    }
}

impl Condition {
    fn holds(&self, question: &Question<'_>, direction: Direction, wc: &mut FlowMask) -> bool {
        let flow = question.flow;
        match self {
            Self::Hint => question.hint,
            Self::EthernetMulticast => {
                const GROUP: u128 = 0x0100_0000_0000;
                wc.unwildcard_bits(FieldId::EthDst, GROUP);
                direction == Direction::There && flow.get(FieldId::EthDst) & GROUP != 0
            }
            Self::DestinationIn(set) => {
                let destination = direction == Direction::There;
                set.holds(flow, destination, wc)
            }
            Self::Direct(set) => set.holds(flow, true, wc) && set.holds(flow, false, wc),
            Self::Protocol { proto, ports } => {
                wc.unwildcard_place(layout::ETH_TYPE);
                if !matches!(flow.eth_type(), 0x0800 | 0x86dd) {
                    return false;
                }
                wc.unwildcard_place(layout::NW_PROTO);
                if flow.nw_proto() != *proto {
                    return false;
                }
                let Some((first, last)) = *ports else { return true };
                if !matches!(proto, 6 | 17 | 132) {
                    return false;
                }
                // Later fragments have no ports; theirs read as zero.
                wc.unwildcard_place(layout::NW_FRAG);
                let place = match direction {
                    Direction::There => layout::TP_DST,
                    Direction::Back => layout::TP_SRC,
                };
                wc.unwildcard_place(place);
                (u128::from(first)..=u128::from(last)).contains(&flow.load(place))
            }
        }
    }
}

/// The rules in force.
#[derive(Debug, Default)]
pub struct SkipPolicy {
    rules: ArcSwap<Rules>,
    version: Word64,
}

impl SkipPolicy {
    /// Replaces the rules. A rule whose name was there before goes on counting where that left off.
    pub fn set(&self, mut rules: Vec<Rule>) {
        let before = self.rules.load();
        for rule in &mut rules {
            if let Some(old) = before.iter().find(|old| old.name == rule.name) {
                rule.packets = Arc::clone(&old.packets);
            }
        }
        drop(before);
        self.rules.store(Arc::new(Rules(rules)));
        self.version.add(1);
    }

    /// The rules now.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Moves on whenever the rules are replaced.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.observe()
    }

    /// The rules and their counters, a line each.
    #[must_use]
    pub fn show(&self) -> String {
        use core::fmt::Write as _;
        let mut out = String::new();
        for (nth, rule) in self.rules.load().iter().enumerate() {
            let _ = write!(out, "{}: {}", nth + 1, rule.name);
            for condition in &rule.conditions {
                let _ = match condition {
                    Condition::DestinationIn(set) => write!(out, ", dst in {set}"),
                    Condition::Direct(set) => write!(out, ", src and dst in {set}"),
                    Condition::EthernetMulticast => write!(out, ", eth.mcast"),
                    Condition::Hint => write!(out, ", hint"),
                    Condition::Protocol { proto, ports: None } => write!(out, ", proto {proto}"),
                    Condition::Protocol { proto, ports: Some((first, last)) } => {
                        write!(out, ", proto {proto} port {first}-{last}")
                    }
                };
            }
            let both = if rule.both_directions { ", both directions" } else { "" };
            let _ = writeln!(out, "{both}, n_packets={}", rule.packets.get());
        }
        out
    }
}

/// Why a configuration gives no rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The key.
    pub key: &'static str,
    /// What is wrong with its value.
    pub what: String,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}

impl core::error::Error for ConfigError {}

/// Addresses of the node's own name servers.
pub const NODE_LOCAL_DNS: &str = "node_local_dns_ip";
/// Destinations that are not tracked.
pub const DESTINATIONS: &str = "skip_conntrack_dst_cidrs";
/// Subnets within which traffic is not tracked.
pub const DIRECT: &str = "ls_ct_skip_dst_lport_ips";
/// Whether multicast is not tracked.
pub const MULTICAST: &str = "skip_conntrack_multicast";

/// The rules that settings ask for, by the names that users know.
///
/// # Errors
///
/// When a value is not a list of addresses or prefixes, or no truth value.
pub fn from_settings<'a>(
    setting: impl Fn(&'static str) -> Option<&'a str>,
) -> Result<Vec<Rule>, ConfigError> {
    let list = |key: &'static str| -> Result<Option<Arc<PrefixSet>>, ConfigError> {
        let Some(text) = setting(key).filter(|text| !matches!(*text, "" | "false")) else {
            return Ok(None);
        };
        if text == "true" {
            let what = "name the subnets, separated by commas: the switch does not know them";
            return Err(ConfigError { key, what: what.to_owned() });
        }
        let set = text.parse::<PrefixSet>();
        set.map(|set| Some(Arc::new(set)))
            .map_err(|error| ConfigError { key, what: error.to_string() })
    };
    let mut rules = Vec::new();
    if let Some(set) = list(NODE_LOCAL_DNS)? {
        let mut rule = Rule::new("node-local-dns", vec![Condition::DestinationIn(set)]);
        rule.both_directions = true;
        rules.push(rule);
    }
    if let Some(set) = list(DESTINATIONS)? {
        let mut rule = Rule::new("dst-cidrs", vec![Condition::DestinationIn(set)]);
        rule.both_directions = true;
        rules.push(rule);
    }
    if let Some(set) = list(DIRECT)? {
        rules.push(Rule::new("direct", vec![Condition::Direct(set)]));
    }
    match setting(MULTICAST) {
        None | Some("" | "false") => {}
        Some("true") => {
            rules.push(Rule::new("multicast", vec![Condition::EthernetMulticast]));
        }
        Some(_) => {
            let what = "neither true nor false".to_owned();
            return Err(ConfigError { key: MULTICAST, what });
        }
    }
    // Flows that say so themselves are believed whatever the settings are.
    rules.push(Rule::new("hint", vec![Condition::Hint]));
    Ok(rules)
}

#[cfg(test)]
mod tests;
