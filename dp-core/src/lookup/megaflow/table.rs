//! [`Megaflows`]: insertion, removal and look-up over subtables and rankings.

use core::ops::Range;
use std::collections::HashMap;
use std::sync::Arc;

use super::kernels;
#[cfg(target_arch = "x86_64")]
use super::kernels_unsafe;
use super::rank::Ranking;
use super::subtable::Subtable;
use super::widen::widen;
use crate::base::{Instant, PortNo, Ufid, Vectors};
use crate::flow::key::ufid;
use crate::flow::{BurstKeys, FlowKey, FlowMask, Lane, layout};
use crate::lookup::flows::{BurstFlows, FlowRef, Flows};
use crate::lookup::hash::KeyHasher;
use crate::lookup::kernel::Kernel;
use crate::lookup::simple::is_simple;
use crate::packet::Slots;

type Map<K, V> = HashMap<K, V, ahash::RandomState>;

/// The megaflows of one packet thread; each carries a `T`.
#[derive(Debug)]
pub struct Megaflows<T> {
    flows: Flows<T>,
    /// What a look-up does not need, by flow slot.
    cold: Vec<Cold>,
    by_ufid: Map<Ufid, u32>,
    /// By id; `None` where one has been removed.
    subtables: Vec<Option<Subtable>>,
    /// By id, for those who have a flow and want to know whether a packet matches it.
    fronts: Vec<Front>,
    /// The bits of lane 0 that every mask counts, or fewer: masks that have gone may have taken some.
    common: Lane,
    common_is_stale: bool,
    by_mask: Map<(Arc<FlowMask>, Option<PortNo>), u32>,
    /// Subtables of flows that match one port of entry, by port.
    ports: Map<PortNo, Ranking>,
    /// Subtables of flows that match any port of entry.
    any: Ranking,
    hasher: KeyHasher,
    kernel: Kernel,
    limits: Limits,
}

/// Bounds of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows at most.
    pub flows: usize,
    /// Masks at most, each counted once a port of entry.
    pub masks: usize,
    /// Masks of one port of entry at most; flows with further ones get a wider mask (`widen`).
    pub budget: usize,
}

/// What an insertion has done.
#[derive(Debug, PartialEq, Eq)]
pub struct Inserted<T> {
    /// The flow.
    pub flow: FlowRef,
    /// Its id: another than that of the mask that was given, if that has been widened.
    pub ufid: Ufid,
    /// What a flow with the same key and mask carried before.
    pub replaced: Option<T>,
}

/// Why a flow is not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// As many flows as allowed.
    Flows,
    /// As many masks as allowed, and this one is new.
    Masks,
}

/// What a look-up of a burst found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Slots whose flow was found.
    pub hits: Slots,
    /// Subtables asked, summed over the packets.
    pub probes: u64,
}

/// A flow as a dump sees it.
#[derive(Debug)]
pub struct Megaflow<'a, T> {
    /// Its id.
    pub ufid: Ufid,
    /// What caches keep of it.
    pub flow: FlowRef,
    /// Its mask.
    pub mask: &'a Arc<FlowMask>,
    /// What it carries.
    pub value: &'a T,
    subtable: &'a Subtable,
    flows: &'a Flows<T>,
}

impl<T> Megaflow<'_, T> {
    /// The masked key.
    #[must_use]
    pub fn key(&self) -> FlowKey {
        self.flows
            .slot(self.flow.index)
            .map_or(FlowKey::EMPTY, |slot| self.subtable.key(&slot.key, slot.row))
    }
}

/// The beginning of a subtable's mask.
#[derive(Clone, Debug)]
pub(in crate::lookup) struct Front {
    pub(in crate::lookup) mask: Lane,
    /// The lane that it stands for: the first live one.
    pub(in crate::lookup) lane: usize,
    /// There are further ones.
    pub(in crate::lookup) more: bool,
    /// There is one further one: lane 1.
    pub(in crate::lookup) second: bool,
}

/// All bits: what no mask at all has in common.
const EVERYTHING: Lane = Lane([u64::MAX; 8]);

#[derive(Clone, Copy, Debug)]
struct Cold {
    ufid: Ufid,
    hash: u64,
    subtable: u32,
}

