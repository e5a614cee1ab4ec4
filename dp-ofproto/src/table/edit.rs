//! Changing the tables: a transaction of flow-mods (OpenFlow 1.3, section 6.4).
//!
//! An [`Edit`] works on a copy that shares everything with the published snapshot until it is
//! touched. Each flow-mod in it succeeds or leaves the edit as it was; [`Edit::commit`] shows all
//! of them at once, dropping the edit shows none. That is all there is to an OpenFlow bundle's
//! roll-back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dp_core::base::{Instant, OfPort};
use dp_core::sync::machine::MutexGuard;

use super::flow_mod::{Change, Command, FlowMod, FlowModError, Removal};
use super::rule::{Rule, RuleId, RuleStats};
use super::tables::{INTERNAL_TABLE, TableSet, Tables, Writer, group_hash};
use super::{EvictionOrder, InternalRules, PrefixFields, Table, TableLimit, Version};
use crate::action::{self, Action, Actions};
use crate::group::{Group, GroupId};

/// A change of the tables in the making.
#[derive(Debug)]
pub struct Edit<'a> {
    pub(super) tables: &'a Tables,
    writer: MutexGuard<'a, Writer>,
    pub(super) set: TableSet,
    changes: Vec<Change>,
    /// Whether something changed that is no rule.
    pub(super) retuned: bool,
    /// The orders of eviction in use, and how many of the changes they know. Whoever drops the edit
    /// drops them; they are made anew when they are needed again.
    orders: BTreeMap<u8, (EvictionOrder, usize)>,
    /// Cookies and tables of what is learned by rules that came and went: how many more, and how
    /// many less.
    learners: HashMap<(u64, u8), (usize, usize)>,
}

impl<'a> Edit<'a> {
    pub(super) fn new(
        tables: &'a Tables,
        writer: MutexGuard<'a, Writer>,
        mut set: TableSet,
    ) -> Self {
        set.version = Version(set.version.0 + 1);
        Self {
            tables,
            writer,
            set,
            changes: Vec::new(),
            retuned: false,
            orders: BTreeMap::new(),
            learners: HashMap::new(),
        }
    }

    /// The tables as this edit will leave them.
    #[must_use]
    pub fn view(&self) -> &TableSet {
        &self.set
    }

    /// What has changed so far.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Carries out a flow-mod. The prerequisites of the fields that actions touch are the business
    /// of whoever read them (text, codec): translation leaves alone what a packet does not have.
    ///
    /// # Errors
    ///
    /// Why it was refused; the edit is as before then.
    pub fn apply(&mut self, flow_mod: &FlowMod, now: Instant) -> Result<(), FlowModError> {
        if let Some(table) = flow_mod.table.filter(|&table| table > INTERNAL_TABLE) {
            return Err(FlowModError::NoSuchTable(table));
        }
        flow_mod.matching.validate()?;
        match flow_mod.command {
            Command::Add => self.add(flow_mod, now),
            Command::Modify | Command::ModifyStrict => self.modify(flow_mod, now),
            Command::Delete | Command::DeleteStrict => {
                for rule in self.select(flow_mod) {
                    self.remove(&rule, Removal::Delete);
                }
                Ok(())
            }
        }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.set.internal = Arc::new(InternalRules::new(now));
        self.retuned = true;
    }

    /// Removes the rules whose time is over.
    pub fn expire(&mut self, now: Instant) {
        let expired: Vec<_> = self
            .set
            .tables
            .iter()
            .flat_map(|table| table.mortal())
            .filter_map(|rule| Some((Arc::clone(rule), rule.expired(now)?)))
            .collect();
        for (rule, expiry) in expired {
            self.remove(&rule, expiry.into());
        }
    }

    /// Chooses the fields that have a prefix trie in a table.
    ///
    /// # Errors
    ///
    /// If there is no such table.
    pub fn set_prefixes(&mut self, table: u8, fields: PrefixFields) -> Result<(), FlowModError> {
        if table > INTERNAL_TABLE {
            return Err(FlowModError::NoSuchTable(table));
        }
        let before = self.set.table(table).map(|table| *table.prefixes());
        if before.unwrap_or(self.tables.config().prefixes) != fields {
            self.table_mut(table).set_prefixes(fields);
            self.retuned = true;
        }
        Ok(())
    }

