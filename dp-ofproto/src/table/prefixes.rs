//! The prefix tries of a table: which fields have one, and how look-ups ask them.

use dp_core::flow::{FieldId, FlowKey, FlowMask};

use super::prefix_trie::{PrefixHit, PrefixTrie};
use super::shape::{STAGES, Shape, ShapePrefix};
use crate::matching::Match;

/// The fields that may have a trie, in the order in which they are asked. No two of them share a
/// place. Destinations come first: routing makes them count anyhow.
pub const PREFIX_FIELDS: [FieldId; 8] = [
    FieldId::Ipv4Dst,
    FieldId::Ipv4Src,
    FieldId::Ipv6Dst,
    FieldId::Ipv6Src,
    FieldId::TunDst,
    FieldId::TunSrc,
    FieldId::TunIpv6Dst,
    FieldId::TunIpv6Src,
];

/// A choice among [`PREFIX_FIELDS`]. Fields that share their place (`arp_tpa` with `ip_dst`) share a
/// trie. Ports are not among them: each subtable has a trie of its own for them
/// ([`super::subtable`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixFields(u16);

impl PrefixFields {
    /// No field.
    pub const NONE: Self = Self(0);

    /// The fields of a list; `None` if one of them can have no trie.
    #[must_use]
    pub fn of(fields: &[FieldId]) -> Option<Self> {
        fields.iter().try_fold(Self::NONE, |set, field| {
            let place = field.field().place;
            let at = PREFIX_FIELDS.iter().position(|known| known.field().place == place)?;
            Some(Self(set.0 | 1 << at))
        })
    }

    /// The indices in [`PREFIX_FIELDS`].
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        let set = self.0;
        (0..PREFIX_FIELDS.len()).filter(move |at| set >> at & 1 != 0)
    }
}

/// The addresses of both IP versions.
impl Default for PrefixFields {
    fn default() -> Self {
        Self(0b1111)
    }
}

#[derive(Clone, Debug)]
enum FieldTrie {
    Narrow(PrefixTrie<u32>),
    Wide(PrefixTrie<u128>),
}

/// The tries of a table.
#[derive(Clone, Debug)]
pub(super) struct Prefixes {
    fields: PrefixFields,
    tries: [Option<Box<FieldTrie>>; PREFIX_FIELDS.len()],
}

impl Prefixes {
    pub(super) fn new(fields: PrefixFields) -> Self {
        Self { fields, tries: Default::default() }
    }

    pub(super) fn fields(&self) -> &PrefixFields {
        &self.fields
    }

    /// Adds the prefixes that a rule matches on.
    pub(super) fn insert(&mut self, shape: &Shape, matching: &Match) {
        for prefix in shape.stages.iter().flat_map(|stage| &stage.prefixes) {
            let value = left_aligned(matching.field(PREFIX_FIELDS[prefix.field]).0, prefix.field);
            let trie =
                self.tries[prefix.field].get_or_insert_with(|| Box::new(empty(prefix.field)));
            match &mut **trie {
                FieldTrie::Narrow(trie) => trie.insert(high32(value), prefix.len),
                FieldTrie::Wide(trie) => trie.insert(value, prefix.len),
            }
        }
    }

    /// Takes away the prefixes that a rule matched on.
    pub(super) fn remove(&mut self, shape: &Shape, matching: &Match) {
        for prefix in shape.stages.iter().flat_map(|stage| &stage.prefixes) {
            let value = left_aligned(matching.field(PREFIX_FIELDS[prefix.field]).0, prefix.field);
            match self.tries[prefix.field].as_deref_mut() {
                Some(FieldTrie::Narrow(trie)) => trie.remove(high32(value), prefix.len),
                Some(FieldTrie::Wide(trie)) => trie.remove(value, prefix.len),
                None => {}
            }
        }
    }

    fn lookup(&self, field: usize, key: &FlowKey) -> Option<PrefixHit> {
        let value = left_aligned(key.get(PREFIX_FIELDS[field]), field);
        Some(match self.tries[field].as_deref()? {
            FieldTrie::Narrow(trie) => trie.lookup(high32(value)),
            FieldTrie::Wide(trie) => trie.lookup(value),
        })
    }
}

fn empty(field: usize) -> FieldTrie {
    match PREFIX_FIELDS[field].field().bits {
        ..=32 => FieldTrie::Narrow(PrefixTrie::default()),
        _ => FieldTrie::Wide(PrefixTrie::default()),
    }
}

fn left_aligned(value: u128, field: usize) -> u128 {
    value << (128 - u32::from(PREFIX_FIELDS[field].field().bits))
}

/// The lower bits of narrow fields are zero.
fn high32(value: u128) -> u32 {
    (value >> 96) as u32
}

impl ShapePrefix {
    /// Makes its bits count.
    pub(super) fn unwildcard(&self, wc: &mut FlowMask) {
        let id = PREFIX_FIELDS[self.field];
        let width = u32::from(id.field().bits);
        let rest = width - u32::from(self.len).min(width);
        let ones = u128::MAX >> (128 - width);
        wc.unwildcard_bits(id, ones.checked_shr(rest).unwrap_or(0) << rest);
    }
}

/// What one look-up has learned of the tries: each is asked at most once.
pub(super) struct Asked<'a> {
    prefixes: &'a Prefixes,
    key: &'a FlowKey,
    hits: [Option<PrefixHit>; PREFIX_FIELDS.len()],
}

impl<'a> Asked<'a> {
    pub(super) fn new(prefixes: &'a Prefixes, key: &'a FlowKey) -> Self {
        Self { prefixes, key, hits: [None; PREFIX_FIELDS.len()] }
    }

    /// Whether no rule of this shape can match the packet, for no rule has such a prefix. If so,
    /// makes the bits count in `wc` that say so.
    pub(super) fn rules_out(&mut self, prefix: ShapePrefix, wc: &mut FlowMask) -> bool {
        let hit = match self.hits[prefix.field] {
            Some(hit) => hit,
            None => match self.prefixes.lookup(prefix.field, self.key) {
                Some(hit) => *self.hits[prefix.field].insert(hit),
                None => return false,
            },
        };
        let Some(bits) = hit.misses(prefix.len) else { return false };
        ShapePrefix { len: bits, ..prefix }.unwildcard(wc);
        true
    }
}

const _: () = assert!(PREFIX_FIELDS.len() <= 16 && STAGES == 4);