impl<T> Megaflows<T> {
    /// An empty table. `seed` keys its hashes.
    #[must_use]
    pub fn new(limits: Limits, seed: u64, kernel: Kernel) -> Self {
        let state = |salt: u64| ahash::RandomState::with_seeds(seed, salt, !seed, salt ^ seed);
        Self {
            flows: Flows::default(),
            cold: Vec::new(),
            by_ufid: Map::with_hasher(state(1)),
            subtables: Vec::new(),
            fronts: Vec::new(),
            common: EVERYTHING,
            common_is_stale: false,
            by_mask: Map::with_hasher(state(2)),
            ports: Map::with_hasher(state(3)),
            any: Ranking::default(),
            hasher: KeyHasher::new(seed.rotate_left(17) ^ 0x6d65_6761),
            kernel,
            limits,
        }
    }

    /// The flows, for caches that keep references to them.
    #[inline(always)]
    #[must_use]
    pub const fn flows(&self) -> &Flows<T> {
        &self.flows
    }

    /// What a flow carries, if it is still there.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, flow: FlowRef) -> Option<&T> {
        self.flows.get(flow)
    }

    /// What a flow carries, to be changed.
    #[inline(always)]
    #[must_use]
    pub fn get_mut(&mut self, flow: FlowRef) -> Option<&mut T> {
        self.flows.get_mut(flow)
    }

    /// How many flows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_ufid.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_ufid.is_empty()
    }

    /// How many masks are in use, each counted once a port of entry.
    #[must_use]
    pub fn masks(&self) -> usize {
        self.by_mask.len()
    }

    /// Changes the bounds; what is there stays.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Finds the flows of the packets in `want`.
    pub fn lookup(&mut self, keys: &BurstKeys, want: Slots, found: &mut BurstFlows) -> Looked {
        let mut out = Looked::default();
        let walk =
            Walk { subtables: &self.subtables, kernel: self.kernel, flows: &self.flows, keys };
        let mut left = want;
        while let Some(slot) = left.lowest() {
            // Nearly always one round: a burst comes from one port.
            let port = port_of(keys, slot);
            let mut here = Slots::NONE;
            for other in left.iter().filter(|&other| port_of(keys, other) == port) {
                here.insert(other);
            }
            left = left.without(here);
            if let Some(ranking) = self.ports.get_mut(&port) {
                walk.ranking(ranking, here, found, &mut out);
            }
        }
        let misses = want.without(out.hits);
        if !misses.is_empty() && !self.any.order.is_empty() {
            walk.ranking(&mut self.any, misses, found, &mut out);
        }
        out
    }

    /// Finds the flow of one key.
    #[must_use]
    pub fn lookup_key(&self, key: &FlowKey) -> Option<FlowRef> {
        let port = self.ports.get(&key.in_port());
        port.into_iter().chain(Some(&self.any)).flat_map(|ranking| &ranking.order).find_map(
            |ranked| {
                let table = self.subtables.get(ranked.subtable as usize)?.as_ref()?;
                let index = table.find(key, table.hash(key), &self.flows)?;
                self.flow_ref(index)
            },
        )
    }

    /// Finds the flow with this id.
    #[must_use]
    pub fn lookup_ufid(&self, ufid: Ufid) -> Option<FlowRef> {
        self.flow_ref(*self.by_ufid.get(&ufid)?)
    }

    /// The id that a flow with this key and mask has here.
    #[must_use]
    pub fn id(key: &FlowKey, mask: &FlowMask) -> Ufid {
        let mask = packet_lanes(mask);
        ufid(&key.masked(&mask), &mask)
    }

    fn flow_ref(&self, index: u32) -> Option<FlowRef> {
        let generation = self.flows.slot(index)?.generation;
        Some(FlowRef { index, generation })
    }

    /// Installs a flow; one with the same mask and masked key is replaced and given back. Lanes
    /// that no packet has do not count.
    ///
    /// # Errors
    ///
    /// When a bound is reached; `value` is dropped.
    pub fn insert(
        &mut self,
        key: &FlowKey,
        mask: &FlowMask,
        value: T,
    ) -> Result<Inserted<T>, InsertError> {
        let mut mask = packet_lanes(mask);
        let whole_port = mask.load(layout::IN_PORT) == u128::from(u32::MAX);
        let port = whole_port.then(|| key.in_port());
        if let Some(wider) = self.beyond_budget(key, &mask, port) {
            mask = wider;
        }
        let masked = key.masked(&mask);
        let id = ufid(&masked, &mask);
        if let Some(flow) = self.lookup_ufid(id)
            && let Some(place) = self.flows.get_mut(flow)
        {
            let replaced = Some(core::mem::replace(place, value));
            return Ok(Inserted { flow, ufid: id, replaced });
        }
        if self.len() >= self.limits.flows {
            return Err(InsertError::Flows);
        }
        let subtable = self.subtable_for(mask, port)?;
        self.insert_into(subtable, &masked, id, value).ok_or(InsertError::Flows)
    }

    /// The mask that a flow gets whose own would be one too many for its port of entry.
    fn beyond_budget(
        &self,
        key: &FlowKey,
        mask: &FlowMask,
        port: Option<PortNo>,
    ) -> Option<FlowMask> {
        let ranking = match port {
            Some(port) => self.ports.get(&port)?,
            None => &self.any,
        };
        if ranking.order.len() < self.limits.budget {
            return None;
        }
        // One lookup more where masks are many; one that is there is no further one.
        if self.by_mask.contains_key(&(Arc::new(mask.clone()), port)) {
            return None;
        }
        let wider = widen(key, mask, ranking, &self.subtables);
        // A flow for any port of entry stays one.
        (port.is_some() || wider.load(layout::IN_PORT) != u128::from(u32::MAX)).then_some(wider)
    }

    /// Whether the packet in `slot` matches the flow with this index, if there is one.
    #[inline]
    #[must_use]
    pub fn matches(&self, index: u32, keys: &BurstKeys, slot: usize) -> bool {
        let Some((front, first)) = self.front(index) else { return false };
        keys.get(slot, front.lane).and(&front.mask) == *first
            && (!front.more || self.matches_rest(index, keys, slot))
    }

    /// Whether the lanes of the packet in `slot` beyond the first live one match the flow with this
    /// index.
    #[must_use]
    pub fn matches_rest(&self, index: u32, keys: &BurstKeys, slot: usize) -> bool {
        let Some(flow) = self.flows.slot(index) else { return false };
        let table = self.subtables.get(flow.table as usize).and_then(Option::as_ref);
        table.is_some_and(|table| table.same_rest(flow.row, keys, slot))
    }

    /// The beginning of the mask and of the masked key of the flow with this index, if there is one.
    #[inline(always)]
    pub(in crate::lookup) fn front(&self, index: u32) -> Option<(&Front, &Lane)> {
        let flow = self.flows.slot(index)?;
        // A slot without a flow names no subtable.
        Some((self.fronts.get(flow.table as usize)?, &flow.key))
    }

    /// The second lane of the mask and of the masked key of a flow that has two.
    #[inline(always)]
    pub(in crate::lookup) fn second(&self, index: u32) -> Option<(&Lane, &Lane)> {
        let flow = self.flows.slot(index)?;
        let table = self.subtables.get(flow.table as usize)?.as_ref()?;
        Some((&table.live.get(1)?.mask, table.row(flow.row).first()?))
    }

    /// Bits of lane 0 that every mask counts.
    #[inline(always)]
    pub(in crate::lookup) const fn common(&self) -> &Lane {
        &self.common
    }

    /// Whether all flows that packets from this port of entry can match are simple ones
    /// ([`crate::lookup::simple`]), and there are any.
    #[inline]
    #[must_use]
    pub fn is_simple(&self, port: PortNo) -> bool {
        self.any.order.is_empty() && self.ports.get(&port).is_some_and(Ranking::is_simple)
    }

    /// Whether a flow is a simple one.
    #[must_use]
    pub fn has_simple_mask(&self, index: u32) -> bool {
        self.cold
            .get(index as usize)
            .and_then(|cold| self.subtables.get(cold.subtable as usize)?.as_ref())
            .is_some_and(|table| table.simple)
    }

    /// From now on this kernel does the look-ups.
    pub fn set_kernel(&mut self, kernel: Kernel) {
        self.kernel = kernel;
    }

    /// How many subtables there are.
    #[must_use]
    pub fn subtable_count(&self) -> usize {
        self.by_mask.len()
    }

    fn insert_into(
        &mut self,
        id: u32,
        masked: &FlowKey,
        ufid: Ufid,
        value: T,
    ) -> Option<Inserted<T>> {
        let table = self.subtables.get_mut(id as usize)?.as_mut()?;
        let hash = table.hash(masked);
        let row = table.add_row(masked)?;
        let first = table.live.first().map(|live| *masked.lane(live.lane))?;
        let flow = self.flows.insert(first, (id, row), value)?;
        let cold = Cold { ufid, hash, subtable: id };
        match self.cold.get_mut(flow.index as usize) {
            Some(place) => *place = cold,
            None => self.cold.push(cold),
        }
        let hashes = &self.cold;
        table
            .insert(hash, flow.index, |flow| hashes.get(flow as usize).map_or(0, |cold| cold.hash));
        self.by_ufid.insert(ufid, flow.index);
        Some(Inserted { flow, ufid, replaced: None })
    }

    /// The subtable for a mask, made if there is none yet.
    fn subtable_for(&mut self, mask: FlowMask, port: Option<PortNo>) -> Result<u32, InsertError> {
        let mask = Arc::new(mask);
        if let Some(&id) = self.by_mask.get(&(Arc::clone(&mask), port)) {
            return Ok(id);
        }
        if self.masks() >= self.limits.masks {
            return Err(InsertError::Masks);
        }
        let table = Subtable::new(Arc::clone(&mask), port, &self.hasher);
        let at = match self.subtables.iter().position(Option::is_none) {
            Some(at) => at,
            None => {
                self.subtables.push(None);
                self.subtables.len() - 1
            }
        };
        let id = u32::try_from(at).map_err(|_| InsertError::Masks)?;
        if let Some(first) = table.live.first() {
            let (mask, lane) = (first.mask, first.lane);
            let second = matches!(&*table.live, [_, only] if only.lane == 1);
            let front = Front { mask, lane, more: table.live.len() > 1, second };
            match self.fronts.get_mut(at) {
                Some(place) => *place = front,
                None => self.fronts.push(front),
            }
        }
        self.common = self.common.and(mask.lane(0));
        if let Some(place) = self.subtables.get_mut(at) {
            *place = Some(table);
        }
        let simple = is_simple(&mask);
        self.by_mask.insert((mask, port), id);
        match port {
            Some(port) => self.ports.entry(port).or_default().add(id, simple),
            None => self.any.add(id, simple),
        }
        Ok(id)
    }

    /// Removes a flow; whatever refers to it will find nothing.
    pub fn remove(&mut self, ufid: Ufid) -> Option<T> {
        let index = self.by_ufid.remove(&ufid)?;
        let cold = *self.cold.get(index as usize)?;
        let row = self.flows.slot(index)?.row;
        let table = self.subtables.get_mut(cold.subtable as usize)?.as_mut()?;
        table.remove(cold.hash, index, row);
        if table.len == 0 {
            self.drop_subtable(cold.subtable);
        }
        self.flows.remove(index)
    }

    fn drop_subtable(&mut self, id: u32) {
        let Some(table) = self.subtables.get_mut(id as usize).and_then(Option::take) else {
            return;
        };
        self.common_is_stale = true;
        self.by_mask.remove(&(table.mask, table.port));
        match table.port {
            None => self.any.remove(id, table.simple),
            Some(port) => {
                if let Some(ranking) = self.ports.get_mut(&port) {
                    ranking.remove(id, table.simple);
                    if ranking.order.is_empty() {
                        self.ports.remove(&port);
                    }
                }
            }
        }
    }

    /// Removes all flows; returns how many there were.
    pub fn clear(&mut self) -> usize {
        let ufids: Vec<Ufid> = self.by_ufid.keys().copied().collect();
        ufids.into_iter().filter(|&ufid| self.remove(ufid).is_some()).count()
    }

    /// All flows, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Megaflow<'_, T>> {
        self.range(0..self.flows.slot_count())
    }

    /// The megaflows in a range of slots of [`Self::flows`]: for walks that pause between parts. A
    /// megaflow that is there all the time is seen once, one that comes or goes meanwhile at most
    /// once.
    pub fn range(&self, slots: Range<u32>) -> impl Iterator<Item = Megaflow<'_, T>> {
        self.flows.range(slots).filter_map(|(flow, value)| {
            let cold = self.cold.get(flow.index as usize)?;
            let subtable = self.subtables.get(cold.subtable as usize)?.as_ref()?;
            let mask = &subtable.mask;
            Some(Megaflow { ufid: cold.ufid, flow, mask, value, subtable, flows: &self.flows })
        })
    }

    /// Reconsiders the order of subtables where that is due.
    pub fn sort(&mut self, now: Instant) {
        if core::mem::take(&mut self.common_is_stale) {
            let masks = self.subtables.iter().flatten().map(|table| table.mask.lane(0));
            self.common = masks.fold(EVERYTHING, |common, mask| common.and(mask));
        }
        self.any.sort(now);
        for ranking in self.ports.values_mut() {
            ranking.sort(now);
        }
    }
}

