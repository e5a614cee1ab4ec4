//! The answers to translation.

use std::sync::atomic::Ordering;

use dp_core::action::SlowReasons;
use dp_core::base::{BondId, Instant, MacAddr, OfPort};
use dp_core::flow::layout;
use dp_core::flow::{FieldId, FlowKey, FlowMask};

use super::watch::Watch;
use super::{Services, frame, multicast};
use crate::bond::{Admission, Mode, hash_mac};
use crate::bridge::{Bridge, BridgePort};
use crate::protocols::{bfd, bpdu, lacp, lldp};
use crate::translate::hooks::{BondAdmission, BondOutput, Bonds, McastOutputs, Protocols};

/// Bits of the hash that decide about a member.
const HASH_BITS: u32 = 0xff;

impl Bonds for Services {
    fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    fn admit(&self, bond: BondId, member: OfPort, dst: MacAddr) -> BondAdmission {
        let state = self.state();
        let Some(entry) = state.bonds.get(&bond) else { return BondAdmission::Drop };
        match entry.bond.admit(member, dst) {
            Admission::Accept => BondAdmission::Accept,
            Admission::Drop => BondAdmission::Drop,
            Admission::DropIfMoved => BondAdmission::DropIfMoved,
        }
    }

    fn output(&self, id: BondId, flow: &FlowKey, wc: &mut FlowMask, vlan: u16) -> BondOutput {
        let mut state = self.state();
        let Some(entry) = state.bonds.get_mut(&id) else { return BondOutput::None };
        let bond = &mut entry.bond;
        let basis = bond.config().basis;
        let member = if bond.hashes_in_datapath() {
            let Some(recirc) = bond.recirc() else { return BondOutput::None };
            if flow.recirc_id().0 != recirc {
                return if bond.chooses_in_datapath() {
                    BondOutput::Datapath(id)
                } else {
                    BondOutput::Recirculate { id: recirc, basis }
                };
            }
            wc.unwildcard_bits(FieldId::DpHash, u128::from(HASH_BITS));
            bond.choose(|| dp_hash(flow))
        } else {
            bond.choose(|| {
                wc.unwildcard(FieldId::EthSrc);
                hash_mac(source(flow), vlan, basis)
            })
        };
        member.map_or(BondOutput::None, BondOutput::Member)
    }

    fn account(&self, bond: BondId, flow: &FlowKey, vlan: u16, bytes: u64) {
        let mut state = self.state();
        let Some(entry) = state.bonds.get_mut(&bond) else { return };
        let bond = &mut entry.bond;
        match bond.config().mode {
            Mode::ActiveBackup => {}
            Mode::BalanceSlb => {
                bond.account(hash_mac(source(flow), vlan, bond.config().basis), bytes);
            }
            Mode::BalanceTcp => bond.account(dp_hash(flow), bytes),
        }
    }
}

fn dp_hash(flow: &FlowKey) -> u32 {
    u32::try_from(flow.load(layout::DP_HASH)).unwrap_or(0) & HASH_BITS
}

fn source(flow: &FlowKey) -> MacAddr {
    MacAddr::from_u64(u64::try_from(flow.get(FieldId::EthSrc)).unwrap_or(0))
}

fn destination(flow: &FlowKey) -> MacAddr {
    MacAddr::from_u64(u64::try_from(flow.get(FieldId::EthDst)).unwrap_or(0))
}

fn tunnel_key(flow: &FlowKey) -> u64 {
    u64::try_from(flow.load(layout::TUN_ID)).unwrap_or(0)
}

impl Protocols for Services {
    fn version(&self) -> u64 {
        // Told by the bonds' half already: both halves are one.
        0
    }

    fn consumes(
        &self,
        bridge: &Bridge,
        port: &BridgePort,
        flow: &FlowKey,
        wc: &mut FlowMask,
    ) -> SlowReasons {
        if flow.eth_type() == lldp::ETH_TYPE && self.state().speaks_lldp(bridge, port) {
            return SlowReasons::LLDP;
        }
        let interest = self.interest.load();
        let Some(spoken) = interest.of(bridge.name()) else { return SlowReasons::empty() };
        // All slow protocols are the aggregate's, whatever address they are sent to.
        if flow.eth_type() == lacp::ETH_TYPE && spoken.lacp.contains(&port.bundle) {
            return SlowReasons::LACP;
        }
        if spoken.tree {
            wc.unwildcard(FieldId::EthDst);
            let part = |tree: &super::Tree| tree.takes_part(port.ofport);
            if destination(flow) == bpdu::DST
                && self.state().trees.get(bridge.name()).is_some_and(part)
            {
                return SlowReasons::STP;
            }
        }
        if !spoken.watched.contains(&port.ofport) {
            return SlowReasons::empty();
        }
        let key = (bridge.name().to_owned(), port.ofport);
        match self.state().watches.get(&key) {
            Some(watch) => watch.consumes(flow, wc),
            None => SlowReasons::empty(),
        }
    }

