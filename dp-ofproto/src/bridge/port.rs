//! The ports of a bridge: an immutable snapshot that translation reads.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ahash::RandomState;
use dp_core::base::{BondId, OfPort, PortNo};

use super::guard::RouterAddresses;
use super::vlan::VlanMode;

/// What is behind a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PortKind {
    /// A device.
    #[default]
    Device,
    /// The host itself (`internal`).
    Internal,
    /// The port of another bridge with this name.
    Patch {
        /// Its name.
        peer: String,
    },
    /// Tunnels: the datapath's port is shared by all of one kind.
    Tunnel,
    /// The switch's routes: an IP packet goes where they lead.
    Routed,
}

/// Which 802.1p tags a port puts on packets without a VLAN (`priority-tags`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PriorityTags {
    /// None.
    #[default]
    Never,
    /// On those with a priority.
    IfNonzero,
    /// On all.
    Always,
}

/// Which packets go through a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PacketTypes {
    /// Ethernet frames (`legacy_l2`).
    #[default]
    LegacyL2,
    /// Packets without an Ethernet header; the bridge sees them with one (`legacy_l3`).
    LegacyL3,
    /// Both, each as it is (`ptap`).
    Aware,
}

impl PacketTypes {
    /// As options and listings spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LegacyL2 => "legacy_l2",
            Self::LegacyL3 => "legacy_l3",
            Self::Aware => "ptap",
        }
    }
}

/// A port of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgePort {
    /// Its OpenFlow number.
    pub ofport: OfPort,
    /// The datapath's number of it.
    pub port: PortNo,
    /// Its name.
    pub name: String,
    /// What it makes of VLANs under NORMAL.
    pub vlan: VlanMode,
    /// Left out of FLOOD and of NORMAL's flooding (`no-flood`).
    pub no_flood: bool,
    /// Nothing is sent out of it (`no-forward`).
    pub no_forward: bool,
    /// What comes in by it is dropped (`no-receive`).
    pub no_receive: bool,
    /// What misses the tables does not go to controllers (`no-packet-in`).
    pub no_packet_in: bool,
    /// What is behind it.
    pub kind: PortKind,
    /// The name of the port that it is an interface of; its own, unless it is a bond's member.
    pub bundle: String,
    /// The bond that it is a member of.
    pub bond: Option<BondId>,
    /// Whether its link is up and what watches it (CFM, BFD) is content.
    pub up: bool,
    /// Spanning tree lets packets learn.
    pub learns: bool,
    /// Spanning tree lets packets through.
    pub forwards: bool,
    /// Nothing goes from it to others that are protected too.
    pub protected: bool,
    /// Which tags it puts on packets without a VLAN.
    pub priority_tags: PriorityTags,
    /// Whether packets have an Ethernet header here.
    pub packet_types: PacketTypes,
    /// The code points that its queues give to IP packets, by the queue's number.
    pub dscps: BTreeMap<u32, u8>,
    /// Router addresses that nobody behind it may ask for.
    pub unasked: RouterAddresses,
}

impl BridgePort {
    /// Whether what was learned behind it is still true when it has become `new`.
    pub(super) fn learns_as(&self, new: &Self) -> bool {
        let settings = |port: &Self| (port.vlan.clone(), port.protected, port.priority_tags);
        self.name == new.name && self.bundle == new.bundle && settings(self) == settings(new)
    }

    /// A port that carries all VLANs and has no restriction.
    #[must_use]
    pub fn new(ofport: OfPort, port: PortNo, name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            ofport,
            port,
            bundle: name.clone(),
            name,
            vlan: VlanMode::default(),
            no_flood: false,
            no_forward: false,
            no_receive: false,
            no_packet_in: false,
            kind: PortKind::default(),
            bond: None,
            up: true,
            learns: true,
            forwards: true,
            protected: false,
            priority_tags: PriorityTags::default(),
            packet_types: PacketTypes::default(),
            dscps: BTreeMap::new(),
            unasked: RouterAddresses::default(),
        }
    }

    /// The same as one end of a patch.
    #[must_use]
    pub fn with_peer(mut self, peer: impl Into<String>) -> Self {
        self.kind = PortKind::Patch { peer: peer.into() };
        self.port = PortNo::NONE;
        self
    }

    /// Whether packets that come in by it are looked at at all.
    #[must_use]
    pub const fn lets_in(&self) -> bool {
        !self.no_receive && (self.forwards || self.learns)
    }

    /// The same with another VLAN mode.
    #[must_use]
    pub fn with_vlan(mut self, vlan: VlanMode) -> Self {
        self.vlan = vlan;
        self
    }
}

/// Why a set of ports makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortMapError {
    /// Two ports have the same OpenFlow number.
    #[error("ports {0} and {1} have the same OpenFlow number {2}")]
    SameOfPort(String, String, OfPort),
    /// Two ports are the same datapath port.
    #[error("ports {0} and {1} are the same datapath port {2}")]
    SamePort(String, String, PortNo),
    /// A number that no port may have.
    #[error("port {0}: {1} is not a port's OpenFlow number")]
    Reserved(String, OfPort),
}

/// All ports of a bridge at one moment.
#[derive(Clone, Debug, Default)]
pub struct PortMap {
    version: u64,
    /// Ascending by OpenFlow number.
    ports: Vec<Arc<BridgePort>>,
    by_ofport: HashMap<OfPort, usize, RandomState>,
    by_port: HashMap<PortNo, usize, RandomState>,
    by_name: HashMap<String, usize, RandomState>,
    /// Indices in the order in which the ports were added.
    added: Vec<usize>,
    /// Indices in the order in which FLOOD and ALL visit them.
    flood: Vec<usize>,
}

