//! The spanning tree protocol (IEEE 802.1D-1998, chapter 8).
//!
//! ```text
//!   what ports hear ─► root, root port, designated ports ─► port states
//!                                                            blocking
//!     blocked: neither root port nor designated                 │
//!     otherwise, a forward delay for each step:              listening ─► learning ─► forwarding
//! ```
//!
//! Each port remembers the best configuration that is heard on its LAN (its *designated* values), or
//! its own where the bridge itself is the best. The root is the best bridge of all of them. Numbers
//! in the comments are the sections of the standard.

mod config;
mod port;
mod show;

pub use config::{Config, PortConfig, path_cost};
pub use port::{PortStats, Role, State};
pub use show::PortStatus;

use std::collections::BTreeMap;

use dp_core::base::{Duration, Instant, OfPort};

use super::bpdu::{Bpdu, BridgeId, Config as Told, Flags};
use port::{Port, Vector};

/// A port sends no more than one configuration in this time (8.10.2).
const HOLD_TIME: Duration = Duration::from_secs(1);
/// How much older information is when it is passed on, at least (8.10.2).
const AGE_INCREMENT: Duration = Duration::from_secs(1);

/// The spanning tree of one bridge.
#[derive(Debug)]
pub struct Stp {
    name: String,
    config: Config,
    ports: BTreeMap<OfPort, Port>,
    root: BridgeId,
    root_cost: u32,
    root_port: Option<OfPort>,
    /// Times in force: the root's.
    max_age: Duration,
    hello: Duration,
    forward_delay: Duration,
    change_detected: bool,
    change: bool,
    hello_at: Option<Instant>,
    notify_at: Option<Instant>,
    change_until: Option<Instant>,
    outgoing: Vec<(OfPort, Bpdu)>,
    /// Addresses learned so far may be wrong.
    flush: bool,
    /// Moves on with every change of a port's state.
    version: u64,
}

impl Stp {
    /// A bridge that takes itself for the root.
    #[must_use]
    pub fn new(name: &str, config: Config, now: Instant) -> Self {
        let mut stp = Self {
            name: name.to_owned(),
            ports: BTreeMap::new(),
            root: config.id,
            root_cost: 0,
            root_port: None,
            max_age: config.max_age,
            hello: config.hello,
            forward_delay: config.forward_delay,
            config,
            change_detected: false,
            change: false,
            hello_at: None,
            notify_at: None,
            change_until: None,
            outgoing: Vec::new(),
            flush: false,
            version: 0,
        };
        stp.become_root(now);
        stp
    }

    /// The bridge.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Changes the settings.
    pub fn configure(&mut self, config: Config, now: Instant) {
        if config == self.config {
            return;
        }
        let was_root = self.is_root();
        let old = core::mem::replace(&mut self.config, config);
        let id = self.config.id;
        // 8.8.4: what was designated by us still is, under another name.
        let up = self.ports.values_mut().filter(|port| port.state != State::Disabled);
        for port in up.filter(|port| port.best.bridge == old.id) {
            port.best.bridge = id;
            if port.best.root == old.id {
                port.best.root = id;
            }
        }
        self.update(now);
        self.select_states(now);
        if self.is_root() {
            self.take_own_times();
            if !was_root {
                self.become_root(now);
            }
        }
    }

    /// Adds a port, or changes its settings (8.8.2, 8.8.3, 8.8.5, 8.8.6).
    pub fn put_port(&mut self, ofport: OfPort, config: PortConfig, now: Instant) {
        let own = self.own_vector(config.id());
        let was_root = self.is_root();
        match self.ports.get_mut(&ofport) {
            Some(port) => {
                let mine = port.best.bridge == own.bridge && port.best.port == port.config.id();
                let (was, up) = (port.config.up, config.up);
                port.config = config;
                if mine {
                    port.best.port = own.port;
                }
                if was != up {
                    self.flush |= port.state >= State::Learning;
                    port.restart(own, now);
                    self.version += 1;
                }
            }
            None => {
                self.ports.insert(ofport, Port::new(config, own, now));
                self.version += 1;
            }
        }
        self.update(now);
        self.select_states(now);
        if self.is_root() && !was_root {
            self.become_root(now);
        }
    }