/// What a look-up reads.
struct Walk<'a, T> {
    subtables: &'a [Option<Subtable>],
    kernel: Kernel,
    flows: &'a Flows<T>,
    keys: &'a BurstKeys,
}

impl<T> Walk<'_, T> {
    /// Asks the subtables of a ranking, one after another, for what is still missing.
    fn ranking(
        &self,
        ranking: &mut Ranking,
        want: Slots,
        found: &mut BurstFlows,
        out: &mut Looked,
    ) {
        let mut left = want;
        for ranked in &mut ranking.order {
            if left.is_empty() {
                return;
            }
            let Some(Some(table)) = self.subtables.get(ranked.subtable as usize) else { continue };
            out.probes += left.len() as u64;
            let hits = probe(self.kernel, table, self.keys, left, self.flows, found);
            ranked.hits += hits.len() as u64;
            out.hits = out.hits.or(hits);
            left = left.without(hits);
        }
    }
}

#[inline(always)]
fn probe<T>(
    kernel: Kernel,
    table: &Subtable,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    found: &mut BurstFlows,
) -> Slots {
    match kernel {
        Kernel::Portable => kernels::probe(table, keys, want, flows, found),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2(proof) => kernels_unsafe::probe_avx2(proof, table, keys, want, flows, found),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512(proof) => {
            kernels_unsafe::probe_avx512(proof, table, keys, want, flows, found)
        }
        #[cfg(not(target_arch = "x86_64"))]
        Kernel::Avx2(_) | Kernel::Avx512(_) => kernels::probe(table, keys, want, flows, found),
        Kernel::Autovalidate(vectors) => validate(vectors, table, keys, want, flows, found),
    }
}

