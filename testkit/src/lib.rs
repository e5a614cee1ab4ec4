//! The laboratory every system test stands on.
//!
//! A test of a switch needs four things that are not the switch: packets known to be right, a place
//! to send them from, something to compare with, and a way to say what differed. They live here, and
//! they share no code with the switch itself, so that they can judge it.
//!
//! | room | what it gives |
//! |---|---|
//! | [`packets`] | test packets with right checksums, and wrong variants of them |
//! | [`frames`] | what a frame consists of, field by field, and readable differences between frames |
//! | [`pcap`] | capture files, read and written |
//! | [`seed`] | repeatable randomness |
//! | [`netns`] | network namespaces, veth pairs, raw frames in and out of the kernel |
//! | [`process`] | child processes that end with the test that started them |
//! | [`patience`] | waiting with a bound |
//! | [`mod@reference`] | the reference switch in a folder of its own |
//! | [`ovn`] | OVN's control plane on a switch |
//! | [`daemon`] | the switch under test, built |
//! | [`folder`] | private folders |
//! | [`packages`] | Debian packages a test needs |
//!
//! # Invariants
//!
//! * A test that cannot set up what it needs fails and says what is missing; it never passes unrun.
//! * What is started here (process, namespace, folder) is ended by `Drop`, by its own id.
//! * Nothing here depends on a crate of the switch.

pub mod daemon;
pub mod folder;
pub mod frames;
pub mod netns;
pub mod ovn;
pub mod packages;
pub mod packets;
pub mod patience;
pub mod pcap;
pub mod process;
pub mod reference;
pub mod seed;
