//! A network interface through AF_XDP sockets: past the kernel's stack, by rings shared with the
//! kernel, without libdpdk and without libbpf.
//!
//! ```text
//!   interface ─ XDP program ─► socket of the queue ─► rx ring ─► copy into a buffer ─► burst
//!   batch ─► copy into a frame ─► tx ring ─ one system call a batch ─► interface
//! ```
//!
//! * One socket, with memory of its own, for each queue of the interface.
//! * The program is six instructions: it passes a frame to the socket of its queue, or to the
//!   kernel where there is none. It is attached through a link that goes when its descriptor is
//!   closed, so that nothing is left behind by a process that dies.
//! * Frames leave the kernel's own memory unchanged: tags are where they were. A checksum that a
//!   local sender left to the device cannot be told from a wrong one: between virtual interfaces,
//!   transmit checksum offload must be off at the other end.
//!
//! # Cost
//!
//! One copy each way. Where the driver takes part ([`Mode::ZeroCopy`]) the kernel makes none; over
//! virtual interfaces it makes its own besides.

mod memory_unsafe;
mod program_unsafe;
mod queue;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Change, LinkMode, OpenError, Port, QueueCount, Queues, RxQueue, Status, TxQueue};
use crate::netlink::link_counters;
use crate::system::Netif;
use memory_unsafe::Socket;
use program_unsafe::Program;
use queue::{Rx, Tx};

/// How the kernel hands frames over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The best that the driver can: each of the others is tried, best first.
    #[default]
    Best,
    /// The device reads and writes our memory.
    ZeroCopy,
    /// The driver runs the program and copies.
    Native,
    /// The kernel's stack runs the program and copies: works with every driver.
    Generic,
}

impl Mode {
    /// The name that the configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Best => "best-effort",
            Self::ZeroCopy => "native-with-zerocopy",
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    /// The mode of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Best, Self::ZeroCopy, Self::Native, Self::Generic]
            .into_iter()
            .find(|mode| mode.name() == name)
    }
}

/// How to open an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How the kernel hands frames over.
    pub mode: Mode,
    /// How many of the interface's queues are used, from the first on.
    pub queues: u32,
    /// Whether a thread asks all the time, or sleeps until something comes.
    pub polled: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { mode: Mode::Best, queues: 1, polled: true }
    }
}

/// A network interface as a port.
#[derive(Debug)]
pub struct AfXdp {
    name: String,
    netif: Arc<Netif>,
    options: Options,
    mode: Mode,
    /// Held by the queues too: frames come as long as it is there.
    program: Arc<Program>,
    sockets: Option<Vec<Socket>>,
}

/// How long an interface may be busy: another socket's end takes a moment.
const PATIENCE: Duration = Duration::from_secs(2);

impl AfXdp {
    /// Opens the interface of this name in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// [`OpenError::NoInterface`], [`OpenError::NotPermitted`], [`OpenError::BadOption`] where the
    /// interface has fewer queues, or what else the system says.
    pub fn open(name: &str, options: Options) -> Result<Self, OpenError> {
        let netif = Netif::open(name).map_err(|error| failure(name, "look up interface", error))?;
        let modes: &[Mode] = match options.mode {
            Mode::Best => &[Mode::ZeroCopy, Mode::Native, Mode::Generic],
            Mode::ZeroCopy => &[Mode::ZeroCopy],
            Mode::Native => &[Mode::Native],
            Mode::Generic => &[Mode::Generic],
        };
        let mut last = None;
        for mode in modes {
            match Self::open_as(&netif, options, *mode) {
                Ok((program, sockets)) => {
                    return Ok(Self {
                        name: name.to_owned(),
                        netif: Arc::new(netif),
                        options,
                        mode: *mode,
                        program: Arc::new(program),
                        sockets: Some(sockets),
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        let (step, error) = last.unwrap_or(("open", io::Error::other("no mode")));
        if step == BIND && error.raw_os_error() == Some(libc::EINVAL) {
            return Err(OpenError::BadOption {
                port: name.to_owned(),
                option: "n_rxq",
                value: options.queues.to_string(),
                expected: "a number of queues that the interface has",
            });
        }
        Err(failure(name, step, error))
    }

    fn open_as(
        netif: &Netif,
        options: Options,
        mode: Mode,
    ) -> Result<(Program, Vec<Socket>), (&'static str, io::Error)> {
        let program = Program::load(options.queues.max(1)).map_err(|it| ("load program", it))?;
        let mut sockets = Vec::new();
        for queue in 0..options.queues.max(1) {
            let socket = patiently(|| Socket::open(netif.index(), queue, mode))?;
            program.serve(queue, socket.fd()).map_err(|it| ("enter socket into map", it))?;
            sockets.push(socket);
        }
        patiently(|| program.attach(netif.index(), mode).map_err(|it| ("attach program", it)))?;
        Ok((program, sockets))
    }

    /// How frames are handed over.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }
}

/// Tries again while the interface is busy.
fn patiently<T>(
    mut step: impl FnMut() -> Result<T, (&'static str, io::Error)>,
) -> Result<T, (&'static str, io::Error)> {
    let begun = Instant::now();
    loop {
        match step() {
            Err((_, error))
                if error.raw_os_error() == Some(libc::EBUSY) && begun.elapsed() < PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

/// The step that fails where a queue does not exist.
const BIND: &str = "bind AF_XDP socket";

fn failure(name: &str, step: &'static str, source: io::Error) -> OpenError {
    let name = name.to_owned();
    match source.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => OpenError::NoInterface { name },
        Some(libc::EPERM | libc::EACCES) => {
            OpenError::NotPermitted { name, privilege: "CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF" }
        }
        _ => OpenError::System { name, step, source },
    }
}

impl Port for AfXdp {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        if self.options.polled { "afxdp" } else { "afxdp-nonpmd" }
    }

    fn is_poll_mode(&self) -> bool {
        self.options.polled
    }

    fn queues(&mut self, _want: QueueCount) -> Result<Queues, OpenError> {
        let taken = || OpenError::QueuesTaken { port: self.name.clone() };
        let sockets = self.sockets.take().ok_or_else(taken)?;
        let mut queues = Queues::default();
        for socket in sockets {
            let (receiving, sending) = socket.split();
            let (netif, program) = (Arc::clone(&self.netif), Arc::clone(&self.program));
            let rx = Rx::new(&self.name, netif, program, receiving);
            queues.rx.push(Box::new(rx) as Box<dyn RxQueue>);
            queues.tx.push(Box::new(Tx::new(Arc::clone(&self.netif), sending)) as Box<dyn TxQueue>);
        }
        Ok(queues)
    }

    fn status(&self) -> Status {
        super::netif_status(&self.netif)
    }

    fn configure(&mut self, change: Change) -> Result<(), OpenError> {
        super::change_netif(&self.name, &self.netif, change)
    }

    fn configuration(&self) -> Vec<(&'static str, String)> {
        vec![
            ("n_rxq", self.options.queues.to_string()),
            ("xdp-mode", self.options.mode.name().to_owned()),
        ]
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        let mut details = super::netif_details(&self.netif);
        details.push(("xdp-mode", self.mode.name().to_owned()));
        details
    }

    fn link(&self) -> Option<LinkMode> {
        super::netif_link(&self.netif)
    }

    fn counters(&self) -> Vec<(String, u64)> {
        let counters = link_counters(self.netif.index());
        counters.map(|it| super::netif_counters(&it)).unwrap_or_default()
    }
}
