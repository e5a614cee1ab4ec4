//! What the slow path may ask of a datapath.

use core::fmt;
use std::sync::Arc;

use crate::action::ActionList;
use crate::base::{BondId, Instant, MeterId, PortNo, Ufid};
use crate::bond::{Assignment, BUCKETS};
use crate::conntrack::Conntrack;
use crate::flow::{FlowKey, FlowMask};
use crate::meter::{MeterConfig, MeterError, MeterStats};
use crate::packet::Packet;
use crate::sync::Counter;

/// What a megaflow has carried. Written by the packet thread that owns the flow, read by any.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct FlowStats {
    /// Packets.
    pub packets: Counter,
    /// Bytes of frames, without FCS.
    pub bytes: Counter,
    /// [`Instant`] of the last packet; 0 if there was none.
    pub used: Counter,
    /// TCP flags seen, or-ed.
    pub tcp_flags: Counter,
}

impl FlowStats {
    /// Credits packets; for the owning thread.
    #[inline(always)]
    pub fn credit(&self, packets: u64, bytes: u64, tcp_flags: u16, now: Instant) {
        self.packets.add(packets);
        self.bytes.add(bytes);
        self.used.set(now.0);
        let seen = self.tcp_flags.get();
        if seen | u64::from(tcp_flags) != seen {
            self.tcp_flags.set(seen | u64::from(tcp_flags));
        }
    }

    /// The values now.
    #[must_use]
    pub fn snapshot(&self) -> FlowStatsSnapshot {
        FlowStatsSnapshot {
            packets: self.packets.get(),
            bytes: self.bytes.get(),
            used: match self.used.get() {
                0 => None,
                nanos => Some(Instant(nanos)),
            },
            tcp_flags: u16::try_from(self.tcp_flags.get() & 0xffff).unwrap_or(0),
        }
    }
}

/// [`FlowStats`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowStatsSnapshot {
    /// Packets.
    pub packets: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// When the last packet came.
    pub used: Option<Instant>,
    /// TCP flags seen.
    pub tcp_flags: u16,
}

/// A megaflow as a dump shows it.
#[derive(Clone, Debug)]
pub struct FlowDump {
    /// Its id.
    pub ufid: Ufid,
    /// The thread whose table holds it.
    pub thread: u32,
    /// The key of the packet that it was made for: what the mask wildcards says nothing of others.
    pub key: Arc<FlowKey>,
    /// The mask.
    pub mask: Arc<FlowMask>,
    /// What it does.
    pub actions: ActionList,
    /// What it has carried.
    pub stats: Arc<FlowStats>,
    /// When it was installed.
    pub created: Instant,
}

/// Counters of one port; all since it was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames lost before or at receipt.
    pub rx_dropped: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames lost at sending.
    pub tx_dropped: u64,
}

/// A port as the datapath knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    /// Its number.
    pub port: PortNo,
    /// Its name.
    pub name: String,
    /// What kind of port it is: `pcap`, `afpacket`, `ring` …
    pub kind: &'static str,
    /// Its counters.
    pub stats: PortStats,
    /// Whether it can send and receive now.
    pub up: bool,
}

/// A megaflow to be installed from outside, in all threads.
#[derive(Clone, Debug)]
pub struct FlowPut {
    /// Its key; the mask decides what of it counts.
    pub key: FlowKey,
    /// Its mask. The port of entry counts in any case.
    pub mask: FlowMask,
    /// What it does.
    pub actions: ActionList,
    /// What may become of it.
    pub mode: PutMode,
    /// One that is there begins to count anew.
    pub zero_stats: bool,
    /// The time.
    pub now: Instant,
}

/// What an installation may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutMode {
    /// Only make a new flow.
    Create,
    /// Only change one that is there.
    Modify,
    /// Either.
    Any,
}

/// Why a datapath refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatapathError {
    /// No such flow.
    NoFlow,
    /// No such port.
    NoPort,
    /// No such thread.
    NoThread,
    /// There is such a flow already.
    Exists,
    /// A table is full.
    Full,
    /// This datapath cannot do that.
    Unsupported,
    /// The packet thread does not answer.
    Busy,
}

