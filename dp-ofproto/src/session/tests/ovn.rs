//! What a controller of OVN sends: one rejected message makes it begin again for ever.

use std::net::Ipv4Addr;

use dp_core::base::OfPort;
use dp_core::flow::FieldId;

use super::{Session, T0};
use crate::action::{
    Action, Bundle, BundleAlgorithm, Controller, Ct, HashFields, Learn, LearnSource, LearnSpec,
    LearnTarget, Nat, NatAddresses, NatKind, Sample, SampleDirection, SampleNumber, Subfield,
    ZoneSource,
};
use crate::group::{GroupId, GroupKind, Selection, SelectionMethod};
use crate::matching::Match;
use crate::openflow::control::{self, bundle};
use crate::openflow::flow_mod::{self, FlowModMessage};
use crate::openflow::meter::{Band, BandKind, Command as MeterCommand, MeterMod, flag};
use crate::openflow::packet::PacketOut;
use crate::openflow::wire::Put;
use crate::openflow::{Version, experimenter, group_mod, message_type};
use crate::table::group_mod::bucket_id;
use crate::table::{BucketSpec, Command, FlowMod, GroupCommand, GroupMod};

const V: Version = Version::V15;

fn sub(field: FieldId, start: u16, bits: u16) -> Subfield {
    Subfield::new(field, start, bits).unwrap()
}

/// Every action that ovn-controller emits.
fn actions() -> Vec<Action> {
    let reg = sub(FieldId::Reg13, 0, 16);
    let set = Action::set_field;
    let bits = |field, value, mask| Action::SetField { field, value, mask, named: false };
    let mark = bits(FieldId::CtMark, 1, 1);
    let label = bits(FieldId::CtLabel, 5, u128::from(u32::MAX));
    let nat = Nat {
        kind: Some(NatKind::Src),
        addresses: Some(NatAddresses::V4 {
            min: Ipv4Addr::new(10, 0, 0, 1),
            max: Some(Ipv4Addr::new(10, 0, 0, 9)),
        }),
        ports: Some((1024, Some(65_535))),
        persistent: true,
        protocol_random: true,
        ..Nat::default()
    };
    let mut ct = Ct { commit: true, zone: ZoneSource::Field(reg), nat: Some(nat), ..Ct::default() };
    ct.exec = [
        mark,
        label,
        Action::Move { src: sub(FieldId::Reg0, 0, 32), dst: sub(FieldId::CtMark, 0, 32) },
    ]
    .into();
    let learn = Learn {
        table: 73,
        priority: 100,
        idle_timeout: 300,
        limit: 50,
        delete_learned: true,
        specs: [
            LearnSpec::match_same(FieldId::Metadata),
            LearnSpec {
                src: LearnSource::Value(0x800.into()),
                dst: LearnTarget::Match(Subfield::whole(FieldId::EthType)),
                bits: 16,
            },
            LearnSpec {
                src: LearnSource::Value(1.into()),
                dst: LearnTarget::Load(sub(FieldId::Reg10, 6, 1)),
                bits: 1,
            },
        ]
        .into(),
        ..Learn::default()
    };
    vec![
        set(FieldId::Metadata, 7),
        set(FieldId::Reg14, 3),
        bits(FieldId::Reg10, 1, 1),
        Action::SetField { field: FieldId::IpDscp, value: 10, mask: 0x3f, named: true },
        Action::Move { src: sub(FieldId::Reg1, 0, 32), dst: sub(FieldId::Reg2, 0, 32) },
        Action::Push(sub(FieldId::Reg15, 0, 32)),
        Action::Pop(sub(FieldId::Reg15, 0, 32)),
        Action::SetEthSrc(dp_core::base::MacAddr([2, 0, 0, 0, 0, 1])),
        Action::PushVlan(0x8100),
        Action::SetVlanVid(5),
        Action::StripVlan,
        Action::DecTtl([].into()),
        Action::SetTtl(255),
        Action::Ct(Box::new(ct)),
        Action::Ct(Box::new(Ct { table: Some(12), nat: Some(Nat::default()), ..Ct::default() })),
        Action::CtClear,
        Action::Learn(Box::new(learn)),
        Action::Clone([set(FieldId::InPort, 0), Action::resubmit(8)].into()),
        Action::CheckPktLarger { len: 1500, dst: sub(FieldId::Reg0, 0, 1) },
        Action::SetQueue(3),
        Action::Note([0; 6].into()),
        Action::Meter(1),
        Action::Controller(Box::new(Controller {
            pause: true,
            userdata: [0, 0, 0, 1].into(),
            meter: Some(1),
            extended: true,
            ..Controller::default()
        })),
        Action::Bundle(Box::new(Bundle {
            algorithm: BundleAlgorithm::ActiveBackup,
            fields: HashFields::EthSrc,
            basis: 0,
            members: [OfPort(1), OfPort(2)].into(),
            dst: None,
        })),
        Action::Sample(Box::new(Sample {
            probability: 65_535,
            collector_set: 1,
            obs_domain: SampleNumber::Field(sub(FieldId::Reg0, 0, 32)),
            obs_point: SampleNumber::Field(sub(FieldId::Reg1, 0, 32)),
            sampling_port: OfPort::NONE,
            direction: SampleDirection::Default,
        })),
        Action::Group(1),
        Action::Conjunction { id: 5, clause: 0, clauses: 2 },
        Action::resubmit(33),
        Action::output(OfPort(1)),
    ]
}

