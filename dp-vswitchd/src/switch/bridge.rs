//! A bridge that runs: the OpenFlow layer's bridge, its interfaces, and what they were made from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dp_core::base::{BondId, MacAddr, OfPort, PortNo};
use dp_ofproto::bridge::{
    Bridge, BridgePort, Limits, PortKind, PortMap, PriorityTags, RouterAddresses,
};
use dp_ofproto::learn::MacTableConfig;
use dp_ofproto::services::Services;
use dp_ofproto::table::TablesConfig;

use dp_ofproto::tunnel::is_tunnel;

use super::Datapath;
use super::ofports::OfPorts;
use super::open::ROUTED;
use super::qos::AppliedQos;
use super::tunnels::config_of;
use super::vlan;
use crate::config::{
    BridgeConfig, InterfaceConfig, PortConfig, QueueConfig, Settings, is_true, number_or,
};
use crate::ovsdb::uuid::Uuid;

/// A bridge.
pub(crate) struct RunningBridge {
    pub(crate) name: String,
    pub(crate) datapath: Arc<Datapath>,
    pub(crate) bridge: Arc<Bridge>,
    services: Arc<Services>,
    state: Mutex<BridgeState>,
    /// What the log has been told of the protocols' settings, once.
    said: Mutex<BTreeSet<String>>,
    /// Its OpenFlow connections are to be made anew.
    reconnect: AtomicBool,
}

/// What changes with the configuration.
pub(crate) struct BridgeState {
    pub(crate) config: BridgeConfig,
    pub(crate) interfaces: BTreeMap<String, Interface>,
    pub(crate) ofports: OfPorts,
    pub(crate) mac: MacAddr,
    pub(crate) datapath_id: u64,
    /// What controllers have said of ports: `dp_ofproto::openflow::port::config` bits.
    pub(crate) port_config: BTreeMap<OfPort, u32>,
    /// The numbers of the ports that are bonds.
    pub(crate) bonds: BTreeMap<String, BondId>,
    /// Whether links are up, as far as anybody has been told.
    pub(crate) carriers: BTreeMap<OfPort, bool>,
    /// How often links have gone up or down.
    pub(super) link_resets: BTreeMap<OfPort, i64>,
    /// How many interfaces have been added so far.
    pub(crate) added: u64,
    /// What is in force to hold packets back, by interface.
    pub(super) qos: BTreeMap<String, AppliedQos>,
}

/// An interface of a bridge, open or not.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) config: InterfaceConfig,
    /// The port that it belongs to.
    pub(crate) port: String,
    /// The type it was opened with.
    pub(crate) kind: String,
    pub(crate) ofport: Option<OfPort>,
    pub(crate) number: Option<PortNo>,
    /// The address that it was opened with.
    pub(crate) mac: Option<MacAddr>,
    /// Why it is not open.
    pub(crate) error: Option<String>,
    /// Whether it is to be opened anew, for its options have changed.
    pub(crate) reopen: bool,
    /// Its place in the order in which interfaces were added.
    pub(crate) place: u64,
}

impl Interface {
    /// The type that listings show: a dummy that replaces a tunnel keeps the tunnel's.
    pub(crate) fn shown_kind(&self) -> &str {
        match self.kind.as_str() {
            "dummy" if is_tunnel(&self.config.kind) => &self.config.kind,
            kind => kind,
        }
    }

    /// Whether it is a thing of the tables alone, without a device or a port of the datapath's.
    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self.kind.as_str(), "patch" | ROUTED) || is_tunnel(&self.kind)
    }
}

impl RunningBridge {
    /// Asks that its OpenFlow connections end, and those to controllers are made again.
    pub(crate) fn ask_to_reconnect(&self) {
        self.reconnect.store(true, Ordering::Relaxed);
    }

    /// Whether that has been asked since the last call.
    pub(crate) fn is_to_reconnect(&self) -> bool {
        self.reconnect.swap(false, Ordering::Relaxed)
    }

    /// How often a port's link has gone up or down.
    pub(crate) fn link_resets(&self, ofport: OfPort) -> i64 {
        self.state().link_resets.get(&ofport).copied().unwrap_or(0)
    }

