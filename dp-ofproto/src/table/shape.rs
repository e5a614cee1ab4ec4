//! The shape of a subtable: which words of a key its rules look at, stage by stage.
//!
//! Look-up goes through four stages, from what all packets of a port share to what each connection
//! has of its own:
//!
//! ```text
//!   metadata, registers, in_port, tunnel, conntrack ─► Ethernet, VLAN, MPLS ─► IP, ARP, ND, NSH ─► ports
//! ```
//!
//! A stage adds the masked words that lie in it to the hash. So when no rule agrees up to some
//! stage, the later ones need not count in the megaflow: a packet that misses on its Ethertype says
//! nothing about its ports.
//!
//! What lies beside the lanes (tunnel metadata) belongs to the first stage.
//!
//! Stages are sets of bytes, for fields of different stages share words (IPv4 destination and
//! ports); a word may take part in two of them, each time with its own bits.

use std::sync::{Arc, LazyLock};

use dp_core::base::mix64;
use dp_core::flow::layout::{self, Place};
use dp_core::flow::{FieldId, FlowKey, FlowMask, LANES};

use super::prefixes::{PREFIX_FIELDS, PrefixFields};
use crate::matching::mini::{WORDS, key_word, unwildcard_word};
use crate::matching::{Match, MiniMask};

/// How many stages there are.
pub(super) const STAGES: usize = 4;

/// Places of the second stage.
const L2: &[Place] = &[
    layout::PACKET_TYPE,
    layout::ETH_DST,
    layout::ETH_SRC,
    layout::ETH_TYPE,
    layout::VLAN_TCI,
    layout::VLAN_TPID,
    layout::VLAN_TCI1,
    layout::VLAN_TPID1,
    layout::MPLS0,
    layout::MPLS1,
    layout::MPLS2,
];

/// Places of the third stage.
const L3: &[Place] = &[
    layout::NW_PROTO,
    layout::NW_TOS,
    layout::NW_TTL,
    layout::NW_FRAG,
    layout::IPV4_SRC,
    layout::IPV4_DST,
    layout::IPV6_SRC,
    layout::IPV6_DST,
    layout::IPV6_LABEL,
    layout::ARP_SHA,
    layout::ARP_THA,
    layout::TCP_FLAGS,
    layout::ND_TARGET,
    layout::ND_RESERVED,
    layout::ND_OPTIONS_TYPE,
    layout::NSH_FLAGS,
    layout::NSH_TTL,
    layout::NSH_MDTYPE,
    layout::NSH_NP,
    layout::NSH_PATH,
    layout::NSH_C1,
    layout::NSH_C2,
    layout::NSH_C3,
    layout::NSH_C4,
];

/// Places of the fourth stage: what each connection has of its own.
const L4: &[Place] = &[layout::TP_SRC, layout::TP_DST, layout::CT_TP_SRC, layout::CT_TP_DST];

/// The bits of each word that belong to each stage. What is not named above belongs to the first.
static STAGE_BITS: LazyLock<[[u64; WORDS]; STAGES]> = LazyLock::new(|| {
    let mut stages = [FlowMask::EMPTY, FlowMask::EMPTY, FlowMask::EMPTY, FlowMask::EMPTY];
    for (stage, places) in [(1, L2), (2, L3), (3, L4)] {
        for place in places {
            stages[stage].unwildcard_place(*place);
        }
    }
    let mut bits = [[0; WORDS]; STAGES];
    for lane in 0..LANES {
        for at in 0..8 {
            let named = [1, 2, 3].map(|stage: usize| stages[stage].lane(lane).0[at]);
            let rest = !(named[0] | named[1] | named[2]);
            for (bits, word) in bits.iter_mut().zip([rest, named[0], named[1], named[2]]) {
                bits[lane * 8 + at] = word;
            }
        }
    }
    bits
});

/// The stage that a place lies in.
fn stage_of(place: Place) -> usize {
    [L2, L3, L4].iter().position(|places| places.contains(&place)).map_or(0, |at| at + 1)
}

/// Bits of one word that a stage looks at.
#[derive(Clone, Copy, Debug)]
struct StageWord {
    mask: u64,
    /// Which word of the key.
    index: u16,
    /// Which word of the match.
    position: u16,
}

/// The look of a subtable at one of the [`PREFIX_FIELDS`].
#[derive(Clone, Copy, Debug)]
pub(super) struct ShapePrefix {
    /// Index in [`PREFIX_FIELDS`].
    pub(super) field: usize,
    /// Length of the prefix that the mask has of the field.
    pub(super) len: u8,
}

/// One stage of a subtable.
#[derive(Debug, Default)]
pub(super) struct Stage {
    words: Box<[StageWord]>,
    /// Prefixes to be asked about before this stage.
    pub(super) prefixes: Box<[ShapePrefix]>,
}

impl Stage {
    /// Whether it looks at nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Adds a key's words to a hash.
    #[inline(always)]
    pub(super) fn hash_key(&self, key: &FlowKey, state: u64) -> u64 {
        self.words
            .iter()
            .fold(state, |state, word| fold(state, key_word(key, word.index) & word.mask))
    }

    /// Adds a rule's words to a hash.
    pub(super) fn hash_match(&self, words: &[u64], state: u64) -> u64 {
        self.words.iter().fold(state, |state, word| {
            let value = words.get(usize::from(word.position)).copied().unwrap_or(0);
            fold(state, value & word.mask)
        })
    }

