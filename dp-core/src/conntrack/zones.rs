//! Zones: how many connections each has, how many it may have, and which they are.
//!
//! Each zone has lists of its connections, so that a flush costs what the zone holds. A thread puts
//! what it makes on a list of its own, and a zone's count is the sum of its lists' lengths: threads
//! that make and end connections in one zone do not share a line of memory for it. Only where a limit
//! holds do they wait for each other, from the look at the count until the connection is listed.

use std::sync::OnceLock;

use super::count::{SHARES, own_share};
use super::record::{Record, UNLINKED};
use super::table::Table;
use crate::base::{Zone, prefetch};
use crate::sync::{Guard, Locked, Word32};

/// Lists of one zone, one for each share of the threads.
pub(super) const LISTS: usize = SHARES;
const LIST_BITS: u32 = LISTS.trailing_zeros();
/// Zones that are made together.
const PAGE: usize = 16;
const PAGES: usize = 65_536 / PAGE;

/// One zone.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct ZoneState {
    /// How many it may have, plus one; 0 where the default holds.
    limit: Word32,
    /// Number of the timeout policy of its connections.
    pub(super) policy: Word32,
    /// Who may be the last that the limit lets in.
    admission: Locked<()>,
    lists: [List; LISTS],
}

/// Records, each of which knows its list and its place; alone on its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct List {
    records: Locked<Vec<u32>>,
    /// How many there are.
    len: Word32,
}

/// Leave to list one more connection, as long as it is held.
pub(super) type Admission<'a> = Option<Guard<'a, ()>>;

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

    /// Lets one more connection in, if the limit allows.
    pub(super) fn admit<'a>(&self, state: &'a ZoneState) -> Option<Admission<'a>> {
        let limit = self.limit_of(Some(state));
        if limit == 0 {
            return Some(None);
        }
        let admission = state.admission.lock();
        (state.count() < limit).then_some(Some(admission))
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
        ZoneLimit { zone, limit: self.limit_of(state), count: state.map_or(0, ZoneState::count) }
    }

    /// Zones with limits of their own, ascending.
    pub(super) fn limits(&self) -> impl Iterator<Item = ZoneLimit> + '_ {
        (0..=u16::MAX).map(Zone).filter_map(|zone| {
            let own = self.known(zone).is_some_and(|state| state.limit.get() != 0);
            own.then(|| self.limit(zone))
        })
    }
}

impl ZoneState {
    /// Connections now.
    pub(super) fn count(&self) -> u32 {
        self.lists.iter().map(|list| list.len.get()).sum()
    }

    /// Lists a connection.
    pub(super) fn link(&self, index: u32, record: &Record) {
        let own = own_share();
        let Some(list) = self.lists.get(own) else { return };
        let mut records = list.records.lock();
        let place = records.len() << LIST_BITS | own;
        record.place.set(u32::try_from(place).unwrap_or(UNLINKED));
        records.push(index);
        list.told(&records);
    }

    /// Takes a connection off its list, if it is on one.
    pub(super) fn unlink(&self, table: &Table, record: &Record) {
        // Others may move it within its list, or take it off, but not to another list.
        let place = record.place.get() as usize;
        if place == UNLINKED as usize {
            return;
        }
        let Some(list) = self.lists.get(place % LISTS) else { return };
        let mut records = list.records.lock();
        let place = record.place.get();
        if place == UNLINKED {
            return;
        }
        record.place.set(UNLINKED);
        let at = place as usize >> LIST_BITS;
        if at >= records.len() {
            return;
        }
        records.swap_remove(at);
        list.told(&records);
        if let Some(moved) = records.get(at).and_then(|&index| table.record(index)) {
            moved.place.set(place);
        }
        // It is moved next.
        if let Some(last) = records.last().and_then(|&index| table.record(index)) {
            prefetch(&last.place);
        }
    }

    /// Takes connections off a list and writes their indices and generations; returns how many. It
    /// is the caller's to end them.
    pub(super) fn drain(&self, table: &Table, list: usize, out: &mut [(u32, u32)]) -> usize {
        let Some(list) = self.lists.get(list) else { return 0 };
        let mut records = list.records.lock();
        let mut count = 0;
        for place in out {
            let Some(index) = records.pop() else { break };
            let Some(record) = table.record(index) else { continue };
            record.place.set(UNLINKED);
            *place = (index, record.status().0);
            count += 1;
        }
        list.told(&records);
        count
    }
}

impl List {
    /// Writes down the length for those who do not hold the lock.
    fn told(&self, records: &[u32]) {
        self.len.set(u32::try_from(records.len()).unwrap_or(u32::MAX));
    }
}
