//! sFlow version 5 on the wire (sflow.org, "sFlow Version 5", July 2004): samples and their records.
//!
//! ```text
//!   datagram  version 5 | agent | sub-agent | sequence | uptime | samples …
//!   sample    1 flow | 2 counters      record  format, length, XDR
//! ```

use std::net::IpAddr;

use super::path::TunnelPath;
use super::{FlowSample, LacpCounters, PortCounters, Resources, SourceId, SwitchCounters};
use crate::export::bytes::{Put, low32};

/// What is not known.
const UNKNOWN: u32 = u32::MAX;
/// `ifType` of Ethernet.
const IF_TYPE_ETHERNET: u32 = 6;

/// The head of a datagram.
pub(super) struct Head {
    pub(super) agent: IpAddr,
    pub(super) sub_agent: u32,
    pub(super) sequence: u32,
    pub(super) uptime_ms: u32,
    pub(super) samples: u32,
}

impl Head {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.u32(5);
        address(out, self.agent);
        out.u32(self.sub_agent);
        out.u32(self.sequence);
        out.u32(self.uptime_ms);
        out.u32(self.samples);
    }
}

fn address(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            out.u32(1);
            out.bytes(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.u32(2);
            out.bytes(&ip.octets());
        }
    }
}

/// One sample, with its type and length in front.
fn framed(kind: u32, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    framed_into(&mut out, kind, write);
    out
}

fn framed_into(out: &mut Vec<u8>, kind: u32, write: impl FnOnce(&mut Vec<u8>)) {
    out.u32(kind);
    let at = out.len();
    out.u32(0);
    write(out);
    while !(out.len() - at).is_multiple_of(4) {
        out.u8(0);
    }
    let len = u32::try_from(out.len() - at - 4).unwrap_or(0);
    out.patch32(at, len);
}

/// What a flow sample's head says beside the sample itself.
pub(super) struct FlowHead {
    pub(super) sequence: u32,
    pub(super) source: SourceId,
    pub(super) rate: u32,
    pub(super) pool: u32,
}

/// A flow sample.
pub(super) fn flow_sample(head: &FlowHead, sample: &FlowSample<'_>) -> Vec<u8> {
    framed(1, |out| {
        out.u32(head.sequence);
        out.u32(head.source.0);
        out.u32(head.rate);
        out.u32(head.pool);
        out.u32(0);
        out.u32(sample.input);
        out.u32(sample.output);
        let at = out.len();
        out.u32(0);
        let mut records = 2;
        framed_into(out, 1001, |out| {
            for tci in [sample.vlan_in, sample.vlan_out] {
                out.u32(u32::from(tci & 0xfff));
                out.u32(u32::from(tci >> 13));
            }
        });
        framed_into(out, 1, |out| raw_header(out, sample));
        if !sample.labels.is_empty() {
            records += 1;
            framed_into(out, 1006, |out| {
                // No next hop, nothing said of the labels that it came with.
                for word in [1, 0, 0] {
                    out.u32(word);
                }
                out.u32(u32::try_from(sample.labels.len()).unwrap_or(0));
                sample.labels.iter().for_each(|lse| out.u32(*lse));
            });
        }
        for (path, format, vni_format) in
            [(&sample.tunnel_out, 1023, 1029), (&sample.tunnel_in, 1024, 1030)]
        {
            let Some(path) = path else { continue };
            if let Some(vni) = path.vni {
                records += 1;
                framed_into(out, vni_format, |out| out.u32(vni));
            }
            records += 1;
            framed_into(out, format, |out| tunnel(out, path));
        }
        out.patch32(at, records);
    })
}

fn raw_header(out: &mut Vec<u8>, sample: &FlowSample<'_>) {
    out.u32(1);
    // The checksum at the end of a frame is part of its length on the wire, and stripped.
    out.u32(u32::try_from(sample.frame_len).unwrap_or(u32::MAX).saturating_add(4));
    out.u32(4);
    out.u32(u32::try_from(sample.header.len()).unwrap_or(0));
    out.bytes(sample.header);
}

