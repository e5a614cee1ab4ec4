//! A gateway node: pods behind it, Geneve to its peers, a translated source towards the outside,
//! services with backends here and there, tenants with ways out of their own, and a name server that
//! nobody tracks. `docs/gateway.md` draws it.
//!
//! The node is a controller and a switch in one process. Its tables (`flows`) do what can be done
//! packet by packet; what needs a decision comes here (`answer`), and the facilities of
//! [`dp_ofproto::gateway`] decide it. What changes a decision (a link, a next hop that has answered,
//! a pod that has arrived) makes the tables anew, as one change.

mod answer;
mod flows;
mod plan;
mod watch;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use dp_core::action::tunnel::Kind;
use dp_core::base::{Instant, MacAddr, OfPort, PortNo};
use dp_core::boundary::Datapath as _;
use dp_core::conntrack::skip::{Condition, PrefixSet, Rule, SkipPolicy};
use dp_core::flow::beside::take_on;
use dp_core::flow::{Extractor, FlowKey};
use dp_core::packet::{Metadata, Pool};
use dp_core::route::{
    CachedRoute, NextHop, Origin, Policy, Prefix, Route, RouteKey, Router, Rules,
};
use dp_core::tunnel::{Ends, Flavour};
use dp_netdev::port::PortSpec;
use dp_netdev::{Config, Idle, Netdev};
use dp_ofproto::bridge::{Bridge, BridgePort, PortKind, PortMap};
use dp_ofproto::gateway::{
    Activation, Announcements, Backend, Balancer, GatewayPorts, Guard, Owner, Owners, Sign,
    WatchedRoutes,
};
use dp_ofproto::learn::{MacTableConfig, Neighbours};
use dp_ofproto::matching::Match;
use dp_ofproto::revalidate::{Revalidator, RevalidatorConfig};
use dp_ofproto::table::{FlowMod, TablesConfig};
use dp_ofproto::text::{self, parse_actions, parse_file};
use dp_ofproto::translate::hooks::Location;
use dp_ofproto::tunnel::{Device, TunnelPort, TunnelPorts, Tunnels, ask, read};
use dp_ofproto::upcall::{Ofproto, PacketIn, PacketInSink};

use self::flows::{DNS, Known, TUNNEL, UPLINKS, WATCHES};
use self::plan::Plan;
use self::watch::Watcher;
use crate::sink::Sink;

/// Datapath numbers of the underlay's ports and of the tunnel.
const UNDERLAY_LOCAL: PortNo = PortNo(300);
const UNDERLAY: PortNo = PortNo(301);
const TUNNELS: PortNo = PortNo(400);
/// How often links, next hops and megaflows are looked after.
const TICK: Duration = Duration::from_millis(50);
/// How long a client of a service stays with its backend.
const AFFINITY: Duration = Duration::from_secs(60);
/// How often a next hop that has not answered is asked for.
const ASK: Duration = Duration::from_secs(1);

/// Packets from packet threads to the node.
struct Queue(Sender<(PacketIn, Instant)>);

impl PacketInSink for Queue {
    fn packet_in(&self, packet_in: PacketIn, now: Instant) {
        // A node that has ended wants no more packets.
        let _ = self.0.send((packet_in, now));
    }
}

/// The node.
pub(crate) struct Node {
    plan: Plan,
    bridge: Arc<Bridge>,
    underlay: Arc<Bridge>,
    ofproto: Arc<Ofproto>,
    netdev: Arc<Netdev>,
    tunnels: Arc<Tunnels>,
    neighbours: Arc<Neighbours>,
    revalidator: Revalidator,
    owners: Owners,
    gateways: GatewayPorts,
    balancers: Vec<Balancer>,
    activation: Activation,
    guard: Guard,
    announcements: Announcements,
    routes: WatchedRoutes,
    watchers: Vec<Watcher>,
    skip: Arc<SkipPolicy>,
    /// Questions that a guard or a service without backends has turned away.
    refused: u64,
    /// The tables are to be made anew.
    changed: bool,
    asked: Option<Instant>,
    links: BTreeMap<String, bool>,
}

/// Runs the node that a file describes until it is told to stop.
pub(crate) fn run(file: &Path, stop: &AtomicBool) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let plan: Plan = text.parse().with_context(|| file.display().to_string())?;
    let (sender, packets) = channel();
    let mut node = Node::new(plan, sender)?;
    node.open()?;
    let _running = node.netdev.start(&[], Idle::Sleep)?;
    node.refresh()?;
    node.say("ready");
    node.serve(&packets, stop)?;
    node.report();
    Ok(())
}

