//! Groups: all buckets, the one, the first alive, or one that a hash chooses.

use std::sync::Arc;

use dp_core::action::HashAlgorithm;
use dp_core::flow::{FieldId, layout};

use super::action_set::in_set_order;
use super::context::boxed;
use super::effect::Effect;
use super::hash::{hash_bytes, hash_two, murmur_add, murmur_finish};
use super::{Context, Part};
use crate::group::{Bucket, Group, GroupId, GroupKind, SelectionMethod};

impl Context<'_> {
    #[inline(never)]
    pub(super) fn group(&mut self, id: u32, last: bool) {
        let Some(group) = self.view.tables.group(GroupId(id)).map(Arc::clone) else {
            // Rules are refused that name a group which is not there, and go with it; buckets are not.
            self.warn(format_args!("output to nonexistent group {id}"));
            return;
        };
        if !self.count_resubmit() {
            return;
        }
        if self.depth >= self.view.config.limits.depth {
            let depth = self.view.config.limits.depth;
            self.fail(super::TranslateError::TooDeep);
            let text = format_args!("over max translation depth {depth}");
            self.recorder.note(super::Weight::Error, text);
            return;
        }
        let was = std::mem::replace(&mut self.in_group, true);
        match group.kind {
            GroupKind::All | GroupKind::Indirect => {
                self.effects.push(Effect::Count(Arc::clone(&group.stats)));
                for (at, bucket) in group.buckets.iter().enumerate() {
                    self.bucket(bucket, last && at + 1 == group.buckets.len());
                    if self.error.is_some() {
                        break;
                    }
                }
            }
            GroupKind::FastFailover => {
                let first = group.buckets.iter().find(|bucket| self.alive(bucket, 0));
                self.chosen(&group, first, last);
            }
            GroupKind::Select => self.select(&group, last),
        }
        self.in_group = was;
    }

    /// What a bucket does ends with it.
    fn bucket(&mut self, bucket: &Bucket, last: bool) {
        self.effects.push(Effect::Count(Arc::clone(&bucket.stats)));
        let actions = in_set_order(&bucket.actions);
        let flow = boxed(&self.flow);
        let mpls = self.was_mpls;
        let tracked = self.conntracked;
        self.recorder.enter(Part::Bucket(bucket.id));
        self.depth += 1;
        let run = |context: &mut Self, last| {
            context.walk(&actions, last);
            if context.freezing.is_some() {
                context.finish_freezing();
            }
        };
        if last || Self::reversible(&actions) {
            run(self, last);
        } else {
            self.in_clone(|context| run(context, true));
        }
        self.depth -= 1;
        self.recorder.leave();
        // An exit in a bucket ends the bucket.
        self.exit = false;
        self.flow.clone_from(&flow);
        self.was_mpls = mpls;
        self.conntracked = tracked;
    }

    fn chosen(&mut self, group: &Group, bucket: Option<&Bucket>, last: bool) {
        match bucket {
            Some(bucket) => {
                self.note(format_args!("using bucket {}", bucket.id));
                self.effects.push(Effect::Count(Arc::clone(&group.stats)));
                self.bucket(bucket, last);
            }
            None => self.note(format_args!("no live bucket")),
        }
    }

    /// Whether a bucket works: what it watches is up.
    fn alive(&self, bucket: &Bucket, depth: u32) -> bool {
        if bucket.watch_port.is_none() && bucket.watch_group.is_none() {
            return true;
        }
        let port = bucket
            .watch_port
            .and_then(|port| self.view.ports.get(port))
            .is_some_and(|port| port.up);
        let group = depth < MAX_WATCH_DEPTH
            && bucket.watch_group.and_then(|id| self.view.tables.group(id)).is_some_and(|group| {
                group.buckets.iter().any(|bucket| self.alive(bucket, depth + 1))
            });
        port || group
    }

    fn select(&mut self, group: &Group, last: bool) {
        let method = group.selection.method;
        let slots = match method {
            SelectionMethod::Hash => None,
            SelectionMethod::DpHash => Slots::new(&group.buckets, MAX_SLOTS),
            SelectionMethod::Default => Slots::new(&group.buckets, DEFAULT_SLOTS),
        };
        let Some(slots) = slots else {
            let basis = match method {
                SelectionMethod::Hash if !group.selection.fields.is_empty() => {
                    self.hash_fields(group)
                }
                _ => self.hash_symmetric(),
            };
            let best = self.best_bucket(group, basis);
            self.chosen(group, best.and_then(|at| group.buckets.get(at)), last);
            return;
        };
        let hash = self.flow.load(layout::DP_HASH);
        if hash == 0 {
            let (mut algorithm, basis) = datapath_hash(group);
            if self.world.features.max_hash == 0 {
                algorithm = HashAlgorithm::L4;
            }
            self.note(format_args!("no live bucket"));
            self.freeze_for_hash(algorithm, basis);
            return;
        }
        let hash = u32::try_from(hash).unwrap_or(0);
        self.wc.unwildcard_bits(FieldId::DpHash, u128::from(slots.mask));
        let start = hash & slots.mask;
        // Where the bucket of this slot is down, that of the next one that works takes over.
        let found = (0..=slots.mask).find_map(|step| {
            let slot = (start + step) & slots.mask;
            let bucket = group.buckets.get(*slots.buckets.get(slot as usize)?)?;
            self.alive(bucket, 0).then_some(bucket)
        });
        self.chosen(group, found, last);
    }

    /// The bucket with the highest score: a hash of its own times its weight.
    fn best_bucket(&mut self, group: &Group, basis: u32) -> Option<usize> {
        let mut best: Option<(usize, u32)> = None;
        for (at, bucket) in group.buckets.iter().enumerate() {
            if !self.alive(bucket, 0) {
                self.note(format_args!("bucket {} is not live", bucket.id));
                continue;
            }
            let score =
                (hash_two(bucket.id, basis) & 0xffff).wrapping_mul(u32::from(bucket.weight));
            self.note(format_args!("bucket {}: score {score}", bucket.id));
            if best.is_none_or(|(_, top)| score > top) && (bucket.weight != 0) {
                best = Some((at, score));
            }
        }
        best.map(|(at, _)| at)
    }

    fn hash_fields(&mut self, group: &Group) -> u32 {
        let param = group.selection.param;
        let half = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0);
        let words = murmur_add(murmur_add(0, half(param)), half(param >> 32));
        let mut basis = murmur_finish(words, 8);
        for &(field, mask) in &group.selection.fields {
            let row = field.field();
            if !self.has(row.prereq) {
                continue;
            }
            if let Some(number) = field.tun_metadata_number() {
                self.wc.unwildcard_wide(field, mask);
                basis = hash_bytes(&(self.flow.get_wide(field) & mask).bytes(), basis);
                // And whether it is there.
                let present = self.flow.load(layout::TUN_METADATA_PRESENT) >> number & 1 != 0;
                let says = if present { 0xc2b7_3583 } else { 0xe90f_1258 };
                basis = says ^ basis.rotate_left(1);
                continue;
            }
            let mask = mask.low();
            let value = match field {
                // In OpenFlow a VID comes with the bit that says that it is there.
                FieldId::VlanVid => self.flow.load(layout::VLAN_TCI) & mask,
                // It has no mask, and reserved ports have longer numbers since OpenFlow 1.1.
                FieldId::InPortOxm => match self.flow.get(FieldId::InPort) {
                    port if port >= 0xff00 => port | 0xffff_0000,
                    port => port,
                },
                _ => self.flow.get(field) & mask,
            };
            self.wc.unwildcard_bits(field, mask);
            let len = usize::from(row.wire_len).min(16);
            let bytes = value.to_be_bytes();
            basis = hash_bytes(bytes.get(16 - len..).unwrap_or_default(), basis);
        }
        basis
    }

    fn hash_symmetric(&mut self) -> u32 {
        let fields = crate::action::HashFields::SymmetricL4;
        super::hash::unwildcard_hashed(&mut self.wc, &self.flow, fields);
        super::hash::hash_flow(&self.flow, fields, 0)
    }
}

