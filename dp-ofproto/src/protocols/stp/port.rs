//! A port of a spanning tree.

use std::fmt;

use dp_core::base::Instant;

use super::PortConfig;
use crate::protocols::bpdu::BridgeId;

/// What a port does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing: its link is down.
    Disabled,
    /// Nothing.
    Blocking,
    /// Nothing, and soon more.
    Listening,
    /// Learns addresses.
    Learning,
    /// Carries packets.
    Forwarding,
}

impl State {
    /// Whether addresses are learned from packets.
    #[must_use]
    pub fn learns(self) -> bool {
        self >= Self::Learning
    }

    /// Whether packets are carried.
    #[must_use]
    pub fn forwards(self) -> bool {
        self == Self::Forwarding
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Disabled => "disabled",
            Self::Blocking => "blocking",
            Self::Listening => "listening",
            Self::Learning => "learning",
            Self::Forwarding => "forwarding",
        })
    }
}

/// What a port is in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads to the root.
    Root,
    /// By it the root is reached from its LAN.
    Designated,
    /// Another port is better.
    Alternate,
    /// It takes no part.
    Disabled,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Root => "root",
            Self::Designated => "designated",
            Self::Alternate => "alternate",
            Self::Disabled => "disabled",
        })
    }
}

/// What is heard on a LAN, or said there: the lower the better (8.6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Vector {
    pub(super) root: BridgeId,
    pub(super) cost: u32,
    pub(super) bridge: BridgeId,
    pub(super) port: u16,
}

/// What a port counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Data units sent.
    pub tx: u64,
    /// Data units received.
    pub rx: u64,
    /// Those that were none, or too old.
    pub errors: u64,
}

#[derive(Debug)]
pub(super) struct Port {
    pub(super) config: PortConfig,
    pub(super) state: State,
    pub(super) since: Instant,
    /// The best that is heard on its LAN, or said by itself.
    pub(super) best: Vector,
    /// Until when what was heard counts; `None`: it was said by ourselves.
    pub(super) heard_until: Option<Instant>,
    pub(super) forward_at: Option<Instant>,
    pub(super) hold_until: Option<Instant>,
    pub(super) config_pending: bool,
    pub(super) acknowledge: bool,
    pub(super) stats: PortStats,
}

impl Port {
    pub(super) fn new(config: PortConfig, best: Vector, now: Instant) -> Self {
        let state = if config.up { State::Blocking } else { State::Disabled };
        Self {
            config,
            state,
            since: now,
            best,
            heard_until: None,
            forward_at: None,
            hold_until: None,
            config_pending: false,
            acknowledge: false,
            stats: PortStats::default(),
        }
    }

    /// Its link has gone or come: what was heard by it counts no more.
    pub(super) fn restart(&mut self, own: Vector, now: Instant) {
        let stats = self.stats;
        *self = Self { stats, ..Self::new(self.config.clone(), own, now) };
    }

    pub(super) fn enter(&mut self, state: State, now: Instant) {
        (self.state, self.since) = (state, now);
    }

    /// Whether what was heard is better, or renews what is known (8.6.2.2).
    pub(super) fn is_superseded_by(&self, heard: Vector, own: BridgeId) -> bool {
        let known = self.best;
        let ahead = (heard.root, heard.cost, heard.bridge) < (known.root, known.cost, known.bridge);
        let same = (heard.root, heard.cost, heard.bridge) == (known.root, known.cost, known.bridge);
        ahead || same && (heard.bridge != own || heard.port <= known.port)
            // The one who was best has something worse to say.
            || heard.bridge == known.bridge && heard.port == known.port && heard.bridge != own
    }
}
