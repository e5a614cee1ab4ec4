//! Random flows of which every part is meaningful: matches with their prerequisites, actions that
//! fit them. Deterministic, so that a failure is the same tomorrow.

use std::net::Ipv4Addr;

use dp_core::base::{MacAddr, OfPort, mix64};
use dp_core::flow::fields::{Maskable, Prereq};
use dp_core::flow::{FIELDS, FieldId as F};
use dp_ofproto::action::{Action, Checker, Subfield, width};
use dp_ofproto::matching::{Match, MatchBuilder, prereq};

/// A stream of random numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix64(self.0, 0xd6e8_feb8_6659_fd93)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A value of so many bits, at most 128: zero, all ones, small, or anything.
    fn value(&mut self, bits: u16) -> u128 {
        let ones = u128::MAX >> (128 - u32::from(bits.min(128)));
        let any = u128::from(self.next()) << 64 | u128::from(self.next());
        ones & match self.below(6) {
            0 => 0,
            1 => ones,
            2 => any & 0xf,
            _ => any,
        }
    }
}

/// What matches may be about: prerequisites that meaningful fields need.
const KINDS: &[&[(F, u128)]] = &[
    &[],
    &[(F::EthType, 0x88cc)],
    &[(F::EthType, 0x0806)],
    &[(F::EthType, 0x8035)],
    &[(F::EthType, 0x0800)],
    &[(F::EthType, 0x86dd)],
    &[(F::EthType, 0x0800), (F::NwProto, 6)],
    &[(F::EthType, 0x0800), (F::NwProto, 17)],
    &[(F::EthType, 0x0800), (F::NwProto, 132)],
    &[(F::EthType, 0x0800), (F::NwProto, 1)],
    &[(F::EthType, 0x0800), (F::NwProto, 47)],
    &[(F::EthType, 0x86dd), (F::NwProto, 6)],
    &[(F::EthType, 0x86dd), (F::NwProto, 17)],
    &[(F::EthType, 0x86dd), (F::NwProto, 132)],
    &[(F::EthType, 0x86dd), (F::NwProto, 58)],
    &[(F::EthType, 0x86dd), (F::NwProto, 58), (F::Icmpv6Type, 135), (F::Icmpv6Code, 0)],
    &[(F::EthType, 0x86dd), (F::NwProto, 58), (F::Icmpv6Type, 136), (F::Icmpv6Code, 0)],
    &[(F::EthType, 0x8847)],
    &[(F::EthType, 0x8848)],
    &[(F::EthType, 0x894f)],
    &[(F::EthType, 0x0800), (F::NwProto, 6), (F::CtState, 0x21)],
    &[(F::EthType, 0x0800), (F::CtState, 0x21), (F::CtNwProto, 6)],
    &[(F::EthType, 0x86dd), (F::NwProto, 17), (F::CtState, 0x22)],
    &[(F::PacketType, 0x1_0800)],
    &[(F::PacketType, 0x1_86dd)],
];

/// Fields that the reference does not print as they were given (it leaves out zero values or
/// masks, or adds words), or cannot put into the message that its tool prints.
const LOSSY: &[F] = &[
    F::RecircId,
    F::SkbPriority,
    F::TunTtl,
    F::TunTos,
    F::TunGbpFlags,
    F::TunErspanIdx,
    F::TunErspanVer,
    F::TunErspanDir,
    F::TunErspanHwid,
    F::TunGtpuFlags,
    F::TunGtpuMsgtype,
    F::NshC1,
    F::NshC2,
    F::NshC3,
    F::NshC4,
];

/// Fields that a random match does not choose by itself: what decides about others.
const DECIDING: &[F] = &[F::EthType, F::NwProto, F::PacketType, F::CtState];

/// Which flows are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// All that we can say.
    Identity,
    /// What the reference prints as it was given, in OpenFlow 1.0 with extensions.
    Reference,
    /// The same in OpenFlow 1.5, which has no fields for a whole TCI.
    Reference15,
}

