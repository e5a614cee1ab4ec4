use std::sync::Arc;

use dp_core::action::{Action as Dp, ActionList, UserData};
use dp_core::base::{Duration, Instant, OfPort, PortNo};
use dp_core::flow::{FieldId, FlowKey, layout};

use super::{BridgeIpfix, BridgeWish, ExportPort, Exports, Tunnel, ipfix, netflow, sflow};
use crate::action::Action;
use crate::bridge::{Bridge, BridgePort, PortMap};
use crate::learn::MacTableConfig;
use crate::matching::Match;
use crate::table::{FlowMod, TablesConfig};
use crate::translate::hooks::{Hooks, Location};
use crate::translate::{Effect, Silent, Translation, World, translate};

/// Ports 1 and 2 of the bridge, 11 and 12 of the datapath; what comes in by 1 leaves by 2.
fn bridge() -> Arc<Bridge> {
    let bridge = Arc::new(Bridge::new("br0", TablesConfig::default(), MacTableConfig::default()));
    let port = |n: u16| BridgePort::new(OfPort(n), PortNo(u32::from(n) + 10), format!("p{n}"));
    bridge.set_ports(PortMap::new((1..=2).map(port)).unwrap());
    let actions = vec![Action::Output { port: OfPort(2), max_len: 0 }];
    let flow_mod = FlowMod::add(0, 1, Match::default(), actions);
    bridge.tables().apply(&flow_mod, Instant::default()).unwrap();
    bridge
}

fn udp() -> FlowKey {
    let mut key = FlowKey::EMPTY;
    key.store(layout::IN_PORT, 11);
    for (field, value) in
        [(FieldId::EthType, 0x0800), (FieldId::NwProto, 17), (FieldId::Ipv4Src, 0x0a00_0001)]
    {
        key.set(field, value);
    }
    key
}

fn run(bridge: &Arc<Bridge>, exports: Option<&Arc<Exports>>) -> Translation {
    let mut world = World::of([Arc::clone(bridge)]);
    let sampling = exports.map(|it| Arc::clone(it) as Arc<_>);
    world.hooks = Arc::new(Hooks { sampling, ..Hooks::default() });
    let key = udp();
    let location: Location = world.locate(key.in_port()).unwrap();
    translate(&world, &location, &key, &mut Silent)
}

fn ports() -> Vec<ExportPort> {
    let port = |n: u16| ExportPort {
        port: PortNo(u32::from(n) + 10),
        ofport: OfPort(n),
        ifindex: Some(u32::from(n) + 1000),
        name: format!("p{n}"),
        tunnel: None,
    };
    (1..=2).map(port).collect()
}

fn sflow_config(sampling: u32) -> sflow::Config {
    sflow::Config {
        agent: "127.0.0.1".parse().unwrap(),
        sub_agent: 0,
        sampling,
        polling: Duration::ZERO,
        header: 128,
    }
}

fn ipfix_config() -> ipfix::Config {
    ipfix::Config {
        active_timeout: Duration::ZERO,
        max_flows: 0,
        stats_interval: ipfix::INTERVAL,
        template_interval: ipfix::INTERVAL,
        virtual_point: None,
        tunnels: true,
    }
}

fn set(exports: &Exports, wish: BridgeWish) {
    exports.set_bridge("br0", wish, Instant::default(), Duration::ZERO);
}

#[test]
fn what_is_off_adds_no_step_no_effect_and_no_bit() {
    let bridge = bridge();
    let plain = run(&bridge, None);
    let exports = Exports::new();
    let same = |translation: &Translation| {
        assert_eq!(translation.actions, plain.actions);
        assert_eq!(translation.mask, plain.mask);
        assert_eq!(translation.effects.len(), plain.effects.len());
    };
    assert!(exports.is_off());
    same(&run(&bridge, Some(&exports)));
    // Another bridge's wishes are none of this one's business.
    let wish = BridgeWish { sflow: Some(sflow_config(1)), ports: ports(), ..BridgeWish::default() };
    exports.set_bridge("br1", wish.clone(), Instant::default(), Duration::ZERO);
    same(&run(&bridge, Some(&exports)));
    set(&exports, wish);
    assert!(run(&bridge, Some(&exports)).actions.len() > plain.actions.len());
    set(&exports, BridgeWish::default());
    exports.set_bridge("br1", BridgeWish::default(), Instant::default(), Duration::ZERO);
    assert!(exports.is_off());
    same(&run(&bridge, Some(&exports)));
}

