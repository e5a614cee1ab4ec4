//! Steps that change packets and send nothing: which room changes what.

use super::{
    Context, drop_all, ethernet, hash, ipv4, ipv6, l4, metadata, mpls, neighbour, nsh, vlan,
};
use crate::action::{Action, Set};
use crate::base::{DropCounters, DropReason};
use crate::packet::{Burst, Packet, Slots};

/// Whether a step does nothing but change the packet, which nobody notices behind the last step that
/// sends it.
pub(super) const fn is_change(action: &Action) -> bool {
    matches!(
        action,
        Action::PushVlan { .. }
            | Action::PopVlan
            | Action::PushMpls { .. }
            | Action::AddMpls { .. }
            | Action::PopMpls { .. }
            | Action::PushEthernet(_)
            | Action::PopEthernet
            | Action::PushNsh(_)
            | Action::PopNsh
            | Action::Set(_)
            | Action::Trunc(_)
            | Action::Hash { .. }
            | Action::CtClear
    )
}

/// Whether a step puts a header in front that devices do not look behind: what is left to be done
/// for the packet is done before. Behind tags and another Ethernet header they find it.
#[inline(always)]
pub(super) const fn hides_transport(action: &Action) -> bool {
    matches!(
        action,
        Action::TunnelPush(_)
            | Action::PushMpls { .. }
            | Action::AddMpls { .. }
            | Action::PushNsh(_)
    )
}

/// Applies a step that changes packets; returns the slots that it could be applied to. A set of a
/// header that a packet does not have, or not whole, leaves the packet as it is: translation knows
/// from the key what should be there, not whether the frame was cut off.
pub(super) fn all(
    action: &Action,
    burst: &mut Burst,
    slots: Slots,
    context: &Context<'_>,
    drops: &DropCounters,
) -> Slots {
    let mut changed = slots;
    for slot in slots.iter() {
        let done = burst.get_mut(slot).and_then(|packet| one(action, packet, context));
        if done.is_none() && !matches!(action, Action::Set(_)) {
            changed.remove(slot);
        }
    }
    let failed = slots.without(changed);
    if !failed.is_empty() {
        let reason = match action {
            Action::PopNsh => DropReason::NshDecap,
            _ => DropReason::ActionError,
        };
        drop_all(burst, failed, reason, drops);
    }
    changed
}

/// Changes one packet. `None`: it lacks the header, or the room for one.
fn one(action: &Action, packet: &mut Packet, context: &Context<'_>) -> Option<()> {
    match action {
        Action::Set(set) => write(set, packet),
        Action::PushVlan { tpid, tci } => vlan::push(packet, *tpid, *tci),
        Action::PopVlan => vlan::pop(packet),
        Action::PushMpls { lse, eth_type }
        | Action::AddMpls { lse, eth_type, behind_ethernet: true } => {
            mpls::push(packet, *lse, *eth_type)
        }
        Action::AddMpls { lse, eth_type, behind_ethernet: false } => {
            mpls::encapsulate(packet, *lse, *eth_type)
        }
        Action::PopMpls { eth_type } => {
            mpls::pop(packet, *eth_type)?;
            context.extractor.locate(packet);
            Some(())
        }
        Action::PushEthernet(header) => ethernet::push(packet, header),
        Action::PopEthernet => ethernet::pop(packet),
        Action::PushNsh(header) => nsh::push(packet, header),
        Action::PopNsh => {
            nsh::pop(packet)?;
            context.extractor.locate(packet);
            Some(())
        }
        Action::Hash { algorithm, basis } => {
            hash::hash(packet, *algorithm, *basis);
            Some(())
        }
        Action::CtClear => {
            packet.clear_ct();
            Some(())
        }
        _ => None,
    }
}

fn write(set: &Set, packet: &mut Packet) -> Option<()> {
    match set {
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
        Set::NdExt(set) => neighbour::set_nd_ext(packet, set),
        Set::Mpls(set) => mpls::set(packet, *set),
        Set::Nsh(set) => nsh::set(packet, set),
        Set::Tunnel(tunnel) => {
            packet.set_tunnel(tunnel);
            Some(())
        }
        Set::PktMark(set) => metadata::set_mark(packet, *set),
        Set::SkbPriority(set) => metadata::set_priority(packet, *set),
    }
}