fn bridge(name: &str) -> Arc<Bridge> {
    Arc::new(Bridge::new(name, TablesConfig::default(), MacTableConfig::default()))
}

impl Node {
    fn new(plan: Plan, sender: Sender<(PacketIn, Instant)>) -> Result<Self> {
        let (bridge, underlay) = (bridge("int"), bridge("phy"));
        let ofproto = Arc::new(Ofproto::new([Arc::clone(&bridge), Arc::clone(&underlay)]));
        ofproto.set_packet_in_sink(Some(Box::new(Queue(sender))));
        let neighbours = Arc::new(Neighbours::default());
        let tunnels = Arc::new(Tunnels::new(Arc::clone(&neighbours)));
        let netdev = Netdev::new(Arc::clone(&ofproto) as _, Config::default())?;
        let revalidator = Revalidator::new(Arc::clone(&ofproto), RevalidatorConfig::default());
        let mut node = Self {
            plan,
            bridge,
            underlay,
            ofproto,
            netdev,
            tunnels,
            neighbours,
            revalidator,
            owners: Owners::default(),
            gateways: GatewayPorts::default(),
            balancers: Vec::new(),
            activation: Activation::default(),
            guard: Guard::default(),
            announcements: Announcements::default(),
            routes: WatchedRoutes::default(),
            watchers: Vec::new(),
            skip: Arc::default(),
            refused: 0,
            changed: false,
            asked: None,
            links: BTreeMap::new(),
        };
        node.decide()?;
        node.plug_in();
        Ok(node)
    }

    fn say(&self, text: &str) {
        println!("node: {text}");
    }

    /// What it has done, in the end.
    fn report(&self) {
        for rule in self.skip.rules().iter() {
            self.say(&format!("{}: {} packets not tracked", rule.name, rule.packets.get()));
        }
        let (held, released) = self.tunnels.waiting().passed();
        self.say(&format!("{held} packets waited for neighbours, {released} of them went on"));
        self.say(&format!("{} questions and connections refused", self.refused));
        for (reason, packets) in self.netdev.totals().drops {
            if packets > 0 {
                self.say(&format!("{packets} packets dropped: {}", reason.name()));
            }
        }
    }

    fn now(&self) -> Instant {
        self.netdev.clock().now()
    }

    /// Fills what decides: owners, gateway ports, backends, routes, blocked ports.
    fn decide(&mut self) -> Result<()> {
        self.watchers = watch::sessions(&self.plan.watches, self.now());
        for pod in &self.plan.pods {
            let port = OfPort(pod.port);
            self.owners.set(pod.address, Owner { mac: pod.mac, port });
            if pod.waits {
                let signs = [Sign::Rarp, Sign::UnsolicitedAdvertisement];
                self.activation.bind_until(port, pod.mac, signs);
            }
        }
        for (address, _, mac) in &self.plan.dns {
            self.owners.set(*address, Owner { mac: *mac, port: OfPort(DNS) });
        }
        for (router, _) in &self.plan.routers {
            self.guard.add_router(*router);
        }
        for uplink in &self.plan.uplinks {
            let port = OfPort(UPLINKS + uplink.port);
            self.gateways.add(uplink.network, port);
            self.guard.add_localnet(port);
            self.guard.add_gateway(uplink.address);
        }
        for service in &self.plan.services {
            let backend = |&address: &std::net::SocketAddr| {
                let local = self.owners.of(address.ip()).is_some();
                Backend { address, local, healthy: true, weight: 1 }
            };
            let backends = service.backends.iter().map(backend).collect();
            self.balancers.push(Balancer::new(backends, true, Some(AFFINITY)));
        }
        let key = |prefix, policy, origin| RouteKey { prefix, policy, origin, protocol: None };
        let mut wanted = Vec::new();
        for uplink in &self.plan.uplinks {
            let connected = key(uplink.network, Policy::Destination, Origin::Connected);
            wanted.push((connected, uplink.name.clone()));
        }
        for name in &self.plan.defaults {
            for uplink in self.plan.uplinks.iter().filter(|uplink| uplink.name == *name) {
                let all = Prefix::new(uplink.address, 0);
                wanted.push((key(all, Policy::Destination, Origin::Static), name.clone()));
            }
        }
        for (prefix, name) in &self.plan.sources {
            wanted.push((key(*prefix, Policy::Source, Origin::Static), name.clone()));
        }
        for (key, name) in wanted {
            // A route is there as long as its uplink's link is up, and the sessions that watch it.
            let place = self.uplink(&name, key.prefix.address());
            let session = place.and_then(|place| u32::try_from(place).ok());
            self.routes.add(key, NextHop::new(&name, None), session)?;
        }
        Ok(())
    }

