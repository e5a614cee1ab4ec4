//! MPLS labels: three at most are seen, what is beneath them only after the datapath has parsed
//! the packet again.

use dp_core::flow::{FieldId, layout};

use super::{Context, ETH_TYPE_IPV4, ETH_TYPE_IPV6, ETH_TYPE_MPLS, TranslateError, Weight};
use crate::action::{Action, Controller, PacketInReason};
use crate::bridge::PortKind;
use crate::group::{GroupId, GroupKind};

pub(super) const LABELS: [layout::Place; 3] = [layout::MPLS0, layout::MPLS1, layout::MPLS2];
pub(super) const BOTTOM: u128 = 1 << 8;

impl Context<'_> {
    /// How many labels there are.
    pub(super) fn labels(&mut self) -> usize {
        if !ETH_TYPE_MPLS.contains(&self.flow.eth_type()) {
            return 0;
        }
        let mut count = 0;
        for place in LABELS {
            self.wc.unwildcard_bits_at(place, BOTTOM);
            let entry = self.flow.load(place);
            // Where the last label was taken off and the packet is said to have more, there are none.
            count += usize::from(entry != 0);
            if entry & BOTTOM != 0 {
                break;
            }
        }
        count
    }

    pub(super) fn push_mpls(&mut self, eth_type: u16) {
        let count = self.labels();
        if count == 0 {
            // Labels go in front of what is committed so far.
            self.commit();
        } else if count >= LABELS.len() {
            self.refuse_label();
            return;
        }
        let entry = match self.flow.eth_type() {
            _ if count > 0 => {
                self.wc.unwildcard_place(LABELS[0]);
                self.flow.load(LABELS[0]) & !BOTTOM
            }
            kind @ (ETH_TYPE_IPV4 | ETH_TYPE_IPV6) => {
                self.wc.unwildcard(FieldId::NwTtl);
                self.wc.unwildcard_bits_at(layout::NW_TOS, 0xfc);
                let label = if kind == ETH_TYPE_IPV4 { 0 } else { 2 };
                let ttl = self.flow.get(FieldId::NwTtl);
                let ttl = if ttl == 0 { 0x40 } else { ttl };
                let tc = self.flow.load(layout::NW_TOS) & 0xfc;
                label << 12 | (tc >> 2 & 7) << 9 | BOTTOM | ttl
            }
            _ => BOTTOM | 64,
        };
        for at in (1..LABELS.len()).rev() {
            let above = self.flow.load(LABELS[at - 1]);
            let shifted = if count == 0 { 0 } else { above };
            if self.flow.load(LABELS[at]) != shifted {
                self.flow.store(LABELS[at], shifted);
            }
        }
        self.flow.store(LABELS[0], entry);
        self.flow.store(layout::ETH_TYPE, u128::from(eth_type));
        if count == 0 {
            self.hide_payload();
        }
    }

    /// There is no room for one label more.
    pub(super) fn refuse_label(&mut self) {
        self.recorder.note(
            Weight::Error,
            format_args!("dropping packet on which an MPLS push action can't be performed as it would have more MPLS LSEs than the 3 supported."),
        );
        self.fail(TranslateError::TooManyLabels);
    }

    /// What is behind the labels cannot be seen; the packet still has what was written to it.
    fn hide_payload(&mut self) {
        for place in PAYLOAD {
            if self.flow.load(place) != 0 {
                self.flow.store(place, 0);
            }
        }
    }

    pub(super) fn pop_mpls(&mut self, eth_type: u16) {
        let count = self.labels();
        if count == 0 {
            return;
        }
        if !ETH_TYPE_MPLS.contains(&eth_type) {
            self.was_mpls = true;
        }
        for (at, place) in LABELS.into_iter().enumerate() {
            let below = LABELS.get(at + 1).filter(|_| at + 1 < count).map_or(0, |&place| {
                self.wc.unwildcard_place(place);
                self.flow.load(place)
            });
            if self.flow.load(place) != below {
                self.flow.store(place, below);
            }
        }
        self.flow.store(layout::ETH_TYPE, u128::from(eth_type));
        if self.was_mpls {
            LABELS.iter().for_each(|&place| {
                if self.flow.load(place) != 0 {
                    self.flow.store(place, 0);
                }
            });
        }
    }

    pub(super) fn dec_mpls_ttl(&mut self) {
        if !ETH_TYPE_MPLS.contains(&self.flow.eth_type()) {
            self.exit_list();
            return;
        }
        self.wc.unwildcard(FieldId::MplsTtl);
        let ttl = self.flow.get(FieldId::MplsTtl);
        if ttl > 1 {
            self.set_whole(FieldId::MplsTtl, ttl - 1);
        } else {
            let reason = PacketInReason::InvalidTtl;
            self.controller(&Controller { reason, ..Controller::default() });
            self.exit_list();
        }
    }

    /// Whether an action looks beneath labels that have been taken off, and so must wait until the
    /// packet has been parsed again.
    pub(super) fn needs_parsing(&self, action: &Action) -> bool {
        self.was_mpls
            && match action {
                // What is behind a patch looks at it, and so does a hash.
                Action::Output { port, .. } => {
                    self.port(*port).is_some_and(|port| matches!(port.kind, PortKind::Patch { .. }))
                }
                Action::Group(id) => {
                    let group = self.view.tables.group(GroupId(*id));
                    group.is_some_and(|group| group.kind == GroupKind::Select)
                }
                action => looks_beneath(action),
            }
    }
}

/// Whether an action waits for the parser: all do but those of which it is plain that they neither
/// look at nor write what is behind the labels.
fn looks_beneath(action: &Action) -> bool {
    match action {
        Action::OutputTrunc { .. }
        | Action::Controller(_)
        | Action::SetVlanVid(_)
        | Action::SetVlanPcp(_)
        | Action::SetEthSrc(_)
        | Action::SetEthDst(_)
        | Action::SetTunnel { .. }
        | Action::SetQueue(_)
        | Action::Conjunction { .. }
        | Action::Meter(_)
        | Action::ClearActions
        | Action::SetOption(_)
        | Action::DebugRecirc
        | Action::DebugSlow => {
            // NORMAL does not look so far either.
            false
        }
        Action::SetField { field, .. } => beneath(*field),
        Action::Load { dst, .. } => beneath(dst.field),
        Action::OutputReg { src, .. } => beneath(src.field),
        _ => true,
    }
}

fn beneath(field: FieldId) -> bool {
    use dp_core::flow::fields::Prereq;
    !matches!(field.field().prereq, Prereq::None | Prereq::Ethernet | Prereq::VlanVid)
}

/// What stands behind the Ethertype, and is hidden when another header is put before it.
pub(super) const PAYLOAD: [layout::Place; 15] = [
    layout::NW_PROTO,
    layout::NW_TOS,
    layout::NW_TTL,
    layout::NW_FRAG,
    layout::TCP_FLAGS,
    layout::IPV4_SRC,
    layout::IPV4_DST,
    layout::TP_SRC,
    layout::TP_DST,
    layout::IPV6_SRC,
    layout::IPV6_DST,
    layout::ND_TARGET,
    layout::IPV6_LABEL,
    layout::ARP_SHA,
    layout::ARP_THA,
];
