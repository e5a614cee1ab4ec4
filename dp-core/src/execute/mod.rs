//! Actions on packets: the packets of one flow go through its list together.
//!
//! ```text
//!   actions ──► [set …] [push …] [output] … [output │ recirc]        one action, all packets, next
//!                                  copy          the packet itself
//!                  │                 │               │
//!                  ▼                 ▼               ▼
//!             the frames        TxBatches         WorkList
//! ```
//!
//! Steps that send a packet copy it, except the last of them, which moves it: most flows have one
//! output and copy nothing. What is left behind the last step that anybody notices has no effect and
//! is not executed. A packet that a step cannot be applied to leaves the batch with a drop reason;
//! the others go on.
//!
//! Checksums are updated incrementally (RFC 1624), so that a wrong one stays wrong. Header offsets
//! come from extraction (`Metadata::l3`, `l4`), nothing is parsed twice.
//!
//! | room | what |
//! |---|---|
//! | [`TxBatches`] | what is to be sent, by port |
//! | [`WorkList`] | what is to go through the pipeline again |
//! | `output`, `recirc`, `userspace` | steps that send a packet |
//! | `nested` | steps with lists of their own |
//! | `change` | steps that change it, and which room changes what |
//! | `tunnel` | into tunnels and out of them |
//! | `hash`, `police`, `ct` | the hash, meters, connection tracking |
//! | `bytes`, `transport` | masked writes; where the transport header and its checksum are |

mod bytes;
mod change;
mod ct;
mod ethernet;
mod hash;
mod ipv4;
mod ipv6;
mod l4;
mod metadata;
mod mpls;
mod neighbour;
mod nested;
mod nsh;
mod output;
mod police;
mod recirc;
mod transport;
mod tunnel;
mod tx;
mod userspace;
mod vlan;

pub use recirc::WorkList;
pub use tx::{TxBatch, TxBatches};

use crate::action::{Action, Ct};
use crate::base::{DropCounters, DropReason, Instant, PortNo, Random, RecircId};
use crate::bond::Bonds;
use crate::boundary::UpcallSink;
use crate::conntrack::Conntrack;
use crate::flow::Extractor;
use crate::meter::Meters;
use crate::packet::{Burst, Packet, Slots};
use crate::tunnel::Ends;

/// Where packets go when they leave an action list, and what changes on the way.
#[derive(Debug)]
pub struct Exits<'a> {
    /// To a port.
    pub out: &'a mut TxBatches,
    /// Through the pipeline again.
    pub again: &'a mut WorkList,
    /// Nowhere.
    pub drops: &'a DropCounters,
    /// For samples.
    pub random: &'a mut Random,
    /// Where the caller takes them through the pipeline again at once: the packets that stay in their
    /// slots for it. Others, and all where it is `None`, wait in `again`.
    pub stay: Option<Slots>,
}

/// What steps need to know.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The port of entry of packets in their first pass; `None` where their metadata has it.
    pub in_port: Option<PortNo>,
    /// The time.
    pub now: Instant,
    /// The slow path.
    pub sink: &'a dyn UpcallSink,
    /// Finds headers anew, and makes keys for the slow path.
    pub extractor: &'a Extractor,
    /// Meters.
    pub meters: &'a Meters,
    /// Bonds.
    pub bonds: &'a Bonds,
    /// Tunnel ports.
    pub ends: &'a Ends,
    /// Connections.
    pub conntrack: &'a Conntrack,
}

impl Exits<'_> {
    /// Sends the packets in `slots`: the whole of what most flows do.
    #[inline(always)]
    pub fn output(&mut self, port: PortNo, burst: &mut Burst, slots: Slots) {
        output::move_all(port, burst, slots, self);
    }
}

/// How deep a list is nested, and how much of packets it sends.
#[derive(Clone, Copy, Debug)]
struct Scope {
    depth: u8,
    /// Packets whose last step is to recirculate may stay in their slots.
    stays: bool,
    /// Whether packets lose [`cut`](crate::packet::Metadata::cut) bytes when they are sent.
    cuts: bool,
}

impl Scope {
    const OUTERMOST: Self = Self { depth: 0, stays: true, cuts: false };

    fn deeper(self) -> Option<Self> {
        let depth = self.depth + 1;
        (self.depth < nested::MAX_DEPTH).then_some(Self { depth, stays: false, ..self })
    }

    const fn uncut(self) -> Self {
        Self { cuts: false, ..self }
    }

    /// How much is sent of a packet of `len` bytes.
    fn sent_len(self, packet: &Packet, len: usize) -> usize {
        if self.cuts { len.saturating_sub(packet.meta().cut.into()) } else { len }
    }
}

