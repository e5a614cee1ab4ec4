//! Connections begin and end.
//!
//! Expiry goes in slices: whoever has time calls [`Conntrack::sweep`] with the number of records to
//! look at, and one round over all of them takes the sweep interval. An expired connection is none
//! from the moment it expires, whether or not a sweep has been there.
//!
//! When the table is full, a new connection makes an old one go that has seen no reply, of the few
//! under the hand; connections that have are never sacrificed. So a flood of openings cannot keep
//! out those that come after it, nor end those that came before.

use std::collections::VecDeque;

use super::Conntrack;
use super::events::Events;
use super::key::{self, Words};
use super::record::{Extra, Found, Record, Status, set_words, words};
use super::tcp::End;
use super::timeout::{DEFAULT_POLICY, Life};
use crate::base::{Instant, Zone, prefetch};

/// Connections that a flush, or a sweep, works on at a time.
const FLUSHED: usize = 64;
/// Connections, and records, looked at for one that can make room.
const EVICT_LIVE: u32 = 64;
const EVICT_REACH: u32 = 1024;

/// What a new connection is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh {
    /// The first direction.
    pub(super) tuple: Words,
    /// The reply direction, where it is not the reverse.
    pub(super) reply: Option<Words>,
    pub(super) status: Status,
    pub(super) mark: u32,
    pub(super) label: u128,
    pub(super) policy: u32,
    pub(super) ends: Option<[End; 2]>,
    pub(super) life: Life,
    /// The connection that announced it.
    pub(super) parent: Option<Words>,
    /// Kinds of events that are told of it.
    pub(super) events: u32,
}

/// Why a connection is not entered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    /// There are too many, or there is no memory.
    Full,
    /// The zone has too many.
    ZoneFull,
    /// Another thread has entered it.
    Known(Found),
    /// The reply direction belongs to another connection.
    Taken,
}

/// Extras that nobody uses.
#[derive(Debug, Default)]
pub(super) struct SpareExtras {
    used: u32,
    spare: VecDeque<u32>,
}

/// Where the sweep is.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    next: u32,
    since: Option<Instant>,
}

const fn zone_of(words: &Words) -> Zone {
    Zone((words[4] >> 32) as u16)
}