impl fmt::Display for DatapathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoFlow => "no such flow",
            Self::NoPort => "no such port",
            Self::NoThread => "no such thread",
            Self::Exists => "flow exists",
            Self::Full => "table full",
            Self::Unsupported => "not supported by this datapath",
            Self::Busy => "packet thread does not answer",
        })
    }
}

impl core::error::Error for DatapathError {}

/// A datapath as the slow path sees it. Changes reach the packet threads as messages: they are in
/// force when the thread has taken its next turn, which [`Datapath::flow_del`] and
/// [`Datapath::flow_put`] do not wait for.
pub trait Datapath: Send + Sync {
    /// Calls `each` for every megaflow of every thread.
    fn flow_dump(&self, each: &mut dyn FnMut(FlowDump));

    /// Replaces the actions of a megaflow.
    ///
    /// # Errors
    ///
    /// [`DatapathError::NoThread`], [`DatapathError::Busy`].
    fn flow_put(&self, thread: u32, ufid: Ufid, actions: ActionList) -> Result<(), DatapathError>;

    /// Removes a megaflow.
    ///
    /// # Errors
    ///
    /// [`DatapathError::NoThread`], [`DatapathError::Busy`].
    fn flow_del(&self, thread: u32, ufid: Ufid) -> Result<(), DatapathError>;

    /// Number of megaflows in all threads.
    fn flow_count(&self) -> usize;

    /// Installs or changes a megaflow in all threads, and waits until they have it.
    ///
    /// # Errors
    ///
    /// What [`PutMode`] forbids: [`DatapathError::Exists`], [`DatapathError::NoFlow`]; a full table; a
    /// thread that does not answer.
    fn flow_install(&self, put: &FlowPut) -> Result<Ufid, DatapathError> {
        let _ = put;
        Err(DatapathError::Unsupported)
    }

    /// What each thread that has the megaflow shows of it.
    fn flow_get(&self, ufid: Ufid) -> Vec<FlowDump> {
        let mut found = Vec::new();
        self.flow_dump(&mut |flow| {
            if flow.ufid == ufid {
                found.push(flow);
            }
        });
        found
    }

    /// The connections that it tracks, where it tracks any.
    fn conntrack(&self) -> Option<&Conntrack> {
        None
    }

    /// Makes a meter, or makes it anew; its buckets are empty at `now`.
    ///
    /// # Errors
    ///
    /// When the datapath has no such meters.
    fn meter_set(&self, id: MeterId, config: MeterConfig, now: Instant) -> Result<(), MeterError> {
        let _ = (id, config, now);
        Err(MeterError::Unsupported)
    }

    /// What a meter has seen.
    fn meter_get(&self, id: MeterId) -> Option<MeterStats> {
        let _ = id;
        None
    }

    /// Removes a meter; returns what it has seen.
    ///
    /// # Errors
    ///
    /// [`MeterError::NotFound`].
    fn meter_del(&self, id: MeterId) -> Result<MeterStats, MeterError> {
        let _ = id;
        Err(MeterError::Unsupported)
    }

    /// Assigns the buckets of a bond, new or known.
    ///
    /// # Errors
    ///
    /// A thread that does not answer.
    fn bond_set(&self, id: BondId, ports: &Assignment) -> Result<(), DatapathError> {
        let _ = (id, ports);
        Err(DatapathError::Unsupported)
    }

    /// Forgets a bond.
    ///
    /// # Errors
    ///
    /// A thread that does not answer.
    fn bond_del(&self, id: BondId) -> Result<(), DatapathError> {
        let _ = id;
        Err(DatapathError::Unsupported)
    }

    /// Bytes that each bucket of a bond has carried.
    fn bond_bytes(&self, id: BondId) -> Option<[u64; BUCKETS]> {
        let _ = id;
        None
    }

    /// Executes actions on a packet as though it had come in by `key.in_port()`, with all else that
    /// the key says beside the frame.
    ///
    /// # Errors
    ///
    /// [`DatapathError::NoThread`], [`DatapathError::Busy`].
    fn execute(
        &self,
        packet: Packet,
        key: &FlowKey,
        actions: ActionList,
    ) -> Result<(), DatapathError>;

    /// All ports.
    fn ports(&self) -> Vec<PortInfo>;
}