/// Executes a flow's actions on the packets in `slots`, which are all gone afterwards.
pub fn execute(
    actions: &[Action],
    burst: &mut Burst,
    slots: Slots,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    let slots = present(burst, slots);
    run(actions, burst, slots, Scope::OUTERMOST, context, exits);
}

/// Executes the list of most stateful flows, `ct, recirc`, on packets that are there; returns those
/// that stay in their slots for another pass.
#[inline(always)]
pub(crate) fn track(
    (ct, id): (&Ct, RecircId),
    burst: &mut Burst,
    slots: Slots,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) -> Slots {
    let (slots, released) = ct::track_here(ct, burst, slots, context, exits);
    if !released.is_empty() {
        run_released(&[Action::Recirc(id)], released, Scope::OUTERMOST, context, exits);
    }
    recirc::stay(id, burst, slots, context, exits)
}

/// Executes a list on packets that are there.
fn run(
    actions: &[Action],
    burst: &mut Burst,
    slots: Slots,
    scope: Scope,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    let Some((last, before)) = up_to_last_effect(actions) else {
        drop_all(burst, slots, DropReason::Explicit, exits.drops);
        return;
    };
    let (mut slots, mut scope) = (slots, scope);
    for (index, action) in before.iter().enumerate() {
        if let Action::Ct(ct) = action {
            let released;
            (slots, released) = ct::track(ct, burst, slots, context, exits);
            if !released.is_empty() {
                let rest = actions.get(index + 1..).unwrap_or_default();
                run(rest, burst, slots, scope, context, exits);
                return run_released(rest, released, scope, context, exits);
            }
        } else if change::hides_transport(action) {
            let large = tunnel::unsegmented(burst, slots);
            if !large.is_empty() {
                let rest = actions.get(index..).unwrap_or_default();
                let go_on = |burst: &mut Burst, exits: &mut Exits<'_>| {
                    let slots = burst.live();
                    run(rest, burst, slots, scope, context, exits);
                };
                tunnel::segmented(action, burst, large, context, exits, go_on);
                slots = slots.without(large);
            }
            slots = step(action, burst, slots, &mut scope, context, exits);
        } else {
            slots = step(action, burst, slots, &mut scope, context, exits);
        }
        if slots.is_empty() {
            return;
        }
    }
    finish(last, burst, slots, &mut scope, context, exits);
}

/// Executes the rest of a list on packets that have waited: their metadata says where they came
/// from.
#[cold]
fn run_released(
    rest: &[Action],
    released: Vec<Burst>,
    scope: Scope,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    let context = Context { in_port: None, ..*context };
    let scope = Scope { stays: false, ..scope };
    for mut burst in released {
        let slots = burst.live();
        run(rest, &mut burst, slots, scope, &context, exits);
    }
}

/// The last step that anybody notices, and those before it. Steps behind it change packets that
/// nobody will see.
fn up_to_last_effect(actions: &[Action]) -> Option<(&Action, &[Action])> {
    let last = actions.iter().rposition(|action| !change::is_change(action))?;
    actions.get(..=last)?.split_last()
}

/// Executes a step that others follow; returns the packets that go on.
fn step(
    action: &Action,
    burst: &mut Burst,
    slots: Slots,
    scope: &mut Scope,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) -> Slots {
    match action {
        Action::Output(port) => output::copy(*port, burst, slots, *scope, exits),
        Action::LbOutput(bond) => {
            let send = |port, same| output::copy(port, burst, same, *scope, exits);
            let homeless = output::by_member(*bond, burst, slots, *scope, context, send);
            exits.drops.add(DropReason::InvalidBond, homeless.len() as u64);
        }
        Action::Userspace(request) => {
            userspace::copy(request, burst, slots, *scope, context, exits);
        }
        Action::Psample { .. } => userspace::psample(action, burst, slots, *scope, context),
        Action::Recirc(id) => recirc::copy(*id, burst, slots, *scope, context, exits),
        Action::Clone(actions) => nested::copy(actions, burst, slots, *scope, context, exits),
        Action::Sample { probability, actions } => {
            let chosen = nested::sampled(slots, *probability, exits);
            nested::copy(actions, burst, chosen, *scope, context, exits);
        }
        Action::CheckPktLen { len, greater, less_or_equal } => {
            let longer = nested::longer(burst, slots, *len, *scope);
            nested::copy(greater, burst, longer, *scope, context, exits);
            let others = slots.without(longer);
            nested::copy(less_or_equal, burst, others, *scope, context, exits);
        }
        Action::Drop(reason) => {
            drop_all(burst, slots, *reason, exits.drops);
            return Slots::NONE;
        }
        Action::DecTtl(expired) => {
            let mine = nested::lower_ttl(burst, slots);
            nested::take(expired, burst, mine, *scope, context, exits);
            return slots.without(mine);
        }
        Action::Meter(id) => return police::meter(*id, burst, slots, *scope, context, exits),
        Action::Trunc(len) => {
            output::mark_cut(burst, slots, *len);
            scope.cuts = true;
            return slots;
        }
        Action::TunnelPush(push) => {
            return tunnel::push(push, burst, slots, context, exits.drops);
        }
        Action::TunnelPop(port) => tunnel::copy_out(*port, burst, slots, *scope, context, exits),
        Action::Ct(ct) => {
            let (slots, released) = ct::track(ct, burst, slots, context, exits);
            let waited: usize = released.iter().map(Burst::len).sum();
            exits.drops.add(DropReason::Explicit, waited as u64);
            return slots;
        }
        change => return change::all(change, burst, slots, context, exits.drops),
    }
    // Whatever has sent the packets has sent as much as it was told to.
    *scope = if sends(action) { scope.uncut() } else { *scope };
    slots
}