/// A random match; its fields' prerequisites are met.
pub(crate) fn random_match(random: &mut Random, wanted: For) -> Match {
    loop {
        // A later field may take away what an earlier one needs.
        let matching = draw(random, wanted);
        if matching.validate().is_ok() {
            return matching;
        }
    }
}

fn draw(random: &mut Random, wanted: For) -> Match {
    let mut builder = Match::build();
    for &(id, value) in *random.pick(KINDS) {
        let mask = if id == F::CtState { value | 0x02 } else { u128::MAX };
        builder.set(id, value, mask);
    }
    // Mostly fields that only such packets have.
    let fitting: Vec<_> = FIELDS
        .iter()
        .filter(|field| prereq::check(field.id, &builder.key, &builder.mask).is_ok())
        .filter(|field| !(wanted != For::Identity && LOSSY.contains(&field.id)))
        .collect();
    let own: Vec<_> =
        fitting.iter().copied().filter(|field| field.prereq != Prereq::None).collect();
    for _ in 0..random.below(8) {
        let field = *{
            let from = if random.one_in(2) { &fitting } else { &own };
            random.pick(from)
        };
        if DECIDING.contains(&field.id) || builder.mask.get(field.id) != 0 {
            continue;
        }
        let (value, mask) = match field.id {
            F::VlanTci | F::DlVlan | F::VlanVid | F::DlVlanPcp | F::VlanPcp => {
                if wanted != For::Reference15 {
                    vlan(random, &mut builder, wanted);
                }
                continue;
            }
            F::IpFrag => *random.pick(&[(0, 3), (1, 3), (3, 3), (0, 2), (1, 1)]),
            F::InPort | F::InPortOxm | F::ActsetOutput => {
                let ports = [1, 2, 0xfeff, 0xfffe, u128::from(random.next() % 0xff00)];
                (*random.pick(&ports), u128::MAX)
            }
            F::NwTos => (random.value(8), 0xfc),
            F::NshMdtype if wanted != For::Identity => (1, u128::MAX),
            // The reference reads eight bits and sends six.
            F::NshTtl if wanted != For::Identity => (random.value(6), u128::MAX),
            // The reference forgets a zero here.
            F::CtNwProto if wanted != For::Identity => (random.value(8) | 1, u128::MAX),
            _ => {
                let mask = match field.maskable {
                    Maskable::Exact => u128::MAX,
                    // The reference takes most long masks for prefix lengths.
                    Maskable::Bits if field.bits == 128 && wanted != For::Identity => {
                        prefix(random, 128)
                    }
                    Maskable::Bits => random_mask(random, field.bits),
                };
                (random.value(field.bits), mask)
            }
        };
        builder.set(field.id, value & mask & field.ones(), mask);
    }
    builder.finish()
}

fn random_mask(random: &mut Random, bits: u16) -> u128 {
    let ones = u128::MAX >> (128 - u32::from(bits.min(128)));
    match random.below(4) {
        0 | 1 => ones,
        2 => prefix(random, bits),
        _ => random.value(bits).max(1),
    }
}

fn prefix(random: &mut Random, bits: u16) -> u128 {
    let bits = bits.min(128);
    let ones = u128::MAX >> (128 - u32::from(bits));
    let len = 1 + random.below(usize::from(bits));
    ones ^ ones.checked_shr(u32::try_from(len).unwrap()).unwrap_or(0)
}

fn vlan(random: &mut Random, builder: &mut MatchBuilder, wanted: For) {
    let tci = random.value(16) | 0x1000;
    let masks = [0x1fff, 0xf000, 0xffff, 0x1000, 0x1000 | random.value(16)];
    let (value, mask) = match random.below(6) {
        0 => (0, 0xffff),
        1 => (0, 0x1fff),
        2 if wanted == For::Identity => (random.value(16), random.value(16)),
        _ => (tci, *random.pick(&masks)),
    };
    builder.set(F::VlanTci, value & mask, mask);
}

