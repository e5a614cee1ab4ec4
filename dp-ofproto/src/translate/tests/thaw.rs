//! Packets that come back from the datapath: what translation has written comes back with them, what
//! their tunnel said is each packet's own.

use super::*;
use crate::action::Ct;
use dp_core::base::RecircId;

/// A packet that came out of a tunnel with these options.
fn tunnelled(options: &str) -> FlowKey {
    let text = format!(
        "tunnel(tun_id=7,src=1.1.1.2,dst=1.1.1.1,ttl=64,geneve({options})),in_port(11),eth(),\
         eth_type(0x0800),ipv4(proto=17)"
    );
    parse_flow(&text, &PortNumbers).unwrap().key
}

fn with_map() -> Arc<Bridge> {
    let bridge = bridge();
    let mut table = TlvTable::default();
    table.add(0, Tlv { class: 0xffff, kind: 0x80, len: 4 }).unwrap();
    table.add(1, Tlv { class: 0xffff, kind: 0x81, len: 4 }).unwrap();
    bridge.set_tlv_table(table);
    bridge
}

fn tracked(table: u8) -> Action {
    Action::Ct(Box::new(Ct { table: Some(table), ..Ct::default() }))
}

/// A packet goes through the tables, comes back with the number it got, and so on.
struct Packet<'a> {
    world: &'a World,
    key: FlowKey,
}

impl Packet<'_> {
    /// One pass. The packet agrees with `first` in all that counted there: it is of its megaflow, and
    /// gets its number.
    fn pass(&mut self) -> Translation {
        let (location, _) = self.world.find(&self.key).unwrap();
        let made = translate(self.world, &location, &self.key, &mut Silent);
        if let Some(id) = number(&made) {
            self.come_back(id);
        }
        made
    }

    fn come_back(&mut self, id: RecircId) {
        self.key.store(layout::RECIRC_ID, u128::from(id.0));
    }
}

fn number(made: &Translation) -> Option<RecircId> {
    made.actions.iter().find_map(|action| match action {
        Dp::Recirc(id) => Some(*id),
        _ => None,
    })
}

#[test]
fn options_that_nobody_looked_at_are_each_packets_own_when_it_comes_back() {
    let bridge = with_map();
    let world = World::of([Arc::clone(&bridge)]);
    add(&bridge, 0, 1, Match::build().exact(F::EthType, 0x0800).finish(), vec![tracked(1)]);
    for (value, port) in [(1, 2), (2, 3)] {
        let wanted = Match::build().exact(F::TunMetadata0, value).finish();
        add(&bridge, 1, 1, wanted, vec![output(port)]);
    }
    let options = [1, 2].map(|n| format!("{{class=0xffff,type=0x80,len=4,{n:#x}}}"));
    let keys = [tunnelled(&options[0]), tunnelled(&options[1]), tunnelled("")];
    let mut first = Packet { world: &world, key: keys[0].clone() };
    let made = first.pass();
    assert_eq!(first.pass().actions[..], [out(2)]);
    for (key, expected) in keys.iter().zip([vec![out(2)], vec![out(3)], vec![]]) {
        assert!(keys[0].agrees(key, &made.mask), "one megaflow: {:?}", made.mask);
        let mut packet = Packet { world: &world, key: key.clone() };
        packet.come_back(number(&made).unwrap());
        assert_eq!(packet.pass().actions[..], expected[..]);
    }
}

#[test]
fn what_has_been_written_of_a_tunnels_fields_comes_back_and_the_rest_is_the_packets() {
    let bridge = with_map();
    let world = World::of([Arc::clone(&bridge)]);
    let low = Action::SetField { field: F::TunMetadata0, value: 0x5, mask: 0xff, named: false };
    let write = vec![low, Action::set_field(F::TunId, 9), tracked(1)];
    add(&bridge, 0, 1, Match::build().exact(F::EthType, 0x0800).finish(), write);
    // A second time, so that what came back goes on.
    let again = vec![Action::set_field(F::TunMetadata1, 6), tracked(2)];
    add(&bridge, 1, 1, Match::any(), again);
    for (value, port) in [(0x105, 2), (0x205, 3)] {
        let wanted = Match::build()
            .exact(F::TunId, 9)
            .exact(F::TunMetadata0, value)
            .exact(F::TunMetadata1, 6)
            .finish();
        add(&bridge, 2, 1, wanted, vec![output(port)]);
    }
    let key = |high: u8| {
        tunnelled(&format!(
            "{{class=0xffff,type=0x80,len=4,{high:#x}00}}{{class=0xffff,type=0x81,len=4,0xb}}"
        ))
    };
    let (one, two) = (key(1), key(2));
    let mut numbers = Vec::new();
    let mut first = Packet { world: &world, key: one.clone() };
    for _ in 0..2 {
        let key = first.key.clone();
        let made = first.pass();
        let mut other = two.clone();
        other.store(layout::RECIRC_ID, u128::from(key.recirc_id().0));
        assert!(key.agrees(&other, &made.mask), "one megaflow");
        numbers.push(number(&made).unwrap());
    }
    assert_eq!(first.pass().actions[..], [out(2)]);
    let mut other = Packet { world: &world, key: two };
    other.come_back(numbers[1]);
    assert_eq!(other.pass().actions[..], [out(3)]);
}

#[test]
fn what_a_tunnel_said_is_not_seen_in_another_bridge_when_the_packet_comes_back() {
    use crate::bridge::PortKind;

    let above = with_map();
    let beside = Arc::new(Bridge::new("br1", TablesConfig::default(), MacTableConfig::default()));
    beside.set_tlv_table((*above.tlv_table()).clone());
    let patch = |n: u16, name: &str, peer: &str| {
        let mut port = BridgePort::new(OfPort(n), PortNo::NONE, name);
        port.kind = PortKind::Patch { peer: peer.into() };
        port
    };
    let port = |n: u16| BridgePort::new(OfPort(n), PortNo(u32::from(n) + 10), format!("p{n}"));
    above.set_ports(PortMap::new([port(1), patch(9, "there", "back")]).unwrap());
    beside.set_ports(PortMap::new([port(2), patch(9, "back", "there")]).unwrap());
    let world = World::of([Arc::clone(&above), Arc::clone(&beside)]);
    add(&above, 0, 1, Match::any(), vec![output(9)]);
    add(&beside, 0, 1, Match::build().exact(F::EthType, 0x0800).finish(), vec![tracked(1)]);
    let nothing = Match::build().exact(F::TunId, 0).exact(F::TunDst, 0).finish();
    add(&beside, 1, 1, nothing, vec![output(2)]);
    add(&beside, 1, 2, Match::build().exact(F::TunMetadata0, 5).finish(), vec![]);
    let mut packet = Packet { world: &world, key: tunnelled("{class=0xffff,type=0x80,len=4,0x5}") };
    packet.pass();
    assert_ne!(packet.key.recirc_id(), RecircId(0));
    assert_eq!(packet.pass().actions[..], [out(2)]);
}
