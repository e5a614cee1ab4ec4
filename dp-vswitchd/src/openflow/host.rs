//! What OpenFlow sessions ask of the daemon.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use dp_core::action::Masked;
use dp_core::base::{Instant, MeterId, OfPort, Zone};
use dp_core::boundary::Datapath as _;
use dp_core::conntrack::dump::{Filter, TupleFilter};
use dp_core::meter::{Band as DatapathBand, MeterConfig, MeterUnit};
use dp_netdev::port::{Change, LinkMode};
use dp_ofproto::export::ipfix;
use dp_ofproto::openflow::Code;
use dp_ofproto::openflow::ct_flush::{CtFlush, Tuple};
use dp_ofproto::openflow::meter::{Band, MeterStats, flag};
use dp_ofproto::openflow::packet::{PacketOut, Resume};
use dp_ofproto::openflow::port::{LinkFeatures, PortDesc, PortStats, config, state};
use dp_ofproto::openflow::queue::QueueStats;
use dp_ofproto::session::host::{Description, IpfixStats};
use dp_ofproto::session::{Host, HostPort, QueueInfo};

use super::packets;
use crate::switch::bridge::own_mac;
use crate::switch::status::custom_of_kind;
use crate::switch::{RunningBridge, Switch};

/// A bridge's surroundings.
pub(super) struct BridgeHost {
    bridge: Arc<RunningBridge>,
    switch: Arc<Switch>,
    /// When ports were seen first.
    since: std::cell::RefCell<BTreeMap<(OfPort, String), Instant>>,
    /// Packets that wait.
    pub(super) held: packets::Held,
}

impl BridgeHost {
    pub(super) fn new(bridge: Arc<RunningBridge>, switch: Arc<Switch>) -> Self {
        Self {
            bridge,
            switch,
            since: std::cell::RefCell::default(),
            held: packets::Held::default(),
        }
    }
}

impl Host for BridgeHost {
    fn ports(&self) -> Vec<HostPort> {
        let now = self.switch.now();
        let netdev = &self.bridge.datapath.netdev;
        let infos: BTreeMap<_, _> =
            netdev.ports().into_iter().map(|port| (port.port, port)).collect();
        let bridge_state = self.bridge.state();
        let mut since = self.since.borrow_mut();
        let mut present = Vec::new();
        let mut ports = Vec::new();
        for interface in bridge_state.interfaces.values() {
            let Some(port) = interface.ofport else { continue };
            let name = interface.config.name.clone();
            let key = (port, name.clone());
            let seen = *since.entry(key.clone()).or_insert(now);
            present.push(key);
            let status = interface.number.and_then(|it| netdev.port_status(it));
            let mut bits = bridge_state.port_config.get(&port).copied().unwrap_or(0);
            let (mut link, mut mac) = (0, dp_core::base::MacAddr::ZERO);
            if let Some(status) = status {
                if !status.admin_up {
                    bits |= config::DOWN;
                }
                link =
                    if status.link_up && status.admin_up { state::LIVE } else { state::LINK_DOWN };
                mac = status.mac;
            }
            link |= self.switch.services.tree_openflow_state(&self.bridge.name, port);
            let virtual_port = interface.is_virtual();
            if virtual_port {
                mac = own_mac(interface.config.uuid);
                link |= state::LIVE;
            }
            let none = LinkFeatures::default();
            let mode = interface.number.and_then(|it| netdev.port_link(it));
            let desc = PortDesc {
                port,
                hw_addr: mac,
                name,
                config: bits,
                state: link,
                curr: mode.map_or(none, features),
                advertised: none,
                supported: none,
                peer: none,
                // In kilobits, as far as there is room.
                curr_speed: mode.map_or(0, |it| it.mbps.saturating_mul(1000)),
                max_speed: 0,
            };
            let mut stats = PortStats::unknown(port, now.since(seen));
            let mut custom = Vec::new();
            if virtual_port {
                let carried = self.bridge.bridge.carried(port);
                stats.rx_packets = carried.rx.packets();
                stats.tx_packets = carried.tx.packets();
                stats.rx_bytes = carried.rx.bytes();
                stats.tx_bytes = carried.tx.bytes();
            }
            if let Some(info) = interface.number.and_then(|it| infos.get(&it)) {
                let counted = info.stats;
                stats.rx_packets = counted.rx_packets;
                stats.tx_packets = counted.tx_packets;
                stats.rx_bytes = counted.rx_bytes;
                stats.tx_bytes = counted.tx_bytes;
                custom = custom_of_kind(info, &interface.kind);
                if !interface.kind.starts_with("dummy") {
                    stats.rx_dropped = counted.rx_dropped;
                    stats.tx_dropped = counted.tx_dropped;
                }
                for (name, value) in netdev.port_counters(info.port) {
                    match name.as_str() {
                        "rx_dropped" => stats.rx_dropped = stats.rx_dropped.saturating_add(value),
                        "tx_dropped" => stats.tx_dropped = stats.tx_dropped.saturating_add(value),
                        "rx_errors" => stats.rx_errors = value,
                        "tx_errors" => stats.tx_errors = value,
                        "rx_frame_err" => stats.rx_frame_err = value,
                        "rx_over_err" => stats.rx_over_err = value,
                        "rx_crc_err" => stats.rx_crc_err = value,
                        "collisions" => stats.collisions = value,
                        _ => custom.push((name, value)),
                    }
                }
            }
            custom.sort();
            ports.push(HostPort { desc, stats, custom });
        }
        since.retain(|key, _| present.contains(key));
        ports.sort_by_key(|port| port.desc.port);
        ports
    }

