//! Making what runs equal to the configuration.
//!
//! ```text
//!   what is no longer wanted goes, in all bridges → what is new comes → settings → OpenFlow layer
//! ```
//!
//! All removals come first, so that an interface can move from one bridge to another in one change.
//! What cannot be opened is the error of its row; the rest proceeds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dp_core::base::{MacAddr, OfPort, PortNo};
use dp_netdev::datapath::AddPortError;
use dp_netdev::port::Change;
use dp_ofproto::tunnel::is_tunnel;

use super::bridge::{Interface, RunningBridge, own_mac};
use super::datapath::Datapath;
use super::dpdk::is_dpdk;
use super::open::Opened;
use super::{Switch, features, open};
use crate::config::{
    BridgeConfig, InterfaceConfig, PortConfig, SslConfig, SwitchConfig, is_true, unused, wrong,
};
use crate::daemon::DummyMode;
use crate::net::tls::{self, TlsSettings};
use crate::ovsdb::uuid::Uuid;

impl Switch {
    /// Applies a configuration.
    pub(crate) fn apply(&self, mut config: SwitchConfig) {
        let nameless = wrong::keep_nameable(&mut config);
        for bridge in &mut config.bridges {
            with_local_port(bridge);
        }
        let shared = nameless.into_iter().chain(wrong::keep_first(&mut config));
        self.state().other_config = config.other_config.clone();
        self.state().external_ids = config.external_ids.clone();
        self.state().system = config.system.clone();
        self.tell(shared.chain(unused::unused(&config)).chain(wrong::wrong(&config)));
        self.start_dpdk(&config.other_config);
        tls::set_database(config.ssl.as_ref().map(tls_settings));
        for datapath in self.datapaths() {
            datapath.tune(&config.other_config, &self.topology);
        }
        self.remove_bridges(&config);
        for bridge in &config.bridges {
            if let Some(running) = self.bridge(&bridge.name) {
                remove_interfaces(&running, bridge, self.dummy);
            }
        }
        for bridge in &config.bridges {
            if let Some(running) = self.ensure_bridge(bridge) {
                self.add_interfaces(&running, bridge);
                running.state().config = bridge.clone();
                choose_addresses(&running);
                self.apply_services(&running);
                running.publish();
                running.set_tables_and_mirrors();
                changes_of_interfaces(&running);
                running.apply_qos(self.now());
                pin_interfaces(&running);
            }
        }
        self.forget_datapaths();
        self.tell_datapaths();
        let held = is_true(&config.other_config, "flow-restore-wait");
        for datapath in self.datapaths() {
            let row = config.datapaths.iter();
            let mut row = row.filter(|(kind, _)| Self::datapath_kind(kind) == datapath.kind);
            datapath.set_limits(&config, row.next().map(|(_, row)| row));
            datapath.hold(held);
        }
        let silent = config.other_config.get("route-silent-devices");
        self.underlay.set_silent(silent.map(String::as_str));
        self.underlay.set_order(config.other_config.get("route-order").map(String::as_str));
        self.refresh_tunnels();
        self.apply_exports(&config);
        self.count("bridge_reconfigure");
        self.state().touched = true;
    }

    /// Says in the log what is wrong with the configuration, or has no effect in it, each once.
    fn tell(&self, lines: impl Iterator<Item = String>) {
        let told = &mut self.state().told;
        for line in lines {
            if told.len() < MOST_TOLD && told.insert(line.clone()) {
                log::warn!(target: "bridge", "{line}");
            }
        }
    }

    /// Lets bridges go that are no longer wanted, or wanted in another datapath.
    fn remove_bridges(&self, config: &SwitchConfig) {
        let wanted: BTreeMap<&str, String> = config
            .bridges
            .iter()
            .map(|bridge| (bridge.name.as_str(), Self::datapath_kind(&bridge.datapath_type)))
            .collect();
        for bridge in self.bridges() {
            if wanted.get(bridge.name.as_str()) == Some(&bridge.datapath.kind) {
                continue;
            }
            bridge.clear_qos();
            let state = &mut *bridge.state();
            let names: Vec<String> = state.interfaces.keys().cloned().collect();
            for name in names {
                if let Some(interface) = state.interfaces.remove(&name) {
                    close(&bridge.datapath, &interface);
                }
            }
            self.services.remove_bridge(&bridge.name);
            bridge.forget_elsewhere(&bridge.bridge.macs().retain(|_| false));
            self.state().bridges.remove(&bridge.name);
        }
        self.tell_datapaths();
    }

