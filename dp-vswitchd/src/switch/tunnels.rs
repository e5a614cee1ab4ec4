//! Tunnels of the running switch: the datapath's ports for them, the routes and neighbours
//! underneath, and the questions that go out on the links.
//!
//! ```text
//!   interfaces ──► tunnel ports ──┐
//!   addresses ──► routes ─────────┼──► dp_ofproto::tunnel::Tunnels of each datapath
//!   bridges ────► devices ────────┘         asks for neighbours ──► frames, sent from here
//! ```
//!
//! What tunnels rest on is put together anew when anything of it changes, and published whole.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dp_core::base::{Instant, OfPort, PortNo};
use dp_core::boundary::Datapath as _;
use dp_core::flow::Extractor;
use dp_core::flow::beside::take_on;
use dp_core::packet::{Metadata, Pool};
use dp_core::route::{Addresses, CachedRoute, NextHop, Order, Prefix, Router, Rules, SourceNeed};
use dp_core::tunnel::{Ends, Flavour};
use dp_netdev::netlink::{Index, KernelHop};
use dp_ofproto::action::Action;
use dp_ofproto::learn::{Neighbours, Question};
use dp_ofproto::translate::hooks::{Location, Waiting};
use dp_ofproto::tunnel::{self, Device, Setting, TunnelConfig, TunnelPort, TunnelPorts};

use super::announce::Moves;
use super::bridge::{Interface, RunningBridge};
use super::datapath::DatapathPort;
use super::open::ROUTED;
use super::{Datapath, Switch};
use crate::event_loop::Wants;

/// What all tunnels of the switch rest on.
#[derive(Debug, Default)]
pub(crate) struct Underlay {
    router: Mutex<Router>,
    neighbours: Arc<Neighbours>,
    /// Addresses that scripts have given to dummy devices.
    given: Mutex<Vec<(String, IpAddr, u8)>>,
    /// The kernel's links, addresses and routes, unless they are kept out.
    kernel: Mutex<Option<Index>>,
    /// The devices that give no source address, as it was said.
    silent: Mutex<Option<String>>,
    /// The order of routes, as it was said.
    order: Mutex<Option<String>>,
    /// Addresses of bridges that have moved to another MAC.
    moves: Moves,
    /// When neighbours were last looked over.
    looked_over: Mutex<Option<Instant>>,
}

impl Underlay {
    /// The routes, to be looked at or changed. Whoever changes them calls
    /// [`Switch::refresh_routes`].
    pub(crate) fn router(&self) -> MutexGuard<'_, Router> {
        self.router.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The neighbours.
    pub(crate) const fn neighbours(&self) -> &Arc<Neighbours> {
        &self.neighbours
    }

    /// How many moves of addresses were announced, and how many were left to others.
    pub(crate) fn announced(&self) -> (u64, u64) {
        self.moves.counts()
    }

