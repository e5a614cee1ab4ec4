//! Ethernet and its VLAN tags (IEEE 802.1Q, 802.1ad), LLC/SNAP.

use super::malformed::Malformed;
use super::{VlanLimit, write_place};
use crate::flow::lane::Lane;
use crate::flow::layout;

/// Ethertype in keys of frames that have none: 802.3 with LLC but without SNAP over Ethernet.
const ETH_TYPE_NONE: u16 = 0x05ff;
const ETH_TYPE_MIN: u16 = 0x0600;
const ETH_TYPE_VLAN: u16 = 0x8100;
const ETH_TYPE_QINQ: u16 = 0x88a8;
const LLC_SNAP_ETHERNET: [u8; 6] = [0xaa, 0xaa, 0x03, 0, 0, 0];

/// What stands behind the link-layer header.
pub(super) struct Link {
    /// The Ethertype.
    pub(super) eth_type: u16,
    /// Where the network header begins.
    pub(super) l3: usize,
    /// What was wrong, if anything was.
    pub(super) malformed: Option<Malformed>,
}

fn be16(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

/// Parses the link-layer header of a frame of at least 14 bytes into lane 0.
#[inline(always)]
pub(super) fn link(frame: &[u8], limit: VlanLimit, lane: &mut Lane) -> Option<Link> {
    let addresses: &[u8; 12] = frame.first_chunk()?;
    write_place(lane, layout::ETH_DST, addresses);
    let mut at = 12;
    let mut malformed = None;
    let places = [(layout::VLAN_TCI, layout::VLAN_TPID), (layout::VLAN_TCI1, layout::VLAN_TPID1)];
    let tags = match limit {
        VlanLimit::One => 1,
        VlanLimit::Two => 2,
    };
    let mut eth_type = be16(frame, at)?;
    for (tci_place, tpid_place) in places.into_iter().take(tags) {
        if eth_type != ETH_TYPE_VLAN && eth_type != ETH_TYPE_QINQ {
            break;
        }
        let (Some(tci), Some(next)) = (be16(frame, at + 2), be16(frame, at + 4)) else {
            malformed = Some(Malformed::VlanTag);
            break;
        };
        write_place(lane, tci_place, &(tci | layout::VLAN_PRESENT).to_be_bytes());
        write_place(lane, tpid_place, &eth_type.to_be_bytes());
        eth_type = next;
        at += 4;
    }
    at += 2;
    if eth_type < ETH_TYPE_MIN {
        (eth_type, at) = snap(frame, at);
    }
    write_place(lane, layout::ETH_TYPE, &eth_type.to_be_bytes());
    Some(Link { eth_type, l3: at, malformed })
}

/// The Ethertype in an LLC/SNAP header at `at`, and what follows it.
fn snap(frame: &[u8], at: usize) -> (u16, usize) {
    let header = frame.get(at..).and_then(<[u8]>::first_chunk::<8>);
    match header {
        Some(&[a, b, c, d, e, f, high, low]) if [a, b, c, d, e, f] == LLC_SNAP_ETHERNET => {
            let eth_type = u16::from_be_bytes([high, low]);
            (if eth_type >= ETH_TYPE_MIN { eth_type } else { ETH_TYPE_NONE }, at + 8)
        }
        _ => (ETH_TYPE_NONE, at),
    }
}
