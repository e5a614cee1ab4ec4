//! Where connections are found: a sharded hash table that is read without a lock.
//!
//! ```text
//!   hash ─► shard (8 bits) ─► group of 16 buckets ─► bucket: 7 entries of (tag 32, index 32) │ how many went on
//!                                                                  │
//!                                                                  ▼
//!                                                        Record in an array that never moves
//! ```
//!
//! An entry is the high half of the hash and the number of a record. It stands in the bucket that its tag
//! names or in a later one of the same group, round about. What finds its group full stands in the
//! shard's annex, a group more: else it would take one group in thousands that fills by chance to double
//! a shard, and in the course of time all would have doubled.
//!
//! A shard that has become too full gets as many groups again, one with every connection that is
//! entered: what of a group now belongs into the new one, which is half of it, is copied there, the
//! shard says that it has one group more, and then the old places are cleared. Tags hold all that
//! this needs, so no record is touched; the step costs a fraction of a microsecond, and no memory is given up. A
//! reader who finds nothing looks whether there are more groups than when he began.
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
//! bytes a record, and 12 to 25 for each of its entries.

use std::sync::OnceLock;

use zerocopy::FromZeros;

use super::record::{Record, UNLINKED};
use crate::base::{Instant, prefetch};
use crate::sync::{Guard, Locked, Segments, Word32, Word64};

const SHARDS: usize = 256;
const SLOTS: usize = 7;
/// Buckets of a group.
const GROUP: usize = 16;
const LEVELS: usize = 24;
/// Fresh records that a shard takes at a time.
const STOCK: u32 = 16;
/// Shards that are asked for a record before memory is taken for more.
const ASKED: usize = 4;
/// How long a record rests before it is used again, in nanoseconds.
const REST: u64 = 2_000_000;

#[derive(Debug, FromZeros)]
#[repr(C, align(64))]
struct Bucket {
    /// Tag in the high half, one more than the record's index in the low one; 0 is free.
    slots: [Word64; SLOTS],
    /// Entries that belong here and stand in a later bucket, or in the annex.
    overflow: Word64,
}

type Group = [Bucket; GROUP];

/// Of every shard the groups from one power of two up to the next; the first level holds group 0.
#[derive(Debug)]
struct Level([OnceLock<Box<[Group]>>; SHARDS]);

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
    /// The first and the last of the records given back, which rest: each knows the next
    /// (`Record::place`) and since when it rests (`Record::hash`).
    resting: Option<(u32, u32)>,
    /// Records that were never used: from here to there.
    fresh: (u32, u32),
}

/// The table and the records.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Shard]>,
    /// How many groups each shard has. With the groups' addresses all that look-ups read of the
    /// shards, so it stands close together.
    groups: Box<[Word32; SHARDS]>,
    levels: Box<[Level]>,
    /// Of every shard the entries for which their group had no room.
    annexes: Box<[OnceLock<Box<Group>>]>,
    records: Segments<Record>,
    /// Records handed out so far.
    used: Word32,
    /// How often shards were asked for records that they can spare.
    asked: Word32,
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

/// Which of so many groups a tag belongs to; 0 of none.
#[inline(always)]
const fn group_of(tag: u32, groups: u32) -> usize {
    // Those from the last power of two on are split from the first ones.
    let wide = u32::MAX.wrapping_shr(groups.leading_zeros());
    let (group, before) = (tag >> 4 & wide, tag >> 4 & wide >> 1);
    (if group < groups { group } else { before }) as usize
}

/// The level of a group, and its place there.
#[inline(always)]
const fn place_of(group: usize) -> (usize, usize) {
    let level = (usize::BITS - group.leading_zeros()) as usize;
    (level, group ^ (1 << level >> 1))
}