    /// Gives a device an address: its network is a route of its own.
    pub(super) fn add_address(&self, device: &str, address: IpAddr, len: u8) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.push((device.to_owned(), address, len));
        Self::put_address(&mut self.router(), device, address, len);
    }

    fn put_address(router: &mut Router, device: &str, address: IpAddr, len: u8) {
        router.addresses_mut().add(device, address, len);
        let hop = NextHop { source: Some(address), ..NextHop::new(device, None) };
        let route = CachedRoute {
            prefix: Prefix::new(address, len),
            mark: 0,
            table: Rules::MAIN,
            hops: vec![hop],
            local: true,
        };
        if let Err(error) = router.add_cached(route) {
            log::warn!(target: "ovs_router", "{device}: {error}");
        }
    }

    /// Says which devices give no source address (`other_config:route-silent-devices`, with commas
    /// between them); those of the start where it is not said. Whoever calls publishes the routes.
    pub(crate) fn set_silent(&self, devices: Option<&str>) {
        {
            let mut said = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
            if said.as_deref() == devices {
                return;
            }
            *said = devices.map(str::to_owned);
        }
        {
            let mut router = self.router();
            match devices {
                Some(devices) => {
                    let names = devices.split(',').map(str::trim).filter(|name| !name.is_empty());
                    router.addresses_mut().set_silent(names);
                }
                None => router.addresses_mut().set_silent(Addresses::SILENT.iter().copied()),
            }
        }
        if let Some(index) = self.kernel().as_ref() {
            self.take_over(index);
        }
    }

    /// Says in which order routes are taken (`other_config:route-order`); the reference's where it is
    /// not said. Whoever calls publishes the routes.
    pub(crate) fn set_order(&self, order: Option<&str>) {
        let mut said = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_deref() == order {
            return;
        }
        *said = order.map(str::to_owned);
        drop(said);
        let order = match order {
            None | Some("prefix-length") => Order::PrefixLength,
            Some("destination-first") => Order::DestinationFirst,
            Some(other) => {
                log::warn!(
                    target: "ovs_router",
                    "route-order is neither prefix-length nor destination-first: {other}"
                );
                Order::PrefixLength
            }
        };
        if let Err(error) = self.router().set_order(order) {
            log::warn!(target: "ovs_router", "route-order: {error}");
        }
    }

    fn kernel(&self) -> MutexGuard<'_, Option<Index>> {
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the kernel's addresses and routes from now on.
    pub(crate) fn follow_kernel(&self) {
        match Index::open() {
            Ok(index) => {
                self.take_over(&index);
                *self.kernel() = Some(index);
            }
            Err(error) => log::warn!(target: "route_table", "cannot follow the kernel: {error}"),
        }
    }

    /// Whether the kernel's addresses or routes have changed; they are taken over if so.
    fn poll_kernel(&self) -> bool {
        let mut kernel = self.kernel();
        let Some(index) = kernel.as_mut() else { return false };
        match index.poll() {
            Ok(change) if change.any() => {
                self.take_over(index);
                true
            }
            Ok(_) => false,
            Err(error) => {
                log::warn!(target: "route_table", "the kernel is not followed any more: {error}");
                *kernel = None;
                false
            }
        }
    }

    /// Makes the cached routes and the addresses of devices equal to the kernel's.
    fn take_over(&self, index: &Index) {
        let mut router = self.router();
        router.flush_cached();
        let known: Vec<String> = router.addresses().devices().map(str::to_owned).collect();
        for device in known {
            router.addresses_mut().remove_device(&device);
        }
        for link in index.links() {
            for &(address, len) in index.addresses(&link.name) {
                router.addresses_mut().add(&link.name, address, len);
            }
        }
        for (device, address, len) in
            self.given.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            Self::put_address(&mut router, device, *address, *len);
        }
        router.rules_mut().set_cached(index.rules());
        // Where several routes are for the same, the first has the lowest metric.
        let mut last = None;
        for route in index.routes() {
            // The three tables that there always are count as one; others are asked by rules alone.
            let standing = matches!(route.table, Rules::LOCAL | Rules::MAIN | Rules::DEFAULT);
            let table = if standing { Rules::MAIN } else { route.table };
            let same = Some((route.table, route.prefix, route.local));
            let asked = standing || index.rules().iter().any(|rule| rule.table == table);
            if !asked || last == same {
                continue;
            }
            last = same;
            let hop = |hop: &KernelHop| {
                let device = &index.link_by_number(hop.link)?.name;
                let weight = hop.weight;
                let source = route.source;
                Some(NextHop { source, weight, ..NextHop::new(device, hop.gateway) })
            };
            let hops: Vec<NextHop> = route.hops.iter().filter_map(hop).collect();
            if hops.is_empty() {
                continue;
            }
            let cached =
                CachedRoute { prefix: route.prefix, mark: 0, table, hops, local: route.local };
            if let Err(error) = router.add_cached(cached) {
                log::debug!(target: "route_table", "{}: {error}", route.prefix);
            }
        }
    }

    /// What the main loop has to wake up for.
    pub(super) fn wait(&self, wants: &mut Wants) {
        if let Some(index) = self.kernel().as_ref() {
            wants.read_number(index.fd());
        }
    }

    /// Whether neighbours are to be looked over now: once a second.
    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.looked_over.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.since(last) >= Duration::from_secs(1));
        if due {
            *last = Some(now);
        }
        due
    }
}