    fn description(&self) -> Description {
        let state = self.bridge.state();
        let other = |key: &str| state.config.other_config.get(key).cloned();
        Description {
            manufacturer: "Nicira, Inc.".to_owned(),
            hardware: "Open vSwitch".to_owned(),
            software: crate::daemon::usage::COMPATIBLE.to_owned(),
            serial: other("dp-sn").unwrap_or_else(|| "None".to_owned()),
            datapath: other("dp-desc").unwrap_or_else(|| "None".to_owned()),
        }
    }

    fn set_port(&mut self, port: OfPort, bits: u32, mask: u32) -> Result<(), Code> {
        let number = {
            let mut state = self.bridge.state();
            let interface = state.interfaces.values().find(|it| it.ofport == Some(port));
            let number = interface.ok_or(Code::PmfcBadPort)?.number;
            let kept = mask & !config::DOWN;
            let entry = state.port_config.entry(port).or_default();
            *entry = *entry & !kept | bits & kept;
            number
        };
        if mask & config::DOWN != 0
            && let Some(number) = number
        {
            let change = Change::AdminUp(bits & config::DOWN == 0);
            let netdev = &self.bridge.datapath.netdev;
            if let Some(Err(error)) = netdev.configure_port(number, change) {
                log::warn!(target: "ofproto", "{}: port {port}: {error}", self.bridge.name);
                return Err(Code::PmfcEperm);
            }
            self.switch.touch();
        }
        self.bridge.publish();
        Ok(())
    }

    fn queues(&self, port: OfPort) -> Vec<QueueInfo> {
        let interface = {
            let state = self.bridge.state();
            state.interfaces.values().find(|it| it.ofport == Some(port)).cloned()
        };
        let now = self.switch.now();
        let dummy = interface.as_ref().is_some_and(|it| it.kind.starts_with("dummy"));
        if let Some(shown) = interface.and_then(|it| self.bridge.qos_of(&it)) {
            let info = |queue: &crate::switch::qos::QueueShown| QueueInfo {
                stats: QueueStats {
                    port,
                    queue: queue.queue,
                    tx_bytes: queue.bytes,
                    tx_packets: queue.packets,
                    tx_errors: queue.errors,
                    duration: now.since(queue.since),
                },
                min_rate: None,
                max_rate: None,
            };
            return shown.queues.iter().map(info).collect();
        }
        if !dummy {
            return Vec::new();
        }
        // Every dummy port has its default queue, which counts nothing of its own.
        let stats = QueueStats {
            port,
            queue: 0,
            tx_bytes: u64::MAX,
            tx_packets: u64::MAX,
            tx_errors: u64::MAX,
            duration: dp_core::base::Duration::MAX,
        };
        vec![QueueInfo { stats, min_rate: None, max_rate: None }]
    }

    fn packet_out(&mut self, packet: &PacketOut, now: Instant) -> Result<(), Code> {
        packets::packet_out(&self.bridge, &mut self.held, packet, now)
    }

    fn resume(&mut self, packet: &Resume, now: Instant) -> Result<(), Code> {
        packets::resume(&self.bridge, &mut self.held, packet, now)
    }

