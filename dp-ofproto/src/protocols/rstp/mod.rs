//! The rapid spanning tree protocol (IEEE 802.1D-2004, chapter 17).
//!
//! ```text
//!   received ─► information ─► role selection ─► role transitions ─► port states
//!                   ▲               (bridge)       │  proposals, agreements
//!                   └────────── ages ──────────────┴─► transmit, topology changes
//! ```
//!
//! The standard's state machines are functions over a port's variables ([`machines`](self)); after
//! each event all of them run until nothing moves. Names and numbers of sections are the standard's.
//! Timers count seconds, as it has them.

mod config;
mod information;
mod machines;
mod port;
mod roles;
mod show;
mod topology;

pub use config::{Config, PortConfig, path_cost};
pub use port::{PortStats, Role, State};
pub use show::{BridgeStatus, PortStatus};

use std::collections::BTreeMap;

use dp_core::base::{Duration, Instant, OfPort};

use super::bpdu::{Bpdu, Config as Told, Flags};
use port::{Port, Times, Vector};

/// Rounds after which the machines must have come to rest.
const MAX_ROUNDS: usize = 128;
const TICK: Duration = Duration::from_secs(1);

/// The rapid spanning tree of one bridge.
#[derive(Debug)]
pub struct Rstp {
    name: String,
    config: Config,
    ports: BTreeMap<OfPort, Port>,
    /// The best way to the root, or the bridge itself (17.18.6).
    root_priority: Vector,
    root_times: Times,
    root_port: Option<OfPort>,
    next_tick: Instant,
    outgoing: Vec<(OfPort, Bpdu)>,
    flush: bool,
    version: u64,
    began: Instant,
}

impl Rstp {
    /// A bridge that takes itself for the root.
    #[must_use]
    pub fn new(name: &str, config: Config, now: Instant) -> Self {
        Self {
            name: name.to_owned(),
            root_priority: Vector::of_bridge(config.id),
            root_times: config.times(),
            config,
            ports: BTreeMap::new(),
            root_port: None,
            next_tick: now.after(TICK),
            outgoing: Vec::new(),
            flush: false,
            version: 0,
            began: now,
        }
    }

    /// The bridge.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Changes the settings. Another address, priority or version begins anew (17.13).
    pub fn configure(&mut self, config: Config, now: Instant) {
        if config == self.config {
            return;
        }
        let anew = config.id != self.config.id || config.rapid != self.config.rapid;
        self.config = config;
        if anew {
            // Ports that are down remember what they heard.
            for port in self.ports.values_mut().filter(|port| port.enabled) {
                *port = Port::new(port.config.clone(), now);
            }
        } else {
            self.ports.values_mut().for_each(Port::reselect);
        }
        self.settle(now);
    }

    /// Adds a port, or changes its settings.
    pub fn put_port(&mut self, ofport: OfPort, config: PortConfig, now: Instant) {
        match self.ports.get_mut(&ofport) {
            Some(port) => {
                if config.mcheck && !port.config.mcheck && self.config.rapid {
                    port.mcheck = true;
                }
                if port.config != config {
                    port.enabled = config.up;
                    port.config = config;
                    port.reselect();
                }
            }
            None => {
                self.ports.insert(ofport, Port::new(config, now));
                self.version += 1;
            }
        }
        self.settle(now);
    }

    /// A port is gone.
    pub fn remove_port(&mut self, ofport: OfPort, now: Instant) {
        if let Some(port) = self.ports.remove(&ofport) {
            self.version += 1;
            self.flush |= port.learning;
            self.ports.values_mut().for_each(Port::reselect);
            self.settle(now);
        }
    }

    /// The ports.
    pub fn ports(&self) -> impl Iterator<Item = OfPort> {
        self.ports.keys().copied()
    }

    /// Takes what follows the length field of a frame that came in by a port (17.23).
    pub fn receive(&mut self, ofport: OfPort, llc: &[u8], now: Instant) {
        let Some(port) = self.ports.get_mut(&ofport).filter(|port| port.enabled) else { return };
        port.stats.rx += 1;
        let Ok(bpdu) = Bpdu::parse(llc) else {
            port.stats.errors += 1;
            return;
        };
        // 9.3.4: what is too old, or our own, is none.
        if let Bpdu::Config(told) | Bpdu::Rapid(told) = bpdu
            && (told.message_age >= told.max_age
                || told.bridge == self.config.id && told.port == port.config.id())
        {
            port.stats.errors += u64::from(told.message_age >= told.max_age);
            return;
        }
        match bpdu {
            Bpdu::Rapid(_) if self.config.rapid => port.rcvd_rstp = true,
            _ => port.rcvd_stp = true,
        }
        port.oper_edge = false;
        port.edge_delay_while = MIGRATE_TIME;
        port.rcvd = Some(bpdu);
        self.settle(now);
    }

    /// Lets time pass (17.22).
    pub fn run(&mut self, now: Instant) {
        // Whoever was asleep for long need not count every second of it.
        let mut left = 120;
        while now >= self.next_tick && left > 0 {
            self.next_tick = self.next_tick.after(TICK);
            left -= 1;
            self.ports.values_mut().for_each(Port::tick);
            self.settle(now);
        }
        if left == 0 {
            self.next_tick = now.after(TICK);
        }
    }

    /// Runs all machines until none moves.
    fn settle(&mut self, now: Instant) {
        let all: Vec<OfPort> = self.ports.keys().copied().collect();
        for _ in 0..MAX_ROUNDS {
            let mut moved = false;
            for &ofport in &all {
                moved |= self.inform(ofport);
            }
            moved |= self.select_roles();
            for &ofport in &all {
                moved |= self.migrate(ofport);
                moved |= self.detect_edge(ofport);
                moved |= self.change_role(ofport);
                moved |= self.change_state(ofport, now);
                moved |= self.watch_topology(ofport);
            }
            for &ofport in &all {
                moved |= self.transmit(ofport);
            }
            if !moved {
                return;
            }
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
        (!self.ports.is_empty()).then_some(self.next_tick)
    }

    /// Whether addresses learned so far are to be forgotten; asked once.
    pub fn take_flush(&mut self) -> bool {
        core::mem::take(&mut self.flush)
    }

    /// What a port does with packets; `None`: it takes no part.
    #[must_use]
    pub fn state(&self, ofport: OfPort) -> Option<State> {
        self.ports.get(&ofport).map(Port::state)
    }

    /// Whether this bridge is the root.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.root_port.is_none()
    }

    /// Notices a topology change on all ports, as though one had been heard of.
    pub fn force_topology_change(&mut self, now: Instant) {
        self.ports.values_mut().for_each(|port| port.rcvd_tc = true);
        self.settle(now);
    }

    /// Moves on with every change of a port's state.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// 17.21.19 to 17.21.21: what a port says.
    fn told(&self, port: &Port) -> Told {
        let mut flags = Flags::empty();
        flags.set(Flags::TOPOLOGY_CHANGE, port.tc_while != 0);
        let priority = port.designated_priority;
        Told {
            flags,
            root: priority.root,
            cost: priority.cost,
            bridge: priority.bridge,
            port: priority.port,
            message_age: seconds(port.designated_times.message_age),
            max_age: seconds(port.designated_times.max_age),
            hello: seconds(port.designated_times.hello),
            forward_delay: seconds(port.designated_times.forward_delay),
        }
    }
}

/// How long a port waits before it changes its mind about the other end's version (17.13.9).
const MIGRATE_TIME: u16 = 3;

fn seconds(time: u16) -> Duration {
    Duration::from_secs(u64::from(time))
}

#[cfg(test)]
mod tests;
