//! The map of tunnel options to fields.

use dp_core::flow::FieldId;

use super::handle::Request;
use crate::action::Action;
use crate::openflow::control::{self, TlvCommand, TlvMap};
use crate::openflow::{Code, experimenter};
use crate::table::Rule;
use crate::tlv::{Tlv, TlvError};

/// Bytes of all options together.
const SPACE: u32 = 256;

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
    rule.matching().tun_metadata().any(|it| it == field) || touches(rule.actions(), field)
}

fn touches(actions: &[Action], field: FieldId) -> bool {
    actions.iter().any(|action| match action {
        Action::SetField { field: it, .. } | Action::DeleteField(it) => *it == field,
        Action::Load { dst: it, .. }
        | Action::Push(it)
        | Action::Pop(it)
        | Action::OutputReg { src: it, .. } => it.field == field,
        Action::Move { src, dst } => src.field == field || dst.field == field,
        Action::WriteActions(list) | Action::Clone(list) => touches(list, field),
        _ => false,
    })
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
        control::encode_tlv_reply(out, SPACE, &maps);
    });
    Ok(())
}
