//! A real network interface through packet sockets: veth, physical, anything that carries Ethernet.
//!
//! ```text
//!   interface ─► TPACKET_V3 ring, mapped ─► copy into a buffer ─► burst
//!   batch ─► sendmmsg, a virtio-net header in front of each frame ─► interface
//! ```
//!
//! * The interface is set to receive everything (promiscuous) as long as the port is open.
//! * VLAN tags that the kernel has taken off are put back.
//! * Frames whose checksum or segmentation the kernel has left to the device travel as they are and
//!   leave as they are; the virtio-net header says so both ways ([`crate::offload`]).
//! * What this or another process sends out of the interface does not come in by it. The kernel's
//!   own stack sees incoming frames too: give the interface no address.
//! * A queue that finds the interface gone ends with [`PortError::Removed`](super::PortError::Removed); one whose interface is
//!   only down waits.
//!
//! # Cost
//!
//! Receiving: no system call while packets come, one copy a frame; the kernel hands over packets by
//! blocks, at the latest after a millisecond. Sending: one system call a batch.

mod ring_unsafe;
mod rx;
mod send_unsafe;
mod socket_unsafe;
mod tx;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::{Change, LinkMode, OpenError, Port, QueueCount, Queues, Status, TxQueue};
use crate::netlink::link_counters;
use crate::system::Netif;
use ring_unsafe::Ring;

/// How to open an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Receives frames for any address.
    pub promiscuous: bool,
    /// Bytes of the receive ring: at least four blocks of 256 KiB.
    pub ring_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { promiscuous: true, ring_bytes: 8 << 20 }
    }
}

/// A network interface as a port.
#[derive(Debug)]
pub struct AfPacket {
    name: String,
    netif: Arc<Netif>,
    /// Both sockets are opened with the port, so that they are in the same network namespace
    /// whichever thread asks for the queues.
    sockets: Option<(Ring, OwnedFd)>,
}

impl AfPacket {
    /// Opens the interface of this name in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// [`OpenError::NoInterface`], [`OpenError::NotEthernet`], [`OpenError::NotPermitted`], or what
    /// else the system says.
    pub fn open(name: &str, options: Options) -> Result<Self, OpenError> {
        let step = |step| {
            move |source: io::Error| match source.raw_os_error() {
                Some(libc::ENODEV | libc::ENXIO) => {
                    OpenError::NoInterface { name: name.to_owned() }
                }
                Some(libc::EPERM | libc::EACCES) => {
                    OpenError::NotPermitted { name: name.to_owned(), privilege: "CAP_NET_RAW" }
                }
                _ => OpenError::System { name: name.to_owned(), step, source },
            }
        };
        let netif = Netif::open(name).map_err(step("look up interface"))?;
        let state = netif.state().map_err(step("ask for interface state"))?;
        if !state.is_ethernet() {
            let arp_type = state.arp_type;
            return Err(OpenError::NotEthernet { name: name.to_owned(), arp_type });
        }
        let ring =
            Ring::open(netif.index(), &options).map_err(|(what, error)| step(what)(error))?;
        let tx = tx::open(netif.index()).map_err(step("open socket to send"))?;
        let sockets = Some((ring, tx));
        Ok(Self { name: name.to_owned(), netif: Arc::new(netif), sockets })
    }
}

impl Port for AfPacket {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "afpacket"
    }

    fn queues(&mut self, want: QueueCount) -> Result<Queues, OpenError> {
        let taken = || OpenError::QueuesTaken { port: self.name.clone() };
        let (ring, socket) = self.sockets.take().ok_or_else(taken)?;
        let rx = rx::Rx::new(&self.name, Arc::clone(&self.netif), ring);
        let (socket, index) = (Arc::new(socket), self.netif.index());
        let tx = (0..want.tx.max(1))
            .map(|_| Box::new(tx::Tx::new(Arc::clone(&socket), index)) as Box<dyn TxQueue>)
            .collect();
        Ok(Queues { rx: vec![Box::new(rx)], tx })
    }

    fn status(&self) -> Status {
        super::netif_status(&self.netif)
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        super::netif_details(&self.netif)
    }

    fn link(&self) -> Option<LinkMode> {
        super::netif_link(&self.netif)
    }

    fn counters(&self) -> Vec<(String, u64)> {
        let counters = link_counters(self.netif.index());
        counters.map(|it| super::netif_counters(&it)).unwrap_or_default()
    }

    fn configure(&mut self, change: Change) -> Result<(), OpenError> {
        super::change_netif(&self.name, &self.netif, change)
    }
}

#[cfg(test)]
mod tests;
