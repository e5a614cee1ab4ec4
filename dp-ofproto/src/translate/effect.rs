//! What a translation wants to happen beside the datapath's actions.

use std::sync::Arc;

use dp_core::base::{BondId, Instant, MacAddr, OfPort};
use dp_core::flow::FlowKey;
use dp_core::sync::Word64;

use super::hooks::{CarriedBy, FlowNote, Hooks, SeenNeighbour};
use super::learn::LearnedRule;
use crate::bridge::Bridge;
use crate::group::GroupStats;
use crate::learn::Gratuitous;
use crate::table::{Rule, TableCounters};

/// One effect. Applied for the packet that was translated, and for those that its megaflow
/// carries.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A rule acted on the packet.
    Credit(Arc<Rule>),
    /// Nothing in a table matched the packet.
    Miss(Arc<TableCounters>),
    /// The packet shows where an address is.
    Learn {
        /// The bridge.
        bridge: Arc<Bridge>,
        /// Its VLAN.
        vlan: u16,
        /// Its source address.
        mac: MacAddr,
        /// The port it came in by.
        port: OfPort,
        /// Whether it is a gratuitous ARP packet.
        arp: Gratuitous,
    },
    /// A group, a bucket or a mirror carried the packet.
    Count(Arc<GroupStats>),
    /// A tunnel put headers of this many bytes in front of the packet.
    CountPushed(Arc<GroupStats>, u64),
    /// The packet was not tracked, for a rule that counts such packets.
    Untracked(Arc<Word64>),
    /// The packet makes a rule, or keeps it alive.
    MakeRule(Arc<LearnedRule>),
    /// A TCP connection ends: these timeouts are in force from now on, in seconds.
    ShortenTimeouts {
        /// Of this rule.
        rule: Arc<Rule>,
        /// Idle timeout; 0: unchanged.
        idle: u16,
        /// Hard timeout; 0: unchanged.
        hard: u16,
    },
    /// The packet tells of a neighbour of tunnels.
    Neighbour(SeenNeighbour),
    /// The packet belongs to a flow that somebody is told of.
    Tell(Box<FlowNote>),
    /// The packet went out of a bond.
    Bond {
        /// The bond.
        bond: BondId,
        /// The packet.
        flow: Box<FlowKey>,
        /// Its VLAN.
        vlan: u16,
    },
}

impl Effect {
    /// Whether it is one of every packet that a megaflow carries, and not of the first alone: from
    /// where a tunnel's other end sends is no part of the match.
    #[must_use]
    pub const fn lasts(&self) -> bool {
        !matches!(self, Self::Neighbour(SeenNeighbour { told: false, .. }))
    }

    /// Applies the effect of `packets` packets of `bytes` bytes in all, the last at `used`; they
    /// had these TCP flags among them.
    pub fn apply(&self, hooks: &Hooks, packets: u64, bytes: u64, tcp_flags: u16, used: Instant) {
        match self {
            Self::Credit(rule) => rule.credit(packets, bytes, used),
            Self::Miss(counters) => counters.miss(packets),
            Self::Learn { bridge, vlan, mac, port, arp } => {
                bridge.learn(*vlan, *mac, *port, *arp, used);
            }
            Self::Count(stats) => stats.credit(packets, bytes),
            Self::CountPushed(stats, header) => stats.credit(packets, bytes + header * packets),
            Self::Untracked(count) => {
                count.add(packets);
            }
            Self::MakeRule(rule) => rule.make(used),
            Self::ShortenTimeouts { rule, idle, hard } => {
                if tcp_flags & (TCP_FIN | TCP_RST) != 0 {
                    rule.shorten_timeouts(*idle, *hard);
                }
            }
            Self::Neighbour(seen) => {
                if let Some(tunnels) = &hooks.tunnels {
                    tunnels.learn(seen, used);
                }
            }
            Self::Tell(note) => {
                if let Some(sampling) = &hooks.sampling {
                    sampling.account(note, CarriedBy { packets, bytes, tcp_flags, used });
                }
            }
            Self::Bond { bond, flow, vlan } => {
                if let Some(bonds) = &hooks.bonds {
                    bonds.account(*bond, flow, *vlan, bytes);
                }
            }
        }
    }

    /// No megaflow has the effect any more.
    pub fn end(&self, hooks: &Hooks) {
        if let (Self::Tell(note), Some(sampling)) = (self, &hooks.sampling) {
            sampling.over(note);
        }
    }
}

const TCP_FIN: u16 = 1;
const TCP_RST: u16 = 4;
