//! The reference switch, in a folder of its own, with packets and time in the test's hands.
//!
//! What a switch ought to do is best asked of the one whose behaviour is the measure. [`Reference`]
//! starts Debian's, with a database of its own, and speaks to it with the tools that its users have.
//! Its *dummy* datapath and ports need no network: a test gives a port a packet and reads from a
//! capture what each port sent.
//!
//! ```no_run
//! use testkit::{packets::samples, reference::{BRIDGE, Reference}};
//!
//! let switch = Reference::start()?;
//! switch.add_dummy_port("p1", 1)?;
//! switch.add_dummy_port("p2", 2)?;
//! switch.add_flow(BRIDGE, "in_port=1,actions=output:2")?;
//! let frame = samples::named("ipv4-udp").unwrap();
//! switch.receive_frame("p1", &frame)?;
//! assert_eq!(switch.sent("p2")?, [frame]);
//! # Ok::<(), testkit::reference::ReferenceError>(())
//! ```
//!
//! Any daemon that takes the same arguments can be put in its place ([`Reference::start_with`]); a
//! test written once then judges both, and the tools do not change.
//!
//! # Invariants
//!
//! * The system's own instance is never touched: every command is told this folder.
//! * Both daemons are children of the test and end with the guard, by their own ids.

mod dpdk;
mod megaflow;
mod port;
mod programs;
mod setup;

#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

pub use megaflow::Megaflow;
use programs::Programs;
pub use setup::Setup;

use crate::{
    folder::Folder,
    netns::NetnsError,
    packages::PackageError,
    pcap::PcapError,
    process::{self, Guarded, ProcessError},
};

/// The bridge that every instance starts with.
pub const BRIDGE: &str = "br0";

/// A running switch with its database.
#[derive(Debug)]
pub struct Reference {
    // Dropped in this order: the daemons before the folder they write to.
    daemon: Guarded,
    server: Option<Guarded>,
    folder: Folder,
    programs: Programs,
}

impl Reference {
    /// Starts Debian's switch with a dummy datapath and dummy ports.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`], with the daemon's log if it did not come up.
    pub fn start() -> Result<Self, ReferenceError> {
        Setup::new().start()
    }

    /// Starts the switch of Debian's next release (3.5), with that release's tools.
    ///
    /// # Errors
    ///
    /// As [`Reference::start`]; what kept its packages from being fetched.
    pub fn start_newer() -> Result<Self, ReferenceError> {
        Setup::newer()?.start()
    }

    /// As [`Reference::start`], with another daemon in the switch's place.
    ///
    /// # Errors
    ///
    /// As [`Reference::start`].
    pub fn start_with(daemon: impl Into<PathBuf>) -> Result<Self, ReferenceError> {
        Setup::new().daemon(daemon).start()
    }

    /// Starts our own daemon in the switch's place.
    ///
    /// # Errors
    ///
    /// As [`Reference::start`]; Cargo's words if it cannot be built.
    pub fn start_ours() -> Result<Self, ReferenceError> {
        Self::start_with(crate::daemon::built()?)
    }

    /// Starts Debian's switch built with DPDK: userspace datapath, ports on virtual DPDK devices.
    ///
    /// # Errors
    ///
    /// As [`Reference::start`]; DPDK needs root and huge pages.
    pub fn start_dpdk() -> Result<Self, ReferenceError> {
        Setup::dpdk()?.start()
    }