    /// A bridge without ports.
    pub(crate) fn new(
        config: &BridgeConfig,
        datapath: Arc<Datapath>,
        services: Arc<Services>,
    ) -> Arc<Self> {
        let bridge = Bridge::new(config.name.clone(), TablesConfig::default(), macs(config));
        Arc::new(Self {
            name: config.name.clone(),
            datapath,
            bridge: Arc::new(bridge),
            services,
            said: Mutex::default(),
            reconnect: AtomicBool::new(false),
            state: Mutex::new(BridgeState {
                config: BridgeConfig { ports: Vec::new(), ..config.clone() },
                interfaces: BTreeMap::new(),
                ofports: OfPorts::new(),
                mac: MacAddr::ZERO,
                datapath_id: 0,
                port_config: BTreeMap::new(),
                bonds: BTreeMap::new(),
                carriers: BTreeMap::new(),
                link_resets: BTreeMap::new(),
                added: 0,
                qos: BTreeMap::new(),
            }),
        })
    }

    /// Its state, to be looked at or changed.
    pub(crate) fn state(&self) -> MutexGuard<'_, BridgeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says in the log what is wrong with the settings, once; the line names what it is about.
    pub(super) fn tell_once(&self, level: log::Level, line: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < SAID && said.insert(line.to_owned()) {
            log::log!(target: "bridge", level, "{line}");
        }
    }

    /// Bounds of translation, where they are not the usual ones.
    fn limits(&self, settings: &Settings) -> Limits {
        let usual = Limits::default();
        let number = |key: &str, usual: u32, most: u32| {
            let Some(text) = settings.get(key) else { return usual };
            let value = text.trim().parse().ok().filter(|value| (1..=most).contains(value));
            value.unwrap_or_else(|| {
                let line = format!(
                    "bridge {}: other_config:{key}={text}: expected a number from 1 to {most}",
                    self.name
                );
                self.tell_once(log::Level::Warn, &line);
                usual
            })
        };
        let stack = u32::try_from(usual.stack_bytes >> 10).unwrap_or(u32::MAX);
        Limits {
            depth: number("resubmit-depth-limit", usual.depth, MOST_DEPTH),
            resubmits: number("resubmit-limit", usual.resubmits, MOST_RESUBMITS),
            stack_bytes: (number("resubmit-stack-limit", stack, MOST_STACK) as usize) << 10,
        }
    }

    /// Router addresses that nobody behind a port may ask for. A list with a mistake guards nothing:
    /// half of it would look like all of it.
    fn unasked(&self, port: &str, text: &str) -> RouterAddresses {
        RouterAddresses::from_setting(text).unwrap_or_else(|word| {
            let expected = "expected addresses of routers, none of them a link's own";
            let line = format!("port {port}: other_config:{ROUTER_GUARD}: {word}: {expected}");
            self.tell_once(log::Level::Warn, &line);
            RouterAddresses::default()
        })
    }

    /// Gives the OpenFlow layer the ports and settings as they are now, and what protocols think of
    /// the ports.
    pub(crate) fn publish(&self) {
        let state = self.state();
        self.bridge.macs().set_config(macs(&state.config));
        let mut settings = self.bridge.config();
        settings.forward_bpdu = is_true(&state.config.other_config, "forward-bpdu");
        settings.limits = self.limits(&state.config.other_config);
        self.bridge.set_config(settings);
        let by_name: BTreeMap<&str, &PortConfig> =
            state.config.ports.iter().map(|port| (port.name.as_str(), port)).collect();
        // In the order of adding, the bridge's own port first: so they are flooded to.
        let mut interfaces: Vec<&Interface> = state.interfaces.values().collect();
        interfaces.sort_by_key(|it| (it.ofport != Some(OfPort::LOCAL), it.place));
        let ports = interfaces.into_iter().filter_map(|interface| {
            let port = by_name.get(interface.port.as_str())?;
            let mut made = bridge_port(interface, port)?;
            made.bond = state.bonds.get(&port.name).copied();
            let carrier = state.carriers.get(&made.ofport).copied().unwrap_or(true);
            made.up = carrier
                && self.services.is_content(&self.name, made.ofport)
                && self.services.lacp_allows(&self.name, made.ofport);
            (made.learns, made.forwards) = self.services.tree_lets(&self.name, made.ofport);
            if let Some(text) = port.other_config.get(ROUTER_GUARD) {
                made.unasked = self.unasked(&port.name, text);
            }
            Some(configured(made, &state.port_config))
        });
        match PortMap::new(ports) {
            Ok(map) => {
                let forgotten = self.bridge.set_ports(map);
                self.forget_elsewhere(&forgotten.macs);
                for port in forgotten.ports {
                    self.services.forget_multicast_port(&self.name, port);
                }
            }
            Err(error) => log::error!(target: "bridge", "bridge {}: {error}", self.name),
        }
    }

