//! Which fields a list of actions reads or writes by name. A bridge asks for those that stand for
//! options of tunnels: they can only be used as long as they are mapped. (What `ct` reads for its zone
//! and its marks is not asked for: there an option that is not mapped reads as zero, as in the
//! reference.)

use dp_core::flow::FieldId;

use super::{Action, LearnSource, LearnTarget, SampleNumber, Subfield};

/// Whether some action of a list, or of a list in it, names a field for which `is` holds.
pub fn names_field(actions: &[Action], is: &impl Fn(FieldId) -> bool) -> bool {
    let found = each_subfield(actions, &mut |sub| if is(sub.field) { Err(()) } else { Ok(()) });
    found.is_err()
}

/// Calls `each` with the subfields that a list names, until it fails; of a field that is set or deleted
/// as such, with its first bit.
///
/// # Errors
///
/// What `each` says.
pub fn each_subfield<E>(
    actions: &[Action],
    each: &mut impl FnMut(Subfield) -> Result<(), E>,
) -> Result<(), E> {
    actions.iter().try_for_each(|action| one(action, each))
}

fn one<E>(action: &Action, each: &mut impl FnMut(Subfield) -> Result<(), E>) -> Result<(), E> {
    let first = |field: FieldId| Subfield { field, start: 0, bits: 1 };
    match action {
        Action::SetField { field, .. } | Action::DeleteField(field) => each(first(*field)),
        Action::SetOption(set) => each(first(set.field)),
        Action::Load { dst: it, .. }
        | Action::Push(it)
        | Action::Pop(it)
        | Action::OutputReg { src: it, .. }
        | Action::CheckPktLarger { dst: it, .. } => each(*it),
        Action::Move { src, dst } => each(*src).and_then(|()| each(*dst)),
        Action::Multipath(multipath) => each(multipath.dst),
        Action::Bundle(bundle) => bundle.dst.map_or(Ok(()), each),
        Action::Learn(learn) => {
            learn.result_dst.map_or(Ok(()), &mut *each)?;
            learn.specs.iter().try_for_each(|spec| {
                if let LearnSource::Field(it) = spec.src {
                    each(it)?;
                }
                match spec.dst {
                    LearnTarget::Match(it) | LearnTarget::Load(it) => each(it),
                    LearnTarget::Output => Ok(()),
                }
            })
        }
        Action::Sample(sample) => [&sample.obs_domain, &sample.obs_point].into_iter().try_for_each(
            |number| match number {
                SampleNumber::Field(it) => each(*it),
                SampleNumber::Value(_) => Ok(()),
            },
        ),
        Action::WriteActions(list) | Action::Clone(list) => each_subfield(list, each),
        _ => Ok(()),
    }
}