impl Datapath {
    /// The datapath's port for tunnels of this kind, made if it is not there; counts its users.
    pub(super) fn take_tunnel_port(&self, config: &TunnelConfig) -> Option<PortNo> {
        let name = config.system_name();
        let found = self.ports().iter().find(|(_, port)| port.name == name).map(|(at, _)| *at);
        let number = found.or_else(|| self.choose_number(&name))?;
        if found.is_none() {
            let kind = config.kind_name.to_owned();
            self.ports().insert(number, DatapathPort { name, kind, hand: None });
        }
        *self.tunnel_users().entry(number).or_default() += 1;
        self.change_ends(|ends| ends.set(number, config.kind, config.flavour));
        Some(number)
    }

    /// A tunnel does not use the datapath's port any more.
    pub(super) fn release_tunnel_port(&self, number: PortNo) {
        let mut users = self.tunnel_users();
        let Some(count) = users.get_mut(&number) else { return };
        *count -= 1;
        if *count == 0 {
            users.remove(&number);
            self.ports().remove(number);
            self.change_ends(|ends| ends.remove(number));
        }
    }

    /// Changes what packet threads know of tunnel ports.
    pub(crate) fn change_ends<T>(&self, change: impl FnOnce(&mut Ends) -> T) -> T {
        let mut ends = Ends::clone(&self.netdev.ends().load());
        let out = change(&mut ends);
        self.netdev.ends().publish(Arc::new(ends));
        out
    }
}

/// The settings of an interface that is a tunnel.
pub(crate) fn config_of(interface: &Interface) -> Option<TunnelConfig> {
    if !tunnel::is_tunnel(&interface.kind) {
        return None;
    }
    tunnel::read(&interface.config.name, &interface.kind, &interface.config.options).result.ok()
}

impl Switch {
    /// Reads the options of a new tunnel interface and takes a port of the datapath for it.
    pub(super) fn open_tunnel(
        &self,
        bridge: &RunningBridge,
        interface: &Interface,
    ) -> Result<PortNo, String> {
        let name = &interface.config.name;
        let failed = |why: &str| format!("could not add network device {name} to ofproto ({why})");
        let config = config_of(interface).ok_or_else(|| failed("Invalid argument"))?;
        let datapath = &bridge.datapath;
        if let Some(why) = self.disagreement(datapath, name, &config) {
            log::warn!(target: "netdev_vport", "{name}: {why}");
            return Err(format!("{name}: {why}"));
        }
        let number = datapath.take_tunnel_port(&config);
        let number = number.ok_or_else(|| failed("No space left on device"))?;
        let mut ports = self.tunnel_ports(datapath);
        let port = dp_ofproto::bridge::BridgePort::new(OfPort(0), number, name.clone());
        let location = Location { bridge: Arc::clone(&bridge.bridge), port: Arc::new(port) };
        let added =
            ports.add(TunnelPort { location, datapath_port: number, config: Arc::new(config) });
        if let Err(other) = added {
            datapath.release_tunnel_port(number);
            log::warn!(
                target: "tunnel",
                "{name}: attempting to add tunnel port with same config as port '{other}'"
            );
            return Err(failed("File exists"));
        }
        Ok(number)
    }