#[test]
fn samples_say_where_a_packet_goes() {
    let (bridge, exports) = (bridge(), Exports::new());
    let wish =
        BridgeWish { sflow: Some(sflow_config(64)), ports: ports(), ..BridgeWish::default() };
    set(&exports, wish);
    let actions = run(&bridge, Some(&exports)).actions;
    let [Dp::Sample { probability, actions: inside }, Dp::Output(out)] = &*actions else {
        panic!("{actions:?}")
    };
    assert_eq!((*probability, *out), (u32::MAX / 64, PortNo(12)));
    let [Dp::Userspace(ask)] = &**inside else { panic!("{inside:?}") };
    let following: ActionList = [Dp::Output(PortNo(12))].into();
    assert_eq!(ask.data, UserData::Sflow { vlan_tci: 0, output: 1002, following });
}

#[test]
fn ipfix_samples_at_both_ends_as_it_is_told() {
    let (bridge, exports) = (bridge(), Exports::new());
    for (input, output) in [(true, true), (true, false), (false, true), (false, false)] {
        let ipfix = BridgeIpfix {
            exporter: ipfix_config(),
            sampling: 1,
            domain: 1,
            point: 2,
            input,
            output,
        };
        set(&exports, BridgeWish { ipfix: Some(ipfix), ports: ports(), ..BridgeWish::default() });
        let actions = run(&bridge, Some(&exports)).actions;
        let data: Vec<_> = actions
            .iter()
            .filter_map(|action| match action {
                Dp::Userspace(ask) => Some(ask.data.clone()),
                _ => None,
            })
            .collect();
        let at = |output| UserData::Ipfix { output, dropped: false };
        let expected: Vec<_> = input
            .then(|| at(None))
            .into_iter()
            .chain(output.then(|| at(Some(PortNo(12)))))
            .collect();
        assert_eq!(data, expected);
    }
}

#[test]
fn flows_are_credited_and_end_with_their_megaflow() {
    let (bridge, exports) = (bridge(), Exports::new());
    let netflow = netflow::Config {
        engine_type: 0,
        engine_id: 0,
        add_id_to_interface: false,
        active_timeout: None,
    };
    set(&exports, BridgeWish { netflow: Some(netflow), ports: ports(), ..BridgeWish::default() });
    let translation = run(&bridge, Some(&exports));
    assert_ne!(translation.mask.load(layout::IPV4_SRC), 0, "what is told counts");
    let hooks = Hooks { sampling: Some(Arc::clone(&exports) as Arc<_>), ..Hooks::default() };
    let now = Instant::from_millis(5);
    for effect in &translation.effects {
        effect.apply(&hooks, 3, 300, 0, now);
    }
    let run = || exports.run(now, Duration::ZERO, |_| unreachable!("nothing is polled"));
    assert!(run().is_empty());
    assert!(translation.effects.iter().any(|effect| matches!(effect, Effect::Tell(_))));
    translation.effects.iter().for_each(|effect| effect.end(&hooks));
    let sent = run();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].datagram.len(), 24 + 48);
}

#[test]
fn other_settings_start_an_agent_anew_and_the_same_ones_do_not() {
    let exports = Exports::new();
    let wish = |sampling| BridgeWish {
        sflow: Some(sflow_config(sampling)),
        ports: ports(),
        ..BridgeWish::default()
    };
    let version = || crate::translate::hooks::Sampling::version(&*exports);
    set(&exports, wish(1));
    let first = version();
    set(&exports, wish(1));
    assert_eq!(version(), first);
    set(&exports, wish(2));
    assert!(version() > first);
    assert_eq!(exports.bridges(), ["br0"]);
    assert_eq!(Tunnel::Gre.protocol(), Some(47));
}