    /// A port is gone (8.8.3).
    pub fn remove_port(&mut self, ofport: OfPort, now: Instant) {
        let was_root = self.is_root();
        let Some(port) = self.ports.remove(&ofport) else { return };
        self.version += 1;
        if port.state >= State::Learning {
            self.flush = true;
        }
        self.update(now);
        self.select_states(now);
        if self.is_root() && !was_root {
            self.become_root(now);
        }
    }

    /// The ports.
    pub fn ports(&self) -> impl Iterator<Item = OfPort> {
        self.ports.keys().copied()
    }

    /// Takes what follows the length field of a frame that came in by a port.
    pub fn receive(&mut self, ofport: OfPort, llc: &[u8], now: Instant) {
        let Some(port) = self.ports.get_mut(&ofport) else { return };
        if port.state == State::Disabled {
            return;
        }
        port.stats.rx += 1;
        match Bpdu::parse(llc) {
            // A rapid bridge's configuration says all that a plain one does (9.3.4).
            Ok(Bpdu::Config(told) | Bpdu::Rapid(told)) => self.receive_config(ofport, &told, now),
            Ok(Bpdu::TopologyChange) => self.receive_change(ofport, now),
            Err(_) => port.stats.errors += 1,
        }
    }

    /// 8.7.1
    fn receive_config(&mut self, ofport: OfPort, told: &Told, now: Instant) {
        let was_root = self.is_root();
        let own_id = self.config.id;
        let Some(port) = self.ports.get_mut(&ofport) else { return };
        if told.message_age >= told.max_age {
            port.stats.errors += 1;
            return;
        }
        let heard =
            Vector { root: told.root, cost: told.cost, bridge: told.bridge, port: told.port };
        if port.is_superseded_by(heard, own_id) {
            port.best = heard;
            port.heard_until = Some(now.after(told.max_age.saturating_sub(told.message_age)));
            self.update(now);
            self.select_states(now);
            if was_root && !self.is_root() {
                self.hello_at = None;
                if self.change_detected {
                    self.change_until = None;
                    self.send_notice();
                    self.notify_at = Some(now.after(self.config.hello));
                }
            }
            if self.root_port == Some(ofport) {
                self.take_times(told);
                self.send_configs(now);
                if told.flags.contains(Flags::TOPOLOGY_CHANGE_ACK) {
                    // 8.6.15
                    self.change_detected = false;
                    self.notify_at = None;
                }
            }
        } else if self.is_designated(ofport) {
            // Whoever knows less is told.
            self.send_config(ofport, now);
        }
    }

    /// 8.7.2
    fn receive_change(&mut self, ofport: OfPort, now: Instant) {
        if self.is_designated(ofport) {
            self.detect_change(now);
            if let Some(port) = self.ports.get_mut(&ofport) {
                port.acknowledge = true;
            }
            self.send_config(ofport, now);
        }
    }

    /// The times and the news of the root (8.6.3).
    fn take_times(&mut self, told: &Told) {
        (self.max_age, self.hello, self.forward_delay) =
            (told.max_age, told.hello, told.forward_delay);
        let change = told.flags.contains(Flags::TOPOLOGY_CHANGE);
        if change && !self.change {
            self.flush = true;
        }
        self.change = change;
    }

    fn take_own_times(&mut self) {
        (self.max_age, self.hello, self.forward_delay) =
            (self.config.max_age, self.config.hello, self.config.forward_delay);
    }

