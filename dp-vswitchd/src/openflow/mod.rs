//! OpenFlow connections: the sockets of every bridge's sessions.
//!
//! ```text
//!   BRIDGE.mgmt ─accept─► stream ─bytes─► dp_ofproto::session::Service ─► tables, ports …
//!   BRIDGE.snoop ◄── copies of what goes to and comes from controllers
//! ```
//!
//! One task of the main loop holds a [`dp_ofproto::session::Service`] for each bridge. It moves bytes;
//! what they mean is the library's business.
//!
//! | room | |
//! |---|---|
//! | [`endpoint`] | a bridge's sockets |
//! | [`packets`] | packets between the datapath and controllers |
//! | [`controllers`] | connections that the configuration asks for |
//! | [`confinement`] | which sockets of the file system they may lead to |
//! | [`in_band`] | the way to controllers through the bridge itself |
//! | [`fail_open`] | what becomes of a bridge whose controllers are away |
//! | [`host`] | what a session asks of the daemon: ports, datapath, conntrack |

mod confinement;
mod controllers;
mod endpoint;
mod fail_open;
mod host;
mod in_band;
mod packets;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use crate::event_loop::{Task, Turn, Wants};
use crate::switch::{Datapath, Switch};
use endpoint::Endpoint;
use packets::Queue;

/// All OpenFlow connections.
pub(crate) struct OpenFlow {
    switch: Arc<Switch>,
    endpoints: BTreeMap<String, Endpoint>,
    queue: Queue,
    /// Datapaths that put their packets for controllers into the queue.
    fed: Vec<Weak<Datapath>>,
}

impl OpenFlow {
    /// No connections; they come with the switch's bridges.
    pub(crate) fn new(switch: Arc<Switch>) -> Self {
        let queue = Queue::new(switch.waker.clone());
        Self { switch, endpoints: BTreeMap::new(), queue, fed: Vec::new() }
    }

    /// Makes an endpoint for each bridge that has none, and ends those whose bridge is gone.
    fn follow_bridges(&mut self) {
        for datapath in self.switch.datapaths() {
            let known = |it: &Weak<Datapath>| std::ptr::eq(it.as_ptr(), Arc::as_ptr(&datapath));
            if !self.fed.iter().any(known) {
                datapath.ofproto.set_packet_in_sink(Some(Box::new(self.queue.clone())));
                self.fed.retain(|it| it.strong_count() > 0);
                self.fed.push(Arc::downgrade(&datapath));
            }
        }
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
        for (packet, now) in self.queue.take() {
            if let Some(endpoint) = self.endpoints.values_mut().find(|it| it.is_from(&packet)) {
                endpoint.packet_in(packet, now);
            }
        }
        for endpoint in self.endpoints.values_mut() {
            endpoint.run(&self.switch, turn);
        }
        let sum = |count: fn(&Endpoint) -> usize| self.endpoints.values().map(count).sum();
        self.switch.census.tell(&[
            ("ofconns", sum(Endpoint::connections)),
            ("rules", sum(Endpoint::hidden_rules)),
        ]);
    }

    fn wait(&mut self, wants: &mut Wants) {
        let now = self.switch.now();
        for endpoint in self.endpoints.values_mut() {
            endpoint.wait(wants, now);
        }
        let unknown = |bridge: &crate::switch::RunningBridge| {
            !self.endpoints.get(&bridge.name).is_some_and(|it| it.is_of_name(bridge))
        };
        if self.switch.bridges().iter().any(|bridge| unknown(bridge)) {
            wants.immediately();
        }
    }
}
