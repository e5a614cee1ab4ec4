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
//! again by revalidation as the megaflow carries more. What it leaves behind is numbers of frozen
//! states ([`recirc`]), the same for the same state, and held by the [`Translation`].
//!
//! # The invariant that matters most
//!
//! For every packet that agrees with the key in the bits of the mask, translation gives the same
//! actions. Whoever reads a field of the flow makes its bits count; whoever writes one does so too,
//! because what [`commit`](self) emits depends on what stood there before.
//!
//! | room | what |
//! |---|---|
//! | [`Request`], [`Translation`], [`translate`] | what goes in and comes out |
//! | [`view`] | bridges as they were at one moment |
//! | [`Features`] | what the datapath may be asked for |
//! | `context` | what is carried along |
//! | `walk` | one list of actions, each action to its room |
//! | `resubmit` | look-ups in further tables, and their bounds |
//! | `freeze`, `kept`, [`recirc`] | stopping where the datapath must help, and going on |
//! | `fields` | set, move, load, stack, TTL |
//! | `vlan`, `mpls`, `encap` | tags, labels, headers |
//! | `output`, `patch` | ports, FLOOD, ALL, IN_PORT; into other bridges and tunnels |
//! | `normal`, `mirror` | L2 switching with learning; copies |
//! | `group`, `choose`, [`hash`] | buckets, links and ports chosen by hashes |
//! | `ct` | connection tracking |
//! | `controller` | packets that controllers get, and samples |
//! | `branch` | clone, check_pkt_larger |
//! | [`learn`] | rules that rules make |
//! | `commit` | differences to datapath set actions |
//! | `action_set` | the OpenFlow action set |
//! | [`Recorder`] | watches, for traces |
//! | [`hooks`] | what tunnels, bonds, protocols and sampling plug in |

mod action_set;
mod branch;
mod choose;
mod commit;
mod context;
mod controller;
mod ct;
mod effect;
mod encap;
mod features;
mod fields;
mod freeze;
mod group;
pub mod hash;
pub mod hooks;
mod kept;
pub mod learn;
mod mirror;
mod mpls;
mod normal;
mod output;
mod patch;
pub mod recirc;
mod record;
mod resubmit;
mod routed;
pub mod view;
mod vlan;
mod walk;

use dp_core::action::{Action as DpAction, ActionList, SlowReasons, UserData, Userspace};
use dp_core::base::{DropReason, Instant, MeterId};
use dp_core::flow::{FlowKey, FlowMask};
use smallvec::SmallVec;

use self::context::Context;
use self::hooks::Location;
use self::recirc::RecircRef;
use crate::action::Action;

pub use effect::Effect;
pub use features::Features;
pub(crate) use freeze::CONNTRACK;
pub(crate) use freeze::forget_conntrack;
pub use record::{Part, RecircKind, Recorder, Silent, Weight};
pub use view::{Basis, BridgeBasis, View, World};

/// Effects of one translation: mostly a rule or two to credit.
pub type Effects = SmallVec<[Effect; 4]>;

/// Why translation gave up; the packet is dropped then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranslateError {
    /// Resubmits nested deeper than the bridge allows.
    #[error("Recursion too deep")]
    TooDeep,
    /// More resubmits in all than the bridge allows.
    #[error("Too many resubmits")]
    TooManyResubmits,
    /// More was pushed onto the stack than the bridge allows.
    #[error("Stack too deep")]
    StackTooDeep,
    /// A recirculation id that nobody holds.
    #[error("No recirculation context")]
    NoRecircContext,
    /// More MPLS labels than a key has room for.
    #[error("Too many MPLS labels")]
    TooManyLabels,
    /// A header cannot be put on such a packet.
    #[error("Unsupported packet type")]
    UnsupportedPacketType,
}

impl TranslateError {
    /// The reason under which the packet's drop is counted.
    #[must_use]
    pub const fn drop_reason(self) -> DropReason {
        match self {
            Self::TooDeep => DropReason::RecursionTooDeep,
            Self::TooManyResubmits => DropReason::TooManyResubmits,
            Self::StackTooDeep => DropReason::StackTooDeep,
            Self::NoRecircContext => DropReason::NoRecircContext,
            Self::TooManyLabels => DropReason::TooManyMplsLabels,
            Self::UnsupportedPacketType => DropReason::UnsupportedPacketType,
        }
    }
}

/// What is to be translated.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The bridges.
    pub world: &'a World,
    /// Where the packet came in.
    pub location: Location,
    /// The packet's datapath key.
    pub key: &'a FlowKey,
    /// Its frame, if there is one.
    pub frame: Option<&'a [u8]>,
    /// These actions instead of a look-up in table 0 (a packet-out).
    pub actions: Option<&'a [Action]>,
    /// Whether controllers are to get packets, neighbours to be asked: not in a trace.
    pub side_effects: bool,
    /// Whether the packet has waited for a neighbour and goes on: it has been counted.
    pub waited: bool,
    /// The time.
    pub now: Instant,
}

impl<'a> Request<'a> {
    /// A packet with this key that came in there.
    #[must_use]
    pub fn new(world: &'a World, location: Location, key: &'a FlowKey) -> Self {
        Self {
            world,
            location,
            key,
            frame: None,
            actions: None,
            side_effects: true,
            waited: false,
            now: Instant::default(),
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
    /// The same with the fields that only OpenFlow has.
    pub full_mask: FlowMask,
    /// What should happen beside, for each packet.
    pub effects: Effects,
    /// The flow as the last action left it.
    pub flow: FlowKey,
    /// Why translation gave up, if it did.
    pub error: Option<TranslateError>,
    /// Numbers that the actions need.
    pub recircs: SmallVec<[RecircRef; 1]>,
    /// What all of this rests on.
    pub basis: Basis,
    /// Why each packet must come to the slow path.
    pub slow: SlowReasons,
    /// The meter of what does, if there is one.
    pub slow_meter: Option<MeterId>,
}

impl Translation {
    /// What a megaflow is to do: the datapath's part, or to hand every packet to the slow path.
    #[must_use]
    pub fn installed_actions(&self) -> ActionList {
        if self.slow.is_empty() {
            return ActionList::clone(&self.actions);
        }
        let data = UserData::SlowPath(self.slow);
        let ask = Userspace { pid: 0, data, with_actions: false, tunnel_out: None };
        [controller::metered(self.slow_meter, DpAction::Userspace(Box::new(ask)))].into()
    }
}

/// Translates a packet with this datapath key that came in there.
#[must_use]
pub fn translate(
    world: &World,
    location: &Location,
    key: &FlowKey,
    recorder: &mut dyn Recorder,
) -> Translation {
    translate_request(Request::new(world, location.clone(), key), recorder)
}

/// The same with all that may be said.
#[must_use]
pub fn translate_request(request: Request<'_>, recorder: &mut dyn Recorder) -> Translation {
    let mut context = Context::new(request, recorder);
    context.run();
    context.finish()
}

const ETH_TYPE_IPV4: u16 = 0x0800;
const ETH_TYPE_IPV6: u16 = 0x86dd;
const ETH_TYPE_ARP: u16 = 0x0806;
const ETH_TYPE_RARP: u16 = 0x8035;
const ETH_TYPE_NSH: u16 = 0x894f;
const ETH_TYPE_MPLS: [u16; 2] = [0x8847, 0x8848];

#[cfg(test)]
mod tests;
