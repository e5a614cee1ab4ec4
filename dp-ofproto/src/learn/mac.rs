//! Where Ethernet addresses are: learned from source addresses, forgotten with age.
//!
//! Bounded: when the table is full an entry of the port with the most entries makes room, the one that
//! was refreshed longest ago, so that a port that floods pushes out its own. A change that could make a translation wrong (an address that is new, has moved or is gone) moves the
//! table's version on, so that the megaflows which rest on it are looked at again; a refresh does
//! not.
//!
//! # Hairpin
//!
//! Where a hairpin puts the same source address on two ports in turn, following each packet would
//! move the entry back and forth and change megaflows every time. So an entry younger than
//! `STICKY` (10 s) stays where it is: packets from other ports are counted and change nothing, packets
//! from its own port refresh it at most once a second. From then on it moves as usual. Age counts
//! from the last refresh. [`MacTableConfig::always_move`] switches this off.

use std::collections::{BTreeSet, HashMap};

use ahash::RandomState;
use dp_core::base::{Duration, Instant, MacAddr, OfPort};
use dp_core::sync::machine::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

/// How long an entry resists being moved by a packet from another port.
pub(super) const STICKY: Duration = Duration::from_secs(10);
const REFRESH: Duration = Duration::from_secs(1);
/// How long a gratuitous ARP packet over a bond holds an entry.
const GRATUITOUS: Duration = Duration::from_secs(5);

/// What may be chosen about a MAC table.
#[derive(Clone, Copy, Debug)]
pub struct MacTableConfig {
    /// Entries it holds at most.
    pub size: usize,
    /// How long an entry lives without being refreshed.
    pub ageing: Duration,
    /// Entries move with every packet, however young (`mac-learning-fallback`).
    pub always_move: bool,
}

impl Default for MacTableConfig {
    fn default() -> Self {
        Self { size: 8192, ageing: Duration::from_secs(300), always_move: false }
    }
}

/// One address, as [`MacTable::dump`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacEntry {
    /// The port it was seen on.
    pub port: OfPort,
    /// Its VLAN.
    pub vlan: u16,
    /// The address.
    pub mac: MacAddr,
    /// How long ago it was refreshed.
    pub age: Duration,
    /// An operator put it here: it neither moves nor ages.
    pub is_static: bool,
}

/// What has happened to a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MacCounts {
    /// Addresses learned.
    pub learned: u64,
    /// Addresses forgotten because of their age.
    pub expired: u64,
    /// Addresses that made room for others.
    pub evicted: u64,
    /// Addresses that moved to another port.
    pub moved: u64,
    /// Packets from addresses that operators have put behind another port.
    pub held: u64,
}

impl MacCounts {
    fn since(&self, before: &Self) -> Self {
        Self {
            learned: self.learned - before.learned,
            expired: self.expired - before.expired,
            evicted: self.evicted - before.evicted,
            moved: self.moved - before.moved,
            held: self.held - before.held,
        }
    }
}

type Place = (u16, MacAddr);
/// When an entry was refreshed, and which of those of the same instant it was.
type Turn = (Instant, u64);

#[derive(Clone, Copy, Debug)]
struct Entry {
    port: OfPort,
    refreshed: Instant,
    turn: u64,
    /// Put here by an operator: not among [`Inner::by_age`].
    fixed: bool,
    /// A gratuitous ARP packet holds it until then.
    locked: Option<Instant>,
}

/// Whether a packet is an ARP packet that tells everybody where an address is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gratuitous {
    /// No.
    #[default]
    No,
    /// It is.
    Fresh,
    /// It is, and may be an own one that a bond's members reflect.
    Reflected,
}

/// What a packet changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacChange {
    /// The VLAN.
    pub vlan: u16,
    /// The address.
    pub mac: MacAddr,
    /// Where it is now.
    pub port: OfPort,
    /// Where it was, if it was known.
    pub from: Option<OfPort>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Place, Entry, RandomState>,
    /// The same by age, oldest first.
    by_age: BTreeSet<(Turn, Place)>,
    /// The same of each port.
    by_port: HashMap<OfPort, BTreeSet<(Turn, Place)>, RandomState>,
    /// Ports by how many of these they have.
    by_count: BTreeSet<(usize, OfPort)>,
    /// How often an entry was put here: orders those of one instant.
    turns: u64,
    config: MacTableConfig,
    counts: MacCounts,
    /// The counts when they were last cleared.
    cleared: MacCounts,
}

