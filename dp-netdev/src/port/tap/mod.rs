//! A network interface that the kernel makes for us: what the kernel's stack sends to it comes in
//! by the port, what leaves by the port the stack receives.
//!
//! `tap` is such an interface as a port of its own; `internal` is one that belongs to a bridge and
//! carries its name. The interface lives as long as the port. Checksums and segments are left to
//! whoever can do them best, both ways ([`crate::offload`]), so that local TCP moves 64 KiB at a
//! time through the switch.
//!
//! # Cost
//!
//! One system call a packet, each way: the kernel offers no batches here.

mod open_unsafe;

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use dp_core::base::Instant;
use dp_core::packet::{Burst, Packet, Pool};

use super::{
    Change, LinkMode, Lost, OpenError, Port, PortError, QueueCount, Queues, RxEnd, RxQueue, Sent,
    Status, TxQueue, Wake, change_netif,
};
use crate::netlink::link_counters;
use crate::offload::vnet;
use crate::system::Netif;

/// Whose interface it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its own.
    Tap,
    /// A bridge's.
    Internal,
}

/// An interface made by us, as a port.
#[derive(Debug)]
pub struct Tap {
    name: String,
    role: Role,
    netif: Netif,
    device: Arc<File>,
    taken: bool,
}

impl Tap {
    /// Makes an interface of this name in the calling thread's network namespace. It is down, as
    /// new interfaces are: see [`Change::AdminUp`].
    ///
    /// # Errors
    ///
    /// [`OpenError::NotPermitted`]; [`OpenError::System`] if the name is taken or impossible.
    pub fn open(name: &str, role: Role) -> Result<Self, OpenError> {
        let system = |step| {
            move |source: io::Error| match source.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => {
                    OpenError::NotPermitted { name: name.to_owned(), privilege: "CAP_NET_ADMIN" }
                }
                _ => OpenError::System { name: name.to_owned(), step, source },
            }
        };
        if name.is_empty() || name.contains('%') {
            // The kernel would choose a name.
            let source = io::Error::from_raw_os_error(libc::EINVAL);
            return Err(system("make interface")(source));
        }
        let device = open_patiently(name).map_err(|(step, error)| system(step)(error))?;
        let netif = Netif::open(name).map_err(system("look up interface"))?;
        Ok(Self { name: name.to_owned(), role, netif, device: Arc::new(device), taken: false })
    }
}

/// How often a name that is taken is tried again, and after how many milliseconds.
const TRIES: (u32, u64) = (10, 5);

/// Makes the interface. One that was just closed lives on while a child process that is being
/// started still has a copy of its descriptor, so a name that is taken is tried again for a moment.
fn open_patiently(name: &str) -> Result<File, (&'static str, io::Error)> {
    let (mut tries, pause) = TRIES;
    loop {
        match open_unsafe::open(name) {
            Err((_, error)) if error.raw_os_error() == Some(libc::EBUSY) && tries > 0 => {
                tries -= 1;
                std::thread::sleep(Duration::from_millis(pause));
            }
            done => return done,
        }
    }
}

impl Port for Tap {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        match self.role {
            Role::Tap => "tap",
            Role::Internal => "internal",
        }
    }

    fn queues(&mut self, want: QueueCount) -> Result<Queues, OpenError> {
        if std::mem::replace(&mut self.taken, true) {
            return Err(OpenError::QueuesTaken { port: self.name.clone() });
        }
        let rx = TapRx {
            name: self.name.clone(),
            device: Arc::clone(&self.device),
            spare: None,
            overflow: vec![0; LARGEST].into_boxed_slice(),
        };
        let tx = (0..want.tx.max(1))
            .map(|_| TapTx { device: Arc::clone(&self.device), down_until: Instant::default() })
            .map(|queue| Box::new(queue) as Box<dyn TxQueue>);
        Ok(Queues { rx: vec![Box::new(rx)], tx: tx.collect() })
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
        counters.map(|it| super::netif_counters(&it.of_other_end())).unwrap_or_default()
    }

    fn configure(&mut self, change: Change) -> Result<(), OpenError> {
        change_netif(&self.name, &self.netif, change)
    }
}

/// Bytes of the largest frame that the kernel hands over.
const LARGEST: usize = 65_536 + 64;

