//! Translation: what the flow tables make of a packet, as datapath actions and a mask.
//!
//! ```text
//!   key ──► flow (OpenFlow's view: ofports, registers)      base (what the packet looks like so far)
//!             │  tables, actions: read and write flow,          │
//!             │  every bit looked at counts in the mask         │
//!             └──────── output: commit(flow − base) ────────────┘──► datapath actions
//! ```
//!
//! Pure: it installs nothing, sends nothing and learns nothing. What should happen beside (rules to
//! credit, addresses to learn) comes back as [`Effect`]s, applied once for the packet at hand and
//! again by revalidation as the megaflow carries more.
//!
//! # The invariant that matters most
//!
//! For every packet that agrees with the key in the bits of the mask, translation gives the same
//! actions. Whoever reads a field of the flow makes its bits count; whoever writes one does so too,
//! because what [`commit`](self) emits depends on what stood there before.
//!
//! | room | what |
//! |---|---|
//! | [`Translation`], [`translate`] | what goes in and comes out |
//! | `walk` | one list of actions, each action to its room |
//! | `resubmit` | look-ups in further tables, and their bounds |
//! | `fields` | set, move, load, stack, TTL |
//! | `vlan` | tags |
//! | `output` | ports, FLOOD, ALL, IN_PORT |
//! | `normal` | L2 switching with learning |
//! | `commit` | differences to datapath set actions |
//! | `action_set` | the OpenFlow action set |
//! | [`Recorder`] | watches, for traces |

mod action_set;
mod commit;
mod effect;
mod fields;
pub mod hooks;
mod normal;
mod output;
mod record;
mod resubmit;
mod vlan;
mod walk;

use std::sync::Arc;

use dp_core::action::{Action as DpAction, ActionList};
use dp_core::base::{DropReason, OfPort, PortNo};
use dp_core::flow::layout;
use dp_core::flow::{FieldId, FlowKey, FlowMask};
use smallvec::SmallVec;

use self::action_set::ActionSet;
use crate::bridge::{Bridge, BridgeConfig, BridgePort, PortMap};
use crate::table::TableSet;

pub use effect::Effect;
pub use record::{Recorder, Silent};

/// Effects of one translation: mostly a rule or two to credit.
pub type Effects = SmallVec<[Effect; 4]>;

/// Why translation gave up; the packet is dropped then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranslateError {
    /// Resubmits nested deeper than the bridge allows.
    #[error("resubmit depth limit reached")]
    TooDeep,
    /// More resubmits in all than the bridge allows.
    #[error("too many resubmits")]
    TooManyResubmits,
}

impl TranslateError {
    /// The reason under which the packet's drop is counted.
    #[must_use]
    pub const fn drop_reason(self) -> DropReason {
        match self {
            Self::TooDeep => DropReason::RecursionTooDeep,
            Self::TooManyResubmits => DropReason::TooManyResubmits,
        }
    }
}

/// What the flow tables make of a packet and of all that are like it.
#[derive(Clone, Debug)]
pub struct Translation {
    /// What the datapath is to do.
    pub actions: ActionList,
    /// The bits of the key that this rests on.
    pub mask: FlowMask,
    /// What should happen beside, for each packet.
    pub effects: Effects,
    /// The flow as the last action left it.
    pub flow: FlowKey,
    /// Why translation gave up, if it did.
    pub error: Option<TranslateError>,
}

/// What a translation rests on: the bridge as it was at one moment.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The bridge.
    pub bridge: &'a Bridge,
    /// Its flow tables.
    pub tables: Arc<TableSet>,
    /// Its ports.
    pub ports: Arc<PortMap>,
    /// Its settings.
    pub config: BridgeConfig,
}

impl<'a> View<'a> {
    /// The bridge as it is now.
    #[must_use]
    pub fn of(bridge: &'a Bridge) -> Self {
        Self {
            bridge,
            tables: bridge.tables().snapshot(),
            ports: bridge.ports(),
            config: bridge.config(),
        }
    }
}

