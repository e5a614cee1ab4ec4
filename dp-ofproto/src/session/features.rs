//! What a switch and its tables are.

use super::handle::Request;
use super::service::Shared;
use super::tables::{self, TableState};
use crate::bridge::TableMiss;
use crate::openflow::control::Features;
use crate::openflow::table::{ALL_TABLES, TableMod};
use crate::openflow::{Code, Version, message_type};
use crate::table::INTERNAL_TABLE;

/// Answers who the switch is.
pub(super) fn reply(request: &mut Request<'_>) -> Result<(), Code> {
    let ports = match request.version < Version::V13 {
        true => request.host.ports().into_iter().map(|port| port.desc).collect(),
        false => Vec::new(),
    };
    let features = Features {
        datapath_id: request.shared.settings.datapath_id,
        tables: INTERNAL_TABLE,
        auxiliary: 0,
        ports,
    };
    let version = request.version;
    request.reply(message_type::FEATURES_REPLY, |out| features.encode(out, version));
    Ok(())
}

/// Changes what is said of a table, or of all.
pub(super) fn table_mod(request: &mut Request<'_>) -> Result<(), Code> {
    let table_mod = TableMod::decode(request.version, request.body)?;
    request.may_change()?;
    let which = match table_mod.table {
        ALL_TABLES => 0..=INTERNAL_TABLE - 1,
        table if table < INTERNAL_TABLE => table..=table,
        _ => return Err(Code::TmfcBadTable),
    };
    for table in which {
        match request.version {
            Version::V14 | Version::V15 => tables::modify(request.shared, table, &table_mod),
            _ => {
                let state = request.shared.tables.entry(table).or_default();
                state.miss = table_mod.config & 3;
                request.shared.bridge.set_table_miss(table, said(request.version, state.miss));
            }
        }
    }
    Ok(())
}

/// What a version says of misses: OpenFlow 1.3 has the place, but no meaning for it any more.
const fn said(version: Version, config: u32) -> Option<TableMiss> {
    match (version, config) {
        (Version::V11 | Version::V12, 0) => Some(TableMiss::Controller),
        (Version::V11 | Version::V12, 1) => Some(TableMiss::Continue),
        (Version::V11 | Version::V12, 2) => Some(TableMiss::Drop),
        _ => None,
    }
}

/// What is said of a table.
pub(super) fn state(shared: &Shared, table: u8) -> TableState {
    shared.tables.get(&table).copied().unwrap_or_default()
}
