//! What translation asks of tunnels: the port of a packet, the way of a packet, whether a packet is
//! for a tunnel that ends here.
//!
//! Everything an answer rests on is a snapshot with a version: ports, routes, the devices
//! underneath, neighbours. Readers take no lock but that of the neighbour table.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use dp_core::action::{Action, Set};
use dp_core::base::{DropReason, Instant, MacAddr, PortNo, hash_words};
use dp_core::flow::{FlowKey, FlowMask, beside, layout};
use dp_core::packet::TunnelMeta;
use dp_core::route::{Routing, SourceNeed};

use super::ports::TunnelPorts;
use super::send::{self, Way};
use super::waiting::WaitingRoom;
use crate::bridge::Bridge;
use crate::learn::Neighbours;
use crate::translate::hooks::{
    self, Location, RouteAsked, RouteFound, SeenNeighbour, TunnelSend, TunnelSent,
};
use crate::translate::recirc::WantedNeighbour;

/// A device underneath tunnels: a bridge's own port.
#[derive(Clone, Debug)]
pub struct Device {
    /// The bridge and its own port.
    pub location: Location,
    /// The device's MAC.
    pub mac: MacAddr,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// Tunnels of a datapath, as translation knows them.
#[derive(Debug, Default)]
pub struct Tunnels {
    ports: ArcSwap<TunnelPorts>,
    routing: ArcSwap<Routing>,
    devices: ArcSwap<BTreeMap<String, Device>>,
    neighbours: Arc<Neighbours>,
    waiting: WaitingRoom,
    version: AtomicU64,
    /// Leaves headers to the datapath: packets get tunnel metadata and go to the tunnel's port.
    by_metadata: AtomicBool,
    /// Some port stands for the routes.
    routes_packets: AtomicBool,
}

impl Tunnels {
    /// No tunnels; `neighbours` is shared by all datapaths.
    #[must_use]
    pub fn new(neighbours: Arc<Neighbours>) -> Self {
        Self { neighbours, ..Self::default() }
    }

    /// The tunnel ports.
    #[must_use]
    pub fn ports(&self) -> Arc<TunnelPorts> {
        self.ports.load_full()
    }

    /// Replaces the tunnel ports.
    pub fn set_ports(&self, ports: TunnelPorts) {
        self.ports.store(Arc::new(ports));
        self.moved_on();
    }

    /// Replaces the routes.
    pub fn set_routing(&self, routing: Routing) {
        self.routing.store(Arc::new(routing));
        self.moved_on();
    }

    /// The routes.
    #[must_use]
    pub fn routing(&self) -> Arc<Routing> {
        self.routing.load_full()
    }

    /// Replaces the devices underneath, by name.
    pub fn set_devices(&self, devices: BTreeMap<String, Device>) {
        self.devices.store(Arc::new(devices));
        self.moved_on();
    }

    /// The devices underneath.
    #[must_use]
    pub fn devices(&self) -> Arc<BTreeMap<String, Device>> {
        self.devices.load_full()
    }

    /// The neighbours.
    #[must_use]
    pub const fn neighbours(&self) -> &Arc<Neighbours> {
        &self.neighbours
    }

    /// The packets that wait for neighbours.
    #[must_use]
    pub const fn waiting(&self) -> &WaitingRoom {
        &self.waiting
    }

    /// The packets whose neighbours are known by now; asks again for those that are not, and drops
    /// what has waited in vain. To be called often.
    #[must_use]
    pub fn take_ready(&self, now: Instant) -> Vec<hooks::Waiting> {
        self.waiting.take_ready(&self.neighbours, now)
    }

    /// Whether headers are left to the datapath (`tnl_push_pop` switched off).
    pub fn set_by_metadata(&self, by_metadata: bool) {
        self.by_metadata.store(by_metadata, Ordering::Relaxed);
        self.moved_on();
    }

    /// Whether there are ports that stand for the routes: neighbours are listened to then.
    pub fn set_is_routing(&self, routing: bool) {
        if self.routes_packets.swap(routing, Ordering::Relaxed) != routing {
            self.moved_on();
        }
    }

    fn is_routing(&self) -> bool {
        self.routes_packets.load(Ordering::Relaxed)
    }

