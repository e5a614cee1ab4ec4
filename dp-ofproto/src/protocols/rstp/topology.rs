//! The topology change machine (17.31).

use dp_core::base::OfPort;

use super::Rstp;
use super::port::{Port, Role};

/// Its states, as far as they last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopologyState {
    Inactive,
    Learning,
    Active,
}

impl Rstp {
    /// Returns whether anything moved.
    pub(super) fn watch_topology(&mut self, ofport: OfPort) -> bool {
        let times = self.root_times;
        let Some(port) = self.ports.get_mut(&ofport) else { return false };
        let long = times.max_age + times.forward_delay;
        let active = matches!(port.role, Role::Root | Role::Designated);
        let heard = port.rcvd_tc || port.rcvd_tcn || port.rcvd_tc_ack;
        let mut propagate = false;
        let mut moved = true;
        match port.topology {
            TopologyState::Inactive if port.learn => {
                port.topology = TopologyState::Learning;
                port.forget_news();
            }
            TopologyState::Learning if active && port.forward && !port.oper_edge => {
                port.topology = TopologyState::Active;
                port.new_tc_while(long);
                port.new_info = true;
                propagate = true;
            }
            TopologyState::Learning if heard || port.tc_prop => port.forget_news(),
            TopologyState::Learning if !active && !port.learn && !port.learning => {
                port.topology = TopologyState::Inactive;
                (port.fdb_flush, port.tc_while, port.tc_ack) = (true, 0, false);
            }
            TopologyState::Active if !active || port.oper_edge => {
                port.topology = TopologyState::Learning;
                port.forget_news();
            }
            TopologyState::Active if port.rcvd_tcn || port.rcvd_tc => {
                if core::mem::take(&mut port.rcvd_tcn) {
                    port.new_tc_while(long);
                }
                port.rcvd_tc = false;
                port.tc_ack |= port.role == Role::Designated;
                propagate = true;
            }
            TopologyState::Active if port.tc_prop => {
                port.new_tc_while(long);
                (port.fdb_flush, port.tc_prop) = (true, false);
            }
            TopologyState::Active if port.rcvd_tc_ack => {
                (port.tc_while, port.rcvd_tc_ack) = (0, false);
            }
            _ => moved = false,
        }
        if propagate {
            // setTcPropTree, 17.21.18: everybody else's news.
            for (other, port) in &mut self.ports {
                port.tc_prop |= *other != ofport;
            }
        }
        let flushes = self.ports.get_mut(&ofport).map(|port| core::mem::take(&mut port.fdb_flush));
        self.flush |= flushes.unwrap_or(false);
        moved
    }
}

impl Port {
    fn forget_news(&mut self) {
        (self.rcvd_tc, self.rcvd_tcn, self.rcvd_tc_ack, self.tc_prop) =
            (false, false, false, false);
    }

    /// 17.21.7
    fn new_tc_while(&mut self, long: u16) {
        if self.tc_while == 0 {
            if self.send_rstp {
                self.tc_while = self.designated_times.hello + 1;
                self.new_info = true;
            } else {
                self.tc_while = long;
            }
        }
    }
}