fn tunnel(out: &mut Vec<u8>, path: &TunnelPath) {
    out.u32(0);
    out.u32(path.protocol.into());
    out.bytes(&path.src.octets());
    out.bytes(&path.dst.octets());
    out.u32(path.src_port.into());
    out.u32(path.dst_port.into());
    out.u32(0);
    out.u32(path.tos.into());
}

fn counters(source: SourceId, sequence: u32, records: &[(u32, Vec<u8>)]) -> Vec<u8> {
    framed(2, |out| {
        out.u32(sequence);
        out.u32(source.0);
        out.u32(u32::try_from(records.len()).unwrap_or(0));
        for (format, body) in records {
            framed_into(out, *format, |out| out.bytes(body));
        }
    })
}

fn body(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    write(&mut out);
    out
}

/// The counters of a port.
pub(super) fn port_sample(sequence: u32, datapath_id: u64, port: &PortCounters) -> Vec<u8> {
    let mut records = vec![(1, body(|out| interface(out, port)))];
    records.push((2, body(|out| (0..13).for_each(|_| out.u32(UNKNOWN)))));
    if let Some(lacp) = &port.lacp {
        records.push((7, body(|out| aggregation(out, lacp))));
    }
    records.push((
        1004,
        body(|out| {
            out.u64(datapath_id);
            out.u32(port.ofport.0.into());
        }),
    ));
    records.push((
        1005,
        body(|out| {
            out.u32(u32::try_from(port.name.len()).unwrap_or(0));
            out.bytes(port.name.as_bytes());
        }),
    ));
    counters(SourceId::interface(port.ifindex), sequence, &records)
}

fn interface(out: &mut Vec<u8>, port: &PortCounters) {
    out.u32(port.ifindex);
    out.u32(IF_TYPE_ETHERNET);
    out.u64(port.speed);
    out.u32(match port.full_duplex {
        None => 0,
        Some(true) => 1,
        Some(false) => 2,
    });
    out.u32(u32::from(port.admin_up) | u32::from(port.link_up) << 1);
    let packets = |out: &mut Vec<u8>, bytes: u64, packets: u64, multicast: Option<u64>| {
        out.u64(bytes);
        out.u32(low32(packets));
        out.u32(multicast.map_or(UNKNOWN, low32));
        out.u32(UNKNOWN);
    };
    packets(out, port.rx_bytes, port.rx_packets, None);
    out.u32(port.rx_dropped.map_or(UNKNOWN, low32));
    out.u32(UNKNOWN);
    out.u32(UNKNOWN);
    packets(out, port.tx_bytes, port.tx_packets, None);
    out.u32(port.tx_dropped.map_or(UNKNOWN, low32));
    out.u32(UNKNOWN);
    out.u32(0);
}

/// IEEE 802.1AX counters ("sFlow LAG Counters Structure").
fn aggregation(out: &mut Vec<u8>, lacp: &LacpCounters) {
    for id in [lacp.actor, lacp.partner] {
        out.bytes(&id.0);
        out.u16(0);
    }
    out.u32(lacp.aggregator);
    out.bytes(&lacp.states);
    out.u32(low32(lacp.rx));
    for _ in 0..3 {
        out.u32(UNKNOWN);
    }
    out.u32(low32(lacp.rx_bad));
    out.u32(low32(lacp.tx));
    out.u32(UNKNOWN);
    out.u32(UNKNOWN);
}

/// The counters of the switch itself.
pub(super) fn switch_sample(
    source: SourceId,
    sequence: u32,
    resources: &Resources,
    switch: &SwitchCounters,
) -> Vec<u8> {
    let application = body(|out| {
        out.u32(resources.user_ms);
        out.u32(resources.system_ms);
        out.u64(resources.memory);
        // Its limit, files and connections are not told.
        out.u64(0);
        (0..4).for_each(|_| out.u32(0));
    });
    let datapath = body(|out| {
        out.u32(low32(switch.hits));
        out.u32(low32(switch.misses));
        out.u32(low32(switch.lost));
        out.u32(UNKNOWN);
        out.u32(low32(switch.flows));
        out.u32(UNKNOWN);
    });
    counters(source, sequence, &[(2203, application), (2207, datapath)])
}
