//! Rules: one line of a flow table.
//!
//! A rule never changes once it stands in a table: a modification puts a new one in its place that
//! shares the statistics, so that whoever still holds the old one credits the right counters.

use std::sync::Arc;

use dp_core::base::{Duration, Instant};
use dp_core::sync::machine::{AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering, PoisonError};

use super::Match;
use crate::action::{Action, Actions};

/// The unique number of a rule, never used again. A modified rule keeps its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u64);

/// Which version of the tables something is: grows with every change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u64);

/// Flags of a flow-mod that stay with the rule (OpenFlow 1.3, section A.3.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RuleFlags {
    /// Tell the controllers when it goes (`send_flow_rem`).
    pub send_flow_removed: bool,
    /// Refuse to add a rule that overlaps another of the same priority (`check_overlap`); statistics
    /// tell that this was asked.
    pub check_overlap: bool,
    /// The flow-mod that replaces or modifies a rule sets its counters to zero (`reset_counts`).
    pub reset_counts: bool,
    /// Do not count packets (`no_packet_counts`).
    pub no_packet_counts: bool,
    /// Do not count bytes (`no_byte_counts`).
    pub no_byte_counts: bool,
}

/// What all versions of a rule count together.
#[derive(Debug, Default)]
pub struct RuleStats {
    packets: AtomicU64,
    bytes: AtomicU64,
    used: AtomicU64,
    /// When it was last kept alive as though it had been added again.
    refreshed: AtomicU64,
    /// Timeouts shorter than its own, in force since a connection ended: idle and hard, 16 bits
    /// each; 0: its own.
    shorter: AtomicU32,
}

/// What a table counts.
#[derive(Debug, Default)]
pub struct TableCounters {
    matched: AtomicU64,
    missed: AtomicU64,
    /// Whether somebody keeps rules ordered by their end.
    ordered: AtomicBool,
    /// Rules that end sooner than when this was last read, while `ordered`.
    hastened: Mutex<Vec<RuleId>>,
}

impl TableCounters {
    /// Counts packets that no rule matched.
    pub fn miss(&self, packets: u64) {
        self.missed.fetch_add(packets, Ordering::Relaxed);
    }

    /// Whether [`Self::take_hastened`] is to tell of rules; what it has not told yet is forgotten.
    pub(super) fn order(&self, ordered: bool) {
        self.ordered.store(ordered, Ordering::Release);
        self.take_hastened();
    }

