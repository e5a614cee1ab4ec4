//! A bridge: its ports, its flow tables, what it has learned, its limits and counters.
//!
//! Packet threads read, the control plane writes: ports and settings are snapshots behind an
//! atomic pointer, flow tables publish versions of their own, and what is learned from packets
//! stands behind a lock that is only taken on upcalls.

mod carried;
mod guard;
mod limits;
mod mirror;
mod port;
mod vlan;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dp_core::base::{Instant, MacAddr, MeterId, OfPort};

use crate::learn::{Gratuitous, MacChange, MacTable, MacTableConfig};
use crate::table::{Tables, TablesConfig};
use crate::tlv::TlvTable;

pub use carried::Carried;
pub use guard::{RouterAddresses, asked_for};
pub use limits::{LimitCounters, Limits};
pub use mirror::{MAX_MIRRORS, Mirror, MirrorOutput};
pub use port::{BridgePort, PacketTypes, PortKind, PortMap, PortMapError, PriorityTags};
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
    /// What becomes of packets that no rule matches, where nothing else is said of the table.
    pub table_miss: TableMiss,
}

/// What becomes of packets that no rule of a table matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableMiss {
    /// They are dropped.
    #[default]
    Drop,
    /// Controllers get them.
    Controller,
    /// The next table is asked.
    Continue,
}

/// Is told when an address is learned or moves.
pub type MacListener = Box<dyn Fn(&Bridge, &MacChange) + Send + Sync>;

#[derive(Default)]
struct Learned(arc_swap::ArcSwapOption<MacListener>);

impl std::fmt::Debug for Learned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Learned")
    }
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
    mirrors: ArcSwap<Vec<Mirror>>,
    /// Where a table says something else than [`BridgeConfig::table_miss`].
    misses: ArcSwap<HashMap<u8, TableMiss>>,
    /// Which Geneve options the tunnel metadata fields are.
    tlvs: ArcSwap<TlvTable>,
    /// The datapath's numbers of the meters.
    meters: ArcSwap<HashMap<u32, MeterId>>,
    learned: Learned,
    carried: carried::CarriedPorts,
}

/// What a change of ports has made a bridge forget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Addresses behind ports that are gone: other bridges may know them behind the port that leads
    /// here.
    pub macs: Vec<(u16, MacAddr)>,
    /// Ports that are gone, or make something else of VLANs: nothing that was learned there is true.
    pub ports: Vec<OfPort>,
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
            mirrors: ArcSwap::default(),
            misses: ArcSwap::default(),
            tlvs: ArcSwap::default(),
            meters: ArcSwap::default(),
            learned: Learned::default(),
            carried: carried::CarriedPorts::default(),
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
    /// Addresses learned on ports that are gone, or that now make something else of VLANs, are
    /// forgotten. Returns what is to be forgotten elsewhere too.
    pub fn set_ports(&self, ports: PortMap) -> Forgotten {
        let old = self.ports.load_full();
        let ports = Arc::new(ports.with_version(old.version() + 1));
        self.ports.store(Arc::clone(&ports));
        let gone = self.macs.retain(|port| ports.get(port).is_some());
        let changed =
            |old: &BridgePort| !ports.get(old.ofport).is_some_and(|new| old.learns_as(new));
        let changed: Vec<OfPort> =
            old.iter().filter(|port| changed(port)).map(|port| port.ofport).collect();
        if !changed.is_empty() {
            self.macs.retain(|port| !changed.contains(&port));
        }
        self.carried.retain(|port| ports.get(port).is_some());
        Forgotten { macs: gone, ports: changed }
    }

    /// What a patch or tunnel port has carried.
    #[must_use]
    pub fn carried(&self, port: OfPort) -> Carried {
        self.carried.of(port)
    }

    /// Its settings as they are now.
    #[must_use]
    pub fn config(&self) -> BridgeConfig {
        **self.config.load()
    }

    /// Changes the settings.
    pub fn set_config(&self, config: BridgeConfig) {
        self.config.store(Arc::new(config));
        self.touch();
    }

    /// Translations depend on all settings as they do on the ports.
    fn touch(&self) {
        let ports = self.ports.load();
        self.ports.store(Arc::new(PortMap::clone(&ports).with_version(ports.version() + 1)));
    }

    /// Its mirrors.
    #[must_use]
    pub fn mirrors(&self) -> Arc<Vec<Mirror>> {
        self.mirrors.load_full()
    }

    /// Replaces the mirrors; the ones beyond [`MAX_MIRRORS`] are without effect.
    pub fn set_mirrors(&self, mirrors: Vec<Mirror>) {
        self.mirrors.store(Arc::new(mirrors));
        self.touch();
    }

    /// What becomes of packets that no rule of a table matches.
    #[must_use]
    pub fn table_miss(&self, table: u8) -> TableMiss {
        self.misses.load().get(&table).copied().unwrap_or(self.config.load().table_miss)
    }

    /// Whether something was said of a table.
    #[must_use]
    pub fn says_table_miss(&self, table: u8) -> bool {
        self.misses.load().contains_key(&table)
    }

    /// Says it for one table; `None`: as for all.
    pub fn set_table_miss(&self, table: u8, miss: Option<TableMiss>) {
        if self.misses.load().get(&table).copied() == miss {
            return;
        }
        let mut misses = HashMap::clone(&self.misses.load());
        match miss {
            Some(miss) => misses.insert(table, miss),
            None => misses.remove(&table),
        };
        self.misses.store(Arc::new(misses));
        self.touch();
    }

    /// Which Geneve options its tunnel metadata fields are.
    #[must_use]
    pub fn tlv_table(&self) -> Arc<TlvTable> {
        self.tlvs.load_full()
    }

    /// Changes it.
    pub fn set_tlv_table(&self, table: TlvTable) {
        self.tlvs.store(Arc::new(table));
        self.touch();
    }

    /// The datapath's number of a meter; `None`: there is no such meter.
    #[must_use]
    pub fn datapath_meter(&self, meter: u32) -> Option<MeterId> {
        self.meters.load().get(&meter).copied()
    }

    /// Says which meter of the datapath a meter is; `None`: it is gone.
    pub fn set_datapath_meter(&self, meter: u32, id: Option<MeterId>) {
        let mut meters = HashMap::clone(&self.meters.load());
        match id {
            Some(id) => meters.insert(meter, id),
            None => meters.remove(&meter),
        };
        self.meters.store(Arc::new(meters));
        self.touch();
    }

    /// A packet shows where an address is; whoever listens is told of what is new.
    pub fn learn(&self, vlan: u16, mac: MacAddr, port: OfPort, arp: Gratuitous, now: Instant) {
        let change = self.macs.learn_from(vlan, mac, port, arp, now);
        if let (Some(change), Some(tell)) = (change, self.learned.0.load().as_ref()) {
            tell(self, &change);
        }
    }

    /// Who is told when an address is learned or moves.
    pub fn set_mac_listener(&self, listener: Option<MacListener>) {
        self.learned.0.store(listener.map(Arc::new));
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
