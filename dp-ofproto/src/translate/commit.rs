//! Differences between the flow and the packet so far, as datapath set actions.
//!
//! A field that changed is written with those of its bits that count in the mask: they include all
//! bits that were written (writing makes bits count), and whatever else of the field was looked at,
//! which is the same in every packet of the megaflow.

use core::net::{Ipv4Addr, Ipv6Addr};

use dp_core::action::set::{Arp, Ethernet, Icmp, Ipv4, Ipv6, Masked, Nd, NdExt, Ports};
use dp_core::action::{Action as DpAction, Set};
use dp_core::base::MacAddr;
use dp_core::flow::layout::{self, Place, VLAN_PRESENT};
use dp_core::flow::{FlowKey, FlowMask};
use smallvec::SmallVec;

use super::encap::Pending;
use super::fields::{ICMPV4, ICMPV6, SCTP, TCP, UDP};
use super::mpls::PAYLOAD;
use super::{
    Context, ETH_TYPE_ARP, ETH_TYPE_IPV4, ETH_TYPE_IPV6, ETH_TYPE_MPLS, ETH_TYPE_NSH, ETH_TYPE_RARP,
};

/// Reads the value to write and its mask, field by field; a field that did not change is all zero
/// in both, unless headers are written whole.
struct Difference<'a> {
    flow: &'a FlowKey,
    base: &'a FlowKey,
    wc: &'a FlowMask,
    any: bool,
    /// What is written, where headers are written whole.
    whole: Option<SmallVec<[Place; 5]>>,
}

