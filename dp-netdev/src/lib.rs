//! Ports, poll-mode threads and flow installation of the dp virtual switch datapath.
//!
//! The impure half of the packet path: everything that touches the system to move packets.
//!
//! ```text
//!   datapath   Netdev: what a switch makes, gives ports to, and runs
//!   pmd        one packet thread: the turn, commands, rest
//!   port       the port trait and the ports
//!   offload  pcapfile  system
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`datapath`] | ports, packet threads and flows, wired together |
//! | [`pmd`] | packet threads |
//! | [`port`] | the port trait and the ports |
//! | [`offload`] | checksums and segments that a sender left to the next device |
//! | [`pcapfile`] | capture files |
//! | [`system`] | what is asked of the kernel |

pub mod datapath;
pub mod offload;
pub mod pcapfile;
pub mod pmd;
pub mod port;
pub mod system;

pub use datapath::{Config, Netdev, Running};
pub use pmd::Idle;