    /// The line of an uplink in the family of an address.
    fn uplink(&self, name: &str, like: IpAddr) -> Option<usize> {
        let is = |uplink: &plan::Uplink| {
            uplink.name == name && uplink.address.is_ipv4() == like.is_ipv4()
        };
        self.plan.uplinks.iter().position(is)
    }

    /// Plugs tunnels and the skip policy into translation.
    fn plug_in(&self) {
        let (_, address, len, _) = self.plan.underlay;
        let mut router = Router::default();
        router.addresses_mut().add("phy", address, len);
        let hop = NextHop { source: Some(address), ..NextHop::new("phy", None) };
        let prefix = Prefix::new(address, len);
        let network =
            CachedRoute { prefix, mark: 0, table: Rules::MAIN, hops: vec![hop], local: true };
        // An empty table has room for one route.
        let _ = router.add_cached(network);
        self.tunnels.set_routing(router.snapshot());
        if !self.plan.dns.is_empty() {
            let hosts = self.plan.dns.iter().map(|&(address, ..)| address);
            let servers = PrefixSet::new(hosts.map(|it| (it, Prefix::host(it).len())));
            let conditions = vec![Condition::DestinationIn(Arc::new(servers))];
            let rule = Rule { both_directions: true, ..Rule::new("node-local DNS", conditions) };
            self.skip.set(vec![rule]);
        }
        let (tunnels, skip) = (Arc::clone(&self.tunnels), Arc::clone(&self.skip));
        self.ofproto.change_hooks(|hooks| {
            hooks.tunnels = Some(tunnels);
            hooks.skip = Some(skip);
        });
    }

    /// The interfaces of pods and uplinks with their OpenFlow numbers.
    fn interfaces(&self) -> BTreeMap<u16, &str> {
        let uplinks = self.plan.uplink_ports().into_iter();
        let uplinks = uplinks.map(|(port, name)| (UPLINKS + port, name));
        self.plan.pod_ports().into_iter().chain(uplinks).collect()
    }

    /// Opens the interfaces and gives them to the bridges.
    fn open(&self) -> Result<()> {
        let afpacket = |number: PortNo, name: &str| -> Result<()> {
            let port = PortSpec::new("afpacket", name).open().with_context(|| name.to_owned())?;
            Ok(self.netdev.add_port(number, port)?)
        };
        let mut ports = Vec::new();
        let dns = self.plan.dns.first().map(|(_, name, _)| (DNS, name.as_str()));
        let watches = (WATCHES..).zip(self.plan.watches.iter().map(|watch| watch.name.as_str()));
        for (number, name) in self.interfaces().into_iter().chain(dns).chain(watches) {
            let datapath = PortNo(number.into());
            ports.push(BridgePort::new(OfPort(number), datapath, name));
            afpacket(datapath, name)?;
        }
        let mut tunnel = BridgePort::new(OfPort(TUNNEL), PortNo::NONE, "tun");
        tunnel.kind = PortKind::Tunnel;
        ports.push(tunnel);
        self.bridge.set_ports(PortMap::new(ports)?);
        let (name, address, _, mac) = &self.plan.underlay;
        let mut local = BridgePort::new(OfPort::LOCAL, UNDERLAY_LOCAL, "phy");
        local.kind = PortKind::Internal;
        let wire = BridgePort::new(OfPort(1), UNDERLAY, name);
        self.underlay.set_ports(PortMap::new([local, wire])?);
        self.netdev.add_port(UNDERLAY_LOCAL, Box::new(Sink::new("phy".to_owned())))?;
        afpacket(UNDERLAY, name)?;
        let device = Device {
            location: Location::at(&self.underlay, OfPort::LOCAL),
            mac: *mac,
            addresses: vec![*address],
        };
        self.tunnels.set_devices(BTreeMap::from([("phy".to_owned(), device)]));
        let options = ["remote_ip", "key"].map(|key| (key.to_owned(), "flow".to_owned()));
        let config = read("tun", "geneve", &options.into()).result;
        let config = Arc::new(config.map_err(anyhow::Error::msg)?);
        let flavour = Flavour::Plain;
        let mut ends = Ends::clone(&self.netdev.ends().load());
        ends.set(TUNNELS, Kind::Geneve, flavour);
        self.netdev.ends().publish(Arc::new(ends));
        let location = Location::at(&self.bridge, OfPort(TUNNEL));
        let mut all = TunnelPorts::default();
        all.add(TunnelPort { location, datapath_port: TUNNELS, config })
            .map_err(anyhow::Error::msg)?;
        self.tunnels.set_ports(all);
        Ok(())
    }

