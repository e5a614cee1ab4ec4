//! `learn` and `fin_timeout`: rules that packets make, and rules that they end.

use std::sync::Arc;

use dp_core::base::{Instant, OfPort};
use dp_core::flow::Wide;

use super::Context;
use super::effect::Effect;
use super::fields::TCP;
use crate::action::{Action, Learn, LearnSource, LearnTarget, SetOption, Subfield};
use crate::bridge::Bridge;
use crate::matching::{Match, MatchBuilder};
use crate::table::{FlowMod, RuleFlags};

/// A rule that packets of a megaflow make and keep alive.
#[derive(Clone, Debug)]
pub struct LearnedRule {
    /// In which bridge.
    pub bridge: Arc<Bridge>,
    /// The rule.
    pub flow_mod: FlowMod,
    /// How many rules with its cookie the table may hold; 0: any number.
    pub limit: u32,
}

impl LearnedRule {
    /// Adds the rule, or starts its timeouts anew if it stands. What is refused because a table is
    /// full is not made.
    pub fn make(&self, now: Instant) {
        let tables = self.bridge.tables();
        let snapshot = tables.snapshot();
        let table = self.flow_mod.table.unwrap_or(0);
        let old = snapshot
            .table(table)
            .and_then(|table| table.get(&self.flow_mod.matching, self.flow_mod.priority));
        let same = old.filter(|old| {
            **old.actions() == *self.flow_mod.actions
                && Some(old.cookie()) == self.flow_mod.new_cookie
                && old.asked_timeouts() == (self.flow_mod.idle_timeout, self.flow_mod.hard_timeout)
        });
        if let Some(rule) = same {
            rule.refresh(now);
        } else if old.is_some() || !self.full(&snapshot) {
            tables.learn(&self.flow_mod, now);
        }
    }

    fn full(&self, tables: &crate::table::TableSet) -> bool {
        let (table, cookie) = (self.flow_mod.table.unwrap_or(0), self.flow_mod.new_cookie);
        self.limit != 0
            && tables.table(table).is_some_and(|table| {
                let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
                table.rules().filter(|rule| Some(rule.cookie()) == cookie).take(limit).count()
                    >= limit
            })
    }
}

impl Context<'_> {
    pub(super) fn learn(&mut self, learn: &Learn) {
        let flow_mod = self.learned(learn);
        if !self.request.side_effects {
            self.warn(format_args!("suppressing side effects, so learn action ignored"));
            return;
        }
        let text = crate::text::LearnedText(&flow_mod).to_string();
        self.note(format_args!("{text}"));
        let rule = LearnedRule { bridge: Arc::clone(self.bridge()), flow_mod, limit: learn.limit };
        if let Some(dst) = learn.result_dst {
            let stands = self.view.tables.table(learn.table).is_some_and(|table| {
                table.get(&rule.flow_mod.matching, rule.flow_mod.priority).is_some()
            });
            let stored = stands || !rule.full(&self.view.tables);
            self.store(dst, u128::from(stored));
            self.note_now(dst);
        }
        self.effects.push(Effect::MakeRule(Arc::new(rule)));
    }

    /// The rule that a packet makes.
    fn learned(&mut self, learn: &Learn) -> FlowMod {
        let mut matching: MatchBuilder = Match::build();
        let mut actions = Vec::new();
        for spec in &learn.specs {
            let value = match spec.src {
                LearnSource::Field(src) => self.read_wide(src),
                LearnSource::Value(value) => value,
            };
            match spec.dst {
                LearnTarget::Match(dst) => {
                    let wanted = value << u32::from(dst.start);
                    matching.set_wide(dst.field, wanted, dst.wide_mask());
                }
                LearnTarget::Load(dst) => actions.push(load(dst, value)),
                LearnTarget::Output => {
                    let port = value.narrow().and_then(|port| u16::try_from(port).ok());
                    let port = port.map_or(OfPort::NONE, OfPort);
                    actions.push(Action::output(port));
                }
            }
        }
        FlowMod {
            table: Some(learn.table),
            priority: learn.priority,
            matching: matching.finish(),
            new_cookie: Some(learn.cookie),
            idle_timeout: learn.idle_timeout,
            hard_timeout: learn.hard_timeout,
            flags: RuleFlags { send_flow_removed: learn.send_flow_removed, ..RuleFlags::default() },
            actions: with_fin_timeouts(actions, learn),
            ..FlowMod::default()
        }
    }

    pub(super) fn fin_timeout(&mut self, idle: u16, hard: u16) {
        if self.protocol() == Some(TCP)
            && let Some(rule) = self.rule.clone()
        {
            self.effects.push(Effect::ShortenTimeouts { rule, idle, hard });
        }
    }
}

fn load(dst: Subfield, value: Wide) -> Action {
    if dst.is_wide() {
        let (value, mask) = (value << u32::from(dst.start), dst.wide_mask());
        return Action::SetOption(Box::new(SetOption { field: dst.field, value, mask }));
    }
    let value = value.low();
    match u64::try_from(value) {
        Ok(value) if !dst.is_whole() || dst.bits <= 64 => Action::Load { dst, value },
        _ => Action::SetField {
            field: dst.field,
            value: value << dst.start,
            mask: dst.mask(),
            named: false,
        },
    }
}

/// Timeouts for the end of a connection come before everything else.
fn with_fin_timeouts(mut actions: Vec<Action>, learn: &Learn) -> Vec<Action> {
    if learn.fin_idle_timeout != 0 || learn.fin_hard_timeout != 0 {
        let fin = Action::FinTimeout { idle: learn.fin_idle_timeout, hard: learn.fin_hard_timeout };
        actions.insert(0, fin);
    }
    actions
}
