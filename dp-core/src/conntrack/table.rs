//! Where connections are found: a sharded hash table that is read without a lock.
//!
//! ```text
//!   hash ─► shard (8 bits) ─► bucket: 7 entries of (tag 32, index 32) │ how many went on to the next
//!                                            │
//!                                            ▼
//!                                  Record in an array that never moves
//! ```
//!
//! An entry is the high half of the hash and the number of a record. A shard that has become too
//! full makes an array of buckets twice as large and copies its entries into it; tags hold all that
//! this needs, so no record is touched, and the largest copy is that of one shard in 256. A reader
//! that still looks at the former array misses what is new, and asks again under the lock before he
//! makes a connection. Former arrays are kept: together they are as large as the one in use.
//!
//! # Threads
//!
//! Readers take no lock. Writers lock the shard of the hash; connections with two hashes lock two,
//! the lower number first. Records that have been given back rest for a moment ([`REST`]), so that a
//! thread which found one does not see it become another's between two looks.
//!
//! # Cost
//!
//! A look-up touches two words of the shard, one bucket and the record's first line. Memory: 128
//! bytes a record and 8 to 40 for its entries, former arrays counted.

use std::collections::VecDeque;
use std::sync::OnceLock;

use zerocopy::FromZeros;

use super::record::Record;
use crate::base::{Instant, prefetch};
use crate::sync::{Guard, Locked, Segments, Word32, Word64};

const SHARDS: usize = 256;
const SLOTS: usize = 7;
/// Buckets of a shard's first array.
const FIRST: usize = 2;
const LEVELS: usize = 26;
/// Buckets looked at beyond the first.
const REACH: usize = 8;
/// Fresh records that a shard takes at a time.
const STOCK: u32 = 16;
/// How long a record rests before it is used again, in nanoseconds.
const REST: u64 = 2_000_000;

#[derive(Debug, FromZeros)]
#[repr(C, align(64))]
struct Bucket {
    /// Tag in the high half, one more than the record's index in the low one; 0 is free.
    slots: [Word64; SLOTS],
    /// Entries that belong here and stand in a later bucket.
    overflow: Word64,
}

/// The arrays of buckets of all shards that are of one size.
#[derive(Debug)]
struct Level([OnceLock<Box<[Bucket]>>; SHARDS]);

/// What writers of a shard share, on a line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(Locked<Writer>);

/// What only who holds the shard's lock sees.
#[derive(Debug, Default)]
pub(super) struct Writer {
    entries: usize,
    /// Connections that began here.
    begun: u64,
    /// Records given back, and since when they rest.
    resting: VecDeque<(u32, u64)>,
    /// Records that were never used.
    fresh: Vec<u32>,
}

/// The table and the records.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Shard]>,
    /// Which level each shard's array in use is of. With the arrays' addresses all that look-ups read
    /// of the shards, so it stands close together.
    in_use: Box<[Word32; SHARDS]>,
    levels: Box<[Level]>,
    records: Segments<Record>,
    /// Records handed out so far.
    used: Word32,
}

/// Shards that a writer has locked.
pub(super) struct Locks<'a> {
    first: (usize, Guard<'a, Writer>),
    second: Option<(usize, Guard<'a, Writer>)>,
}

#[inline(always)]
const fn shard_of(hash: u64) -> usize {
    (hash & (SHARDS as u64 - 1)) as usize
}

#[inline(always)]
const fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
const fn entry(slot: u64) -> (u32, u32) {
    ((slot >> 32) as u32, slot as u32)
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            in_use: Box::new([const { Word32::new(0) }; SHARDS]),
            levels: (0..LEVELS).map(|_| Level([const { OnceLock::new() }; SHARDS])).collect(),
            records: Segments::default(),
            used: Word32::new(0),
        }
    }
}

/// Puts an entry into an array of buckets. `false`: no room within reach.
fn place(buckets: &[Bucket], tag: u32, number: u32) -> bool {
    let mask = buckets.len().wrapping_sub(1);
    let home = tag as usize;
    let free = (0..=REACH.min(mask)).find_map(|step| {
        let bucket = buckets.get(home.wrapping_add(step) & mask)?;
        let slot = bucket.slots.iter().find(|slot| slot.get() == 0)?;
        Some((step, slot))
    });
    let Some((steps, slot)) = free else { return false };
    slot.publish(u64::from(tag) << 32 | u64::from(number));
    for step in 0..steps {
        if let Some(bucket) = buckets.get(home.wrapping_add(step) & mask) {
            bucket.overflow.publish(bucket.overflow.get() + 1);
        }
    }
    true
}

