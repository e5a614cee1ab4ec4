//! VLAN tags in the flow: two at most are seen.

use dp_core::flow::FieldId;
use dp_core::flow::layout::{self, VLAN_PRESENT};

use super::Context;

const PRESENT: u128 = VLAN_PRESENT as u128;
const TPID_8021Q: u128 = 0x8100;

impl Context<'_> {
    fn has_tag(&self) -> bool {
        self.flow.vlan_tci() & VLAN_PRESENT != 0
    }

    fn tags_count(&mut self) {
        for place in [layout::VLAN_TCI, layout::VLAN_TPID, layout::VLAN_TCI1, layout::VLAN_TPID1] {
            self.wc.unwildcard_place(place);
        }
    }

    /// Removes the outer tag.
    pub(super) fn strip_vlan(&mut self) {
        if self.has_tag() {
            self.tags_count();
            let inner = [layout::VLAN_TCI1, layout::VLAN_TPID1].map(|place| self.flow.load(place));
            self.flow.store(layout::VLAN_TCI, inner[0]);
            self.flow.store(layout::VLAN_TPID, inner[1]);
            self.flow.store(layout::VLAN_TCI1, 0);
            self.flow.store(layout::VLAN_TPID1, 0);
        }
    }

    /// Adds an outer tag with VID and priority 0. (OpenFlow 1.1 and later would have it take over
    /// those of the tag before; switches in use do not.)
    pub(super) fn push_vlan(&mut self, tpid: u16) {
        self.tags_count();
        let outer = [layout::VLAN_TCI, layout::VLAN_TPID].map(|place| self.flow.load(place));
        self.flow.store(layout::VLAN_TCI1, outer[0]);
        self.flow.store(layout::VLAN_TPID1, outer[1]);
        self.flow.store(layout::VLAN_TCI, PRESENT);
        self.flow.store(layout::VLAN_TPID, u128::from(tpid));
    }

    pub(super) fn set_vlan_vid(&mut self, vid: u16) {
        self.set_whole(FieldId::VlanVid, u128::from(vid));
    }

    pub(super) fn set_vlan_pcp(&mut self, pcp: u8) {
        self.set_whole(FieldId::DlVlanPcp, u128::from(pcp));
    }

    /// Makes a tag of a TCI that was written into an untagged packet.
    pub(super) fn make_tag_present(&mut self) {
        self.wc.unwildcard_bits(FieldId::VlanTci, PRESENT);
        if !self.has_tag() {
            let tci = self.flow.load(layout::VLAN_TCI);
            self.flow.store(layout::VLAN_TCI, tci | PRESENT);
            self.flow.store(layout::VLAN_TPID, TPID_8021Q);
        }
    }
}