/// Asks every kernel; the portable one's answer counts.
#[cold]
fn validate<T>(
    vectors: Vectors,
    table: &Subtable,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    found: &mut BurstFlows,
) -> Slots {
    let before = found.clone();
    let expected = kernels::probe(table, keys, want, flows, found);
    for kernel in [vectors.avx2.map(Kernel::Avx2), vectors.avx512.map(Kernel::Avx512)] {
        let Some(kernel) = kernel else { continue };
        let mut theirs = before.clone();
        if probe(kernel, table, keys, want, flows, &mut theirs) != expected || theirs != *found {
            crate::sync::disagree("subtable");
        }
    }
    expected
}

/// The port of entry in the key of `slot`.
#[inline(always)]
fn port_of(keys: &BurstKeys, slot: usize) -> PortNo {
    let bytes = keys.get(slot, 0).bytes();
    PortNo(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

const _: () = assert!(layout::IN_PORT.offset == 0 && layout::IN_PORT.len == 4);

/// The mask without lanes that no packet has.
fn packet_lanes(mask: &FlowMask) -> FlowMask {
    let mut out = FlowMask::EMPTY;
    for lane in mask.live().iter().filter(|&lane| lane < crate::flow::PACKET_LANES) {
        *out.lane_mut(lane) = *mask.lane(lane);
    }
    out
}
