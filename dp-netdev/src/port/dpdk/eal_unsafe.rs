//! Initialising libdpdk, its log, and the threads it knows.

#![expect(unsafe_code, reason = "libdpdk's initialisation, and the affinity that it changes")]

use core::ffi::{CStr, c_char, c_int};
use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use dpdk_sys as sys;

use super::{EalOptions, InitError};

/// Lines of its log that are kept.
const KEPT: usize = 1000;

static LOG: Mutex<Log> = Mutex::new(Log { lines: VecDeque::new(), begun: String::new() });

struct Log {
    lines: VecDeque<String>,
    begun: String,
}

/// 0: not yet; 1: being initialised; 2: runs; 3: refused.
static STATE: AtomicU8 = AtomicU8::new(0);

/// Whether its memory grows by hugepages as it is used.
static GROWS: AtomicBool = AtomicBool::new(false);

thread_local! {
    static ATTACHED: Attached = const { Attached(Cell::new(false)) };
}

/// Whether this thread has been made known to libdpdk.
struct Attached(Cell<bool>);

impl Drop for Attached {
    fn drop(&mut self) {
        if self.0.get() {
            // SAFETY: the thread was registered, and ends.
            unsafe { sys::rte_thread_unregister() };
        }
    }
}

/// Initialises libdpdk. The calling thread keeps the processors it may run on.
///
/// # Errors
///
/// [`InitError`].
pub fn init(options: &EalOptions) -> Result<(), InitError> {
    let mut arguments = Vec::new();
    for argument in options.arguments() {
        arguments.push(CString::new(argument.clone()).map_err(|_| InitError::Argument(argument))?);
    }
    if STATE.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return Err(InitError::Twice);
    }
    // libdpdk keeps pointers into its arguments, and may reorder them.
    let mut arguments: Vec<*mut c_char> = arguments.into_iter().map(CString::into_raw).collect();
    let count = c_int::try_from(arguments.len()).unwrap_or(c_int::MAX);
    arguments.push(core::ptr::null_mut());
    let arguments = arguments.leak();
    // SAFETY: the sink takes any bytes, from any thread.
    let logging = unsafe { sys::dpdk_shim_log_to(Some(logged)) };
    let before = affinity();
    // SAFETY: strings that are never freed, and their number.
    let done = unsafe { sys::rte_eal_init(count, arguments.as_mut_ptr()) };
    if let Some(set) = before {
        restore(&set);
    }
    if done >= 0 {
        GROWS.store(options.uses_hugepages(), Ordering::Relaxed);
        STATE.store(2, Ordering::Release);
        return Ok(());
    }
    STATE.store(3, Ordering::Release);
    // SAFETY: reads a number of this thread.
    let error = unsafe { sys::dpdk_shim_errno() };
    let said = if logging == 0 { last_said() } else { String::new() };
    let advice = if options.uses_hugepages() && free_hugepages() == Some(0) {
        "; no hugepages are free: reserve some (echo 1024 > /proc/sys/vm/nr_hugepages) and mount \
         them (mount -t hugetlbfs none /dev/hugepages), or do without, at less speed \
         (dpdk-extra=\"--no-huge --no-shconf -m 512\")"
    } else {
        ""
    };
    Err(InitError::Refused { reason: text_of(error), said, advice })
}

/// Whether libdpdk runs in this process.
#[must_use]
pub fn is_running() -> bool {
    STATE.load(Ordering::Acquire) == 2
}

/// Whether libdpdk's memory grows as it is used.
pub(super) fn grows() -> bool {
    GROWS.load(Ordering::Relaxed)
}

/// The version of libdpdk.
#[must_use]
pub fn version() -> Option<String> {
    // SAFETY: asks for a constant.
    let version = unsafe { sys::rte_version() };
    // SAFETY: libdpdk's own string, which lives as long as the process.
    let version = unsafe { CStr::from_ptr(version) };
    Some(version.to_string_lossy().into_owned())
}

/// Takes what libdpdk has logged since the last time.
#[must_use]
pub fn take_log() -> Vec<String> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner).lines.drain(..).collect()
}

/// Makes the calling thread known to libdpdk, so that it gets caches of its own; once is enough.
pub fn attach_thread() {
    if !is_running() {
        return;
    }
    // A thread that is ending needs no caches any more.
    let _ = ATTACHED.try_with(|attached| {
        // SAFETY: reads a number of this thread. All ones: libdpdk does not know it.
        let unknown = unsafe { sys::dpdk_shim_lcore_id() } == u32::MAX;
        // SAFETY: libdpdk runs. Where it has no place for another thread, the thread goes without.
        if unknown && unsafe { sys::rte_thread_register() } == 0 {
            attached.0.set(true);
        }
    });
}

/// The text of an error number.
pub(super) fn text_of(error: c_int) -> String {
    // SAFETY: asks for a text; any number has one.
    let text = unsafe { sys::rte_strerror(error) };
    // SAFETY: a string of this thread, valid until the next call.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}

/// The last warnings of the log, behind a separator.
pub(super) fn last_said() -> String {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let last: Vec<&str> = log.lines.iter().rev().take(3).map(String::as_str).collect();
    if last.is_empty() {
        return String::new();
    }
    format!(" ({})", last.into_iter().rev().collect::<Vec<_>>().join("; "))
}

/// Forgets what was logged before, so that [`last_said`] speaks of what comes.
pub(super) fn log_mark() -> usize {
    LOG.lock().unwrap_or_else(PoisonError::into_inner).lines.len()
}

/// What was logged since a mark, behind a separator.
pub(super) fn said_since(mark: usize) -> String {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let lines: Vec<&str> = log.lines.iter().skip(mark).map(String::as_str).collect();
    if lines.is_empty() { String::new() } else { format!(" ({})", lines.join("; ")) }
}

/// Where libdpdk's log goes.
unsafe extern "C" fn logged(text: *const c_char, len: usize) {
    if text.is_null() {
        return;
    }
    // SAFETY: the library's word: that many bytes.
    let bytes = unsafe { core::slice::from_raw_parts(text.cast::<u8>(), len) };
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    log.begun.push_str(&String::from_utf8_lossy(bytes));
    while let Some(end) = log.begun.find('\n') {
        let line: String = log.begun.drain(..=end).collect();
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        if log.lines.len() == KEPT {
            log.lines.pop_front();
        }
        let line = line.to_owned();
        log.lines.push_back(line);
    }
}

/// How many hugepages are free; `None` if the kernel does not say.
fn free_hugepages() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("HugePages_Free:"))?;
    line.trim().parse().ok()
}

/// The processors that this thread may run on.
fn affinity() -> Option<libc::cpu_set_t> {
    // SAFETY: plain bits.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: the set is written, of the length given; thread 0 is the calling one.
    let done = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    (done == 0).then_some(set)
}

/// Lets this thread run on these processors again, as before.
fn restore(set: &libc::cpu_set_t) {
    // SAFETY: the set is read only, of the length given.
    let _ = unsafe { libc::sched_setaffinity(0, size_of_val(set), &raw const *set) };
}