    /// Puts a group in its place, in that of one with the same number if there is one.
    pub fn put_group(&mut self, group: Group) -> Option<Arc<Group>> {
        let hash = group_hash(group.id);
        let old = self.set.groups.get(hash).cloned();
        let group = Arc::new(group);
        let place = Arc::clone(&group);
        *self.set.groups.entry(hash, || place) = group;
        self.retuned = true;
        old
    }

    /// Removes a group. Rules and groups that refer to it stay; see whoever deletes groups.
    pub fn remove_group(&mut self, id: GroupId) -> Option<Arc<Group>> {
        let old = self.set.groups.get(group_hash(id)).cloned()?;
        self.set.groups.remove(group_hash(id));
        self.retuned = true;
        Some(old)
    }

    /// Removes every rule that uses a meter which is no more.
    pub fn remove_meter_users(&mut self, meter: u32) {
        if self.set.users.of_meter(meter) > 0 {
            self.remove_where(Removal::MeterDelete, |rule| uses_meter(&rule.actions, meter));
        }
    }

    pub(super) fn remove_where(&mut self, reason: Removal, wanted: impl Fn(&Rule) -> bool) {
        let rules: Vec<_> = self.set.rules().filter(|rule| wanted(rule)).cloned().collect();
        for rule in rules {
            self.remove(&rule, reason);
        }
    }

    /// Publishes the change. Returns what changed, in order; if nothing did, the published version
    /// stays.
    pub fn commit(mut self) -> Vec<Change> {
        self.settle_learners();
        for change in &self.changes {
            if let Change::Replaced { new, .. } = change {
                new.stats.renew();
            }
        }
        self.keep_orders();
        if self.retuned || !self.changes.is_empty() {
            self.tables.publish(self.writer, self.set);
        } else {
            self.writer.purge();
        }
        self.changes
    }

    /// Says how many rules each table may hold; rules beyond go, if they may. Tables that are not
    /// named have no limit of their own.
    pub fn set_limits(&mut self, limits: BTreeMap<u8, TableLimit>) {
        if self.writer.limits == limits {
            return;
        }
        let before = std::mem::replace(&mut self.writer.limits, limits);
        let changed: Vec<_> = self
            .writer
            .limits
            .iter()
            .filter(|(table, limit)| before.get(table) != Some(limit))
            .map(|(table, limit)| (*table, limit.rules.unwrap_or(usize::MAX)))
            .collect();
        for (table, most) in changed {
            while self.set.table(table).is_some_and(|table| table.len() > most) {
                if !self.evict(table) {
                    break;
                }
            }
        }
    }

    /// Lets a rule of a table go; `false` if all of them stay.
    fn evict(&mut self, id: u8) -> bool {
        let limit = self.writer.limits.get(&id);
        let may = self.writer.evict.contains(&id) || limit.is_some_and(|limit| limit.evict);
        let Some(table) = self.set.table(id).filter(|_| may) else { return false };
        let groups = limit.filter(|limit| limit.evict).map(|limit| limit.groups.clone());
        let groups = groups.unwrap_or_default();
        let kept = match self.orders.remove(&id) {
            None => self.writer.orders.remove(&id).map(|order| (order, 0)),
            known => known,
        };
        let mut order = match kept.filter(|(order, _)| order.groups() == groups) {
            Some((mut order, known)) => {
                order.follow(id, &self.changes[known..]);
                order
            }
            None => EvictionOrder::new(groups, &self.tables.counters(id), table.mortal()),
        };
        let victim = order.first();
        self.orders.insert(id, (order, self.changes.len()));
        let Some(rule) = victim else { return false };
        self.remove(&rule, Removal::Eviction);
        true
    }

    /// Brings the orders of eviction up to this edit, as far as their tables still let rules go.
    fn keep_orders(&mut self) {
        for (id, order) in std::mem::take(&mut self.writer.orders) {
            self.orders.insert(id, (order, 0));
        }
        for (id, (mut order, known)) in std::mem::take(&mut self.orders) {
            let named = self.writer.limits.get(&id).is_some_and(|limit| limit.evict);
            if named || self.writer.evict.contains(&id) {
                order.follow(id, &self.changes[known..]);
                self.writer.orders.insert(id, order);
            }
        }
    }

