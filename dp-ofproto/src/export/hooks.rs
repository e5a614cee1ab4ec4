//! The answers to translation, and samples on their way to exporters.

use std::sync::atomic::Ordering;

use dp_core::action::{Action as DpAction, ActionList, UserData, Userspace};
use dp_core::base::{Instant, PortNo};
use dp_core::flow::{FlowKey, FlowMask, layout};

use super::netflow;
use super::sflow::{self, output};
use super::{BridgeExport, Exports, lock};
use crate::action::Sample;
use crate::bridge::{Bridge, BridgePort};
use crate::translate::hooks::{CarriedBy, EntryEnd, FlowNote, Sampling, WentTo};

impl Sampling for Exports {
    fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    fn at_entry(&self, bridge: &Bridge, _port: &BridgePort, _flow: &FlowKey) -> Vec<DpAction> {
        let Some(export) = self.of(bridge.name()) else { return Vec::new() };
        let mut steps = Vec::new();
        if let Some(config) = &export.wish.sflow {
            // What it says is known at the end.
            let data = UserData::Sflow { vlan_tci: 0, output: 0, following: ActionList::default() };
            steps.push(sampled(config.sampling, ask(data, None)));
        }
        steps
    }

    fn at_exit(&self, _bridge: &Bridge, _out: &BridgePort, _flow: &FlowKey) -> Vec<DpAction> {
        Vec::new()
    }

    fn finish(&self, bridge: &Bridge, entry: &mut [DpAction], end: &EntryEnd<'_>) {
        let Some(export) = self.of(bridge.name()) else { return };
        let Some(config) = &export.wish.sflow else { return };
        let Some(step) = entry.first_mut() else { return };
        let data = UserData::Sflow {
            vlan_tci: end.vlan_tci,
            output: export.sflow_output(end.outputs),
            following: end.following.into(),
        };
        *step = sampled(config.sampling, ask(data, None));
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
        if let UserData::Sflow { vlan_tci, output, following } = &request.data {
            export.sflow_sample((*vlan_tci, *output, following), port, key, frame, now);
        }
    }

    fn flow_sample(
        &self,
        _bridge: &Bridge,
        _sample: &Sample,
        _obs: (u32, u32),
        _flow: &FlowKey,
        _out: Option<PortNo>,
    ) -> Option<Vec<DpAction>> {
        None
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
        if has_ports(flow) {
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

/// Whether a packet shows transport ports, or what stands in their place.
fn has_ports(flow: &FlowKey) -> bool {
    flow.nw_frag() & layout::FRAG_LATER == 0 && matches!(flow.nw_proto(), ICMP | 2 | 6 | 17 | 132)
}

const IPV4: u16 = 0x0800;
const ICMP: u8 = 1;
const DSCP: u128 = 0xfc;

fn ask(data: UserData, tunnel_out: Option<PortNo>) -> DpAction {
    let with_actions = matches!(data, UserData::Sflow { .. });
    DpAction::Userspace(Box::new(Userspace { pid: 0, data, with_actions, tunnel_out }))
}

/// A step for one packet in so many.
fn sampled(rate: u32, step: DpAction) -> DpAction {
    match rate {
        0 | 1 => step,
        rate => DpAction::Sample { probability: u32::MAX / rate, actions: [step].into() },
    }
}

impl BridgeExport {
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