    /// Whether headers are left to the datapath.
    #[must_use]
    pub fn is_by_metadata(&self) -> bool {
        self.by_metadata.load(Ordering::Relaxed)
    }

    fn moved_on(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// The packet with its headers, and the bridge underneath.
    fn send_native(&self, send: &mut TunnelSend<'_>, port: &super::TunnelPort) -> TunnelSent {
        let note = |send: &mut TunnelSend<'_>, text: String| send.notes.push((false, text));
        note(send, "output to native tunnel".into());
        let no_way = || {
            TunnelSent::Dropped(
                "native tunnel routing failed".into(),
                DropReason::TunnelRoutingFailed,
            )
        };
        let Some(remote) = send::end(send.flow, layout::TUN_DST, layout::TUN_IPV6_DST) else {
            return no_way();
        };
        let own = send::end(send.flow, layout::TUN_SRC, layout::TUN_IPV6_SRC);
        let need = own.map_or(SourceNeed::Any, SourceNeed::Own);
        let mark = u32::try_from(send.flow.load(layout::PKT_MARK)).unwrap_or(0);
        let found = self.routing.load().lookup(remote, mark, need, share(remote, own));
        let devices = self.devices.load();
        let Some((found, device)) =
            found.and_then(|found| devices.get(&*found.device).map(|device| (found, device)))
        else {
            return no_way();
        };
        let Some(source) = found.source else {
            return no_way();
        };
        let next = found.gateway.unwrap_or(remote);
        note(send, format!("tunneling to {next} via {}", found.device));
        let name = device.location.bridge.name();
        let Some(eth_dst) = self.neighbours.get(name, next, send.now) else {
            let what = if next.is_ipv4() { "ARP" } else { "ND" };
            note(
                send,
                format!("neighbor cache miss for {next} on bridge {name}, sending {what} request"),
            );
            return TunnelSent::Waits(WantedNeighbour {
                bridge: name.into(),
                target: next,
                source,
            });
        };
        let eth_src = device.mac;
        note(send, format!("tunneling from {eth_src} {source} to {eth_dst} {next}"));
        let way = Way { source, destination: remote, eth_src, eth_dst };
        let options = send.bridge.tlv_table().options(send.flow);
        let number = port.datapath_port;
        let made = send::headers(&port.config, send.flow, &way, number, &options);
        let Some((push, outer)) = made else {
            let why = "native tunnel header build failed".into();
            return TunnelSent::Dropped(why, DropReason::TunnelHeaderBuildFailed);
        };
        TunnelSent::Native {
            push: Box::new(push),
            outer: Box::new(outer),
            underlay: device.location.clone(),
        }
    }
}

/// What a flow says of its tunnel, for a datapath that makes the headers itself: the source port is
/// the datapath's to choose.
fn metadata(flow: &FlowKey, options: &[u8]) -> TunnelMeta {
    let mut tunnel = TunnelMeta { tp_src: 0, ..beside::tunnel_in(flow) };
    tunnel.set_options(options);
    tunnel
}

impl hooks::Tunnels for Tunnels {
    fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed) + self.neighbours.version()
    }

    fn receive(&self, key: &FlowKey, wc: &mut FlowMask) -> Option<Location> {
        for place in [layout::TUN_ID, layout::TUN_SRC, layout::TUN_DST, layout::TUN_TOS] {
            wc.unwildcard_place(place);
        }
        // A tunnel has ends of one family: where these are set, the others are not.
        if key.load(layout::TUN_DST) == 0 {
            wc.unwildcard_place(layout::TUN_IPV6_SRC);
            wc.unwildcard_place(layout::TUN_IPV6_DST);
        }
        // Whether there is a key shows in it; where there is none, nothing more is looked at.
        let own = u16::try_from(key.load(layout::TUN_FLAGS)).unwrap_or(0);
        let flags = send::DONT_FRAGMENT | send::CHECKSUM | own & send::KEY;
        let counted = wc.load(layout::TUN_FLAGS) | u128::from(flags);
        wc.store(layout::TUN_FLAGS, counted);
        let remote = send::end(key, layout::TUN_SRC, layout::TUN_IPV6_SRC)?;
        let local = send::end(key, layout::TUN_DST, layout::TUN_IPV6_DST)?;
        let id = u64::try_from(key.load(layout::TUN_ID)).ok()?;
        let l3 = key.load(layout::PACKET_TYPE) != 0;
        let ports = self.ports.load();
        ports.find(key.in_port(), id, remote, local, l3).map(|port| port.location.clone())
    }

