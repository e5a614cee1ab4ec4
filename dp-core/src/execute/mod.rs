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
//! output and copy nothing. What is left behind the last output has no effect and is not executed.
//! A packet that a step cannot be applied to leaves the batch with a drop reason; the others go on.
//!
//! Checksums are updated incrementally (RFC 1624), so that a wrong one stays wrong. Header offsets
//! come from extraction (`Metadata::l3`, `l4`), nothing is parsed twice.
//!
//! | room | what |
//! |---|---|
//! | [`TxBatches`] | what is to be sent, by port |
//! | [`WorkList`] | what is to go through the pipeline again |
//! | `output`, `recirc` | steps that send a packet |
//! | `vlan`, `ethernet`, `ipv4`, `ipv6`, `l4`, `neighbour`, `metadata` | steps that change it |
//! | `bytes`, `transport` | masked writes; where the transport header and its checksum are |

mod bytes;
mod ethernet;
mod ipv4;
mod ipv6;
mod l4;
mod metadata;
mod neighbour;
mod output;
mod recirc;
mod transport;
mod tx;
mod vlan;

pub use recirc::WorkList;
pub use tx::{TxBatch, TxBatches};

use crate::action::{Action, Set};
use crate::base::{DropCounters, DropReason, PortNo};
use crate::packet::{Burst, Packet, Slots};

/// Where packets go when they leave an action list.
#[derive(Debug)]
pub struct Exits<'a> {
    /// To a port.
    pub out: &'a mut TxBatches,
    /// Through the pipeline again.
    pub again: &'a mut WorkList,
    /// Nowhere.
    pub drops: &'a DropCounters,
}

impl Exits<'_> {
    /// Sends the packets in `slots`: the whole of what most flows do.
    #[inline(always)]
    pub fn output(&mut self, port: PortNo, burst: &mut Burst, slots: Slots) {
        output::move_all(port, burst, slots, self);
    }
}

/// Executes a flow's actions on the packets in `slots`, which are all gone afterwards. `in_port`
/// is the port of entry of packets in their first pass; `None` where their metadata has it.
pub fn execute(
    actions: &[Action],
    burst: &mut Burst,
    slots: Slots,
    in_port: Option<PortNo>,
    exits: &mut Exits<'_>,
) {
    let mut slots = present(burst, slots);
    let Some((last, before)) = up_to_last_exit(actions) else {
        drop_all(burst, slots, DropReason::Explicit, exits.drops);
        return;
    };
    for action in before {
        match action {
            Action::Output(port) => output::copy(*port, burst, slots, exits),
            Action::Recirc(id) => slots = recirc::copy(*id, burst, slots, in_port, exits),
            Action::Drop(reason) => {
                drop_all(burst, slots, *reason, exits.drops);
                return;
            }
            change => slots = change_all(change, burst, slots, exits.drops),
        }
        if slots.is_empty() {
            return;
        }
    }
    match last {
        Action::Output(port) => output::move_all(*port, burst, slots, exits),
        Action::Recirc(id) => recirc::move_all(*id, burst, slots, in_port, exits),
        Action::Drop(reason) => drop_all(burst, slots, *reason, exits.drops),
        _ => {
            drop_all(burst, slots, DropReason::Explicit, exits.drops);
        }
    }
}

/// The last step that decides about the packet, and those before it. Steps behind change a packet
/// that nobody will see.
fn up_to_last_exit(actions: &[Action]) -> Option<(&Action, &[Action])> {
    let is_exit =
        |action: &Action| matches!(action, Action::Output(_) | Action::Recirc(_) | Action::Drop(_));
    let last = actions.iter().rposition(is_exit)?;
    actions.get(..=last)?.split_last()
}

/// The slots that hold a packet.
fn present(burst: &Burst, slots: Slots) -> Slots {
    slots.and(burst.live())
}

/// Drops the packets in `slots` and counts them.
pub fn drop_all(burst: &mut Burst, slots: Slots, reason: DropReason, drops: &DropCounters) {
    let mut dropped = 0;
    for slot in slots.iter() {
        dropped += u64::from(burst.take(slot).is_some());
    }
    drops.add(reason, dropped);
}

/// Applies a step that changes packets; returns the slots that it could be applied to. A set of a
/// header that a packet does not have, or not whole, leaves the packet as it is: translation knows
/// from the key what should be there, not whether the frame was cut off.
fn change_all(action: &Action, burst: &mut Burst, slots: Slots, drops: &DropCounters) -> Slots {
    let mut changed = slots;
    for slot in slots.iter() {
        let done = burst.get_mut(slot).and_then(|packet| change(action, packet));
        if done.is_none() && !matches!(action, Action::Set(_)) {
            changed.remove(slot);
        }
    }
    let failed = slots.without(changed);
    if !failed.is_empty() {
        drop_all(burst, failed, DropReason::ActionError, drops);
    }
    changed
}

/// Changes one packet. `None`: it lacks the header, or the room for one.
fn change(action: &Action, packet: &mut Packet) -> Option<()> {
    match action {
        Action::PushVlan { tpid, tci } => vlan::push(packet, *tpid, *tci),
        Action::PopVlan => vlan::pop(packet),
        Action::Set(set) => match set {
            Set::Ethernet(set) => ethernet::set(packet, set),
            Set::Vlan(set) => vlan::set(packet, *set),
            Set::Ipv4(set) => ipv4::set(packet, set),
            Set::Ipv6(set) => ipv6::set(packet, set),
            Set::Tcp(set) => l4::set_tcp(packet, set),
            Set::Udp(set) => l4::set_udp(packet, set),
            Set::Sctp(set) => l4::set_sctp(packet, set),
            Set::Icmp(set) => l4::set_icmp(packet, set),
            Set::Icmpv6(set) => l4::set_icmpv6(packet, set),
            Set::Arp(set) => neighbour::set_arp(packet, set),
            Set::Nd(set) => neighbour::set_nd(packet, set),
            Set::PktMark(set) => metadata::set_mark(packet, *set),
            Set::SkbPriority(set) => metadata::set_priority(packet, *set),
            Set::Mpls(_) | Set::Nsh(_) | Set::Tunnel(_) => None,
        },
        Action::Output(_) | Action::Drop(_) | Action::Recirc(_) => Some(()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
