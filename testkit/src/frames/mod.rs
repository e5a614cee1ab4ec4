//! What a frame consists of, and how two frames differ.
//!
//! A failed comparison of packets must say *what* is wrong ("the TTL of frame 3 is 64, not 63"), or
//! the reader counts octets by hand. [`dissect()`] names every octet of a frame, [`assert_frames_eq`]
//! uses the names, and [`faults`] checks what must hold within one frame: checksums and lengths.
//!
//! This room reads packets for the tests' eyes and judges the switch's own parser; it shares no code
//! with it, prefers plainness to speed, and never panics on a frame, however damaged.

mod check;
mod diff;
mod dissect;
mod names;

#[cfg(test)]
mod tests;

pub use check::{assert_sound, faults};
pub use diff::{assert_frames_eq, difference};
pub use dissect::{Dissection, Field, Header, Kind, dissect};
