//! Packets that controllers get, as whoever speaks to controllers wants them.

use std::sync::Arc;

use dp_core::action::UserData;
use dp_core::base::{Instant, OfPort, RecircId};
use dp_core::boundary::Upcall;
use dp_core::flow::FlowKey;
use dp_core::flow::layout;

use crate::bridge::Bridge;
use crate::translate::World;
use crate::translate::recirc::{Frozen, RecircRef};

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
        for (lane, value) in &frozen.lanes {
            *flow.lane_mut(*lane) = *value;
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