impl Difference<'_> {
    fn of(&mut self, place: Place) -> (u128, u128) {
        let value = self.flow.load(place);
        let differs = value != self.base.load(place);
        self.any |= differs;
        if let Some(whole) = &mut self.whole {
            whole.push(place);
            return (value, u128::MAX >> (128 - 8 * u32::from(place.len)));
        }
        if !differs {
            return (0, 0);
        }
        let mask = self.wc.load(place);
        (value & mask, mask)
    }

    fn mac(&mut self, place: Place) -> (MacAddr, MacAddr) {
        let (value, mask) = self.of(place);
        let mac = |value: u128| MacAddr(*value.to_be_bytes().last_chunk().unwrap_or(&[0; 6]));
        (mac(value), mac(mask))
    }

    fn ipv4(&mut self, place: Place) -> (Ipv4Addr, Ipv4Addr) {
        let (value, mask) = self.u32(place);
        (value.into(), mask.into())
    }

    fn ipv6(&mut self, place: Place) -> (Ipv6Addr, Ipv6Addr) {
        let (value, mask) = self.of(place);
        (value.into(), mask.into())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the place is at most 4 bytes long")]
    fn u32(&mut self, place: Place) -> (u32, u32) {
        let (value, mask) = self.of(place);
        (value as u32, mask as u32)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the place is at most 2 bytes long")]
    fn u16(&mut self, place: Place) -> (u16, u16) {
        let (value, mask) = self.of(place);
        (value as u16, mask as u16)
    }

    #[expect(clippy::cast_possible_truncation, reason = "one byte is used of each")]
    fn u8(&mut self, place: Place) -> (u8, u8) {
        let last = place.offset + u16::from(place.len) - 1;
        let (value, mask) = self.of(Place { offset: last, len: 1 });
        (value as u8, mask as u8)
    }
}

/// A masked write of several fields: `(value, mask)` pairs in, two structs out.
macro_rules! masked {
    ($type:ident { $($field:ident: $pair:expr),* $(,)? }) => {{
        $(let $field = $pair;)*
        Masked { value: $type { $($field: $field.0),* }, mask: $type { $($field: $field.1),* } }
    }};
}

impl Context<'_> {
    /// Emits what makes the packet so far what the flow says.
    pub(super) fn commit(&mut self) {
        if self.base == self.flow && self.pending == Pending::Nothing {
            return;
        }
        self.commit_pending();
        self.commit_ethernet();
        // What is behind labels can be written once they are off.
        let mpls = [&self.base, &self.flow].map(|key| ETH_TYPE_MPLS.contains(&key.eth_type()));
        if mpls == [true, false] {
            self.commit_mpls();
        }
        match self.flow.eth_type() {
            // Labels came off, and what is behind them is neither looked at nor written before the
            // packet has been parsed again.
            _ if self.was_mpls => {}
            ETH_TYPE_IPV4 => self.commit_ipv4(),
            ETH_TYPE_IPV6 => self.commit_ipv6(),
            ETH_TYPE_ARP | ETH_TYPE_RARP => self.commit_arp(),
            ETH_TYPE_NSH => self.commit_nsh(),
            _ => {}
        }
        if mpls != [true, false] {
            self.commit_mpls();
        }
        self.commit_vlan();
        self.commit_metadata();
        let packet = std::mem::replace(&mut self.base, self.flow.clone());
        if mpls != [false, false] && self.base.nw_proto() == 0 {
            // Behind labels, or not seen yet after they came off: it is still there.
            for place in PAYLOAD {
                self.base.store(place, packet.load(place));
            }
        }
    }

    fn emit<T>(&mut self, make: impl FnOnce(&mut Difference<'_>) -> T, set: impl FnOnce(T) -> Set) {
        let whole = (!self.world.features.masked_sets).then(SmallVec::new);
        let (flow, base, wc) = (&self.flow, &self.base, &self.wc);
        let mut difference = Difference { flow, base, wc, any: false, whole };
        let value = make(&mut difference);
        if difference.any {
            // What is written whole is that of this packet, so all of it counts.
            let whole = difference.whole.unwrap_or_default();
            whole.into_iter().for_each(|place| self.wc.unwildcard_place(place));
            self.actions.push(DpAction::Set(set(value)));
        }
    }

    fn commit_ethernet(&mut self) {
        self.emit(
            |d| masked!(Ethernet { src: d.mac(layout::ETH_SRC), dst: d.mac(layout::ETH_DST) }),
            Set::Ethernet,
        );
    }

    /// Whether the packet really has an IP or ARP header: one that could not be parsed shows
    /// protocol 0.
    fn has_header(&mut self) -> bool {
        self.wc.unwildcard_place(layout::NW_PROTO);
        self.base.nw_proto() != 0
    }

    fn commit_ipv4(&mut self) {
        let places = [layout::IPV4_SRC, layout::IPV4_DST, layout::NW_TOS, layout::NW_TTL];
        if self.differs(&places) && self.has_header() {
            self.emit(
                |d| {
                    masked!(Ipv4 {
                        src: d.ipv4(layout::IPV4_SRC),
                        dst: d.ipv4(layout::IPV4_DST),
                        tos: d.u8(layout::NW_TOS),
                        ttl: d.u8(layout::NW_TTL),
                    })
                },
                Set::Ipv4,
            );
        }
        self.commit_l4(ICMPV4);
    }

    fn commit_ipv6(&mut self) {
        let places = [
            layout::IPV6_SRC,
            layout::IPV6_DST,
            layout::IPV6_LABEL,
            layout::NW_TOS,
            layout::NW_TTL,
        ];
        if self.differs(&places) && self.has_header() {
            self.emit(
                |d| {
                    masked!(Ipv6 {
                        src: d.ipv6(layout::IPV6_SRC),
                        dst: d.ipv6(layout::IPV6_DST),
                        label: d.u32(layout::IPV6_LABEL),
                        tclass: d.u8(layout::NW_TOS),
                        hlimit: d.u8(layout::NW_TTL),
                    })
                },
                |set| Set::Ipv6(Box::new(set)),
            );
        }
        self.commit_l4(ICMPV6);
        self.commit_nd();
    }

    fn differs(&self, places: &[Place]) -> bool {
        places.iter().any(|&place| self.flow.load(place) != self.base.load(place))
    }

    fn commit_l4(&mut self, icmp: u8) {
        if !self.differs(&[layout::TP_SRC, layout::TP_DST]) {
            return;
        }
        // Where the header is cut off there is nothing to write; execution sees that.
        self.wc.unwildcard_place(layout::NW_PROTO);
        let ports = |d: &mut Difference<'_>| {
            masked!(Ports { src: d.u16(layout::TP_SRC), dst: d.u16(layout::TP_DST) })
        };
        match self.base.nw_proto() {
            TCP => self.emit(ports, Set::Tcp),
            UDP => self.emit(ports, Set::Udp),
            SCTP => self.emit(ports, Set::Sctp),
            proto if proto == icmp => {
                let icmp = |d: &mut Difference<'_>| {
                    masked!(Icmp { icmp_type: d.u8(layout::TP_SRC), code: d.u8(layout::TP_DST) })
                };
                self.emit(icmp, if proto == ICMPV4 { Set::Icmp } else { Set::Icmpv6 });
            }
            _ => {}
        }
    }

    fn commit_nd(&mut self) {
        if self.base.nw_proto() == ICMPV6 {
            // First: it may change the type of the option whose address is written next.
            self.emit(
                |d| {
                    masked!(NdExt {
                        reserved: d.u32(layout::ND_RESERVED),
                        options_type: d.u8(layout::ND_OPTIONS_TYPE),
                    })
                },
                Set::NdExt,
            );
            self.emit(
                |d| {
                    masked!(Nd {
                        target: d.ipv6(layout::ND_TARGET),
                        sll: d.mac(layout::ARP_SHA),
                        tll: d.mac(layout::ARP_THA),
                    })
                },
                |set| Set::Nd(Box::new(set)),
            );
        }
    }

    fn commit_arp(&mut self) {
        let places = [
            layout::NW_PROTO,
            layout::IPV4_SRC,
            layout::IPV4_DST,
            layout::ARP_SHA,
            layout::ARP_THA,
        ];
        // Operation 0 is what an ARP packet shows that could not be parsed.
        if !self.differs(&places) || !self.has_header() {
            return;
        }
        self.emit(
            |d| {
                let (op, op_mask) = d.u8(layout::NW_PROTO);
                // The operation is 16 bits on the wire; the key holds the lower 8.
                let mask = if op_mask == 0xff { 0xffff } else { u16::from(op_mask) };
                masked!(Arp {
                    op: (u16::from(op), mask),
                    spa: d.ipv4(layout::IPV4_SRC),
                    tpa: d.ipv4(layout::IPV4_DST),
                    sha: d.mac(layout::ARP_SHA),
                    tha: d.mac(layout::ARP_THA),
                })
            },
            |set| Set::Arp(Box::new(set)),
        );
    }

    fn commit_metadata(&mut self) {
        self.emit(
            |d| d.u32(layout::PKT_MARK),
            |(value, mask)| Set::PktMark(Masked { value, mask }),
        );
        self.emit(
            |d| d.u32(layout::SKB_PRIORITY),
            |(value, mask)| Set::SkbPriority(Masked { value, mask }),
        );
    }

    /// Labels are taken off until what is left is what the flow has too, one is written over where
    /// both have one more, the rest is put on.
    fn commit_mpls(&mut self) {
        let (have, want) = (labels(&self.base), labels(&self.flow));
        if have == want {
            return;
        }
        let common = have.iter().rev().zip(want.iter().rev()).take_while(|(a, b)| a == b).count();
        let mut extra = have.len() - common;
        let missing = want.len() - common;
        let rewrites = extra > 0 && missing > 0;
        while extra > usize::from(rewrites) {
            extra -= 1;
            let left = common + extra;
            let eth_type = match self.flow.eth_type() {
                kind if left == 0 || ETH_TYPE_MPLS.contains(&kind) => kind,
                _ => ETH_TYPE_MPLS[0],
            };
            self.actions.push(DpAction::PopMpls { eth_type });
        }
        let mut new = want.iter().take(missing).rev();
        if rewrites && let Some(&value) = new.next() {
            let old = have.get(have.len() - common - 1).copied().unwrap_or(0);
            if old != value {
                // The whole entry is written, so all of it counts.
                self.wc.unwildcard_place(layout::MPLS0);
                let set = Masked { value, mask: u32::MAX };
                self.actions.push(DpAction::Set(Set::Mpls(set)));
            }
        }
        for &lse in new {
            self.actions.push(DpAction::PushMpls { lse, eth_type: self.flow.eth_type() });
        }
    }

    /// Tags are taken off until what is left is what the flow has too, then put on.
    fn commit_vlan(&mut self) {
        let have = tags(&self.base);
        let want = tags(&self.flow);
        if have == want {
            return;
        }
        let common = have.iter().rev().zip(want.iter().rev()).take_while(|(a, b)| a == b).count();
        for place in [layout::VLAN_TPID, layout::VLAN_TCI1, layout::VLAN_TPID1] {
            self.wc.unwildcard_place(place);
        }
        if common == have.len() && !have.is_empty() {
            // What only gets a tag more keeps what it has, whatever that says.
            self.wc.unwildcard_bits_at(layout::VLAN_TCI, VLAN_PRESENT.into());
        } else {
            self.wc.unwildcard_place(layout::VLAN_TCI);
        }
        for _ in common..have.len() {
            self.actions.push(DpAction::PopVlan);
        }
        for &(tci, tpid) in want.iter().take(want.len() - common).rev() {
            self.actions.push(DpAction::PushVlan { tpid, tci });
        }
    }
}

/// The tags of a flow, outermost first.
fn tags(flow: &FlowKey) -> SmallVec<[(u16, u16); 2]> {
    [(layout::VLAN_TCI, layout::VLAN_TPID), (layout::VLAN_TCI1, layout::VLAN_TPID1)]
        .into_iter()
        .filter_map(|(tci, tpid)| {
            let tci = u16::try_from(flow.load(tci)).ok()?;
            let tpid = u16::try_from(flow.load(tpid)).ok()?;
            (tci & VLAN_PRESENT != 0).then_some((tci, tpid))
        })
        .collect()
}

/// The MPLS labels of a flow, outermost first.
fn labels(flow: &FlowKey) -> SmallVec<[u32; 3]> {
    let mut list = SmallVec::new();
    if ETH_TYPE_MPLS.contains(&flow.eth_type()) {
        for place in [layout::MPLS0, layout::MPLS1, layout::MPLS2] {
            let lse = u32::try_from(flow.load(place)).unwrap_or(0);
            if lse != 0 {
                list.push(lse);
            }
            if lse & 1 << 8 != 0 {
                break;
            }
        }
    }
    list
}
