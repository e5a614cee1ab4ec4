//! Ports are found as the reference finds them, and flows get the headers that it gives them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use dp_core::action::{Action as Dp, Set};
use dp_core::base::{DropReason, Instant, MacAddr, OfPort, PortNo};
use dp_core::boundary::{Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::flow::{FieldId as F, FlowKey, FlowMask, layout};
use dp_core::route::{CachedRoute, NextHop, Prefix, Router, Rules};

use super::{Device, TunnelPort, TunnelPorts, Tunnels, read, text};
use crate::action::Action;
use crate::bridge::{Bridge, BridgePort, PortKind, PortMap};
use crate::learn::{MacTableConfig, Neighbours};
use crate::table::{FlowMod, Match, TablesConfig};
use crate::tlv::{Tlv, TlvTable};
use crate::translate::hooks::{Location, TunnelSend, TunnelSent, Tunnels as _};
use crate::upcall::Ofproto;

const NOW: Instant = Instant::from_millis(1_000_000);
const MAC: MacAddr = MacAddr::new(0xaa, 0x55, 0xaa, 0x55, 0, 0);
const PEER: MacAddr = MacAddr::new(0xf8, 0xbc, 0x12, 0x44, 0x34, 0xb6);

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn bridge(name: &str) -> Arc<Bridge> {
    Arc::new(Bridge::new(name, TablesConfig::default(), MacTableConfig::default()))
}

struct World {
    tunnels: Tunnels,
    bridge: Arc<Bridge>,
    ports: TunnelPorts,
    next: u16,
}

impl World {
    /// The bridge `int`, and `br0` underneath, which has 1.1.2.88/24 and 2001:cafe::88/64.
    fn new() -> Self {
        let tunnels = Tunnels::new(Arc::new(Neighbours::default()));
        let mut router = Router::default();
        let addresses = ["1.1.2.88", "2001:cafe::88"].map(ip);
        for (address, len) in addresses.iter().zip([24, 64]) {
            router.addresses_mut().add("br0", *address, len);
            let hop = NextHop { source: Some(*address), ..NextHop::new("br0", None) };
            let prefix = Prefix::new(*address, len);
            let route =
                CachedRoute { prefix, mark: 0, table: Rules::MAIN, hops: vec![hop], local: true };
            router.add_cached(route).expect("there is room");
        }
        tunnels.set_routing(router.snapshot());
        let port = Arc::new(BridgePort::new(OfPort::LOCAL, PortNo(100), "br0"));
        let location = Location { bridge: bridge("br0"), port };
        let device = Device { location, mac: MAC, addresses: addresses.to_vec() };
        tunnels.set_devices(BTreeMap::from([("br0".into(), device)]));
        for address in ["1.1.2.92", "2001:cafe::92"] {
            tunnels.neighbours().set("br0", ip(address), PEER, NOW);
        }
        Self { tunnels, bridge: bridge("int"), ports: TunnelPorts::default(), next: 1 }
    }

    fn add(&mut self, name: &str, kind: &str, options: &str) -> Result<(), String> {
        let options: BTreeMap<String, String> = options
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        let config = Arc::new(read(name, kind, &options).result.expect("it can be"));
        let number = match kind {
            "gre" => 3,
            "erspan" => 5,
            "srv6" => 6,
            _ => u32::from(config.dst_port),
        };
        let port = BridgePort::new(OfPort(self.next), PortNo::NONE, name);
        self.next += 1;
        let location = Location { bridge: Arc::clone(&self.bridge), port: Arc::new(port) };
        let port = TunnelPort { location, datapath_port: PortNo(number), config };
        self.ports.add(port)?;
        self.tunnels.set_ports(self.ports.clone());
        Ok(())
    }

    fn received(&self, port: u32, key: u64, from: &str, to: &str) -> Option<String> {
        let mut flow = FlowKey::EMPTY;
        flow.store(layout::IN_PORT, u128::from(port));
        flow.store(layout::TUN_ID, u128::from(key));
        for (address, v4, v6) in [
            (ip(from), layout::TUN_SRC, layout::TUN_IPV6_SRC),
            (ip(to), layout::TUN_DST, layout::TUN_IPV6_DST),
        ] {
            match address {
                IpAddr::V4(address) => flow.store(v4, u128::from(address.to_bits())),
                IpAddr::V6(address) => flow.store(v6, address.to_bits()),
            }
        }
        let location = self.tunnels.receive(&flow, &mut FlowMask::EMPTY.clone())?;
        Some(location.port.name.clone())
    }

    /// Sends a packet; gives what became of it, what counts, and what was noted.
    fn send(&self, name: &str, flow: &mut FlowKey) -> (TunnelSent, FlowMask, Vec<String>) {
        let ports = self.tunnels.ports();
        let port = ports.get("int", name).expect("it is there");
        let mut wc = FlowMask::EMPTY;
        let mut send = TunnelSend {
            bridge: &self.bridge,
            port: &port.location.port,
            received: &FlowKey::EMPTY,
            flow,
            wc: &mut wc,
            now: NOW,
            notes: Vec::new(),
        };
        let sent = self.tunnels.send(&mut send);
        let notes = send.notes.into_iter().map(|(_, text)| text).collect();
        (sent, wc, notes)
    }

    /// The headers that a packet gets, in hexadecimal.
    fn headers(&self, name: &str, flow: &mut FlowKey) -> String {
        match self.send(name, flow).0 {
            TunnelSent::Native { push, .. } => {
                push.header.iter().map(|byte| format!("{byte:02x}")).collect()
            }
            other => format!("{other:?}"),
        }
    }
}

/// ICMP over IPv4 with tos 0x28 and TTL 61.
fn packet() -> FlowKey {
    let mut key = FlowKey::EMPTY;
    for (field, value) in
        [(F::EthType, 0x0800), (F::NwProto, 1), (F::NwTtl, 61), (F::Ipv4Src, 1), (F::Ipv4Dst, 2)]
    {
        key.set(field, value);
    }
    key.store(layout::NW_TOS, 0x28);
    key
}

#[test]
fn fixed_settings_go_before_open_ones() {
    let mut world = World::new();
    for (name, options) in [
        ("all", "remote_ip=flow key=flow"),
        ("key", "remote_ip=flow key=7"),
        ("remote", "remote_ip=1.1.1.1 key=flow"),
        ("both", "remote_ip=1.1.1.1 key=7"),
        ("local", "remote_ip=1.1.1.1 local_ip=2.2.2.2 key=7"),
        ("anylocal", "remote_ip=flow local_ip=flow key=8"),
        ("nokey", "remote_ip=1.1.1.3"),
    ] {
        assert_eq!(world.add(name, "vxlan", options), Ok(()), "{name}");
    }
    let found = |key, from, to| world.received(4789, key, from, to).unwrap_or_default();
    assert_eq!(found(7, "1.1.1.1", "2.2.2.2"), "local");
    assert_eq!(found(7, "1.1.1.1", "2.2.2.3"), "both");
    assert_eq!(found(7, "1.1.1.2", "2.2.2.2"), "key");
    assert_eq!(found(9, "1.1.1.1", "2.2.2.2"), "remote");
    assert_eq!(found(9, "1.1.1.2", "2.2.2.2"), "all");
    assert_eq!(found(8, "1.1.1.2", "2.2.2.2"), "anylocal");
    assert_eq!(found(0, "1.1.1.3", "2.2.2.2"), "nokey");
    assert_eq!(world.received(4790, 7, "1.1.1.1", "2.2.2.2"), None);
    let same = world.add("twin", "vxlan", "remote_ip=1.1.1.1 key=7 ttl=5");
    assert_eq!(same, Err("both".into()));
    // The same port may change.
    assert_eq!(world.add("both", "vxlan", "remote_ip=1.1.1.1 key=10"), Ok(()));
    assert_eq!(world.received(4789, 7, "1.1.1.1", "2.2.2.3").as_deref(), Some("key"));
}

/// The packet without its Ethernet header, as ports that carry IP alone get it.
fn bare() -> FlowKey {
    let mut flow = packet();
    flow.store(layout::PACKET_TYPE, 0x1_0800);
    flow
}

#[test]
fn flows_get_the_headers_that_the_reference_gives_them() {
    let mut world = World::new();
    let eth = "f8bc124434b6aa55aa5500000800";
    let eth6 = "f8bc124434b6aa55aa55000086dd";
    let ip4 = |protocol: &str, tos: &str, ttl: &str| {
        format!("45{tos}000000004000{ttl}{protocol}0000010102580101025c")
    };
    let ip6 = |first: &str, next: &str, ttl: &str| {
        format!(
            "{first}0000{next}{ttl}2001cafe0000000000000000000000882001cafe000000000000000000000092"
        )
    };
    let plain = ip4("11", "00", "40");
    let gre = ip4("2f", "00", "40");
    for (name, kind, options, expected) in [
        (
            "vx",
            "vxlan",
            "remote_ip=1.1.2.92 key=123",
            format!("{eth}{plain}000012b5000000000800000000007b00"),
        ),
        (
            "gbp",
            "vxlan",
            "remote_ip=1.1.2.92 key=123 exts=gbp dst_port=4790",
            format!("{eth}{plain}000012b6000000000800000000007b00"),
        ),
        (
            "gpe",
            "vxlan",
            "remote_ip=1.1.2.92 key=123 exts=gpe packet_type=ptap dst_port=4791",
            format!("{eth}{plain}000012b7000000000c00000300007b00"),
        ),
        (
            "vx6",
            "vxlan",
            "remote_ip=2001:cafe::92 key=flow dst_port=4792",
            format!("{eth6}{}000012b80000ffff0800000000000000", ip6("60000000", "11", "40")),
        ),
        (
            "gn",
            "geneve",
            "remote_ip=1.1.2.92 key=0x7b csum=true",
            format!("{eth}{plain}000017c10000ffff0000655800007b00"),
        ),
        (
            "gn6",
            "geneve",
            "remote_ip=2001:cafe::92 key=flow tos=inherit ttl=inherit dst_port=6082",
            format!("{eth6}{}000017c20000ffff0000655800000000", ip6("62800000", "11", "3d")),
        ),
        ("gre", "gre", "remote_ip=1.1.2.92", format!("{eth}{gre}00006558")),
        (
            "grek",
            "gre",
            "remote_ip=1.1.2.92 key=5 csum=true seq=true",
            format!("{eth}{gre}b0006558000000000000000500000000"),
        ),
        (
            "e1",
            "erspan",
            "remote_ip=1.1.2.92 key=1 erspan_ver=1 erspan_idx=3",
            format!("{eth}{gre}100088be000000001000000100000003"),
        ),
        (
            "e2",
            "erspan",
            "remote_ip=1.1.2.92 key=2 erspan_ver=2 erspan_dir=1 erspan_hwid=4",
            format!("{eth}{gre}100022eb00000000200000020000000000000048"),
        ),
        (
            "gt",
            "gtpu",
            "remote_ip=1.1.2.92 key=0x55",
            format!("{eth}{plain}000008680000000030ff000000000055"),
        ),
        (
            "s6",
            "srv6",
            "remote_ip=2001:cafe::92",
            format!(
                "{eth6}{}04020400000000002001cafe000000000000000000000092",
                ip6("60000000", "2b", "40")
            ),
        ),
    ] {
        world.add(name, kind, options).expect("there is none like it");
        let mut flow = if kind == "srv6" { bare() } else { packet() };
        assert_eq!(world.headers(name, &mut flow), expected, "{name}");
    }
}

#[test]
fn what_is_inherited_counts_and_what_is_not_does_not() {
    let mut world = World::new();
    world.add("fixed", "vxlan", "remote_ip=1.1.2.92").expect("the first");
    let inherit = "remote_ip=1.1.2.92 key=5 tos=inherit ttl=inherit";
    world.add("inherit", "vxlan", inherit).expect("another");
    let counted = |name| {
        let wc = world.send(name, &mut packet()).1;
        (wc.load(layout::NW_TOS), wc.load(layout::NW_TTL), wc.load(layout::PKT_MARK))
    };
    assert_eq!(counted("fixed"), (3, 0, 0));
    assert_eq!(counted("inherit"), (0xff, 0xff, 0));
    let mut arp = FlowKey::EMPTY;
    arp.set(F::EthType, 0x0806);
    assert_eq!(world.send("inherit", &mut arp).1, FlowMask::EMPTY);
}

#[test]
fn congestion_met_outside_is_told_apart_from_congestion_met_inside() {
    let mut world = World::new();
    world.add("vx", "vxlan", "remote_ip=1.1.2.92 tos=0x20").expect("the first");
    for (inner, outer) in [(0, 0x20), (1, 0x21), (2, 0x22), (3, 0x22)] {
        let mut flow = packet();
        flow.store(layout::NW_TOS, inner);
        world.send("vx", &mut flow);
        assert_eq!(flow.load(layout::TUN_TOS), outer);
    }
}

#[test]
fn a_flow_may_say_key_ends_and_options() {
    let mut world = World::new();
    world.add("fl", "geneve", "remote_ip=flow key=flow").expect("the first");
    let mut flow = packet();
    assert!(matches!(
        world.send("fl", &mut flow.clone()).0,
        TunnelSent::Refused(why, _) if why == "Not tunneling to our own address"
    ));
    flow.store(layout::TUN_DST, 0x0101_025c);
    flow.store(layout::TUN_ID, 7);
    let mut table = TlvTable::default();
    table.add(0, Tlv { class: 0x102, kind: 0x80, len: 4 }).expect("there is room");
    world.bridge.set_tlv_table(table);
    flow.set(F::TunMetadata0, 0xdead_beef);
    flow.store(layout::TUN_METADATA_PRESENT, 1);
    let headers = world.headers("fl", &mut flow);
    assert!(headers.ends_with("000017c100000000024065580000070001028001deadbeef"), "{headers}");
}

#[test]
fn notes_are_those_of_the_references_traces() {
    let mut world = World::new();
    for (name, options) in [
        ("vx", "remote_ip=1.1.2.92"),
        ("far", "remote_ip=9.9.9.9"),
        ("new", "remote_ip=1.1.2.93"),
        ("new6", "remote_ip=2001:cafe::99"),
        ("mark", "remote_ip=1.1.2.92 key=4 egress_pkt_mark=77"),
        ("own", "remote_ip=1.1.2.92 key=5 local_ip=1.1.2.77"),
        ("alien", "remote_ip=1.1.2.92 key=5 local_ip=7.1.2.77"),
    ] {
        world.add(name, "vxlan", options).expect("there is none like it");
    }
    let notes = |name| world.send(name, &mut packet()).2;
    assert_eq!(
        notes("vx"),
        [
            "output to native tunnel",
            "tunneling to 1.1.2.92 via br0",
            "tunneling from aa:55:aa:55:00:00 1.1.2.88 to f8:bc:12:44:34:b6 1.1.2.92",
        ]
    );
    let failed = |name| match world.send(name, &mut packet()).0 {
        TunnelSent::Dropped(why, reason) => {
            assert_eq!(reason, DropReason::TunnelRoutingFailed);
            why
        }
        other => format!("{other:?}"),
    };
    for name in ["far", "mark", "alien"] {
        assert_eq!(failed(name), "native tunnel routing failed", "{name}");
    }
    assert_eq!(
        notes("new").last().map(String::as_str),
        Some("neighbor cache miss for 1.1.2.93 on bridge br0, sending ARP request")
    );
    assert_eq!(
        notes("new6").last().map(String::as_str),
        Some("neighbor cache miss for 2001:cafe::99 on bridge br0, sending ND request")
    );
    // Saying so is not asking.
    assert!(world.tunnels.neighbours().take_questions().is_empty());
    assert!(notes("own").last().is_some_and(|note| note.contains("1.1.2.77 to")));
}

#[test]
fn a_remote_end_that_moves_takes_the_flow_with_it() {
    let mut world = World::new();
    world.add("vx", "vxlan", "remote_ip=1.1.2.92").expect("the first");
    let version = world.tunnels.version();
    let moved = MacAddr::new(2, 0, 0, 0, 0, 9);
    world.tunnels.neighbours().set("br0", ip("1.1.2.92"), moved, NOW);
    assert!(world.tunnels.version() > version);
    assert!(world.headers("vx", &mut packet()).starts_with("020000000009"));
}

#[test]
fn packets_for_a_tunnel_that_ends_here_are_recognised() {
    let mut world = World::new();
    let mut outer = FlowKey::EMPTY;
    for (field, value) in
        [(F::EthType, 0x0800), (F::NwProto, 17), (F::Ipv4Dst, 0x0101_0258), (F::UdpDst, 4789)]
    {
        outer.set(field, value);
    }
    outer.store(layout::ETH_DST, u128::from(MAC.to_u64()));
    let ends = |world: &World, flow: &FlowKey| {
        let mut wc = FlowMask::EMPTY;
        let port = world.tunnels.terminates(flow, &mut wc);
        (port.map(|port| port.0), wc)
    };
    assert_eq!(ends(&world, &outer), (None, FlowMask::EMPTY), "there are no tunnels");
    world.add("vx", "vxlan", "remote_ip=flow key=flow").expect("the first");
    world.add("gre", "gre", "remote_ip=flow key=flow").expect("another");
    let (port, wc) = ends(&world, &outer);
    assert_eq!(port, Some(4789));
    let full = |place: layout::Place| wc.load(place) == u128::MAX >> (128 - 8 * place.len);
    assert!(full(layout::IPV4_DST) && full(layout::TP_DST) && full(layout::ETH_DST));
    assert_eq!(wc.load(layout::IPV4_SRC), 0);
    for (place, value) in [
        (layout::TP_DST, 4790),
        (layout::IPV4_DST, 0x0101_0259),
        (layout::ETH_DST, 7),
        (layout::NW_FRAG, 1),
        (layout::NW_PROTO, 6),
    ] {
        let mut other = outer.clone();
        other.store(place, value);
        assert_eq!(ends(&world, &other).0, None, "{place:?}");
    }
    outer.store(layout::NW_PROTO, 47);
    assert_eq!(ends(&world, &outer).0, Some(3));
}

#[test]
fn neighbours_are_learned_from_arp_and_neighbour_discovery() {
    let mut world = World::new();
    world.add("vx", "vxlan", "remote_ip=flow key=flow").expect("the first");
    let mut arp = FlowKey::EMPTY;
    for (field, value) in [
        (F::EthType, 0x0806),
        (F::ArpOp, 1),
        (F::ArpSpa, 0x0101_0207),
        (F::ArpTpa, 0x0101_0258),
        (F::ArpSha, 0x0200_0000_0007),
    ] {
        arp.set(field, value);
    }
    let known = |world: &World, address| world.tunnels.neighbours().get("br0", ip(address), NOW);
    let underlay = bridge("br0");
    let snoop = |flow: &FlowKey| {
        let seen = world.tunnels.snoop(&underlay, flow, &mut FlowMask::EMPTY.clone());
        seen.inspect(|seen| world.tunnels.learn(seen, NOW));
    };
    snoop(&arp);
    assert_eq!(known(&world, "1.1.2.7"), None, "a question tells nothing");
    arp.set(F::ArpOp, 2);
    snoop(&arp);
    assert_eq!(known(&world, "1.1.2.7"), Some(MacAddr::new(2, 0, 0, 0, 0, 7)));
    // An announcement.
    arp.set(F::ArpOp, 1);
    arp.set(F::ArpSpa, 0x0101_0258);
    snoop(&arp);
    assert!(known(&world, "1.1.2.88").is_some());
    let mut nd = FlowKey::EMPTY;
    for (field, value) in [
        (F::EthType, 0x86dd),
        (F::NwProto, 58),
        (F::Icmpv6Type, 136),
        (F::NdTarget, 0x2001_cafe_0000_0000_0000_0000_0000_0007),
        (F::NdTll, 0x0200_0000_0008),
    ] {
        nd.set(field, value);
    }
    snoop(&nd);
    assert_eq!(known(&world, "2001:cafe::7"), Some(MacAddr::new(2, 0, 0, 0, 0, 8)));
}

#[test]
fn without_push_and_pop_the_datapath_is_told_of_the_tunnel() {
    let mut world = World::new();
    world.add("vx", "vxlan", "remote_ip=1.1.2.92 key=7").expect("the first");
    world.tunnels.set_by_metadata(true);
    let (sent, _, notes) = world.send("vx", &mut packet());
    assert_eq!(notes, ["output to kernel tunnel"]);
    let TunnelSent::Actions(actions) = sent else { panic!("{sent:?}") };
    assert_eq!(actions.len(), 2);
    assert_eq!(actions[1], dp_core::action::Action::Output(PortNo(4789)));
}

#[test]
fn listings_are_the_references() {
    let mut world = World::new();
    for (name, kind, options) in [
        ("gre0", "gre", "remote_ip=1.1.2.92 local_ip=1.1.2.88 in_key=1 out_key=2 csum=true"),
        ("e1", "erspan", "remote_ip=1.1.2.92 key=1 erspan_ver=1"),
        ("v2", "vxlan", "remote_ip=1.1.2.92 key=7 dst_port=4790 df_default=false"),
        ("g0", "geneve", "remote_ip=flow key=flow tos=inherit ttl=inherit"),
        ("gt", "gtpu", "remote_ip=1.1.2.92 key=1"),
        ("s6", "srv6", "remote_ip=2001:cafe::92"),
    ] {
        world.add(name, kind, options).expect("there is none like it");
    }
    let expected = "\
port 3: gre0 (gre: 1.1.2.88->1.1.2.92, key=0x1, legacy_l2, dp port=3, out_key=0x2, ttl=64, csum=true)
port 5: e1 (erspan: ::->1.1.2.92, key=0x1, legacy_l2, dp port=5, ttl=64)
port 6: s6 (srv6: ::->2001:cafe::92, key=0, legacy_l3, dp port=6, ttl=64)
port 2152: gt (gtpu: ::->1.1.2.92, key=0x1, legacy_l3, dp port=2152, ttl=64)
port 4790: v2 (vxlan: ::->1.1.2.92, key=0x7, legacy_l2, dp port=4790, ttl=64, df=false)
port 6081: g0 (geneve: ::->flow, key=flow, legacy_l2, dp port=6081, ttl=inherit, tos=inherit)
";
    assert_eq!(text::list_tunnels(&world.tunnels), expected);
    let shown = text::ports_show(&world.tunnels, false);
    assert!(shown.starts_with("gre_sys (3) ref_cnt=1\n"), "{shown}");
    assert_eq!(shown.matches("srv6_sys (6) ref_cnt=1\n").count(), 2);
    let verbose = text::ports_show(&world.tunnels, true);
    assert!(verbose.contains(
        "vxlan_sys_4790 (4790) : eth(dst=aa:55:aa:55:00:00),eth_type(0x0800),\
         ipv4(dst=1.1.2.88,proto=17,frag=no),udp(dst=4790)\n"
    ));
    assert!(verbose.contains(
        "gre_sys (3) : eth(dst=aa:55:aa:55:00:00),eth_type(0x0800),\
         ipv4(dst=1.1.2.88,proto=47,frag=no)\n"
    ));
    assert!(!verbose.contains("erspan"), "GRE takes what both share");
}

#[test]
fn the_range_of_source_ports_is_read_and_shown() {
    let mut ends = dp_core::tunnel::Ends::default();
    let mut range = |arguments: &[&str]| text::egress_port_range(&mut ends, arguments);
    assert_eq!(range(&[]), Ok("Tunnel UDP source port range: 32768-61000\n".into()));
    assert_eq!(range(&["10", "5"]), Ok("OK".into()));
    assert_eq!(range(&[]), Ok("Tunnel UDP source port range: 5-10\n".into()));
    assert_eq!(range(&["foo", "5"]), Err("Invalid min.".into()));
    assert_eq!(range(&["5", "0"]), Err("Invalid max.".into()));
}

#[test]
fn what_cannot_be_sent_is_dropped_under_its_reason() {
    let mut world = World::new();
    for (name, kind, options) in [
        ("far", "vxlan", "remote_ip=9.9.9.9"),
        ("new", "vxlan", "remote_ip=1.1.2.93"),
        ("s6", "srv6", "remote_ip=2001:cafe::92"),
    ] {
        world.add(name, kind, options).expect("there is none like it");
    }
    let reason = |name, flow: &mut FlowKey| match world.send(name, flow).0 {
        TunnelSent::Dropped(_, reason) => Some(reason),
        _ => None,
    };
    let mut arp = FlowKey::EMPTY;
    arp.set(F::EthType, 0x0806);
    assert_eq!(reason("far", &mut packet()), Some(DropReason::TunnelRoutingFailed));
    let TunnelSent::Waits(wanted) = world.send("new", &mut packet()).0 else {
        panic!("nobody knows the neighbour");
    };
    assert_eq!((&*wanted.bridge, wanted.target), ("br0", ip("1.1.2.93")));
    assert_eq!(reason("s6", &mut arp), Some(DropReason::TunnelHeaderBuildFailed));
    assert_eq!(reason("s6", &mut bare()), None);
    // Nothing says there that an Ethernet frame is inside.
    assert_eq!(reason("s6", &mut packet()), Some(DropReason::TunnelHeaderBuildFailed));
}

#[test]
fn a_sender_whose_mac_changes_is_followed_and_a_trace_learns_nothing() {
    let mut world = World::new();
    world.add("vx", "vxlan", "remote_ip=flow key=flow").expect("the first");
    let underlay = bridge("br0");
    let mut outer = FlowKey::EMPTY;
    for (field, value) in [
        (F::EthType, 0x0800),
        (F::NwProto, 17),
        (F::Ipv4Src, 0x0101_025c),
        (F::EthSrc, 0x0200_0000_0009),
    ] {
        outer.set(field, value);
    }
    let snoop = |flow: &FlowKey, learn| {
        let seen = world.tunnels.snoop(&underlay, flow, &mut FlowMask::EMPTY.clone());
        seen.filter(|_| learn).inspect(|seen| world.tunnels.learn(seen, NOW));
        world.tunnels.neighbours().get("br0", ip("1.1.2.92"), NOW)
    };
    assert_eq!(snoop(&outer, false), Some(PEER));
    assert_eq!(snoop(&outer, true), Some(MacAddr::new(2, 0, 0, 0, 0, 9)));
    outer.set(F::Ipv4Src, 0x0101_0299);
    snoop(&outer, true);
    assert_eq!(world.tunnels.neighbours().get("br0", ip("1.1.2.153"), NOW), None);
}

/// A switch with tunnels: what comes out of them is sent back into them.
fn switch(world: &World) -> Ofproto {
    let ports = world.tunnels.ports();
    let made = ports.list().into_iter().map(|port| {
        let mut made = BridgePort::clone(&port.location.port);
        made.kind = PortKind::Tunnel;
        made.packet_types = port.config.packet_types;
        made
    });
    let device = BridgePort::new(OfPort(100), PortNo(9), "v1");
    world.bridge.set_ports(PortMap::new(made.chain([device])).expect("they differ"));
    let to_device = Action::Output { port: OfPort(100), max_len: 0 };
    let flow = FlowMod::add(0, 1, Match::default(), vec![to_device]);
    world.bridge.tables().apply(&flow, NOW).expect("there is room");
    let mut again = TunnelPorts::default();
    for port in ports.list() {
        let made = world.bridge.ports().by_name(&port.location.port.name).cloned();
        let location =
            Location { bridge: Arc::clone(&world.bridge), port: made.expect("it is there") };
        again.add(TunnelPort { location, ..port.clone() }).expect("they differ");
    }
    world.tunnels.set_ports(again);
    let ofproto = Ofproto::new([Arc::clone(&world.bridge)]);
    let tunnels = Tunnels::new(Arc::clone(world.tunnels.neighbours()));
    tunnels.set_ports(TunnelPorts::clone(&world.tunnels.ports()));
    ofproto.change_hooks(|hooks| hooks.tunnels = Some(Arc::new(tunnels)));
    ofproto
}

fn upcall(ofproto: &Ofproto, key: &FlowKey) -> Result<Verdict, UpcallError> {
    ofproto.upcall(&Upcall { key, frame: &[] }, NOW)
}

/// A packet out of the tunnel with key 7 from 1.1.2.92.
fn received(port: u32, tos: u8) -> FlowKey {
    let mut key = packet();
    key.store(layout::IN_PORT, u128::from(port));
    key.store(layout::TUN_ID, 7);
    key.store(layout::TUN_SRC, 0x0101_025c);
    key.store(layout::TUN_DST, 0x0101_0258);
    key.store(layout::TUN_TOS, u128::from(tos));
    key
}

#[test]
fn what_comes_out_of_a_tunnel_enters_its_port() {
    let mut world = World::new();
    world.add("vx", "vxlan", "remote_ip=1.1.2.92 key=7").expect("the first");
    world.add("gre3", "gre", "remote_ip=1.1.2.92 key=7 packet_type=legacy_l3").expect("another");
    let ofproto = switch(&world);
    let verdict = upcall(&ofproto, &received(4789, 0)).expect("it has an answer");
    assert_eq!(verdict.actions[..], [Dp::Output(PortNo(9))]);
    assert_eq!(verdict.mask.load(layout::TUN_ID), u128::from(u64::MAX));
    assert_eq!(verdict.mask.load(layout::TUN_TTL), 0);
    let mut key = received(4789, 0);
    key.store(layout::TUN_ID, 8);
    let refused = upcall(&ofproto, &key).expect_err("no port takes it");
    assert_eq!(refused.drop_reason(), DropReason::InvalidTunnelMetadata);
    // What has no Ethernet header gets one where the bridge is to see one.
    let mut bare = received(3, 0);
    bare.store(layout::PACKET_TYPE, 0x1_0800);
    let verdict = upcall(&ofproto, &bare).expect("it has an answer");
    assert!(matches!(verdict.actions[0], Dp::PushEthernet(_)), "{:?}", verdict.actions);
    assert_eq!(verdict.actions[1..], [Dp::Output(PortNo(9))]);
}

#[test]
fn congestion_met_in_a_tunnel_is_told_to_those_who_understand() {
    let mut world = World::new();
    world.add("vx", "vxlan", "remote_ip=1.1.2.92 key=7").expect("the first");
    let ofproto = switch(&world);
    let verdict = upcall(&ofproto, &received(4789, 0x2b)).expect("it has an answer");
    assert_eq!(verdict.actions[..], [Dp::Drop(DropReason::Congestion)]);
    let mut able = received(4789, 0x2b);
    able.store(layout::NW_TOS, 0x29);
    let verdict = upcall(&ofproto, &able).expect("it has an answer");
    let Dp::Set(Set::Ipv4(set)) = &verdict.actions[0] else { panic!("{:?}", verdict.actions) };
    assert_eq!(set.value.tos & set.mask.tos & 3, 3);
    // Congestion that is not told outside says nothing.
    let verdict = upcall(&ofproto, &received(4789, 0x2a)).expect("it has an answer");
    assert_eq!(verdict.actions[..], [Dp::Output(PortNo(9))]);
}

/// RFC 6040, figure 4: inner fields down, outer ones across.
#[test]
fn every_combination_of_congestion_inside_and_outside_comes_out_as_it_should() {
    const DROP: u8 = 9;
    let mut world = World::new();
    world.add("vx", "vxlan", "remote_ip=1.1.2.92 key=7").expect("the first");
    let ofproto = switch(&world);
    // Columns: not ECT, ECT(1), ECT(0), CE, by their bits.
    for (inner, expected) in
        [(0, [0, 0, 0, DROP]), (1, [1, 1, 1, 3]), (2, [2, 1, 2, 3]), (3, [3; 4])]
    {
        for (outer, expected) in (0..).zip(expected) {
            let mut key = received(4789, 0x28 | outer);
            key.store(layout::NW_TOS, 0x44 | u128::from(inner));
            let verdict = upcall(&ofproto, &key).expect("it has an answer");
            let told = match &verdict.actions[0] {
                Dp::Drop(DropReason::Congestion) => DROP,
                Dp::Set(Set::Ipv4(set)) => {
                    assert_eq!(set.value.tos & set.mask.tos & 0xfc, 0x44 & set.mask.tos);
                    inner & !set.mask.tos | set.value.tos & set.mask.tos & 3
                }
                Dp::Output(_) => inner,
                other => panic!("{inner} in {outer}: {other:?}"),
            };
            assert_eq!(told, expected, "{inner} in {outer}");
        }
    }
}

#[test]
fn next_hops_of_a_route_share_its_tunnels() {
    let mut world = World::new();
    world.add("fl", "vxlan", "remote_ip=flow key=flow").expect("the first");
    let mut router = Router::default();
    router.addresses_mut().add("br0", ip("1.1.2.88"), 24);
    let hops = ["1.1.2.92", "1.1.2.93"].map(|hop| NextHop::new("br0", Some(ip(hop))));
    let prefix = "9.0.0.0/8".parse().expect("a prefix");
    let hops = hops.to_vec();
    let route = CachedRoute { prefix, mark: 0, table: Rules::MAIN, hops, local: false };
    router.add_cached(route).expect("there is room");
    world.tunnels.set_routing(router.snapshot());
    let other = MacAddr::new(2, 0, 0, 0, 0, 93);
    world.tunnels.neighbours().set("br0", ip("1.1.2.93"), other, NOW);
    let mut by = |remote: u128| {
        let mut flow = packet();
        flow.store(layout::TUN_DST, 0x0900_0000 + remote);
        let (sent, _, notes) = world.send("fl", &mut flow);
        assert!(matches!(sent, TunnelSent::Native { .. }), "{notes:?}");
        notes.iter().any(|note| note.contains("tunneling to 1.1.2.93"))
    };
    let first: Vec<bool> = (0..200).map(&mut by).collect();
    let second = first.iter().filter(|it| **it).count();
    assert!((60..140).contains(&second), "{second} of 200 by the second");
    assert_eq!((0..200).map(&mut by).collect::<Vec<_>>(), first, "each keeps its way");
}

#[test]
fn a_critical_option_that_nobody_knows_stops_its_packet() {
    let mut world = World::new();
    world.add("gn", "geneve", "remote_ip=1.1.2.92 key=7").expect("the first");
    let ofproto = switch(&world);
    let with_option = |kind: u8| {
        let mut key = received(6081, 0);
        for (at, byte) in [1, 2, kind, 1, 0xde, 0xad, 0xbe, 0xef].into_iter().enumerate() {
            key.lane_mut(layout::TUN_OPTIONS_LANE).bytes_mut()[at] = byte;
        }
        key.store(layout::TUN_OPT_LEN, 8);
        key
    };
    let refused = upcall(&ofproto, &with_option(0x80)).expect("it has an answer");
    assert_eq!(refused.actions[..], [Dp::Drop(DropReason::InvalidTunnelMetadata)]);
    assert_eq!(refused.mask.lane(layout::TUN_OPTIONS_LANE).bytes()[..5], [255, 255, 255, 255, 0]);
    let passed = upcall(&ofproto, &with_option(0x01)).expect("it has an answer");
    assert_eq!(passed.actions[..], [Dp::Output(PortNo(9))]);
    let mut table = TlvTable::default();
    table.add(0, Tlv { class: 0x102, kind: 0x80, len: 4 }).expect("there is room");
    world.bridge.set_tlv_table(table);
    let known = upcall(&ofproto, &with_option(0x80)).expect("it has an answer");
    assert_eq!(known.actions[..], [Dp::Output(PortNo(9))]);
}

#[test]
fn tunnels_count_what_they_carry() {
    let mut world = World::new();
    world.add("vx", "vxlan", "remote_ip=1.1.2.92 key=7").expect("the first");
    let ofproto = switch(&world);
    let key = received(4789, 0);
    ofproto.upcall(&Upcall { key: &key, frame: &[0; 106] }, NOW).expect("it has an answer");
    let number = world.bridge.ports().by_name("vx").expect("it is there").ofport;
    let carried = world.bridge.carried(number);
    assert_eq!((carried.rx.packets(), carried.rx.bytes(), carried.tx.packets()), (1, 106, 0));
}

/// The switch with a flow that sends what comes in by `v1` into the tunnel with this name, with
/// registers and tunnel fields that the flow sets.
fn into_tunnel(world: &World, name: &str) -> (Ofproto, Arc<Tunnels>, FlowKey) {
    let ofproto = switch(world);
    let tunnels = Arc::new(Tunnels::new(Arc::clone(world.tunnels.neighbours())));
    tunnels.set_ports(TunnelPorts::clone(&world.tunnels.ports()));
    tunnels.set_routing(dp_core::route::Routing::clone(&world.tunnels.routing()));
    let under = bridge("br0");
    let local = BridgePort::new(OfPort::LOCAL, PortNo(100), "br0");
    under.set_ports(
        PortMap::new([local, BridgePort::new(OfPort(1), PortNo(101), "p0")]).expect("they differ"),
    );
    let flow = FlowMod::add(0, 1, Match::default(), vec![output(OfPort(1))]);
    under.tables().apply(&flow, NOW).expect("there is room");
    let mut devices = BTreeMap::clone(&world.tunnels.devices());
    for device in devices.values_mut() {
        device.location = Location::at(&under, OfPort::LOCAL);
    }
    tunnels.set_devices(devices);
    ofproto.set_bridges([Arc::clone(&world.bridge), under]);
    let hook = Arc::clone(&tunnels);
    ofproto.change_hooks(|hooks| hooks.tunnels = Some(hook));
    let number = world.bridge.ports().by_name(name).expect("it is there").ofport;
    let whole =
        |field: F, value: u128, mask: u128| Action::SetField { field, value, mask, named: false };
    let actions = vec![
        whole(F::TunId, 0x77, u64::MAX.into()),
        whole(F::TunDst, 0x0101_025d, u32::MAX.into()),
        whole(F::Ipv4Dst, 0x0a00_0009, u32::MAX.into()),
        output(number),
    ];
    let flow = FlowMod::add(0, 9, Match::default(), actions);
    world.bridge.tables().apply(&flow, NOW).expect("there is room");
    let mut key = packet();
    key.store(layout::IN_PORT, 9);
    (ofproto, tunnels, key)
}

fn output(port: OfPort) -> Action {
    Action::Output { port, max_len: 0 }
}

#[test]
fn a_packet_whose_neighbour_is_not_known_waits_and_goes_on_as_the_flow_had_made_it() {
    let mut world = World::new();
    world.add("fl", "geneve", "remote_ip=flow key=flow").expect("the first");
    let (ofproto, tunnels, key) = into_tunnel(&world, "fl");
    // A trace, which nobody waits in, says that it would be dropped.
    let world_of = ofproto.world();
    let (location, _) = ofproto.find(&key).expect("the port is there");
    let mut request = crate::translate::Request::new(&world_of, location, &key);
    request.side_effects = false;
    let traced = crate::translate::translate_request(request, &mut crate::translate::Silent);
    assert_eq!(traced.actions[..], [Dp::Drop(DropReason::TunnelNeighbourMiss)]);
    let verdict = upcall(&ofproto, &key).expect("it has an answer");
    // The address is set before the packet is handed over.
    let [Dp::Set(_), Dp::Userspace(ask)] = &verdict.actions[..] else {
        panic!("{:?}", verdict.actions)
    };
    let mut as_set = key.clone();
    as_set.store(layout::IPV4_DST, 0x0a00_0009);
    let handed = Upcall { key: &as_set, frame: &[0xee; 98] };
    assert!(ofproto.userspace(ask, &handed, NOW).is_none());
    assert_eq!(tunnels.waiting().len(), 1);
    let questions = tunnels.neighbours().take_questions();
    assert_eq!(questions.first().map(|question| question.target), Some(ip("1.1.2.93")));
    assert!(tunnels.take_ready(NOW).is_empty());
    tunnels.neighbours().set("br0", ip("1.1.2.93"), PEER, NOW);
    let ready = tunnels.take_ready(NOW);
    assert_eq!(ready.len(), 1);
    let translation = ofproto.go_on(&ready[0], NOW);
    let [Dp::TunnelPush(push), Dp::Output(PortNo(101))] = &translation.actions[..] else {
        panic!("{:?}", translation.actions)
    };
    // To the end that the flow set, with the key that it set.
    assert_eq!(
        (&push.header[30..34], &push.header[46..49]),
        (&[1, 1, 2, 93][..], &[0, 0, 0x77][..])
    );
    // It is counted once as sent and once with its headers.
    let number = world.bridge.ports().by_name("fl").expect("it is there").ofport;
    let sent = world.bridge.carried(number).tx;
    assert_eq!((sent.packets(), sent.bytes()), (2, 98 + 50));
}

#[test]
fn a_tunnel_that_leads_into_itself_ends_at_the_limit_of_depth() {
    let mut world = World::new();
    world.add("vx", "vxlan", "remote_ip=1.1.2.92 key=7").expect("the first");
    let (ofproto, tunnels, key) = into_tunnel(&world, "vx");
    // The bridge underneath is the tunnel's own, whose flows send everything into the tunnel.
    let mut ports: Vec<BridgePort> =
        world.bridge.ports().iter().map(|port| BridgePort::clone(port)).collect();
    ports.push(BridgePort::new(OfPort::LOCAL, PortNo(100), "br0"));
    world.bridge.set_ports(PortMap::new(ports).expect("they differ"));
    let mut devices = BTreeMap::clone(&tunnels.devices());
    for device in devices.values_mut() {
        device.location = Location::at(&world.bridge, OfPort::LOCAL);
    }
    tunnels.set_devices(devices);
    // Its neighbours are on that bridge.
    tunnels.neighbours().set("int", ip("1.1.2.92"), PEER, NOW);
    let verdict = upcall(&ofproto, &key).expect("it has an answer");
    assert_eq!(verdict.actions[..], [Dp::Drop(DropReason::RecursionTooDeep)]);
}
