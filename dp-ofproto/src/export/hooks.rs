//! The answers to translation, and samples on their way to exporters.

use std::sync::atomic::Ordering;

use dp_core::action::userspace::SampleDirection;
use dp_core::action::{Action as DpAction, UserData, Userspace};
use dp_core::base::{Instant, OfPort, PortNo};
use dp_core::flow::{FlowKey, FlowMask, layout};

use super::sflow::{self, output};
use super::{BridgeExport, ExportPort, Exports, ipfix, lock, netflow};
use crate::action::Sample;
use crate::bridge::{Bridge, BridgePort, PortKind};
use crate::translate::hooks::{CarriedBy, EntryEnd, FlowNote, Sampling, WentTo};

impl Sampling for Exports {
    fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    fn at_entry(&self, bridge: &Bridge, port: &BridgePort, _flow: &FlowKey) -> Vec<DpAction> {
        if port.ofport == OfPort::NONE {
            return Vec::new();
        }
        // What they say is known at the end.
        let end = EntryEnd { outputs: &[], vlan_tci: 0, following: &[] };
        self.of(bridge.name()).map_or_else(Vec::new, |export| export.entry_steps(&end))
    }

    fn at_exit(&self, bridge: &Bridge, out: &BridgePort, _flow: &FlowKey) -> Vec<DpAction> {
        let Some(export) = self.of(bridge.name()) else { return Vec::new() };
        let Some(ipfix) = export.wish.ipfix.as_ref().filter(|it| it.output) else {
            return Vec::new();
        };
        let tunnel = matches!(out.kind, PortKind::Tunnel) && ipfix.exporter.tunnels;
        let data = UserData::Ipfix { output: Some(out.port), dropped: false };
        vec![sampled(share(ipfix.sampling), ask(data, tunnel.then_some(out.port)))]
    }

    fn finish(&self, bridge: &Bridge, entry: &mut [DpAction], end: &EntryEnd<'_>) {
        let Some(export) = self.of(bridge.name()) else { return };
        for (step, made) in entry.iter_mut().zip(export.entry_steps(end)) {
            *step = made;
        }
    }

    fn sampled(
        &self,
        request: &Userspace,
        bridge: &Bridge,
        port: &BridgePort,
        key: &FlowKey,
        frame: &[u8],
        now: Instant,
    ) {
        let Some(export) = self.of(bridge.name()) else { return };
        match &request.data {
            UserData::Sflow { vlan_tci, output, following } => {
                export.sflow_sample((*vlan_tci, *output, following), port, key, frame, now);
            }
            UserData::Ipfix { output, dropped } => {
                let (Some(exporter), Some(ipfix)) = (&export.ipfix, &export.wish.ipfix) else {
                    return;
                };
                let obs = (ipfix.domain, ipfix.point);
                let sample = export.ipfix_sample(obs, port, *output, (key, frame));
                lock(exporter).sample(&ipfix::Sample { dropped: *dropped, ..sample }, now);
            }
            UserData::FlowSample {
                collector_set,
                obs_domain,
                obs_point,
                output,
                direction,
                ..
            } => {
                let Some(exporter) = export.sets.get(collector_set) else { return };
                let output = output.filter(|_| *direction != SampleDirection::Ingress);
                let obs = (*obs_domain, *obs_point);
                lock(exporter).sample(&export.ipfix_sample(obs, port, output, (key, frame)), now);
            }
            _ => {}
        }
    }

    fn flow_sample(
        &self,
        bridge: &Bridge,
        sample: &Sample,
        (obs_domain, obs_point): (u32, u32),
        _flow: &FlowKey,
        out: Option<&BridgePort>,
    ) -> Option<Vec<DpAction>> {
        let export = self.of(bridge.name())?;
        if !export.wish.has_ipfix() {
            return None;
        }
        let tunnel = out.filter(|port| {
            let set = export.wish.sets.get(&sample.collector_set);
            matches!(port.kind, PortKind::Tunnel) && set.is_some_and(|set| set.tunnels)
        });
        let data = UserData::FlowSample {
            probability: sample.probability,
            collector_set: sample.collector_set,
            obs_domain,
            obs_point,
            output: out.map(|port| port.port),
            direction: sample.direction.into(),
        };
        let probability = u32::from(sample.probability);
        let step = ask(data, tunnel.map(|port| port.port));
        Some(vec![sampled(probability << 16 | probability, step)])
    }

    fn wants_flows(&self, bridge: &Bridge, flow: &FlowKey, wc: &mut FlowMask) -> bool {
        let told = self.of(bridge.name()).is_some_and(|export| export.netflow.is_some());
        if !told || flow.eth_type() != IPV4 {
            return false;
        }
        for place in [layout::NW_PROTO, layout::IPV4_SRC, layout::IPV4_DST] {
            wc.unwildcard_place(place);
        }
        wc.unwildcard_bits_at(layout::NW_TOS, DSCP);
        if flow.nw_frag() & layout::FRAG_LATER == 0 {
            wc.unwildcard_place(layout::TP_SRC);
            wc.unwildcard_place(layout::TP_DST);
        }
        true
    }

    fn account(&self, note: &FlowNote, carried: CarriedBy) {
        let Some(export) = self.of(note.bridge.name()) else { return };
        let Some(cache) = &export.netflow else { return };
        let output = match note.went_to {
            WentTo::Nowhere => netflow::output::DROP,
            WentTo::Port(port) => port.0,
            WentTo::Several => netflow::output::MULTI,
            WentTo::Flooded => netflow::output::FLOOD,
        };
        let flags = u8::try_from(carried.tcp_flags & 0xff).unwrap_or(0);
        let amount = (carried.packets, carried.bytes, flags);
        lock(cache).credit(flow_id(note), output, amount, carried.used);
    }