/// Takes an entry out of an array of buckets.
fn displace(buckets: &[Bucket], tag: u32, number: u32) -> bool {
    let mask = buckets.len().wrapping_sub(1);
    let home = tag as usize;
    let entry = u64::from(tag) << 32 | u64::from(number);
    let found = (0..=REACH.min(mask)).find_map(|step| {
        let bucket = buckets.get(home.wrapping_add(step) & mask)?;
        let slot = bucket.slots.iter().find(|slot| slot.get() == entry)?;
        Some((step, slot))
    });
    let Some((steps, slot)) = found else { return false };
    slot.publish(0);
    for step in 0..steps {
        if let Some(bucket) = buckets.get(home.wrapping_add(step) & mask) {
            bucket.overflow.publish(bucket.overflow.get().saturating_sub(1));
        }
    }
    true
}

impl Table {
    /// The buckets of a shard.
    #[inline(always)]
    fn buckets(&self, shard: usize) -> &[Bucket] {
        let shard = shard % SHARDS;
        let level = self.in_use[shard].observe() as usize;
        self.levels.get(level).and_then(|level| level.0[shard].get()).map_or(&[], |all| all)
    }

    /// A record by its index.
    #[inline(always)]
    pub(super) fn record(&self, index: u32) -> Option<&Record> {
        self.records.get(index)
    }

    /// Records handed out so far: the end of a walk over all.
    pub(super) fn end(&self) -> u32 {
        self.used.get()
    }

    /// Asks the processor to fetch the bucket of a hash.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u64) {
        let buckets = self.buckets(shard_of(hash));
        if let Some(bucket) = buckets.get(tag_of(hash) as usize & buckets.len().wrapping_sub(1)) {
            prefetch(bucket);
        }
    }

    /// The record that a hash most likely leads to; asks the processor to fetch it, and with `whole`
    /// its second line too.
    #[inline(always)]
    pub(super) fn likely(&self, hash: u64, whole: bool) -> Option<u32> {
        let buckets = self.buckets(shard_of(hash));
        let tag = tag_of(hash);
        let bucket = buckets.get(tag as usize & buckets.len().wrapping_sub(1))?;
        let mut number = 0;
        for slot in &bucket.slots {
            let (found, candidate) = entry(slot.get());
            number = if found == tag { candidate } else { number };
        }
        let record = self.record(number.checked_sub(1)?)?;
        prefetch(record);
        if whole {
            prefetch(&record.lock);
        }
        Some(number - 1)
    }

    /// The first record with this hash for which `test` gives something.
    #[inline(always)]
    pub(super) fn find<'a, R>(
        &'a self,
        hash: u64,
        mut test: impl FnMut(u32, &'a Record) -> Option<R>,
    ) -> Option<R> {
        let buckets = self.buckets(shard_of(hash));
        let mask = buckets.len().wrapping_sub(1);
        let tag = tag_of(hash);
        for step in 0..=REACH {
            let bucket = buckets.get((tag as usize).wrapping_add(step) & mask)?;
            for slot in &bucket.slots {
                let (found, number) = entry(slot.observe());
                if found == tag
                    && number != 0
                    && let Some(record) = self.record(number - 1)
                    && let Some(out) = test(number - 1, record)
                {
                    return Some(out);
                }
            }
            if bucket.overflow.get() == 0 {
                return None;
            }
        }
        None
    }

    /// Locks the shards of one or two hashes.
    pub(super) fn lock(&self, hash: u64, other: Option<u64>) -> Option<Locks<'_>> {
        let one = shard_of(hash);
        let two = other.map(shard_of).filter(|&two| two != one);
        let lock = |at: usize| Some((at, self.shards.get(at)?.0.lock()));
        Some(match two {
            Some(two) if two < one => {
                let second = lock(two)?;
                Locks { first: lock(one)?, second: Some(second) }
            }
            Some(two) => Locks { first: lock(one)?, second: Some(lock(two)?) },
            None => Locks { first: lock(one)?, second: None },
        })
    }

    /// Takes a record that is nobody's. `None`: no memory.
    pub(super) fn take(&self, locks: &mut Locks<'_>, now: Instant) -> Option<u32> {
        let (_, writer) = &mut locks.first;
        writer.begun += 1;
        if writer.resting.front().is_some_and(|(_, since)| now.0.saturating_sub(*since) >= REST) {
            return writer.resting.pop_front().map(|(index, _)| index);
        }
        if let Some(index) = writer.fresh.pop() {
            return Some(index);
        }
        let from = self.used.add(STOCK);
        let end = from.checked_add(STOCK)?;
        if !(self.records.reach(from) && self.records.reach(end - 1)) {
            return None;
        }
        writer.fresh.extend((from..end).rev());
        writer.fresh.pop()
    }

    /// Gives a record back; its connection has ended and no entry leads to it.
    pub(super) fn give_back(&self, locks: &mut Locks<'_>, index: u32, now: Instant) {
        locks.first.1.resting.push_back((index, now.0));
    }

    /// Enters a record under a hash whose shard is locked. `false`: no memory.
    pub(super) fn insert(&self, locks: &mut Locks<'_>, hash: u64, index: u32) -> bool {
        let at = shard_of(hash);
        let Some(writer) = locks.writer(at) else { return false };
        let room = self.buckets(at).len() * SLOTS;
        let crowded = (writer.entries + 1) * 4 > room * 3;
        if (crowded || !place(self.buckets(at), tag_of(hash), index + 1))
            && !(self.grow(at) && place(self.buckets(at), tag_of(hash), index + 1))
        {
            return false;
        }
        writer.entries += 1;
        true
    }

    /// Takes a record's entry under a hash, whose shard is locked, out.
    pub(super) fn remove(&self, locks: &mut Locks<'_>, hash: u64, index: u32) {
        let at = shard_of(hash);
        if let Some(writer) = locks.writer(at)
            && displace(self.buckets(at), tag_of(hash), index + 1)
        {
            writer.entries -= 1;
        }
    }

    /// Connections that have begun.
    pub(super) fn begun(&self) -> u64 {
        self.shards.iter().map(|shard| shard.0.lock().begun).sum()
    }

    /// How many entries each bucket in use holds, by shard and bucket.
    pub(super) fn occupancy(&self) -> impl Iterator<Item = usize> + '_ {
        (0..SHARDS).flat_map(|shard| {
            self.buckets(shard)
                .iter()
                .map(|bucket| bucket.slots.iter().filter(|slot| slot.get() != 0).count())
        })
    }

    /// Gives a shard, whose lock is held, an array twice as large with the same entries. `false`: no
    /// memory, or no level left.
    fn grow(&self, shard: usize) -> bool {
        let old = self.buckets(shard);
        let Some(in_use) = self.in_use.get(shard) else { return false };
        let mut level = if old.is_empty() { 0 } else { in_use.get() as usize + 1 };
        loop {
            let Some(cell) = self.levels.get(level).and_then(|level| level.0.get(shard)) else {
                return false;
            };
            let Ok(fresh) = <[Bucket]>::new_box_zeroed_with_elems(FIRST << level) else {
                return false;
            };
            let fits = old.iter().flat_map(|bucket| &bucket.slots).all(|slot| {
                let (tag, number) = entry(slot.get());
                number == 0 || place(&fresh, tag, number)
            });
            if fits {
                if cell.set(fresh).is_err() {
                    return false;
                }
                in_use.publish(u32::try_from(level).unwrap_or(u32::MAX));
                return true;
            }
            level += 1;
        }
    }

    /// Bytes of the arrays of buckets, former ones included.
    pub(super) fn bucket_bytes(&self) -> usize {
        let arrays = self.levels.iter().flat_map(|level| &level.0).filter_map(OnceLock::get);
        arrays.map(|buckets| buckets.len() * size_of::<Bucket>()).sum()
    }
}

