//! A bridge: its ports, its flow tables, what it has learned, its limits and counters.
//!
//! Packet threads read, the control plane writes: ports and settings are snapshots behind an
//! atomic pointer, flow tables publish versions of their own, and what is learned from packets
//! stands behind a lock that is only taken on upcalls.

mod limits;
mod mirror;
mod port;
mod vlan;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::learn::{MacTable, MacTableConfig};
use crate::table::{Tables, TablesConfig};

pub use limits::{LimitCounters, Limits};
pub use mirror::{MAX_MIRRORS, Mirror, MirrorOutput};
pub use port::{BridgePort, PortKind, PortMap, PortMapError, PriorityTags};
pub use vlan::{VlanMode, VlanSet};

/// What flow tables see of IP fragments (`ovs-ofctl set-frags`). Later fragments have no transport
/// ports in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragments {
    /// All fragments have transport ports 0, the first ones too.
    #[default]
    Normal,
    /// No fragment reaches the tables.
    Drop,
    /// The first fragment shows its transport ports.
    NxMatch,
}

/// What may be set of a bridge while it runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct BridgeConfig {
    /// Bounds of translation.
    pub limits: Limits,
    /// NORMAL forwards frames to the reserved addresses 01:80:c2:00:00:0x instead of dropping
    /// them.
    pub forward_bpdu: bool,
    /// What flow tables see of IP fragments.
    pub fragments: Fragments,
}

/// A bridge.
#[derive(Debug)]
pub struct Bridge {
    name: String,
    tables: Tables,
    ports: ArcSwap<PortMap>,
    config: ArcSwap<BridgeConfig>,
    macs: MacTable,
    limit_counters: LimitCounters,
}

impl Bridge {
    /// A bridge without ports and flows.
    #[must_use]
    pub fn new(name: impl Into<String>, tables: TablesConfig, macs: MacTableConfig) -> Self {
        Self {
            name: name.into(),
            tables: Tables::new(tables),
            ports: ArcSwap::default(),
            config: ArcSwap::default(),
            macs: MacTable::new(macs),
            limit_counters: LimitCounters::default(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its flow tables.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Its ports as they are now.
    #[must_use]
    pub fn ports(&self) -> Arc<PortMap> {
        self.ports.load_full()
    }

    /// Replaces the ports; megaflows that rest on the old ones change at the next revalidation.
    /// Addresses learned on ports that are gone are forgotten.
    pub fn set_ports(&self, ports: PortMap) {
        let ports = Arc::new(ports.with_version(self.ports.load().version() + 1));
        self.ports.store(Arc::clone(&ports));
        self.macs.retain(|port| ports.get(port).is_some());
    }

    /// Its settings as they are now.
    #[must_use]
    pub fn config(&self) -> BridgeConfig {
        **self.config.load()
    }

    /// Changes the settings.
    pub fn set_config(&self, config: BridgeConfig) {
        self.config.store(Arc::new(config));
        // Translations depend on the settings as they do on the ports.
        let ports = self.ports.load();
        self.ports.store(Arc::new(PortMap::clone(&ports).with_version(ports.version() + 1)));
    }

    /// What it has learned of where addresses are.
    #[must_use]
    pub fn macs(&self) -> &MacTable {
        &self.macs
    }

    /// How often translation has hit its bounds.
    #[must_use]
    pub fn limit_counters(&self) -> &LimitCounters {
        &self.limit_counters
    }
}
