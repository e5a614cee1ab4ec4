//! Reading and writing fields: each bit read or written counts in the mask.

use dp_core::flow::fields::Prereq;
use dp_core::flow::layout::{self, FRAG_LATER};
use dp_core::flow::{FieldId, Wide};

use super::{Context, ETH_TYPE_ARP, ETH_TYPE_IPV4, ETH_TYPE_IPV6, ETH_TYPE_RARP, Weight};
use crate::action::{Controller, PacketInReason, Subfield};

pub(super) const ICMPV4: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;
const ND_SOLICIT: u128 = 135;
const ND_ADVERT: u128 = 136;

impl Context<'_> {
    /// The value of a subfield.
    pub(super) fn read(&mut self, src: Subfield) -> u128 {
        if src.is_wide() {
            return self.read_wide(src).low();
        }
        self.wc.unwildcard_bits(src.field, src.mask());
        self.flow.get(src.field) >> src.start & src.ones()
    }

    /// The value of a subfield of any width.
    pub(super) fn read_wide(&mut self, src: Subfield) -> Wide {
        if !src.is_wide() {
            return self.read(src).into();
        }
        self.wc.unwildcard_wide(src.field, src.wide_mask());
        self.flow.get_wide(src.field) >> u32::from(src.start) & Wide::ones(src.bits)
    }

    /// Writes a number into a subfield of any width, if the packet has the field.
    pub(super) fn store_wide(&mut self, dst: Subfield, value: Wide) {
        match dst.is_wide() {
            true => self.set_option(dst.field, value << u32::from(dst.start), dst.wide_mask()),
            false => self.store(dst, value.low()),
        }
    }

    /// Writes those bits of tunnel metadata that are set in `mask`.
    pub(super) fn set_option(&mut self, field: FieldId, value: Wide, mask: Wide) {
        self.wc.unwildcard_wide(field, mask);
        self.flow.set_wide(field, value, mask);
    }

    /// Writes a number into a subfield, if the packet has the field.
    pub(super) fn store(&mut self, dst: Subfield, value: u128) {
        if dst.is_wide() {
            return self.store_wide(dst, value.into());
        }
        self.set_field(dst.field, value << dst.start, dst.mask());
    }

    pub(super) fn set_whole(&mut self, field: FieldId, value: u128) {
        self.set_field(field, value, u128::MAX);
    }

    /// Writes those bits of a field that are set in `mask`, if the packet has the field.
    pub(super) fn set_field(&mut self, field: FieldId, value: u128, mask: u128) {
        if !self.has(field.field().prereq) {
            return;
        }
        if matches!(field.field().prereq, Prereq::IpAny | Prereq::Ipv4 | Prereq::Ipv6) {
            // Whether there is a header to write to.
            self.wc.unwildcard(FieldId::NwProto);
        }
        self.wc.unwildcard_bits(field, mask);
        self.flow.set_bits(field, value, mask);
        if matches!(field, FieldId::VlanVid | FieldId::DlVlan | FieldId::DlVlanPcp) {
            self.make_tag_present();
        }
    }

    /// Returns whether the packet has both fields.
    pub(super) fn copy(&mut self, src: Subfield, dst: Subfield) -> bool {
        let has = self.has(src.field.field().prereq) && self.has(dst.field.field().prereq);
        if has {
            let value = self.read_wide(src);
            self.store_wide(dst, value);
        }
        has
    }

    pub(super) fn push(&mut self, src: Subfield) {
        let value = self.read_wide(src);
        self.stack.push(value);
    }

    /// Returns whether there was something to pop.
    pub(super) fn pop(&mut self, dst: Subfield) -> bool {
        match self.stack.pop() {
            Some(value) => {
                self.store_wide(dst, value & Wide::ones(dst.bits));
                true
            }
            None => {
                self.recorder.note(Weight::Error, format_args!("stack underflow"));
                false
            }
        }
    }

    pub(super) fn set_l4(&mut self, source: bool, port: u16) {
        let (src, dst) = match self.protocol() {
            Some(TCP) => (FieldId::TcpSrc, FieldId::TcpDst),
            Some(UDP) => (FieldId::UdpSrc, FieldId::UdpDst),
            Some(SCTP) => (FieldId::SctpSrc, FieldId::SctpDst),
            _ => return,
        };
        self.set_whole(if source { src } else { dst }, u128::from(port));
    }

    /// Decrements the TTL; a packet whose TTL is used up goes nowhere further.
    pub(super) fn dec_ttl(&mut self, controllers: &[u16]) {
        if !self.has(Prereq::IpAny) {
            return;
        }
        self.wc.unwildcard(FieldId::NwProto);
        self.wc.unwildcard(FieldId::NwTtl);
        let ttl = self.flow.get(FieldId::NwTtl);
        if ttl > 1 {
            self.set_whole(FieldId::NwTtl, ttl - 1);
        } else {
            let version = if self.flow.eth_type() == ETH_TYPE_IPV4 { 4 } else { 6 };
            self.warn(format_args!("IPv{version} decrement TTL exception"));
            for &id in controllers {
                let reason = PacketInReason::InvalidTtl;
                self.controller(&Controller { id, reason, ..Controller::default() });
            }
            self.exit_list();
        }
    }

    /// Nothing more of the present list is done.
    pub(super) fn exit_list(&mut self) {
        self.end_of_list = true;
    }

    /// The IP protocol, where there is one.
    pub(super) fn protocol(&mut self) -> Option<u8> {
        self.has(Prereq::IpAny).then(|| {
            self.wc.unwildcard(FieldId::NwProto);
            self.flow.nw_proto()
        })
    }

    /// Whether the packet has the fields that need this. What is asked of counts.
    pub(super) fn has(&mut self, prereq: Prereq) -> bool {
        let eth_type = self.flow.eth_type();
        match prereq {
            Prereq::None | Prereq::Ethernet => true,
            Prereq::VlanVid => self.flow.vlan_tci() & layout::VLAN_PRESENT != 0,
            Prereq::Arp => matches!(eth_type, ETH_TYPE_ARP | ETH_TYPE_RARP),
            Prereq::Ipv4 => eth_type == ETH_TYPE_IPV4,
            Prereq::Ipv6 => eth_type == ETH_TYPE_IPV6,
            Prereq::IpAny => matches!(eth_type, ETH_TYPE_IPV4 | ETH_TYPE_IPV6),
            Prereq::Mpls => matches!(eth_type, 0x8847 | 0x8848),
            Prereq::Nsh => eth_type == 0x894f,
            Prereq::Tcp => self.has_l4(TCP),
            Prereq::Udp => self.has_l4(UDP),
            Prereq::Sctp => self.has_l4(SCTP),
            Prereq::Icmpv4 => eth_type == ETH_TYPE_IPV4 && self.has_l4(ICMPV4),
            Prereq::Icmpv6 => eth_type == ETH_TYPE_IPV6 && self.has_l4(ICMPV6),
            Prereq::Nd => self.is_nd(ND_SOLICIT) || self.is_nd(ND_ADVERT),
            Prereq::NdSolicit => self.is_nd(ND_SOLICIT),
            Prereq::NdAdvert => self.is_nd(ND_ADVERT),
            Prereq::Ct => {
                self.wc.unwildcard(FieldId::CtNwProto);
                self.flow.get(FieldId::CtNwProto) != 0
            }
        }
    }

    fn has_l4(&mut self, proto: u8) -> bool {
        self.flow.nw_frag() & FRAG_LATER == 0 && self.protocol() == Some(proto)
    }

    fn is_nd(&mut self, kind: u128) -> bool {
        if !self.has(Prereq::Icmpv6) {
            return false;
        }
        self.wc.unwildcard(FieldId::Icmpv6Type);
        self.wc.unwildcard(FieldId::Icmpv6Code);
        self.flow.get(FieldId::Icmpv6Type) == kind && self.flow.get(FieldId::Icmpv6Code) == 0
    }
}
