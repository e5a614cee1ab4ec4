//! Requests to change a flow table, and what came of them (OpenFlow 1.3, sections 6.4 and A.3.4.1).

use std::sync::Arc;

use dp_core::base::OfPort;
use thiserror::Error;

use super::rule::{Expiry, Rule, RuleFlags};
use super::{Match, PrereqError};
use crate::action::{Action, ActionError};
use crate::group::GroupId;

/// What a flow-mod asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Command {
    /// Add a rule; one with the same match and priority is replaced.
    #[default]
    Add,
    /// Change the actions of all rules that the match covers; whether rules are added when there
    /// are none depends on the cookie ([`FlowMod::cookie_mask`]).
    Modify,
    /// The same for the one rule with this very match and priority.
    ModifyStrict,
    /// Delete all rules that the match covers.
    Delete,
    /// Delete the one rule with this very match and priority.
    DeleteStrict,
}

/// A request to change flow tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowMod {
    /// What to do.
    pub command: Command,
    /// In which table; `None`: table 0 for additions, every table for modify and delete.
    pub table: Option<u8>,
    /// Priority, for additions and the strict commands.
    pub priority: u16,
    /// The match.
    pub matching: Match,
    /// Modify and delete touch only rules whose cookie agrees with this one under
    /// [`Self::cookie_mask`].
    pub cookie: u64,
    /// See [`Self::cookie`]; 0: the cookie does not matter. A modify that filters by cookie never
    /// adds rules.
    pub cookie_mask: u64,
    /// The cookie of added and modified rules; `None`: 0 for added ones, unchanged for others.
    pub new_cookie: Option<u64>,
    /// Seconds without a packet, 0: for ever. Additions only.
    pub idle_timeout: u16,
    /// Seconds, 0: for ever. Additions only.
    pub hard_timeout: u16,
    /// How much it resists eviction. Additions only.
    pub importance: u16,
    /// Modify and delete touch only rules that output to this port.
    pub out_port: Option<OfPort>,
    /// Modify and delete touch only rules that use this group.
    pub out_group: Option<GroupId>,
    /// Flags that stay with the rule.
    pub flags: RuleFlags,
    /// Actions of added and modified rules.
    pub actions: Vec<Action>,
}

impl FlowMod {
    /// Priority when none is named.
    pub const DEFAULT_PRIORITY: u16 = 0x8000;

    /// Adds a rule to a table.
    #[must_use]
    pub fn add(table: u8, priority: u16, matching: Match, actions: Vec<Action>) -> Self {
        Self { table: Some(table), priority, matching, actions, ..Self::default() }
    }

    /// Deletes the rules that a match covers, of one table or of all.
    #[must_use]
    pub fn delete(table: Option<u8>, matching: Match) -> Self {
        Self { command: Command::Delete, table, matching, ..Self::default() }
    }
}

impl Default for FlowMod {
    fn default() -> Self {
        Self {
            command: Command::Add,
            table: None,
            priority: Self::DEFAULT_PRIORITY,
            matching: Match::any(),
            cookie: 0,
            cookie_mask: 0,
            new_cookie: None,
            idle_timeout: 0,
            hard_timeout: 0,
            importance: 0,
            out_port: None,
            out_group: None,
            flags: RuleFlags::default(),
            actions: Vec::new(),
        }
    }
}

/// One thing that happened to a table.
#[derive(Clone, Debug)]
pub enum Change {
    /// A rule was added where none stood.
    Added(Arc<Rule>),
    /// A rule took the place of one with the same match and priority.
    Replaced {
        /// The one before.
        old: Arc<Rule>,
        /// The one since.
        new: Arc<Rule>,
    },
    /// The actions or the cookie of a rule were changed.
    Modified {
        /// The rule before.
        old: Arc<Rule>,
        /// The rule since; the same number, the same statistics.
        new: Arc<Rule>,
    },
    /// A rule went.
    Removed {
        /// The rule.
        rule: Arc<Rule>,
        /// Why.
        reason: Removal,
    },
}

/// Why a rule went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// A flow-mod deleted it.
    Delete,
    /// It was not used for too long.
    IdleTimeout,
    /// Its time was over.
    HardTimeout,
    /// A group that it used was deleted.
    GroupDelete,
    /// A meter that it used was deleted.
    MeterDelete,
    /// It made room for another one.
    Eviction,
}

impl From<Expiry> for Removal {
    fn from(expiry: Expiry) -> Self {
        match expiry {
            Expiry::Idle => Self::IdleTimeout,
            Expiry::Hard => Self::HardTimeout,
        }
    }
}

/// Why a flow-mod was refused; the tables are as they were before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FlowModError {
    /// There is no such table.
    #[error("there is no table {0}")]
    NoSuchTable(u8),
    /// The table is full.
    #[error("table {table} is full: it holds {limit} rules already")]
    TableFull {
        /// The table.
        table: u8,
        /// Rules it may hold.
        limit: usize,
    },
    /// `check_overlap` was asked for and a rule overlaps.
    #[error("a rule of the same priority overlaps (cookie {cookie:#x})")]
    Overlap {
        /// Cookie of the other rule.
        cookie: u64,
    },
    /// The match lacks a prerequisite.
    #[error(transparent)]
    Match(#[from] PrereqError),
    /// The actions make no sense.
    #[error(transparent)]
    Actions(#[from] ActionError),
}