/// The bucket of a tag, so many steps on.
#[inline(always)]
fn bucket_of(group: &Group, tag: u32, step: usize) -> &Bucket {
    &group[(tag as usize).wrapping_add(step) % GROUP]
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            groups: Box::new([const { Word32::new(0) }; SHARDS]),
            levels: (0..LEVELS).map(|_| Level([const { OnceLock::new() }; SHARDS])).collect(),
            annexes: (0..SHARDS).map(|_| OnceLock::new()).collect(),
            records: Segments::default(),
            used: Word32::new(0),
            asked: Word32::new(0),
        }
    }
}

/// Puts an entry into a group. `false`: no room.
fn place(group: &Group, tag: u32, number: u32) -> bool {
    let free = (0..GROUP).find_map(|step| {
        let slot = bucket_of(group, tag, step).slots.iter().find(|slot| slot.get() == 0)?;
        Some((step, slot))
    });
    let Some((steps, slot)) = free else { return false };
    slot.publish(u64::from(tag) << 32 | u64::from(number));
    for step in 0..steps {
        let passed = bucket_of(group, tag, step);
        passed.overflow.publish(passed.overflow.get() + 1);
    }
    true
}

/// Whether a group holds an entry.
fn holds(group: &Group, tag: u32, number: u32) -> bool {
    let entry = u64::from(tag) << 32 | u64::from(number);
    group.iter().any(|bucket| bucket.slots.iter().any(|slot| slot.get() == entry))
}

/// Takes an entry out of a group.
fn displace(group: &Group, tag: u32, number: u32) -> bool {
    let entry = u64::from(tag) << 32 | u64::from(number);
    let found = (0..GROUP).find_map(|step| {
        let slot = bucket_of(group, tag, step).slots.iter().find(|slot| slot.get() == entry)?;
        Some((step, slot))
    });
    let Some((steps, slot)) = found else { return false };
    clear(group, tag, steps, slot);
    true
}

/// Clears the place of an entry, so many steps behind its tag's own bucket.
fn clear(group: &Group, tag: u32, steps: usize, slot: &Word64) {
    slot.publish(0);
    for step in 0..steps {
        let passed = bucket_of(group, tag, step);
        passed.overflow.publish(passed.overflow.get().saturating_sub(1));
    }
}

/// The entries of a group that belong to another one when there are so many: bucket, place, tag and
/// number.
fn movers(
    group: &Group,
    own: usize,
    groups: u32,
) -> impl Iterator<Item = (usize, &Word64, u32, u32)> {
    let buckets = group.iter().enumerate();
    let slots = buckets.flat_map(|(at, bucket)| bucket.slots.iter().map(move |slot| (at, slot)));
    slots.filter_map(move |(at, slot)| {
        let (tag, number) = entry(slot.get());
        (number != 0 && group_of(tag, groups) != own).then_some((at, slot, tag, number))
    })
}

/// Notes in a group that an entry of it stands in the annex.
fn note_annexed(group: &Group) {
    group.iter().for_each(|bucket| bucket.overflow.publish(bucket.overflow.get() + 1));
}

/// Notes that one no longer does.
fn note_gone(group: &Group) {
    for bucket in group {
        bucket.overflow.publish(bucket.overflow.get().saturating_sub(1));
    }
}

/// The first record with this tag for which `test` gives something, and whether every bucket said that
/// there are more.
#[inline(always)]
fn search<R>(group: &Group, tag: u32, mut test: impl FnMut(u32) -> Option<R>) -> Result<R, bool> {
    for step in 0..GROUP {
        let bucket = bucket_of(group, tag, step);
        for slot in &bucket.slots {
            let (found, number) = entry(slot.observe());
            if found == tag
                && number != 0
                && let Some(out) = test(number - 1)
            {
                return Ok(out);
            }
        }
        if bucket.overflow.observe() == 0 {
            return Err(false);
        }
    }
    Err(true)
}

impl Table {
    /// A group of a shard.
    #[inline(always)]
    fn group(&self, shard: usize, group: usize) -> Option<&Group> {
        let (level, at) = place_of(group);
        self.levels.get(level)?.0[shard % SHARDS].get()?.get(at)
    }

