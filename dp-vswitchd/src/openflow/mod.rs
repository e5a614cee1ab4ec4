//! OpenFlow connections: the sockets of every bridge's sessions.
//!
//! ```text
//!   BRIDGE.mgmt ─accept─► stream ─bytes─► dp_ofproto::session::Service ─► tables, ports …
//!   BRIDGE.snoop ◄── copies of what goes to and comes from controllers
//! ```
//!
//! One task of the main loop holds a [`Service`] for each bridge. It moves bytes; what they mean is
//! the library's business.
//!
//! | room | |
//! |---|---|
//! | [`endpoint`] | a bridge's sockets |
//! | [`host`] | what a session asks of the daemon: ports, datapath, conntrack |

mod endpoint;
mod host;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event_loop::{Task, Turn, Wants};
use crate::switch::Switch;
use endpoint::Endpoint;

/// All OpenFlow connections.
pub(crate) struct OpenFlow {
    switch: Arc<Switch>,
    endpoints: BTreeMap<String, Endpoint>,
}

impl OpenFlow {
    /// No connections; they come with the switch's bridges.
    pub(crate) fn new(switch: Arc<Switch>) -> Self {
        Self { switch, endpoints: BTreeMap::new() }
    }

    /// Makes an endpoint for each bridge that has none, and ends those whose bridge is gone.
    fn follow_bridges(&mut self) {
        let bridges = self.switch.bridges();
        self.endpoints.retain(|name, endpoint| {
            bridges.iter().any(|it| it.name == *name && endpoint.is_of(it))
        });
        for bridge in bridges {
            if !self.endpoints.contains_key(&bridge.name) {
                let endpoint = Endpoint::new(&self.switch, &bridge);
                self.endpoints.insert(bridge.name.clone(), endpoint);
            }
        }
    }
}

impl Task for OpenFlow {
    fn name(&self) -> &'static str {
        "connmgr"
    }

    fn run(&mut self, turn: &Turn<'_>) {
        self.follow_bridges();
        for endpoint in self.endpoints.values_mut() {
            endpoint.run(&self.switch, turn);
        }
    }

    fn wait(&mut self, wants: &mut Wants) {
        for endpoint in self.endpoints.values_mut() {
            endpoint.wait(wants);
        }
        let unknown = |bridge: &crate::switch::RunningBridge| {
            !self.endpoints.get(&bridge.name).is_some_and(|it| it.is_of_name(bridge))
        };
        if self.switch.bridges().iter().any(|bridge| unknown(bridge)) {
            wants.immediately();
        }
    }
}