fn matching() -> Match {
    Match::build()
        .exact(FieldId::Metadata, 7)
        .exact(FieldId::Reg14, 3)
        .masked(FieldId::Reg10, 0, 1)
        .masked(FieldId::CtState, 0x22, 0x22)
        .masked(FieldId::CtMark, 0, 1)
        .exact(FieldId::EthType, 0x800)
        .exact(FieldId::NwProto, 6)
        .masked(FieldId::Ipv4Dst, 0x0a00_0000, 0xff00_0000)
        .masked(FieldId::TcpDst, 0x100, 0xff00)
        .finish()
}

fn flow(command: Command, table: Option<u8>, actions: Vec<Action>) -> Vec<u8> {
    let flow_mod = FlowMod {
        command,
        table,
        matching: if table.is_some() { matching() } else { Match::any() },
        new_cookie: (command == Command::Add).then_some(0x1234),
        actions,
        ..FlowMod::default()
    };
    let message = FlowModMessage { flow_mod, buffer_id: None };
    control::reply(V, message_type::FLOW_MOD, 7, |out| flow_mod::encode11(out, &message, V))
}

fn group(command: GroupCommand, group: GroupId, buckets: Vec<BucketSpec>) -> Vec<u8> {
    let message = GroupMod {
        command,
        kind: GroupKind::Select,
        group,
        bucket: if command == GroupCommand::InsertBucket {
            bucket_id::LAST
        } else {
            bucket_id::ALL
        },
        buckets,
        selection: match command {
            GroupCommand::Add => Selection {
                method: SelectionMethod::DpHash,
                param: 0x1_0000_0000,
                fields: Vec::new(),
            },
            _ => Selection::default(),
        },
    };
    control::reply(V, 15, 7, |out| group_mod::encode(out, &message, V))
}

fn bucket(id: u32) -> BucketSpec {
    BucketSpec {
        id: Some(id),
        weight: Some(100),
        watch_port: Some(OfPort(1)),
        watch_group: None,
        actions: vec![Action::set_field(FieldId::Reg0, 5), Action::resubmit(20)],
    }
}

