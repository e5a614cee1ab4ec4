//! Whether a list of actions makes sense before it enters a table: widths, writability,
//! prerequisites of the fields that are touched, order.

use dp_core::flow::FieldId;
use dp_core::flow::fields::Prereq;
use thiserror::Error;

use super::{Action, PacketType, Subfield};
use crate::matching::{Match, MatchBuilder, prereq};

/// Why an action list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ActionError {
    /// The field is read-only.
    #[error("{} is read-only", .0.field().name)]
    ReadOnly(FieldId),
    /// The subfield lies outside its field.
    #[error("{} is only {} bits wide", .0.field().name, super::width(*.0))]
    OutOfField(FieldId),
    /// The match does not say what makes the field meaningful.
    #[error("{} can only be used where the match says {needs}", .field.field().name)]
    Prerequisite {
        /// The field.
        field: FieldId,
        /// What the match must say, as flow text.
        needs: &'static str,
    },
    /// Not the Ethertype of a VLAN tag.
    #[error("{0:#06x} is not the Ethertype of a VLAN tag (0x8100 or 0x88a8)")]
    VlanType(u16),
    /// A tos has ECN bits.
    #[error("{0} is not a valid tos: the two lower bits are not part of it")]
    Tos(u8),
    /// The value has more bits than the subfield.
    #[error("value {value:#x} does not fit into {bits} bits")]
    TooWide {
        /// The value.
        value: u128,
        /// Bits there are.
        bits: u16,
    },
    /// Source and destination of a move differ in width.
    #[error("source is {src} bits wide but destination is {dst} bits wide")]
    MoveWidths {
        /// Bits of the source.
        src: u16,
        /// Bits of the destination.
        dst: u16,
    },
    /// An instruction stands before another that must precede it.
    #[error("invalid instruction ordering: {second} must appear before {first}")]
    Order {
        /// The one that stands first.
        first: &'static str,
        /// The one that stands later.
        second: &'static str,
    },
    /// An instruction occurs twice.
    #[error("duplicate {0} instruction not allowed")]
    Duplicate(&'static str),
    /// Something that may not stand in an action set does.
    #[error("{0} is not allowed inside write_actions")]
    NotInSet(&'static str),
    /// The table to go to is not after the present one.
    #[error("goto_table:{to} from table {from}: the table must be a later one")]
    BackwardGoto {
        /// The present table.
        from: u8,
        /// The one to go to.
        to: u8,
    },
}

/// Checks a list of actions for a rule with this match in this table, or for no rule in particular.
///
/// # Errors
///
/// The first fault, from the front.
pub fn check(
    actions: &[Action],
    table: Option<u8>,
    matching: Option<&Match>,
) -> Result<(), ActionError> {
    let mut checker = Checker::new(table, matching);
    actions.iter().try_for_each(|action| checker.next(action))
}

/// Checks actions one after the other, so that a caller knows which of them is at fault.
#[derive(Debug)]
pub struct Checker<'a> {
    table: Option<u8>,
    matching: Option<&'a Match>,
    /// Key and mask of the match, once somebody asked.
    known: Option<Box<MatchBuilder>>,
    /// How many tags there are after the actions so far; `None`: as many as the match says.
    tags: Option<u8>,
    /// Whether the headers that actions with numbers of their own work on must be known to be there.
    strict: bool,
    /// The Ethertype that the actions so far have given the packet; `Some(None)`: it is not known
    /// what they have made of it.
    changed: Option<Option<u16>>,
    /// The last instruction.
    last: Option<(u8, &'static str)>,
}

impl<'a> Checker<'a> {
    /// For the actions of a rule with this match in this table. Prerequisites are not checked
    /// without a match.
    #[must_use]
    pub fn new(table: Option<u8>, matching: Option<&'a Match>) -> Self {
        Self { table, matching, known: None, tags: None, strict: false, changed: None, last: None }
    }

    /// As versions of the protocol from 1.1 on have it: a tag that is taken off, or an address or port
    /// that is set, is known to be there.
    #[must_use]
    pub const fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// How many tags the packet is known to have at this place of the list.
    fn tags(&mut self) -> u8 {
        let (Some(matching), None) = (self.matching, self.tags) else {
            return self.tags.unwrap_or(0);
        };
        let known = self.known.get_or_insert_with(|| Box::new(matching.to_builder()));
        u8::from(prereq::met(Prereq::VlanVid, &known.key, &known.mask))
    }

    /// Checks the next action of the list.
    ///
    /// # Errors
    ///
    /// What is wrong with it, where it stands.
    pub fn next(&mut self, action: &Action) -> Result<(), ActionError> {
        self.one(action)?;
        self.order(action)
    }

    fn one(&mut self, action: &Action) -> Result<(), ActionError> {
        match action {
            Action::OutputReg { src, .. } | Action::Push(src) => self.readable(*src),
            Action::Pop(dst) => self.writable(*dst),
            Action::Load { dst, value } => {
                self.writable(*dst)?;
                fits(u128::from(*value), *dst)
            }
            Action::SetField { field, value, mask, .. } => {
                self.writable(Subfield::whole(*field))?;
                fits(value | mask, Subfield::whole(*field))
            }
            Action::SetOption(set) => self.writable(Subfield::whole(set.field)),
            Action::Move { src, dst } => {
                self.readable(*src)?;
                self.writable(*dst)?;
                match src.bits == dst.bits {
                    true => Ok(()),
                    false => Err(ActionError::MoveWidths { src: src.bits, dst: dst.bits }),
                }
            }
            Action::PushVlan(tpid) => {
                self.tags = Some((self.tags() + 1).min(2));
                match tpid {
                    0x8100 | 0x88a8 => Ok(()),
                    _ => Err(ActionError::VlanType(*tpid)),
                }
            }
            Action::SetVlanVid(vid) => {
                self.needs(FieldId::VlanVid, &[Prereq::VlanVid])?;
                self.tags = Some(self.tags().max(1));
                fits(u128::from(*vid), Subfield::whole(FieldId::DlVlan))
            }
            Action::SetVlanPcp(pcp) => {
                self.needs(FieldId::DlVlanPcp, &[Prereq::VlanVid])?;
                self.tags = Some(self.tags().max(1));
                fits(u128::from(*pcp), Subfield::whole(FieldId::DlVlanPcp))
            }
            Action::StripVlan | Action::PopVlan => {
                let tags = self.tags();
                if self.strict && self.matching.is_some() && tags == 0 {
                    let needs = prereq::needs(Prereq::VlanVid);
                    return Err(ActionError::Prerequisite { field: FieldId::VlanVid, needs });
                }
                self.tags = Some(tags.saturating_sub(1));
                Ok(())
            }
            Action::SetEthSrc(_) | Action::SetEthDst(_) => {
                self.needs(FieldId::EthSrc, &[Prereq::Ethernet])
            }
            Action::SetIpv4Src(_) | Action::SetIpv4Dst(_) => {
                self.needs(FieldId::Ipv4Src, &[Prereq::Ipv4])
            }
            Action::SetTtl(_) | Action::DecTtl(_) => self.needs(FieldId::NwTtl, &[Prereq::IpAny]),
            Action::SetL4Src(_) | Action::SetL4Dst(_) => {
                self.needs(FieldId::TcpSrc, &[Prereq::Tcp, Prereq::Udp, Prereq::Sctp])
            }
            Action::SetMplsLabel(_)
            | Action::SetMplsTc(_)
            | Action::SetMplsTtl(_)
            | Action::DecMplsTtl => self.needs(FieldId::MplsLabel, &[Prereq::Mpls]),
            Action::PushMpls(eth_type) | Action::PopMpls(eth_type) => {
                if matches!(action, Action::PopMpls(_)) {
                    self.needs(FieldId::MplsLabel, &[Prereq::Mpls])?;
                }
                self.changed = Some(Some(*eth_type));
                Ok(())
            }
            Action::Encap(encap) => {
                let nsh = encap.packet_type == PacketType::NSH;
                self.changed = Some(nsh.then_some(PacketType::NSH.ns_type()));
                Ok(())
            }
            Action::Decap(_) => {
                self.changed = Some(None);
                Ok(())
            }
            Action::Multipath(multipath) => self.writable(multipath.dst),
            Action::Bundle(bundle) => bundle.dst.map_or(Ok(()), |dst| self.writable(dst)),
            Action::CheckPktLarger { dst, .. } => self.writable(*dst),
            Action::Learn(learn) => learn.result_dst.map_or(Ok(()), |dst| self.writable(dst)),
            Action::Clone(list) => {
                self.apart(|it| list.iter().try_for_each(|action| it.one(action)))
            }
            Action::SetTos(tos) if tos & 0x03 != 0 => Err(ActionError::Tos(*tos)),
            Action::SetTos(_) => self.needs(FieldId::NwTos, &[Prereq::IpAny]),
            Action::SetEcn(ecn) => self
                .needs(FieldId::NwEcn, &[Prereq::IpAny])
                .and(fits(u128::from(*ecn), Subfield::whole(FieldId::NwEcn))),
            Action::GotoTable(to) => match self.table {
                Some(from) if *to <= from => Err(ActionError::BackwardGoto { from, to: *to }),
                _ => Ok(()),
            },
            // What a packet will have when its set is executed nobody knows yet.
            Action::WriteActions(set) => self.apart(|it| {
                it.strict = false;
                set.iter().try_for_each(|action| match not_in_set(action) {
                    Some(name) => Err(ActionError::NotInSet(name)),
                    None => it.one(action),
                })
            }),
            _ => Ok(()),
        }
    }

    /// Checks a list that does not change the packet of the list around it.
    fn apart(
        &mut self,
        check: impl FnOnce(&mut Self) -> Result<(), ActionError>,
    ) -> Result<(), ActionError> {
        let before = (self.tags, self.changed, self.strict);
        let checked = check(self);
        (self.tags, self.changed, self.strict) = before;
        checked
    }

    /// Actions come before instructions, and these in the order of OpenFlow 1.1 (section 4.6),
    /// each at most once.
    fn order(&mut self, action: &Action) -> Result<(), ActionError> {
        let now = rank(action).unwrap_or((0, "apply_actions"));
        if let Some((rank, first)) = self.last.replace(now) {
            if now.0 == rank && rank > 0 {
                return Err(ActionError::Duplicate(first));
            }
            if now.0 < rank {
                return Err(ActionError::Order { first, second: now.1 });
            }
        }
        Ok(())
    }

    fn writable(&mut self, sub: Subfield) -> Result<(), ActionError> {
        match sub.field.field().writable {
            true => self.readable(sub),
            false => Err(ActionError::ReadOnly(sub.field)),
        }
    }

    fn readable(&mut self, sub: Subfield) -> Result<(), ActionError> {
        if Subfield::new(sub.field, sub.start, sub.bits).is_none() {
            return Err(ActionError::OutOfField(sub.field));
        }
        let prereq = match sub.field {
            // Matching says by a bit of the value whether there is a tag, writing cannot.
            FieldId::VlanVid => Prereq::VlanVid,
            field => field.field().prereq,
        };
        match self.meets(prereq) {
            true => Ok(()),
            false => {
                let needs = prereq::needs(prereq);
                Err(ActionError::Prerequisite { field: sub.field, needs })
            }
        }
    }

    /// What an action of a number of its own needs: one of these.
    fn needs(&mut self, field: FieldId, any: &[Prereq]) -> Result<(), ActionError> {
        match any.first().filter(|_| self.strict && !any.iter().any(|it| self.meets(*it))) {
            Some(first) => Err(ActionError::Prerequisite { field, needs: prereq::needs(*first) }),
            None => Ok(()),
        }
    }

    /// Whether the packet is known to have what these need, at this place of the list.
    fn meets(&mut self, prereq: Prereq) -> bool {
        let Some(matching) = self.matching.filter(|_| prereq != Prereq::None) else { return true };
        let known = self.known.get_or_insert_with(|| Box::new(matching.to_builder()));
        match (prereq, self.tags, self.changed) {
            (Prereq::VlanVid, Some(tags), _) => tags > 0,
            // Labels go behind the tags.
            (Prereq::VlanVid, None, Some(Some(eth_type)))
                if eth_type != PacketType::NSH.ns_type() =>
            {
                prereq::met(prereq, &known.key, &known.mask)
            }
            (_, _, Some(None)) => true,
            (_, _, Some(Some(eth_type))) => made(prereq, eth_type),
            _ => prereq::met(prereq, &known.key, &known.mask),
        }
    }
}

/// Whether a packet whose Ethertype was changed to this may have the field; what is behind it is not
/// known.
fn made(prereq: Prereq, eth_type: u16) -> bool {
    match prereq {
        Prereq::None | Prereq::Ethernet => true,
        Prereq::VlanVid => false,
        Prereq::Mpls => matches!(eth_type, 0x8847 | 0x8848),
        Prereq::Nsh => eth_type == 0x894f,
        Prereq::Arp => matches!(eth_type, 0x0806 | 0x8035),
        Prereq::Ipv4 => eth_type == 0x0800,
        Prereq::Ipv6 => eth_type == 0x86dd,
        _ => matches!(eth_type, 0x0800 | 0x86dd),
    }
}

fn fits(value: u128, sub: Subfield) -> Result<(), ActionError> {
    match value & !sub.ones() {
        0 => Ok(()),
        _ => Err(ActionError::TooWide { value, bits: sub.bits }),
    }
}

/// The place of an instruction among instructions; `None` for actions applied at once, which come
/// first.
fn rank(action: &Action) -> Option<(u8, &'static str)> {
    match action {
        Action::ClearActions => Some((1, "clear_actions")),
        Action::WriteActions(_) => Some((2, "write_actions")),
        Action::WriteMetadata { .. } => Some((3, "write_metadata")),
        Action::GotoTable(_) => Some((4, "goto_table")),
        _ => None,
    }
}

/// The name of an action that an action set cannot hold: it has no place in the order in which a set is
/// executed (OpenFlow 1.5.1, section 5.6, and the reference for what is not in there).
fn not_in_set(action: &Action) -> Option<&'static str> {
    Some(match action {
        Action::OutputReg { .. } => "output to a field's port",
        Action::OutputTrunc { .. } => "output with max_len",
        Action::Controller(_) => "controller",
        Action::Enqueue { .. } => "enqueue",
        Action::Bundle(_) => "bundle",
        Action::Multipath(_) => "multipath",
        Action::Push(_) => "push",
        Action::Pop(_) => "pop",
        Action::Note(_) => "note",
        Action::Exit => "exit",
        Action::PopQueue => "pop_queue",
        Action::Learn(_) => "learn",
        Action::Conjunction { .. } => "conjunction",
        Action::Sample(_) => "sample",
        Action::Clone(_) => "clone",
        Action::FinTimeout { .. } => "fin_timeout",
        Action::CheckPktLarger { .. } => "check_pkt_larger",
        Action::DeleteField(_) => "delete_field",
        Action::Meter(_) => "meter",
        other => return rank(other).map(|(_, name)| name),
    })
}