    /// The group of a tag in a shard, as long as it has so many.
    #[inline(always)]
    fn group_among(&self, shard: usize, tag: u32, groups: u32) -> Option<&Group> {
        self.group(shard, group_of(tag, groups))
    }

    /// The group of a hash.
    #[inline(always)]
    fn group_now(&self, hash: u64) -> Option<&Group> {
        let shard = shard_of(hash);
        self.group_among(shard, tag_of(hash), self.groups[shard].observe())
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
        if let Some(group) = self.group_now(hash) {
            prefetch(bucket_of(group, tag_of(hash), 0));
        }
    }

    /// The record that a hash most likely leads to; asks the processor to fetch it, and with `whole`
    /// its second line too.
    #[inline(always)]
    pub(super) fn likely(&self, hash: u64, whole: bool) -> Option<u32> {
        let tag = tag_of(hash);
        let bucket = bucket_of(self.group_now(hash)?, tag, 0);
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
        let (shard, tag) = (shard_of(hash), tag_of(hash));
        let mut groups = self.groups[shard].observe();
        loop {
            let group = self.group_among(shard, tag, groups)?;
            let mut look = |at: u32| test(at, self.record(at)?);
            let more = match search(group, tag, &mut look) {
                Ok(out) => return Some(out),
                Err(more) => more,
            };
            if more
                && let Some(annex) = self.annexes[shard].get()
                && let Ok(out) = search(annex, tag, look)
            {
                return Some(out);
            }
            // What was there a moment ago may have moved on: then there are more groups by now, and
            // whoever has seen the empty place sees that too.
            let now = self.groups[shard].observe();
            if now == groups {
                return None;
            }
            groups = now;
        }
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
        let (own, writer) = &mut locks.first;
        writer.begun += 1;
        if let Some(rested) = self.rested(writer, now) {
            return Some(rested);
        }
        let (from, end) = writer.fresh;
        if from < end {
            writer.fresh.0 += 1;
            return Some(from);
        }
        if let Some(spare) = self.spare(*own, now) {
            return Some(spare);
        }
        let from = self.used.add(STOCK);
        let end = from.checked_add(STOCK)?;
        if !(self.records.reach(from) && self.records.reach(end - 1)) {
            return None;
        }
        writer.fresh = (from + 1, end);
        Some(from)
    }

    /// The record of a shard that has rested longest, if that was long enough.
    fn rested(&self, writer: &mut Writer, now: Instant) -> Option<u32> {
        let (first, last) = writer.resting?;
        let record = self.record(first)?;
        if now.0.saturating_sub(record.hash.get()) < REST {
            return None;
        }
        let next = record.place.get();
        writer.resting = (first != last).then_some((next, last));
        // The next one that is taken.
        if let Some(record) = self.record(next).filter(|_| first != last) {
            prefetch(record);
            prefetch(&record.lock);
        }
        Some(first)
    }

    /// A rested record of another shard that nobody holds: else each shard would keep as many as it
    /// needed in its fullest moment, and all together more from one hour to the next.
    #[cold]
    fn spare(&self, own: usize, now: Instant) -> Option<u32> {
        let turn = self.asked.add(1) as usize;
        (0..ASKED).find_map(|step| {
            let at = (turn * ASKED + step) % SHARDS;
            let mut writer = self.shards.get(at).filter(|_| at != own)?.0.try_lock()?;
            self.rested(&mut writer, now)
        })
    }

    /// Gives a record back; its connection has ended and no entry leads to it.
    pub(super) fn give_back(&self, locks: &mut Locks<'_>, index: u32, now: Instant) {
        let (_, writer) = &mut locks.first;
        let Some(record) = self.record(index) else { return };
        record.place.set(UNLINKED);
        record.hash.set(now.0);
        let first = match writer.resting {
            Some((first, last)) => {
                if let Some(last) = self.record(last) {
                    last.place.set(index);
                }
                first
            }
            None => index,
        };
        writer.resting = Some((first, index));
    }

