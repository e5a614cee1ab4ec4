//! Multicast snooping on bridges.

use std::net::{Ipv4Addr, Ipv6Addr};

use dp_core::base::{Instant, OfPort};
use dp_core::flow::{FieldId, FlowKey, FlowMask};

use super::{Services, State};
use crate::bridge::{Bridge, BridgePort};
use crate::protocols::mcast::{self, Snooping};
use crate::translate::hooks::{McastOutputs, McastStep};

/// Snooping of one bridge.
#[derive(Debug)]
pub(super) struct BridgeSnooping {
    pub(super) table: Snooping,
    ports: Vec<PortFlags>,
}

/// Ports that get more than snooping would give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortFlags {
    /// The port.
    pub ofport: OfPort,
    /// It gets all multicast but reports.
    pub flood: bool,
    /// It gets all reports.
    pub flood_reports: bool,
}

/// Whether a packet is a message of IGMP or MLD.
enum Kind {
    Query,
    Report,
    Data,
}

impl Services {
    /// Turns snooping on with these settings, or off.
    pub fn set_snooping(&self, bridge: &str, wish: Option<(mcast::Config, Vec<PortFlags>)>) {
        let mut state = self.state();
        match wish {
            None => {
                state.snooping.remove(bridge);
            }
            Some((config, ports)) => {
                let new = || BridgeSnooping { table: Snooping::new(config), ports: Vec::new() };
                let snooping = state.snooping.entry(bridge.to_owned()).or_insert_with(new);
                snooping.table.configure(config);
                snooping.ports = ports;
            }
        }
        self.version.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// The answer of `with` for the table of a bridge; `None`: it does not snoop.
    pub fn with_snooping<T>(
        &self,
        bridge: &str,
        with: impl FnOnce(&mut Snooping) -> T,
    ) -> Option<T> {
        let mut state = self.state();
        let answer = state.snooping.get_mut(bridge).map(|snooping| with(&mut snooping.table));
        self.notice(&mut state);
        answer
    }

    /// Forgets what was learned on ports that are gone.
    pub fn forget_multicast_port(&self, bridge: &str, ofport: OfPort) {
        self.with_snooping(bridge, |table| table.forget_port(ofport));
    }
}

impl State {
    pub(super) fn multicast(
        &self,
        bridge: &Bridge,
        port: &BridgePort,
        vlan: u16,
        flow: &FlowKey,
        wc: &mut FlowMask,
    ) -> Option<McastOutputs> {
        let snooping = self.snooping.get(bridge.name())?;
        let dst = flow.get(FieldId::EthDst);
        wc.unwildcard(FieldId::EthDst);
        if dst == BROADCAST || dst & MULTICAST_BIT == 0 {
            return None;
        }
        let group = group(flow, wc)?;
        let way = Way { snooping, bridge, port, vlan, steps: Vec::new() };
        let mut outputs = match kind(flow, wc) {
            Kind::Query => flood(way.steps, "multicast traffic, flooding"),
            Kind::Report => way.report(),
            Kind::Data => {
                unwildcard_group(flow, wc);
                way.data(group)
            }
        };
        outputs.message = is_message(flow);
        Some(outputs)
    }

