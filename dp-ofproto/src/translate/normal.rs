//! NORMAL: switching as a learning VLAN bridge does it.
//!
//! ```text
//!   VLAN of the input port ─► admitted? ─► learn the source ─► destination known? ─► its port
//!                                                                    └─ no ─► every port of the VLAN
//! ```

use std::sync::Arc;

use dp_core::base::{MacAddr, OfPort};
use dp_core::flow::FieldId;
use dp_core::flow::layout::{self, VLAN_PRESENT};

use super::Context;
use super::effect::Effect;
use crate::bridge::BridgePort;

impl Context<'_> {
    pub(super) fn normal(&mut self) {
        self.wc.unwildcard(FieldId::EthSrc);
        self.wc.unwildcard(FieldId::EthDst);
        self.wc.unwildcard_bits(FieldId::VlanTci, u128::from(VLAN_PRESENT | 0x0fff));
        let Some(from) = self.port(self.in_port()).map(Arc::clone) else {
            self.note("no such input port, dropping");
            return;
        };
        let Some(vlan) = self.input_vlan(&from) else { return };
        let dst = self.mac(FieldId::EthDst);
        if dst.is_reserved() && !self.view.config.forward_bpdu {
            self.note("packet has reserved destination MAC, dropping");
            return;
        }
        let mac = self.mac(FieldId::EthSrc);
        self.effects.push(Effect::Learn { vlan, mac, port: from.ofport });
        if dst.is_multicast() {
            self.note("multicast traffic, flooding");
            self.flood_vlan(&from, vlan);
            return;
        }
        // An address that talks to itself has just been learned here.
        let known =
            if dst == mac { Some(from.ofport) } else { self.view.bridge.macs().lookup(vlan, dst) };
        match known.and_then(|ofport| self.port(ofport)).map(Arc::clone) {
            Some(to) if to.ofport == from.ofport => {
                self.note("learned port is input port, dropping");
            }
            Some(to) => {
                self.note("forwarding to learned port");
                self.send(&to, vlan);
            }
            None => {
                self.note("no learned MAC for destination, flooding");
                self.flood_vlan(&from, vlan);
            }
        }
    }

    fn mac(&self, field: FieldId) -> MacAddr {
        let bytes = self.flow.get(field).to_be_bytes();
        MacAddr(*bytes.last_chunk().unwrap_or(&[0; 6]))
    }

    fn input_vlan(&mut self, from: &BridgePort) -> Option<u16> {
        let tci = self.flow.vlan_tci();
        if self.flow.eth_type() == 0x8100 && tci & VLAN_PRESENT == 0 {
            self.note("dropping packet with partial VLAN tag");
            return None;
        }
        let vid = if tci & VLAN_PRESENT == 0 { 0 } else { tci & 0x0fff };
        let vlan = from.vlan.input(vid);
        if vlan.is_none() {
            self.note("disallowed VLAN VID for this input port, dropping");
        }
        vlan
    }

    fn flood_vlan(&mut self, from: &BridgePort, vlan: u16) {
        let ports = Arc::clone(&self.view.ports);
        let in_port: OfPort = from.ofport;
        for port in ports.iter() {
            if port.ofport != in_port && !port.no_flood && port.vlan.carries(vlan) {
                self.send(port, vlan);
            }
        }
    }

    /// Sends a packet of this VLAN out of a port, tagged as the port wants it; the flow is
    /// afterwards as it was.
    fn send(&mut self, port: &BridgePort, vlan: u16) {
        let places = [layout::VLAN_TCI, layout::VLAN_TPID, layout::VLAN_TCI1, layout::VLAN_TPID1];
        let before = places.map(|place| self.flow.load(place));
        self.retag(port.vlan.output(vlan));
        self.output_port(port);
        for (place, value) in places.into_iter().zip(before) {
            self.flow.store(place, value);
        }
    }
}