    /// Enters a record under a hash whose shard is locked. `false`: no memory.
    pub(super) fn insert(&self, locks: &mut Locks<'_>, hash: u64, index: u32) -> bool {
        let at = shard_of(hash);
        let Some(writer) = locks.writer(at) else { return false };
        let groups = self.groups[at].get();
        let crowded = (writer.entries + 1) * 4 > groups as usize * GROUP * SLOTS * 3;
        // Half split, a shard goes on splitting until all groups are of one size again.
        if (crowded || !groups.is_power_of_two()) && !self.split(at) {
            return false;
        }
        let (tag, number) = (tag_of(hash), index + 1);
        let placed = || {
            self.group_now(hash).is_some_and(|group| {
                place(group, tag, number) || self.annex(at, group, tag, number)
            })
        };
        // A group that is full before the others are, and the annex too, is soon split, at the latest in
        // the next round.
        let mut left = self.groups[at].get().saturating_mul(2);
        while !placed() {
            if left == 0 || !self.split(at) {
                return false;
            }
            left -= 1;
        }
        writer.entries += 1;
        true
    }

    /// Takes a record's entry under a hash, whose shard is locked, out.
    pub(super) fn remove(&self, locks: &mut Locks<'_>, hash: u64, index: u32) {
        let (at, tag) = (shard_of(hash), tag_of(hash));
        let Some((writer, group)) = locks.writer(at).zip(self.group_now(hash)) else { return };
        if displace(group, tag, index + 1) {
            writer.entries -= 1;
        } else if let Some(annex) = self.annexes[at].get()
            && displace(annex, tag, index + 1)
        {
            note_gone(group);
            writer.entries -= 1;
        }
    }

    /// Puts an entry whose group is full into the annex of its shard, whose lock is held. `false`: no
    /// room, or no memory.
    #[cold]
    fn annex(&self, shard: usize, group: &Group, tag: u32, number: u32) -> bool {
        let cell = &self.annexes[shard];
        if cell.get().is_none() {
            let Ok(fresh) = Group::new_box_zeroed() else { return false };
            if cell.set(fresh).is_err() {
                return false;
            }
        }
        if !cell.get().is_some_and(|annex| place(annex, tag, number)) {
            return false;
        }
        // Whoever comes to the group from now on goes on to the annex, where the entry is already.
        note_annexed(group);
        true
    }

    /// Connections that have begun.
    pub(super) fn begun(&self) -> u64 {
        self.shards.iter().map(|shard| shard.0.lock().begun).sum()
    }

