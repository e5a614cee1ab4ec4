//! Watching a translation.

use std::fmt::Arguments;

use super::View;
use crate::action::{Action, Nat};
use crate::table::Rule;
use dp_core::base::RecircId;
use dp_core::flow::FlowKey;

/// How much a remark matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// What happened.
    Detail,
    /// What did not happen and perhaps should have.
    Warning,
    /// Why translation ended.
    Error,
    /// The same, of an action: said where the next one would stand.
    Ended,
}

/// What a part of a translation is about; parts lie inside each other.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// What happens in a bridge.
    Bridge(&'a View),
    /// A look-up in a table, and what the rule does; `None`: nothing matched.
    Table {
        /// The table.
        table: u8,
        /// The rule.
        rule: Option<&'a Rule>,
    },
    /// A fragment where fragments are dropped: it is looked up in no table.
    Fragment(u8),
    /// Going on after the datapath came back.
    Thaw,
    /// A bucket of a group.
    Bucket(u32),
    /// The action set.
    ActionSet,
}

/// Why a packet comes back from the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecircKind {
    /// From the connection tracker.
    Conntrack {
        /// The zone.
        zone: u16,
        /// How addresses are translated.
        nat: Option<Nat>,
    },
    /// To be parsed again.
    Parse,
    /// With a hash.
    Hash,
}

/// Gets told what translation does, as it does it.
pub trait Recorder {
    /// A part begins; everything up to [`Self::leave`] lies in it.
    fn enter(&mut self, part: Part<'_>);
    /// The innermost part ends.
    fn leave(&mut self);
    /// An action is about to act.
    fn action(&mut self, action: &Action);
    /// A list of actions is empty.
    fn nothing(&mut self);
    /// Something worth saying happened.
    fn note(&mut self, weight: Weight, text: Arguments<'_>);
    /// A line of its own inside a part.
    fn line(&mut self, text: Arguments<'_>);
    /// The packet will come back with this number, looking like this.
    fn recirculates(&mut self, kind: RecircKind, id: RecircId, flow: &FlowKey);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Recorder for Silent {
    fn enter(&mut self, _: Part<'_>) {}
    fn leave(&mut self) {}
    fn action(&mut self, _: &Action) {}
    fn nothing(&mut self) {}
    fn note(&mut self, _: Weight, _: Arguments<'_>) {}
    fn line(&mut self, _: Arguments<'_>) {}
    fn recirculates(&mut self, _: RecircKind, _: RecircId, _: &FlowKey) {}
}