    /// Makes the tables anew, as one change.
    fn refresh(&mut self) -> Result<()> {
        let routes: Vec<(Route, usize)> = {
            let table = self.routes.table();
            table.commit();
            let all: Vec<Route> = table.iter().map(|route| Route::clone(route)).collect();
            let by = |route: &Route| {
                let hop = route.hops.first()?;
                self.uplink(&hop.device, route.key.prefix.address())
            };
            all.into_iter().filter_map(|route| by(&route).map(|place| (route, place))).collect()
        };
        let now = self.now();
        let next_hop =
            |uplink: &plan::Uplink| self.neighbours.get(&uplink.name, uplink.next_hop, now);
        let next_hops: Vec<Option<MacAddr>> = self.plan.uplinks.iter().map(next_hop).collect();
        let known = Known {
            plan: &self.plan,
            owners: &self.owners,
            gateways: &self.gateways,
            activation: &self.activation,
            routes: &routes,
            next_hops: &next_hops,
        };
        install(&self.bridge, "int", &known.flows(), now)?;
        let (_, address, _, mac) = &self.plan.underlay;
        let mine = flows::on(address, address.is_ipv4(), "dst");
        let underlay = format!(
            "priority=100,in_port=1,arp,arp_op=1,actions=CONTROLLER:65535\n\
             priority=90,in_port=1,arp,actions=LOCAL\n\
             priority=100,in_port=1,icmp6,icmp_type=135,actions=CONTROLLER:65535\n\
             priority=90,in_port=1,icmp6,icmp_type=136,actions=LOCAL\n\
             priority=80,in_port=1,dl_dst={mac},{mine},actions=LOCAL\n\
             priority=70,in_port=LOCAL,actions=1\n"
        );
        install(&self.underlay, "phy", &underlay, now)?;
        self.changed = false;
        Ok(())
    }

