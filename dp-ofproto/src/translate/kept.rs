//! What a stopped translation keeps of the fields that are in no packet.
//!
//! Registers, metadata and whatever has been written of a tunnel's fields live in the flow alone: a
//! packet that comes back from the datapath knows nothing of them. What its tunnel said when it came
//! in, on the other hand, the packet still carries, and each packet of a megaflow its own: so nothing
//! is kept of it. Kept are those bits that count in the mask (whoever writes makes bits count, so all
//! that was written is among them) and that are not as they came, which is the same for every packet
//! of the megaflow.

use dp_core::flow::wide::WideWords;
use dp_core::flow::{FlowKey, FlowMask, LANES, Lane, PACKET_LANES, layout};

/// Values of fields, and which of their bits are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kept {
    /// Nothing of the packet's own tunnel is seen: it has gone into another bridge since.
    severed: bool,
    /// Number of the lane, value and mask.
    lanes: Box<[(usize, Lane, Lane)]>,
    wide: WideWords,
    wide_mask: WideWords,
}

impl Kept {
    /// What has to be kept of `flow` for a packet that comes back as `came`; `counts` are the bits
    /// that are the same for all packets of the megaflow.
    pub(super) fn of(flow: &FlowKey, came: &FlowKey, counts: &FlowMask, severed: bool) -> Self {
        let mut all = counts.clone();
        for lane in PACKET_LANES..LANES {
            *all.lane_mut(lane) = Lane([u64::MAX; 8]);
        }
        let present = counts.load(layout::TUN_METADATA_PRESENT);
        all.store(layout::TUN_METADATA_PRESENT, if severed { u128::MAX } else { present });
        if severed {
            *all.lane_mut(TUNNEL_LANE) = Lane([u64::MAX; 8]);
        }
        let mut lanes = Vec::new();
        for lane in (PACKET_LANES..LANES).chain([TUNNEL_LANE]) {
            let mut mask = *all.lane(lane);
            for (at, bits) in mask.0.iter_mut().enumerate() {
                if (flow.lane(lane).0[at] ^ came.lane(lane).0[at]) & *bits == 0 {
                    *bits = 0;
                }
            }
            if !mask.is_zero() {
                lanes.push((lane, flow.lane(lane).and(&mask), mask));
            }
        }
        let (mut wide, mut wide_mask) = (WideWords::EMPTY, WideWords::EMPTY);
        if severed {
            // Whatever is there has been written since.
            wide.clone_from(flow.wide());
        } else {
            for (index, bits) in counts.wide().iter() {
                let word = flow.wide().word(index);
                if (word ^ came.wide().word(index)) & bits != 0 {
                    wide.set_word(index, word & bits);
                    wide_mask.set_word(index, bits);
                }
            }
        }
        Self { severed, lanes: lanes.into(), wide, wide_mask }
    }

    /// All that is in `flow`, whatever a packet comes with.
    pub(super) fn all_of(flow: &FlowKey) -> Self {
        Self::of(flow, &FlowKey::EMPTY, &FlowMask::EMPTY, true)
    }

    /// Whether nothing of the packet's own tunnel is seen.
    pub(super) const fn is_severed(&self) -> bool {
        self.severed
    }

    /// Makes the flow of a packet that has come back what it was.
    pub fn restore(&self, flow: &mut FlowKey) {
        if self.severed {
            sever(flow);
        }
        for (lane, value, mask) in &self.lanes {
            let words = flow.lane_mut(*lane).0.iter_mut();
            for (word, (value, mask)) in words.zip(value.0.iter().zip(mask.0)) {
                *word = *word & !mask | value;
            }
        }
        if self.severed {
            flow.wide_mut().clone_from(&self.wide);
        } else {
            for (index, bits) in self.wide_mask.iter() {
                let word = flow.wide().word(index) & !bits | self.wide.word(index);
                flow.wide_mut().set_word(index, word);
            }
        }
    }

    /// Adds the bits that are kept: they are the same for all packets that come back with this state.
    pub(super) fn add_to(&self, counts: &mut FlowMask) {
        for (lane, _, mask) in &self.lanes {
            counts.lane_mut(*lane).or_assign(mask);
        }
        counts.wide_mut().or_assign(&self.wide_mask);
    }
}

/// Takes away all that a tunnel said.
pub(super) fn sever(flow: &mut FlowKey) {
    for lane in TUNNEL_LANE..PACKET_LANES {
        if !flow.lane(lane).is_zero() {
            *flow.lane_mut(lane) = Lane::ZERO;
        }
    }
    for place in
        [layout::TUN_TP_SRC, layout::TUN_TP_DST, layout::TUN_OPT_LEN, layout::TUN_METADATA_PRESENT]
    {
        if flow.load(place) != 0 {
            flow.store(place, 0);
        }
    }
    *flow.wide_mut() = WideWords::EMPTY;
}

/// Ends, id and flags; options as they are on the wire follow and are never written here.
const TUNNEL_LANE: usize = 4;