    /// The folder with its sockets, logs and captures.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id of the switch.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.daemon.id()
    }

    /// Runs `ovs-vsctl` and gives its output; it waits until the switch has taken the change.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] with what the tool says.
    pub fn vsctl(&self, words: &[&str]) -> Result<String, ReferenceError> {
        let database = format!("--db=unix:{}", self.folder.join("db.sock").display());
        self.tool("ovs-vsctl", &[&[database.as_str()], words].concat())
    }

    /// Runs `ovs-ofctl` and gives its output.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] with what the tool says.
    pub fn ofctl(&self, words: &[&str]) -> Result<String, ReferenceError> {
        self.tool("ovs-ofctl", words)
    }

    /// Runs `ovs-appctl` on the switch and gives its output.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] with what the tool says.
    pub fn appctl(&self, words: &[&str]) -> Result<String, ReferenceError> {
        self.tool("ovs-appctl", words)
    }

    /// Adds one flow, in the syntax of `ovs-ofctl add-flow`.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] with what the tool says.
    pub fn add_flow(&self, bridge: &str, flow: &str) -> Result<(), ReferenceError> {
        self.ofctl(&["-O", PROTOCOLS, "add-flow", bridge, flow]).map(drop)
    }

    /// Adds flows, one a line.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] with what the tool says.
    pub fn add_flows(&self, bridge: &str, flows: &str) -> Result<(), ReferenceError> {
        let path = self.folder.join("flows.txt");
        fs::write(&path, flows)
            .map_err(|source| ReferenceError::File { path: path.clone(), source })?;
        let path = path.to_string_lossy();
        self.ofctl(&["-O", PROTOCOLS, "add-flows", bridge, &path]).map(drop)
    }

    /// What the switch would do with a packet, given as a flow: `ofproto/trace`.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] with what the tool says.
    pub fn trace(&self, bridge: &str, flow: &str) -> Result<String, ReferenceError> {
        self.appctl(&["ofproto/trace", bridge, flow])
    }

    /// What the switch would do with these octets on that port: `ofproto/trace`.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] with what the tool says.
    pub fn trace_frame(
        &self,
        bridge: &str,
        in_port: u16,
        frame: &[u8],
    ) -> Result<String, ReferenceError> {
        self.appctl(&["ofproto/trace", bridge, &format!("in_port={in_port}"), &port::hex(frame)])
    }

    /// The datapath's flows, sorted: `dpctl/dump-flows`.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`], or [`ReferenceError::Answer`] if a line is not understood.
    pub fn dump_megaflows(&self) -> Result<Vec<Megaflow>, ReferenceError> {
        let text = self.appctl(&["dpctl/dump-flows"])?;
        let mut flows = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with("flow-dump from")) {
            flows.push(line.parse().map_err(|_| ReferenceError::Answer { text: line.to_owned() })?);
        }
        flows.sort();
        Ok(flows)
    }

    /// Runs `ovsdb-client` on the database; the word `SOCKET` becomes its place.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] with what the tool says.
    pub fn ovsdb_client(&self, words: &[&str]) -> Result<String, ReferenceError> {
        let socket = format!("unix:{}", self.folder.join("db.sock").display());
        let words: Vec<&str> = words
            .iter()
            .map(|word| if *word == "SOCKET" { socket.as_str() } else { *word })
            .collect();
        self.tool("ovsdb-client", &words)
    }

    /// Stops the switch's clock; from now on [`Reference::time_warp`] alone moves it.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] with what the tool says.
    pub fn time_stop(&self) -> Result<(), ReferenceError> {
        self.appctl(&["time/stop"]).map(drop)
    }

    /// Moves the switch's clock on, in whole milliseconds, at once or by `step`s between which the
    /// switch does what is due.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] with what the tool says.
    pub fn time_warp(&self, by: Duration, step: Option<Duration>) -> Result<(), ReferenceError> {
        let by = by.as_millis().to_string();
        match step {
            Some(step) => self.appctl(&["time/warp", &by, &step.as_millis().to_string()]).map(drop),
            None => self.appctl(&["time/warp", &by]).map(drop),
        }
    }

    /// The end of the switch's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log_tail(&self.folder)
    }

    /// Lets the switch do all that was asked before.
    ///
    /// A command is served in the turn after the one that served the last, and packets given to
    /// ports are worked off between the two. Threads of their own (PMD, revalidators) are not waited
    /// for.
    fn settle(&self) -> Result<(), ReferenceError> {
        self.appctl(&["version"]).map(drop)
    }

    fn tool(&self, program: &str, words: &[&str]) -> Result<String, ReferenceError> {
        let mut command = self.programs.command(program, &self.folder);
        command.arg(format!("--timeout={}", TOOL_LIMIT.as_secs())).args(words);
        Ok(process::run(&mut command)?)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the switch's log ends with\n{}", self.log_tail());
        }
        // Asked to end, DPDK gives back what it holds; whoever does not listen is killed.
        for child in [Some(&mut self.daemon), self.server.as_mut()].into_iter().flatten() {
            if let Err(error) = child.terminate(STOP_LIMIT) {
                eprintln!("{error}");
            }
        }
    }
}

/// Why the switch could not be started or asked.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// A package is missing.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A tool or daemon failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A namespace failed.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// A capture is no capture.
    #[error("{path}: {source}", path = path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PcapError,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon ended, or did not answer in time.
    #[error("{daemon} did not come up: {why}\n{log}", daemon = daemon.display())]
    Start {
        /// The daemon.
        daemon: PathBuf,
        /// What was seen.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// The switch refused a port.
    #[error("port {port}: {why}")]
    Port {
        /// The port.
        port: String,
        /// What the database says.
        why: String,
    },
    /// The switch answered what is not understood here.
    #[error("answer not understood: {text}")]
    Answer {
        /// The answer.
        text: String,
    },
    /// The memory that DPDK needs is not to be had.
    #[error("DPDK needs {wanted} free huge pages, and there are {free}")]
    HugePages {
        /// Pages needed.
        wanted: u64,
        /// Pages there are.
        free: u64,
    },
}

/// The last lines of what the switch wrote to its standard streams, else of its log file.
fn log_tail(folder: &Folder) -> String {
    let read = |name| fs::read(folder.join(name)).unwrap_or_default();
    let mut text = read("ovs-vswitchd.out");
    if text.is_empty() {
        text = read("ovs-vswitchd.log");
    }
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
}

/// Every version that the tools may need to say what a flow says.
const PROTOCOLS: &str = "OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15";
const TOOL_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(10);
const LOG_LINES: usize = 20;
