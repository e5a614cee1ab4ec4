//! Migration, edge detection, role transitions, port states, transmission.

use dp_core::base::{Instant, OfPort};

use super::information::{ROLE_ALTERNATE, ROLE_DESIGNATED, ROLE_ROOT};
use super::port::{Port, Role};
use super::{MIGRATE_TIME, Rstp};
use crate::protocols::bpdu::{Bpdu, Flags};

/// 17.24
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MigrationState {
    Begin,
    CheckingRstp,
    SelectingStp,
    Sensing,
}

/// 17.25
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EdgeState {
    Edge,
    NotEdge,
}

/// 17.29: as far as the role alone does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoleState {
    Init,
    /// Waiting until the port has stopped learning and forwarding.
    Block,
    /// At rest in its role.
    Port,
}

/// 17.26
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransmitState {
    Init,
    Idle,
}

impl Rstp {
    /// The port protocol migration machine (17.24).
    pub(super) fn migrate(&mut self, ofport: OfPort) -> bool {
        let rapid = self.config.rapid;
        let Some(port) = self.ports.get_mut(&ofport) else { return false };
        let next = match port.migration {
            MigrationState::Begin => Some(MigrationState::CheckingRstp),
            MigrationState::CheckingRstp if port.mdelay_while == 0 => Some(MigrationState::Sensing),
            MigrationState::CheckingRstp if port.mdelay_while != MIGRATE_TIME && !port.enabled => {
                Some(MigrationState::CheckingRstp)
            }
            MigrationState::Sensing
                if !port.enabled || port.mcheck || rapid && !port.send_rstp && port.rcvd_rstp =>
            {
                Some(MigrationState::CheckingRstp)
            }
            MigrationState::Sensing if port.send_rstp && port.rcvd_stp => {
                Some(MigrationState::SelectingStp)
            }
            MigrationState::SelectingStp
                if port.mdelay_while == 0 || !port.enabled || port.mcheck =>
            {
                Some(MigrationState::Sensing)
            }
            _ => None,
        };
        let Some(next) = next else { return false };
        port.migration = next;
        match next {
            MigrationState::CheckingRstp => {
                port.mcheck = false;
                port.send_rstp = rapid;
                port.mdelay_while = MIGRATE_TIME;
            }
            MigrationState::SelectingStp => {
                port.send_rstp = false;
                port.mdelay_while = MIGRATE_TIME;
            }
            MigrationState::Sensing => (port.rcvd_rstp, port.rcvd_stp) = (false, false),
            MigrationState::Begin => {}
        }
        true
    }

    /// The bridge detection machine (17.25).
    pub(super) fn detect_edge(&mut self, ofport: OfPort) -> bool {
        let Some(port) = self.ports.get_mut(&ofport) else { return false };
        let admin = port.config.admin_edge;
        let next = match port.edge {
            EdgeState::Edge if !port.enabled && !admin || !port.oper_edge => EdgeState::NotEdge,
            EdgeState::NotEdge
                if !port.enabled && admin
                    || port.edge_delay_while == 0
                        && port.config.auto_edge
                        && port.send_rstp
                        && port.proposing =>
            {
                EdgeState::Edge
            }
            same => same,
        };
        let moved = next != port.edge;
        if moved {
            port.edge = next;
            port.oper_edge = next == EdgeState::Edge;
        }
        moved
    }

    /// 17.20.3
    fn all_synced(&self) -> bool {
        self.ports.values().all(|port| {
            port.selected
                && port.role == port.selected_role
                && (port.synced || port.role == Role::Root)
        })
    }

    /// 17.20.10: no other port was the root port lately.
    fn re_rooted(&self, ofport: OfPort) -> bool {
        self.ports.iter().all(|(other, port)| *other == ofport || port.rr_while == 0)
    }

