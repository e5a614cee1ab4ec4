//! Zones: how many connections each has, how many it may have, and which they are.
//!
//! Each zone strings its connections on lists of its own, so that a flush costs what the zone holds.
//! A zone has several lists, by hash, so that threads which make connections in one zone seldom wait
//! for each other.

use std::sync::OnceLock;

use super::record::Record;
use super::table::Table;
use crate::base::Zone;
use crate::sync::{Locked, Word32};

/// Lists of one zone.
pub(super) const LISTS: usize = 8;
const PAGES: usize = 256;

/// One zone.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct ZoneState {
    /// Connections now.
    pub(super) count: Word32,
    /// How many it may have, plus one; 0 where the default holds.
    limit: Word32,
    /// Number of the timeout policy of its connections.
    pub(super) policy: Word32,
    /// First record of each list, as one more than its index.
    heads: [Locked<u32>; LISTS],
}

/// All zones that have been used.
#[derive(Debug)]
pub(super) struct Zones {
    pages: [OnceLock<Box<[ZoneState]>>; PAGES],
    /// How many connections a zone may have that has no limit of its own; 0: any number.
    default_limit: Word32,
}

/// A zone's limit and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneLimit {
    /// The zone.
    pub zone: Zone,
    /// How many connections it may have; 0: any number.
    pub limit: u32,
    /// How many it has.
    pub count: u32,
}

impl Default for Zones {
    fn default() -> Self {
        Self { pages: [const { OnceLock::new() }; PAGES], default_limit: Word32::new(0) }
    }
}

impl Zones {
    /// A zone, made when it is first asked for.
    #[inline]
    pub(super) fn get(&self, zone: Zone) -> Option<&ZoneState> {
        let page = self.pages.get(usize::from(zone.0) / PAGES)?;
        let fresh = || (0..PAGES).map(|_| ZoneState::default()).collect();
        page.get_or_init(fresh).get(usize::from(zone.0) % PAGES)
    }

    /// A zone that has been used.
    pub(super) fn known(&self, zone: Zone) -> Option<&ZoneState> {
        self.pages.get(usize::from(zone.0) / PAGES)?.get()?.get(usize::from(zone.0) % PAGES)
    }

    /// Counts one more connection, if the limit allows.
    pub(super) fn admit(&self, state: &ZoneState) -> bool {
        let limit = self.limit_of(Some(state));
        state.count.take_one(if limit == 0 { u32::MAX } else { limit })
    }

    fn limit_of(&self, state: Option<&ZoneState>) -> u32 {
        match state.map_or(0, |state| state.limit.get()) {
            0 => self.default_limit.get(),
            limit => limit - 1,
        }
    }

    /// The limit of zones without one of their own; 0: none.
    pub(super) fn default_limit(&self) -> u32 {
        self.default_limit.get()
    }

    pub(super) fn set_default_limit(&self, limit: u32) {
        self.default_limit.set(limit);
    }

    /// Gives a zone a limit of its own, or takes it away.
    pub(super) fn set_limit(&self, zone: Zone, limit: Option<u32>) {
        if let Some(state) = self.get(zone) {
            state.limit.set(limit.map_or(0, |limit| limit.saturating_add(1)));
        }
    }

    /// The limit that holds for a zone.
    pub(super) fn limit(&self, zone: Zone) -> ZoneLimit {
        let state = self.known(zone);
        ZoneLimit {
            zone,
            limit: self.limit_of(state),
            count: state.map_or(0, |state| state.count.get()),
        }
    }

    /// Zones with limits of their own, ascending.
    pub(super) fn limits(&self) -> impl Iterator<Item = ZoneLimit> + '_ {
        (0..=u16::MAX).map(Zone).filter_map(|zone| {
            let own = self.known(zone).is_some_and(|state| state.limit.get() != 0);
            own.then(|| self.limit(zone))
        })
    }
}

/// The list of a hash.
const fn list_of(hash: u64) -> usize {
    (hash >> 8) as usize & (LISTS - 1)
}

impl ZoneState {
    /// Strings a connection.
    pub(super) fn link(&self, table: &Table, index: u32, record: &Record) {
        let Some(head) = self.heads.get(list_of(record.hash.get())) else { return };
        let mut head = head.lock();
        record.before.set(0);
        record.after.set(*head);
        if let Some(next) = head.checked_sub(1).and_then(|next| table.record(next)) {
            next.before.set(index + 1);
        }
        *head = index + 1;
    }

    /// Takes a connection off its list.
    pub(super) fn unlink(&self, table: &Table, record: &Record) {
        let Some(head) = self.heads.get(list_of(record.hash.get())) else { return };
        let mut head = head.lock();
        let (before, after) = (record.before.get(), record.after.get());
        match before.checked_sub(1).and_then(|at| table.record(at)) {
            Some(record) => record.after.set(after),
            None => *head = after,
        }
        if let Some(next) = after.checked_sub(1).and_then(|next| table.record(next)) {
            next.before.set(before);
        }
        record.before.set(0);
        record.after.set(0);
    }

    /// The first connection of a list, and its generation.
    pub(super) fn first(&self, table: &Table, list: usize) -> Option<(u32, u32)> {
        let head = self.heads.get(list)?.lock();
        let index = head.checked_sub(1)?;
        let (generation, _) = table.record(index)?.status();
        Some((index, generation))
    }
}