/// The addresses that a bridge has learned.
#[derive(Debug)]
pub struct MacTable {
    inner: Mutex<Inner>,
    version: AtomicU64,
    suppressed: AtomicU64,
}

impl MacTable {
    /// An empty table.
    #[must_use]
    pub fn new(config: MacTableConfig) -> Self {
        Self {
            inner: Mutex::new(Inner { config, ..Inner::default() }),
            version: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Differs whenever an address was added, moved or removed.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Moves that did not happen because the entry was young.
    #[must_use]
    pub fn suppressed_moves(&self) -> u64 {
        self.suppressed.load(Ordering::Relaxed)
    }

    /// Entries that made room for others.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.lock().counts.evicted
    }

    /// What has happened to it since it was made.
    #[must_use]
    pub fn totals(&self) -> MacCounts {
        self.lock().counts
    }

    /// What has happened to it since [`Self::clear_counts`].
    #[must_use]
    pub fn counts(&self) -> MacCounts {
        let inner = self.lock();
        inner.counts.since(&inner.cleared)
    }

    /// Counts from zero again.
    pub fn clear_counts(&self) {
        let mut inner = self.lock();
        inner.cleared = inner.counts;
    }

    /// How many entries there are at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.lock().config.size
    }

    /// How many entries operators have put here.
    #[must_use]
    pub fn static_len(&self) -> usize {
        self.lock().entries.values().filter(|entry| entry.fixed).count()
    }

    /// Puts an address behind a port, where it stays whatever packets say. Returns where it was, and
    /// whether an operator had put it there.
    pub fn add_static(
        &self,
        vlan: u16,
        mac: MacAddr,
        port: OfPort,
        now: Instant,
    ) -> Option<(OfPort, bool)> {
        let mut inner = self.lock();
        let place = (vlan, mac);
        let turn = inner.next_turn();
        let entry = Entry { port, refreshed: now, turn, fixed: true, locked: None };
        let old = inner.entries.insert(place, entry);
        if let Some(old) = old.filter(|old| !old.fixed) {
            inner.unlist(place, &old);
        }
        self.changed();
        old.map(|old| (old.port, old.fixed))
    }

    /// Removes an address that [`Self::add_static`] has put here; `false` if there is none.
    pub fn remove_static(&self, vlan: u16, mac: MacAddr) -> bool {
        let mut inner = self.lock();
        let place = (vlan, mac);
        let found = inner.entries.get(&place).is_some_and(|entry| entry.fixed);
        if found {
            inner.entries.remove(&place);
            self.changed();
        }
        found
    }

    /// Changes size, ageing and moving; entries beyond the size go at once.
    pub fn set_config(&self, config: MacTableConfig) {
        let mut inner = self.lock();
        inner.config = config;
        let mut gone = false;
        while inner.entries.len() > config.size && inner.evict() {
            gone = true;
        }
        if gone {
            self.changed();
        }
    }

    /// Whether [`Self::learn`] would add or move an entry.
    #[must_use]
    pub fn would_change(&self, vlan: u16, mac: MacAddr, port: OfPort, now: Instant) -> bool {
        let inner = self.lock();
        match inner.entries.get(&(vlan, mac)) {
            None => inner.config.size != 0,
            Some(entry) => {
                let young = !inner.config.always_move && now.since(entry.refreshed) < STICKY;
                entry.port != port && !entry.fixed && !young
            }
        }
    }

    /// Learns that a packet from `mac` in `vlan` came in by `port`. Group addresses are not learned.
    pub fn learn(&self, vlan: u16, mac: MacAddr, port: OfPort, now: Instant) {
        self.learn_from(vlan, mac, port, Gratuitous::No, now);
    }

