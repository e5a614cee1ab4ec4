//! What autovalidators have found: how often two kernels that ought to agree did not.

use super::SharedCounter;

static DISAGREEMENTS: SharedCounter = SharedCounter::new(0);

/// How often an autovalidator has found two kernels to differ, in this process: never, one hopes.
#[must_use]
pub fn disagreements() -> u64 {
    DISAGREEMENTS.get()
}

/// Two kernels differ: it is counted, and debug builds stop.
#[cold]
pub(crate) fn disagree(what: &str) {
    DISAGREEMENTS.add(1);
    debug_assert!(what.is_empty(), "{what} kernels disagree");
}