    fn process(
        &self,
        bridge: &Bridge,
        port: &BridgePort,
        flow: &FlowKey,
        frame: &[u8],
        now: Instant,
    ) {
        let mut state = self.state();
        if flow.eth_type() == lldp::ETH_TYPE {
            state.receive_lldp(bridge, port, frame, now);
        } else if destination(flow) == bpdu::DST {
            // The length stands where other frames have their type.
            if let Some(tree) = state.trees.get_mut(bridge.name())
                && let Some(llc) = frame.get(14..)
            {
                tree.receive(port.ofport, llc, now);
            }
        } else if flow.eth_type() == lacp::ETH_TYPE {
            let key = (bridge.name().to_owned(), port.bundle.clone());
            if let Some(aggregate) = state.aggregates.get_mut(&key)
                && let Some(payload) = frame::ether_payload(frame)
            {
                aggregate.lacp.receive(port.ofport, payload, now);
            }
        } else if let Some(watch) = state.watches.get_mut(&(bridge.name().to_owned(), port.ofport))
        {
            watch.process(flow, frame, now);
        }
        drop(state);
        self.heard.notify_one();
    }

    fn multicast(
        &self,
        bridge: &Bridge,
        port: &BridgePort,
        vlan: u16,
        flow: &FlowKey,
        wc: &mut FlowMask,
    ) -> Option<McastOutputs> {
        self.state().multicast(bridge, port, vlan, flow, wc)
    }

    fn snoop_multicast(
        &self,
        bridge: &Bridge,
        port: &BridgePort,
        vlan: u16,
        flow: &FlowKey,
        frame: &[u8],
        now: Instant,
    ) {
        if multicast::is_message(flow) {
            let mut state = self.state();
            state.learn_multicast(bridge, port, vlan, frame, now);
            self.notice(&mut state);
        }
    }
}

impl Watch {
    fn consumes(&self, flow: &FlowKey, wc: &mut FlowMask) -> SlowReasons {
        if let Some(cfm) = &self.cfm
            && flow.eth_type() == crate::protocols::cfm::ETH_TYPE
        {
            wc.unwildcard(FieldId::EthDst);
            if cfm.config().check_tnl_key {
                wc.unwildcard_place(layout::TUN_ID);
            }
            if cfm.wants(destination(flow), flow.eth_type(), tunnel_key(flow)) {
                return SlowReasons::CFM;
            }
        }
        match &self.bfd {
            Some(bfd) if self.is_bfd(bfd, flow, wc) => SlowReasons::BFD,
            _ => SlowReasons::empty(),
        }
    }

    fn is_bfd(&self, bfd: &bfd::Session, flow: &FlowKey, wc: &mut FlowMask) -> bool {
        if flow.eth_type() != 0x0800 {
            return false;
        }
        wc.unwildcard(FieldId::NwProto);
        if flow.nw_proto() != 17 {
            return false;
        }
        wc.unwildcard(FieldId::UdpDst);
        let udp_dst = u16::try_from(flow.get(FieldId::UdpDst)).unwrap_or(0);
        if udp_dst != bfd::UDP_PORT {
            return false;
        }
        wc.unwildcard(FieldId::EthDst);
        wc.unwildcard(FieldId::Ipv4Dst);
        wc.unwildcard(FieldId::NwTtl);
        wc.unwildcard_place(layout::TUN_ID);
        let dst = u32::try_from(flow.get(FieldId::Ipv4Dst)).unwrap_or(0);
        bfd.wants(&bfd::Received {
            eth_dst: destination(flow),
            ip_dst: dst.into(),
            ttl: u8::try_from(flow.get(FieldId::NwTtl)).unwrap_or(0),
            udp_dst,
            tunnel_key: tunnel_key(flow),
            payload: &[],
        })
    }

    fn process(&mut self, flow: &FlowKey, frame: &[u8], now: Instant) {
        if let Some(cfm) = &mut self.cfm
            && flow.eth_type() == crate::protocols::cfm::ETH_TYPE
        {
            if let Some(payload) = frame::ether_payload(frame) {
                cfm.receive(payload, now);
            }
            return;
        }
        let Some(bfd) = &mut self.bfd else { return };
        let Some(mut received) = frame::control_packet(frame, tunnel_key(flow)) else { return };
        received.eth_dst = destination(flow);
        bfd.receive(&received, now);
    }
}