impl Locks<'_> {
    fn writer(&mut self, at: usize) -> Option<&mut Writer> {
        if self.first.0 == at {
            return Some(&mut self.first.1);
        }
        self.second.as_mut().filter(|(shard, _)| *shard == at).map(|(_, writer)| &mut **writer)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::base::mix64;

    #[test]
    fn agrees_with_a_map_over_random_changes() {
        let table = Table::default();
        let mut oracle: HashMap<u32, u64> = HashMap::new();
        let mut state = 1u64;
        let mut random = || {
            state =
                mix64(state ^ 0x1234_5678_9abc_def1, 0xa076_1d64_78bd_642f) ^ state.rotate_left(7);
            state
        };
        for round in 0..60_000u64 {
            let now = Instant(round * 1000);
            if random() % 3 != 0 {
                // Few tags, so that buckets overflow.
                let hash = random() & 0x0000_0fff_0000_0003 | random() << 60;
                let mut locks = table.lock(hash, None).expect("a shard");
                let index = table.take(&mut locks, now).expect("memory");
                assert!(!oracle.contains_key(&index), "a record has one owner");
                assert!(table.insert(&mut locks, hash, index));
                oracle.insert(index, hash);
            } else if let Some((&index, &hash)) = oracle.iter().next() {
                let mut locks = table.lock(hash, None).expect("a shard");
                table.remove(&mut locks, hash, index);
                table.give_back(&mut locks, index, now);
                oracle.remove(&index);
            }
        }
        for (&index, &hash) in &oracle {
            let found = table.find(hash, |at, _| (at == index).then_some(at));
            assert_eq!(found, Some(index));
        }
        assert_eq!(table.occupancy().sum::<usize>(), oracle.len());
    }

    #[test]
    fn a_removed_entry_is_not_found() {
        let table = Table::default();
        let mut locks = table.lock(5, Some(6)).expect("shards");
        let index = table.take(&mut locks, Instant(0)).expect("memory");
        assert!(table.insert(&mut locks, 5, index) && table.insert(&mut locks, 6, index));
        table.remove(&mut locks, 5, index);
        assert_eq!(table.find(5, |at, _| Some(at)), None);
        assert_eq!(table.find(6, |at, _| Some(at)), Some(index));
    }
}