impl Conntrack {
    /// The connection of a tuple.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, tuple: &Words) -> Option<(Found, &Record)> {
        self.table.find(hash, |index, record| {
            self.is_of(index, record, tuple).map(|found| (found, record))
        })
    }

    #[inline(always)]
    pub(super) fn is_of(&self, index: u32, record: &Record, tuple: &Words) -> Option<Found> {
        let (generation, status) = record.status();
        let key = record.words();
        let reply = if key::same(&key, tuple) {
            false
        } else if !status.contains(Status::TWO_KEYS) {
            if !key::same(&key, &key::reversed(tuple)) {
                return None;
            }
            true
        } else {
            let extra = self.extra(record)?;
            if !key::same(&words(&extra.reply), tuple) {
                return None;
            }
            true
        };
        record.is_still(generation).then_some(Found { index, generation, reply })
    }

    #[inline(always)]
    pub(super) fn extra(&self, record: &Record) -> Option<&Extra> {
        self.extras.get(record.extra.get().checked_sub(1)?)
    }

    fn take_extra(&self) -> Option<u32> {
        let mut spares = self.spare_extras.lock();
        if let Some(index) = spares.spare.pop_front() {
            return Some(index);
        }
        let index = spares.used;
        if !self.extras.reach(index) {
            return None;
        }
        spares.used += 1;
        Some(index)
    }

    /// Enters a connection.
    pub(super) fn enter(&self, fresh: &Fresh, now: Instant) -> Result<Found, Refused> {
        let zone = self.zones.get(zone_of(&fresh.tuple)).ok_or(Refused::Full)?;
        let counted = || self.count.take(self.max.get());
        if !(counted() || self.make_room(now) && counted()) {
            self.counters.full.add(1);
            return Err(Refused::Full);
        }
        let Some(admission) = self.zones.admit(zone) else {
            self.count.give();
            self.counters.zone_full.add(1);
            return Err(Refused::ZoneFull);
        };
        let entered = self.enter_counted(fresh, now);
        drop(admission);
        if let Ok(found) = &entered
            && let Some(record) = self.table.record(found.index)
        {
            let event = if fresh.parent.is_some() { Events::RELATED } else { Events::NEW };
            self.tell(event, record, now);
        }
        if let Err(refused) = &entered {
            self.count.give();
            if matches!(refused, Refused::Full) {
                self.counters.full.add(1);
            }
        }
        entered
    }

    fn enter_counted(&self, fresh: &Fresh, now: Instant) -> Result<Found, Refused> {
        let hash = self.secret.hash(&fresh.tuple);
        let reply_hash = fresh.reply.map(|reply| self.secret.hash(&reply));
        let mut locks = self.table.lock(hash, reply_hash).ok_or(Refused::Full)?;
        if let Some((found, _)) = self.find(hash, &fresh.tuple) {
            return Err(Refused::Known(found));
        }
        if let (Some(reply), Some(hash)) = (&fresh.reply, reply_hash)
            && self.find(hash, reply).is_some()
        {
            return Err(Refused::Taken);
        }
        let extra = if fresh.reply.is_some() || fresh.parent.is_some() {
            self.take_extra().ok_or(Refused::Full)? + 1
        } else {
            0
        };
        let index = self.table.take(&mut locks, now).ok_or(Refused::Full)?;
        let Some(record) = self.table.record(index) else { return Err(Refused::Full) };
        self.fill(record, fresh, hash, extra, now);
        let mut status = fresh.status;
        status.set(Status::TWO_KEYS, fresh.reply.is_some());
        status.set(Status::LABELLED, fresh.label != 0);
        status.set(Status::POLICY, fresh.policy != DEFAULT_POLICY);
        let generation = record.begin(status);
        let mut entered = self.table.insert(&mut locks, hash, index);
        if let Some(reply_hash) = reply_hash.filter(|_| entered) {
            if let Some(extra) = self.extra(record) {
                extra.hash.set(reply_hash);
            }
            entered = self.table.insert(&mut locks, reply_hash, index);
            if !entered {
                self.table.remove(&mut locks, hash, index);
            }
        }
        if !entered {
            record.end(generation);
            self.table.give_back(&mut locks, index, now);
            self.give_back_extra(extra);
            return Err(Refused::Full);
        }
        if let Some(zone) = self.zones.get(zone_of(&fresh.tuple)) {
            zone.link(index, record);
        }
        Ok(Found { index, generation, reply: false })
    }

    fn fill(&self, record: &Record, fresh: &Fresh, hash: u64, extra: u32, now: Instant) {
        set_words(&record.key, &fresh.tuple);
        record.hash.set(hash);
        record.extra.set(extra);
        record.mark.set(fresh.mark);
        record.set_label(fresh.label);
        record.policy.set(fresh.policy);
        record.events.set(fresh.events);
        record.expires.set(self.timeouts.expiry(fresh.policy, fresh.life, now));
        if let Some(ends) = &fresh.ends {
            for (end, words) in ends.iter().zip(&record.tcp) {
                end.store(words);
            }
        }
        if let Some(extra) = self.extra(record) {
            set_words(&extra.reply, &fresh.reply.unwrap_or_default());
            set_words(&extra.parent, &fresh.parent.unwrap_or_default());
            for word in extra.shift.iter().chain(&extra.shift_before).chain(&extra.shift_from) {
                word.set(0);
            }
        }
    }

    fn give_back_extra(&self, number: u32) {
        if let Some(index) = number.checked_sub(1) {
            self.spare_extras.lock().spare.push_back(index);
        }
    }

    /// Ends a connection; `false` if it has ended already.
    pub(super) fn end(&self, index: u32, generation: u32, now: Instant) -> bool {
        let Some(record) = self.table.record(index) else { return false };
        let hash = record.hash.get();
        let (_, status) = record.status();
        let reply_hash = status
            .contains(Status::TWO_KEYS)
            .then(|| self.extra(record).map(|extra| extra.hash.get()))
            .flatten();
        // What was read is this generation's, if it is still that.
        if !record.is_still(generation) {
            return false;
        }
        let told = self.is_told(Events::DESTROY, record);
        let last = if told { self.last(record, now) } else { None };
        let Some(mut locks) = self.table.lock(hash, reply_hash) else { return false };
        if !record.end(generation) {
            return false;
        }
        self.table.remove(&mut locks, hash, index);
        if let Some(reply_hash) = reply_hash {
            self.table.remove(&mut locks, reply_hash, index);
        }
        if status.intersects(Status::FTP | Status::TFTP) {
            self.expectations.forget(&record.words());
        }
        if let Some(zone) = self.zones.get(zone_of(&record.words())) {
            zone.unlink(&self.table, record);
        }
        self.count.give();
        self.give_back_extra(record.extra.get());
        record.extra.set(0);
        self.table.give_back(&mut locks, index, now);
        drop(locks);
        if told {
            self.tell_last(Events::DESTROY, last);
        }
        true
    }

    /// Ends a connection that sees no replies, or is over, of the next few under the hand.
    fn make_room(&self, now: Instant) -> bool {
        let all = self.table.end();
        if all == 0 {
            return false;
        }
        let from = self.hand.get();
        let mut live = 0;
        for step in 0..EVICT_REACH.min(all) {
            let index = from.wrapping_add(step) % all;
            let Some(record) = self.table.record(index) else { continue };
            let (generation, status) = record.status();
            if !status.contains(Status::LIVE) {
                continue;
            }
            live += 1;
            let over = record.is_expired(now);
            if (over || !status.contains(Status::REPLIED)) && self.end(index, generation, now) {
                self.hand.set(index.wrapping_add(1));
                let counter = if over { &self.counters.expired } else { &self.counters.evicted };
                counter.add(1);
                return true;
            }
            if live == EVICT_LIVE {
                self.hand.set(index.wrapping_add(1));
                return false;
            }
        }
        self.hand.set(from.wrapping_add(EVICT_REACH) % all);
        false
    }

    /// Ends connections that are over, of the next `most` records at most. Says whether it has been
    /// through: then there is nothing to do until the interval is over.
    ///
    /// One thread sweeps at a time; another one that calls meanwhile waits.
    pub fn sweep(&self, now: Instant, most: u32) -> bool {
        let mut sweep = self.sweep.lock();
        let since = *sweep.since.get_or_insert(now);
        let all = self.table.end();
        if sweep.next >= all && now.since(since) < self.sweep_interval() {
            return true;
        }
        if sweep.next >= all {
            (sweep.next, sweep.since) = (0, Some(now));
        }
        let end = sweep.next.saturating_add(most).min(all);
        let mut over = [(0, 0); FLUSHED];
        let mut count = 0;
        for index in sweep.next..end {
            let Some(record) = self.table.record(index) else { continue };
            let (generation, status) = record.status();
            if status.contains(Status::LIVE)
                && Self::is_over(record.expires.get(), now)
                && let Some(place) = over.get_mut(count)
            {
                *place = (index, generation);
                prefetch(&record.hash);
                count += 1;
            }
            if count == FLUSHED {
                self.expire(&over, now);
                count = 0;
            }
        }
        self.expire(over.get(..count).unwrap_or_default(), now);
        sweep.next = end;
        end >= all
    }

    fn expire(&self, batch: &[(u32, u32)], now: Instant) {
        if !batch.is_empty() {
            self.counters.expired.add(self.end_all(batch, now) as u64);
        }
    }

    /// Ends connections whose second lines have been asked for; returns how many were there still.
    fn end_all(&self, batch: &[(u32, u32)], now: Instant) -> usize {
        for record in batch.iter().filter_map(|&(index, _)| self.table.record(index)) {
            self.table.prefetch(record.hash.get());
        }
        batch.iter().filter(|&&(index, generation)| self.end(index, generation, now)).count()
    }

    /// How many records a sweep should look at in `elapsed` to keep to its interval.
    #[must_use]
    pub fn sweep_share(&self, elapsed: crate::base::Duration) -> u32 {
        let interval = self.sweep_interval.get().max(1);
        let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).min(interval);
        let share = u128::from(self.table.end()) * u128::from(elapsed) / u128::from(interval);
        u32::try_from(share).unwrap_or(u32::MAX).saturating_add(64)
    }

    /// Ends every connection of a zone, or with `None` of all. Returns how many.
    pub fn flush(&self, zone: Option<Zone>, now: Instant) -> usize {
        match zone {
            Some(zone) => self.flush_zone(zone, now),
            None => {
                let live = |index: u32| {
                    let (generation, status) = self.table.record(index)?.status();
                    status.contains(Status::LIVE).then_some(generation)
                };
                (0..self.table.end())
                    .filter(|&index| {
                        live(index).is_some_and(|generation| self.end(index, generation, now))
                    })
                    .count()
            }
        }
    }

    fn flush_zone(&self, zone: Zone, now: Instant) -> usize {
        let Some(state) = self.zones.known(zone) else { return 0 };
        // What others enter meanwhile is not waited for.
        let most = state.count() as usize;
        let mut ended = 0;
        let mut batch = [(0, 0); FLUSHED];
        for list in 0..super::zones::LISTS {
            while ended < most {
                let count = state.drain(&self.table, list, &mut batch);
                if count == 0 {
                    break;
                }
                let batch = batch.get(..count).unwrap_or_default();
                let records = batch.iter().filter_map(|&(index, _)| self.table.record(index));
                records.for_each(|record| prefetch(&record.hash));
                ended += self.end_all(batch, now);
            }
        }
        ended
    }
}
