//! `learn(…)`: a rule that makes rules.

use super::Subfield;
use dp_core::flow::{FieldId, Wide};

/// Where a piece of what is learned comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LearnSource {
    /// From the packet.
    Field(Subfield),
    /// A number, in the width of the piece.
    Value(Wide),
}

/// What a piece is for in the rule that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LearnTarget {
    /// The rule matches these bits.
    Match(Subfield),
    /// The rule writes these bits.
    Load(Subfield),
    /// The rule outputs to the port that the piece holds.
    Output,
}

/// One piece of what is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LearnSpec {
    /// From where.
    pub src: LearnSource,
    /// To where.
    pub dst: LearnTarget,
    /// How many bits.
    pub bits: u16,
}

/// `learn(…)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Learn {
    /// The table that the rule is added to.
    pub table: u8,
    /// Its priority.
    pub priority: u16,
    /// Its cookie.
    pub cookie: u64,
    /// Its idle timeout in seconds; 0: none.
    pub idle_timeout: u16,
    /// Its hard timeout in seconds; 0: none.
    pub hard_timeout: u16,
    /// Timeouts that come in force when a TCP connection ends; 0: none.
    pub fin_idle_timeout: u16,
    /// The same, hard.
    pub fin_hard_timeout: u16,
    /// How many rules with this cookie there may be in the table; 0: any number.
    pub limit: u32,
    /// Where a bit tells whether the rule stands: it is cleared if the limit forbade it. At least 1
    /// bit wide, only with `limit`.
    pub result_dst: Option<Subfield>,
    /// The rule tells the controllers when it goes.
    pub send_flow_removed: bool,
    /// What is learned goes when the rule goes that learned it.
    pub delete_learned: bool,
    /// The pieces.
    pub specs: Box<[LearnSpec]>,
}

impl Default for Learn {
    fn default() -> Self {
        Self {
            table: 1,
            priority: 0x8000,
            cookie: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            fin_idle_timeout: 0,
            fin_hard_timeout: 0,
            limit: 0,
            result_dst: None,
            send_flow_removed: false,
            delete_learned: false,
            specs: Box::default(),
        }
    }
}

impl LearnSpec {
    /// A spec that matches a whole field as it stands in the packet.
    #[must_use]
    pub fn match_same(field: FieldId) -> Self {
        let sub = Subfield::whole(field);
        Self { src: LearnSource::Field(sub), dst: LearnTarget::Match(sub), bits: sub.bits }
    }
}