    /// The type of the datapath that a bridge of this type belongs to.
    pub(super) fn datapath_kind(datapath_type: &str) -> String {
        match datapath_type {
            "" => "system",
            kind => kind,
        }
        .to_owned()
    }

    /// The bridge, made if it is new; `None` if it cannot be.
    fn ensure_bridge(&self, config: &BridgeConfig) -> Option<Arc<RunningBridge>> {
        if let Some(bridge) = self.bridge(&config.name) {
            return Some(bridge);
        }
        let kind = Self::datapath_kind(&config.datapath_type);
        let datapath = match self.ensure_datapath(&kind) {
            Ok(datapath) => datapath,
            Err(why) => {
                log::error!(target: "bridge", "failed to create bridge {}: {why}", config.name);
                return None;
            }
        };
        let bridge = RunningBridge::new(config, datapath, Arc::clone(&self.services));
        bridge.log_addresses();
        bridge.bridge.tables().begin(self.now());
        self.state().bridges.insert(config.name.clone(), Arc::clone(&bridge));
        Some(bridge)
    }

    /// The datapath of a type, made if it is new.
    fn ensure_datapath(&self, kind: &str) -> Result<Arc<Datapath>, String> {
        if let Some(datapath) = self.state().datapaths.get(kind) {
            return Ok(Arc::clone(datapath));
        }
        let dummy = self.dummy.pretends(kind);
        if kind != "netdev" && !dummy {
            log::warn!(target: "dpif", "could not create datapath of unknown type {kind}");
            return Err("Address family not supported by protocol".to_owned());
        }
        let datapath = Datapath::new(
            kind,
            &format!("ovs-{kind}"),
            self.dummy,
            &self.clock,
            self.underlay.neighbours(),
            self.waker.clone(),
        )
        .map_err(|error| crate::errno::text(&error))?;
        if dummy {
            open::next_mac(&mut self.state().dummies);
        }
        let settings = self.state().other_config.clone();
        datapath.tune(&settings, &self.topology);
        datapath.hold(is_true(&settings, "flow-restore-wait"));
        features::tell(&datapath);
        datapath.netdev.set_suspicion(self.state().suspicion);
        self.plug(&datapath);
        self.state().datapaths.insert(kind.to_owned(), Arc::clone(&datapath));
        Ok(datapath)
    }

    /// Lets datapaths go that no bridge is in.
    fn forget_datapaths(&self) {
        let used: BTreeSet<String> =
            self.bridges().iter().map(|bridge| bridge.datapath.kind.clone()).collect();
        let mut unused = Vec::new();
        self.state().datapaths.retain(|kind, datapath| {
            let keep = used.contains(kind);
            if !keep {
                unused.push(Arc::clone(datapath));
            }
            keep
        });
        for datapath in unused {
            datapath.stop();
        }
    }

    /// Tells each datapath's OpenFlow layer which bridges there are.
    fn tell_datapaths(&self) {
        let bridges = self.bridges();
        for datapath in self.datapaths() {
            let own = bridges.iter().filter(|it| Arc::ptr_eq(&it.datapath, &datapath));
            datapath.ofproto.set_bridges(own.map(|it| Arc::clone(&it.bridge)));
        }
    }

    /// Opens what is not open: first what asks for an OpenFlow number, so that nothing else gets it.
    fn add_interfaces(&self, bridge: &RunningBridge, config: &BridgeConfig) {
        let changed: Vec<Interface> =
            bridge.state().interfaces.values().filter(|it| it.reopen).cloned().collect();
        for interface in changed {
            let reopened = self.reopen(bridge, interface);
            bridge.state().interfaces.insert(reopened.config.name.clone(), reopened);
        }
        let mut new: Vec<_> = config
            .ports
            .iter()
            .flat_map(|port| port.interfaces.iter().map(move |it| (port, it)))
            .filter(|(_, it)| !bridge.state().interfaces.contains_key(&it.name))
            .collect();
        new.sort_by_key(|(_, it)| (it.ofport_request.is_none(), it.ofport_request));
        for (port, interface) in new {
            let mut added = self.add_interface(bridge, port, interface);
            let state = &mut *bridge.state();
            state.added += 1;
            added.place = state.added;
            state.interfaces.insert(interface.name.clone(), added);
        }
    }

