//! The flows with one mask: a hash table of buckets.
//!
//! ```text
//!   bucket, 64 bytes │ 8 tags of 16 bits │ 8 flow indices │ overflow │
//! ```
//!
//! A tag is part of the hash of the masked key, never 0 (which marks a free way). A key that finds
//! its bucket full goes to the next one and counts up `overflow` in each bucket it passed; a look-up
//! goes on exactly where that count is not zero, and removal counts down, so there are no
//! tombstones. The masked key stands in the flow's slot ([`super::super::flows`]), only lanes
//! beyond the mask's first live one have rows here.
//!
//! # Cost
//!
//! Three cache lines a hit (bucket, key, flow), of which the last two are neighbours; one line a
//! miss. 64 bytes for every 3 to 6 flows.

use std::sync::Arc;

use crate::base::PortNo;
use crate::flow::{BurstKeys, FlowKey, FlowMask, Lane, LaneSet};
use crate::lookup::flows::Flows;
use crate::lookup::hash::{KeyHasher, finish, lane_sum};
use crate::lookup::simple::is_simple;

/// Ways of a bucket.
pub(super) const WAYS: usize = 8;
const MIN_BUCKETS: usize = 2;

/// The flows with one mask (and, where the mask covers it, one port of entry).
#[derive(Debug)]
pub(super) struct Subtable {
    pub(super) port: Option<PortNo>,
    pub(super) mask: Arc<FlowMask>,
    /// Whether its flows are simple ones.
    pub(super) simple: bool,
    /// The mask's live lanes, ascending; at least one.
    pub(super) live: Vec<LiveLane>,
    pub(super) buckets: Vec<Bucket>,
    /// A bucket's index is the hash shifted right by so much.
    pub(super) shift: u32,
    /// Lanes beyond the first live one, `live.len() - 1` a row.
    rows: Vec<Lane>,
    free_rows: Vec<u32>,
    pub(super) len: usize,
}

/// One live lane of a mask.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct LiveLane {
    pub(super) mask: Lane,
    pub(super) secret: Lane,
    pub(super) lane: usize,
}

/// Eight ways.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Bucket {
    pub(super) tags: [u16; WAYS],
    pub(super) flows: [u32; WAYS],
    /// How many keys that belong here or further back live further on.
    pub(super) overflow: u32,
}

impl Bucket {
    const EMPTY: Self = Self { tags: [0; WAYS], flows: [0; WAYS], overflow: 0 };
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// The part of a hash that a bucket keeps; never 0.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "16 bits of the middle of the hash")]
pub(super) const fn tag_of(hash: u64) -> u16 {
    let tag = (hash >> 16) as u16;
    if tag == 0 { 1 } else { tag }
}

impl Subtable {
    pub(super) fn new(mask: Arc<FlowMask>, port: Option<PortNo>, hasher: &KeyHasher) -> Self {
        let mut live = mask.live();
        if live == LaneSet::EMPTY {
            // A flow that matches everything: lane 0 under an empty mask.
            live = LaneSet::of(0);
        }
        let live = live
            .iter()
            .map(|lane| LiveLane { mask: *mask.lane(lane), secret: *hasher.secret(lane), lane })
            .collect();
        Self {
            port,
            simple: is_simple(&mask),
            mask,
            live,
            buckets: vec![Bucket::EMPTY; MIN_BUCKETS],
            shift: 64 - MIN_BUCKETS.ilog2(),
            rows: Vec::new(),
            free_rows: Vec::new(),
            len: 0,
        }
    }

    /// The hash of a key under this mask.
    pub(super) fn hash(&self, key: &FlowKey) -> u64 {
        finish(self.live.iter().fold(0, |sum, live| {
            sum.wrapping_add(lane_sum(&key.lane(live.lane).and(&live.mask), &live.secret))
        }))
    }

    /// The index of the bucket that a hash belongs to.
    #[inline(always)]
    pub(super) fn bucket_of(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize & (self.buckets.len() - 1)
    }

    /// The flow with this key (masked or not).
    pub(super) fn find<T>(&self, key: &FlowKey, hash: u64, flows: &Flows<T>) -> Option<u32> {
        self.candidates(hash).find(|&index| {
            let Some(slot) = flows.slot(index) else { return false };
            let mut lanes = self.live.iter();
            let same = |live: &LiveLane, lane: &Lane| key.lane(live.lane).and(&live.mask) == *lane;
            lanes.next().is_some_and(|live| same(live, &slot.key))
                && lanes.zip(self.row(slot.row)).all(|(live, lane)| same(live, lane))
        })
    }

    /// Whether the further lanes of the flow in `row` are those of the packet in `slot`.
    #[inline]
    pub(super) fn same_rest(&self, row: u32, keys: &BurstKeys, slot: usize) -> bool {
        self.live
            .iter()
            .skip(1)
            .zip(self.row(row))
            .all(|(live, lane)| keys.get(slot, live.lane).and(&live.mask) == *lane)
    }