#[cfg(test)]
mod tests {
    use dp_core::base::OfPort;
    use dp_core::flow::FieldId;

    use super::{ActionError, check};
    use crate::action::{Action, Subfield};
    use crate::matching::Match;

    fn sub(field: FieldId, start: u16, bits: u16) -> Subfield {
        Subfield { field, start, bits }
    }

    #[test]
    fn faults_are_told_apart() {
        let cases = [
            (
                Action::Load { dst: sub(FieldId::Reg0, 0, 4), value: 16 },
                ActionError::TooWide { value: 16, bits: 4 },
            ),
            (
                Action::Load { dst: sub(FieldId::Reg0, 30, 4), value: 1 },
                ActionError::OutOfField(FieldId::Reg0),
            ),
            (Action::set_field(FieldId::EthType, 1), ActionError::ReadOnly(FieldId::EthType)),
            (
                Action::Move { src: sub(FieldId::Reg0, 0, 4), dst: sub(FieldId::Reg1, 0, 5) },
                ActionError::MoveWidths { src: 4, dst: 5 },
            ),
            (Action::GotoTable(3), ActionError::BackwardGoto { from: 3, to: 3 }),
            (
                Action::WriteActions([Action::GotoTable(9)].into()),
                ActionError::NotInSet("goto_table"),
            ),
        ];
        for (action, error) in cases {
            assert_eq!(check(&[action], Some(3), None), Err(error));
        }
    }

