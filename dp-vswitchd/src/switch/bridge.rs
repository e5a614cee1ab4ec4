//! A bridge that runs: the OpenFlow layer's bridge, its interfaces, and what they were made from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dp_core::base::{MacAddr, OfPort, PortNo};
use dp_ofproto::bridge::{Bridge, BridgePort, PortMap};
use dp_ofproto::learn::MacTableConfig;
use dp_ofproto::table::TablesConfig;

use super::Datapath;
use super::ofports::OfPorts;
use super::vlan;
use crate::config::{BridgeConfig, InterfaceConfig, PortConfig, is_true, number_or};
use crate::ovsdb::uuid::Uuid;

/// A bridge.
pub(crate) struct RunningBridge {
    pub(crate) name: String,
    pub(crate) datapath: Arc<Datapath>,
    pub(crate) bridge: Arc<Bridge>,
    state: Mutex<BridgeState>,
}

/// What changes with the configuration.
pub(crate) struct BridgeState {
    pub(crate) config: BridgeConfig,
    pub(crate) interfaces: BTreeMap<String, Interface>,
    pub(crate) ofports: OfPorts,
    pub(crate) mac: MacAddr,
    pub(crate) datapath_id: u64,
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
    /// Why it is not open.
    pub(crate) error: Option<String>,
}

impl RunningBridge {
    /// A bridge without ports.
    pub(crate) fn new(config: &BridgeConfig, datapath: Arc<Datapath>) -> Arc<Self> {
        let bridge = Bridge::new(config.name.clone(), TablesConfig::default(), macs(config));
        Arc::new(Self {
            name: config.name.clone(),
            datapath,
            bridge: Arc::new(bridge),
            state: Mutex::new(BridgeState {
                config: BridgeConfig { ports: Vec::new(), ..config.clone() },
                interfaces: BTreeMap::new(),
                ofports: OfPorts::new(),
                mac: MacAddr::ZERO,
                datapath_id: 0,
            }),
        })
    }

    /// Its state, to be looked at or changed.
    pub(crate) fn state(&self) -> MutexGuard<'_, BridgeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An interface that is open, by its name.
    pub(crate) fn interface(&self, name: &str) -> Option<Interface> {
        self.state().interfaces.get(name).filter(|it| it.ofport.is_some()).cloned()
    }

    /// The name of a port, as tools print it.
    pub(crate) fn port_name(&self, ofport: OfPort) -> Option<String> {
        Some(self.bridge.ports().get(ofport)?.name.clone())
    }

    /// Gives the OpenFlow layer the ports and settings as they are now.
    pub(super) fn publish(&self) {
        let state = self.state();
        self.bridge.macs().set_config(macs(&state.config));
        let mut settings = self.bridge.config();
        settings.forward_bpdu = is_true(&state.config.other_config, "forward-bpdu");
        self.bridge.set_config(settings);
        let by_name: BTreeMap<&str, &PortConfig> =
            state.config.ports.iter().map(|port| (port.name.as_str(), port)).collect();
        let ports = state.interfaces.values().filter_map(|interface| {
            let port = by_name.get(interface.port.as_str())?;
            let name = interface.config.name.clone();
            let made = BridgePort::new(interface.ofport?, interface.number?, name);
            Some(made.with_vlan(vlan::mode(port)))
        });
        match PortMap::new(ports) {
            Ok(map) => self.bridge.set_ports(map),
            Err(error) => log::error!(target: "bridge", "bridge {}: {error}", self.name),
        }
    }
}

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
pub(super) fn own_mac(uuid: Uuid) -> MacAddr {
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