    fn serve(&mut self, packets: &Receiver<(PacketIn, Instant)>, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            match packets.recv_timeout(TICK) {
                Ok((packet, _)) => {
                    let now = self.now();
                    self.take(&packet, now);
                    while let Ok((packet, _)) = packets.try_recv() {
                        self.take(&packet, now);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.look_after()?;
        }
        Ok(())
    }

    /// Links, next hops, neighbours, megaflows.
    fn look_after(&mut self) -> Result<()> {
        let now = self.now();
        let mut news = self.follow_links()?;
        news.extend(self.watch(now)?);
        if self.asked.is_none_or(|asked| now.since(asked) >= ASK) {
            self.asked = Some(now);
            self.ask(now);
            self.neighbours.expire(now);
        }
        for question in self.neighbours.take_questions() {
            let frame = ask::question(self.plan.underlay.3, question.source, question.target);
            if let Some(frame) = frame {
                let underlay = Arc::clone(&self.underlay);
                self.send(&underlay, OfPort::LOCAL, &frame, "1", now);
            }
        }
        for waiting in self.tunnels.take_ready(now) {
            let translation = self.ofproto.go_on(&waiting, now);
            self.execute(&waiting.frame, &waiting.key, translation.actions);
        }
        if self.changed {
            self.refresh()?;
            // At once: a connection that begins under the old tables would stay with them.
            self.revalidator.run(&*self.netdev, now);
        }
        for text in news {
            self.say(&text);
        }
        if self.revalidator.due(now) {
            self.revalidator.run(&*self.netdev, now);
        }
        Ok(())
    }

    /// Routes follow the links of their uplinks, backends those of their pods. An uplink that comes
    /// up announces its addresses. Gives what there is to tell when the tables are made anew.
    fn follow_links(&mut self) -> Result<Vec<String>> {
        let now = self.now();
        let mut news = Vec::new();
        let up = |number: u16| {
            let status = self.netdev.port_status(PortNo(number.into()));
            status.is_some_and(|status| status.admin_up && status.link_up)
        };
        let states: Vec<(u16, String, bool)> = self
            .interfaces()
            .into_iter()
            .map(|(number, name)| (number, name.to_owned(), up(number)))
            .collect();
        for (number, name, up) in states {
            if self.links.insert(name.clone(), up) == Some(up) {
                continue;
            }
            news.push(format!("{name}: link {}", if up { "up" } else { "down" }));
            self.changed = true;
            if number >= UPLINKS {
                self.follow(&name)?;
                let places = (0..).zip(&self.plan.uplinks).filter(|(_, it)| it.name == name);
                for place in places.map(|(place, _)| place).collect::<Vec<usize>>() {
                    if up {
                        self.announce(place, now);
                    }
                }
                continue;
            }
            let addresses = self.plan.pods.iter().filter(|pod| pod.port == number);
            for address in addresses.map(|pod| pod.address) {
                for (service, balancer) in self.plan.services.iter().zip(&mut self.balancers) {
                    for backend in service.backends.iter().filter(|it| it.ip() == address) {
                        balancer.set_healthy(*backend, up);
                    }
                }
            }
        }
        Ok(news)
    }

    /// Makes an uplink's routes follow its link and the sessions that watch it.
    fn follow(&mut self, uplink: &str) -> Result<()> {
        let up = self.links.get(uplink) == Some(&true) && self.is_watched_up(uplink);
        for (session, it) in (0..).zip(&self.plan.uplinks) {
            if it.name == uplink {
                self.routes.session(session, up)?;
            }
        }
        self.changed = true;
        Ok(())
    }

    /// Tells an uplink's network which addresses are at it now.
    fn announce(&mut self, place: usize, now: Instant) {
        let Some(uplink) = self.plan.uplinks.get(place).cloned() else { return };
        let port = OfPort(UPLINKS + uplink.port);
        let services = self.plan.services.iter().map(|service| service.address.ip());
        let own = services.filter(|it| {
            self.gateways.of(*it) == Some(port) && it.is_ipv4() == uplink.address.is_ipv4()
        });
        let mut addresses: Vec<_> = own.chain([uplink.address]).collect();
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses {
            self.announcements.remove(address);
            let none = BTreeMap::new();
            let announced = self.announcements.update(address, uplink.mac, &none, port);
            if let Some(announced) = announced {
                let (bridge, out) = (Arc::clone(&self.bridge), announced.port.to_string());
                self.send(&bridge, OfPort::NONE, &announced.frame, &out, now);
            }
        }
    }

    /// Asks for next hops that are not known.
    fn ask(&self, now: Instant) {
        let uplinks = self
            .plan
            .uplinks
            .iter()
            .map(|it| (UPLINKS + it.port, it.name.as_str(), it.mac, it.address, it.next_hop));
        let watches = (WATCHES..).zip(&self.plan.watches).map(|(number, it)| {
            (number, it.name.as_str(), it.mac, it.address.into(), it.peer.into())
        });
        for (number, name, mac, address, next_hop) in uplinks.chain(watches) {
            let known = self.neighbours.get(name, next_hop, now).is_some();
            let question = ask::question(mac, address, next_hop);
            if let Some(frame) = question.filter(|_| !known) {
                self.send(&self.bridge, OfPort::NONE, &frame, &number.to_string(), now);
            }
        }
    }

    /// Executes actions on a frame, as though it had come in by a port.
    fn send(
        &self,
        bridge: &Arc<Bridge>,
        in_port: OfPort,
        frame: &[u8],
        actions: &str,
        now: Instant,
    ) {
        let actions = match parse_actions(actions, &text::PortMap::default()) {
            Ok(actions) => actions,
            Err(error) => return self.say(&format!("{actions}: {error}")),
        };
        let port = bridge.ports().get(in_port).map_or(PortNo::NONE, |port| port.port);
        let meta = Metadata { in_port: port, ..Metadata::default() };
        let (key, _) = Extractor::default().frame(frame, &meta);
        let translation = self.ofproto.packet_out(bridge, in_port, &key, frame, &actions, now);
        self.execute(frame, &key, translation.actions);
    }

    fn execute(&self, frame: &[u8], key: &FlowKey, actions: dp_core::action::ActionList) {
        let packet = Pool::for_len(frame.len()).and_then(Pool::alloc).and_then(|mut packet| {
            packet.append(frame.len())?.copy_from_slice(frame);
            take_on(key, &mut packet);
            Some(packet)
        });
        // Without a buffer, or with a full queue, the packet is lost as on a wire.
        if let Some(Err(error)) = packet.map(|it| self.netdev.execute(it, key, actions)) {
            self.say(&format!("a packet was not sent: {error}"));
        }
    }
}

/// Replaces a bridge's flows, as one change.
fn install(bridge: &Bridge, name: &str, flows: &str, now: Instant) -> Result<()> {
    let flows = parse_file(name, flows, &text::PortMap::default())?;
    let mut edit = bridge.tables().edit();
    edit.apply(&FlowMod::delete(None, Match::any()), now)?;
    for flow in &flows {
        edit.apply(flow, now).with_context(|| format!("{name}: {flow:?}"))?;
    }
    edit.commit();
    Ok(())
}
