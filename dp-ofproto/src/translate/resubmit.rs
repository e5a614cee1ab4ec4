//! Look-ups in flow tables: the first, by resubmit, by goto_table; and their bounds.

use std::sync::Arc;

use dp_core::base::OfPort;
use dp_core::flow::FieldId;
use dp_core::flow::layout::{self, FRAG_ANY, Place};

use super::effect::Effect;
use super::{Context, ETH_TYPE_IPV4, ETH_TYPE_IPV6, Part, TranslateError, Weight};
use crate::action::{Controller, PacketInReason};
use crate::bridge::{Fragments, TableMiss};
use crate::table::{Found, INTERNAL_TABLE, Internal};

/// Where a look-up stands, which says what ends with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The packet's first: the action set comes with it, and what in-band control adds.
    First,
    /// The first in a bridge that the packet came to by another: the action set comes with it.
    Peer,
    /// Any other.
    Further,
}

impl Context<'_> {
    /// Looks the packet up in the first table and acts on what is found, and on the action set.
    pub(super) fn enter_first_table(&mut self, table: u8) {
        self.table = table;
        let found = self.find_rule();
        self.act_on(found, true, true, Ending::First);
    }

    /// Looks the packet up in the first table of a bridge that it came to by another, and acts on what
    /// is found, and on the action set.
    pub(super) fn enter_first_table_of_peer(&mut self, last: bool) {
        self.table = 0;
        let found = self.find_rule();
        self.act_on(found, true, last, Ending::Peer);
    }

    /// Looks the packet up in the first table and counts it there, without acting on what is found:
    /// somebody else has taken it.
    #[inline(never)]
    pub(super) fn count_in_first_table(&mut self) {
        self.table = 0;
        let found = self.find_rule();
        self.recorder.enter(Part::Table { table: 0, rule: found.rule.as_deref() });
        match found.rule {
            Some(rule) => self.effects.push(Effect::Credit(rule)),
            None => {
                self.effects.push(Effect::Miss(self.view.tables.counters(0)));
                self.credit_internal(match self.view.bridge.table_miss(0) {
                    TableMiss::Controller => Internal::MissController,
                    _ => Internal::MissDrop,
                });
            }
        }
        self.recorder.leave();
    }

    /// Looks the packet up in a table and acts on what is found.
    pub(super) fn enter_table(&mut self, table: u8) {
        self.table = table;
        let found = self.find_rule();
        self.act_on(found, true, true, Ending::Further);
    }

    /// Goes on in a later table; nothing is to be done here afterwards.
    #[inline(never)]
    pub(super) fn goto(&mut self, table: u8) {
        if self.count_resubmit() {
            self.enter_table(table);
        }
    }

    /// Looks the packet up again, as though it had come in by `in_port`, and acts on what is
    /// found with the in-port that it has.
    #[inline(never)]
    pub(super) fn resubmit(
        &mut self,
        in_port: Option<OfPort>,
        table: Option<u8>,
        ct: bool,
        last: bool,
    ) {
        if !self.may_descend() {
            return;
        }
        let here = (self.table, self.cookie, self.rule.clone());
        let own = self.in_port();
        let swapped = ct.then(|| self.show_original_tuple());
        self.table = table.unwrap_or(here.0);
        // Later and later tables come to an end by themselves.
        let deeper = u32::from(self.table <= here.0);
        self.set_in_port(in_port.filter(|&port| port != OfPort::IN_PORT).unwrap_or(own));
        let found = self.find_rule();
        self.set_in_port(own);
        if let Some(Some(pairs)) = swapped {
            self.exchange(&pairs);
        }
        self.depth += deeper;
        self.act_on(found, false, last, Ending::Further);
        self.depth -= deeper;
        (self.table, self.cookie, self.rule) = here;
    }

    /// Whether something may be looked up once more beneath what is being done.
    pub(super) fn may_descend(&mut self) -> bool {
        let limits = self.view.config.limits;
        if self.depth >= limits.depth {
            self.fail(TranslateError::TooDeep);
            let text = format_args!("over max translation depth {}", limits.depth);
            self.recorder.note(Weight::Error, text);
            return false;
        }
        if self.nested >= NESTED {
            self.fail(TranslateError::TooDeep);
            let text = format_args!("over {NESTED} look-ups within each other");
            self.recorder.note(Weight::Error, text);
            return false;
        }
        self.count_resubmit()
    }

    pub(super) fn count_resubmit(&mut self) -> bool {
        let limits = self.view.config.limits;
        self.resubmits += 1;
        if self.resubmits > limits.resubmits {
            self.fail(TranslateError::TooManyResubmits);
            let text = format_args!("over {} resubmit actions", limits.resubmits);
            self.recorder.note(Weight::Error, text);
            return false;
        }
        if self.actions.len() >= MOST_ACTIONS {
            let text = format_args!("resubmits yielded over 64 kB of actions");
            self.recorder.note(Weight::Error, text);
            self.exit = true;
            return false;
        }
        if self.stack.len() * 16 > limits.stack_bytes {
            self.fail(TranslateError::StackTooDeep);
            let text =
                format_args!("resubmits yielded over {} kB of stack", limits.stack_bytes >> 10);
            self.recorder.note(Weight::Error, text);
            return false;
        }
        true
    }

    /// `honour_miss`: a miss is treated as the table's configuration says.
    #[inline(never)]
    fn act_on(&mut self, found: Found, honour_miss: bool, last: bool, ending: Ending) {
        let Some(rule) = found.rule else {
            self.miss(honour_miss, last, ending);
            return;
        };
        self.recorder.enter(Part::Table { table: self.table, rule: Some(&rule) });
        for soft in found.conjunction.iter().rev() {
            let text = crate::text::RuleMatchText(soft);
            self.recorder.note(Weight::Detail, format_args!("conj. {text}"));
        }
        let actions = rule.actions().clone();
        self.nested += 1;
        self.cookie = rule.cookie();
        self.effects.push(Effect::Credit(Arc::clone(&rule)));
        self.rule = Some(rule);
        let outer = core::mem::take(&mut self.untracked_hint);
        // What a rule sends to controllers is the rule's, also where a group has led to it.
        let in_group = core::mem::take(&mut self.in_group);
        let run = |context: &mut Self, last: bool| {
            context.walk(&actions, last);
            context.in_group = in_group;
            context.nested -= 1;
            context.untracked_hint = outer;
            context.end_at(ending);
        };
        // What another bridge does to the packet must not reach what is still to come in this one.
        if ending == Ending::Peer && !last && !Self::reversible(&actions) {
            self.in_clone(|context| run(context, true));
        } else {
            run(self, last);
        }
        self.recorder.leave();
    }

    fn end_at(&mut self, ending: Ending) {
        if ending == Ending::Further {
            return;
        }
        self.end_of_tables();
        if ending == Ending::First {
            self.answer_in_band();
        }
    }

    #[inline(never)]
    fn miss(&mut self, honour: bool, last: bool, ending: Ending) {
        let fragment = self.view.config.fragments == Fragments::Drop && self.is_fragment();
        let part = match fragment {
            true => Part::Fragment(self.table),
            false => Part::Table { table: self.table, rule: None },
        };
        self.recorder.enter(part);
        self.effects.push(Effect::Miss(self.view.tables.counters(self.table)));
        self.cookie = u64::MAX;
        self.rule = None;
        let what = self.view.bridge.table_miss(self.table);
        match what {
            // It was looked up in no table.
            _ if fragment => {
                self.credit_internal(Internal::Fragment);
                self.recorder.nothing();
            }
            // Behind the last table there is none to go on with.
            TableMiss::Controller | TableMiss::Continue
                if honour
                    && (what == TableMiss::Controller || self.table + 1 >= INTERNAL_TABLE) =>
            {
                self.cookie = 0;
                self.credit_internal(Internal::MissController);
                let blocked = self.port(self.in_port()).is_some_and(|port| port.no_packet_in);
                if !blocked {
                    let controller = Controller {
                        reason: PacketInReason::ImplicitMiss,
                        max_len: u16::MAX,
                        ..Controller::default()
                    };
                    self.controller(&controller);
                }
            }
            TableMiss::Continue if honour => {
                self.recorder.leave();
                self.table += 1;
                let found = self.find_rule();
                self.act_on(found, honour, last, ending);
                return;
            }
            _ => {
                self.credit_internal(Internal::MissDrop);
                self.recorder.nothing();
            }
        }
        self.end_at(ending);
        self.recorder.leave();
    }

    /// One of the switch's own rules takes the packet.
    fn credit_internal(&mut self, which: Internal) {
        self.effects.push(Effect::Credit(Arc::clone(self.view.tables.internal().get(which))));
    }

    fn is_fragment(&self) -> bool {
        matches!(self.flow.eth_type(), ETH_TYPE_IPV4 | ETH_TYPE_IPV6)
            && self.flow.nw_frag() & FRAG_ANY != 0
    }

    fn find_rule(&mut self) -> Found {
        let tables = &self.view.tables;
        let fragment = self.is_fragment();
        match self.view.config.fragments {
            Fragments::Drop if fragment => Found::default(),
            Fragments::Normal if fragment => {
                let ports = PORTS.map(|place| self.flow.load(place));
                for place in PORTS {
                    self.flow.store(place, 0);
                }
                let found = tables.find(self.table, &self.flow, &mut self.wc);
                for (place, value) in PORTS.into_iter().zip(ports) {
                    self.flow.store(place, value);
                }
                found
            }
            _ => tables.find(self.table, &self.flow, &mut self.wc),
        }
    }

    /// Puts the tuple of the connection's first packet in the place of the packet's own, and the bits
    /// that count along with it: a look-up then looks at that tuple. Done again it is undone; what was
    /// exchanged is returned for that.
    fn show_original_tuple(&mut self) -> Option<[(Place, Place); 5]> {
        let eth_type = self.flow.eth_type();
        self.wc.unwildcard(FieldId::CtNwProto);
        let (src, dst) = match eth_type {
            ETH_TYPE_IPV4 => {
                ((layout::IPV4_SRC, layout::CT_NW_SRC), (layout::IPV4_DST, layout::CT_NW_DST))
            }
            ETH_TYPE_IPV6 => {
                ((layout::IPV6_SRC, layout::CT_IPV6_SRC), (layout::IPV6_DST, layout::CT_IPV6_DST))
            }
            _ => return None,
        };
        if self.flow.get(FieldId::CtNwProto) == 0 {
            self.warn(format_args!("resubmit(ct) with no connection tracking information"));
            return None;
        }
        let pairs = [
            src,
            dst,
            (layout::NW_PROTO, layout::CT_NW_PROTO),
            (layout::TP_SRC, layout::CT_TP_SRC),
            (layout::TP_DST, layout::CT_TP_DST),
        ];
        self.exchange(&pairs);
        Some(pairs)
    }

    /// Exchanges places with each other, in the packet and among the bits that count.
    fn exchange(&mut self, pairs: &[(Place, Place)]) {
        for &(one, other) in pairs {
            let (first, second) = (self.flow.load(one), self.flow.load(other));
            self.flow.store(one, second);
            self.flow.store(other, first);
            let (first, second) = (self.wc.load(one), self.wc.load(other));
            self.wc.store(one, second);
            self.wc.store(other, first);
        }
    }
}

/// A list of this many steps is not made longer by looking up more: 64 kB where each takes eight
/// bytes, as at the reference.
pub(super) const MOST_ACTIONS: usize = 8192;

/// Look-ups within each other, so that the stack that translation needs is bounded: at most a
/// kilobyte for each. All tables in their order are 254, and those are come by without going back.
const NESTED: u32 = 400;

const PORTS: [Place; 2] = [layout::TP_SRC, layout::TP_DST];
