//! Flows as traces print them: whole flows, and what of a flow counts.

use dp_core::flow::layout::{self, FRAG_LATER, Place, VLAN_PRESENT};
use dp_core::flow::{FieldId as F, FlowKey, FlowMask};

use crate::matching::Match;
use crate::text::{MatchText, PortNames};

/// A flow: every field that such a packet has, and of the others those that are not zero.
pub(super) fn flow_text(flow: &FlowKey, names: &dyn PortNames) -> String {
    let matching = Match::new(flow, &own_mask(flow));
    MatchText { matching: &matching, names }.to_string()
}

/// What counts of a flow. A tag that is not there is not named.
pub(super) fn megaflow_text(flow: &FlowKey, mask: &FlowMask, names: &dyn PortNames) -> String {
    let mut mask = mask.clone();
    let tags = [(layout::VLAN_TCI, layout::VLAN_TPID), (layout::VLAN_TCI1, layout::VLAN_TPID1)];
    for (tci, tpid) in tags {
        if flow.load(tci) & u128::from(VLAN_PRESENT) == 0 {
            clear(&mut mask, tci);
        } else if mask.load(tci) == u128::from(VLAN_PRESENT) {
            // That there is a tag goes without saying.
            clear(&mut mask, tci);
        }
        clear(&mut mask, tpid);
    }
    clear(&mut mask, layout::ACTSET_OUTPUT);
    let matching = Match::new(flow, &mask);
    MatchText { matching: &matching, names }.to_string()
}

fn clear(mask: &mut FlowMask, place: Place) {
    if mask.load(place) != 0 {
        mask.store(place, 0);
    }
}

/// The fields that a packet like this has.
fn own_mask(flow: &FlowKey) -> FlowMask {
    let mut mask = FlowMask::EMPTY;
    let named = [layout::ACTSET_OUTPUT, layout::VLAN_TPID, layout::VLAN_TPID1];
    for &(_, place) in layout::ALL {
        let lane = place.lane();
        let ours = METADATA.contains(&place) || lane > dp_core::flow::PACKET_LANES || lane == 4;
        if ours && flow.load(place) != 0 && !named.contains(&place) {
            mask.unwildcard_place(place);
        }
    }
    for at in 0..16u16 {
        let place = Place { offset: layout::REG0.offset + 4 * at, len: 4 };
        if flow.load(place) != 0 {
            mask.unwildcard_place(place);
        }
    }
    mask.unwildcard_bits(F::InPort, u128::MAX);
    let packet_type = flow.load(layout::PACKET_TYPE);
    if packet_type != 0 || flow.recirc_id().0 != 0 {
        mask.unwildcard_place(layout::PACKET_TYPE);
    }
    if packet_type == 0 {
        mask.unwildcard_place(layout::ETH_SRC);
        mask.unwildcard_place(layout::ETH_DST);
        mask.unwildcard_place(layout::ETH_TYPE);
        mask.unwildcard_place(layout::VLAN_TCI);
        if flow.vlan_tci() & VLAN_PRESENT != 0 {
            mask.unwildcard_place(layout::VLAN_TCI1);
        }
    }
    network(flow, &mut mask);
    mask
}

fn network(flow: &FlowKey, mask: &mut FlowMask) {
    let mut all = |places: &[Place]| places.iter().for_each(|&place| mask.unwildcard_place(place));
    match flow.eth_type() {
        0x0800 => all(&[layout::IPV4_SRC, layout::IPV4_DST]),
        0x86dd => all(&[layout::IPV6_SRC, layout::IPV6_DST, layout::IPV6_LABEL]),
        0x0806 | 0x8035 => {
            all(&[
                layout::IPV4_SRC,
                layout::IPV4_DST,
                layout::NW_PROTO,
                layout::ARP_SHA,
                layout::ARP_THA,
            ]);
            return;
        }
        0x8847 | 0x8848 => {
            for place in [layout::MPLS0, layout::MPLS1, layout::MPLS2] {
                all(&[place]);
                if flow.load(place) & 1 << 8 != 0 {
                    break;
                }
            }
            return;
        }
        0x894f => {
            all(&[layout::NSH_FLAGS, layout::NSH_TTL, layout::NSH_MDTYPE, layout::NSH_NP]);
            all(&[layout::NSH_PATH, layout::NSH_C1, layout::NSH_C2, layout::NSH_C3]);
            all(&[layout::NSH_C4]);
            return;
        }
        _ => return,
    }
    all(&[layout::NW_PROTO, layout::NW_TOS, layout::NW_TTL, layout::NW_FRAG]);
    if flow.nw_frag() & FRAG_LATER != 0 {
        return;
    }
    let proto = flow.nw_proto();
    match (flow.eth_type(), proto) {
        (_, 6) => all(&[layout::TP_SRC, layout::TP_DST, layout::TCP_FLAGS]),
        (_, 17 | 132) | (0x0800, 2) => all(&[layout::TP_SRC, layout::TP_DST]),
        (0x0800, 1) => all(&[low(layout::TP_SRC), low(layout::TP_DST)]),
        (0x86dd, 58) => {
            all(&[low(layout::TP_SRC), low(layout::TP_DST)]);
            if matches!(flow.load(layout::TP_SRC), 135 | 136) && flow.load(layout::TP_DST) == 0 {
                all(&[layout::ND_TARGET, layout::ARP_SHA, layout::ARP_THA]);
            }
        }
        _ => {}
    }
}

/// The byte of a transport port's place that an ICMP type or code lies in.
const fn low(place: Place) -> Place {
    Place { offset: place.offset + 1, len: 1 }
}

/// Values beside the packet's headers.
const METADATA: [Place; 15] = [
    layout::RECIRC_ID,
    layout::DP_HASH,
    layout::SKB_PRIORITY,
    layout::PKT_MARK,
    layout::CT_STATE,
    layout::CT_ZONE,
    layout::CT_MARK,
    layout::CT_LABEL,
    layout::CT_NW_PROTO,
    layout::CT_NW_SRC,
    layout::CT_NW_DST,
    layout::CT_TP_SRC,
    layout::CT_TP_DST,
    layout::CT_IPV6_SRC,
    layout::CT_IPV6_DST,
];
