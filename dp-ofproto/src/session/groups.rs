//! Group-mods.

use std::sync::Arc;

use super::handle::Request;
use crate::openflow::flow_mod::action_code;
use crate::openflow::{Code, group_mod};
use crate::table::{Edit, GroupMod, GroupModError};

/// Carries out a group-mod.
pub(super) fn group_mod(request: &mut Request<'_>) -> Result<(), Code> {
    let message = group_mod::decode(request.version, request.body)?;
    carry_out(request, &message)
}

/// Carries out the extension's group-mod.
pub(super) fn nicira(request: &mut Request<'_>, body: &[u8]) -> Result<(), Code> {
    let message = group_mod::decode(request.version, body)?;
    carry_out(request, &message)
}

fn carry_out(request: &mut Request<'_>, message: &GroupMod) -> Result<(), Code> {
    request.may_change()?;
    let bridge = Arc::clone(&request.shared.bridge);
    let mut edit = bridge.tables().edit();
    apply(&mut edit, message, request.now)?;
    let changes = edit.commit();
    request.events.add_changes(changes, request.id, request.xid);
    Ok(())
}

/// Carries out a group-mod in an edit.
pub(super) fn apply(
    edit: &mut Edit<'_>,
    message: &GroupMod,
    now: dp_core::base::Instant,
) -> Result<(), Code> {
    edit.apply_group(message, now).map_err(|error| match error {
        GroupModError::Exists(_) => Code::GmfcGroupExists,
        GroupModError::Unknown(_) => Code::GmfcUnknownGroup,
        GroupModError::Invalid(_) => Code::GmfcInvalidGroup,
        GroupModError::UnknownBucket(_) => Code::GmfcUnknownBucket,
        GroupModError::BucketExists(_) => Code::GmfcBucketExists,
        GroupModError::Actions(error) => action_code(error),
    })
}
