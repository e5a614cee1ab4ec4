//! Whether a list of actions makes sense before it enters a table: widths, writability, order.
//!
//! Prerequisites of the fields that actions touch depend on the match and are checked by
//! [`crate::table::prereq`]'s callers.

use dp_core::flow::FieldId;
use thiserror::Error;

use super::{Action, Subfield};

/// Why an action list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ActionError {
    /// The field is read-only.
    #[error("{} is read-only", .0.field().name)]
    ReadOnly(FieldId),
    /// The subfield lies outside its field.
    #[error("{} is only {} bits wide", .0.field().name, .0.field().bits)]
    OutOfField(FieldId),
    /// The value has more bits than the subfield.
    #[error("value {value:#x} does not fit into {bits} bits")]
    TooWide {
        /// The value.
        value: u128,
        /// Bits there are.
        bits: u8,
    },
    /// Source and destination of a move differ in width.
    #[error("source is {src} bits wide but destination is {dst} bits wide")]
    MoveWidths {
        /// Bits of the source.
        src: u8,
        /// Bits of the destination.
        dst: u8,
    },
    /// An instruction stands before another that must precede it.
    #[error("invalid instruction ordering: {second} must appear before {first}")]
    Order {
        /// The one that stands first.
        first: &'static str,
        /// The one that stands later.
        second: &'static str,
    },
    /// An instruction occurs twice.
    #[error("duplicate {0} instruction not allowed")]
    Duplicate(&'static str),
    /// Something that may not stand in an action set does.
    #[error("{0} is not allowed inside write_actions")]
    NotInSet(&'static str),
    /// The table to go to is not after the present one.
    #[error("goto_table:{to} from table {from}: the table must be a later one")]
    BackwardGoto {
        /// The present table.
        from: u8,
        /// The one to go to.
        to: u8,
    },
}

/// Checks every action of a list by itself, and their order.
///
/// # Errors
///
/// The first fault, from the front.
pub fn check(actions: &[Action], table: Option<u8>) -> Result<(), ActionError> {
    for action in actions {
        check_one(action, table)?;
    }
    check_order(actions)
}

fn check_one(action: &Action, table: Option<u8>) -> Result<(), ActionError> {
    match action {
        Action::OutputReg { src, .. } | Action::Push(src) => readable(*src),
        Action::Pop(dst) => writable(*dst),
        Action::Load { dst, value } => {
            writable(*dst)?;
            fits(u128::from(*value), *dst)
        }
        Action::SetField { field, value, mask } => {
            writable(Subfield::whole(*field))?;
            fits(value | mask, Subfield::whole(*field))
        }
        Action::Move { src, dst } => {
            readable(*src)?;
            writable(*dst)?;
            match src.bits == dst.bits {
                true => Ok(()),
                false => Err(ActionError::MoveWidths { src: src.bits, dst: dst.bits }),
            }
        }
        Action::SetVlanVid(vid) => fits(u128::from(*vid), Subfield::whole(FieldId::DlVlan)),
        Action::SetVlanPcp(pcp) => fits(u128::from(*pcp), Subfield::whole(FieldId::DlVlanPcp)),
        Action::SetEcn(ecn) => fits(u128::from(*ecn), Subfield::whole(FieldId::NwEcn)),
        Action::GotoTable(to) => match table {
            Some(from) if *to <= from => Err(ActionError::BackwardGoto { from, to: *to }),
            _ => Ok(()),
        },
        Action::WriteActions(set) => set.iter().try_for_each(|action| match rank(action) {
            Some((_, name)) => Err(ActionError::NotInSet(name)),
            None => check_one(action, table),
        }),
        _ => Ok(()),
    }
}

fn readable(sub: Subfield) -> Result<(), ActionError> {
    match Subfield::new(sub.field, sub.start, sub.bits) {
        Some(_) => Ok(()),
        None => Err(ActionError::OutOfField(sub.field)),
    }
}

fn writable(sub: Subfield) -> Result<(), ActionError> {
    match sub.field.field().writable {
        true => readable(sub),
        false => Err(ActionError::ReadOnly(sub.field)),
    }
}

fn fits(value: u128, sub: Subfield) -> Result<(), ActionError> {
    match value & !sub.ones() {
        0 => Ok(()),
        _ => Err(ActionError::TooWide { value, bits: sub.bits }),
    }
}

/// The place of an instruction among instructions; `None` for actions applied at once, which come
/// first.
fn rank(action: &Action) -> Option<(u8, &'static str)> {
    match action {
        Action::ClearActions => Some((1, "clear_actions")),
        Action::WriteActions(_) => Some((2, "write_actions")),
        Action::WriteMetadata { .. } => Some((3, "write_metadata")),
        Action::GotoTable(_) => Some((4, "goto_table")),
        _ => None,
    }
}

/// Checks that actions come before instructions, and these in the order of OpenFlow 1.1
/// (section 5.9: each at most once).
///
/// # Errors
///
/// The first pair that stands the wrong way round.
pub fn check_order(actions: &[Action]) -> Result<(), ActionError> {
    let mut last: Option<(u8, &'static str)> = None;
    for action in actions {
        let now = rank(action).unwrap_or((0, "apply_actions"));
        if let Some((rank, first)) = last {
            if now.0 == rank && rank > 0 {
                return Err(ActionError::Duplicate(first));
            }
            if now.0 < rank {
                return Err(ActionError::Order { first, second: now.1 });
            }
        }
        last = Some(now);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use dp_core::base::OfPort;
    use dp_core::flow::FieldId;

    use super::{ActionError, check};
    use crate::action::{Action, Subfield};

    fn sub(field: FieldId, start: u8, bits: u8) -> Subfield {
        Subfield { field, start, bits }
    }

    #[test]
    fn faults_are_told_apart() {
        let cases = [
            (
                Action::Load { dst: sub(FieldId::Reg0, 0, 4), value: 16 },
                ActionError::TooWide { value: 16, bits: 4 },
            ),
            (
                Action::Load { dst: sub(FieldId::Reg0, 30, 4), value: 1 },
                ActionError::OutOfField(FieldId::Reg0),
            ),
            (Action::set_field(FieldId::EthType, 1), ActionError::ReadOnly(FieldId::EthType)),
            (
                Action::Move { src: sub(FieldId::Reg0, 0, 4), dst: sub(FieldId::Reg1, 0, 5) },
                ActionError::MoveWidths { src: 4, dst: 5 },
            ),
            (Action::GotoTable(3), ActionError::BackwardGoto { from: 3, to: 3 }),
            (
                Action::WriteActions([Action::GotoTable(9)].into()),
                ActionError::NotInSet("goto_table"),
            ),
        ];
        for (action, error) in cases {
            assert_eq!(check(&[action], Some(3)), Err(error));
        }
    }

    #[test]
    fn instructions_follow_actions_in_their_order() {
        let out = Action::output(OfPort(1));
        assert_eq!(check(&[out.clone(), Action::ClearActions, Action::GotoTable(1)], None), Ok(()));
        assert_eq!(
            check(&[Action::GotoTable(1), out], None),
            Err(ActionError::Order { first: "goto_table", second: "apply_actions" })
        );
        assert_eq!(
            check(&[Action::GotoTable(1), Action::GotoTable(2)], None),
            Err(ActionError::Duplicate("goto_table"))
        );
    }
}