    /// How many entries each bucket in use holds, by shard and bucket.
    pub(super) fn occupancy(&self) -> impl Iterator<Item = usize> + '_ {
        (0..SHARDS).flat_map(move |shard| {
            let groups = 0..self.groups[shard].observe() as usize;
            groups
                .filter_map(move |group| self.group(shard, group))
                .chain(self.annexes[shard].get().map(|annex| &**annex))
                .flatten()
                .map(|bucket| bucket.slots.iter().filter(|slot| slot.get() != 0).count())
        })
    }

    /// Gives a shard, whose lock is held, one group more, and to that what belongs there. `false`: no
    /// memory, or no level left.
    fn split(&self, shard: usize) -> bool {
        let groups = self.groups[shard].get();
        let (level, at) = place_of(groups as usize);
        let Some(cell) = self.levels.get(level).map(|level| &level.0[shard]) else { return false };
        if cell.get().is_none() {
            let Ok(fresh) = <[Group]>::new_box_zeroed_with_elems(1 << level.saturating_sub(1))
            else {
                return false;
            };
            if cell.set(fresh).is_err() {
                return false;
            }
        }
        let Some(new) = cell.get().and_then(|groups| groups.get(at)) else { return false };
        let old = self.group(shard, at).filter(|_| groups != 0);
        if let Some(old) = old {
            // The new group has as many places as the old one, and nothing else comes there but what
            // the annex holds of it; what of that finds no room stays there.
            for (_, _, tag, number) in movers(old, at, groups + 1) {
                place(new, tag, number);
            }
            let annex = self.annexes[shard].get();
            let annexed = || {
                let all = annex.into_iter().flat_map(|annex| movers(annex, at, groups + 1));
                all.filter(|&(_, _, tag, _)| group_of(tag, groups) == at)
            };
            for (_, _, tag, number) in annexed() {
                if !place(new, tag, number) {
                    note_annexed(new);
                }
            }
            self.groups[shard].publish(groups + 1);
            for (bucket, slot, tag, _) in movers(old, at, groups + 1) {
                clear(old, tag, bucket.wrapping_sub(tag as usize) % GROUP, slot);
            }
            for (bucket, slot, tag, number) in annexed() {
                note_gone(old);
                if let Some(annex) = annex
                    && holds(new, tag, number)
                {
                    clear(annex, tag, bucket.wrapping_sub(tag as usize) % GROUP, slot);
                }
            }
        } else {
            self.groups[shard].publish(groups + 1);
        }
        true
    }

    /// Bytes of the arrays of buckets.
    pub(super) fn bucket_bytes(&self) -> usize {
        let arrays = self.levels.iter().flat_map(|level| &level.0).filter_map(OnceLock::get);
        let groups: usize = arrays.map(|groups| groups.len()).sum();
        let annexes = self.annexes.iter().filter(|annex| annex.get().is_some()).count();
        (groups + annexes) * size_of::<Group>()
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
    fn what_is_there_is_found_at_every_moment_while_the_table_grows() {
        const KNOWN: u64 = 300;
        let hash = |n: u64| mix64(n ^ 0x1234_5678_9abc_def1, 0xa076_1d64_78bd_642f) & !0xff;
        let enter = |table: &Table, n: u64| {
            let mut locks = table.lock(hash(n), None).expect("a shard");
            let index = table.take(&mut locks, Instant(n)).expect("memory");
            assert!(table.insert(&mut locks, hash(n), index));
            index
        };
        let table = Table::default();
        let known: Vec<u32> = (0..KNOWN).map(|n| enter(&table, n)).collect();
        let groups = table.groups[0].get();
        std::thread::scope(|scope| {
            let growing = scope.spawn(|| {
                for n in KNOWN..60_000 {
                    enter(&table, n);
                }
            });
            let mut rounds = 0;
            while rounds < 20 || !growing.is_finished() {
                rounds += 1;
                for (n, &index) in (0..).zip(&known) {
                    let found = table.find(hash(n), |at, _| (at == index).then_some(at));
                    assert_eq!(found, Some(index), "in round {rounds}");
                }
            }
        });
        assert!(table.groups[0].get() > 100 * groups, "one shard had to take them all");
        assert_eq!(table.occupancy().sum::<usize>(), 60_000);
        let bytes = table.bucket_bytes() as f64 / 60_000.0;
        assert!(bytes < 26.0, "{bytes} bytes an entry");
    }

    #[test]
    fn entries_of_one_tag_fill_a_group_and_the_annex_and_no_more() {
        let table = Table::default();
        let mut locks = table.lock(5, None).expect("a shard");
        let enter = |locks: &mut Locks<'_>| {
            let index = table.take(locks, Instant(0)).expect("memory");
            (table.insert(locks, 5, index), index)
        };
        let entered: Vec<_> = (0..2 * GROUP * SLOTS).map(|_| enter(&mut locks)).collect();
        assert!(entered.iter().all(|(entered, _)| *entered));
        assert!(!enter(&mut locks).0, "there is no room for one more");
        for (_, index) in entered {
            assert_eq!(table.find(5, |at, _| (at == index).then_some(at)), Some(index));
            table.remove(&mut locks, 5, index);
        }
        assert_eq!(table.occupancy().sum::<usize>(), 0);
        assert!(enter(&mut locks).0);
    }

    #[test]
    fn a_group_that_fills_by_chance_does_not_double_its_shard() {
        let table = Table::default();
        let mut locks = table.lock(5, None).expect("a shard");
        let mut entered = Vec::new();
        let mut enter = |locks: &mut Locks<'_>, tag: u64| {
            let (hash, index) = (tag << 32 | 5, table.take(locks, Instant(0)).expect("memory"));
            assert!(table.insert(locks, hash, index));
            entered.push((hash, index));
        };
        // Eight groups, of which 3 gets more than it holds.
        (0..500).for_each(|n| enter(&mut locks, n << 4 | n & 15));
        let groups = table.groups[5].get();
        (0..100).for_each(|n| enter(&mut locks, (n << 3 | 3) << 4));
        assert_eq!((groups, table.groups[5].get()), (8, 8));
        let annexed = |table: &Table| {
            let annex = table.annexes[5].get().expect("an annex");
            annex.iter().flat_map(|it| &it.slots).filter(|slot| slot.get() != 0).count()
        };
        assert!(annexed(&table) > 40, "{}", annexed(&table));
        // Twice as many groups: half of the full one's have room there.
        (0..300).for_each(|n| enter(&mut locks, n << 4 | 0x5000));
        assert_eq!(table.groups[5].get(), 16);
        let found = |(hash, index)| table.find(hash, |at, _| (at == index).then_some(at)).is_some();
        assert!(entered.iter().all(|&it| found(it)));
        for (nth, &(hash, index)) in entered.iter().enumerate() {
            table.remove(&mut locks, hash, index);
            assert!(!found((hash, index)) && entered[nth + 1..].iter().all(|&it| found(it)));
        }
        assert_eq!((annexed(&table), table.occupancy().sum::<usize>()), (0, 0));
        let groups = (0..16).filter_map(|group| table.group(5, group));
        let overflows = groups.chain(table.annexes[5].get().map(|annex| &**annex)).flatten();
        assert!(overflows.map(|bucket| bucket.overflow.get()).all(|it| it == 0));
    }

    #[test]
    fn records_rest_and_are_taken_again_in_their_order() {
        let table = Table::default();
        let mut locks = table.lock(5, None).expect("a shard");
        let at = |ms: u64| Instant::from_millis(ms);
        let taken: Vec<u32> = (0..3).filter_map(|_| table.take(&mut locks, at(0))).collect();
        taken.iter().for_each(|&index| table.give_back(&mut locks, index, at(10)));
        let other = table.take(&mut locks, at(11)).expect("memory");
        assert!(!taken.contains(&other), "they rest");
        let again: Vec<u32> = (0..3).filter_map(|_| table.take(&mut locks, at(12))).collect();
        assert_eq!(again, taken);
        assert_ne!(table.take(&mut locks, at(99)), Some(other), "all are taken");
        table.give_back(&mut locks, other, at(99));
        assert_eq!(table.take(&mut locks, at(200)), Some(other));
    }

    #[test]
    fn a_shard_takes_what_another_can_spare() {
        let table = Table::default();
        let at = |ms: u64| Instant::from_millis(ms);
        let mut locks = table.lock(5, None).expect("a shard");
        let taken: Vec<u32> = (0..64).filter_map(|_| table.take(&mut locks, at(0))).collect();
        taken.iter().for_each(|&index| table.give_back(&mut locks, index, at(10)));
        let mut other = table.lock(6, None).expect("a shard");
        let mut held: Vec<u32> =
            (0..STOCK).filter_map(|_| table.take(&mut other, at(11))).collect();
        assert!(held.iter().all(|index| !taken.contains(index)), "they rest, and are held");
        drop(locks);
        // Others are asked in turn, so that soon each has been.
        let more = 0..SHARDS as u32 / ASKED as u32 * STOCK;
        held.extend(more.filter_map(|_| table.take(&mut other, at(20))));
        assert!(held.iter().any(|index| taken.contains(index)), "none of 64 was lent");
        let many = held.len();
        held.sort_unstable();
        held.dedup();
        assert_eq!(held.len(), many, "each is held once");
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