/// Translates a packet with this datapath key that came in by `port`.
#[must_use]
pub fn translate(
    view: &View<'_>,
    port: &BridgePort,
    key: &FlowKey,
    recorder: &mut dyn Recorder,
) -> Translation {
    let mut flow = key.clone();
    flow.store(layout::IN_PORT, u128::from(port.ofport.0));
    flow.set(FieldId::ActsetOutput, u128::from(OfPort::UNSET.0));
    let mut context = Context {
        view,
        base: flow.clone(),
        flow,
        wc: FlowMask::EMPTY,
        actions: Vec::new(),
        effects: Effects::new(),
        table: 0,
        depth: 0,
        resubmits: 0,
        exit: false,
        error: None,
        set: ActionSet::default(),
        stack: Vec::new(),
        recorder,
    };
    context.always_counts();
    if port.no_receive {
        context.note("the port does not receive");
    } else {
        context.enter(0);
        context.run_action_set();
    }
    context.finish()
}

struct Context<'a> {
    view: &'a View<'a>,
    /// The packet as OpenFlow sees it now.
    flow: FlowKey,
    /// The packet as the datapath's actions so far have left it.
    base: FlowKey,
    wc: FlowMask,
    actions: Vec<DpAction>,
    effects: Effects,
    table: u8,
    depth: u32,
    resubmits: u32,
    exit: bool,
    error: Option<TranslateError>,
    set: ActionSet,
    stack: Vec<u128>,
    recorder: &'a mut dyn Recorder,
}

impl Context<'_> {
    /// What every megaflow says: the port, the pass, the shape of the packet.
    fn always_counts(&mut self) {
        self.wc.unwildcard_place(layout::IN_PORT);
        self.wc.unwildcard_place(layout::RECIRC_ID);
        self.wc.unwildcard_place(layout::PACKET_TYPE);
        self.wc.unwildcard_place(layout::ETH_TYPE);
        self.wc.unwildcard_bits(FieldId::VlanTci, u128::from(layout::VLAN_PRESENT));
        if matches!(self.flow.eth_type(), ETH_TYPE_IPV4 | ETH_TYPE_IPV6) {
            self.wc.unwildcard_place(layout::NW_FRAG);
        }
    }

    fn stopped(&self) -> bool {
        self.exit || self.error.is_some()
    }

    fn in_port(&self) -> OfPort {
        OfPort(u16::try_from(self.flow.get(FieldId::InPort)).unwrap_or(OfPort::NONE.0))
    }

    fn port(&self, ofport: OfPort) -> Option<&Arc<BridgePort>> {
        self.view.ports.get(ofport)
    }

    fn note(&mut self, text: &str) {
        self.recorder.note(self.depth, text);
    }

    fn emit_output(&mut self, port: PortNo) {
        self.commit();
        self.actions.push(DpAction::Output(port));
    }

    fn finish(mut self) -> Translation {
        self.trim_mask();
        if let Some(error) = self.error {
            match error {
                TranslateError::TooDeep => self.view.bridge.limit_counters().hit_depth(),
                TranslateError::TooManyResubmits => {
                    self.view.bridge.limit_counters().hit_resubmits();
                }
            }
            self.actions = vec![DpAction::Drop(error.drop_reason())];
        }
        Translation {
            actions: self.actions.into(),
            mask: self.wc,
            effects: self.effects,
            flow: self.flow,
            error: self.error,
        }
    }

    /// Takes out of the mask what no packet has: OpenFlow's own fields, and half-used ports.
    fn trim_mask(&mut self) {
        let mut mask = FlowMask::EMPTY;
        for lane in self.wc.live().iter().filter(|&lane| lane < dp_core::flow::PACKET_LANES) {
            *mask.lane_mut(lane) = *self.wc.lane(lane);
        }
        let tci = mask.load(layout::VLAN_TCI);
        if tci != 0 {
            mask.unwildcard_bits(FieldId::VlanTci, u128::from(layout::VLAN_PRESENT));
        }
        self.wc = mask;
    }
}

const ETH_TYPE_IPV4: u16 = 0x0800;
const ETH_TYPE_IPV6: u16 = 0x86dd;
const ETH_TYPE_ARP: u16 = 0x0806;
const ETH_TYPE_RARP: u16 = 0x8035;

#[cfg(test)]
mod tests;
