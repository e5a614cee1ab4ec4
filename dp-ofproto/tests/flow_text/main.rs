//! Flow text as a whole: whatever is printed is read as what it was, and the installed `ovs-ofctl`
//! prints the same.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod identity;
mod random;
mod reference;
