//! Zones: how many connections each has, how many it may have, and which they are.
//!
//! Each zone strings its connections on lists of its own, so that a flush costs what the zone holds.
//! A zone has several lists, by hash, so that threads which make connections in one zone seldom wait
//! for each other.

use std::sync::OnceLock;

use super::record::{Record, UNLINKED};
use super::table::Table;
use crate::base::Zone;
use crate::sync::{Locked, Word32};

/// Lists of one zone.
pub(super) const LISTS: usize = 8;
/// Zones that are made together.
const PAGE: usize = 16;
const PAGES: usize = 65_536 / PAGE;

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
    lists: [List; LISTS],
}

/// Records, each of which knows its place; alone on its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct List(Locked<Vec<u32>>);

/// All zones that have been used.
#[derive(Debug)]
pub(super) struct Zones {
    pages: Box<[OnceLock<Box<[ZoneState]>>]>,
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
        let pages = (0..PAGES).map(|_| OnceLock::new()).collect();
        Self { pages, default_limit: Word32::new(0) }
    }
}

impl Zones {
    /// A zone, made when it is first asked for.
    #[inline]
    pub(super) fn get(&self, zone: Zone) -> Option<&ZoneState> {
        let page = self.pages.get(usize::from(zone.0) / PAGE)?;
        let fresh = || (0..PAGE).map(|_| ZoneState::default()).collect();
        page.get_or_init(fresh).get(usize::from(zone.0) % PAGE)
    }

    /// A zone that has been used.
    pub(super) fn known(&self, zone: Zone) -> Option<&ZoneState> {
        self.pages.get(usize::from(zone.0) / PAGE)?.get()?.get(usize::from(zone.0) % PAGE)
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
    /// Lists a connection.
    pub(super) fn link(&self, index: u32, record: &Record) {
        let Some(list) = self.lists.get(list_of(record.hash.get())) else { return };
        let mut list = list.0.lock();
        record.place.set(u32::try_from(list.len()).unwrap_or(UNLINKED));
        list.push(index);
    }

    /// Takes a connection off its list, if it is there.
    pub(super) fn unlink(&self, table: &Table, record: &Record) {
        let Some(list) = self.lists.get(list_of(record.hash.get())) else { return };
        let mut list = list.0.lock();
        let place = record.place.get();
        if place == UNLINKED {
            return;
        }
        record.place.set(UNLINKED);
        let at = place as usize;
        if at >= list.len() {
            return;
        }
        list.swap_remove(at);
        if let Some(moved) = list.get(at).and_then(|&index| table.record(index)) {
            moved.place.set(place);
        }
    }

    /// Takes connections off a list and writes their indices and generations; returns how many. It
    /// is the caller's to end them.
    pub(super) fn drain(&self, table: &Table, list: usize, out: &mut [(u32, u32)]) -> usize {
        let Some(list) = self.lists.get(list) else { return 0 };
        let mut list = list.0.lock();
        let mut count = 0;
        for place in out {
            let Some(index) = list.pop() else { break };
            let Some(record) = table.record(index) else { continue };
            record.place.set(UNLINKED);
            *place = (index, record.status().0);
            count += 1;
        }
        count
    }
}
