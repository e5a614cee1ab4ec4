//! Flows as traces print them: whole flows, and what of a flow counts.

use dp_core::flow::layout::{self, FRAG_LATER, Place, VLAN_PRESENT};
use dp_core::flow::wide::WideWords;
use dp_core::flow::{FieldId as F, FlowKey, FlowMask};

use crate::matching::Match;
use crate::text::{PacketText, PortNames};
use crate::translate::CONNTRACK;

/// A flow: every field that such a packet has, and of the others those that are not zero.
pub(super) fn flow_text(flow: &FlowKey, names: &dyn PortNames) -> String {
    let matching = Match::new(flow, &own_mask(flow));
    PacketText { matching: &matching, names }.to_string()
}

/// What counts of a flow in the datapath; `full`: in the tables. A tag that is not there is not
/// named; options of a tunnel are named as the tables see them.
pub(super) fn megaflow_text(
    flow: &FlowKey,
    mask: &FlowMask,
    full: &FlowMask,
    names: &dyn PortNames,
) -> String {
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
    if !through_tunnel(flow) {
        // It came through no tunnel, whatever has been written for the one it goes into.
        let tunnel = layout::ALL.iter().filter(|(_, place)| is_tunnel(*place));
        tunnel.for_each(|&(_, place)| clear(&mut mask, place));
        clear(&mut mask, layout::TUN_METADATA_PRESENT);
        *mask.wide_mut() = WideWords::EMPTY;
    } else if full.load(layout::TUN_METADATA_PRESENT) != 0 {
        let lane = layout::TUN_METADATA_PRESENT.lane();
        mask.lane_mut(lane).or_assign(full.lane(lane));
        mask.wide_mut().or_assign(full.wide());
    }
    let matching = Match::new(flow, &mask);
    PacketText { matching: &matching, names }.to_string()
}

fn clear(mask: &mut FlowMask, place: Place) {
    if mask.load(place) != 0 {
        mask.store(place, 0);
    }
}

/// Whether a flow has the ends of a tunnel.
fn through_tunnel(flow: &FlowKey) -> bool {
    flow.load(layout::TUN_DST) != 0 || flow.load(layout::TUN_IPV6_DST) != 0
}

/// Whether a place is one that tunnels say.
fn is_tunnel(place: Place) -> bool {
    place.lane() == layout::TUN_ID.lane()
        || [layout::TUN_TP_SRC, layout::TUN_TP_DST, layout::TUN_OPT_LEN].contains(&place)
}

/// The fields that a packet like this has.
fn own_mask(flow: &FlowKey) -> FlowMask {
    let mut mask = FlowMask::EMPTY;
    let named = [layout::ACTSET_OUTPUT, layout::TUN_METADATA_PRESENT, layout::CONJ_ID];
    for &(_, place) in layout::ALL {
        let lane = place.lane();
        let ours = METADATA.contains(&place)
            || CONNTRACK.contains(&place)
            || lane > dp_core::flow::PACKET_LANES;
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
    if flow.get(F::InPort) != 0 {
        mask.unwildcard_bits(F::InPort, u128::MAX);
    }
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
    tunnel(flow, &mut mask);
    network(flow, &mut mask);
    mask
}

/// What a tunnel says: all of it, if there is one; an id can be said without.
fn tunnel(flow: &FlowKey, mask: &mut FlowMask) {
    let key = flow.load(layout::TUN_FLAGS) & TUNNEL_KEY != 0;
    if through_tunnel(flow) {
        TUNNEL.iter().for_each(|&place| mask.unwildcard_place(place));
        mask.unwildcard(F::TunErspanVer);
        match flow.load(layout::TUN_ERSPAN_VER) {
            1 => mask.unwildcard(F::TunErspanIdx),
            2 => {
                mask.unwildcard(F::TunErspanDir);
                mask.unwildcard(F::TunErspanHwid);
            }
            _ => {}
        }
        let present = flow.load(layout::TUN_METADATA_PRESENT);
        let options = (0..F::TUN_METADATA).filter(|number| present >> number & 1 != 0);
        options.filter_map(F::tun_metadata).for_each(|option| mask.unwildcard(option));
    }
    let id = if through_tunnel(flow) { key } else { flow.load(layout::TUN_ID) != 0 };
    if id {
        mask.unwildcard_place(layout::TUN_ID);
    }
}

/// The Ethertype of a frame, or of a packet that begins behind it.
fn shown_type(flow: &FlowKey) -> u16 {
    let packet_type = flow.load(layout::PACKET_TYPE);
    let bare = packet_type >> 16 == 1;
    if bare { u16::try_from(packet_type & 0xffff).unwrap_or(0) } else { flow.eth_type() }
}

fn network(flow: &FlowKey, mask: &mut FlowMask) {
    let mut all = |places: &[Place]| places.iter().for_each(|&place| mask.unwildcard_place(place));
    let eth_type = shown_type(flow);
    match eth_type {
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
            all(&[layout::NSH_PATH]);
            if flow.load(layout::NSH_MDTYPE) != 2 {
                all(&[layout::NSH_C1, layout::NSH_C2, layout::NSH_C3, layout::NSH_C4]);
            }
            // What is inside is not seen; that it is not is said of the IP fields.
        }
        _ => return,
    }
    all(&[layout::NW_PROTO, layout::NW_TOS, layout::NW_TTL, layout::NW_FRAG]);
    if flow.nw_frag() & FRAG_LATER != 0 {
        return;
    }
    let proto = flow.nw_proto();
    match (eth_type, proto) {
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

/// The flag of a tunnel that has a key.
const TUNNEL_KEY: u128 = 4;

/// What every tunnel says.
const TUNNEL: [Place; 11] = [
    layout::TUN_SRC,
    layout::TUN_DST,
    layout::TUN_IPV6_SRC,
    layout::TUN_IPV6_DST,
    layout::TUN_GBP_ID,
    layout::TUN_GBP_FLAGS,
    layout::TUN_TOS,
    layout::TUN_TTL,
    layout::TUN_FLAGS,
    layout::TUN_GTPU_FLAGS,
    layout::TUN_GTPU_MSGTYPE,
];

/// Values beside the packet's headers, and what the tracker says.
const METADATA: [Place; 4] =
    [layout::RECIRC_ID, layout::DP_HASH, layout::SKB_PRIORITY, layout::PKT_MARK];