    /// Keeps count of rules that use groups and meters, and of those that learn what is to go with
    /// them.
    fn count_uses(&mut self, actions: &[Action], came: bool) {
        self.set.users.count(actions, came);
        for action in actions {
            if let Action::Learn(learn) = action
                && learn.delete_learned
            {
                let counts = self.learners.entry((learn.cookie, learn.table)).or_default();
                if came { counts.0 += 1 } else { counts.1 += 1 }
            }
        }
    }

    /// What was learned goes with the last rule that learned it.
    fn settle_learners(&mut self) {
        // What goes may have learned itself.
        while !self.learners.is_empty() {
            for ((cookie, table), (came, went)) in std::mem::take(&mut self.learners) {
                let count = self.writer.learners.entry((cookie, table)).or_default();
                *count = (*count + came).saturating_sub(went);
                if *count > 0 {
                    continue;
                }
                self.writer.learners.remove(&(cookie, table));
                let learned: Vec<_> = self.set.table(table).map_or_else(Vec::new, |table| {
                    table.rules().filter(|rule| rule.cookie() == cookie).cloned().collect()
                });
                for rule in learned {
                    self.remove(&rule, Removal::Delete);
                }
            }
        }
    }

    fn add(&mut self, flow_mod: &FlowMod, now: Instant) -> Result<(), FlowModError> {
        let id = flow_mod.table.unwrap_or(0);
        action::check(&flow_mod.actions, Some(id), None)?;
        let present = self.set.table(id);
        let old = present.and_then(|table| table.get(&flow_mod.matching, flow_mod.priority));
        if let Some(table) = present.filter(|_| flow_mod.flags.check_overlap)
            && let Some(other) = table.rules().find(|rule| {
                rule.priority() == u32::from(flow_mod.priority)
                    && rule.matching().overlaps(&flow_mod.matching)
            })
        {
            return Err(FlowModError::Overlap { cookie: other.cookie() });
        }
        let own = self.writer.limits.get(&id).and_then(|limit| limit.rules);
        let limit = own.unwrap_or(usize::MAX).min(self.tables.config().max_rules);
        let full = old.is_none() && present.map_or(0, |table| table.len()) >= limit;
        if full && !self.evict(id) {
            return Err(FlowModError::TableFull { table: id, limit });
        }
        let present = self.set.table(id);
        let old = present.and_then(|table| table.get(&flow_mod.matching, flow_mod.priority));
        // A replacement keeps the counters unless they shall be reset, but it is a new rule.
        let stats = match old {
            Some(old) if !flow_mod.flags.reset_counts => Arc::clone(&old.stats),
            _ => Arc::new(RuleStats::new(now)),
        };
        let rule = Rule {
            id: self.next_id(),
            matching: flow_mod.matching.clone(),
            actions: flow_mod.actions.as_slice().into(),
            stats,
            cookie: flow_mod.new_cookie.unwrap_or(0),
            created: now,
            modified: now,
            priority: flow_mod.priority.into(),
            idle_timeout: flow_mod.idle_timeout,
            hard_timeout: flow_mod.hard_timeout,
            importance: flow_mod.importance,
            table: id,
            flags: flow_mod.flags,
            counters: self.tables.counters(id),
        };
        let (new, old) = self.table_mut(id).insert(rule);
        self.count_uses(&Arc::clone(new.actions()), true);
        if let Some(old) = &old {
            self.count_uses(&Arc::clone(old.actions()), false);
        }
        self.changes.push(match old {
            Some(old) => Change::Replaced { old, new },
            None => Change::Added(new),
        });
        Ok(())
    }

