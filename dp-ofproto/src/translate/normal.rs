//! NORMAL: switching as a learning VLAN bridge does it.
//!
//! ```text
//!   VLAN of the input port ─► admitted? ─► learn the source ─► destination known? ─► its port
//!                                                                    └─ no ─► every port of the VLAN
//! ```

use std::sync::Arc;

use dp_core::action::{Action as DpAction, HashAlgorithm, SlowReasons};
use dp_core::base::{BondId, MacAddr, OfPort, PortNo, RecircId};
use dp_core::flow::FieldId;
use dp_core::flow::layout::{self, Place, VLAN_PRESENT};

use super::effect::Effect;
use super::hooks::{BondAdmission, BondOutput, McastStep, WentTo};
use super::{Context, ETH_TYPE_ARP, Weight};
use crate::bridge::{BridgePort, PriorityTags, VlanMode};
use crate::learn::Gratuitous;

/// The VLAN that a packet belongs to, and its tags as they are beneath that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vlan {
    pub(super) vid: u16,
    /// Priority, in the place of a TCI.
    pcp: u16,
    tpid: u16,
    inner: (u16, u16),
    /// Whether what is beneath is the packet's second tag, which few decisions look at.
    deep: bool,
}

impl Vlan {
    /// The same in another VLAN.
    pub(super) fn with_vid(self, vid: u16) -> Self {
        Self { vid, ..self }
    }
}

const TPID_8021Q: u16 = 0x8100;

/// Whether frames to this address are vendors' protocols between neighbours, which a bridge does not
/// forward either: those that the manual lists under `forward-bpdu`.
fn is_control(dst: MacAddr) -> bool {
    const EXTREME: [u64; 3] = [0x00e0_2b00_0000, 0x00e0_2b00_0004, 0x00e0_2b00_0006];
    const CISCO: [u64; 4] =
        [0x0100_0c00_0000, 0x0100_0ccc_cccc, 0x0100_0ccc_cccd, 0x0100_0ccd_cdcd];
    /// The lowest of eight.
    const CISCO_CFM: u64 = 0x0100_0ccc_ccc0;
    let dst = dst.to_u64();
    EXTREME.contains(&dst) || CISCO.contains(&dst) || dst & !0x07 == CISCO_CFM
}