    fn flush_connections(&mut self, which: &CtFlush) -> Result<(), Code> {
        let Some(tracker) = self.bridge.datapath.netdev.conntrack() else {
            return Err(Code::NxrNotSupported);
        };
        let filter = Filter {
            zone: which.zone.map(Zone),
            mark: which.mark.map(|(value, mask)| Masked { value, mask }),
            label: which.label.map(|(value, mask)| Masked { value, mask }),
            orig: tuple(&which.orig, which.ip_proto),
            reply: tuple(&which.reply, 0),
        };
        tracker.flush_matching(&filter, self.switch.now());
        Ok(())
    }

    fn set_meter(
        &mut self,
        meter: u32,
        flags: u16,
        bands: &[Band],
        now: Instant,
    ) -> Result<(), Code> {
        let unit = if flags & flag::PKTPS != 0 { MeterUnit::Packets } else { MeterUnit::Kilobits };
        let burst = |burst: u32| (flags & flag::BURST != 0 && burst != 0).then_some(burst);
        let bands = bands
            .iter()
            .map(|band| DatapathBand { rate: band.rate, burst: burst(band.burst) })
            .collect();
        let netdev = &self.bridge.datapath.netdev;
        let id = match self.bridge.bridge.datapath_meter(meter) {
            Some(id) => id,
            None => self.free_meter().ok_or(Code::MmfcOutOfMeters)?,
        };
        let made = netdev.meter_set(id, MeterConfig { unit, bands }, now);
        made.map_err(|error| {
            log::warn!(target: "ofproto", "{}: meter {meter}: {error:?}", self.bridge.name);
            Code::MmfcBadBand
        })?;
        self.bridge.bridge.set_datapath_meter(meter, Some(id));
        Ok(())
    }

    fn remove_meter(&mut self, meter: u32) {
        if let Some(id) = self.bridge.bridge.datapath_meter(meter) {
            self.bridge.bridge.set_datapath_meter(meter, None);
            // One that the datapath no longer has is gone as it should be.
            let _ = self.bridge.datapath.netdev.meter_del(id);
        }
    }

    fn meter_stats(&self, meter: u32) -> Option<MeterStats> {
        let id = self.bridge.bridge.datapath_meter(meter)?;
        let stats = self.bridge.datapath.netdev.meter_get(id)?;
        Some(MeterStats {
            meter,
            packets: stats.packets,
            bytes: stats.bytes,
            bands: stats.bands.iter().map(|band| (band.packets, band.bytes)).collect(),
            ..MeterStats::default()
        })
    }

    fn ipfix_stats(&self, flows: bool) -> Option<Vec<IpfixStats>> {
        let (exports, bridge) = (&self.switch.exports.exports, &self.bridge.name);
        let all = if flows {
            exports.ipfix_set_stats(bridge)
        } else {
            exports.ipfix_stats(bridge).into_iter().map(|stats| (0, stats)).collect()
        };
        let row = |(collector_set, stats): (u32, ipfix::Stats)| IpfixStats {
            current_flows: stats.current_flows,
            total_flows: stats.total_flows,
            packets: stats.packets,
            ipv4_packets: stats.ipv4_packets,
            ipv6_packets: stats.ipv6_packets,
            lost_packets: stats.lost_packets,
            lost_ipv4_packets: stats.lost_ipv4_packets,
            lost_ipv6_packets: stats.lost_ipv6_packets,
            tx_packets: stats.sent,
            tx_errors: stats.send_errors,
            collector_set,
        };
        (!all.is_empty()).then(|| all.into_iter().map(row).collect())
    }
}

impl BridgeHost {
    /// A meter of the datapath that nobody has.
    fn free_meter(&self) -> Option<MeterId> {
        let netdev = &self.bridge.datapath.netdev;
        (0..METERS).map(MeterId).find(|id| netdev.meter_get(*id).is_none())
    }
}

/// A link's speed and kind as OpenFlow has it.
fn features(mode: LinkMode) -> LinkFeatures {
    let full = mode.full_duplex != Some(false);
    LinkFeatures::of(mode.mbps, full, mode.copper == Some(true), mode.negotiated)
}

/// Meters that are looked at for a free one.
const METERS: u32 = 65_536;

fn tuple(tuple: &Tuple, proto: u8) -> TupleFilter {
    let address =
        |ip: Option<Ipv6Addr>| ip.map(|ip| ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4));
    TupleFilter {
        src: address(tuple.src),
        dst: address(tuple.dst),
        proto: (proto != 0).then_some(proto),
        sport: tuple.src_port,
        dport: tuple.dst_port,
        icmp_id: tuple.icmp_id,
        icmp_type: tuple.icmp_type,
        icmp_code: tuple.icmp_code,
    }
}