    #[test]
    fn instructions_follow_actions_in_their_order() {
        let out = Action::output(OfPort(1));
        assert_eq!(
            check(&[out.clone(), Action::ClearActions, Action::GotoTable(1)], None, None),
            Ok(())
        );
        assert_eq!(
            check(&[Action::GotoTable(1), out], None, None),
            Err(ActionError::Order { first: "goto_table", second: "apply_actions" })
        );
        assert_eq!(
            check(&[Action::GotoTable(1), Action::GotoTable(2)], None, None),
            Err(ActionError::Duplicate("goto_table"))
        );
    }

    #[test]
    fn fields_need_what_makes_them_meaningful() {
        let ip = Match::build().exact(FieldId::EthType, 0x800).finish();
        let any = Match::any();
        let set = Action::set_field(FieldId::Ipv4Src, 1);
        assert_eq!(check(std::slice::from_ref(&set), None, Some(&ip)), Ok(()));
        assert_eq!(check(std::slice::from_ref(&set), None, None), Ok(()));
        let error = check(&[set], None, Some(&any));
        assert!(matches!(error, Err(ActionError::Prerequisite { .. })));
        let vid = Action::set_field(FieldId::VlanVid, 5);
        assert!(check(std::slice::from_ref(&vid), None, Some(&any)).is_err());
        assert_eq!(check(&[Action::PushVlan(0x8100), vid.clone()], None, Some(&any)), Ok(()));
        let popped = [Action::PushVlan(0x8100), Action::PopVlan, vid];
        assert!(check(&popped, None, Some(&any)).is_err());
    }

    #[test]
    fn later_versions_ask_of_old_actions_what_they_ask_of_fields() {
        let any = Match::any();
        let dec = || Action::DecTtl([0].into());
        assert_eq!(check(&[dec()], None, Some(&any)), Ok(()));
        let strict = |list: &[Action]| {
            let mut checker = super::Checker::new(None, Some(&any)).strict();
            list.iter().try_for_each(|action| checker.next(action)).is_ok()
        };
        assert!(!strict(&[dec()]));
        assert!(!strict(&[Action::Clone([dec()].into())]));
        assert!(strict(&[Action::WriteActions([dec()].into())]), "nobody knows yet");
        assert!(strict(&[
            Action::PushMpls(0x8847),
            Action::SetMplsTtl(3),
            Action::PopMpls(0x800),
            dec()
        ]));
        assert!(!strict(&[Action::PopMpls(0x800)]));
        assert!(strict(&[Action::PushVlan(0x8100), Action::SetVlanVid(3)]));
        assert!(!strict(&[Action::SetVlanVid(3)]));
    }
}