impl Context<'_> {
    pub(super) fn normal(&mut self) {
        self.wc.unwildcard(FieldId::EthSrc);
        self.wc.unwildcard(FieldId::EthDst);
        self.wc.unwildcard_bits(FieldId::VlanTci, u128::from(VLAN_PRESENT | 0x0fff));
        let Some(from) = self.input() else {
            let text = format_args!("received packet on unknown port {}", self.in_port());
            self.recorder.note(Weight::Error, text);
            self.warn(format_args!("no input bundle, dropping"));
            return;
        };
        if self.flow.eth_type() == TPID_8021Q && self.flow.vlan_tci() & VLAN_PRESENT == 0 {
            self.refuse(format_args!(
                "dropping packet with partial VLAN tag received on port {}",
                from.name
            ));
            return;
        }
        if self.is_mirror_output(&from) {
            self.warn(format_args!("dropping packet received on mirror output port {}", from.name));
            return;
        }
        let Some(vlan) = self.input_vlan(&from) else { return };
        if !self.admissible(&from, vlan.vid) {
            return;
        }
        let mac = self.mac(FieldId::EthSrc);
        // Patch ports have no number in the datapath, but addresses behind them.
        if !matches!(from.ofport, OfPort::NONE | OfPort::CONTROLLER) {
            self.learn_source(&from, vlan.vid, mac);
        }
        let dst = self.mac(FieldId::EthDst);
        if dst.is_multicast() && self.snooped(&from, vlan) {
            return;
        }
        // An address that talks to itself has just been learned here.
        let known = if dst == mac && !dst.is_multicast() && self.request.side_effects {
            Some(from.ofport)
        } else {
            self.view.bridge.macs().lookup(vlan.vid, dst)
        };
        match known.map(|ofport| self.port(ofport)) {
            Some(Some(to)) if to.bundle == from.bundle => {
                self.note(format_args!("learned port is input port, dropping"));
            }
            Some(Some(to)) => {
                self.note(format_args!("forwarding to learned port"));
                self.send(&to, vlan);
            }
            Some(None) => self.warn(format_args!("learned port is unknown, dropping")),
            None => {
                self.note(format_args!("no learned MAC for destination, flooding"));
                self.flood_vlan(&from, vlan);
            }
        }
    }

    /// The port of entry. A controller's packet comes in by no port, of which nothing is learned and
    /// which takes every VLAN.
    fn input(&self) -> Option<Arc<BridgePort>> {
        let ofport = self.in_port();
        let made =
            |ofport: OfPort| Arc::new(BridgePort::new(ofport, PortNo::NONE, format!("({ofport})")));
        match ofport {
            OfPort::NONE | OfPort::CONTROLLER => Some(made(ofport)),
            ofport => self.port(ofport),
        }
    }

    fn mac(&self, field: FieldId) -> MacAddr {
        let bytes = self.flow.get(field).to_be_bytes();
        MacAddr(*bytes.last_chunk().unwrap_or(&[0; 6]))
    }

    /// The VLAN of a packet that comes in by a port; `None`: it is not taken.
    pub(super) fn input_vlan(&mut self, from: &BridgePort) -> Option<Vlan> {
        let tci = self.flow.vlan_tci();
        let vid = if tci & VLAN_PRESENT == 0 { 0 } else { tci & 0x0fff };
        let Some(vlan) = from.vlan.input(vid) else {
            if let VlanMode::Access(tag) = from.vlan {
                self.refuse(format_args!(
                    "dropping VLAN {vid} tagged packet received on port {} configured as VLAN {tag} access port",
                    from.bundle,
                ));
            } else if matches!(from.vlan, VlanMode::Dot1qTunnel { .. }) {
                self.refuse(format_args!(
                    "dropping VLAN {vid} packet received on dot1q-tunnel port {} that excludes this VLAN",
                    from.bundle,
                ));
            } else {
                self.refuse(format_args!(
                    "dropping VLAN {vid} packet received on port {} not configured for trunking VLAN {vid}",
                    from.bundle,
                ));
            }
            self.warn(format_args!("disallowed VLAN VID for this input port, dropping"));
            return None;
        };
        Some(self.as_vlan(from, vlan))
    }

    /// The same, without a word.
    pub(super) fn vlan_of(&self, port: &BridgePort) -> Option<Vlan> {
        let tci = self.flow.vlan_tci();
        let vid = if tci & VLAN_PRESENT == 0 { 0 } else { tci & 0x0fff };
        port.vlan.input(vid).map(|vlan| self.as_vlan(port, vlan))
    }

    fn as_vlan(&self, from: &BridgePort, vid: u16) -> Vlan {
        let outer = self.tag(layout::VLAN_TCI, layout::VLAN_TPID);
        if let VlanMode::Dot1qTunnel { ethertype, .. } = from.vlan {
            return Vlan { vid, pcp: 0, tpid: ethertype, inner: outer, deep: false };
        }
        let inner = self.tag(layout::VLAN_TCI1, layout::VLAN_TPID1);
        let tpid = if outer.0 == 0 { TPID_8021Q } else { outer.1 };
        Vlan { vid, pcp: outer.0 & 0xe000, tpid, inner, deep: outer.0 != 0 }
    }

    /// A tag, zero if it is not there.
    fn tag(&self, tci: Place, tpid: Place) -> (u16, u16) {
        let at = |place| u16::try_from(self.flow.load(place)).unwrap_or(0);
        if at(tci) & VLAN_PRESENT == 0 { (0, 0) } else { (at(tci), at(tpid)) }
    }

    /// Whether a packet of this VLAN is taken in by the port.
    fn admissible(&mut self, from: &BridgePort, vlan: u16) -> bool {
        let dst = self.mac(FieldId::EthDst);
        if (dst.is_reserved() || is_control(dst)) && !self.view.config.forward_bpdu {
            self.note(format_args!("packet has reserved destination MAC, dropping"));
            return false;
        }
        let Some((bond, bonds)) = from.bond.zip(self.world.hooks.bonds.clone()) else {
            return true;
        };
        match bonds.admit(bond, from.ofport, dst) {
            BondAdmission::Accept => true,
            BondAdmission::Drop => {
                self.note(format_args!("bonding refused admissibility, dropping"));
                false
            }
            BondAdmission::DropIfMoved => {
                let src = self.mac(FieldId::EthSrc);
                let known = self.view.bridge.macs().lookup(vlan, src);
                let elsewhere = known
                    .and_then(|port| self.port(port))
                    .is_some_and(|port| port.bundle != from.bundle);
                if elsewhere && !self.is_gratuitous_arp() {
                    self.note(format_args!("SLB bond thinks this packet looped back, dropping"));
                    return false;
                }
                true
            }
        }
    }

    /// An ARP packet that tells everybody where an address is.
    fn is_gratuitous_arp(&mut self) -> bool {
        if self.flow.eth_type() != ETH_TYPE_ARP || !self.mac(FieldId::EthDst).is_broadcast() {
            return false;
        }
        self.wc.unwildcard(FieldId::ArpOp);
        match self.flow.get(FieldId::ArpOp) {
            2 => true,
            1 => {
                self.wc.unwildcard(FieldId::ArpSpa);
                self.wc.unwildcard(FieldId::ArpTpa);
                self.flow.get(FieldId::ArpSpa) == self.flow.get(FieldId::ArpTpa)
            }
            _ => false,
        }
    }

    fn learn_source(&mut self, from: &BridgePort, vlan: u16, mac: MacAddr) {
        if !from.learns || self.in_packet_out {
            return;
        }
        // What a bond's members reflect must not move what it told them.
        let arp = match self.request.side_effects && self.is_gratuitous_arp() {
            false => Gratuitous::No,
            true if from.bond.is_some() => Gratuitous::Reflected,
            true => Gratuitous::Fresh,
        };
        if self.request.side_effects
            && !mac.is_multicast()
            && self.view.bridge.macs().would_change(vlan, mac, from.ofport, self.request.now)
        {
            self.note(format_args!("learned that {mac} is on port {} in VLAN {vlan}", from.bundle));
        }
        self.effects.push(Effect::Learn {
            bridge: Arc::clone(&self.view.bridge),
            vlan,
            mac,
            port: from.ofport,
            arp,
        });
    }

    /// Multicast that snooping knows where to send.
    fn snooped(&mut self, from: &Arc<BridgePort>, vlan: Vlan) -> bool {
        let Some(protocols) = self.world.hooks.protocols.clone() else { return false };
        let bridge = Arc::clone(&self.view.bridge);
        let outputs = protocols.multicast(&bridge, from, vlan.vid, &self.flow, &mut self.wc);
        let Some(outputs) = outputs else { return false };
        if outputs.message {
            self.slow |= SlowReasons::ACTION;
        }
        if let Some(frame) = self.request.frame.filter(|_| self.request.side_effects) {
            let now = self.request.now;
            protocols.snoop_multicast(&bridge, from, vlan.vid, &self.flow, frame, now);
        }
        let mut done: Vec<String> = vec![from.bundle.clone()];
        for step in outputs.steps {
            let port = match step {
                McastStep::Note(note) => {
                    self.note(format_args!("{note}"));
                    continue;
                }
                McastStep::Output { port, note } => {
                    self.note(format_args!("{note}"));
                    port
                }
            };
            let Some(port) = self.port(port) else { continue };
            // A report is sent for each reason there is; data never twice.
            let twice = !outputs.message && done.contains(&port.bundle);
            if !twice {
                done.push(port.bundle.clone());
                self.send(&port, vlan);
            }
        }
        if outputs.flood {
            self.flood_vlan(from, vlan);
        }
        true
    }

    /// Whether a port is one of those that a VLAN floods.
    pub(super) fn carries(&mut self, port: &BridgePort, vlan: Vlan) -> bool {
        if vlan.deep && port.vlan.asks_for_customer(vlan.vid) {
            self.wc.unwildcard_place(layout::VLAN_TCI1);
        }
        port.vlan.carries(vlan.vid, vlan.inner.0 & 0x0fff)
    }

    pub(super) fn flood_vlan(&mut self, from: &BridgePort, vlan: Vlan) {
        self.went_to = WentTo::Flooded;
        let ports = Arc::clone(&self.view.ports);
        let mut last: Option<&str> = None;
        for port in ports.in_order_of_adding() {
            // Members of a bond stand beside each other.
            let wanted = port.bundle != from.bundle
                && last != Some(port.bundle.as_str())
                && !port.no_flood
                && self.carries(port, vlan)
                && !self.is_mirror_output(port);
            if wanted {
                last = Some(&port.bundle);
                self.send(port, vlan);
            }
        }
    }

    /// Sends a packet of this VLAN out of a port, tagged as the port wants it; the flow is
    /// afterwards as it was.
    pub(super) fn send(&mut self, port: &Arc<BridgePort>, vlan: Vlan) {
        let places = [layout::VLAN_TCI, layout::VLAN_TPID, layout::VLAN_TCI1, layout::VLAN_TPID1];
        let before = places.map(|place| self.flow.load(place));
        self.tag_for(port, vlan);
        match port.bond.zip(self.world.hooks.bonds.clone()) {
            None => self.output_port(port, false),
            Some((bond, bonds)) => match bonds.output(bond, &self.flow, &mut self.wc, vlan.vid) {
                BondOutput::Member(member) => {
                    let flow = Box::new(self.flow.clone());
                    self.effects.push(Effect::Bond { bond, flow, vlan: vlan.vid });
                    if let Some(member) = self.port(member) {
                        self.output_port(&member, false);
                    }
                }
                BondOutput::Datapath(bond) => {
                    self.commit();
                    self.went_out(port);
                    self.actions.push(DpAction::LbOutput(bond));
                }
                BondOutput::Recirculate { id, basis } => {
                    self.commit();
                    self.went_out(port);
                    self.actions.push(DpAction::Hash { algorithm: HashAlgorithm::L4, basis });
                    self.actions.push(DpAction::Recirc(RecircId(id)));
                }
                BondOutput::None => self.note(format_args!("bond has no active member, dropping")),
            },
        }
        for (place, value) in places.into_iter().zip(before) {
            if self.flow.load(place) != value {
                self.flow.store(place, value);
            }
        }
    }

    /// Sends a packet that has come back with its hash out of the bond's member. It is as it leaves:
    /// what was to be done was done before.
    pub(super) fn output_bond_member(&mut self, bond: BondId) {
        let Some(bonds) = self.world.hooks.bonds.clone() else { return };
        let BondOutput::Member(member) = bonds.output(bond, &self.flow, &mut self.wc, 0) else {
            self.note(format_args!("bond has no active member, dropping"));
            return;
        };
        let flow = Box::new(self.flow.clone());
        self.effects.push(Effect::Bond { bond, flow, vlan: 0 });
        if let Some(member) = self.port(member) {
            self.output_port(&member, false);
        }
    }

    /// Puts the tags on with which a packet of this VLAN leaves by a port. A tag without a VID is one
    /// only by its priority, or where the port wants it so.
    fn tag_for(&mut self, port: &BridgePort, vlan: Vlan) {
        let received = self.tag(layout::VLAN_TCI, layout::VLAN_TPID);
        let out = port.vlan.output(vlan.vid);
        let mut tags = match (&port.vlan, out) {
            (VlanMode::Access(_), _) => [(0, 0); 2],
            (_, None) => [vlan.inner, (0, 0)],
            (_, Some(vid)) => [(vid | vlan.pcp, vlan.tpid), vlan.inner],
        };
        let [outer, inner] = &mut tags;
        if port.priority_tags != PriorityTags::Never {
            outer.0 = outer.0 & 0x0fff | received.0 & 0xe000;
            // A priority that no tag of the packet's is left to carry is given one.
            let none = matches!(port.vlan, VlanMode::Access(_)) || vlan.inner.0 == 0;
            if out.is_none() && none && outer.0 != 0 {
                outer.1 = TPID_8021Q;
            }
        }
        // A tag without a VID is one by its priority.
        let made = out.is_some() && !matches!(port.vlan, VlanMode::Access(_));
        let zero = |tci: u16, is_tag: bool| is_tag && tci & 0x0fff == 0;
        let by_priority = zero(outer.0, made || outer.0 & VLAN_PRESENT != 0)
            || zero(inner.0, inner.0 & VLAN_PRESENT != 0);
        if received.0 & VLAN_PRESENT != 0
            && (by_priority || port.priority_tags != PriorityTags::Never)
        {
            self.wc.unwildcard(FieldId::DlVlanPcp);
        }
        if vlan.deep && (out.is_none() || inner.0 != 0) {
            self.wc.unwildcard_place(layout::VLAN_TCI1);
        }
        if port.priority_tags == PriorityTags::Always {
            self.wc.unwildcard_place(layout::VLAN_TPID);
            self.wc.unwildcard_place(layout::VLAN_TPID1);
        }
        if received.0 & VLAN_PRESENT == 0 && outer.0 & !VLAN_PRESENT == 0 {
            // "Always" is about tags that came: a frame without one gets none for VLAN 0.
            outer.1 = 0;
        }
        for tag in [outer, inner] {
            let always = port.priority_tags == PriorityTags::Always && tag.1 != 0;
            match tag.0 & !VLAN_PRESENT {
                0 if !always => *tag = (0, 0),
                tci => tag.0 = tci | VLAN_PRESENT,
            }
        }
        let places =
            [(layout::VLAN_TCI, layout::VLAN_TPID), (layout::VLAN_TCI1, layout::VLAN_TPID1)];
        for ((tci_place, tpid_place), (tci, tpid)) in places.into_iter().zip(tags) {
            if self.flow.load(tci_place) != u128::from(tci) {
                self.flow.store(tci_place, u128::from(tci));
            }
            if self.flow.load(tpid_place) != u128::from(tpid) {
                self.flow.store(tpid_place, u128::from(tpid));
            }
        }
    }
}
