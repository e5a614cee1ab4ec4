//! Surroundings of a bridge that a test looks at.

use dp_core::base::{Duration, Instant, MacAddr, OfPort};

use crate::openflow::Code;
use crate::openflow::ct_flush::CtFlush;
use crate::openflow::meter::{Band, MeterStats};
use crate::openflow::packet::{PacketOut, Resume};
use crate::openflow::port::{LinkFeatures, PortDesc, PortStats};
use crate::session::host::{Description, IpfixStats};
use crate::session::{Host, HostPort, QueueInfo};

/// The address of port 1.
pub(super) const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// One port, and notes of what was asked.
#[derive(Default)]
pub(super) struct TestHost {
    pub(super) config: u32,
    pub(super) packets_out: usize,
    pub(super) resumed: usize,
    pub(super) flushed: Vec<CtFlush>,
    pub(super) meters: Vec<u32>,
}

impl Host for TestHost {
    fn ports(&self) -> Vec<HostPort> {
        let none = LinkFeatures::default();
        let desc = PortDesc {
            port: OfPort(1),
            hw_addr: MAC,
            name: "p1".to_owned(),
            config: self.config,
            state: 0,
            curr: none,
            advertised: none,
            supported: none,
            peer: none,
            curr_speed: 0,
            max_speed: 0,
        };
        let stats = PortStats::unknown(OfPort(1), Duration::ZERO);
        vec![HostPort { desc, stats, custom: Vec::new() }]
    }

    fn description(&self) -> Description {
        Description::default()
    }

    fn set_port(&mut self, _port: OfPort, config: u32, mask: u32) -> Result<(), Code> {
        self.config = self.config & !mask | config & mask;
        Ok(())
    }

    fn queues(&self, _port: OfPort) -> Vec<QueueInfo> {
        Vec::new()
    }

    fn packet_out(&mut self, _packet: &PacketOut, _now: Instant) -> Result<(), Code> {
        self.packets_out += 1;
        Ok(())
    }

    fn resume(&mut self, _packet: &Resume, _now: Instant) -> Result<(), Code> {
        self.resumed += 1;
        Ok(())
    }

    fn flush_connections(&mut self, which: &CtFlush) -> Result<(), Code> {
        self.flushed.push(*which);
        Ok(())
    }

    fn set_meter(
        &mut self,
        meter: u32,
        _flags: u16,
        _bands: &[Band],
        _now: Instant,
    ) -> Result<(), Code> {
        self.meters.push(meter);
        Ok(())
    }

    fn remove_meter(&mut self, meter: u32) {
        self.meters.retain(|it| *it != meter);
    }

    fn meter_stats(&self, _meter: u32) -> Option<MeterStats> {
        None
    }

    fn ipfix_stats(&self, _flows: bool) -> Option<Vec<IpfixStats>> {
        None
    }
}