impl PortMap {
    /// A map of these ports.
    ///
    /// # Errors
    ///
    /// When two ports share a number, or one has a number that is reserved.
    pub fn new(ports: impl IntoIterator<Item = BridgePort>) -> Result<Self, PortMapError> {
        let mut map = Self { ports: ports.into_iter().map(Arc::new).collect(), ..Self::default() };
        let added: Vec<OfPort> = map.ports.iter().map(|port| port.ofport).collect();
        map.ports.sort_by_key(|port| port.ofport);
        for (index, port) in map.ports.iter().enumerate() {
            if port.ofport >= OfPort::MAX && port.ofport != OfPort::LOCAL || port.ofport.0 == 0 {
                return Err(PortMapError::Reserved(port.name.clone(), port.ofport));
            }
            let other = |index: Option<usize>| Some(map.ports.get(index?)?.name.clone());
            if let Some(name) = other(map.by_ofport.insert(port.ofport, index)) {
                return Err(PortMapError::SameOfPort(name, port.name.clone(), port.ofport));
            }
            // Patches, tunnels and routes have no datapath port of their own.
            let own =
                !matches!(port.kind, PortKind::Patch { .. } | PortKind::Tunnel | PortKind::Routed);
            if own && let Some(name) = other(map.by_port.insert(port.port, index)) {
                return Err(PortMapError::SamePort(name, port.name.clone(), port.port));
            }
            map.by_name.insert(port.name.clone(), index);
        }
        let index = |ofport| map.by_ofport.get(ofport).copied();
        map.added = added.iter().filter_map(index).collect();
        map.flood = flood_order(&added).iter().filter_map(index).collect();
        Ok(map)
    }

    pub(super) fn with_version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// Differs whenever the ports or the settings of the bridge have changed.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The port with this OpenFlow number.
    #[must_use]
    pub fn get(&self, ofport: OfPort) -> Option<&Arc<BridgePort>> {
        self.ports.get(*self.by_ofport.get(&ofport)?)
    }

    /// The port that is this one of the datapath.
    #[must_use]
    pub fn by_port(&self, port: PortNo) -> Option<&Arc<BridgePort>> {
        self.ports.get(*self.by_port.get(&port)?)
    }

    /// All ports, in the order in which they were added.
    pub fn in_order_of_adding(&self) -> impl Iterator<Item = &Arc<BridgePort>> {
        self.added.iter().filter_map(|&index| self.ports.get(index))
    }

    /// All ports, in the order in which FLOOD and ALL visit them.
    pub fn in_flood_order(&self) -> impl Iterator<Item = &Arc<BridgePort>> {
        self.flood.iter().filter_map(|&index| self.ports.get(index))
    }

    /// The port with this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<BridgePort>> {
        self.ports.get(*self.by_name.get(name)?)
    }

    /// All ports, ascending by OpenFlow number.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<BridgePort>> {
        self.ports.iter()
    }
}

/// The order in which switches in use flood: that of a chained hash map over the port numbers
/// (MurmurHash3), twice as many entries as buckets at most. Scripts compare it.
fn flood_order(added: &[OfPort]) -> Vec<OfPort> {
    let mut buckets = 1usize;
    while added.len() / 2 >= buckets {
        buckets = if buckets == 1 { 4 } else { buckets * 2 };
    }
    let mut order: Vec<(usize, std::cmp::Reverse<usize>, OfPort)> = added
        .iter()
        .enumerate()
        .map(|(at, &port)| {
            let hash = port_hash(u32::from(port.0)) as usize;
            // The bridge's own port comes with the first of the others, a little later.
            let age = if port == OfPort::LOCAL { 3 } else { 2 * at };
            (hash & (buckets - 1), std::cmp::Reverse(age), port)
        })
        .collect();
    order.sort();
    order.into_iter().map(|(_, _, port)| port).collect()
}

/// MurmurHash3 of two words, the number and 0.
fn port_hash(number: u32) -> u32 {
    let add = |state: u32, word: u32| {
        let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
        (state ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    };
    let mut hash = add(add(number, 0), 0) ^ 8;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::{BridgePort, PortMap, PortMapError};
    use dp_core::base::{OfPort, PortNo};

    fn port(ofport: u16, port: u32) -> BridgePort {
        BridgePort::new(OfPort(ofport), PortNo(port), format!("p{ofport}"))
    }

    #[test]
    fn ports_are_found_both_ways_and_in_order() {
        let map = PortMap::new([port(7, 1), port(2, 9), port(0xfffe, 0)]).unwrap();
        assert_eq!(map.get(OfPort(7)).unwrap().port, PortNo(1));
        assert_eq!(map.by_port(PortNo(9)).unwrap().ofport, OfPort(2));
        assert_eq!(map.iter().map(|port| port.ofport.0).collect::<Vec<_>>(), [2, 7, 0xfffe]);
    }

    #[test]
    fn numbers_that_clash_or_are_reserved_are_refused() {
        assert!(matches!(
            PortMap::new([port(1, 1), port(1, 2)]),
            Err(PortMapError::SameOfPort(..))
        ));
        assert!(matches!(PortMap::new([port(1, 1), port(2, 1)]), Err(PortMapError::SamePort(..))));
        for reserved in [0, 0xff00, 0xfffd] {
            assert!(matches!(PortMap::new([port(reserved, 1)]), Err(PortMapError::Reserved(..))));
        }
    }
}
