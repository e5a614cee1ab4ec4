//! The map of tunnel options to fields.

use super::handle::Request;
use crate::openflow::control::{self, TlvCommand, TlvMap};
use crate::openflow::{Code, experimenter};

/// Which tunnel options are which fields.
#[derive(Debug, Default)]
pub(super) struct TlvTable {
    maps: Vec<TlvMap>,
}

/// Bytes of all options together.
const SPACE: u32 = 256;

/// Changes the map.
pub(super) fn modify(request: &mut Request<'_>, body: &[u8]) -> Result<(), Code> {
    let (command, changes) = control::decode_tlv_mod(body)?;
    let mut maps = request.shared.tlv.maps.clone();
    match command {
        TlvCommand::Clear => maps.clear(),
        TlvCommand::Delete => {
            for gone in &changes {
                let at = maps.iter().position(|map| map.index == gone.index);
                let at = at.ok_or(Code::NxttmfcBadFieldIdx)?;
                maps.remove(at);
            }
        }
        TlvCommand::Add => {
            for new in &changes {
                if maps.iter().any(|map| (map.class, map.kind) == (new.class, new.kind)) {
                    return Err(Code::NxttmfcDupEntry);
                }
                if maps.iter().any(|map| map.index == new.index) {
                    return Err(Code::NxttmfcAlreadyMapped);
                }
                let used: u32 = maps.iter().map(|map| u32::from(map.len)).sum();
                if used + u32::from(new.len) > SPACE {
                    return Err(Code::NxttmfcTableFull);
                }
                maps.push(*new);
            }
        }
    }
    maps.sort_by_key(|map| map.index);
    request.shared.tlv.maps = maps;
    Ok(())
}

/// Tells the map.
pub(super) fn request(request: &mut Request<'_>) -> Result<(), Code> {
    let maps = request.shared.tlv.maps.clone();
    request.reply_nicira(experimenter::nicira::TLV_TABLE_REPLY, |out| {
        control::encode_tlv_reply(out, SPACE, &maps);
    });
    Ok(())
}