/// Which actions are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// All.
    All,
    /// Those that OpenFlow 1.0 with extensions carries as they are.
    OpenFlow10,
    /// Those that OpenFlow 1.5 carries as they are.
    OpenFlow15,
}

/// Random actions for rules with this match.
pub(crate) fn random_actions(
    random: &mut Random,
    matching: &Match,
    spelling: Spelling,
) -> Vec<Action> {
    let mut checker = Checker::new(Some(0), Some(matching));
    let mut actions = Vec::new();
    for _ in 0..random.below(6) {
        let action = random_action(random, spelling);
        // Refused ones leave a trace in the checker; so check what is there once more.
        if checker.next(&action).is_ok() {
            actions.push(action);
        } else {
            checker = Checker::new(Some(0), Some(matching));
            assert!(actions.iter().all(|action| checker.next(action).is_ok()));
        }
    }
    if spelling != Spelling::OpenFlow10 && random.one_in(3) {
        let id = random.pick(&[F::Reg0, F::Reg7, F::Metadata, F::EthSrc]);
        let set = vec![Action::set_field(*id, 5), Action::output(OfPort(1))];
        let checked = checker.next(&Action::WriteActions(set.clone().into()));
        if checked.is_err() {
            return actions;
        }
        actions.push(Action::ClearActions);
        actions.push(Action::WriteActions(set.into()));
        let mask = u64::try_from(random_mask(random, 64)).unwrap();
        actions.push(Action::WriteMetadata { value: random.next() & mask, mask });
        actions.push(Action::GotoTable(1 + u8::try_from(random.below(250)).unwrap()));
    }
    actions
}

fn random_action(random: &mut Random, spelling: Spelling) -> Action {
    let common = match random.below(12) {
        0 => Action::output(OfPort(u16::try_from(random.below(0xff00)).unwrap())),
        1 => {
            let ports = OfPort::RESERVED;
            match random.pick(&ports[1..8]).0 {
                OfPort::CONTROLLER => Action::Output { port: OfPort::CONTROLLER, max_len: 128 },
                port => Action::output(port),
            }
        }
        2 => Action::OutputReg {
            src: subfield(random, &[F::Reg0, F::Reg3, F::Xreg2], 16),
            max_len: u16::MAX,
        },
        3 => {
            let port = *random.pick(&[None, Some(OfPort(7)), Some(OfPort::LOCAL)]);
            let table = *random.pick(&[None, Some(0), Some(3), Some(254)]);
            Action::Resubmit {
                in_port: port,
                table: table.or((port.is_none()).then_some(9)),
                ct: false,
            }
        }
        4 => {
            let src = subfield(random, ANY_FIELD, 64);
            let dst = subfield(random, ANY_FIELD, 64);
            let bits = src.bits.min(dst.bits);
            Action::Move { src: Subfield { bits, ..src }, dst: Subfield { bits, ..dst } }
        }
        5 => Action::Push(subfield(random, ANY_FIELD, 128)),
        6 => Action::Pop(subfield(random, ANY_FIELD, 128)),
        7 => Action::DecTtl(random.pick(&[vec![0], vec![7], vec![1, 2]]).clone().into()),
        8 => {
            let len = 6 + 8 * random.below(3);
            Action::Note((0..len).map(|_| random.next().to_le_bytes()[0]).collect())
        }
        9 => Action::Exit,
        _ => return special_action(random, spelling),
    };
    // The first version's tool knows no empty resubmit, and dec_ttl only with IP.
    match common {
        Action::DecTtl(_) if spelling == Spelling::OpenFlow15 => Action::Exit,
        common => common,
    }
}