    /// Opens a port with other options.
    fn reopen(&self, bridge: &RunningBridge, mut interface: Interface) -> Interface {
        interface.reopen = false;
        let Some(number) = interface.number else { return interface };
        let datapath = &bridge.datapath;
        if is_tunnel(&interface.kind) {
            datapath.release_tunnel_port(number);
            let read = self.open_as_before(&interface.config, &interface.kind);
            match read.and_then(|_| self.open_tunnel(bridge, &interface)) {
                Ok(number) => interface.number = Some(number),
                Err(why) => {
                    log::warn!(target: "bridge", "{why}");
                    interface.number = None;
                    interface.error = Some(why);
                }
            }
            return interface;
        }
        datapath.remove(number);
        let opened = self.open_as_before(&interface.config, &interface.kind);
        // It keeps the address that it has, where it made one up.
        let own = |opened: &Opened| opened.hand.is_some() || opened.kind.contains("vhost");
        let known = interface.mac.filter(|_| opened.as_ref().is_ok_and(own));
        let done = opened.and_then(|opened| {
            let Some(port) = opened.port else { return Ok(()) };
            let added = datapath.add(number, port, &opened.kind, opened.hand);
            added.map_err(|error| error.to_string())
        });
        match done {
            Ok(()) => {
                if let Some(mac) = known {
                    let _ = datapath.netdev.configure_port(number, Change::Mac(mac));
                }
            }
            Err(why) => {
                log::warn!(target: "bridge", "{why}");
                interface.error = Some(why);
                interface.number = None;
                if let Some(ofport) = interface.ofport.take() {
                    bridge.state().ofports.free(ofport.0);
                }
            }
        }
        interface
    }

    fn add_interface(
        &self,
        bridge: &RunningBridge,
        port: &PortConfig,
        config: &InterfaceConfig,
    ) -> Interface {
        let is_local = config.name == bridge.name;
        let kind = open::effective_kind(bridge.datapath.dummy, &config.kind, is_local, self.dummy);
        let mut interface = Interface {
            config: config.clone(),
            port: port.name.clone(),
            kind,
            ofport: None,
            number: None,
            mac: None,
            error: None,
            reopen: false,
            place: 0,
        };
        match self.open_interface(bridge, &mut interface, is_local) {
            Ok(ofport) => {
                log::info!(
                    target: "bridge",
                    "bridge {}: added interface {} on port {}", bridge.name, config.name, ofport.0
                );
            }
            Err(why) => {
                log::warn!(target: "bridge", "{why}");
                interface.error = Some(why);
            }
        }
        interface
    }

    fn open_interface(
        &self,
        bridge: &RunningBridge,
        interface: &mut Interface,
        is_local: bool,
    ) -> Result<OfPort, String> {
        let name = interface.config.name.clone();
        let opened = self.open(&interface.config, &interface.kind)?;
        let failed =
            |why: String| format!("could not add network device {name} to ofproto ({why})");
        let ofport = take_ofport(bridge, &interface.config, is_local)
            .ok_or_else(|| failed("No space left on device".to_owned()))?;
        interface.ofport = Some(ofport);
        let give_back = || bridge.state().ofports.free(ofport.0);
        if is_tunnel(&interface.kind) {
            match self.open_tunnel(bridge, interface) {
                Ok(number) => interface.number = Some(number),
                Err(why) => {
                    give_back();
                    interface.ofport = None;
                    return Err(why);
                }
            }
        }
        let Some(port) = opened.port else { return Ok(ofport) };
        let datapath = &bridge.datapath;
        let Some(number) = datapath.choose_number(&name) else {
            give_back();
            interface.ofport = None;
            return Err(failed("No space left on device".to_owned()));
        };
        if let Err(error) = datapath.add(number, port, &opened.kind, opened.hand) {
            give_back();
            interface.ofport = None;
            return Err(match error {
                // A device of libdpdk is attached only now; its own words say enough.
                AddPortError::Open(error) if is_dpdk(&interface.kind) => error.to_string(),
                error => failed(error.to_string()),
            });
        }
        interface.number = Some(number);
        interface.mac = datapath.netdev.port_status(number).map(|it| it.mac);
        Ok(ofport)
    }
}