#[test]
fn every_message_of_an_ovn_controller_is_accepted() {
    let mut session = Session::new(V);
    let mut all = Vec::new();
    all.extend(session.request(experimenter_type(), |out| {
        nicira(out, experimenter::nicira::TLV_TABLE_REQUEST);
    }));
    all.extend(session.request(experimenter_type(), |out| {
        nicira(out, experimenter::nicira::TLV_TABLE_MOD);
        out.zeros(8);
        out.put(&[0x01, 0x02, 0x80, 4, 0, 0, 0, 0]);
    }));
    let meter = |command| MeterMod {
        command,
        meter: 1,
        flags: flag::PKTPS | flag::STATS | flag::BURST,
        bands: vec![Band { kind: BandKind::Drop, rate: 100, burst: 10 }],
    };
    for command in [MeterCommand::Add, MeterCommand::Modify] {
        all.extend(session.request(29, |out| meter(command).encode(out)));
    }
    all.extend(session.bundle(bundle::OPEN));
    let mut pieces = vec![
        group(GroupCommand::Delete, GroupId::ALL, vec![]),
        flow(Command::Delete, None, vec![]),
        group(GroupCommand::Add, GroupId(1), vec![bucket(0), bucket(1)]),
        group(GroupCommand::InsertBucket, GroupId(1), vec![bucket(2)]),
        // More buckets than a message holds come in pieces.
        group(GroupCommand::InsertBucket, GroupId(1), (3..600).map(bucket).collect()),
        group(GroupCommand::InsertBucket, GroupId(1), (600..1200).map(bucket).collect()),
        group(GroupCommand::RemoveBucket, GroupId(1), vec![]),
        group(GroupCommand::InsertBucket, GroupId(1), vec![bucket(0)]),
        group(GroupCommand::Add, GroupId(2), vec![bucket(0)]),
        group(GroupCommand::Delete, GroupId(2), vec![]),
    ];
    // Each alone, so that a fault names its action; a tag is set, or taken off, where there is one.
    let of_tag = |action: &Action| matches!(action, Action::SetVlanVid(_) | Action::StripVlan);
    let alone = actions().into_iter().filter(|action| !of_tag(action));
    pieces.extend(
        (8u8..).zip(alone).map(|(table, action)| flow(Command::Add, Some(table), vec![action])),
    );
    pieces.push(flow(Command::Add, Some(7), actions()));
    pieces.push(flow(Command::ModifyStrict, Some(7), vec![Action::output(OfPort(2))]));
    pieces.push(flow(Command::DeleteStrict, Some(8), vec![]));
    for piece in pieces {
        all.extend(session.add_to_bundle(&piece));
    }
    all.extend(session.bundle(bundle::COMMIT));
    assert_eq!(session.errors(&all), []);
    // All but the tag's two, and the one with all of them; one was deleted.
    assert_eq!(session.flows(), actions().len() - 2);
    all.extend(session.request(20, |_| {}));
    for (subtype, body) in [
        (experimenter::nicira::SET_PACKET_IN_FORMAT, vec![0, 0, 0, 2]),
        (experimenter::nicira::CT_FLUSH_ZONE, vec![0, 0, 0, 0, 0, 0, 0, 5]),
        (experimenter::nicira::CT_FLUSH, vec![6, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 6, 0, 5, 0, 0]),
        (experimenter::nicira::CT_FLUSH, flush_by_label()),
        (experimenter::nicira::RESUME, resumed()),
    ] {
        all.extend(session.request(experimenter_type(), |out| {
            nicira(out, subtype);
            out.put(&body);
        }));
    }
    all.extend(session.request(message_type::GET_CONFIG_REQUEST, |_| {}));
    all.extend(session.request(message_type::SET_CONFIG, |out| out.put(&[0, 0, 0xff, 0xff])));
    let packet = PacketOut {
        buffer_id: None,
        metadata: Match::build().exact(FieldId::InPort, u128::from(OfPort::CONTROLLER.0)).finish(),
        actions: vec![
            Action::set_field(FieldId::Metadata, 7),
            Action::Load { dst: sub(FieldId::Reg14, 0, 16), value: 3 },
            Action::resubmit(8),
        ],
        packet: vec![0; 60],
    };
    all.extend(session.request(message_type::PACKET_OUT, |out| packet.encode(out, V)));
    // Statistics of flows by cookie, and what meters and groups can be.
    for table in [103, 96, 90] {
        all.extend(session.request(18, |out| {
            out.put(&[0, 1, 0, 0, 0, 0, 0, 0, table, 0, 0, 0]);
            out.put(&[0xff; 8]);
            out.zeros(4);
            out.put64(0x1234);
            out.put64(u64::MAX);
            out.put(&[0, 1, 0, 4, 0, 0, 0, 0]);
        }));
    }
    for kind in [8, 11] {
        all.extend(session.request(18, |out| out.put(&[0, kind, 0, 0, 0, 0, 0, 0])));
    }
    all.extend(session.request(message_type::ECHO_REQUEST, |_| {}));
    // A probe for an action, in a bundle that is discarded.
    all.extend(session.bundle(bundle::OPEN));
    all.extend(session.add_to_bundle(&flow(Command::Add, Some(3), vec![])));
    all.extend(session.bundle(bundle::DISCARD));
    all.extend(session.request(29, |out| meter(MeterCommand::Delete).encode(out)));
    let every = MeterMod { meter: 0xffff_ffff, ..meter(MeterCommand::Delete) };
    all.extend(session.request(29, |out| every.encode(out)));
    assert_eq!(session.errors(&all), []);
    assert_eq!((session.host.packets_out, session.host.flushed.len()), (1, 3));
    let flushed = session.host.flushed.last().unwrap();
    assert_eq!((flushed.zone, flushed.label), (Some(5), Some((1 << 95, u128::MAX))));
    assert_eq!(session.host.resumed, 1);
    session.service.run(T0);
    assert_eq!(session.service.bridge().tlv_table().iter().count(), 1);
}

/// `CT_FLUSH` of a zone's connections with a label.
fn flush_by_label() -> Vec<u8> {
    let mut body = vec![0; 8];
    body.put(&[0, 2, 0, 6, 0, 5, 0, 0]);
    for (ty, number) in [(5, 1u128 << 95), (6, u128::MAX)] {
        body.put(&[0, ty, 0, 20]);
        body.put(&number.to_be_bytes());
        body.zeros(4);
    }
    body
}

/// A packet that comes back with the state it was paused in.
fn resumed() -> Vec<u8> {
    let mut body = vec![0, 0, 0, 64];
    body.zeros(60);
    // The table, the cookie, the reason.
    body.put(&[0, 3, 0, 5, 28, 0, 0, 0]);
    body.put(&[0, 4, 0, 16, 0, 0, 0, 0]);
    body.put64(0x1234);
    body.put(&[0, 5, 0, 5, 1, 0, 0, 0]);
    // The metadata: a register.
    body.put(&[0, 6, 0, 12, 0, 1, 0, 4, 0, 0, 0, 8, 0, 0, 0, 0]);
    // The userdata's first word, and the continuation.
    body.put(&[0, 7, 0, 8, 0, 0, 0, 2]);
    body.put(&[0, 8, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    body
}

fn experimenter_type() -> u8 {
    message_type::EXPERIMENTER
}

fn nicira(out: &mut Vec<u8>, subtype: u32) {
    out.put32(experimenter::id::NICIRA);
    out.put32(subtype);
}
