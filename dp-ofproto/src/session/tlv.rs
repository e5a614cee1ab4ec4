//! The map of tunnel options to fields.

use dp_core::flow::{FieldId, Wide};

use super::handle::Request;
use crate::action::{Action, SetOption, each_subfield, names_field};
use crate::matching::Match;
use crate::openflow::control::{self, TlvCommand, TlvMap};
use crate::openflow::{Code, experimenter};
use crate::table::Rule;
use crate::tlv::{SPACE, Tlv, TlvError, TlvTable};

/// Changes the map.
pub(super) fn modify(request: &mut Request<'_>, body: &[u8]) -> Result<(), Code> {
    let (command, changes) = control::decode_tlv_mod(body)?;
    let bridge = &request.shared.bridge;
    let mut table = (*bridge.tlv_table()).clone();
    for map in &changes {
        let tlv = Tlv { class: map.class, kind: map.kind, len: map.len };
        match command {
            TlvCommand::Add => table.add(map.index, tlv).map_err(code)?,
            TlvCommand::Delete => {
                let field = u8::try_from(map.index).ok().and_then(FieldId::tun_metadata);
                let field = field.ok_or(Code::NxttmfcBadFieldIdx)?;
                if bridge.tables().snapshot().rules().any(|rule| names(rule, field)) {
                    return Err(Code::NxttmfcInvalidTlvDel);
                }
                table.remove(map.index, tlv);
            }
            TlvCommand::Clear => {}
        }
    }
    if command == TlvCommand::Clear {
        table.clear();
    }
    bridge.set_tlv_table(table);
    Ok(())
}

/// Whether a rule matches a field or does something with it.
fn names(rule: &Rule, field: FieldId) -> bool {
    rule.matching().tun_metadata().any(|it| it == field)
        || names_field(rule.actions(), &|it| it == field)
}

/// An error for actions that name tunnel metadata which are not mapped, or more bits than the option
/// has.
pub(super) fn check(table: &TlvTable, actions: &[Action]) -> Result<(), Code> {
    each_subfield(actions, &mut |place| match table.bits(place.field) {
        _ if !place.is_wide() => Ok(()),
        None => Err(Code::NxfmfcInvalidTlvField),
        Some(bits) if place.start + place.bits > bits => Err(Code::BacBadSetLen),
        Some(_) => Ok(()),
    })
}

/// A match as the options that are mapped can have it; an error for those that are not.
pub(super) fn fit_match(table: &TlvTable, matching: &Match) -> Result<Option<Match>, Code> {
    let mut fitted = None;
    for field in matching.tun_metadata() {
        let bits = table.bits(field).ok_or(Code::NxfmfcInvalidTlvField)?;
        let (value, mask) = matching.wide_field(field);
        let said = TlvTable::fitted(bits, value, mask);
        if said != (value, mask) {
            let builder = fitted.get_or_insert_with(|| matching.to_builder());
            builder.key.set_wide(field, Wide::ZERO, Wide::ONES);
            builder.mask.set_wide(field, Wide::ZERO, Wide::ONES);
            builder.set_wide(field, said.0, said.1);
        }
    }
    Ok(fitted.map(|builder| builder.finish()))
}

/// Actions as the options that are mapped can have them, if they have to be changed for it.
pub(super) fn fit_actions(table: &TlvTable, actions: &[Action]) -> Option<Vec<Action>> {
    let mut fitted = None;
    for (at, action) in actions.iter().enumerate() {
        let changed = match action {
            Action::SetOption(set) => table.bits(set.field).and_then(|bits| {
                let (value, mask) = TlvTable::fitted(bits, set.value, set.mask);
                let changed = SetOption { field: set.field, value, mask };
                (changed != **set).then(|| Action::SetOption(Box::new(changed)))
            }),
            Action::WriteActions(list) => {
                fit_actions(table, list).map(|list| Action::WriteActions(list.into()))
            }
            Action::Clone(list) => fit_actions(table, list).map(|list| Action::Clone(list.into())),
            _ => None,
        };
        if let Some(changed) = changed {
            let all = fitted.get_or_insert_with(|| actions.to_vec());
            if let Some(slot) = all.get_mut(at) {
                *slot = changed;
            }
        }
    }
    fitted
}

fn code(error: TlvError) -> Code {
    match error {
        TlvError::BadLength => Code::NxttmfcBadOptLen,
        TlvError::BadIndex => Code::NxttmfcBadFieldIdx,
        TlvError::AlreadyMapped => Code::NxttmfcAlreadyMapped,
        TlvError::Duplicate => Code::NxttmfcDupEntry,
        TlvError::Full => Code::NxttmfcTableFull,
    }
}

/// Tells the map.
pub(super) fn request(request: &mut Request<'_>) -> Result<(), Code> {
    let table = request.shared.bridge.tlv_table();
    let maps: Vec<_> = table
        .iter()
        .map(|(index, tlv)| TlvMap {
            class: tlv.class,
            kind: tlv.kind,
            len: tlv.len,
            index: u16::from(index),
        })
        .collect();
    request.reply_nicira(experimenter::nicira::TLV_TABLE_REPLY, |out| {
        control::encode_tlv_reply(out, SPACE.into(), &maps);
    });
    Ok(())
}
