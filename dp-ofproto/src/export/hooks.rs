//! The answers to translation, and samples on their way to exporters.

use std::sync::atomic::Ordering;

use dp_core::action::{Action as DpAction, ActionList, UserData, Userspace};
use dp_core::base::{Instant, PortNo};
use dp_core::flow::{FlowKey, layout};

use super::sflow::{self, output};
use super::{BridgeExport, Exports, lock};
use crate::action::Sample;
use crate::bridge::{Bridge, BridgePort};
use crate::translate::hooks::{EntryEnd, Sampling};

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
}

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