    fn modify(&mut self, flow_mod: &FlowMod, now: Instant) -> Result<(), FlowModError> {
        let found = self.select(flow_mod);
        if found.is_empty() {
            return match flow_mod.cookie_mask == 0 && flow_mod.new_cookie.is_some() {
                true => self.add(flow_mod, now),
                false => Ok(()),
            };
        }
        for rule in &found {
            action::check(&flow_mod.actions, Some(rule.table), None)?;
        }
        let actions: Actions = flow_mod.actions.as_slice().into();
        for old in found {
            let stats = match flow_mod.flags.reset_counts {
                true => Arc::new(RuleStats::new(now)),
                false => Arc::clone(&old.stats),
            };
            let rule = Rule {
                id: old.id,
                matching: old.matching.clone(),
                actions: Arc::clone(&actions),
                stats,
                cookie: flow_mod.new_cookie.unwrap_or(old.cookie),
                created: old.created,
                modified: now,
                counters: Arc::clone(&old.counters),
                ..*old
            };
            let (new, _) = self.table_mut(rule.table).insert(rule);
            self.count_uses(&Arc::clone(new.actions()), true);
            self.count_uses(&Arc::clone(old.actions()), false);
            self.changes.push(Change::Modified { old, new });
        }
        Ok(())
    }

    /// The rules that a modify or delete is about.
    fn select(&self, flow_mod: &FlowMod) -> Vec<Arc<Rule>> {
        let strict = matches!(flow_mod.command, Command::ModifyStrict | Command::DeleteStrict);
        let tables = self.set.tables.iter().zip(0u8..).filter(|&(_, id)| match flow_mod.table {
            Some(table) => table == id,
            None => id < INTERNAL_TABLE,
        });
        let wanted = |rule: &Rule| {
            (rule.cookie ^ flow_mod.cookie) & flow_mod.cookie_mask == 0
                && flow_mod.out_port.is_none_or(|port| outputs_to(&rule.actions, port))
                && flow_mod.out_group.is_none_or(|group| uses_group(&rule.actions, group))
        };
        let mut found = Vec::new();
        for (table, _) in tables {
            if strict {
                found.extend(table.get(&flow_mod.matching, flow_mod.priority).cloned());
            } else {
                found.extend(table.covered_by(&flow_mod.matching).cloned());
            }
        }
        found.retain(|rule| wanted(rule));
        found
    }

    fn remove(&mut self, rule: &Arc<Rule>, reason: Removal) {
        if let Some(rule) = self.table_mut(rule.table).remove(rule) {
            self.count_uses(&Arc::clone(rule.actions()), false);
            self.changes.push(Change::Removed { rule, reason });
        }
    }

    fn table_mut(&mut self, id: u8) -> &mut Table {
        let at = usize::from(id);
        if self.set.tables.len() <= at {
            let config = self.tables.config();
            self.set.tables.resize_with(at + 1, || Arc::new(Table::new(config)));
        }
        let version = self.set.version;
        let table = Arc::make_mut(&mut self.set.tables[at]);
        table.version = version;
        table
    }

    pub(super) fn next_id(&mut self) -> RuleId {
        self.writer.next_rule += 1;
        RuleId(self.writer.next_rule)
    }
}

/// Whether a list outputs to a port, in its action set too.
#[must_use]
pub fn outputs_to(actions: &[Action], port: OfPort) -> bool {
    actions.iter().any(|action| match action {
        Action::Output { port: to, .. }
        | Action::OutputTrunc { port: to, .. }
        | Action::Enqueue { port: to, .. } => *to == port,
        Action::Controller(_) => port == OfPort::CONTROLLER,
        Action::WriteActions(set) => outputs_to(set, port),
        _ => false,
    })
}

/// Whether a list uses a group, in its action set and in clones too.
#[must_use]
pub fn uses_group(actions: &[Action], group: GroupId) -> bool {
    actions.iter().any(|action| match action {
        Action::Group(used) => *used == group.0,
        Action::WriteActions(list) | Action::Clone(list) => uses_group(list, group),
        _ => false,
    })
}

/// Whether a list uses a meter, in its action set and in clones too.
#[must_use]
pub fn uses_meter(actions: &[Action], meter: u32) -> bool {
    actions.iter().any(|action| match action {
        Action::Meter(used) => *used == meter,
        Action::Controller(controller) => controller.meter == Some(meter),
        Action::WriteActions(list) | Action::Clone(list) => uses_meter(list, meter),
        _ => false,
    })
}
