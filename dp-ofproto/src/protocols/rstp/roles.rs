//! Role selection (17.28): one machine for the bridge.

use dp_core::base::OfPort;

use super::Rstp;
use super::port::{InfoIs, Role, Times, Vector};

impl Rstp {
    /// Returns whether anything moved.
    pub(super) fn select_roles(&mut self) -> bool {
        if !self.ports.values().any(|port| port.reselect) {
            return false;
        }
        self.ports.values_mut().for_each(|port| port.reselect = false);
        self.choose_root();
        self.assign_roles();
        // setSelectedTree, 17.21.16
        self.ports.values_mut().for_each(|port| port.selected = true);
        true
    }

    /// 17.21.25, a to d
    fn choose_root(&mut self) {
        let own = self.config.id;
        let ways = self.ports.iter().filter_map(|(ofport, port)| {
            // What the bridge itself says on another of its ports is no way to the root.
            let heard = port.info_is == InfoIs::Received;
            if !heard || port.port_priority.bridge.mac() == own.mac() {
                return None;
            }
            let cost = port.port_priority.cost.saturating_add(port.config.path_cost);
            let way = Vector { cost, own_port: port.config.id(), ..port.port_priority };
            Some((way, port.port_times, *ofport))
        });
        let best = ways.min_by_key(|(way, ..)| *way);
        match best.filter(|(way, ..)| *way < Vector::of_bridge(own)) {
            Some((way, times, ofport)) => {
                self.root_priority = way;
                self.root_port = Some(ofport);
                self.root_times = times;
            }
            None => {
                self.root_priority = Vector::of_bridge(own);
                self.root_port = None;
                self.root_times = self.config.times();
            }
        }
    }

    /// 17.21.25, e to l
    fn assign_roles(&mut self) {
        let own = self.config.id;
        let (root, cost) = (self.root_priority.root, self.root_priority.cost);
        let hello = self.config.times().hello;
        let times = Times { hello, ..self.root_times };
        let root_port: Option<OfPort> = self.root_port;
        for (ofport, port) in &mut self.ports {
            let id = port.config.id();
            port.designated_priority = Vector { root, cost, bridge: own, port: id, own_port: id };
            port.designated_times = times;
            let better = port.designated_priority.key() < port.port_priority.key();
            let (role, update) = match port.info_is {
                InfoIs::Disabled => (Role::Disabled, false),
                InfoIs::Aged => (Role::Designated, true),
                InfoIs::Mine => {
                    let other = port.port_priority.key() != port.designated_priority.key()
                        || port.port_times != times;
                    (Role::Designated, other)
                }
                InfoIs::Received if root_port == Some(*ofport) => (Role::Root, false),
                InfoIs::Received if better => (Role::Designated, true),
                InfoIs::Received if port.port_priority.bridge.mac() == own.mac() => {
                    (Role::Backup, false)
                }
                InfoIs::Received => (Role::Alternate, false),
            };
            port.selected_role = role;
            port.updt_info = update;
        }
    }
}