    fn send(&self, send: &mut TunnelSend<'_>) -> TunnelSent {
        let ports = self.ports.load();
        let Some(port) = ports.get(send.bridge.name(), &send.port.name) else {
            let why = "Tunneling decided against output".into();
            return TunnelSent::Refused(why, DropReason::TunnelRoutingFailed);
        };
        send::apply(&port.config, send.flow, send.wc);
        // A packet does not go back into the tunnel to where it has just arrived.
        let end = |flow| send::end(flow, layout::TUN_DST, layout::TUN_IPV6_DST);
        if end(send.flow) == end(send.received) {
            let why = "Not tunneling to our own address".into();
            return TunnelSent::Refused(why, DropReason::TunnelRoutingFailed);
        }
        if !self.by_metadata.load(Ordering::Relaxed) {
            return self.send_native(send, port);
        }
        send.notes.push((false, "output to kernel tunnel".into()));
        let options = send.bridge.tlv_table().options(send.flow);
        let set = Action::Set(Set::Tunnel(Box::new(metadata(send.flow, &options))));
        TunnelSent::Actions(vec![set, Action::Output(port.datapath_port)])
    }

    fn hold(&self, waiting: hooks::Waiting, now: Instant) {
        if let Some(wanted) = &waiting.frozen.neighbour {
            self.neighbours.ask(&wanted.bridge, wanted.target, wanted.source, now);
        }
        self.waiting.hold(waiting, now);
    }

    fn terminates(&self, flow: &FlowKey, wc: &mut FlowMask) -> Option<PortNo> {
        let ports = self.ports.load();
        if ports.is_empty() || self.by_metadata.load(Ordering::Relaxed) {
            return None;
        }
        let destination = match flow.eth_type() {
            0x0800 => IpAddr::V4(u32::try_from(flow.load(layout::IPV4_DST)).unwrap_or(0).into()),
            0x86dd => IpAddr::V6(flow.load(layout::IPV6_DST).into()),
            _ => return None,
        };
        let place = if destination.is_ipv4() { layout::IPV4_DST } else { layout::IPV6_DST };
        for place in [layout::ETH_DST, layout::NW_PROTO, layout::NW_FRAG, place] {
            wc.unwildcard_place(place);
        }
        let mac = MacAddr::from_u64(u64::try_from(flow.load(layout::ETH_DST)).unwrap_or(0));
        let devices = self.devices.load();
        let here = devices
            .values()
            .any(|device| device.mac == mac && device.addresses.contains(&destination));
        if !here || flow.nw_frag() != 0 {
            return None;
        }
        let udp = flow.nw_proto() == 17;
        if udp {
            wc.unwildcard_place(layout::TP_DST);
        }
        let to = u16::try_from(flow.load(layout::TP_DST)).unwrap_or(0);
        ports.listening(destination.is_ipv6(), flow.nw_proto(), to)
    }

    fn route(&self, asked: &RouteAsked) -> RouteFound {
        let destination = asked.destination;
        let need = SourceNeed::Forwarded(asked.source);
        let found = self.routing.load().lookup(
            destination,
            asked.mark,
            need,
            share(destination, Some(asked.source)),
        );
        let devices = self.devices.load();
        if let Some(own) = devices.values().find(|it| it.addresses.contains(&destination)) {
            return RouteFound::Way {
                device: own.location.clone(),
                next: destination,
                eth_src: own.mac,
                eth_dst: own.mac,
                is_own: true,
            };
        }
        let Some((found, device)) =
            found.and_then(|found| devices.get(&*found.device).map(|device| (found, device)))
        else {
            return RouteFound::NoWay;
        };
        let next = found.gateway.unwrap_or(destination);
        let bridge = device.location.bridge.name();
        match self.neighbours.get(bridge, next, asked.now) {
            Some(eth_dst) => RouteFound::Way {
                device: device.location.clone(),
                next,
                eth_src: device.mac,
                eth_dst,
                is_own: false,
            },
            None => {
                // It is asked in the name of an address of the device's own.
                let of_family = |it: &&IpAddr| it.is_ipv4() == next.is_ipv4();
                match device.addresses.iter().find(of_family) {
                    Some(source) => RouteFound::Waits(WantedNeighbour {
                        bridge: bridge.into(),
                        target: next,
                        source: *source,
                    }),
                    None => RouteFound::NoWay,
                }
            }
        }
    }

