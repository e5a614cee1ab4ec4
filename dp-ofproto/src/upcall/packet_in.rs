//! Packets that controllers get, as whoever speaks to controllers wants them.

use std::sync::Arc;

use dp_core::action::UserData;
use dp_core::base::{Instant, OfPort, RecircId};
use dp_core::boundary::Upcall;
use dp_core::flow::FlowKey;
use dp_core::flow::layout;

use crate::bridge::Bridge;
use crate::translate::recirc::{Frozen, RecircRef};
use crate::translate::{World, forget_conntrack};

/// A packet for controllers.
#[derive(Clone, Debug)]
pub struct PacketIn {
    /// The bridge it is in.
    pub bridge: Arc<Bridge>,
    /// The frame, whole; controllers get [`Self::max_len`] bytes of it.
    pub frame: Vec<u8>,
    /// Bytes that controllers get.
    pub max_len: u16,
    /// OpenFlow's reason code ([`crate::action::PacketInReason`]).
    pub reason: u8,
    /// The table that sent it.
    pub table: u8,
    /// Cookie of the rule that sent it; all ones: none did.
    pub cookie: u64,
    /// Which controllers.
    pub controller_id: u16,
    /// The port it came in by, as flow tables see it.
    pub in_port: OfPort,
    /// The packet as flow tables saw it, OpenFlow's own fields included.
    pub flow: FlowKey,
    /// Bytes of the action that come along.
    pub userdata: Box<[u8]>,
    /// The translation waits: its state, to be passed on to the controller and back
    /// ([`super::Ofproto::resume`]).
    pub continuation: Option<RecircRef>,
    /// The packet waits in no megaflow: the state of translation when it was sent.
    pub state: RecircRef,
}

/// Who gets packets for controllers. Called on packet threads: it queues or drops, and never waits.
pub trait PacketInSink: Send + Sync {
    /// Takes a packet.
    fn packet_in(&self, packet_in: PacketIn, now: Instant);
}

impl PacketIn {
    /// What an action of the datapath hands over; `None` if it is not for a controller, or if its
    /// state is gone.
    #[must_use]
    pub fn of(world: &World, data: &UserData, upcall: &Upcall<'_>) -> Option<Self> {
        let UserData::Controller {
            reason,
            dont_send: false,
            continuation,
            recirc_id,
            rule_cookie,
            controller_id,
            max_len,
        } = *data
        else {
            return None;
        };
        let state = world.recirc.find(RecircId(recirc_id))?;
        let frozen: &Frozen = state.frozen();
        let mut flow = upcall.key.clone();
        flow.store(layout::IN_PORT, u128::from(frozen.in_port.0));
        frozen.bridge.tlv_table().fill(&mut flow);
        frozen.kept.restore(&mut flow);
        if !frozen.conntracked {
            // The list has done with the connection, though the packet itself still knows it.
            forget_conntrack(&mut flow);
        }
        let userdata = frozen.controller.as_ref().map(|said| said.userdata.clone());
        Some(Self {
            bridge: Arc::clone(&frozen.bridge),
            frame: upcall.frame.to_vec(),
            max_len,
            reason,
            table: frozen.table,
            cookie: rule_cookie,
            controller_id,
            in_port: frozen.in_port,
            flow,
            userdata: userdata.unwrap_or_default(),
            continuation: continuation.then(|| Arc::clone(&state)),
            state,
        })
    }
}

#[cfg(test)]
mod tests {
    use dp_core::action::Action as Dp;
    use dp_core::base::{OfPort, PortNo};
    use dp_core::boundary::Upcall;
    use dp_core::flow::text::{PortNumbers, parse_flow};
    use dp_core::flow::{FieldId as F, FlowKey};
    use std::sync::Arc;

    use super::PacketIn;
    use crate::action::Action;
    use crate::bridge::{Bridge, BridgePort, PortMap};
    use crate::learn::MacTableConfig;
    use crate::table::{FlowMod, Match, TablesConfig};
    use crate::tlv::{Tlv, TlvTable};
    use crate::translate::{Silent, World, translate};

    /// A packet that came out of a tunnel with this value of an option.
    fn tunnelled(value: u8) -> FlowKey {
        let text = format!(
            "tunnel(tun_id=7,src=1.1.1.2,dst=1.1.1.1,ttl=64,geneve({{class=0xffff,type=0x80,len=4,\
             {value:#x}}})),in_port(11),eth(),eth_type(0x0800),ipv4(proto=17)"
        );
        parse_flow(&text, &PortNumbers).expect("a flow").key
    }

    #[test]
    fn a_controller_is_told_of_each_packets_own_options_and_of_what_was_written() {
        let bridge = Bridge::new("br0", TablesConfig::default(), MacTableConfig::default());
        let bridge = Arc::new(bridge);
        let port = BridgePort::new(OfPort(1), PortNo(11), "p1");
        bridge.set_ports(PortMap::new([port]).expect("one port"));
        let mut options = TlvTable::default();
        for (number, kind) in [(0, 0x80), (1, 0x81)] {
            options.add(number, Tlv { class: 0xffff, kind, len: 4 }).expect("room");
        }
        bridge.set_tlv_table(options);
        let tell = Action::Controller(Box::default());
        let list =
            vec![Action::set_field(F::TunId, 9), Action::set_field(F::TunMetadata1, 6), tell];
        let flow_mod = FlowMod::add(0, 1, Match::any(), list);
        bridge.tables().apply(&flow_mod, dp_core::base::Instant::default()).expect("a rule");

        let world = World::of([Arc::clone(&bridge)]);
        let first = tunnelled(1);
        let location = world.locate(first.in_port()).expect("a port");
        let made = translate(&world, &location, &first, &mut Silent);
        let ask = made.actions.iter().find_map(|action| match action {
            Dp::Userspace(ask) => Some(ask.data.clone()),
            _ => None,
        });
        let ask = ask.expect("a packet for a controller");
        for value in [1, 2] {
            let key = tunnelled(value);
            assert!(first.agrees(&key, &made.mask), "one megaflow");
            let upcall = Upcall { key: &key, frame: &[] };
            let told = PacketIn::of(&world, &ask, &upcall).expect("told").flow;
            let options = [F::TunMetadata0, F::TunMetadata1].map(|field| told.get(field));
            assert_eq!((told.get(F::TunId), options), (9, [value.into(), 6]));
        }
    }
}
