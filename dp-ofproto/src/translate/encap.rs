//! `encap` and `decap`: headers put on, emitted when the packet next leaves, and taken off.

use dp_core::action::nsh::{Header, Key};
use dp_core::action::set::Ethernet;
use dp_core::action::{Action as DpAction, Masked, Set};
use dp_core::base::MacAddr;
use dp_core::flow::{FieldId, layout};
use smallvec::SmallVec;

use super::mpls::{BOTTOM, LABELS, PAYLOAD};
use super::{Context, ETH_TYPE_NSH, TranslateError, Weight};
use crate::action::{Controller, Encap, EncapProperty, PacketInReason, PacketType};

/// A header that has been put on or taken off in the flow and not yet in the packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Pending {
    /// None.
    #[default]
    Nothing,
    /// An Ethernet header to put on.
    PushEthernet,
    /// A network service header to put on, with these metadata of type 2.
    PushNsh(SmallVec<[u8; 32]>),
    /// An Ethernet header to take off.
    PopEthernet,
    /// A network service header to take off.
    PopNsh,
    /// An MPLS label to put in front of everything.
    AddMpls,
}

pub(super) const NSH: [layout::Place; 9] = [
    layout::NSH_FLAGS,
    layout::NSH_TTL,
    layout::NSH_MDTYPE,
    layout::NSH_NP,
    layout::NSH_PATH,
    layout::NSH_C1,
    layout::NSH_C2,
    layout::NSH_C3,
    layout::NSH_C4,
];