    /// The port role transitions machine (17.29).
    pub(super) fn change_role(&mut self, ofport: OfPort) -> bool {
        let (all_synced, re_rooted) = (self.all_synced(), self.re_rooted(ofport));
        let rapid = self.config.rapid;
        let Some(port) = self.ports.get_mut(&ofport) else { return false };
        if !port.is_ready() {
            return false;
        }
        if port.role != port.selected_role || port.role_state == RoleState::Init {
            port.begin_role();
            return true;
        }
        let ask = match port.role {
            Role::Disabled | Role::Alternate | Role::Backup => port.stay_blocked(all_synced),
            Role::Root => port.stay_root(all_synced, re_rooted, rapid),
            Role::Designated => port.stay_designated(),
        };
        match ask {
            Ask::Nothing => false,
            Ask::Moved => true,
            Ask::Sync => {
                // setSyncTree, 17.21.15
                self.ports.values_mut().for_each(|port| port.sync = true);
                true
            }
            Ask::ReRoot => {
                // setReRootTree, 17.21.14
                self.ports.values_mut().for_each(|port| port.re_root = true);
                true
            }
        }
    }

    /// The port state transition machine (17.30).
    pub(super) fn change_state(&mut self, ofport: OfPort, now: Instant) -> bool {
        let Some(port) = self.ports.get_mut(&ofport) else { return false };
        let before = port.state();
        if !port.learn || port.forwarding && !port.forward {
            (port.learning, port.forwarding) = (false, false);
        } else if !port.learning {
            port.learning = true;
        } else if port.forward {
            port.forwarding = true;
        }
        let moved = port.state() != before;
        if moved {
            port.since = now;
            self.version += 1;
        }
        moved
    }

    /// The port transmit machine (17.26).
    pub(super) fn transmit(&mut self, ofport: OfPort) -> bool {
        let hold_count = self.config.hold_count;
        let Some(port) = self.ports.get_mut(&ofport) else { return false };
        if port.transmission == TransmitState::Init {
            port.transmission = TransmitState::Idle;
            (port.new_info, port.tx_count) = (true, 0);
            port.hello_when = super::config::HELLO_TIME;
            return true;
        }
        if !port.is_ready() {
            return false;
        }
        let designated = port.role == Role::Designated;
        let root = port.role == Role::Root;
        if port.hello_when == 0 {
            port.new_info |= designated || root && port.tc_while != 0;
            port.hello_when = port.designated_times.hello.max(1);
            return true;
        }
        if !port.new_info || port.tx_count >= hold_count {
            return false;
        }
        let speaks = port.send_rstp || designated || root;
        if !speaks || port.role == Role::Disabled {
            return false;
        }
        port.new_info = false;
        port.tx_count += 1;
        let ack = (!root || port.send_rstp) && core::mem::take(&mut port.tc_ack);
        let rapid = port.send_rstp;
        self.say(ofport, rapid, ack);
        true
    }

    fn say(&mut self, ofport: OfPort, rapid: bool, ack: bool) {
        let Some(port) = self.ports.get(&ofport) else { return };
        let mut told = self.told(port);
        let bpdu = if rapid {
            let role = match port.role {
                Role::Root => ROLE_ROOT,
                Role::Designated => ROLE_DESIGNATED,
                Role::Alternate | Role::Backup => ROLE_ALTERNATE,
                Role::Disabled => 0,
            };
            told.flags |= Flags::from_bits_retain(role);
            told.flags.set(Flags::PROPOSAL, port.proposing);
            told.flags.set(Flags::AGREEMENT, port.agree);
            told.flags.set(Flags::LEARNING, port.learning);
            told.flags.set(Flags::FORWARDING, port.forwarding);
            Bpdu::Rapid(told)
        } else if port.role == Role::Root {
            Bpdu::TopologyChange
        } else {
            told.flags.set(Flags::TOPOLOGY_CHANGE_ACK, ack);
            Bpdu::Config(told)
        };
        self.outgoing.push((ofport, bpdu));
    }
}

/// What a port's machine wants of the others.
enum Ask {
    Nothing,
    Moved,
    Sync,
    ReRoot,
}