/// Whether a step sends packets, so that cutting them down has happened.
const fn sends(action: &Action) -> bool {
    matches!(
        action,
        Action::Output(_) | Action::LbOutput(_) | Action::Userspace(_) | Action::Recirc(_)
    )
}

/// Executes the last step of a list: the packets are gone afterwards.
fn finish(
    action: &Action,
    burst: &mut Burst,
    slots: Slots,
    scope: &mut Scope,
    context: &Context<'_>,
    exits: &mut Exits<'_>,
) {
    match action {
        Action::Output(port) => {
            output::cut(burst, slots, *scope);
            output::move_all(*port, burst, slots, exits);
        }
        Action::Recirc(id) => {
            output::cut(burst, slots, *scope);
            if scope.stays && exits.stay.is_some() {
                let staying = recirc::stay(*id, burst, slots, context, exits);
                if let Some(stay) = &mut exits.stay {
                    *stay = stay.or(staying);
                }
            } else {
                recirc::move_all(*id, burst, slots, context, exits);
            }
        }
        Action::TunnelPop(port) => tunnel::move_out(*port, burst, slots, context, exits),
        Action::LbOutput(bond) => {
            let mut chosen = [(PortNo::NONE, Slots::NONE); crate::packet::BURST];
            let mut places = chosen.iter_mut();
            let note = |port, same| {
                if let Some(place) = places.next() {
                    *place = (port, same);
                }
            };
            let homeless = output::by_member(*bond, burst, slots, *scope, context, note);
            drop_all(burst, homeless, DropReason::InvalidBond, exits.drops);
            output::cut(burst, slots, *scope);
            for (port, same) in chosen.into_iter().filter(|(_, same)| !same.is_empty()) {
                output::move_all(port, burst, same, exits);
            }
        }
        Action::Userspace(request) => {
            userspace::move_all(request, burst, slots, *scope, context, exits);
        }
        Action::Clone(actions) => nested::take(actions, burst, slots, *scope, context, exits),
        Action::Sample { probability, actions } => {
            let chosen = nested::sampled(slots, *probability, exits);
            nested::take(actions, burst, chosen, *scope, context, exits);
            drop_all(burst, slots.without(chosen), DropReason::Explicit, exits.drops);
        }
        Action::CheckPktLen { len, greater, less_or_equal } => {
            let longer = nested::longer(burst, slots, *len, *scope);
            nested::take(greater, burst, longer, *scope, context, exits);
            let others = slots.without(longer);
            nested::take(less_or_equal, burst, others, *scope, context, exits);
        }
        Action::Psample { .. } => {
            userspace::psample(action, burst, slots, *scope, context);
            for slot in slots.iter() {
                drop(burst.take(slot));
            }
        }
        other => {
            // It has an effect, but does not send: what it lets go on ends here.
            let left = step(other, burst, slots, scope, context, exits);
            drop_all(burst, left, DropReason::Explicit, exits.drops);
        }
    }
}

/// The slots that hold a packet.
fn present(burst: &Burst, slots: Slots) -> Slots {
    slots.and(burst.live())
}

/// Lets the metadata of a packet in its first pass say where it came from, as that of all others
/// does.
fn settle(packet: &mut Packet, in_port: Option<PortNo>) {
    if let Some(port) = in_port {
        let meta = packet.meta_mut();
        (meta.in_port, meta.recirc_id, meta.passes) = (port, RecircId(0), 0);
    }
}

/// Drops the packets in `slots` and counts them.
pub fn drop_all(burst: &mut Burst, slots: Slots, reason: DropReason, drops: &DropCounters) {
    let mut dropped = 0;
    for slot in slots.iter() {
        dropped += u64::from(burst.take(slot).is_some());
    }
    drops.add(reason, dropped);
}

#[cfg(test)]
mod tests;