    /// Why a tunnel cannot share the datapath's port with one that is there: the two would read the
    /// same bits in two ways.
    fn disagreement(
        &self,
        datapath: &Arc<Datapath>,
        name: &str,
        config: &TunnelConfig,
    ) -> Option<&'static str> {
        let system_name = config.system_name();
        for bridge in self.bridges_of(datapath) {
            for interface in bridge.state().interfaces.values() {
                let other = config_of(interface).filter(|other| {
                    interface.number.is_some()
                        && interface.config.name != name
                        && other.system_name() == system_name
                });
                match (other.map(|other| other.flavour), config.flavour) {
                    (Some(one), two)
                        if (one == Flavour::GroupPolicy) != (two == Flavour::GroupPolicy) =>
                    {
                        return Some(
                            "VXLAN-GBP, and non-VXLAN-GBP tunnels can't be configured on the same \
                             dst_port",
                        );
                    }
                    (Some(Flavour::Payload(one)), Flavour::Payload(two)) if one != two => {
                        return Some(
                            "bareudp tunnels of different payload_type can't be configured on the \
                             same dst_port",
                        );
                    }
                    _ => {}
                }
            }
        }
        None
    }

    /// All tunnel ports of a datapath as their bridges have them now.
    fn tunnel_ports(&self, datapath: &Arc<Datapath>) -> TunnelPorts {
        let mut ports = TunnelPorts::default();
        for bridge in self.bridges_of(datapath) {
            let map = bridge.bridge.ports();
            for interface in bridge.state().interfaces.values() {
                let Some(config) = config_of(interface) else { continue };
                let Some(number) = interface.number else { continue };
                let Some(port) = map.by_name(&interface.config.name) else { continue };
                let location =
                    Location { bridge: Arc::clone(&bridge.bridge), port: Arc::clone(port) };
                let port = TunnelPort { location, datapath_port: number, config: Arc::new(config) };
                // One that takes the same packets as another was refused when it was opened.
                let _ = ports.add(port);
            }
        }
        ports
    }

    fn bridges_of(&self, datapath: &Arc<Datapath>) -> Vec<Arc<RunningBridge>> {
        let own = |bridge: &Arc<RunningBridge>| Arc::ptr_eq(&bridge.datapath, datapath);
        self.bridges().into_iter().filter(own).collect()
    }

    /// Publishes what tunnels rest on, after bridges or interfaces have changed.
    pub(crate) fn refresh_tunnels(&self) {
        for datapath in self.datapaths() {
            datapath.tunnels.set_ports(self.tunnel_ports(&datapath));
            let routed = |bridge: &Arc<RunningBridge>| {
                bridge.state().interfaces.values().any(|it| it.kind == ROUTED)
            };
            datapath.tunnels.set_is_routing(self.bridges_of(&datapath).iter().any(routed));
        }
        self.refresh_routes();
    }

    /// Publishes routes and devices, after routes or addresses have changed.
    pub(crate) fn refresh_routes(&self) {
        let routing = self.underlay.router().snapshot();
        for datapath in self.datapaths() {
            let mut devices = BTreeMap::new();
            for bridge in self.bridges_of(&datapath) {
                let local = bridge.bridge.ports().get(OfPort::LOCAL).map(Arc::clone);
                let Some(port) = local else { continue };
                let location = Location { bridge: Arc::clone(&bridge.bridge), port };
                let addresses = routing.addresses().of(&bridge.name);
                let addresses = addresses.iter().map(|&(address, _)| address).collect();
                let mac = bridge.state().mac;
                let device = Device { location, mac, addresses };
                if !datapath.tunnels.ports().is_empty() {
                    self.underlay.moves.look_at(&bridge, &device);
                }
                devices.insert(bridge.name.clone(), device);
            }
            datapath.tunnels.set_devices(devices);
            datapath.tunnels.set_routing(routing.clone());
        }
    }

    /// Sends the questions that tunnels have, and forgets neighbours that are too old.
    pub(super) fn run_underlay(&self, now: Instant) {
        if self.underlay.poll_kernel() {
            self.refresh_routes();
            self.touch();
        }
        for datapath in self.datapaths() {
            let ready = datapath.tunnels.take_ready(now);
            for waiting in &ready {
                go_on(&datapath, waiting, now);
            }
            if !ready.is_empty() {
                datapath.drive(now);
            }
        }
        for question in self.underlay.neighbours.take_questions() {
            self.send_question(&question, now);
        }
        for (bridge, announced) in self.underlay.moves.take_due() {
            if let Some(bridge) = self.bridge(&bridge) {
                send_from_local(&bridge, &announced.frame, now);
            }
        }
        if self.underlay.is_due(now) {
            self.underlay.neighbours.expire(now);
        }
    }

    fn send_question(&self, question: &Question, now: Instant) {
        let Some(bridge) = self.bridge(&question.bridge) else { return };
        let mac = bridge.state().mac;
        let frame = tunnel::ask::question(mac, question.source, question.target);
        if let Some(frame) = frame {
            send_from_local(&bridge, &frame, now);
        }
    }

    /// The bridge by which a tunnel's packets leave, and whether it can carry them.
    pub(super) fn egress(&self, interface: &Interface) -> Option<(String, bool)> {
        let config = config_of(interface)?;
        let remote = config.remote.fixed().copied()?;
        let need = match config.local {
            Some(Setting::Fixed(local)) => SourceNeed::Own(local),
            _ => SourceNeed::Any,
        };
        let mark = config.egress_mark.unwrap_or(0);
        let found = self.underlay.router().snapshot().lookup(remote, mark, need, 0)?;
        let up = self.bridge(&found.device).is_some_and(|bridge| {
            let local = bridge.state().interfaces.get(&*found.device).and_then(|it| it.number);
            local
                .and_then(|number| bridge.datapath.netdev.port_status(number))
                .is_none_or(|status| status.link_up)
        });
        Some((found.device.to_string(), up))
    }
}

