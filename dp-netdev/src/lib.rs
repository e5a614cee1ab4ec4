//! Ports, poll-mode threads and flow installation of the dp virtual switch datapath.
//!
//! The impure half of the packet path: everything that touches the system to move packets.
//!
//! | room | what |
//! |---|---|
//! | [`port`] | the port trait and the ports |
//! | [`offload`] | checksums and segments that a sender left to the next device |
//! | [`pcapfile`] | capture files |
//! | [`system`] | what is asked of the kernel |

pub mod offload;
pub mod pcapfile;
pub mod port;
pub mod system;