    fn snoop(&self, bridge: &Bridge, flow: &FlowKey, wc: &mut FlowMask) -> Option<SeenNeighbour> {
        if self.ports.load().is_empty() && !self.is_routing() {
            return None;
        }
        let told = match flow.eth_type() {
            0x0806 => told_by_arp(flow, wc),
            0x86dd => told_by_nd(flow, wc),
            _ => None,
        };
        let bridge: Arc<str> = bridge.name().into();
        if let Some((address, mac)) = told.filter(|(_, mac)| mac.is_unicast() && !mac.is_zero()) {
            return Some(SeenNeighbour { bridge, address, mac, told: true });
        }
        // A tunnel's other end that has moved shows so by what it sends.
        let mac = mac(flow, layout::ETH_SRC);
        source(flow).map(|address| SeenNeighbour { bridge, address, mac, told: false })
    }

    fn learn(&self, seen: &SeenNeighbour, now: Instant) {
        if seen.told {
            self.neighbours.set(&seen.bridge, seen.address, seen.mac, now);
        } else {
            self.neighbours.refresh(&seen.bridge, seen.address, seen.mac, now);
        }
    }
}

fn mac(flow: &FlowKey, place: layout::Place) -> MacAddr {
    MacAddr::from_u64(u64::try_from(flow.load(place)).unwrap_or(0))
}

/// The sender of an IP packet that may be one in a tunnel.
fn source(flow: &FlowKey) -> Option<IpAddr> {
    if !matches!(flow.nw_proto(), 17 | 47) {
        return None;
    }
    match flow.eth_type() {
        0x0800 => Some(IpAddr::V4(u32::try_from(flow.load(layout::IPV4_SRC)).unwrap_or(0).into())),
        0x86dd => Some(IpAddr::V6(flow.load(layout::IPV6_SRC).into())),
        _ => None,
    }
}

/// What ARP replies tell, and requests that announce their own address.
fn told_by_arp(flow: &FlowKey, wc: &mut FlowMask) -> Option<(IpAddr, MacAddr)> {
    for place in [layout::NW_PROTO, layout::IPV4_SRC, layout::ARP_SHA] {
        wc.unwildcard_place(place);
    }
    let address = |place| u32::try_from(flow.load(place)).unwrap_or(0);
    let sender = address(layout::IPV4_SRC);
    if flow.nw_proto() != 2 {
        wc.unwildcard_place(layout::IPV4_DST);
        if sender != address(layout::IPV4_DST) {
            return None;
        }
    }
    (sender != 0).then(|| (IpAddr::V4(sender.into()), mac(flow, layout::ARP_SHA)))
}

/// What neighbour advertisements tell.
fn told_by_nd(flow: &FlowKey, wc: &mut FlowMask) -> Option<(IpAddr, MacAddr)> {
    wc.unwildcard_place(layout::NW_PROTO);
    if flow.nw_proto() != 58 {
        return None;
    }
    wc.unwildcard_place(layout::TP_SRC);
    wc.unwildcard_place(layout::TP_DST);
    if (flow.load(layout::TP_SRC), flow.load(layout::TP_DST)) != (136, 0) {
        return None;
    }
    wc.unwildcard_place(layout::ND_TARGET);
    wc.unwildcard_place(layout::ARP_THA);
    let target = IpAddr::V6(flow.load(layout::ND_TARGET).into());
    (!target.is_multicast()).then(|| (target, mac(flow, layout::ARP_THA)))
}

/// What picks among next hops that share the traffic: the ends alone, so that packets between two ends
/// keep their way and flows need to look at nothing else.
fn share(destination: IpAddr, source: Option<IpAddr>) -> u32 {
    let words = |address: IpAddr| {
        let bits = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        [(bits >> 64) as u64, (bits & u128::from(u64::MAX)) as u64]
    };
    let [a, b] = words(destination);
    let [c, d] = source.map_or([0, 0], words);
    (hash_words(&[a, b, c, d], 0) >> 32) as u32
}
