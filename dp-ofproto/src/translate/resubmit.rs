//! Look-ups in flow tables: the first, by resubmit, by goto_table; and their bounds.

use std::sync::Arc;

use dp_core::base::OfPort;
use dp_core::flow::FieldId;
use dp_core::flow::layout::{self, FRAG_ANY, Place};

use super::effect::Effect;
use super::{Context, TranslateError};
use crate::bridge::Fragments;
use crate::table::Rule;

impl Context<'_> {
    /// Looks the packet up in the first table and acts on what is found.
    pub(super) fn enter(&mut self, table: u8) {
        self.table = table;
        self.look_up_and_act();
    }

    /// Goes on in a later table; nothing is to be done here afterwards.
    pub(super) fn goto(&mut self, table: u8) {
        if self.count_resubmit() {
            self.table = table;
            self.look_up_and_act();
        }
    }

    /// Looks the packet up again, as though it had come in by `in_port`, and acts on what is
    /// found with the in-port that it has.
    pub(super) fn resubmit(&mut self, in_port: Option<OfPort>, table: Option<u8>) {
        let limit = self.view.config.limits.depth;
        if self.depth >= limit {
            self.error = Some(TranslateError::TooDeep);
            self.note(&format!("over max translation depth {limit}"));
            return;
        }
        if !self.count_resubmit() {
            return;
        }
        let here = self.table;
        self.table = table.unwrap_or(here);
        self.depth += 1;
        let own = self.in_port();
        self.set_in_port(in_port.filter(|&port| port != OfPort::IN_PORT).unwrap_or(own));
        let rule = self.look_up();
        self.set_in_port(own);
        if let Some(actions) = rule {
            self.walk(&actions);
        }
        self.depth -= 1;
        self.table = here;
    }

    fn set_in_port(&mut self, port: OfPort) {
        self.flow.set(FieldId::InPort, u128::from(port.0));
    }

    fn count_resubmit(&mut self) -> bool {
        let limit = self.view.config.limits.resubmits;
        self.resubmits += 1;
        if self.resubmits > limit {
            self.error = Some(TranslateError::TooManyResubmits);
            self.note(&format!("over {limit} resubmit actions"));
            return false;
        }
        true
    }

    fn look_up_and_act(&mut self) {
        if let Some(actions) = self.look_up() {
            self.walk(&actions);
        }
    }

    fn look_up(&mut self) -> Option<crate::action::Actions> {
        let rule = self.find_rule();
        self.recorder.table(self.depth, self.table, rule.as_deref());
        let rule = rule?;
        let actions = rule.actions().clone();
        self.effects.push(Effect::Credit(rule));
        Some(actions)
    }

    fn find_rule(&mut self) -> Option<Arc<Rule>> {
        let tables = &self.view.tables;
        let fragment = self.flow.nw_frag() & FRAG_ANY != 0;
        match self.view.config.fragments {
            Fragments::Drop if fragment => None,
            Fragments::Normal if fragment => {
                let ports = PORTS.map(|place| self.flow.load(place));
                for place in PORTS {
                    self.flow.store(place, 0);
                }
                let rule = tables.lookup(self.table, &self.flow, &mut self.wc);
                for (place, value) in PORTS.into_iter().zip(ports) {
                    self.flow.store(place, value);
                }
                rule
            }
            _ => tables.lookup(self.table, &self.flow, &mut self.wc),
        }
    }
}

const PORTS: [Place; 2] = [layout::TP_SRC, layout::TP_DST];
