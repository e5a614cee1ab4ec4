//! The variables of a port (17.19).

use std::fmt;

use dp_core::base::Instant;

use super::MIGRATE_TIME;
use super::config::{HELLO_TIME, PortConfig};
use super::machines::{EdgeState, MigrationState, RoleState, TransmitState};
use super::topology::TopologyState;
use crate::protocols::bpdu::{Bpdu, BridgeId};

/// A priority vector: the lower the better (17.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Vector {
    pub(super) root: BridgeId,
    pub(super) cost: u32,
    pub(super) bridge: BridgeId,
    pub(super) port: u16,
    pub(super) own_port: u16,
}

impl Vector {
    pub(super) const fn of_bridge(id: BridgeId) -> Self {
        Self { root: id, cost: 0, bridge: id, port: 0, own_port: 0 }
    }

    /// 17.6: better, or the last word of the same port.
    pub(super) fn supersedes(&self, other: &Self) -> bool {
        self.key() < other.key()
            || self.bridge.mac() == other.bridge.mac() && self.port & 0xfff == other.port & 0xfff
    }

    pub(super) const fn key(&self) -> (BridgeId, u32, BridgeId, u16) {
        (self.root, self.cost, self.bridge, self.port)
    }
}

/// Times, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) message_age: u16,
    pub(super) max_age: u16,
    pub(super) hello: u16,
    pub(super) forward_delay: u16,
}

/// Where the information of a port comes from (17.19.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InfoIs {
    Disabled,
    Aged,
    Mine,
    Received,
}

/// What a port does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Discarding,
    /// Learns addresses.
    Learning,
    /// Carries packets.
    Forwarding,
}

impl State {
    /// Whether addresses are learned from packets.
    #[must_use]
    pub fn learns(self) -> bool {
        self != Self::Discarding
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
            Self::Discarding => "Discarding",
            Self::Learning => "Learning",
            Self::Forwarding => "Forwarding",
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
    /// Another way to the root.
    Alternate,
    /// Another way to a LAN that this bridge serves.
    Backup,
    /// It takes no part.
    Disabled,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Root => "Root",
            Self::Designated => "Designated",
            Self::Alternate => "Alternate",
            Self::Backup => "Backup",
            Self::Disabled => "Disabled",
        })
    }
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

/// A port.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) config: PortConfig,
    pub(super) enabled: bool,
    pub(super) stats: PortStats,
    /// When it came to be as it is.
    pub(super) since: Instant,

    pub(super) agree: bool,
    pub(super) agreed: bool,
    pub(super) disputed: bool,
    pub(super) fdb_flush: bool,
    pub(super) forward: bool,
    pub(super) forwarding: bool,
    pub(super) info_is: InfoIs,
    pub(super) learn: bool,
    pub(super) learning: bool,
    pub(super) mcheck: bool,
    pub(super) new_info: bool,
    pub(super) oper_edge: bool,
    pub(super) proposed: bool,
    pub(super) proposing: bool,
    pub(super) rcvd_rstp: bool,
    pub(super) rcvd_stp: bool,
    pub(super) rcvd_tc: bool,
    pub(super) rcvd_tc_ack: bool,
    pub(super) rcvd_tcn: bool,
    pub(super) re_root: bool,
    pub(super) reselect: bool,
    pub(super) role: Role,
    pub(super) selected: bool,
    pub(super) selected_role: Role,
    pub(super) send_rstp: bool,
    pub(super) sync: bool,
    pub(super) synced: bool,
    pub(super) tc_ack: bool,
    pub(super) tc_prop: bool,
    pub(super) tx_count: u8,
    pub(super) updt_info: bool,

    pub(super) port_priority: Vector,
    pub(super) port_times: Times,
    pub(super) designated_priority: Vector,
    pub(super) designated_times: Times,
    pub(super) msg_priority: Vector,
    pub(super) msg_times: Times,
    /// A data unit that has not been looked at.
    pub(super) rcvd: Option<Bpdu>,

    pub(super) edge_delay_while: u16,
    pub(super) fd_while: u16,
    pub(super) hello_when: u16,
    pub(super) mdelay_while: u16,
    pub(super) rb_while: u16,
    pub(super) rcvd_info_while: u16,
    pub(super) rr_while: u16,
    pub(super) tc_while: u16,

    pub(super) migration: MigrationState,
    pub(super) edge: EdgeState,
    pub(super) role_state: RoleState,
    pub(super) topology: TopologyState,
    pub(super) transmission: TransmitState,
}

impl Port {
    /// A port at the beginning of all machines.
    pub(super) fn new(config: PortConfig, now: Instant) -> Self {
        let (oper_edge, enabled) = (config.admin_edge, config.up);
        Self {
            config,
            enabled,
            stats: PortStats::default(),
            since: now,
            agree: false,
            agreed: false,
            disputed: false,
            fdb_flush: false,
            forward: false,
            forwarding: false,
            info_is: InfoIs::Disabled,
            learn: false,
            learning: false,
            mcheck: false,
            new_info: true,
            oper_edge,
            proposed: false,
            proposing: false,
            rcvd_rstp: false,
            rcvd_stp: false,
            rcvd_tc: false,
            rcvd_tc_ack: false,
            rcvd_tcn: false,
            re_root: true,
            reselect: true,
            role: Role::Disabled,
            selected: false,
            selected_role: Role::Disabled,
            send_rstp: true,
            sync: true,
            synced: false,
            tc_ack: false,
            tc_prop: false,
            tx_count: 0,
            updt_info: false,
            port_priority: Vector::default(),
            port_times: Times::default(),
            designated_priority: Vector::default(),
            designated_times: Times::default(),
            msg_priority: Vector::default(),
            msg_times: Times::default(),
            rcvd: None,
            edge_delay_while: MIGRATE_TIME,
            fd_while: 0,
            hello_when: HELLO_TIME,
            mdelay_while: MIGRATE_TIME,
            rb_while: 0,
            rcvd_info_while: 0,
            rr_while: 0,
            tc_while: 0,
            migration: MigrationState::Begin,
            edge: if oper_edge { EdgeState::Edge } else { EdgeState::NotEdge },
            role_state: RoleState::Init,
            topology: TopologyState::Inactive,
            transmission: TransmitState::Init,
        }
    }

    pub(super) fn reselect(&mut self) {
        self.reselect = true;
        self.selected = false;
    }

    pub(super) const fn state(&self) -> State {
        if self.forwarding {
            State::Forwarding
        } else if self.learning {
            State::Learning
        } else {
            State::Discarding
        }
    }

    /// 17.22: one second has passed.
    pub(super) fn tick(&mut self) {
        for timer in [
            &mut self.edge_delay_while,
            &mut self.fd_while,
            &mut self.hello_when,
            &mut self.mdelay_while,
            &mut self.rb_while,
            &mut self.rcvd_info_while,
            &mut self.rr_while,
            &mut self.tc_while,
        ] {
            *timer = timer.saturating_sub(1);
        }
        self.tx_count = self.tx_count.saturating_sub(1);
    }

    /// 17.20.5: how long it waits before the next state.
    pub(super) const fn forward_delay(&self) -> u16 {
        if self.send_rstp {
            self.designated_times.hello
        } else {
            self.designated_times.forward_delay
        }
    }

    pub(super) const fn is_ready(&self) -> bool {
        self.selected && !self.updt_info
    }
}
