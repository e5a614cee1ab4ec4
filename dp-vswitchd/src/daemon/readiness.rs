//! Telling a service manager where the process stands (`sd_notify(3)`): ready, or on its way out.
//!
//! A unit with `Type=notify` counts as started when the first configuration is in force, which is
//! when a starter of a daemon in the background comes back too. Without `NOTIFY_SOCKET` in the
//! environment nobody wants to know.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;

/// What a manager is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The first configuration is in force.
    Ready,
    /// The process is about to end.
    Stopping,
}

/// Tells the manager, if there is one. What goes wrong is in the log: it is no reason to stop.
pub(crate) fn tell(standing: Standing) {
    let Some(place) = env::var_os("NOTIFY_SOCKET").filter(|it| !it.is_empty()) else { return };
    if let Err(error) = tell_at(&place, standing) {
        let why = crate::errno::text(&error);
        log::warn!(
            target: "daemon_unix",
            "{}: telling the service manager failed ({why})", place.to_string_lossy()
        );
    }
}

/// Sends one datagram; a leading `@` names a socket without a file.
fn tell_at(place: &OsStr, standing: Standing) -> io::Result<()> {
    let address = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(place)?,
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let text = match standing {
        // In the background it is not the process that the manager started.
        Standing::Ready => format!("READY=1\nMAINPID={}\n", process::id()),
        Standing::Stopping => "STOPPING=1\n".to_owned(),
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address).map(drop)
}