    /// Whether this bridge is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.root == self.config.id
    }

    fn is_designated(&self, ofport: OfPort) -> bool {
        let port = self.ports.get(&ofport);
        port.is_some_and(|port| {
            port.best.bridge == self.config.id && port.best.port == port.config.id()
        })
    }

    fn own_vector(&self, port: u16) -> Vector {
        Vector { root: self.root, cost: self.root_cost, bridge: self.config.id, port }
    }

    /// 8.6.8 and 8.6.11: the root, and for which ports this bridge is the best.
    fn update(&mut self, _now: Instant) {
        let own = self.config.id;
        let way = |port: &Port| {
            let best = port.best;
            let cost = best.cost.saturating_add(port.config.path_cost);
            (best.root, cost, best.bridge, best.port, port.config.id())
        };
        let heard = self.ports.iter().filter(|(_, port)| {
            let mine = port.best.bridge == own && port.best.port == port.config.id();
            !mine && port.best.root < own && port.state != State::Disabled
        });
        let best = heard.min_by_key(|(_, port)| way(port)).map(|(at, port)| (*at, way(port)));
        match best {
            Some((ofport, (root, cost, ..))) => {
                (self.root_port, self.root, self.root_cost) = (Some(ofport), root, cost);
            }
            None => (self.root_port, self.root, self.root_cost) = (None, own, 0),
        }
        let up = self.ports.iter().filter(|(_, port)| port.state != State::Disabled);
        let ours: Vec<(OfPort, Vector)> =
            up.map(|(at, port)| (*at, self.own_vector(port.config.id()))).collect();
        for (ofport, mine) in ours {
            let designated = self.is_designated(ofport);
            let Some(port) = self.ports.get_mut(&ofport) else { continue };
            if designated || port.best.root != mine.root || mine < port.best {
                port.best = mine;
                port.heard_until = None;
            }
        }
    }

    /// 8.6.14
    fn become_root(&mut self, now: Instant) {
        self.take_own_times();
        self.detect_change(now);
        self.notify_at = None;
        self.send_configs(now);
        self.hello_at = Some(now.after(self.config.hello));
    }

    /// 8.6.11.3: ports that the tree needs move up, the others are blocked.
    fn select_states(&mut self, now: Instant) {
        let all: Vec<OfPort> = self.ports.keys().copied().collect();
        for ofport in all {
            let needed = self.root_port == Some(ofport) || self.is_designated(ofport);
            let is_root_port = self.root_port == Some(ofport);
            let Some(port) = self.ports.get_mut(&ofport) else { continue };
            if port.state == State::Disabled {
                continue;
            }
            if is_root_port {
                port.config_pending = false;
                port.acknowledge = false;
            }
            if needed {
                if port.state == State::Blocking {
                    port.enter(State::Listening, now);
                    port.forward_at = Some(now.after(self.forward_delay));
                    self.version += 1;
                }
            } else if port.state != State::Blocking {
                let was = port.state;
                port.enter(State::Blocking, now);
                port.forward_at = None;
                port.config_pending = false;
                port.acknowledge = false;
                self.version += 1;
                if was >= State::Learning {
                    self.flush = true;
                    self.detect_change(now);
                }
            }
        }
    }

    /// 8.6.16
    fn detect_change(&mut self, now: Instant) {
        if self.is_root() {
            self.change = true;
            self.change_until = Some(now.after(self.config.max_age + self.config.forward_delay));
        } else if !self.change_detected {
            self.send_notice();
            self.notify_at = Some(now.after(self.config.hello));
        }
        self.change_detected = true;
    }

    fn send_notice(&mut self) {
        if let Some(ofport) = self.root_port {
            self.outgoing.push((ofport, Bpdu::TopologyChange));
        }
    }

    /// 8.6.4: by all designated ports.
    fn send_configs(&mut self, now: Instant) {
        let all: Vec<OfPort> = self.ports.keys().copied().collect();
        for ofport in all {
            if self.is_designated(ofport) && self.state(ofport) != Some(State::Disabled) {
                self.send_config(ofport, now);
            }
        }
    }

    /// 8.6.1
    fn send_config(&mut self, ofport: OfPort, now: Instant) {
        let heard = self.root_port.and_then(|root| self.ports.get(&root));
        let left = heard.and_then(|port| port.heard_until).map(|until| until.since(now));
        let age =
            left.map_or(Duration::ZERO, |left| self.max_age.saturating_sub(left) + AGE_INCREMENT);
        let (own, change) = (self.config.id, self.change);
        let (root, cost) = (self.root, self.root_cost);
        let (max_age, hello, forward_delay) = (self.max_age, self.hello, self.forward_delay);
        let Some(port) = self.ports.get_mut(&ofport) else { return };
        if port.hold_until.is_some_and(|until| now < until) {
            port.config_pending = true;
            return;
        }
        if age >= max_age {
            return;
        }
        let mut flags = Flags::empty();
        flags.set(Flags::TOPOLOGY_CHANGE, change);
        flags.set(Flags::TOPOLOGY_CHANGE_ACK, core::mem::take(&mut port.acknowledge));
        port.config_pending = false;
        port.hold_until = Some(now.after(HOLD_TIME));
        let told = Told {
            flags,
            root,
            cost,
            bridge: own,
            port: port.config.id(),
            message_age: age,
            max_age,
            hello,
            forward_delay,
        };
        self.outgoing.push((ofport, Bpdu::Config(told)));
    }

    /// Lets time pass (8.7.3 to 8.7.8).
    pub fn run(&mut self, now: Instant) {
        let due = |at: &mut Option<Instant>| at.take_if(|at| now >= *at).is_some();
        if due(&mut self.hello_at) {
            self.send_configs(now);
            self.hello_at = Some(now.after(self.config.hello));
        }
        if due(&mut self.notify_at) {
            self.send_notice();
            self.notify_at = Some(now.after(self.config.hello));
        }
        if due(&mut self.change_until) {
            self.change_detected = false;
            self.change = false;
        }
        let all: Vec<OfPort> = self.ports.keys().copied().collect();
        for ofport in all {
            self.run_port(ofport, now);
        }
    }

    fn run_port(&mut self, ofport: OfPort, now: Instant) {
        let forward_delay = self.forward_delay;
        let Some(port) = self.ports.get_mut(&ofport) else { return };
        let due = |at: &mut Option<Instant>| at.take_if(|at| now >= *at).is_some();
        let (silent, move_up, held) = (
            due(&mut port.heard_until),
            due(&mut port.forward_at),
            due(&mut port.hold_until) && port.config_pending,
        );
        if move_up {
            match port.state {
                State::Listening => {
                    port.enter(State::Learning, now);
                    port.forward_at = Some(now.after(forward_delay));
                }
                State::Learning => port.enter(State::Forwarding, now),
                _ => {}
            }
            let forwards = port.state == State::Forwarding;
            self.version += 1;
            // 8.6.12: a tree in which somebody else's port forwards has changed.
            let up = self.ports.iter().filter(|(_, port)| port.state != State::Disabled);
            if forwards && up.into_iter().any(|(&at, _)| self.is_designated(at)) {
                self.flush = true;
                self.detect_change(now);
            }
        }
        if silent {
            self.forget_heard(ofport, now);
        }
        if held {
            self.send_config(ofport, now);
        }
    }

    /// Nothing was heard of the root by a port for too long (8.7.4).
    fn forget_heard(&mut self, ofport: OfPort, now: Instant) {
        let was_root = self.is_root();
        let id = self.ports.get(&ofport).map_or(0, |port| port.config.id());
        let mine = self.own_vector(id);
        if let Some(port) = self.ports.get_mut(&ofport) {
            port.best = mine;
        }
        self.update(now);
        self.select_states(now);
        if self.is_root() && !was_root {
            self.become_root(now);
        }
    }

    /// The frames to send, with the ports they leave by.
    pub fn send(&mut self) -> Vec<(OfPort, Vec<u8>)> {
        let mut frames = Vec::new();
        for (ofport, bpdu) in core::mem::take(&mut self.outgoing) {
            if let Some(port) = self.ports.get_mut(&ofport) {
                port.stats.tx += 1;
                frames.push((ofport, bpdu.frame(port.config.mac)));
            }
        }
        frames
    }

    /// When [`Self::run`] has something to do.
    #[must_use]
    pub fn wake(&self) -> Option<Instant> {
        let ports = self.ports.values().flat_map(|port| {
            let held = port.hold_until.filter(|_| port.config_pending);
            [port.heard_until, port.forward_at, held]
        });
        let own = [self.hello_at, self.notify_at, self.change_until];
        ports.chain(own).flatten().min()
    }

    /// Whether addresses learned so far are to be forgotten; asked once.
    pub fn take_flush(&mut self) -> bool {
        core::mem::take(&mut self.flush)
    }

    /// The state of a port; `None`: it takes no part.
    #[must_use]
    pub fn state(&self, ofport: OfPort) -> Option<State> {
        self.ports.get(&ofport).map(|port| port.state)
    }

    /// The role of a port.
    #[must_use]
    pub fn role(&self, ofport: OfPort) -> Role {
        if !self.ports.contains_key(&ofport) {
            Role::Disabled
        } else if self.root_port == Some(ofport) {
            Role::Root
        } else if self.is_designated(ofport) {
            Role::Designated
        } else if self.state(ofport) == Some(State::Disabled) {
            Role::Disabled
        } else {
            Role::Alternate
        }
    }

    /// Notices a topology change, as though one had been heard of.
    pub fn force_topology_change(&mut self, now: Instant) {
        self.flush = true;
        self.detect_change(now);
    }

    /// Moves on with every change of a port's state.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }
}

#[cfg(test)]
mod tests;