impl Context<'_> {
    fn packet_type(&self) -> PacketType {
        PacketType(u32::try_from(self.flow.load(layout::PACKET_TYPE)).unwrap_or(0))
    }

    fn set_packet_type(&mut self, to: PacketType) {
        self.flow.store(layout::PACKET_TYPE, u128::from(to.0));
        self.flow.store(layout::ETH_TYPE, u128::from(to.ns_type()));
    }

    pub(super) fn encap(&mut self, encap: &Encap) {
        match encap.packet_type {
            PacketType::ETHERNET => self.encap_ethernet(),
            PacketType::NSH => self.encap_nsh(encap),
            PacketType::MPLS | PacketType::MPLS_MULTICAST => self.encap_mpls(encap.packet_type),
            other => {
                self.recorder
                    .note(Weight::Error, format_args!("unsupported packet type {:#x}", other.0));
                self.fail(TranslateError::UnsupportedPacketType);
            }
        }
    }

    fn encap_ethernet(&mut self) {
        let was = self.packet_type();
        if was == PacketType::ETHERNET {
            self.recorder.note(
                Weight::Ended,
                format_args!(
                    "Dropping packet as encap(ethernet) is not supported for packet type ethernet."
                ),
            );
            self.fail(TranslateError::UnsupportedPacketType);
            return;
        }
        self.commit();
        self.pending = Pending::PushEthernet;
        self.flow.store(layout::PACKET_TYPE, 0);
        self.flow.store(layout::ETH_SRC, 0);
        self.flow.store(layout::ETH_DST, 0);
        self.flow.store(layout::ETH_TYPE, u128::from(was.ns_type()));
    }

    fn encap_nsh(&mut self, encap: &Encap) {
        let np: u8 = match self.packet_type() {
            PacketType::ETHERNET => 3,
            PacketType::NSH => 4,
            kind if kind == PacketType::new(1, 0x0800) => 1,
            kind if kind == PacketType::new(1, 0x86dd) => 2,
            other => {
                let (space, kind) = (other.namespace(), other.ns_type());
                self.recorder.note(
                    Weight::Ended,
                    format_args!(
                        "Dropping packet as encap(nsh) is not supported for packet type \
                         ({space},{kind:#x})"
                    ),
                );
                self.fail(TranslateError::UnsupportedPacketType);
                return;
            }
        };
        self.commit();
        let mut md_type = 1;
        let mut metadata = SmallVec::new();
        for property in &encap.properties {
            match property {
                EncapProperty::NshMdType(kind) => md_type = *kind,
                EncapProperty::NshTlv { class, kind, value } => {
                    metadata.extend_from_slice(&class.to_be_bytes());
                    metadata.push(*kind);
                    metadata.push(u8::try_from(value.len()).unwrap_or(0));
                    metadata.extend_from_slice(value);
                    while metadata.len() % 4 != 0 {
                        metadata.push(0);
                    }
                }
            }
        }
        self.hide_inner();
        self.set_packet_type(PacketType::NSH);
        let ttl = 63;
        let fields: [(layout::Place, u128); 9] = [
            (layout::NSH_FLAGS, 0),
            (layout::NSH_TTL, ttl),
            (layout::NSH_MDTYPE, u128::from(md_type)),
            (layout::NSH_NP, u128::from(np)),
            (layout::NSH_PATH, 255),
            (layout::NSH_C1, 0),
            (layout::NSH_C2, 0),
            (layout::NSH_C3, 0),
            (layout::NSH_C4, 0),
        ];
        for (place, value) in fields {
            self.flow.store(place, value);
        }
        self.pending = Pending::PushNsh(metadata);
    }

    fn encap_mpls(&mut self, kind: PacketType) {
        self.commit();
        // In front of labels there is one more, which says what the first of them says.
        let beneath = match is_mpls(self.packet_type()) {
            true => self.labels(),
            false => 0,
        };
        let entries = LABELS.map(|place| self.flow.load(place));
        if beneath >= LABELS.len() {
            self.refuse_label();
            return;
        }
        self.hide_inner();
        self.set_packet_type(kind);
        if beneath == 0 {
            self.flow.store(layout::MPLS0, BOTTOM | 64);
        } else {
            self.flow.store(layout::MPLS0, entries[0] & !BOTTOM);
            for (place, entry) in LABELS.into_iter().skip(1).zip(entries).take(beneath) {
                self.flow.store(place, entry);
            }
        }
        self.pending = Pending::AddMpls;
    }

    /// What is inside a header that was put on cannot be seen.
    fn hide_inner(&mut self) {
        for place in ETHERNET.into_iter().chain(PAYLOAD).chain(LABELS) {
            if self.flow.load(place) != 0 {
                self.flow.store(place, 0);
            }
        }
    }

    pub(super) fn decap(&mut self, next: Option<PacketType>) {
        self.commit();
        match self.packet_type() {
            PacketType::ETHERNET => {
                if self.flow.vlan_tci() & layout::VLAN_PRESENT != 0 {
                    self.recorder.note(
                        Weight::Ended,
                        format_args!("Dropping packet, cannot decap Ethernet if VLAN is present."),
                    );
                    self.fail(TranslateError::UnsupportedPacketType);
                    return;
                }
                // What is inside says its Ethertype, whatever the action says.
                let inner = PacketType::new(1, self.flow.eth_type());
                for place in [layout::ETH_SRC, layout::ETH_DST] {
                    self.flow.store(place, 0);
                }
                self.flow.store(layout::PACKET_TYPE, u128::from(inner.0));
                self.pending = Pending::PopEthernet;
            }
            PacketType::NSH => {
                self.wc.unwildcard(FieldId::NshNp);
                let inner = match self.flow.get(FieldId::NshNp) {
                    1 => PacketType::new(1, 0x0800),
                    2 => PacketType::new(1, 0x86dd),
                    3 => PacketType::ETHERNET,
                    4 => PacketType::NSH,
                    5 => PacketType::MPLS,
                    other => {
                        self.warn(format_args!("unsupported NSH next protocol {other}"));
                        self.exit_list();
                        return;
                    }
                };
                for place in NSH {
                    if self.flow.load(place) != 0 {
                        self.flow.store(place, 0);
                    }
                }
                self.flow.store(layout::PACKET_TYPE, u128::from(inner.0));
                self.pending = Pending::PopNsh;
                // What is inside is not known before it is parsed.
                self.commit();
                self.freeze_for_parsing();
            }
            kind if is_mpls(kind) => {
                let inner = next.unwrap_or(PacketType::USE_NEXT_PROTO);
                let last = self.labels() == 1;
                // An Ethernet frame has no type to be named by.
                let eth_type = match inner {
                    PacketType::ETHERNET => ETH_TYPE_TEB,
                    inner => inner.ns_type(),
                };
                self.pop_mpls(eth_type);
                self.flow.store(layout::PACKET_TYPE, u128::from(inner.0));
                if last {
                    self.commit();
                    self.freeze_for_parsing();
                }
            }
            other => {
                self.warn(format_args!("decap() for unsupported packet type {:#x}", other.0));
                self.exit_list();
            }
        }
    }

    pub(super) fn dec_nsh_ttl(&mut self) {
        if self.packet_type() != PacketType::NSH && self.flow.eth_type() != ETH_TYPE_NSH {
            return;
        }
        self.wc.unwildcard(FieldId::NshTtl);
        let ttl = self.flow.get(FieldId::NshTtl);
        if ttl > 1 {
            self.set_whole(FieldId::NshTtl, ttl - 1);
        } else {
            self.warn(format_args!("NSH decrement TTL exception"));
            let reason = PacketInReason::InvalidTtl;
            self.controller(&Controller { reason, ..Controller::default() });
            self.exit_list();
        }
    }

    /// Emits what has been put on or taken off.
    pub(super) fn commit_pending(&mut self) {
        let mac = |value: u128| MacAddr(*value.to_be_bytes().last_chunk().unwrap_or(&[0; 6]));
        let step = match std::mem::take(&mut self.pending) {
            Pending::Nothing => return,
            Pending::PushEthernet => {
                let places = [layout::ETH_SRC, layout::ETH_DST];
                let [src, dst] = places.map(|place| mac(self.flow.load(place)));
                for place in places {
                    self.base.store(place, self.flow.load(place));
                }
                self.take_over(&[layout::PACKET_TYPE, layout::ETH_TYPE]);
                DpAction::PushEthernet(Ethernet { src, dst })
            }
            Pending::PushNsh(metadata2) => {
                self.base = self.flow.clone();
                DpAction::PushNsh(Box::new(Header { key: nsh_key(&self.flow), metadata2 }))
            }
            Pending::PopEthernet => {
                self.take_over(&[layout::PACKET_TYPE, layout::ETH_SRC, layout::ETH_DST]);
                DpAction::PopEthernet
            }
            Pending::PopNsh => {
                self.base = self.flow.clone();
                DpAction::PopNsh
            }
            Pending::AddMpls => {
                self.base = self.flow.clone();
                DpAction::AddMpls {
                    lse: u32::try_from(self.flow.load(layout::MPLS0)).unwrap_or(0),
                    eth_type: self.flow.eth_type(),
                    behind_ethernet: false,
                }
            }
        };
        self.actions.push(step);
    }

    fn take_over(&mut self, places: &[layout::Place]) {
        for &place in places {
            self.base.store(place, self.flow.load(place));
        }
    }

    pub(super) fn commit_nsh(&mut self) {
        if !NSH.iter().any(|&place| self.flow.load(place) != self.base.load(place)) {
            return;
        }
        let mut value = self.flow.clone();
        let mut mask = dp_core::flow::FlowKey::EMPTY;
        for place in NSH {
            // What counts is the same in every packet of the megaflow; two of them cannot be written.
            let fixed = [layout::NSH_MDTYPE, layout::NSH_NP].contains(&place);
            if !self.world.features.masked_sets {
                self.wc.unwildcard_place(place);
            }
            let bits = if fixed { 0 } else { self.wc.load(place) };
            mask.store(place, bits);
            value.store(place, self.flow.load(place) & bits);
        }
        let set = Masked { value: nsh_key(&value), mask: nsh_key(&mask) };
        self.actions.push(DpAction::Set(Set::Nsh(Box::new(set))));
    }
}

