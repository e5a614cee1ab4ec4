//! What a service asks of the bridge's surroundings: devices, the datapath, conntrack.

use dp_core::base::{Instant, OfPort};

use crate::openflow::Code;
use crate::openflow::ct_flush::CtFlush;
use crate::openflow::meter::{Band, MeterStats};
use crate::openflow::packet::{PacketOut, Resume};
use crate::openflow::port::{PortDesc, PortStats};
use crate::openflow::queue::QueueStats;

/// A port with what it counts.
#[derive(Clone, Debug)]
pub struct HostPort {
    /// What it is.
    pub desc: PortDesc,
    /// What it has counted.
    pub stats: PortStats,
    /// Counters that only its kind has, by name.
    pub custom: Vec<(String, u64)>,
}

/// A queue of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueInfo {
    /// What it has counted.
    pub stats: QueueStats,
    /// What it is guaranteed, in tenths of a per cent of the port's rate.
    pub min_rate: Option<u16>,
    /// What it may have at most.
    pub max_rate: Option<u16>,
}

/// The words of a description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Who made it.
    pub manufacturer: String,
    /// Of what.
    pub hardware: String,
    /// With which program.
    pub software: String,
    /// Which one.
    pub serial: String,
    /// What its owner calls it.
    pub datapath: String,
}

/// The surroundings of a bridge. Nothing here waits.
pub trait Host {
    /// All ports, ascending by number, the local one last.
    fn ports(&self) -> Vec<HostPort>;

    /// Who made the switch.
    fn description(&self) -> Description;

    /// Changes a port's [`crate::openflow::port::config`] bits.
    ///
    /// # Errors
    ///
    /// How the wire says why not.
    fn set_port(&mut self, port: OfPort, config: u32, mask: u32) -> Result<(), Code>;

    /// The queues of a port.
    fn queues(&self, port: OfPort) -> Vec<QueueInfo>;

    /// Carries out a packet-out.
    ///
    /// # Errors
    ///
    /// How the wire says why not.
    fn packet_out(&mut self, packet: &PacketOut, now: Instant) -> Result<(), Code>;

    /// Lets a packet go on that was paused.
    ///
    /// # Errors
    ///
    /// How the wire says why not.
    fn resume(&mut self, packet: &Resume, now: Instant) -> Result<(), Code>;

    /// Forgets connections.
    ///
    /// # Errors
    ///
    /// How the wire says why not.
    fn flush_connections(&mut self, which: &CtFlush) -> Result<(), Code>;

    /// Makes a meter in the datapath, or changes it.
    ///
    /// # Errors
    ///
    /// How the wire says why not.
    fn set_meter(
        &mut self,
        meter: u32,
        flags: u16,
        bands: &[Band],
        now: Instant,
    ) -> Result<(), Code>;

    /// Removes a meter from the datapath.
    fn remove_meter(&mut self, meter: u32);

    /// What a meter has counted: its packets, bytes and bands.
    fn meter_stats(&self, meter: u32) -> Option<MeterStats>;

    /// IPFIX statistics, as their rows are written: the bridge's, or with `true` the flows' ones.
    fn ipfix_stats(&self, flows: bool) -> Option<Vec<IpfixStats>>;
}

/// What an exporter has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpfixStats {
    /// Flows now.
    pub current_flows: u64,
    /// Flows ever.
    pub total_flows: u64,
    /// Packets sampled.
    pub packets: u64,
    /// Packets of IPv4.
    pub ipv4_packets: u64,
    /// Packets of IPv6.
    pub ipv6_packets: u64,
    /// Packets whose records were lost.
    pub lost_packets: u64,
    /// Of these, packets of IPv4.
    pub lost_ipv4_packets: u64,
    /// Of these, packets of IPv6.
    pub lost_ipv6_packets: u64,
    /// Messages sent.
    pub tx_packets: u64,
    /// Messages that could not be sent.
    pub tx_errors: u64,
    /// Which collector set.
    pub collector_set: u32,
}