/// What the datapath hashes by: the parameter's upper half names it, the lower half starts it.
fn datapath_hash(group: &Group) -> (HashAlgorithm, u32) {
    let param = group.selection.param;
    let basis = u32::try_from(param & 0xffff_ffff).unwrap_or(0);
    match (group.selection.method, param >> 32) {
        (SelectionMethod::DpHash, 0) => (HashAlgorithm::L4, basis),
        (SelectionMethod::DpHash, _) => (HashAlgorithm::SymL4, basis),
        _ => (HashAlgorithm::SymL4, 0),
    }
}

const MAX_WATCH_DEPTH: u32 = 16;
/// Slots at most for groups that ask for `dp_hash`, and for those that ask for nothing.
const MAX_SLOTS: usize = 256;
const DEFAULT_SLOTS: usize = 64;
const MIN_SLOTS: usize = 16;

/// Which bucket each value of the lower bits of a hash is for: in proportion to the weights, by the
/// method of Sainte-Laguë.
struct Slots {
    mask: u32,
    buckets: Vec<usize>,
}

impl Slots {
    /// `None` if so few slots cannot give every bucket its share.
    fn new(buckets: &[Bucket], max: usize) -> Option<Self> {
        let weights = || buckets.iter().map(|bucket| u64::from(bucket.weight)).filter(|&w| w > 0);
        let min = weights().min()?;
        let total: u64 = weights().sum();
        let wanted = usize::try_from(total.div_ceil(min)).ok()?;
        let count = wanted.max(MIN_SLOTS).checked_next_power_of_two()?;
        if wanted > max || count > MAX_SLOTS {
            return None;
        }
        let mut seats = vec![0u64; buckets.len()];
        let mut table = Vec::with_capacity(count);
        for _ in 0..count {
            // weight / (2 seats + 1) is compared crosswise.
            let winner = buckets
                .iter()
                .enumerate()
                .filter(|(_, bucket)| bucket.weight > 0)
                .reduce(|best, next| {
                    let share =
                        |(at, _): (usize, &Bucket)| 2 * seats.get(at).copied().unwrap_or(0) + 1;
                    let better = u64::from(next.1.weight) * share(best)
                        > u64::from(best.1.weight) * share(next);
                    if better { next } else { best }
                })
                .map(|(at, _)| at)?;
            if let Some(seats) = seats.get_mut(winner) {
                *seats += 1;
            }
            table.push(winner);
        }
        Some(Self { mask: u32::try_from(count - 1).ok()?, buckets: table })
    }
}