impl Port {
    /// The entry states of the roles.
    fn begin_role(&mut self) {
        if self.role_state == RoleState::Init {
            (self.synced, self.sync, self.re_root) = (false, true, true);
            self.rr_while = self.designated_times.forward_delay;
            self.fd_while = self.designated_times.max_age;
            self.rb_while = 0;
        }
        self.role = self.selected_role;
        self.role_state = RoleState::Port;
        match self.role {
            Role::Root => self.rr_while = self.designated_times.forward_delay,
            Role::Designated => {}
            Role::Disabled | Role::Alternate | Role::Backup => {
                (self.learn, self.forward) = (false, false);
                self.role_state = RoleState::Block;
            }
        }
    }

    /// Disabled, alternate and backup ports (figures 17-20 and 17-23).
    fn stay_blocked(&mut self, all_synced: bool) -> Ask {
        let wait = match self.role {
            Role::Disabled => self.designated_times.max_age,
            _ => self.forward_delay(),
        };
        let disabled = self.role == Role::Disabled;
        if self.role_state == RoleState::Block {
            if self.learning || self.forwarding {
                return Ask::Nothing;
            }
            self.role_state = RoleState::Port;
        } else if !disabled && self.proposed && !self.agree {
            self.proposed = false;
            return Ask::Sync;
        } else if !disabled && (all_synced && !self.agree || self.proposed && self.agree) {
            (self.proposed, self.agree, self.new_info) = (false, true, true);
            return Ask::Moved;
        } else if self.role == Role::Backup && self.rb_while != 2 * self.designated_times.hello {
            self.rb_while = 2 * self.designated_times.hello;
            return Ask::Moved;
        } else if self.fd_while == wait && !self.sync && !self.re_root && self.synced {
            return Ask::Nothing;
        }
        self.fd_while = wait;
        (self.synced, self.sync, self.re_root) = (true, false, false);
        self.rr_while = 0;
        Ask::Moved
    }

    /// Root ports (figure 17-21).
    fn stay_root(&mut self, all_synced: bool, re_rooted: bool, rapid: bool) -> Ask {
        let may = self.fd_while == 0 || re_rooted && self.rb_while == 0 && rapid;
        if self.proposed && !self.agree {
            self.proposed = false;
            return Ask::Sync;
        }
        if all_synced && !self.agree || self.proposed && self.agree {
            (self.proposed, self.sync) = (false, false);
            (self.agree, self.new_info) = (true, true);
        } else if !self.forward && !self.re_root {
            return Ask::ReRoot;
        } else if self.re_root && self.forward {
            self.re_root = false;
        } else if may && !self.learn {
            self.fd_while = self.forward_delay();
            self.learn = true;
        } else if may && self.learn && !self.forward {
            self.fd_while = 0;
            self.forward = true;
        } else if self.rr_while != self.designated_times.forward_delay {
            self.rr_while = self.designated_times.forward_delay;
        } else {
            return Ask::Nothing;
        }
        Ask::Moved
    }

    /// Designated ports (figure 17-22).
    fn stay_designated(&mut self) -> Ask {
        let may = (self.fd_while == 0 || self.agreed || self.oper_edge)
            && (self.rr_while == 0 || !self.re_root)
            && !self.sync;
        let must_stop =
            self.sync && !self.synced || self.re_root && self.rr_while != 0 || self.disputed;
        let is_synced = !self.learning && !self.forwarding && !self.synced
            || self.agreed && !self.synced
            || self.oper_edge && !self.synced
            || self.sync && self.synced;
        if !self.forward && !self.agreed && !self.proposing && !self.oper_edge {
            (self.proposing, self.new_info) = (true, true);
            // 17.20.4: a link to another bridge is a point to point link here.
            self.edge_delay_while = MIGRATE_TIME;
        } else if is_synced {
            self.rr_while = 0;
            (self.synced, self.sync) = (true, false);
        } else if self.rr_while == 0 && self.re_root {
            self.re_root = false;
        } else if must_stop && !self.oper_edge && (self.learn || self.forward) {
            (self.learn, self.forward, self.disputed) = (false, false, false);
            self.fd_while = self.forward_delay();
        } else if may && !self.learn {
            self.learn = true;
            self.fd_while = self.forward_delay();
        } else if may && self.learn && !self.forward {
            self.forward = true;
            self.fd_while = 0;
            self.agreed = self.send_rstp;
        } else {
            return Ask::Nothing;
        }
        Ask::Moved
    }
}
