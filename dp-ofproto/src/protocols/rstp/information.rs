//! The port information machine (17.27): what a port knows, and where from.

use dp_core::base::{Duration, OfPort};

use super::Rstp;
use super::port::{InfoIs, Port, Times, Vector};
use crate::protocols::bpdu::{Bpdu, Config as Told, Flags};

/// Roles as flags have them.
pub(super) const ROLE_ALTERNATE: u8 = 1 << 2;
pub(super) const ROLE_ROOT: u8 = 2 << 2;
pub(super) const ROLE_DESIGNATED: u8 = 3 << 2;

impl Rstp {
    /// Returns whether anything moved.
    pub(super) fn inform(&mut self, ofport: OfPort) -> bool {
        let rapid = self.config.rapid;
        let Some(port) = self.ports.get_mut(&ofport) else { return false };
        if !port.enabled {
            let moved = port.info_is != InfoIs::Disabled;
            port.rcvd = None;
            if moved {
                port.disable();
            }
            return moved;
        }
        if port.info_is == InfoIs::Disabled {
            port.age();
            return true;
        }
        if port.is_selected_for_update() {
            port.update();
            return true;
        }
        let silent = port.info_is == InfoIs::Received && port.rcvd_info_while == 0;
        if silent && !port.updt_info && port.rcvd.is_none() {
            port.age();
            return true;
        }
        if port.updt_info {
            return false;
        }
        let Some(bpdu) = port.rcvd.take() else { return false };
        port.take(&bpdu, rapid);
        true
    }
}

impl Port {
    fn disable(&mut self) {
        (self.proposing, self.proposed, self.agree, self.agreed) = (false, false, false, false);
        self.rcvd_info_while = 0;
        self.info_is = InfoIs::Disabled;
        self.reselect();
    }

    fn age(&mut self) {
        self.info_is = InfoIs::Aged;
        self.reselect();
    }

    const fn is_selected_for_update(&self) -> bool {
        self.selected && self.updt_info
    }

    /// UPDATE
    fn update(&mut self) {
        (self.proposing, self.proposed) = (false, false);
        // betterorsameInfo(Mine), 17.21.1
        let same = self.info_is == InfoIs::Mine
            && self.designated_priority.key() <= self.port_priority.key();
        self.agreed &= same;
        self.synced &= self.agreed;
        self.port_priority = self.designated_priority;
        self.port_times = self.designated_times;
        self.updt_info = false;
        self.info_is = InfoIs::Mine;
        self.new_info = true;
    }

    /// RECEIVE, and what follows (17.21.8).
    fn take(&mut self, bpdu: &Bpdu, rapid: bool) {
        let (told, is_rapid) = match bpdu {
            Bpdu::TopologyChange => {
                self.rcvd_tcn = true;
                return;
            }
            Bpdu::Config(told) => (told, false),
            Bpdu::Rapid(told) => (told, true),
        };
        self.msg_priority = Vector {
            root: told.root,
            cost: told.cost,
            bridge: told.bridge,
            port: told.port,
            own_port: self.config.id(),
        };
        self.msg_times = times(told);
        let role = told.flags.intersection(Flags::ROLE).bits();
        if !is_rapid || role == ROLE_DESIGNATED {
            self.take_designated(told, is_rapid);
        } else if [ROLE_ROOT, ROLE_ALTERNATE].contains(&role)
            && self.msg_priority.key() >= self.port_priority.key()
        {
            self.record_agreement(told, rapid);
            self.set_tc_flags(told);
        }
    }

    fn take_designated(&mut self, told: &Told, is_rapid: bool) {
        let same = self.msg_priority.key() == self.port_priority.key();
        let superior = self.msg_priority.supersedes(&self.port_priority) && !same
            || same && (self.msg_times != self.port_times || self.info_is != InfoIs::Received);
        if superior {
            (self.agreed, self.proposing) = (false, false);
            self.record_proposal(told, is_rapid);
            self.set_tc_flags(told);
            // betterorsameInfo(Received)
            self.agree &= self.info_is == InfoIs::Received
                && self.msg_priority.key() <= self.port_priority.key();
            self.port_priority = self.msg_priority;
            self.port_times = self.msg_times;
            self.update_rcvd_info_while();
            self.info_is = InfoIs::Received;
            self.reselect();
        } else if same {
            self.record_proposal(told, is_rapid);
            self.set_tc_flags(told);
            self.update_rcvd_info_while();
        } else if is_rapid && told.flags.contains(Flags::LEARNING) {
            // recordDispute: somebody worse forwards to this LAN.
            self.disputed = true;
            self.agreed = false;
        }
    }

    fn record_agreement(&mut self, told: &Told, rapid: bool) {
        self.agreed = rapid && told.flags.contains(Flags::AGREEMENT);
        if self.agreed {
            self.proposing = false;
        }
    }

    fn record_proposal(&mut self, told: &Told, is_rapid: bool) {
        if is_rapid && told.flags.contains(Flags::PROPOSAL) {
            self.proposed = true;
        }
    }

    fn set_tc_flags(&mut self, told: &Told) {
        self.rcvd_tc |= told.flags.contains(Flags::TOPOLOGY_CHANGE);
        self.rcvd_tc_ack |= told.flags.contains(Flags::TOPOLOGY_CHANGE_ACK);
    }

    /// 17.21.23
    fn update_rcvd_info_while(&mut self) {
        let lives = self.port_times.message_age < self.port_times.max_age;
        self.rcvd_info_while = if lives { 3 * self.port_times.hello.max(1) } else { 0 };
    }
}

fn times(told: &Told) -> Times {
    let whole = |time: Duration| u16::try_from(time.as_secs()).unwrap_or(u16::MAX);
    // Older by one for the way here (17.21.23), in whole seconds.
    Times {
        message_age: whole(told.message_age).saturating_add(1),
        max_age: whole(told.max_age),
        hello: whole(told.hello),
        forward_delay: whole(told.forward_delay),
    }
}
