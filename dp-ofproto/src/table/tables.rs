//! The flow tables of a bridge: one writer at a time, readers without locks.
//!
//! Readers take a [`TableSet`], a snapshot that never changes; writers make a new one by an
//! [`Edit`] and publish it with [`Edit::commit`], whole or not at all. A snapshot shares all that
//! did not change with the one before.
//!
//! # Threads
//!
//! [`Tables::snapshot`] is one atomic load and one increment; hold the snapshot for a translation
//! or a burst of them. Edits take a lock that readers never touch. Snapshots that readers still
//! hold are kept by the writer until they let go, so that no packet thread ever frees a table.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use dp_core::base::Instant;
use dp_core::flow::{FlowKey, FlowMask};
use dp_core::sync::machine::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};

use super::InternalRules;
use super::edit::Edit;
use super::hash_trie::HashTrie;
use super::hidden::Hidden;
use super::users::Users;
use super::{
    Change, EvictionOrder, FlowMod, FlowModError, Found, PrefixFields, Rule, Table, TableCounters,
    TableLimit, Version,
};
use crate::group::{Group, GroupId};

/// How many tables there are, the internal one included.
pub const TABLES: usize = 255;
/// The table that belongs to the switch itself; the ones before are the users'.
pub const INTERNAL_TABLE: u8 = 254;

/// What may be chosen about tables.
#[derive(Clone, Copy, Debug)]
pub struct TablesConfig {
    /// Rules that a table may hold.
    pub max_rules: usize,
    /// Fields with a prefix trie, in every table ([`Edit::set_prefixes`] changes them).
    pub prefixes: PrefixFields,
    /// Seed of the hashes: random, where strangers may cause rules to be added.
    pub seed: u64,
}

impl Default for TablesConfig {
    fn default() -> Self {
        Self {
            max_rules: 4_000_000,
            prefixes: PrefixFields::default(),
            seed: 0x6f70_656e_666c_6f77,
        }
    }
}

/// The flow tables of a bridge.
#[derive(Debug)]
pub struct Tables {
    current: ArcSwap<TableSet>,
    writer: Mutex<Writer>,
    config: TablesConfig,
    counters: Counters,
    feed: Feed,
}

/// One for each table.
#[derive(Clone, Debug)]
struct Counters(Arc<[Arc<TableCounters>]>);

/// Changes that nobody who could pass them on asked for: by packets and by time.
#[derive(Debug, Default)]
struct Feed {
    open: AtomicBool,
    changes: Mutex<Vec<Change>>,
}

/// What only the writer needs.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// The next rule's number.
    pub(super) next_rule: u64,
    /// Snapshots that some reader may still hold.
    retired: Vec<Arc<TableSet>>,
    /// Limits of tables that have some of their own.
    pub(super) limits: BTreeMap<u8, TableLimit>,
    /// Tables that controllers have said may let rules go.
    pub(super) evict: BTreeSet<u8>,
    /// In which order full tables let rules go, where one has done so.
    pub(super) orders: BTreeMap<u8, EvictionOrder>,
    /// How many rules learn rules with this cookie in this table that are to go with them.
    pub(super) learners: HashMap<(u64, u8), usize>,
}

impl Tables {
    /// Empty tables.
    #[must_use]
    pub fn new(config: TablesConfig) -> Self {
        let counters = Counters((0..TABLES).map(|_| Arc::default()).collect());
        let set = TableSet {
            version: Version(0),
            tables: Vec::new(),
            groups: HashTrie::default(),
            users: Users::default(),
            hidden: None,
            internal: Arc::new(InternalRules::new(Instant::default())),
            counters: counters.clone(),
        };
        Self {
            current: ArcSwap::from_pointee(set),
            writer: Mutex::default(),
            config,
            counters,
            feed: Feed::default(),
        }
    }

    /// The tables as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<TableSet> {
        self.current.load_full()
    }

    /// The version of the tables now: differs if anything changed.
    #[must_use]
    pub fn version(&self) -> Version {
        self.current.load().version
    }

    /// Starts a change; nobody sees it before it is committed.
    #[must_use]
    pub fn edit(&self) -> Edit<'_> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        Edit::new(self, writer, TableSet::clone(&self.current.load()))
    }

    /// Carries out one flow-mod and publishes it.
    ///
    /// # Errors
    ///
    /// Why it was refused; nothing has changed then.
    pub fn apply(&self, flow_mod: &FlowMod, now: Instant) -> Result<Vec<Change>, FlowModError> {
        let mut edit = self.edit();
        edit.apply(flow_mod, now)?;
        Ok(edit.commit())
    }

    /// The switch begins to count: the rules of its own table are as old as this.
    pub fn begin(&self, now: Instant) {
        let mut edit = self.edit();
        edit.begin(now);
        edit.commit();
    }

    /// Removes the rules whose time is over.
    pub fn expire(&self, now: Instant) -> Vec<Change> {
        let mut edit = self.edit();
        edit.expire(now);
        edit.commit()
    }

    /// Says how many rules each table may hold; rules beyond go at once, if they may. Returns what
    /// went.
    pub fn set_limits(&self, limits: BTreeMap<u8, TableLimit>) -> Vec<Change> {
        let mut edit = self.edit();
        edit.set_limits(limits);
        edit.commit()
    }

    /// Says whether a full table lets rules go though its limit does not say so.
    pub fn set_eviction(&self, table: u8, evict: bool) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match evict {
            true => writer.evict.insert(table),
            false => writer.evict.remove(&table),
        };
    }

    /// How many rules a table may hold, if it has a limit of its own.
    #[must_use]
    pub fn limit(&self, table: u8) -> Option<usize> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.limits.get(&table).and_then(|limit| limit.rules)
    }

    /// What a table counts.
    #[must_use]
    pub fn counters(&self, table: u8) -> Arc<TableCounters> {
        self.counters.get(table)
    }

    /// Carries out a flow-mod that packets asked for. What is refused is not done.
    pub fn learn(&self, flow_mod: &FlowMod, now: Instant) {
        if let Ok(changes) = self.apply(flow_mod, now) {
            self.tell(changes);
        }
    }

    /// Keeps changes that come about by packets and by time for [`Self::take_changes`] from now on.
    pub fn keep_changes(&self, keep: bool) {
        self.feed.open.store(keep, Ordering::Release);
        if !keep {
            self.take_changes();
        }
    }

    /// The changes that came about by packets and by time since the last call.
    pub fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut *self.feed.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps changes for [`Self::take_changes`], if anybody wants them.
    pub fn tell(&self, changes: Vec<Change>) {
        if self.feed.open.load(Ordering::Acquire) {
            self.feed.changes.lock().unwrap_or_else(PoisonError::into_inner).extend(changes);
        }
    }

    /// How the tables were configured.
    #[must_use]
    pub fn config(&self) -> &TablesConfig {
        &self.config
    }

    pub(super) fn publish(&self, mut writer: MutexGuard<'_, Writer>, set: TableSet) {
        let old = self.current.swap(Arc::new(set));
        writer.retired.push(old);
        writer.purge();
    }
}

