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
//! | [`qos`] | policing and shaping |
//! | [`offload`] | checksums and segments that a sender left to the next device |
//! | [`pcapfile`] | capture files |
//! | [`system`] | what is asked of the kernel |
//!
//! # A switch with a port of its own
//!
//! ```
//! use std::sync::Arc;
//!
//! use dp_core::action::Action;
//! use dp_core::base::{Instant, PortNo};
//! use dp_core::boundary::{Datapath, Upcall, UpcallError, UpcallSink, Verdict};
//! use dp_core::flow::FlowMask;
//! use dp_core::packet::{Burst, Pool};
//! use dp_netdev::port::{Lost, OpenError, Port, QueueCount, Queues, RxEnd, RxQueue};
//! use dp_netdev::port::dummy::Dummy;
//! use dp_netdev::{Config, Netdev};
//!
//! /// Delivers this many broadcasts.
//! struct Generator(u8);
//!
//! impl Port for Generator {
//!     fn name(&self) -> &str { "gen0" }
//!     fn kind(&self) -> &'static str { "generator" }
//!     fn queues(&mut self, _want: QueueCount) -> Result<Queues, OpenError> {
//!         Ok(Queues { rx: vec![Box::new(Self(self.0))], tx: vec![] })
//!     }
//! }
//!
//! impl RxQueue for Generator {
//!     fn receive(&mut self, burst: &mut Burst, _now: Instant) -> Result<Lost, RxEnd> {
//!         if self.0 == 0 {
//!             return Err(RxEnd::Finished);
//!         }
//!         while self.0 > 0 && !burst.is_full() {
//!             let Some(mut packet) = Pool::standard().alloc() else { break };
//!             if let Some(room) = packet.append(60) { room.fill(0xff) }
//!             drop(burst.push(packet));
//!             self.0 -= 1;
//!         }
//!         Ok(Lost::NONE)
//!     }
//! }
//!
//! /// The whole slow path: everything goes to port 2.
//! struct ToPort2;
//!
//! impl UpcallSink for ToPort2 {
//!     fn upcall(&self, _: &Upcall<'_>, _: Instant) -> Result<Verdict, UpcallError> {
//!         let actions = Arc::from([Action::Output(PortNo(2))]);
//!         Ok(Verdict { actions, mask: FlowMask::default(), install: true })
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let netdev = Netdev::new(Arc::new(ToPort2), Config::default())?;
//! netdev.add_port(PortNo(1), Box::new(Generator(100)))?;
//! netdev.add_port(PortNo(2), Box::new(Dummy::new("out")))?;
//! while netdev.is_receiving() && netdev.turn(netdev.clock().now()) > 0 {}
//! assert_eq!(netdev.ports()[1].stats.tx_packets, 100);
//! # Ok(()) }
//! ```

pub mod datapath;
pub mod netlink;
pub mod offload;
pub mod pcapfile;
pub mod pmd;
pub mod port;
pub mod qos;
pub mod system;

pub use datapath::{Config, Netdev, Running};
pub use pmd::Idle;