    /// The rules whose timeouts became shorter since the last call.
    pub(super) fn take_hastened(&self) -> Vec<RuleId> {
        std::mem::take(&mut *self.hastened.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Packets that some rule matched.
    #[must_use]
    pub fn matched(&self) -> u64 {
        self.matched.load(Ordering::Relaxed)
    }

    /// Packets that were looked up.
    #[must_use]
    pub fn looked_up(&self) -> u64 {
        self.matched() + self.missed.load(Ordering::Relaxed)
    }
}

impl RuleStats {
    /// Statistics of a rule that came to be at `created`.
    #[must_use]
    pub fn new(created: Instant) -> Self {
        Self { used: AtomicU64::new(created.0), ..Self::default() }
    }

    /// The rule that counts here now has its own timeouts, whatever became of those of the one before.
    pub(super) fn renew(&self) {
        self.shorter.store(0, Ordering::Relaxed);
    }

    /// Counts packets last seen at `used`.
    pub fn credit(&self, packets: u64, bytes: u64, used: Instant) {
        self.packets.fetch_add(packets, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.used.fetch_max(used.0, Ordering::Relaxed);
    }

    /// Packets so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// When the last packet came; the rule's creation if none did.
    #[must_use]
    pub fn used(&self) -> Instant {
        Instant(self.used.load(Ordering::Relaxed))
    }
}

/// One line of a flow table.
#[derive(Debug)]
pub struct Rule {
    pub(super) id: RuleId,
    pub(super) matching: Match,
    pub(super) actions: Actions,
    pub(super) stats: Arc<RuleStats>,
    pub(super) cookie: u64,
    pub(super) created: Instant,
    pub(super) modified: Instant,
    pub(super) priority: u32,
    pub(super) idle_timeout: u16,
    pub(super) hard_timeout: u16,
    pub(super) importance: u16,
    pub(super) table: u8,
    pub(super) flags: RuleFlags,
    /// What its table counts.
    pub(super) counters: Arc<TableCounters>,
}

impl Rule {
    /// A rule that no controller made and that stays until the switch takes it away.
    pub(super) fn of_switch(
        id: RuleId,
        (table, priority): (u8, u32),
        matching: Match,
        actions: Actions,
        counters: &Arc<TableCounters>,
        now: Instant,
    ) -> Self {
        Self {
            id,
            matching,
            actions,
            stats: Arc::new(RuleStats::new(now)),
            cookie: 0,
            created: now,
            modified: now,
            priority,
            idle_timeout: 0,
            hard_timeout: 0,
            importance: 0,
            table,
            flags: RuleFlags::default(),
            counters: Arc::clone(counters),
        }
    }

    /// Its unique number.
    #[must_use]
    pub fn id(&self) -> RuleId {
        self.id
    }

    /// The table it stands in.
    #[must_use]
    pub fn table(&self) -> u8 {
        self.table
    }

    /// Its priority: of all rules that match a packet, one with the highest acts. Those of
    /// controllers have 16 bits; the switch's own ([`super::hidden`]) may have more.
    #[must_use]
    pub fn priority(&self) -> u32 {
        self.priority
    }

    /// The same as messages have room for it.
    #[must_use]
    pub fn wire_priority(&self) -> u16 {
        u16::try_from(self.priority).unwrap_or(u16::MAX)
    }

    /// Whether it takes what no other rule of its table takes (OpenFlow 1.3 section 5.4).
    #[must_use]
    pub fn is_table_miss(&self) -> bool {
        self.priority == 0 && self.matching.is_any()
    }

    /// What it matches on.
    #[must_use]
    pub fn matching(&self) -> &Match {
        &self.matching
    }

    /// What it does.
    #[must_use]
    pub fn actions(&self) -> &Actions {
        &self.actions
    }

    /// The controller's number for it.
    #[must_use]
    pub fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Seconds without a packet after which it goes; 0: never.
    #[must_use]
    pub fn idle_timeout(&self) -> u16 {
        shorter(self.idle_timeout, self.stats.shorter.load(Ordering::Relaxed) >> 16)
    }

    /// Seconds after its last modification when it goes; 0: never.
    #[must_use]
    pub fn hard_timeout(&self) -> u16 {
        shorter(self.hard_timeout, self.stats.shorter.load(Ordering::Relaxed) & 0xffff)
    }

    /// The idle and the hard timeout that it was added with, whatever has shortened them since.
    #[must_use]
    pub fn asked_timeouts(&self) -> (u16, u16) {
        (self.idle_timeout, self.hard_timeout)
    }

    /// Makes its timeouts these if they are shorter than what it has; 0: unchanged. Only a rule
    /// that has a timeout at all, or gets its first, ends by it.
    pub fn shorten_timeouts(&self, idle: u16, hard: u16) {
        let idle = shorter(self.idle_timeout(), u32::from(idle));
        let hard = shorter(self.hard_timeout(), u32::from(hard));
        let both = u32::from(idle) << 16 | u32::from(hard);
        let before = self.stats.shorter.swap(both, Ordering::Relaxed);
        if before != both && self.counters.ordered.load(Ordering::Acquire) {
            let hastened = &self.counters.hastened;
            hastened.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
        }
    }

    /// Starts its timeouts anew, as though it had been added at `now`.
    pub fn refresh(&self, now: Instant) {
        self.stats.refreshed.fetch_max(now.0, Ordering::Relaxed);
    }

    /// The conjunctions whose clauses it is; empty for ordinary rules.
    pub fn conjunctions(&self) -> impl Iterator<Item = (u32, u8, u8)> + '_ {
        self.actions.iter().filter_map(|action| match action {
            Action::Conjunction { id, clause, clauses } => Some((*id, *clause, *clauses)),
            _ => None,
        })
    }

    /// Whether it is but a clause of conjunctions.
    #[must_use]
    pub fn is_clause(&self) -> bool {
        matches!(self.actions.first(), Some(Action::Conjunction { .. } | Action::Note(_)))
            && self.conjunctions().next().is_some()
    }

    /// How much it resists eviction.
    #[must_use]
    pub fn importance(&self) -> u16 {
        self.importance
    }

    /// Its flags.
    #[must_use]
    pub fn flags(&self) -> RuleFlags {
        self.flags
    }

    /// When it was added.
    #[must_use]
    pub fn created(&self) -> Instant {
        self.created
    }

    /// When its actions were last changed, or it was added.
    #[must_use]
    pub fn modified(&self) -> Instant {
        self.modified
    }

    /// What it counted.
    #[must_use]
    pub fn stats(&self) -> &RuleStats {
        &self.stats
    }

    /// Counts packets last seen at `used`, as far as the rule counts at all.
    pub fn credit(&self, packets: u64, bytes: u64, used: Instant) {
        self.counters.matched.fetch_add(packets, Ordering::Relaxed);
        let packets = if self.flags.no_packet_counts { 0 } else { packets };
        let bytes = if self.flags.no_byte_counts { 0 } else { bytes };
        self.stats.credit(packets, bytes, used);
    }

    /// Whether it has a timeout, be it one that the end of a connection has left it, or may get one from
    /// its own actions, alone or in a group.
    pub(super) fn is_mortal(&self) -> bool {
        self.idle_timeout() != 0 || self.hard_timeout() != 0 || ends_by_itself(&self.actions)
    }

    /// When its timeouts began anew: added, modified, or kept alive as though it had been added.
    fn renewed(&self) -> Instant {
        self.modified.max(Instant(self.stats.refreshed.load(Ordering::Relaxed)))
    }

    /// When it ends if no further packet comes; `None`: never.
    #[must_use]
    pub fn ends(&self) -> Option<Instant> {
        let after = |from: Instant, seconds: u16| {
            (seconds != 0).then(|| from.after(Duration::from_secs(u64::from(seconds))))
        };
        let hard = after(self.renewed(), self.hard_timeout());
        let idle = after(self.stats.used(), self.idle_timeout());
        match (hard, idle) {
            (Some(hard), Some(idle)) => Some(hard.min(idle)),
            (hard, idle) => hard.or(idle),
        }
    }

    /// Whether one of its timeouts has passed at `now`, and which. At the very moment none has, as tools
    /// see that stop time; and a modification is no use of a rule.
    #[must_use]
    pub fn expired(&self, now: Instant) -> Option<Expiry> {
        let passed = |timeout: u16, since: Instant| {
            timeout != 0 && now.since(since) > Duration::from_secs(u64::from(timeout))
        };
        if passed(self.hard_timeout(), self.renewed()) {
            Some(Expiry::Hard)
        } else if passed(self.idle_timeout(), self.stats.used()) {
            Some(Expiry::Idle)
        } else {
            None
        }
    }
}

/// Whether a list may give its rule a timeout: by itself, or by a group's buckets.
fn ends_by_itself(actions: &[Action]) -> bool {
    actions.iter().any(|action| match action {
        Action::FinTimeout { .. } | Action::Group(_) => true,
        Action::WriteActions(list) | Action::Clone(list) => ends_by_itself(list),
        _ => false,
    })
}

/// The shorter of two timeouts, where 0 is none.
fn shorter(a: u16, b: u32) -> u16 {
    let b = u16::try_from(b).unwrap_or(u16::MAX);
    match (a, b) {
        (a, 0) => a,
        (0, b) => b,
        (a, b) => a.min(b),
    }
}

/// Which timeout of a rule passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// No packet for too long.
    Idle,
    /// Too long since it was added or modified.
    Hard,
}