impl Counters {
    fn get(&self, table: u8) -> Arc<TableCounters> {
        self.0.get(usize::from(table)).map(Arc::clone).unwrap_or_default()
    }
}

impl Writer {
    /// Frees the snapshots that nobody holds any more.
    pub(super) fn purge(&mut self) {
        self.retired.retain(|set| Arc::strong_count(set) > 1);
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self::new(TablesConfig::default())
    }
}

/// The flow tables at one version. Never changes.
#[derive(Clone, Debug)]
pub struct TableSet {
    pub(super) version: Version,
    /// By number; shorter than [`TABLES`] as long as the last ones are empty.
    pub(super) tables: Vec<Arc<Table>>,
    /// By the hash of their number, which is different for each.
    pub(super) groups: HashTrie<Arc<Group>>,
    /// How many rules use each group and meter.
    pub(super) users: Users,
    /// The switch's own rules that stand before table 0, if there are any.
    pub(super) hidden: Option<Arc<Hidden>>,
    /// Those of its own table, the last.
    pub(super) internal: Arc<InternalRules>,
    counters: Counters,
}

impl TableSet {
    /// Its version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// A table; `None` for one that nothing was ever added to.
    #[must_use]
    pub fn table(&self, id: u8) -> Option<&Arc<Table>> {
        self.tables.get(usize::from(id))
    }

    /// The version that last changed a table.
    #[must_use]
    pub fn table_version(&self, id: u8) -> Version {
        self.table(id).map_or(Version(0), |table| table.version())
    }

    /// What a table counts.
    #[must_use]
    pub fn counters(&self, table: u8) -> Arc<TableCounters> {
        self.counters.get(table)
    }

    /// What a packet takes in a table: the rule, and the clauses that led to it. Makes every bit
    /// count in `wc` that the outcome rests on.
    #[must_use]
    pub fn find(&self, id: u8, key: &FlowKey, wc: &mut FlowMask) -> Found {
        if let Some(hidden) = self.hidden.as_ref().filter(|_| id == 0) {
            let found = hidden.table.find(key, wc);
            if found.rule.is_some() {
                return found;
            }
        }
        self.table(id).map_or_else(Found::default, |table| table.find(key, wc))
    }

    /// The rules of the switch's own table.
    #[must_use]
    pub fn internal(&self) -> &InternalRules {
        &self.internal
    }

    /// The switch's own rules that stand before table 0, if there are any.
    #[must_use]
    pub fn hidden(&self) -> Option<&Hidden> {
        self.hidden.as_deref()
    }

    /// The rule of a table that a packet takes; `None`: a miss. Makes every bit count in `wc` that
    /// the outcome rests on.
    #[must_use]
    pub fn lookup(&self, id: u8, key: &FlowKey, wc: &mut FlowMask) -> Option<Arc<Rule>> {
        self.find(id, key, wc).rule
    }

    /// All rules, table by table; in no order inside a table.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.tables.iter().flat_map(|table| table.rules())
    }

    /// The group with this number.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<&Arc<Group>> {
        self.groups.get(group_hash(id))
    }

    /// How many rules use a group.
    #[must_use]
    pub fn group_users(&self, id: GroupId) -> u32 {
        self.users.of_group(id)
    }

    /// How many rules use a meter.
    #[must_use]
    pub fn meter_users(&self, meter: u32) -> u32 {
        self.users.of_meter(meter)
    }

    /// All groups, in no order.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.iter()
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.iter().map(|table| table.len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Scatters the numbers of groups, each to a hash of its own.
pub(super) fn group_hash(id: GroupId) -> u32 {
    number_hash(id.0)
}

/// Scatters numbers, each to a hash of its own.
pub(super) const fn number_hash(number: u32) -> u32 {
    number.wrapping_mul(0x9e37_79b1).rotate_left(16).wrapping_mul(0x85eb_ca6b)
}