    pub(super) fn learn_multicast(
        &mut self,
        bridge: &Bridge,
        port: &BridgePort,
        vlan: u16,
        frame: &[u8],
        now: Instant,
    ) {
        let Some(snooping) = self.snooping.get_mut(bridge.name()) else { return };
        let of_ipv4 = |(src, _, _, payload)| mcast::parse_igmp(src, payload);
        let of_ipv6 = |(src, message)| mcast::parse_mld(src, message);
        let message = match super::frame::ipv4(frame) {
            Some(packet) => of_ipv4(packet),
            None => super::frame::icmpv6(frame).and_then(of_ipv6),
        };
        let Some(message) = message else { return };
        let ofport = representative(bridge, port);
        let many = snooping.ports.iter().any(|it| it.ofport == ofport && it.flood_reports);
        snooping.table.learn(vlan, ofport, many, &message, now);
    }
}

const BROADCAST: u128 = 0xffff_ffff_ffff;
const MULTICAST_BIT: u128 = 0x0100_0000_0000;
const IGMP: u8 = 2;
const ICMPV6: u8 = 58;

/// The group that an IP packet is for; IPv4 groups are IPv4-mapped.
fn group(flow: &FlowKey, _wc: &mut FlowMask) -> Option<Ipv6Addr> {
    match flow.eth_type() {
        0x0800 => {
            let address = u32::try_from(flow.get(FieldId::Ipv4Dst)).unwrap_or(0);
            Some(Ipv4Addr::from(address).to_ipv6_mapped())
        }
        0x86dd => Some(Ipv6Addr::from(flow.get(FieldId::Ipv6Dst))),
        _ => None,
    }
}

fn unwildcard_group(flow: &FlowKey, wc: &mut FlowMask) {
    wc.unwildcard(if flow.eth_type() == 0x0800 { FieldId::Ipv4Dst } else { FieldId::Ipv6Dst });
}

fn kind(flow: &FlowKey, wc: &mut FlowMask) -> Kind {
    wc.unwildcard(FieldId::NwProto);
    let message = flow.get(FieldId::Icmpv6Type);
    match (flow.eth_type(), flow.nw_proto()) {
        // Messages go through the slow path one by one: their type need not count.
        (0x0800, IGMP) => match message {
            0x12 | 0x16 | 0x17 | 0x22 => Kind::Report,
            _ => Kind::Query,
        },
        (0x86dd, ICMPV6) => {
            wc.unwildcard(FieldId::Icmpv6Type);
            match message {
                130 => Kind::Query,
                131 | 132 | 143 => Kind::Report,
                _ => Kind::Data,
            }
        }
        _ => Kind::Data,
    }
}

/// Whether a packet is one that the slow path must look into.
pub(super) fn is_message(flow: &FlowKey) -> bool {
    let message = flow.get(FieldId::Icmpv6Type);
    match (flow.eth_type(), flow.nw_proto()) {
        (0x0800, IGMP) => true,
        (0x86dd, ICMPV6) => matches!(message, 130..=132 | 143),
        _ => false,
    }
}

/// The port's interface that stands for it.
fn representative(bridge: &Bridge, port: &BridgePort) -> OfPort {
    if port.bond.is_none() {
        return port.ofport;
    }
    let ports = bridge.ports();
    let members = ports.iter().filter(|other| other.bundle == port.bundle);
    members.map(|member| member.ofport).min().unwrap_or(port.ofport)
}

fn flood(steps: Vec<McastStep>, note: &'static str) -> McastOutputs {
    let mut steps = steps;
    steps.push(McastStep::Note(note));
    McastOutputs { steps, flood: true, message: false }
}

/// The way of one packet.
struct Way<'a> {
    snooping: &'a BridgeSnooping,
    bridge: &'a Bridge,
    port: &'a BridgePort,
    vlan: u16,
    steps: Vec<McastStep>,
}

impl Way<'_> {
    fn to(&mut self, port: OfPort, note: &'static str, back: &'static str) {
        let own = representative(self.bridge, self.port);
        self.steps.push(if port == own {
            McastStep::Note(back)
        } else {
            McastStep::Output { port, note }
        });
    }

    fn routers(&mut self) {
        for (vlan, port) in self.snooping.table.routers() {
            if vlan == self.vlan {
                let back = "mcast router port is input port, dropping";
                self.to(port, "forwarding to mcast router port", back);
            } else {
                self.steps.push(McastStep::Note("mcast router is on another vlan, dropping"));
            }
        }
    }

    fn flooded(&mut self) {
        for port in self.snooping.ports.iter().filter(|port| port.flood) {
            let back = "mcast flood port is input port, dropping";
            self.to(port.ofport, "forwarding to mcast flood port", back);
        }
    }

    fn report(mut self) -> McastOutputs {
        self.routers();
        for port in self.snooping.ports.iter().filter(|port| port.flood_reports) {
            let back = "mcast port is input port, dropping the Report";
            self.to(port.ofport, "forwarding report to mcast flagged port", back);
        }
        McastOutputs { steps: self.steps, ..McastOutputs::default() }
    }

    fn data(mut self, group: Ipv6Addr) -> McastOutputs {
        if mcast::is_local(group) {
            return flood(self.steps, "RFC4541: section 2.1.2, item 2, flooding");
        }
        match self.snooping.table.listeners(self.vlan, group) {
            Some(listeners) => {
                for port in listeners {
                    let back = "mcast group port is input port, dropping";
                    self.to(port, "forwarding to mcast group port", back);
                }
                self.flooded();
                self.routers();
            }
            None if self.snooping.table.config().flood_unregistered => {
                return flood(self.steps, "unregistered multicast, flooding");
            }
            None => {
                self.routers();
                self.flooded();
            }
        }
        McastOutputs { steps: self.steps, ..McastOutputs::default() }
    }
}