impl Switch {
    /// Opens what a row names, for the first time: dummy ports are numbered.
    fn open(&self, config: &InterfaceConfig, kind: &str) -> Result<Opened, String> {
        let mut dummies = self.state().dummies;
        let opened = self.open_numbered(config, kind, &mut dummies);
        self.state().dummies = dummies;
        opened
    }

    /// Opens what a row names once more: it takes no new number.
    fn open_as_before(&self, config: &InterfaceConfig, kind: &str) -> Result<Opened, String> {
        let mut dummies = self.state().dummies;
        self.open_numbered(config, kind, &mut dummies)
    }

    fn open_numbered(
        &self,
        config: &InterfaceConfig,
        kind: &str,
        number: &mut u32,
    ) -> Result<Opened, String> {
        let vhost = self.state().dpdk.vhost.clone();
        open::open(config, kind, self.dummy, &vhost, number)
    }

    /// Opens a port that belongs to no bridge.
    pub(crate) fn add_bare_port(
        &self,
        datapath: &Datapath,
        config: &InterfaceConfig,
        number: Option<PortNo>,
    ) -> Result<(), String> {
        let kind = open::effective_kind(datapath.dummy, &config.kind, false, self.dummy);
        let opened = self.open(config, &kind)?;
        let port = opened.port.ok_or("Operation not supported")?;
        let number = number.or_else(|| datapath.choose_number(&config.name));
        let number = number.ok_or("No space left on device")?;
        let added = datapath.add(number, port, &opened.kind, opened.hand);
        added.map_err(|error| error.to_string())
    }

    /// Gives a dummy port another number in its datapath.
    pub(crate) fn renumber(
        &self,
        datapath: &Arc<Datapath>,
        old: PortNo,
        new: PortNo,
    ) -> Result<(), ()> {
        let kind = datapath.ports().get(&old).map(|it| it.kind.clone()).ok_or(())?;
        for bridge in self.bridges().iter().filter(|it| Arc::ptr_eq(&it.datapath, datapath)) {
            let found = {
                let state = bridge.state();
                state.interfaces.values().find(|it| it.number == Some(old)).cloned()
            };
            let Some(mut interface) = found else { continue };
            datapath.remove(old);
            let opened = self.open_as_before(&interface.config, &kind).map_err(drop)?;
            let port = opened.port.ok_or(())?;
            datapath.add(new, port, &opened.kind, opened.hand).map_err(drop)?;
            interface.number = Some(new);
            bridge.state().interfaces.insert(interface.config.name.clone(), interface);
            bridge.publish();
            return Ok(());
        }
        Err(())
    }
}

/// What the row `SSL` says.
fn tls_settings(row: &SslConfig) -> TlsSettings {
    let file = |text: &str| (!text.is_empty()).then(|| text.into());
    TlsSettings {
        private_key: file(&row.private_key),
        certificate: file(&row.certificate),
        ca_cert: file(&row.ca_cert),
        bootstrap: row.bootstrap_ca_cert,
        peer_ca_cert: None,
        protocols: row.protocols.clone(),
        ciphers: row.ciphers.clone(),
        ciphersuites: row.ciphersuites.clone(),
    }
}

/// The OpenFlow number of a new interface.
fn take_ofport(bridge: &RunningBridge, config: &InterfaceConfig, is_local: bool) -> Option<OfPort> {
    if is_local {
        return Some(OfPort::LOCAL);
    }
    let ofports = &mut bridge.state().ofports;
    let request = config.ofport_request.and_then(|it| u16::try_from(it).ok());
    match request {
        Some(number) if ofports.request(number) => Some(OfPort(number)),
        _ => ofports.allocate().map(OfPort),
    }
}