struct TapRx {
    name: String,
    device: Arc<File>,
    /// A buffer that the last call did not need, of full length.
    spare: Option<Packet>,
    /// Where the part of a frame goes that an ordinary buffer does not hold.
    overflow: Box<[u8]>,
}

impl TapRx {
    /// A buffer of ordinary size, its frame as long as it can be.
    fn buffer(&mut self) -> Option<Packet> {
        self.spare.take().or_else(|| {
            let pool = Pool::standard();
            let mut packet = pool.alloc()?;
            packet.append(pool.data_len())?;
            Some(packet)
        })
    }

    fn read(
        &self,
        packet: &mut Packet,
        overflow: &mut [u8],
    ) -> io::Result<(usize, [u8; vnet::LEN])> {
        let mut header = [0; vnet::LEN];
        let mut parts = [
            IoSliceMut::new(&mut header),
            IoSliceMut::new(packet.data_mut()),
            IoSliceMut::new(overflow),
        ];
        let read = (&*self.device).read_vectored(&mut parts)?;
        Ok((read.saturating_sub(vnet::LEN), header))
    }

    fn end(&self, source: io::Error) -> RxEnd {
        let name = self.name.clone();
        RxEnd::Failed(match source.raw_os_error() {
            Some(libc::EBADFD | libc::EIO | libc::ENODEV) => PortError::Removed { name },
            _ => PortError::System { name, step: "receive", source },
        })
    }
}

/// Cuts a buffer to the frame that was read, or moves to a larger one what did not fit.
fn fit(mut packet: Packet, len: usize, overflow: &[u8]) -> Option<Packet> {
    let held = packet.len();
    if len <= held {
        packet.truncate(len);
        return Some(packet);
    }
    let mut large = Pool::for_len(len)?.alloc()?;
    let (front, back) = large.append(len)?.split_at_mut_checked(held)?;
    front.copy_from_slice(packet.data());
    back.copy_from_slice(overflow.get(..len - held)?);
    Some(large)
}

impl RxQueue for TapRx {
    fn receive(&mut self, burst: &mut Burst, _now: Instant) -> Result<Lost, RxEnd> {
        let before = burst.len();
        let mut lost = Lost::NONE;
        while !burst.is_full() {
            let Some(mut packet) = self.buffer() else { break };
            let mut overflow = std::mem::take(&mut self.overflow);
            let read = self.read(&mut packet, &mut overflow);
            self.overflow = overflow;
            let (len, header) = match read {
                Ok(read) => read,
                Err(error) => {
                    self.spare = Some(packet);
                    return match error.kind() {
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(lost),
                        // What has come is told first; the next call fails as well.
                        _ if burst.len() > before || lost != Lost::NONE => Ok(lost),
                        _ => Err(self.end(error)),
                    };
                }
            };
            match fit(packet, len, &self.overflow) {
                // There is room: the loop's condition.
                Some(mut packet) => {
                    if vnet::receive(&header, 0, &mut packet) {
                        drop(burst.push(packet));
                    } else {
                        lost.oversize += 1;
                    }
                }
                None => lost.no_buffer += 1,
            }
        }
        Ok(lost)
    }

    fn wake(&self) -> Wake {
        Wake::readable(self.device.as_raw_fd())
    }
}

struct TapTx {
    device: Arc<File>,
    /// Until when the interface counts as down, so that a flood towards one that nobody uses does
    /// not cost a system call a packet.
    down_until: Instant,
}

/// How long an interface that was found down is not tried again.
const DOWN: Duration = Duration::from_millis(1);

impl TxQueue for TapTx {
    fn transmit(&mut self, batch: &mut Burst, now: Instant) -> Sent {
        let mut sent = Sent::default();
        for mut packet in batch.drain() {
            if now < self.down_until {
                sent.failed += 1;
                continue;
            }
            let header = vnet::transmit(&mut packet);
            let parts = [IoSlice::new(&header), IoSlice::new(packet.data())];
            match (&*self.device).write_vectored(&parts) {
                Ok(_) => sent.sent(packet.len()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sent.queue_full += 1,
                Err(error) => {
                    sent.failed += 1;
                    if error.raw_os_error() == Some(libc::EIO) {
                        self.down_until = now.after(DOWN);
                    }
                }
            }
        }
        sent
    }
}

#[cfg(test)]
mod tests;