    /// Makes the bits of this stage count.
    pub(super) fn unwildcard(&self, wc: &mut FlowMask) {
        for word in &self.words {
            unwildcard_word(wc, word.index, word.mask);
        }
    }
}

#[inline(always)]
fn fold(state: u64, word: u64) -> u64 {
    mix64(word ^ state, 0xd6e8_feb8_6659_fd93) ^ state.rotate_left(23)
}

/// The 32 bits of a hash that tries are keyed by.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the halves are folded")]
pub(super) fn finish(state: u64) -> u32 {
    let state = mix64(state, 0x9e37_79b9_7f4a_7c15);
    (state ^ state >> 32) as u32
}

/// What all rules of a subtable have in common.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) mask: Arc<MiniMask>,
    pub(super) stages: [Stage; STAGES],
    /// The last stage that looks at anything: the one whose hash finds rules.
    pub(super) last: usize,
    /// Which bits of the ports it looks at, as [`ports_of`] puts them together.
    pub(super) ports: u32,
}

impl Shape {
    pub(super) fn new(mask: &Arc<MiniMask>, prefixes: &PrefixFields) -> Self {
        let mut stages: [Stage; STAGES] = Default::default();
        for (at, (stage, bits)) in stages.iter_mut().zip(STAGE_BITS.iter()).enumerate() {
            let beside = if at == 0 { u64::MAX } else { 0 };
            stage.words = (0u16..)
                .zip(mask.iter())
                .filter_map(|(position, (index, mask))| {
                    let mask = mask & bits.get(usize::from(index)).unwrap_or(&beside);
                    (mask != 0).then_some(StageWord { mask, index, position })
                })
                .collect();
        }
        let full = mask.expand();
        for (at, stage) in stages.iter_mut().enumerate() {
            stage.prefixes = prefixes
                .iter()
                .filter(|&field| stage_of(PREFIX_FIELDS[field].field().place) == at)
                .map(|field| ShapePrefix { field, len: prefix_len(&full, PREFIX_FIELDS[field]) })
                .filter(|prefix| prefix.len > 0)
                .collect();
        }
        let last = stages.iter().rposition(|stage| !stage.is_empty()).unwrap_or(0);
        let ports = ports_of(full.load(layout::TP_SRC), full.load(layout::TP_DST));
        Self { mask: Arc::clone(mask), stages, last, ports }
    }

    /// The hash that finds a rule with this match, which has this shape.
    pub(super) fn hash(&self, matching: &Match, seed: u64) -> u32 {
        let words = matching.words();
        let stages = self.stages.iter();
        finish(stages.fold(seed, |state, stage| stage.hash_match(words, state)))
    }
}

/// The ports of a packet, a match or a mask as one number, the source's before the destination's.
#[expect(clippy::cast_possible_truncation, reason = "the places are 16 bits wide")]
pub(super) fn ports_of(src: u128, dst: u128) -> u32 {
    (src << 16 | dst) as u32
}

/// Length of the prefix that a mask has of a field: of a mask that is no prefix, its leading ones.
#[expect(clippy::cast_possible_truncation, reason = "at most 128")]
fn prefix_len(mask: &FlowMask, id: FieldId) -> u8 {
    let left_aligned = mask.get(id) << (128 - u32::from(id.field().bits));
    left_aligned.leading_ones() as u8
}

#[cfg(test)]
mod tests {
    use dp_core::flow::{FieldId, FlowMask};

    use super::{STAGE_BITS, STAGES, Shape};
    use crate::matching::Match;
    use crate::table::prefixes::PrefixFields;

    #[test]
    fn stages_share_out_all_bits() {
        for word in 0..super::WORDS {
            let all = (0..STAGES).fold(0, |all, stage| all | STAGE_BITS[stage][word]);
            let sum: u32 = (0..STAGES).map(|stage| STAGE_BITS[stage][word].count_ones()).sum();
            assert_eq!((all, sum), (u64::MAX, 64));
        }
    }

    #[test]
    fn a_five_tuple_has_three_stages_and_its_prefixes() {
        let matching = Match::build()
            .exact(FieldId::EthType, 0x800)
            .exact(FieldId::NwProto, 6)
            .masked(FieldId::Ipv4Src, 0, 0xffff_ff00)
            .masked(FieldId::Ipv4Dst, 0, 0xff00_ff00)
            .exact(FieldId::TcpDst, 80)
            .finish();
        let shape = Shape::new(matching.minimask(), &PrefixFields::default());
        assert!(shape.stages[0].is_empty() && shape.last == 3);
        let lens = |stage: usize| -> Vec<_> {
            shape.stages[stage].prefixes.iter().map(|prefix| prefix.len).collect()
        };
        assert_eq!((lens(1), lens(2), lens(3)), (vec![], vec![8, 24], vec![]));
        assert_eq!(shape.ports, 0xffff);
        let mut wc = FlowMask::EMPTY;
        shape.stages[1].unwildcard(&mut wc);
        assert_eq!(wc.get(FieldId::EthType), 0xffff);
        assert_eq!(wc.get(FieldId::Ipv4Src), 0);
        shape.stages[2].unwildcard(&mut wc);
        assert_eq!((wc.get(FieldId::Ipv4Dst), wc.get(FieldId::TcpDst)), (0xff00_ff00, 0));
    }
}
