//! What libdpdk tells of itself, and how much it logs.

#![expect(unsafe_code, reason = "libdpdk's reports are C strings")]

use core::ffi::CStr;
use std::ffi::CString;

use dpdk_sys as sys;

use super::{LogLevel, Report, is_running};

/// A report; `None` if libdpdk does not run, or has no memory for it.
#[must_use]
pub fn report(what: Report) -> Option<String> {
    if !is_running() {
        return None;
    }
    let what = match what {
        Report::Heap => sys::DPDK_SHIM_HEAP,
        Report::Zones => sys::DPDK_SHIM_ZONES,
        Report::Processors => sys::DPDK_SHIM_PROCESSORS,
        Report::Log => sys::DPDK_SHIM_LOG,
    };
    // SAFETY: libdpdk runs; one of the shim's numbers.
    let text = unsafe { sys::dpdk_shim_report(what as core::ffi::c_int) };
    if text.is_null() {
        return None;
    }
    // SAFETY: the shim's string, which is ours until it is given back.
    let report = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    // SAFETY: as above; it is not used any more.
    unsafe { sys::dpdk_shim_give_back(text) };
    Some(report)
}

/// Sets how much is logged: by the kinds that a pattern names, or in all. `false` if libdpdk does
/// not run or refuses the pattern.
#[must_use]
pub fn set_log(pattern: Option<&str>, level: LogLevel) -> bool {
    if !is_running() {
        return false;
    }
    let level = level as u32;
    let Some(pattern) = pattern else {
        // SAFETY: a level that there is.
        unsafe { sys::rte_log_set_global_level(level) };
        return true;
    };
    let Ok(pattern) = CString::new(pattern) else { return false };
    // SAFETY: a string, and a level that there is.
    unsafe { sys::rte_log_set_level_pattern(pattern.as_ptr(), level) == 0 }
}
