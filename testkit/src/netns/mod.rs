//! Network namespaces: hosts for packets to come from and go to.
//!
//! ```text
//!   Namespace "a"                      Namespace "b"
//!   ┌──────────────────┐   veth_pair   ┌──────────────────┐
//!   │ kernel's stack  eth0 ───────── eth0  kernel's stack │
//!   │ FrameSocket ─────┤               ├───── Guarded     │
//!   └──────────────────┘               └──────────────────┘
//! ```
//!
//! Everything a test sends stays in namespaces it made. A namespace has a name of its own (process
//! and count), so that tests run side by side, and goes with its guard, taking its interfaces along.
//!
//! # Invariants
//!
//! * Addresses are usable as soon as they are set: duplicate address detection is off.
//! * What leaves a veth made here has its checksum computed: a switch under test gets frames as a
//!   wire would carry them. Switch that back on with `ethtool` where offload is what is tested.

mod enter_unsafe;
mod frames_unsafe;

#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::PathBuf,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

pub use enter_unsafe::Entered;
pub use frames_unsafe::FrameSocket;

use crate::{
    packages::{self, PackageError},
    packets::{Mac, Spelled},
    patience,
    process::{Guarded, ProcessError},
};

/// A network namespace, deleted when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace whose name contains `hint`, with loopback up; an interface answers ARP for
    /// its own addresses only.
    ///
    /// # Errors
    ///
    /// [`NetnsError`]; namespaces need root and `ip`.
    pub fn new(hint: &str) -> Result<Self, NetnsError> {
        if !packages::is_root() {
            return Err(NetnsError::NotRoot);
        }
        packages::ensure(&["iproute2", "ethtool"])?;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dp-{hint}-{}-{count}", process::id());
        run("ip", &["netns", "add", &name])?;
        let namespace = Self { name };
        for scope in ["all", "default"] {
            namespace.set(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
        }
        // A kernel answers ARP for any of its addresses at any of its interfaces unless told not to:
        // a bridge's address would be answered for by the bridge's port as well, with its own MAC
        // address, and whoever took that answer would be heard by nobody.
        namespace.set("net/ipv4/conf/all/arp_ignore", "1")?;
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// As [`Namespace::new`], without IPv6: no packet arises that the test did not send, but ARP.
    ///
    /// # Errors
    ///
    /// As [`Namespace::new`].
    pub fn quiet(hint: &str) -> Result<Self, NetnsError> {
        let namespace = Self::new(hint)?;
        for scope in ["all", "default"] {
            namespace.set(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1")?;
        }
        Ok(namespace)
    }

    /// Its name, as `ip netns` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Adds an address with prefix length (`10.0.0.1/24`, `fd00::1/64`) to an interface.
    ///
    /// # Errors
    ///
    /// [`NetnsError::Process`] with what `ip` says.
    pub fn address(&self, interface: &str, address: &str) -> Result<(), NetnsError> {
        let mut words = vec!["address", "add", address, "dev", interface];
        if address.contains(':') {
            words.push("nodad");
        }
        self.ip(&words).map(drop)
    }

    /// Sets the Ethernet address of an interface.
    ///
    /// # Errors
    ///
    /// [`NetnsError::Process`] with what `ip` says.
    pub fn mac(&self, interface: &str, address: impl Spelled<Mac>) -> Result<(), NetnsError> {
        let address = address.value().to_string();
        self.ip(&["link", "set", interface, "address", &address]).map(drop)
    }

    /// Waits until an interface that is up has its carrier and sends.
    ///
    /// The kernel learns of a carrier in the background; what is sent before that is lost.
    ///
    /// # Errors
    ///
    /// [`NetnsError::NoCarrier`] after some seconds, or what `ip` says.
    pub fn await_link(&self, interface: &str) -> Result<(), NetnsError> {
        let ask = || match self.ip(&["link", "show", interface]) {
            Ok(text) => text.contains(" state UP ").then_some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        let no_carrier = || NetnsError::NoCarrier { interface: interface.to_owned() };
        patience::wait(CARRIER_LIMIT, ask).ok_or_else(no_carrier)??;
        // The state is told a moment before sending is on; both happen under the lock that changing
        // an interface takes, even where nothing changes.
        self.ip(&["link", "set", interface, "up"]).map(drop)
    }

    /// Runs `ip` on this namespace and gives its output.
    ///
    /// # Errors
    ///
    /// [`NetnsError::Process`] with what `ip` says.
    pub fn ip(&self, words: &[&str]) -> Result<String, NetnsError> {
        run("ip", &[&["-n", &self.name], words].concat())
    }

    /// Sets a kernel parameter, `net/ipv4/ip_forward` for example, within the namespace.
    ///
    /// # Errors
    ///
    /// [`NetnsError::System`] if there is no such parameter or it refuses the value.
    pub fn set(&self, parameter: &str, value: &str) -> Result<(), NetnsError> {
        let path = format!("/proc/sys/{parameter}");
        let written = self.within(|| fs::write(&path, value))?;
        written.map_err(|source| NetnsError::System { what: path, source })
    }

    /// A command that will run in the namespace.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a program in the namespace to its end and gives its output.
    ///
    /// # Errors
    ///
    /// [`NetnsError::Process`] with what it wrote to standard error.
    pub fn exec(&self, words: &[&str]) -> Result<String, NetnsError> {
        let Some((program, arguments)) = words.split_first() else { return Ok(String::new()) };
        Ok(crate::process::run(self.command(program).args(arguments))?)
    }

    /// Starts a program in the namespace; it ends with its guard.
    ///
    /// # Errors
    ///
    /// [`NetnsError::Process`].
    pub fn spawn(&self, words: &[&str]) -> Result<Guarded, NetnsError> {
        let (program, arguments) = words.split_first().unwrap_or((&"true", &[]));
        // `ip netns exec` becomes the program, so that the guard's process id is the program's.
        Ok(Guarded::spawn(self.command(program).args(arguments))?)
    }

    /// Moves the current thread into the namespace, until the guard is dropped: sockets opened
    /// meanwhile stay in it.
    ///
    /// # Errors
    ///
    /// [`NetnsError::System`].
    pub fn enter(&self) -> Result<Entered, NetnsError> {
        Entered::new(&self.path())
            .map_err(|source| NetnsError::System { what: format!("enter {}", self.name), source })
    }

    /// Runs `work` on a thread of its own in the namespace.
    ///
    /// # Errors
    ///
    /// [`NetnsError::System`] if the namespace cannot be entered. A panic of `work` is passed on.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        let thread = || -> Result<T, NetnsError> {
            let _entered = self.enter()?;
            Ok(work())
        };
        match thread::scope(|scope| scope.spawn(thread).join()) {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// A socket for raw frames on an interface of the namespace.
    ///
    /// # Errors
    ///
    /// [`NetnsError::System`].
    pub fn frames(&self, interface: &str) -> Result<FrameSocket, NetnsError> {
        let opened = self.within(|| FrameSocket::open(interface))?;
        let what = || format!("frames on {interface} of {}", self.name);
        opened.map_err(|source| NetnsError::System { what: what(), source })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = run("ip", &["netns", "delete", &self.name]) {
            eprintln!("{error}");
        }
    }
}

/// Joins two interfaces, made here, by a virtual cable; both are up, with checksums computed on
/// sending.
///
/// # Errors
///
/// [`NetnsError::Process`] with what `ip` or `ethtool` says.
pub fn veth_pair(a: (&Namespace, &str), b: (&Namespace, &str)) -> Result<(), NetnsError> {
    let ends = [a, b];
    let link = ["link", "add", a.1, "type", "veth", "peer", "name", b.1, "netns", &b.0.name];
    a.0.ip(&link)?;
    for (namespace, interface) in ends {
        namespace.exec(&["ethtool", "--offload", interface, "tx", "off"])?;
    }
    for (namespace, interface) in ends {
        namespace.ip(&["link", "set", interface, "up"])?;
    }
    ends.into_iter().try_for_each(|(namespace, interface)| namespace.await_link(interface))
}

/// Why a namespace or what is in it could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// This process may not make namespaces.
    #[error("network namespaces need root")]
    NotRoot,
    /// A tool is missing.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A tool failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// An interface has no carrier: its peer is down or gone.
    #[error("{interface}: no carrier")]
    NoCarrier {
        /// The interface.
        interface: String,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

const CARRIER_LIMIT: Duration = Duration::from_secs(10);

fn run(program: &str, words: &[&str]) -> Result<String, NetnsError> {
    Ok(crate::process::run(Command::new(program).args(words))?)
}