fn nsh_key(flow: &dp_core::flow::FlowKey) -> Key {
    let byte = |place| u8::try_from(flow.load(place)).unwrap_or(0);
    let word = |place| u32::try_from(flow.load(place)).unwrap_or(0);
    let path = word(layout::NSH_PATH);
    Key {
        flags: byte(layout::NSH_FLAGS),
        ttl: byte(layout::NSH_TTL),
        mdtype: byte(layout::NSH_MDTYPE),
        np: byte(layout::NSH_NP),
        spi: path >> 8,
        si: u8::try_from(path & 0xff).unwrap_or(0),
        context: [layout::NSH_C1, layout::NSH_C2, layout::NSH_C3, layout::NSH_C4].map(word),
    }
}

const fn is_mpls(kind: PacketType) -> bool {
    kind.0 == PacketType::MPLS.0 || kind.0 == PacketType::MPLS_MULTICAST.0
}

/// A whole Ethernet frame.
const ETH_TYPE_TEB: u16 = 0x6558;

/// The Ethernet header with its tags; what is behind it is [`PAYLOAD`] and labels.
const ETHERNET: [layout::Place; 6] = [
    layout::ETH_SRC,
    layout::ETH_DST,
    layout::VLAN_TCI,
    layout::VLAN_TPID,
    layout::VLAN_TCI1,
    layout::VLAN_TPID1,
];
