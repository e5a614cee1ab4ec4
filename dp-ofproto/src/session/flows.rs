//! Flow-mods.

use super::handle::Request;
use super::service::Shared;
use super::tlv;
use crate::action::Action;
use crate::group::GroupId;
use crate::matching::Match;
use crate::openflow::flow_mod::{self, FlowModMessage, action_code};
use crate::openflow::{Code, Version};
use crate::table::{Edit, FlowModError, INTERNAL_TABLE};

/// Reads the flow-mod of a version.
pub(super) fn decode(
    body: &[u8],
    version: Version,
    table_ids: bool,
) -> Result<FlowModMessage, Code> {
    match version {
        Version::V10 => flow_mod::decode10(body, table_ids),
        _ => flow_mod::decode11(body, version),
    }
}

/// Carries out a flow-mod.
pub(super) fn flow_mod(request: &mut Request<'_>) -> Result<(), Code> {
    let table_ids = request.connection.flow_mod_table_id;
    let message = decode(request.body, request.version, table_ids)?;
    carry_out(request, &message)
}

/// Carries out the extension's flow-mod.
pub(super) fn nicira(request: &mut Request<'_>, body: &[u8]) -> Result<(), Code> {
    let table_ids = request.connection.flow_mod_table_id;
    let message = flow_mod::decode_nicira(body, table_ids, request.version)?;
    carry_out(request, &message)
}

fn carry_out(request: &mut Request<'_>, message: &FlowModMessage) -> Result<(), Code> {
    request.may_change()?;
    let bridge = std::sync::Arc::clone(&request.shared.bridge);
    let mut edit = bridge.tables().edit();
    apply(request.shared, &mut edit, message, request.now)?;
    let changes = edit.commit();
    request.events.add_changes(changes, request.id, request.xid);
    // There are no buffers, so none can be named; the flow stands all the same.
    match message.buffer_id {
        Some(_) => Err(Code::BrcBufferUnknown),
        None => Ok(()),
    }
}

/// Carries out a flow-mod in an edit, if the groups, meters and tables that it names are there.
pub(super) fn apply(
    shared: &Shared,
    edit: &mut Edit<'_>,
    message: &FlowModMessage,
    now: dp_core::base::Instant,
) -> Result<(), Code> {
    let mut flow_mod = std::borrow::Cow::Borrowed(&message.flow_mod);
    if flow_mod.table == Some(INTERNAL_TABLE) {
        return Err(Code::BrcEperm);
    }
    check_references(shared, edit, &flow_mod.actions)?;
    let options = shared.bridge.tlv_table();
    tlv::check(&options, &flow_mod.actions)?;
    if let Some(matching) = tlv::fit_match(&options, &flow_mod.matching)? {
        flow_mod.to_mut().matching = matching;
    }
    if let Some(actions) = tlv::fit_actions(&options, &flow_mod.actions) {
        flow_mod.to_mut().actions = actions;
    }
    edit.apply(&flow_mod, now).map_err(code)
}

/// An error for a match or actions that name a tunnel option which no field is mapped to, or bits that
/// it does not have.
pub(super) fn check_options(
    shared: &Shared,
    matching: &Match,
    actions: &[Action],
) -> Result<(), Code> {
    let options = shared.bridge.tlv_table();
    tlv::fit_match(&options, matching)?;
    tlv::check(&options, actions)
}

/// An error for actions that name a group or a meter that is not there.
pub(super) fn check_references(
    shared: &Shared,
    edit: &Edit<'_>,
    actions: &[Action],
) -> Result<(), Code> {
    actions.iter().try_for_each(|action| match action {
        Action::Group(group) if edit.view().group(GroupId(*group)).is_none() => {
            Err(Code::BacBadOutGroup)
        }
        Action::Meter(meter) if !shared.meters.exists(*meter) => Err(Code::MmfcInvalidMeter),
        Action::WriteActions(list) | Action::Clone(list) => check_references(shared, edit, list),
        _ => Ok(()),
    })
}

fn code(error: FlowModError) -> Code {
    match error {
        FlowModError::NoSuchTable(_) => Code::BrcBadTableId,
        FlowModError::TableFull { .. } => Code::FmfcTableFull,
        FlowModError::Overlap { .. } => Code::FmfcOverlap,
        FlowModError::Match(_) => Code::BmcBadPrereq,
        FlowModError::Actions(error) => action_code(error),
    }
}