/// Lets interfaces go that are no longer wanted, are wanted differently, or could not be opened.
fn remove_interfaces(bridge: &RunningBridge, config: &BridgeConfig, mode: DummyMode) {
    let wanted: BTreeMap<&str, (&PortConfig, &InterfaceConfig)> = config
        .ports
        .iter()
        .flat_map(|port| port.interfaces.iter().map(move |it| (it.name.as_str(), (port, it))))
        .collect();
    let state = &mut *bridge.state();
    let names: Vec<String> = state.interfaces.keys().cloned().collect();
    let moving = renumbered(bridge, &state.interfaces, &wanted);
    for name in names {
        let Some(interface) = state.interfaces.get_mut(&name) else { continue };
        let keep = wanted.get(name.as_str()).is_some_and(|(port, it)| {
            interface.port.clone_from(&port.name);
            let stays = !moving.contains(&name);
            interface.error.is_none() && stays && is_same(bridge, interface, it, mode)
        });
        if keep {
            if let Some((_, new)) = wanted.get(name.as_str()) {
                // A port with other options is opened anew, under its numbers.
                interface.reopen |=
                    interface.number.is_some() && new.options != interface.config.options;
                interface.config = InterfaceConfig::clone(new);
            }
            continue;
        }
        if let Some(interface) = state.interfaces.remove(&name) {
            close(&bridge.datapath, &interface);
            if let Some(ofport) = interface.ofport {
                state.ofports.free(ofport.0);
                log::info!(
                    target: "bridge",
                    "bridge {}: deleted interface {name} on port {}", bridge.name, ofport.0
                );
            }
        }
    }
}

/// The interfaces that get another number: that of nobody, of one that goes, or of one that gets another
/// number itself.
fn renumbered(
    bridge: &RunningBridge,
    running: &BTreeMap<String, Interface>,
    wanted: &BTreeMap<&str, (&PortConfig, &InterfaceConfig)>,
) -> BTreeSet<String> {
    let mut wishes: BTreeMap<u16, &str> = BTreeMap::new();
    for (name, interface) in running {
        let Some((_, config)) = wanted.get(name.as_str()) else { continue };
        let wish = config.ofport_request.and_then(|it| u16::try_from(it).ok());
        let wish = wish.filter(|&it| it != 0 && it < OfPort::MAX.0 && *name != bridge.name);
        if let Some(wish) = wish.filter(|&it| interface.ofport != Some(OfPort(it))) {
            // Of several that want it the first gets it.
            wishes.entry(wish).or_insert(name);
        }
    }
    // Whoever wants the number of one that stays, stays itself; and so on.
    loop {
        let moving: BTreeSet<&str> = wishes.values().copied().collect();
        let stays = |name: &str| wanted.contains_key(name) && !moving.contains(name);
        let kept = running.iter().filter(|(name, _)| stays(name)).filter_map(|(_, it)| it.ofport);
        let kept: BTreeSet<u16> = kept.map(|ofport| ofport.0).collect();
        let before = wishes.len();
        wishes.retain(|wish, _| !kept.contains(wish));
        if wishes.len() == before {
            return wishes.into_values().map(str::to_owned).collect();
        }
    }
}

/// Whether an open interface can stay as it is.
fn is_same(
    bridge: &RunningBridge,
    running: &Interface,
    wanted: &InterfaceConfig,
    mode: DummyMode,
) -> bool {
    let is_local = wanted.name == bridge.name;
    open::effective_kind(bridge.datapath.dummy, &wanted.kind, is_local, mode) == running.kind
}

/// Pins receive queues as the interfaces of a bridge say.
fn pin_interfaces(bridge: &RunningBridge) {
    for interface in bridge.state().interfaces.values() {
        if let Some(number) = interface.number {
            bridge.datapath.pin(number, &interface.config);
        }
    }
}

fn close(datapath: &Datapath, interface: &Interface) {
    match interface.number {
        Some(number) if is_tunnel(&interface.kind) => datapath.release_tunnel_port(number),
        Some(number) => datapath.remove(number),
        None => {}
    }
}

/// A bridge has a port of its own name, whether the database says so or not.
fn with_local_port(bridge: &mut BridgeConfig) {
    if bridge.ports.iter().all(|port| port.name != bridge.name) {
        let name = bridge.name.clone();
        let kind = "internal".to_owned();
        let interface =
            InterfaceConfig { uuid: Uuid::ZERO, name: name.clone(), kind, ..Default::default() };
        bridge.ports.push(PortConfig { name, interfaces: vec![interface], ..Default::default() });
    }
}