/// Sends a packet into its tunnel whose neighbour has been waited for.
fn go_on(datapath: &Datapath, waiting: &Waiting, now: Instant) {
    let translation = datapath.ofproto.go_on(waiting, now);
    let frame = &waiting.frame;
    let packet = Pool::for_len(frame.len()).and_then(Pool::alloc).and_then(|mut packet| {
        packet.append(frame.len())?.copy_from_slice(frame);
        take_on(&waiting.key, &mut packet);
        Some(packet)
    });
    let Some(packet) = packet else { return };
    if let Err(error) = datapath.netdev.execute(packet, &waiting.key, translation.actions) {
        log::debug!(target: "tnl_neigh_cache", "{datapath}: packet not sent: {error}");
    }
}

/// Sends a frame as though a bridge's own port had: through the bridge's tables.
pub(crate) fn send_from_local(bridge: &RunningBridge, frame: &[u8], now: Instant) {
    let ports = bridge.bridge.ports();
    let Some(local) = ports.get(OfPort::LOCAL) else { return };
    let meta = Metadata { in_port: local.port, ..Metadata::default() };
    let (key, _) = Extractor::default().frame(frame, &meta);
    let actions = [Action::Output { port: OfPort::TABLE, max_len: 0 }];
    let ofproto = &bridge.datapath.ofproto;
    let translation = ofproto.packet_out(&bridge.bridge, OfPort::LOCAL, &key, frame, &actions, now);
    let packet = Pool::for_len(frame.len()).and_then(Pool::alloc).and_then(|mut packet| {
        packet.append(frame.len())?.copy_from_slice(frame);
        Some(packet)
    });
    let Some(packet) = packet else { return };
    if let Err(error) = bridge.datapath.netdev.execute(packet, &key, translation.actions) {
        log::warn!(target: "tnl_neigh_cache", "{}: {error}", bridge.name);
    }
    bridge.datapath.drive(now);
}