    /// Flows whose tag is that of `hash`, in the buckets where it may live.
    pub(super) fn candidates(&self, hash: u64) -> impl Iterator<Item = u32> {
        let tag = tag_of(hash);
        let mut go_on = true;
        self.from(self.bucket_of(hash))
            .take_while(move |(_, bucket)| core::mem::replace(&mut go_on, bucket.overflow != 0))
            .flat_map(move |(_, bucket)| {
                bucket.tags.iter().zip(&bucket.flows).filter(move |&(&other, _)| other == tag)
            })
            .map(|(_, &flow)| flow)
    }

    /// All buckets once, from `first` onwards.
    fn from(&self, first: usize) -> impl Iterator<Item = (usize, &Bucket)> {
        let (front, back) = self.buckets.split_at(first.min(self.buckets.len()));
        let back = back.iter().enumerate().map(move |(index, bucket)| (first + index, bucket));
        back.chain(front.iter().enumerate())
    }

    /// Stores the lanes beyond the first of a masked key; returns the row.
    pub(super) fn add_row(&mut self, masked: &FlowKey) -> Option<u32> {
        let lanes = self.live.len() - 1;
        if lanes == 0 {
            return Some(0);
        }
        let row = match self.free_rows.pop() {
            Some(row) => row,
            None => {
                let row = u32::try_from(self.rows.len() / lanes).ok()?;
                self.rows.resize(self.rows.len() + lanes, Lane::ZERO);
                row
            }
        };
        let from = row as usize * lanes;
        for (to, live) in self.rows.iter_mut().skip(from).zip(self.live.iter().skip(1)) {
            *to = *masked.lane(live.lane);
        }
        Some(row)
    }

    /// The lanes beyond the first live one of the flow in this row.
    pub(super) fn row(&self, row: u32) -> &[Lane] {
        let lanes = self.live.len() - 1;
        let from = row as usize * lanes;
        self.rows.get(from..from + lanes).unwrap_or_default()
    }

    /// The masked key of the flow whose slot has this first lane and row.
    pub(super) fn key(&self, first: &Lane, row: u32) -> FlowKey {
        let mut key = FlowKey::EMPTY;
        for (live, lane) in self.live.iter().zip(core::iter::once(first).chain(self.row(row))) {
            *key.lane_mut(live.lane) = *lane;
        }
        key
    }

    /// Adds a flow that is not there. `hash_of` gives the hash of flows that are, for growing.
    pub(super) fn insert(&mut self, hash: u64, flow: u32, hash_of: impl Fn(u32) -> u64) {
        // Seven eighths of a bucket on average would make chains; six are well below.
        if (self.len + 1) * 4 > self.buckets.len() * WAYS * 3 {
            self.resize(self.buckets.len() * 2, hash_of);
        }
        self.place(hash, flow);
        self.len += 1;
    }

    fn place(&mut self, hash: u64, flow: u32) {
        let count = self.buckets.len();
        let mut at = self.bucket_of(hash);
        for _ in 0..count {
            let Some(bucket) = self.buckets.get_mut(at) else { return };
            let mut ways = bucket.tags.iter_mut().zip(&mut bucket.flows);
            if let Some((tag, place)) = ways.find(|(tag, _)| **tag == 0) {
                (*tag, *place) = (tag_of(hash), flow);
                return;
            }
            bucket.overflow += 1;
            at = (at + 1) & (count - 1);
        }
    }

    /// Takes a flow out; `row` is given up with it.
    pub(super) fn remove(&mut self, hash: u64, flow: u32, row: u32) {
        let found = self.from(self.bucket_of(hash)).position(|(_, bucket)| {
            bucket.tags.iter().zip(&bucket.flows).any(|(&tag, &at)| tag != 0 && at == flow)
        });
        let Some(passed) = found else { return };
        let (first, count) = (self.bucket_of(hash), self.buckets.len());
        for step in 0..=passed {
            let Some(bucket) = self.buckets.get_mut((first + step) & (count - 1)) else { continue };
            if step < passed {
                bucket.overflow -= 1;
                continue;
            }
            for (tag, at) in bucket.tags.iter_mut().zip(&bucket.flows) {
                if *tag != 0 && *at == flow {
                    *tag = 0;
                }
            }
        }
        if self.live.len() > 1 {
            self.free_rows.push(row);
        }
        self.len -= 1;
    }

    fn resize(&mut self, buckets: usize, hash_of: impl Fn(u32) -> u64) {
        let old = core::mem::replace(&mut self.buckets, vec![Bucket::EMPTY; buckets]);
        self.shift = 64 - buckets.ilog2();
        for bucket in &old {
            for (_, &flow) in bucket.tags.iter().zip(&bucket.flows).filter(|&(&tag, _)| tag != 0) {
                self.place(hash_of(flow), flow);
            }
        }
    }
}