/// The address and the datapath id of a bridge.
fn choose_addresses(bridge: &RunningBridge) {
    let mut state = bridge.state();
    let other = &state.config.other_config;
    let set = other.get("hwaddr").and_then(|it| parse_mac(it));
    let ports = state.interfaces.values().filter(|it| {
        it.ofport != Some(OfPort::LOCAL) && !matches!(it.kind.as_str(), "tap" | "dummy-internal")
    });
    let macs = ports.filter_map(|it| Some(bridge.datapath.netdev.port_status(it.number?)?.mac));
    let lowest = macs.filter(|mac| is_global(*mac)).min_by_key(|mac| mac.0);
    let mac = set.or(lowest).unwrap_or_else(|| own_mac(state.config.uuid));
    let id = other.get("datapath-id").and_then(|it| parse_datapath_id(it));
    let id = id.unwrap_or_else(|| mac.to_u64());
    if mac != state.mac {
        state.mac = mac;
        let local = state.interfaces.values().find(|it| it.ofport == Some(OfPort::LOCAL));
        let number = local.and_then(|it| it.number);
        let changed =
            number.and_then(|it| bridge.datapath.netdev.configure_port(it, Change::Mac(mac)));
        if let Some(Err(error)) = changed {
            log::error!(
                target: "bridge",
                "bridge {}: failed to set bridge Ethernet address: {error}", bridge.name
            );
        }
    }
    if id != state.datapath_id {
        // Whoever is connected knows the bridge by the old one.
        if state.datapath_id != 0 {
            bridge.ask_to_reconnect();
        }
        state.datapath_id = id;
        log::info!(target: "bridge", "bridge {}: using datapath ID {id:016x}", bridge.name);
    }
}

/// Addresses and MTUs that interfaces ask for.
fn changes_of_interfaces(bridge: &RunningBridge) {
    let state = bridge.state();
    for interface in state.interfaces.values() {
        let Some(number) = interface.number else { continue };
        let netdev = &bridge.datapath.netdev;
        let Some(status) = netdev.port_status(number) else { continue };
        let name = &interface.config.name;
        let is_local = interface.ofport == Some(OfPort::LOCAL);
        // The host's own ports alone have addresses that are the switch's to choose.
        let internal = matches!(interface.kind.as_str(), "tap" | "dummy-internal");
        let mac = interface.config.mac.as_deref().filter(|_| internal).and_then(parse_mac);
        if let Some(mac) = mac.filter(|mac| !is_local && *mac != status.mac) {
            if mac.0[0] & 1 != 0 {
                log::error!(
                    target: "bridge",
                    "interface {name}: cannot set MAC to multicast address"
                );
            } else if let Some(Err(error)) = netdev.configure_port(number, Change::Mac(mac)) {
                log::error!(target: "bridge", "interface {name}: setting MAC failed ({error})");
            }
        }
        let mtu = interface.config.mtu_request.and_then(|it| u32::try_from(it).ok());
        if let Some(mtu) = mtu.filter(|mtu| *mtu != status.mtu)
            && let Some(Err(error)) = netdev.configure_port(number, Change::Mtu(mtu))
        {
            log::warn!(target: "bridge", "{name}: setting MTU to {mtu} failed ({error})");
        }
    }
}

/// Whether an address may become a bridge's: one that its maker gave.
fn is_global(mac: MacAddr) -> bool {
    mac != MacAddr::ZERO && mac.0[0] & 0x03 == 0
}

fn parse_mac(text: &str) -> Option<MacAddr> {
    text.parse().ok()
}

/// Sixteen hexadecimal digits, or fewer after `0x`.
fn parse_datapath_id(text: &str) -> Option<u64> {
    let digits = match text.strip_prefix("0x") {
        Some(digits) if !digits.is_empty() && digits.len() <= 16 => digits,
        None if text.len() == 16 => text,
        _ => return None,
    };
    u64::from_str_radix(digits, 16).ok().filter(|id| *id != 0)
}

/// Sentences about settings that are told; nobody needs more.
const MOST_TOLD: usize = 1000;

#[cfg(test)]
mod tests {
    use super::parse_datapath_id;

    #[test]
    fn datapath_ids_are_sixteen_digits_or_follow_0x() {
        assert_eq!(parse_datapath_id("0000000000000001"), Some(1));
        assert_eq!(parse_datapath_id("0x1f"), Some(31));
        for text in ["1", "0x", "0000000000000000", "zzzzzzzzzzzzzzzz", "0x00000000000000001"] {
            assert_eq!(parse_datapath_id(text), None, "{text}");
        }
    }
}
