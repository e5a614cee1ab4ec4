//! All tunnel ports, and which one a packet belongs to.
//!
//! A port matches a packet by the datapath's port, the key, and both ends; each of the three is
//! fixed or open. Where several match, the order is that of the reference: a fixed key goes before
//! one that the flow says, then a fixed remote end before an open one, then a fixed local end
//! before none named, before one that the flow says.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ahash::RandomState;
use dp_core::action::tunnel::Kind;
use dp_core::base::PortNo;

use super::config::{Setting, TunnelConfig};
use crate::bridge::PacketTypes;
use crate::translate::hooks::Location;

/// A tunnel port of a bridge.
#[derive(Clone, Debug)]
pub struct TunnelPort {
    /// The bridge and port.
    pub location: Location,
    /// The datapath's port, which others of its kind share.
    pub datapath_port: PortNo,
    /// Its settings.
    pub config: Arc<TunnelConfig>,
}

/// How the local end is given, in the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Local {
    Fixed(IpAddr),
    Any,
    Flow,
}

/// What tells tunnel ports apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    port: PortNo,
    /// `None`: the flow says.
    key: Option<u64>,
    /// `None`: the flow says.
    remote: Option<IpAddr>,
    local: Local,
    types: PacketTypesKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum PacketTypesKey {
    L2,
    L3,
    Both,
}

const fn types(types: PacketTypes) -> PacketTypesKey {
    match types {
        PacketTypes::LegacyL2 => PacketTypesKey::L2,
        PacketTypes::LegacyL3 => PacketTypesKey::L3,
        PacketTypes::Aware => PacketTypesKey::Both,
    }
}

/// The other name that tunnels of this kind go by.
const fn other_name(kind: Kind) -> Option<Kind> {
    match kind {
        Kind::Gre => Some(Kind::Ip6Gre),
        Kind::Ip6Gre => Some(Kind::Gre),
        Kind::Erspan => Some(Kind::Ip6Erspan),
        Kind::Ip6Erspan => Some(Kind::Erspan),
        _ => None,
    }
}

impl Key {
    fn of(port: &TunnelPort) -> Self {
        let config = &port.config;
        Self {
            port: port.datapath_port,
            key: match config.in_key {
                None => Some(0),
                Some(Setting::Fixed(key)) => Some(key),
                Some(Setting::Flow) => None,
            },
            remote: config.remote.fixed().copied(),
            local: match config.local {
                None => Local::Any,
                Some(Setting::Fixed(local)) => Local::Fixed(local),
                Some(Setting::Flow) => Local::Flow,
            },
            types: types(config.packet_types),
        }
    }
}

/// All tunnel ports of a datapath.
#[derive(Clone, Debug, Default)]
pub struct TunnelPorts {
    by_match: HashMap<Key, TunnelPort, RandomState>,
    /// By bridge and name of the port.
    by_name: HashMap<(String, String), Key, RandomState>,
    /// The datapath's port of each kind whose packets look alike from outside.
    of_gre: HashMap<Kind, PortNo, RandomState>,
}

impl TunnelPorts {
    /// Adds a port.
    ///
    /// # Errors
    ///
    /// The name of a port that takes the same packets.
    pub fn add(&mut self, port: TunnelPort) -> Result<(), String> {
        let key = Key::of(&port);
        let name = (port.location.bridge.name().to_owned(), port.location.port.name.clone());
        if let Some(other) = self.by_match.get(&key)
            && (other.location.bridge.name(), &other.location.port.name) != (&name.0, &name.1)
        {
            return Err(other.location.port.name.clone());
        }
        if other_name(port.config.kind).is_some() {
            self.of_gre.insert(port.config.kind, port.datapath_port);
        }
        if let Some(old) = self.by_name.insert(name, key)
            && old != key
        {
            self.by_match.remove(&old);
        }
        self.by_match.insert(key, port);
        Ok(())
    }

    /// The port of this name in a bridge.
    #[must_use]
    pub fn get(&self, bridge: &str, name: &str) -> Option<&TunnelPort> {
        let key = self.by_name.get(&(bridge.to_owned(), name.to_owned()))?;
        self.by_match.get(key)
    }

    /// All ports, by the datapath's port and name.
    #[must_use]
    pub fn list(&self) -> Vec<&TunnelPort> {
        let mut all: Vec<&TunnelPort> = self.by_match.values().collect();
        all.sort_by(|a, b| {
            (a.datapath_port, &a.location.port.name).cmp(&(b.datapath_port, &b.location.port.name))
        });
        all
    }

    /// The datapath's port that takes outer packets of this protocol and UDP port. Of tunnels that
    /// share a protocol, the first: of this family before the other, GRE before ERSPAN; the datapath
    /// tells these two apart by what GRE carries.
    #[must_use]
    pub fn listening(&self, over_ipv6: bool, protocol: u8, udp: u16) -> Option<PortNo> {
        let takes = |config: &TunnelConfig| match (config.kind, protocol) {
            (Kind::Gre | Kind::Erspan | Kind::Ip6Gre | Kind::Ip6Erspan, 47) => true,
            (Kind::Srv6, 4 | 41) => true,
            (Kind::Vxlan | Kind::Geneve | Kind::Gtpu | Kind::Bareudp, 17) => config.dst_port == udp,
            (Kind::Stt, 6) => config.dst_port == udp,
            _ => false,
        };
        let all = self.by_match.values().filter(|port| takes(&port.config));
        let order = |port: &&TunnelPort| {
            let kind = port.config.kind;
            let of_ipv6 = matches!(kind, Kind::Ip6Gre | Kind::Ip6Erspan);
            (protocol == 47 && of_ipv6 != over_ipv6, kind as u8, port.datapath_port)
        };
        all.min_by_key(order).map(|port| port.datapath_port)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_match.is_empty()
    }

    /// The port that a packet from the datapath's port belongs to. `remote` is the packet's source,
    /// `local` its destination; `l3` says that it has no Ethernet header.
    ///
    /// GRE over IPv6 goes by two names, as does ERSPAN. The datapath gives its packets to one of them;
    /// a port that goes by the other is found all the same.
    #[must_use]
    pub fn find(
        &self,
        port: PortNo,
        key: u64,
        remote: IpAddr,
        local: IpAddr,
        l3: bool,
    ) -> Option<&TunnelPort> {
        let found = self.find_at(port, key, remote, local, l3);
        found.or_else(|| {
            let (kind, _) = self.of_gre.iter().find(|(_, at)| **at == port)?;
            let other = self.of_gre.get(&other_name(*kind)?)?;
            self.find_at(*other, key, remote, local, l3)
        })
    }

    fn find_at(
        &self,
        port: PortNo,
        key: u64,
        remote: IpAddr,
        local: IpAddr,
        l3: bool,
    ) -> Option<&TunnelPort> {
        let own = if l3 { PacketTypesKey::L3 } else { PacketTypesKey::L2 };
        for key in [Some(key), None] {
            for remote in [Some(remote), None] {
                for local in [Local::Fixed(local), Local::Any, Local::Flow] {
                    for types in [own, PacketTypesKey::Both] {
                        let wanted = Key { port, key, remote, local, types };
                        if let Some(found) = self.by_match.get(&wanted) {
                            return Some(found);
                        }
                    }
                }
            }
        }
        None
    }
}