    /// The same; tells what changed. An entry that a gratuitous ARP packet made is not moved by such
    /// packets that a bond's members reflect, for five seconds.
    pub fn learn_from(
        &self,
        vlan: u16,
        mac: MacAddr,
        port: OfPort,
        arp: Gratuitous,
        now: Instant,
    ) -> Option<MacChange> {
        if mac.is_multicast() {
            return None;
        }
        let mut inner = self.lock();
        let place = (vlan, mac);
        let locked = (arp == Gratuitous::Fresh).then(|| now.after(GRATUITOUS));
        let change = |from| Some(MacChange { vlan, mac, port, from });
        let Some(&entry) = inner.entries.get(&place) else {
            if inner.config.size == 0 {
                return None;
            }
            while inner.entries.len() >= inner.config.size {
                if !inner.evict() {
                    // Operators' entries alone fill it.
                    return None;
                }
                inner.counts.evicted += 1;
            }
            let turn = inner.next_turn();
            inner.put(place, Entry { port, refreshed: now, turn, fixed: false, locked }, None);
            inner.counts.learned += 1;
            self.changed();
            return change(None);
        };
        if entry.fixed {
            inner.counts.held += u64::from(entry.port != port);
            return None;
        }
        let age = now.since(entry.refreshed);
        let same = entry.port == port;
        let held = arp == Gratuitous::Reflected && entry.locked.is_some_and(|until| now < until);
        if held {
            return None;
        }
        if !same && !inner.config.always_move && age < STICKY {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        if !same || age >= REFRESH || locked.is_some() {
            let locked = locked.or(entry.locked.filter(|_| same));
            let turn = inner.next_turn();
            let fresh = Entry { port, refreshed: now, turn, fixed: false, locked };
            inner.put(place, fresh, Some(&entry));
        }
        if same {
            return None;
        }
        inner.counts.moved += 1;
        self.changed();
        change(Some(entry.port))
    }

    /// The port behind which an address is.
    #[must_use]
    pub fn lookup(&self, vlan: u16, mac: MacAddr) -> Option<OfPort> {
        self.lock().entries.get(&(vlan, mac)).map(|entry| entry.port)
    }

    /// Forgets what has not been refreshed for too long.
    pub fn expire(&self, now: Instant) {
        let mut inner = self.lock();
        let ageing = inner.config.ageing;
        let mut gone = false;
        while inner.by_age.first().is_some_and(|((at, _), _)| now.since(*at) >= ageing) {
            gone |= inner.pop_oldest();
            inner.counts.expired += 1;
        }
        if gone {
            self.changed();
        }
    }

    /// Forgets everything but what operators have put here.
    pub fn flush(&self) {
        self.keep(|entry| entry.fixed);
    }

    /// Forgets what is behind ports that `keep` does not want, and tells which addresses these were.
    pub fn retain(&self, keep: impl Fn(OfPort) -> bool) -> Vec<(u16, MacAddr)> {
        self.keep(|entry| keep(entry.port))
    }

    /// Forgets these addresses, but none that an operator has put here.
    pub fn forget(&self, places: &[(u16, MacAddr)]) {
        let mut inner = self.lock();
        let mut gone = false;
        for &place in places {
            let learned = inner.entries.get(&place).is_some_and(|entry| !entry.fixed);
            gone |= learned && inner.remove(place);
        }
        if gone {
            self.changed();
        }
    }

    /// Forgets all others.
    fn keep(&self, keep: impl Fn(&Entry) -> bool) -> Vec<Place> {
        let mut inner = self.lock();
        let gone = inner.entries.extract_if(|_, entry| !keep(entry));
        let gone = gone.collect::<Vec<_>>();
        for (place, entry) in &gone {
            inner.unlist(*place, entry);
        }
        if !gone.is_empty() {
            self.changed();
        }
        gone.into_iter().map(|(place, _)| place).collect()
    }

    /// How many addresses are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All addresses, oldest first.
    #[must_use]
    pub fn dump(&self, now: Instant) -> Vec<MacEntry> {
        let inner = self.lock();
        let row = |(&(vlan, mac), entry): (&Place, &Entry)| {
            let age = now.since(entry.refreshed);
            (entry.at(), MacEntry { port: entry.port, vlan, mac, age, is_static: entry.fixed })
        };
        let mut rows: Vec<_> = inner.entries.iter().map(row).collect();
        rows.sort_by_key(|(at, _)| *at);
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

impl Entry {
    fn at(&self) -> Turn {
        (self.refreshed, self.turn)
    }
}

impl Inner {
    fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    fn put(&mut self, place: Place, entry: Entry, before: Option<&Entry>) {
        if let Some(before) = before {
            self.unlist(place, before);
        }
        self.by_age.insert((entry.at(), place));
        let own = self.by_port.entry(entry.port).or_default();
        self.by_count.remove(&(own.len(), entry.port));
        own.insert((entry.at(), place));
        self.by_count.insert((own.len(), entry.port));
        self.entries.insert(place, entry);
    }

    /// Takes an entry out of the lists; those of operators are in none.
    fn unlist(&mut self, place: Place, entry: &Entry) {
        let item = (entry.at(), place);
        self.by_age.remove(&item);
        let Some(own) = self.by_port.get_mut(&entry.port) else { return };
        let before = own.len();
        if !own.remove(&item) {
            return;
        }
        let after = own.len();
        self.by_count.remove(&(before, entry.port));
        if after == 0 {
            self.by_port.remove(&entry.port);
        } else {
            self.by_count.insert((after, entry.port));
        }
    }

    fn remove(&mut self, place: Place) -> bool {
        let Some(entry) = self.entries.remove(&place) else { return false };
        self.unlist(place, &entry);
        true
    }

    fn pop_oldest(&mut self) -> bool {
        let oldest = self.by_age.first().copied();
        oldest.is_some_and(|(_, place)| self.remove(place))
    }

    /// Makes room: the oldest of the port that has most.
    fn evict(&mut self) -> bool {
        let most = self.by_count.last().and_then(|(_, port)| self.by_port.get(port));
        let oldest = most.and_then(|own| own.first()).copied();
        oldest.is_some_and(|(_, place)| self.remove(place))
    }
}

#[cfg(test)]
mod tests {
    use super::{MacTable, MacTableConfig};
    use dp_core::base::{Duration, Instant, MacAddr, OfPort};

    const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);
    const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xb]);
    const C: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xc]);

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn a_port_that_floods_pushes_out_its_own_entries_alone() {
        let config = MacTableConfig { size: 10, always_move: true, ..MacTableConfig::default() };
        let table = MacTable::new(config);
        for n in 0..3 {
            table.learn(1, MacAddr([2, 0, 0, 0, 1, n]), OfPort(3), at(1));
        }
        for n in 0..200 {
            table.learn(1, MacAddr([2, 0, 0, 0, 2, n]), OfPort(1), at(2 + u64::from(n)));
        }
        let of = |port| table.dump(at(300)).iter().filter(|row| row.port == OfPort(port)).count();
        assert_eq!((of(3), of(1), table.counts().evicted), (3, 7, 193));
        // One that moves counts where it is.
        for n in 0..3 {
            table.learn(1, MacAddr([2, 0, 0, 0, 1, n]), OfPort(1), at(250));
        }
        table.learn(1, A, OfPort(4), at(251));
        assert_eq!((of(1), of(4), table.len()), (9, 1, 10));
        table.expire(at(1000));
        assert!(table.is_empty());
    }

    #[test]
    fn a_flush_leaves_what_operators_have_put_there() {
        let table = MacTable::new(MacTableConfig::default());
        table.learn(1, A, OfPort(1), at(1));
        table.learn(1, B, OfPort(1), at(1));
        assert_eq!(table.add_static(1, A, OfPort(2), at(2)), Some((OfPort(1), false)));
        assert_eq!(table.add_static(1, A, OfPort(3), at(2)), Some((OfPort(2), true)));
        table.flush();
        assert_eq!((table.lookup(1, A), table.lookup(1, B)), (Some(OfPort(3)), None));
        assert_eq!((table.len(), table.counts().expired), (1, 0));
        table.retain(|port| port != OfPort(3));
        assert_eq!((table.len(), table.counts().expired), (0, 0));
    }

    #[test]
    fn young_entries_stay_and_old_ones_move() {
        let table = MacTable::new(MacTableConfig::default());
        table.learn(1, A, OfPort(1), at(100));
        table.learn(1, A, OfPort(2), at(109));
        assert_eq!((table.lookup(1, A), table.suppressed_moves()), (Some(OfPort(1)), 1));
        // A refresh by its own port starts the ten seconds anew.
        table.learn(1, A, OfPort(1), at(109));
        table.learn(1, A, OfPort(2), at(118));
        assert_eq!((table.lookup(1, A), table.suppressed_moves()), (Some(OfPort(1)), 2));
        let version = table.version();
        table.learn(1, A, OfPort(2), at(119));
        assert_eq!(table.lookup(1, A), Some(OfPort(2)));
        assert_ne!(table.version(), version);
    }

    #[test]
    fn with_always_move_every_packet_moves() {
        let table = MacTable::new(MacTableConfig { always_move: true, ..Default::default() });
        table.learn(1, A, OfPort(1), at(100));
        table.learn(1, A, OfPort(2), at(100));
        assert_eq!((table.lookup(1, A), table.suppressed_moves()), (Some(OfPort(2)), 0));
    }

    #[test]
    fn refreshes_are_counted_once_a_second_and_do_not_change_the_version() {
        let table = MacTable::new(MacTableConfig::default());
        table.learn(1, A, OfPort(1), Instant::from_millis(0));
        let version = table.version();
        table.learn(1, A, OfPort(1), Instant::from_millis(999));
        assert_eq!(table.dump(at(1))[0].age, Duration::from_secs(1));
        table.learn(1, A, OfPort(1), Instant::from_millis(1000));
        assert_eq!(table.dump(at(1))[0].age, Duration::ZERO);
        assert_eq!(table.version(), version);
    }

    #[test]
    fn entries_age_and_make_room() {
        let config = MacTableConfig { size: 2, ..Default::default() };
        let table = MacTable::new(config);
        table.learn(1, A, OfPort(1), at(0));
        table.learn(1, B, OfPort(1), at(1));
        table.learn(1, A, OfPort(1), at(2));
        table.learn(2, C, OfPort(1), at(3));
        assert_eq!(table.lookup(1, B), None, "the oldest makes room");
        assert_eq!((table.lookup(1, A), table.evicted()), (Some(OfPort(1)), 1));
        table.expire(at(302));
        assert_eq!((table.lookup(1, A), table.lookup(2, C)), (None, Some(OfPort(1))));
        table.retain(|port| port != OfPort(1));
        assert!(table.is_empty() && table.dump(at(303)).is_empty());
    }

    #[test]
    fn what_an_operator_put_here_stays_until_he_takes_it_away() {
        let table = MacTable::new(MacTableConfig { always_move: true, ..Default::default() });
        table.add_static(1, A, OfPort(1), at(0));
        table.learn(1, A, OfPort(2), at(100));
        table.expire(at(10_000));
        assert_eq!((table.lookup(1, A), table.static_len()), (Some(OfPort(1)), 1));
        assert!(table.dump(at(0))[0].is_static);
        assert!(table.remove_static(1, A) && !table.remove_static(1, A));
        table.learn(1, A, OfPort(2), at(100));
        table.learn(1, A, OfPort(3), at(101));
        table.flush();
        let counts = table.counts();
        assert_eq!((counts.learned, counts.moved, counts.expired), (1, 1, 0));
        table.clear_counts();
        assert_eq!(table.counts().learned, 0);
    }

    #[test]
    fn group_addresses_are_not_learned() {
        let table = MacTable::new(MacTableConfig::default());
        table.learn(1, MacAddr([1, 0, 0x5e, 0, 0, 1]), OfPort(1), at(0));
        assert!(table.is_empty());
    }
}