    /// Addresses that were behind a port which is gone: the bridges beside this one know them behind
    /// the port that leads here, and would send there what has its new place with them.
    pub(super) fn forget_elsewhere(&self, gone: &[(u16, MacAddr)]) {
        if gone.is_empty() {
            return;
        }
        for bridge in self.datapath.ofproto.bridges().iter() {
            if !Arc::ptr_eq(bridge, &self.bridge) {
                bridge.macs().forget(gone);
            }
        }
    }
}

/// A port with what controllers have said of it.
fn configured(mut port: BridgePort, bits: &BTreeMap<OfPort, u32>) -> BridgePort {
    use dp_ofproto::openflow::port::config as bit;
    let bits = bits.get(&port.ofport).copied().unwrap_or(0);
    port.no_flood = bits & bit::NO_FLOOD != 0;
    port.no_forward = bits & bit::NO_FWD != 0;
    port.no_receive = bits & bit::NO_RECV != 0;
    port.no_packet_in = bits & bit::NO_PACKET_IN != 0;
    port
}

/// An interface as the OpenFlow layer sees it; `None` if it is not open.
fn bridge_port(interface: &Interface, port: &PortConfig) -> Option<BridgePort> {
    let name = interface.config.name.clone();
    let number = interface.number.unwrap_or(PortNo::NONE);
    let mut made = BridgePort::new(interface.ofport?, number, name).with_vlan(vlan::mode(port));
    made.bundle.clone_from(&port.name);
    made.protected = port.protected;
    made.priority_tags = match port.other_config.get("priority-tags").map(String::as_str) {
        Some("if-nonzero" | "true") => PriorityTags::IfNonzero,
        Some("always") => PriorityTags::Always,
        _ => PriorityTags::Never,
    };
    let dscp = |(id, queue): (&u32, &QueueConfig)| Some((*id, u8::try_from(queue.dscp?).ok()?));
    made.dscps = port.qos.iter().flat_map(|qos| qos.queues.iter().filter_map(dscp)).collect();
    made.kind = match interface.kind.as_str() {
        "tap" | "dummy-internal" | "internal" if interface.config.kind != "tap" => {
            PortKind::Internal
        }
        "patch" => {
            let peer = interface.config.options.get("peer").cloned().unwrap_or_default();
            PortKind::Patch { peer }
        }
        ROUTED => PortKind::Routed,
        kind if is_tunnel(kind) => PortKind::Tunnel,
        _ => PortKind::Device,
    };
    if let Some(tunnel) = config_of(interface) {
        made.packet_types = tunnel.packet_types;
    }
    Some(made)
}

/// The key of a port for router addresses that nobody behind it may ask for.
const ROUTER_GUARD: &str = "router-guard";
/// How deep resubmits may be let nest at most: translation recurses.
const MOST_DEPTH: u32 = 400;
/// How many resubmits of one packet may be allowed at most.
const MOST_RESUBMITS: u32 = 1_000_000;
/// How much stack one packet may be allowed at most, in kilobytes.
const MOST_STACK: u32 = 65_536;
/// How many different complaints a bridge may make.
const SAID: usize = 1000;

/// The settings of the MAC table.
fn macs(config: &BridgeConfig) -> MacTableConfig {
    let number = |key, default| number_or(&config.other_config, key, default);
    let seconds = u64::try_from(number("mac-aging-time", 300)).unwrap_or(300);
    let size = usize::try_from(number("mac-table-size", 8192)).unwrap_or(8192);
    MacTableConfig {
        size: size.clamp(10, 1_000_000),
        ageing: std::time::Duration::from_secs(seconds.clamp(15, 3_600)),
        always_move: is_true(&config.other_config, "mac-learning-fallback"),
    }
}

/// The address of a bridge that has no other: from its row's name, and locally administered.
pub(crate) fn own_mac(uuid: Uuid) -> MacAddr {
    let [a, b, c, d, _, _, g, h, ..] = uuid.0;
    MacAddr([(d | 0x02) & 0xfe, c, b, a, h, g])
}

#[cfg(test)]
mod tests {
    use super::own_mac;
    use crate::ovsdb::uuid::Uuid;

    #[test]
    fn a_bridge_has_an_address_of_its_own() {
        let uuid = Uuid::parse("5249e924-7c7c-4a83-880f-0bbf1c15aec8").unwrap();
        assert_eq!(own_mac(uuid).to_string(), "26:e9:49:52:83:4a");
    }
}
