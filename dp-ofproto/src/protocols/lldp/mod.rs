//! LLDP (IEEE 802.1AB): one port tells who it is and learns who is at the other end; auto-attach asks
//! an edge switch to carry VLANs as services.
//!
//! ```text
//!   every 5 s ─► frame with TTL 120 s          frame ─► neighbour until its TTL is over
//! ```
//!
//! # Invariants
//!
//! * Neighbours of a port are bounded, and so is what is kept of each: a frame holds no more.

pub mod frame;
mod show;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use dp_core::base::{Duration, Instant, MacAddr};

use frame::{Assignment, Capabilities, Element, Identifier, Pdu, kind};
pub use frame::{DST, ETH_TYPE, FrameError};

/// What a port is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its name.
    pub name: String,
    /// The address that its frames come from, by which it is known.
    pub mac: MacAddr,
    /// The system's name, if it has one.
    pub system_name: Option<String>,
    /// What the system is.
    pub system_description: String,
    /// Services and the VLANs that are to carry them.
    pub mappings: BTreeMap<u32, u16>,
}

/// What a port has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames sent.
    pub tx: u64,
    /// Frames received.
    pub rx: u64,
    /// Frames discarded.
    pub rx_discarded: u64,
    /// TLVs passed over.
    pub rx_unrecognized: u64,
    /// Neighbours whose time was over.
    pub ageouts: u64,
    /// Neighbours that came.
    pub inserts: u64,
    /// Neighbours that went by their own word.
    pub deletes: u64,
    /// Neighbours that there was no room for.
    pub drops: u64,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// What it says of itself.
    pub pdu: Pdu,
    /// Until when that holds.
    pub until: Instant,
}

/// LLDP of a port.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    next_tx: Instant,
    neighbours: BTreeMap<(Vec<u8>, Vec<u8>), Neighbour>,
    /// By service.
    statuses: BTreeMap<u32, u8>,
    stats: Stats,
}

impl Agent {
    /// A port that starts at `now`.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            next_tx: now.after(TX_INTERVAL),
            neighbours: BTreeMap::new(),
            statuses: BTreeMap::new(),
            stats: Stats::default(),
        }
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the settings; mappings that stay keep their state.
    pub fn configure(&mut self, config: Config) {
        self.statuses.retain(|isid, _| config.mappings.get(isid) == self.config.mappings.get(isid));
        self.config = config;
    }

    /// What it has counted.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Who is at the other end.
    pub fn neighbours(&self) -> impl Iterator<Item = &Neighbour> {
        self.neighbours.values()
    }

    /// What a server has said of a mapping: 2 active, 3 and more rejected; nothing yet: pending.
    #[must_use]
    pub fn status(&self, isid: u32) -> Option<u8> {
        self.statuses.get(&isid).copied()
    }

    /// Takes what stands behind a frame's Ethernet header.
    ///
    /// # Errors
    ///
    /// What is wrong with the frame; it has been counted.
    pub fn receive(&mut self, payload: &[u8], now: Instant) -> Result<(), FrameError> {
        self.stats.rx += 1;
        let decoded = frame::decode(payload, &mut self.stats.rx_unrecognized);
        let pdu = decoded.inspect_err(|_| self.stats.rx_discarded += 1)?;
        let id = |id: &Identifier| [&[id.kind], id.bytes.as_slice()].concat();
        let key = (id(&pdu.chassis), id(&pdu.port));
        if pdu.ttl == 0 {
            if self.neighbours.remove(&key).is_some() {
                self.stats.deletes += 1;
            }
            return Ok(());
        }
        for told in &pdu.assignments {
            if self.config.mappings.get(&told.isid) == Some(&told.vlan) {
                self.statuses.insert(told.isid, told.status);
            }
        }
        if !self.neighbours.contains_key(&key) {
            if self.neighbours.len() >= NEIGHBOURS {
                self.stats.drops += 1;
                return Ok(());
            }
            self.stats.inserts += 1;
        }
        let until = now.after(Duration::from_secs(pdu.ttl.into()));
        self.neighbours.insert(key, Neighbour { pdu, until });
        Ok(())
    }

    /// Lets time pass; gives the frame that is to be sent, if it is time for one.
    ///
    /// # Errors
    ///
    /// Why no frame can be made of the settings.
    pub fn run(&mut self, now: Instant) -> Result<Option<Vec<u8>>, FrameError> {
        let before = self.neighbours.len();
        self.neighbours.retain(|_, neighbour| now < neighbour.until);
        let gone = before - self.neighbours.len();
        self.stats.ageouts += u64::try_from(gone).unwrap_or(0);
        if gone > 0 && self.neighbours.is_empty() {
            // Whoever promised to carry services is gone.
            self.statuses.clear();
        }
        if now < self.next_tx {
            return Ok(None);
        }
        self.next_tx = now.after(TX_INTERVAL);
        let frame = self.pdu().encode(self.config.mac)?;
        self.stats.tx += 1;
        Ok(Some(frame))
    }

    /// When [`Self::run`] has something to do.
    #[must_use]
    pub fn wake(&self) -> Instant {
        let ageing = self.neighbours.values().map(|neighbour| neighbour.until);
        ageing.fold(self.next_tx, Instant::min)
    }

    /// What the port says of itself.
    fn pdu(&self) -> Pdu {
        let config = &self.config;
        let assignments = config.mappings.iter();
        Pdu {
            chassis: Identifier { kind: kind::CHASSIS_MAC, bytes: config.mac.0.to_vec() },
            port: Identifier { kind: kind::PORT_NAME, bytes: config.name.as_bytes().to_vec() },
            ttl: TTL,
            system_name: config.system_name.clone(),
            system_description: Some(config.system_description.clone()),
            capabilities: Some(Capabilities { able: BRIDGE, enabled: BRIDGE }),
            element: Some(Element {
                kind: Element::VIRTUAL_SWITCH,
                system: config.mac,
                ..Element::default()
            }),
            assignments: assignments
                .map(|(&isid, &vlan)| Assignment { status: 0, vlan, isid })
                .collect(),
            ..Pdu::default()
        }
    }
}

/// How often a frame is sent, as the reference does.
const TX_INTERVAL: Duration = Duration::from_secs(5);
/// Seconds that what is told holds.
const TTL: u16 = 120;
/// The capability of a bridge.
const BRIDGE: u16 = 4;
/// Neighbours of a port at most.
const NEIGHBOURS: usize = 32;
