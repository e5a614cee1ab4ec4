//! What a translation rests on: bridges as they were at one moment, and what tells whether they
//! have changed since.

use std::sync::Arc;

use dp_core::base::PortNo;
use dp_core::boundary::UpcallError;
use dp_core::flow::{FlowKey, FlowMask, layout};
use smallvec::SmallVec;

use super::features::Features;
use super::hooks::{Hooks, Location};
use super::recirc::RecircTable;
use crate::bridge::{Bridge, BridgeConfig, Mirror, PortKind, PortMap};
use crate::table::{TableSet, Version};

/// A bridge as it was at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// The bridge.
    pub bridge: Arc<Bridge>,
    /// Its flow tables.
    pub tables: Arc<TableSet>,
    /// Its ports.
    pub ports: Arc<PortMap>,
    /// Its mirrors.
    pub mirrors: Arc<Vec<Mirror>>,
    /// Its settings.
    pub config: BridgeConfig,
    macs: u64,
}

impl View {
    /// The bridge as it is now.
    #[must_use]
    pub fn of(bridge: &Arc<Bridge>) -> Self {
        // The versions first: whatever changes meanwhile makes the answer look old, never new.
        let macs = bridge.macs().version();
        Self {
            tables: bridge.tables().snapshot(),
            ports: bridge.ports(),
            mirrors: bridge.mirrors(),
            config: bridge.config(),
            bridge: Arc::clone(bridge),
            macs,
        }
    }

    /// The numbers that tell whether it is still so.
    #[must_use]
    pub fn basis(&self) -> BridgeBasis {
        BridgeBasis {
            bridge: Arc::clone(&self.bridge),
            tables: self.tables.version(),
            ports: self.ports.version(),
            macs: self.macs,
        }
    }
}

/// What tells whether a bridge has changed.
#[derive(Clone, Debug)]
pub struct BridgeBasis {
    bridge: Arc<Bridge>,
    tables: Version,
    ports: u64,
    macs: u64,
}

impl BridgeBasis {
    /// The numbers of a bridge now.
    #[must_use]
    pub fn of(bridge: &Arc<Bridge>) -> Self {
        Self {
            macs: bridge.macs().version(),
            tables: bridge.tables().version(),
            ports: bridge.ports().version(),
            bridge: Arc::clone(bridge),
        }
    }
}

impl PartialEq for BridgeBasis {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bridge, &other.bridge)
            && (self.tables, self.ports, self.macs) == (other.tables, other.ports, other.macs)
    }
}

impl Eq for BridgeBasis {}

/// What a translation rests on, in numbers: as long as they are the same, so is its outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Basis {
    bridges: SmallVec<[BridgeBasis; 1]>,
    /// Of the list of bridges, and of the hooks.
    world: u64,
}

impl Basis {
    /// These bridges in this world.
    #[must_use]
    pub fn new(bridges: impl IntoIterator<Item = BridgeBasis>, world: u64) -> Self {
        Self { bridges: bridges.into_iter().collect(), world }
    }

    /// Whether nothing has changed since, in a world of this version.
    #[must_use]
    pub fn holds(&self, world: u64) -> bool {
        self.world == world
            && self.bridges.iter().all(|basis| *basis == BridgeBasis::of(&basis.bridge))
    }
}

/// All that a packet can meet: the bridges of a switch and what is plugged in.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The bridges.
    pub bridges: Arc<Vec<Arc<Bridge>>>,
    /// What is plugged in.
    pub hooks: Arc<Hooks>,
    /// Frozen translations.
    pub recirc: RecircTable,
    /// What the datapath may be asked for.
    pub features: Features,
    /// Moves on whenever the list of bridges changes, or a bond's or tunnel's state.
    pub version: u64,
}

impl World {
    /// These bridges, and nothing plugged in.
    #[must_use]
    pub fn of(bridges: impl IntoIterator<Item = Arc<Bridge>>) -> Self {
        Self { bridges: Arc::new(bridges.into_iter().collect()), ..Self::default() }
    }

    /// The version with that of what is plugged in.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.wrapping_add(self.hooks.version())
    }

    /// The bridge port that is this one of the datapath.
    #[must_use]
    pub fn locate(&self, port: PortNo) -> Option<Location> {
        self.bridges.iter().find_map(|bridge| {
            let port = Arc::clone(bridge.ports().by_port(port)?);
            Some(Location { bridge: Arc::clone(bridge), port })
        })
    }

    /// Where a packet with this key is, and what of the key says so.
    ///
    /// # Errors
    ///
    /// [`UpcallError::NoBridge`], [`UpcallError::NoRecircContext`].
    pub fn find(&self, key: &FlowKey) -> Result<(Location, FlowMask), UpcallError> {
        let mut wc = FlowMask::EMPTY;
        let id = key.recirc_id();
        if id.0 != 0 {
            let recirc = self.recirc.find(id).ok_or(UpcallError::NoRecircContext)?;
            let frozen = recirc.frozen();
            return Ok((Location::at(&frozen.bridge, frozen.in_port), wc));
        }
        let tunnel = self
            .hooks
            .tunnels
            .as_ref()
            .filter(|_| key.load(layout::TUN_DST) != 0 || key.load(layout::TUN_IPV6_DST) != 0);
        let location = match tunnel {
            Some(tunnels) => tunnels.receive(key, &mut wc).ok_or(UpcallError::NoTunnel)?,
            None => self.locate(key.in_port()).ok_or(UpcallError::NoBridge)?,
        };
        Ok((location, wc))
    }

    /// The bridge with this name.
    #[must_use]
    pub fn bridge(&self, name: &str) -> Option<&Arc<Bridge>> {
        self.bridges.iter().find(|bridge| bridge.name() == name)
    }

    /// The other end of a patch: each names the other.
    #[must_use]
    pub fn peer(&self, name: &str, peer: &str) -> Option<Location> {
        self.bridges.iter().find_map(|bridge| {
            let port = Arc::clone(bridge.ports().by_name(peer)?);
            let back = matches!(&port.kind, PortKind::Patch { peer } if peer == name);
            back.then(|| Location { bridge: Arc::clone(bridge), port })
        })
    }
}
