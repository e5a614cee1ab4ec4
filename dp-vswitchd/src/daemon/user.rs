//! `--user`: becoming another user, with the privileges that a switch needs and no others.

use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, initgroups, setgid, setgroups, setuid};
use thiserror::Error;

use crate::log::Vlog;

/// Why the process stays who it is.
#[derive(Debug, Error)]
pub(crate) enum UserError {
    #[error("failed to parse --user={0}")]
    Unknown(String),
    #[error("--user={user}: {step} failed ({why})")]
    System { user: String, step: &'static str, why: String },
}

/// Becomes `user[:group]`; `raw_io`: with the privilege of ports and memory of devices as well.
pub(crate) fn become_user(text: &str, raw_io: bool, vlog: &Vlog) -> Result<(), UserError> {
    let unknown = || UserError::Unknown(text.to_owned());
    let (name, group) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (text, None),
    };
    let user = match name {
        "" => User::from_uid(Uid::current()),
        name => match name.parse() {
            Ok(id) => User::from_uid(Uid::from_raw(id)),
            Err(_) => User::from_name(name),
        },
    };
    let user = user.ok().flatten().ok_or_else(unknown)?;
    let gid = match group.filter(|it| !it.is_empty()) {
        None => user.gid,
        Some(group) => match group.parse() {
            Ok(id) => Gid::from_raw(id),
            Err(_) => Group::from_name(group).ok().flatten().ok_or_else(unknown)?.gid,
        },
    };
    let failed = |step| {
        move |error: nix::Error| UserError::System {
            user: text.to_owned(),
            step,
            why: error.desc().to_owned(),
        }
    };
    // The log belongs to the new user, so that it can be opened again; there may be none.
    let _ = vlog.give_file(user.uid.as_raw(), gid.as_raw());
    let name = CString::new(user.name.as_str()).map_err(|_| unknown())?;
    if Uid::effective().is_root() {
        setgroups(&[]).map_err(failed("setgroups"))?;
        initgroups(&name, gid).map_err(failed("initgroups"))?;
    }
    keep_capabilities(user.uid).map_err(failed("prctl"))?;
    setgid(gid).map_err(failed("setgid"))?;
    setuid(user.uid).map_err(failed("setuid"))?;
    restore_capabilities(user.uid, raw_io).map_err(failed("capset"))?;
    Ok(())
}

/// Lets the permitted capabilities outlive the change of user.
fn keep_capabilities(uid: Uid) -> Result<(), nix::Error> {
    if uid.is_root() || !Uid::effective().is_root() {
        return Ok(());
    }
    super::capabilities_unsafe::keep()
}

/// Has those in force that a switch needs: the network's.
fn restore_capabilities(uid: Uid, raw_io: bool) -> Result<(), nix::Error> {
    if uid.is_root() {
        return Ok(());
    }
    super::capabilities_unsafe::restrict(raw_io)
}
