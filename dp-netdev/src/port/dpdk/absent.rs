//! What stands here without the feature `dpdk`: answers that say so.

use super::{
    DetachError, EalOptions, InitError, LogLevel, Options, PoolInfo, Report, VhostOptions,
};
use crate::port::{OpenError, Port};

/// Initialises libdpdk.
///
/// # Errors
///
/// [`InitError::NotBuilt`].
pub fn init(options: &EalOptions) -> Result<(), InitError> {
    let _ = options;
    Err(InitError::NotBuilt)
}

/// Whether libdpdk runs in this process: never.
#[must_use]
pub fn is_running() -> bool {
    false
}

/// The version of libdpdk: none.
#[must_use]
pub fn version() -> Option<String> {
    None
}

/// What libdpdk has logged: nothing.
#[must_use]
pub fn take_log() -> Vec<String> {
    Vec::new()
}

/// The memory pools there are: none.
#[must_use]
pub fn pools() -> Vec<PoolInfo> {
    Vec::new()
}

/// Makes the calling thread known to libdpdk: nothing to do.
pub fn attach_thread() {}

/// Opens a port.
///
/// # Errors
///
/// [`OpenError::NoDpdk`].
pub fn open(name: &str, options: &Options) -> Result<Box<dyn Port>, OpenError> {
    let _ = options;
    Err(OpenError::NoDpdk { name: name.to_owned(), why: InitError::NotBuilt.to_string() })
}

/// Opens a port for guests.
///
/// # Errors
///
/// [`OpenError::NoDpdk`].
pub fn open_vhost(name: &str, options: &VhostOptions) -> Result<Box<dyn Port>, OpenError> {
    let _ = options;
    Err(OpenError::NoDpdk { name: name.to_owned(), why: InitError::NotBuilt.to_string() })
}

/// A report: there is none.
#[must_use]
pub fn report(what: Report) -> Option<String> {
    let _ = what;
    None
}

/// Sets how much is logged: nothing is.
#[must_use]
pub fn set_log(pattern: Option<&str>, level: LogLevel) -> bool {
    let _ = (pattern, level);
    false
}

/// Detaches a device that no port has.
///
/// # Errors
///
/// [`DetachError::NotFound`].
pub fn detach(device: &str) -> Result<(), DetachError> {
    Err(DetachError::NotFound(device.to_owned()))
}