/// What one version of the protocol has and the other says in other words.
fn special_action(random: &mut Random, spelling: Spelling) -> Action {
    let old = match spelling {
        Spelling::All => random.one_in(2),
        Spelling::OpenFlow10 => true,
        Spelling::OpenFlow15 => false,
    };
    let bytes = random.next().to_le_bytes();
    let mac = MacAddr([2, bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]]);
    let port = u16::from_le_bytes([bytes[5], bytes[6]]);
    if old {
        return match random.below(13) {
            0 => Action::SetEthSrc(mac),
            1 => Action::SetEthDst(mac),
            2 => Action::SetVlanVid(port & 0xfff),
            3 => Action::SetVlanPcp(bytes[0] & 7),
            4 => Action::StripVlan,
            5 => Action::SetIpv4Src(Ipv4Addr::new(10, bytes[0], bytes[1], bytes[2])),
            6 => Action::SetIpv4Dst(Ipv4Addr::new(10, bytes[0], bytes[1], bytes[2])),
            7 => Action::SetTos(bytes[0] & 0xfc),
            8 => Action::SetL4Src(port),
            9 => Action::SetL4Dst(port),
            10 => {
                let id = random.next() >> (8 * random.below(8));
                Action::SetTunnel { id, wide: id > u64::from(u32::MAX) || random.one_in(4) }
            }
            _ => {
                let dst = subfield(random, ANY_FIELD, 64);
                let value = u64::try_from(random.value(dst.bits)).unwrap();
                match dst.field {
                    F::NwTos | F::VlanTci => Action::Exit,
                    F::ArpOp => Action::Load { dst, value: value & 0xff },
                    _ => Action::Load { dst, value },
                }
            }
        };
    }
    match random.below(10) {
        // Of OpenFlow 1.1 and later only where there is a tag.
        0 if spelling == Spelling::All => Action::PopVlan,
        // And only as long as there are not too many.
        1 if spelling == Spelling::All => Action::PushVlan(*random.pick(&[0x8100, 0x88a8])),
        2 if spelling == Spelling::All => Action::SetEcn(bytes[0] & 3),
        3 if spelling == Spelling::All => Action::SetTtl(bytes[0]),
        _ => {
            let id = *random.pick(ANY_FIELD);
            let row = id.field();
            let full = if id == F::NwTos { 0xfc } else { row.ones() };
            let mask = match row.maskable {
                Maskable::Bits if row.bits == 128 => prefix(random, 128),
                Maskable::Bits => random_mask(random, row.bits) & full,
                Maskable::Exact => full,
            };
            Action::SetField { field: id, value: random.value(row.bits) & mask, mask, named: false }
        }
    }
}

/// Fields that actions may touch in most matches, and some of a few.
const ANY_FIELD: &[F] = &[
    F::Reg0,
    F::Reg5,
    F::Reg15,
    F::Xreg1,
    F::Xxreg0,
    F::Metadata,
    F::TunId,
    F::TunSrc,
    F::PktMark,
    F::EthSrc,
    F::EthDst,
    F::Ipv4Src,
    F::Ipv4Dst,
    F::Ipv6Src,
    F::Ipv6Dst,
    F::Ipv6Label,
    F::NwTos,
    F::IpDscp,
    F::NwEcn,
    F::NwTtl,
    F::TcpSrc,
    F::UdpDst,
    F::SctpDst,
    F::Icmpv4Type,
    F::Icmpv6Code,
    F::ArpOp,
    F::ArpSpa,
    F::ArpSha,
    F::NdTarget,
    F::NdSll,
    F::MplsLabel,
];

fn subfield(random: &mut Random, fields: &[F], most: u16) -> Subfield {
    let field = *random.pick(fields);
    let width = width(field);
    if random.one_in(2) && width <= most {
        return Subfield::whole(field);
    }
    let bits = 1 + u16::try_from(random.below(usize::from(width.min(most)))).unwrap();
    let start = u16::try_from(random.below(usize::from(width - bits + 1))).unwrap();
    Subfield { field, start, bits }
}