    fn over(&self, note: &FlowNote) {
        if let Some(export) = self.of(note.bridge.name())
            && let Some(cache) = &export.netflow
        {
            lock(cache).end(flow_id(note));
        }
    }
}

/// The flow of a note, as NetFlow tells flows apart.
fn flow_id(note: &FlowNote) -> netflow::FlowId {
    let flow = &note.flow;
    let half = |place| u16::try_from(flow.load(place)).unwrap_or(0);
    let byte = |place| u8::try_from(flow.load(place)).unwrap_or(0);
    let ip = |place| u32::try_from(flow.load(place)).unwrap_or(0).into();
    let (src, dst) = (half(layout::TP_SRC), half(layout::TP_DST));
    let (src_port, dst_port) = match byte(layout::NW_PROTO) {
        ICMP => (0, src << 8 | dst & 0xff),
        _ => (src, dst),
    };
    netflow::FlowId {
        input: note.in_port.0,
        src: ip(layout::IPV4_SRC),
        dst: ip(layout::IPV4_DST),
        protocol: byte(layout::NW_PROTO),
        tos: byte(layout::NW_TOS),
        src_port,
        dst_port,
    }
}

const IPV4: u16 = 0x0800;
const ICMP: u8 = 1;
const DSCP: u128 = 0xfc;

fn ask(data: UserData, tunnel_out: Option<PortNo>) -> DpAction {
    let with_actions = matches!(data, UserData::Sflow { .. });
    DpAction::Userspace(Box::new(Userspace { pid: 0, data, with_actions, tunnel_out }))
}

/// The share of one packet in so many, out of 2^32 - 1.
const fn share(rate: u32) -> u32 {
    match rate {
        0 | 1 => u32::MAX,
        rate => u32::MAX / rate,
    }
}

/// A step for a share of the packets.
fn sampled(probability: u32, step: DpAction) -> DpAction {
    match probability {
        u32::MAX => step,
        probability => DpAction::Sample { probability, actions: [step].into() },
    }
}

impl BridgeExport {
    /// The steps for packets that come in, where this is what becomes of them.
    fn entry_steps(&self, end: &EntryEnd<'_>) -> Vec<DpAction> {
        let sflow = self.wish.sflow.as_ref().map(|config| {
            let data = UserData::Sflow {
                vlan_tci: end.vlan_tci,
                output: self.sflow_output(end.outputs),
                following: end.following.into(),
            };
            sampled(share(config.sampling), ask(data, None))
        });
        let ipfix = self.wish.ipfix.as_ref().filter(|it| it.input).map(|ipfix| {
            let data = UserData::Ipfix { output: None, dropped: end.outputs.is_empty() };
            sampled(share(ipfix.sampling), ask(data, None))
        });
        sflow.into_iter().chain(ipfix).collect()
    }

    fn ipfix_sample<'a>(
        &'a self,
        (domain, point): (u32, u32),
        port: &'a BridgePort,
        output: Option<PortNo>,
        (key, frame): (&'a FlowKey, &'a [u8]),
    ) -> ipfix::Sample<'a> {
        let interface = |port: &'a ExportPort| ipfix::Interface {
            ifindex: port.ifindex.unwrap_or(0),
            name: &port.name,
        };
        let none = ipfix::Interface { ifindex: 0, name: "" };
        let known = self.by_ofport(port.ofport);
        let outside = key.load(layout::TUN_DST) != 0;
        ipfix::Sample {
            domain,
            point,
            key,
            frame,
            input: known.map_or(ipfix::Interface { name: &port.name, ..none }, interface),
            output: output.map(|output| self.port(output).map_or(none, interface)),
            // Where it leaves, the tunnel that it came out of is no matter.
            tunnel: known.and_then(|it| it.tunnel).filter(|_| outside && output.is_none()),
            dropped: false,
        }
    }

    fn sflow_output(&self, outputs: &[PortNo]) -> u32 {
        match outputs {
            [] => output::DROPPED,
            [one] => {
                let ifindex = self.port(*one).and_then(|port| port.ifindex);
                ifindex.filter(|it| *it != 0).unwrap_or(output::several(1))
            }
            more => output::several(u32::try_from(more.len()).unwrap_or(u32::MAX)),
        }
    }

    fn sflow_sample(
        &self,
        (vlan_out, output, following): (u16, u32, &[DpAction]),
        port: &BridgePort,
        key: &FlowKey,
        frame: &[u8],
        now: Instant,
    ) {
        let (Some(agent), Some(config)) = (&self.sflow, &self.wish.sflow) else { return };
        let known = self.by_ofport(port.ofport);
        let protocol = known.and_then(|it| it.tunnel).and_then(super::Tunnel::protocol);
        let mut path = match output::count(output) {
            1 => sflow::Path::of(following, key),
            _ => sflow::Path::default(),
        };
        if let Some(tunnel) = path.tunnel.as_mut().filter(|tunnel| tunnel.protocol == 0) {
            tunnel.protocol = 17;
        }
        let tci = |tci: u16| tci & !layout::VLAN_PRESENT;
        let sample = sflow::FlowSample {
            header: frame.get(..config.header).unwrap_or(frame),
            frame_len: frame.len(),
            input: known.and_then(|it| it.ifindex).unwrap_or(0),
            output,
            vlan_in: tci(key.vlan_tci()),
            vlan_out: tci(vlan_out),
            tunnel_in: protocol.and_then(|protocol| sflow::ingress(key, protocol)),
            tunnel_out: path.tunnel,
            labels: &path.labels,
        };
        lock(agent).sample(&sample, now);
    }
}
