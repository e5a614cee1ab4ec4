use dp_core::base::{MacAddr, OfPort};
use dp_core::flow::FieldId;

use super::{decode_list, encode_list, instructions};
use crate::action::{
    Action, Alg, Bundle, BundleAlgorithm, Controller, Ct, Encap, EncapProperty, HashFields, Learn,
    LearnSource, LearnSpec, LearnTarget, Multipath, MultipathAlgorithm, Nat, NatAddresses, NatKind,
    PacketInReason, PacketType, Sample, SampleDirection, SampleNumber, Subfield, ZoneSource,
};
use crate::openflow::wire::Cursor;
use crate::openflow::{Code, Version};

fn sub(field: FieldId, start: u16, bits: u16) -> Subfield {
    Subfield::new(field, start, bits).unwrap()
}

/// Actions that are the same in every version.
fn everywhere() -> Vec<Action> {
    let reg = sub(FieldId::Reg3, 4, 16);
    let specs = [
        LearnSpec::match_same(FieldId::EthSrc),
        LearnSpec {
            src: LearnSource::Value(0x1234.into()),
            dst: LearnTarget::Load(sub(FieldId::Reg5, 0, 16)),
            bits: 16,
        },
        LearnSpec {
            src: LearnSource::Field(sub(FieldId::InPort, 0, 16)),
            dst: LearnTarget::Output,
            bits: 16,
        },
    ];
    vec![
        Action::output(OfPort(7)),
        Action::output(OfPort::CONTROLLER),
        Action::OutputReg { src: reg, max_len: 77 },
        Action::OutputTrunc { port: OfPort(3), max_len: 100 },
        Action::Resubmit { in_port: Some(OfPort(2)), table: None, ct: false },
        Action::Resubmit { in_port: None, table: Some(9), ct: false },
        Action::Resubmit { in_port: None, table: Some(9), ct: true },
        Action::Controller(Box::new(Controller { id: 5, ..Controller::default() })),
        Action::Controller(Box::new(Controller {
            max_len: 100,
            reason: PacketInReason::InvalidTtl,
            id: 3,
            userdata: [1, 2, 3].into(),
            pause: true,
            meter: Some(8),
            extended: true,
        })),
        Action::Bundle(Box::new(Bundle {
            algorithm: BundleAlgorithm::Hrw,
            fields: HashFields::SymmetricL4,
            basis: 9,
            members: [OfPort(1), OfPort(2), OfPort(3)].into(),
            dst: None,
        })),
        Action::Bundle(Box::new(Bundle {
            algorithm: BundleAlgorithm::ActiveBackup,
            fields: HashFields::EthSrc,
            basis: 0,
            members: [OfPort(4)].into(),
            dst: Some(sub(FieldId::Reg0, 0, 32)),
        })),
        Action::Multipath(Box::new(Multipath {
            fields: HashFields::NwSrc,
            basis: 50,
            algorithm: MultipathAlgorithm::IterHash,
            max_link: 12,
            arg: 7,
            dst: reg,
        })),
        Action::Push(reg),
        Action::Pop(sub(FieldId::Metadata, 3, 40)),
        Action::Note([1, 2, 3, 4, 5, 6].into()),
        Action::Exit,
        Action::DecTtl([1, 2].into()),
        Action::FinTimeout { idle: 3, hard: 4 },
        Action::Learn(Box::new(Learn { specs: specs.into(), cookie: 9, ..Learn::default() })),
        Action::Learn(Box::new(Learn {
            specs: specs.into(),
            limit: 5,
            result_dst: Some(sub(FieldId::Reg1, 7, 1)),
            delete_learned: true,
            send_flow_removed: true,
            ..Learn::default()
        })),
        Action::Conjunction { id: 77, clause: 1, clauses: 3 },
        Action::CtClear,
        Action::Ct(Box::new(Ct {
            commit: true,
            force: true,
            zone: ZoneSource::Field(reg),
            table: Some(4),
            alg: Some(Alg::Ftp),
            nat_also: Some(Nat { kind: Some(NatKind::Dst), ..Nat::default() }),
            nat: Some(Nat {
                kind: Some(NatKind::Src),
                addresses: Some(NatAddresses::V4 {
                    min: [10, 0, 0, 1].into(),
                    max: Some([10, 0, 0, 9].into()),
                }),
                ports: Some((1000, Some(2000))),
                persistent: true,
                protocol_hash: false,
                protocol_random: true,
            }),
            exec: [Action::Move { src: reg, dst: sub(FieldId::CtMark, 0, 16) }].into(),
        })),
        Action::Clone([Action::output(OfPort(1)), Action::Exit].into()),
        Action::CheckPktLarger { len: 1500, dst: sub(FieldId::Reg0, 3, 1) },
        Action::Encap(Box::new(Encap {
            packet_type: PacketType::NSH,
            properties: [
                EncapProperty::NshMdType(1),
                EncapProperty::NshTlv { class: 4, kind: 5, value: [1, 2, 3].into() },
            ]
            .into(),
        })),
        Action::Decap(None),
        Action::Decap(Some(PacketType::ETHERNET)),
        Action::DecNshTtl,
        Action::PopQueue,
        Action::SetQueue(9),
        Action::Group(11),
        Action::PushMpls(0x8847),
        Action::PopMpls(0x0800),
        Action::SetMplsTtl(5),
        Action::DecMplsTtl,
        Action::Sample(Box::new(Sample {
            probability: 1,
            collector_set: 2,
            obs_domain: SampleNumber::Value(3),
            obs_point: SampleNumber::Field(sub(FieldId::Reg1, 0, 32)),
            sampling_port: OfPort(8),
            direction: SampleDirection::Egress,
        })),
        Action::Sample(Box::new(Sample {
            probability: 1,
            collector_set: 2,
            obs_domain: SampleNumber::Value(3),
            obs_point: SampleNumber::Value(4),
            sampling_port: OfPort::NONE,
            direction: SampleDirection::Default,
        })),
        Action::Move { src: reg, dst: sub(FieldId::Reg7, 16, 16) },
    ]
}

fn round(actions: &[Action], version: Version) -> Vec<Action> {
    let mut bytes = Vec::new();
    encode_list(&mut bytes, actions, version);
    let read = decode_list(Cursor::new(&bytes), version).unwrap();
    let mut again = Vec::new();
    encode_list(&mut again, &read, version);
    assert_eq!(again, bytes, "{version}: what is read is written the same");
    read
}

#[test]
fn actions_are_read_as_they_were_written_in_every_version() {
    for version in Version::ALL {
        for action in everywhere() {
            let list = std::slice::from_ref(&action);
            if version < Version::V13 && matches!(action, Action::Decap(_) | Action::DecNshTtl) {
                let mut bytes = Vec::new();
                encode_list(&mut bytes, list, version);
                let read = decode_list(Cursor::new(&bytes), version);
                assert_eq!(read.err(), Some(Code::BacBadVendorType), "{version}: {action:?}");
                continue;
            }
            assert_eq!(round(list, version), list, "{version}");
        }
    }
}

#[test]
fn actions_that_a_version_lacks_become_others_that_do_the_same() {
    let mac = Action::SetEthSrc(MacAddr([0, 1, 2, 3, 4, 5]));
    assert_eq!(round(std::slice::from_ref(&mac), Version::V10), std::slice::from_ref(&mac));
    let field = Action::set_field(FieldId::EthSrc, 0x0001_0203_0405);
    assert_eq!(round(&[mac], Version::V13), [field]);
    let part = Action::SetField { field: FieldId::Reg1, value: 0x10, mask: 0xf0, named: false };
    let load = Action::Load { dst: sub(FieldId::Reg1, 4, 4), value: 1 };
    assert_eq!(round(std::slice::from_ref(&part), Version::V13), std::slice::from_ref(&load));
    assert_eq!(round(&[load], Version::V15), [part]);
    let enqueue = Action::Enqueue { port: OfPort(1), queue: 2 };
    assert_eq!(round(std::slice::from_ref(&enqueue), Version::V10), std::slice::from_ref(&enqueue));
    let three = [Action::SetQueue(2), Action::output(OfPort(1)), Action::PopQueue];
    assert_eq!(round(&[enqueue], Version::V14), three);
}

#[test]
fn instructions_are_one_list_in_the_order_in_which_they_act() {
    let list = [
        Action::Meter(5),
        Action::output(OfPort(1)),
        Action::ClearActions,
        Action::WriteActions([Action::output(OfPort(2))].into()),
        Action::WriteMetadata { value: 1, mask: 0xff },
        Action::GotoTable(7),
    ];
    for version in [Version::V13, Version::V14, Version::V15] {
        let mut bytes = Vec::new();
        instructions::encode(&mut bytes, &list, version);
        assert_eq!(instructions::decode(Cursor::new(&bytes), version), Ok(list.to_vec()));
    }
    let twice = [0, 1, 0, 8, 5, 0, 0, 0, 0, 1, 0, 8, 6, 0, 0, 0];
    let error = instructions::decode(Cursor::new(&twice), Version::V13);
    assert_eq!(error, Err(Code::BicDupInst));
}

#[test]
fn faults_have_their_codes() {
    let cases: [(&[u8], Code); 6] = [
        (&[0, 0, 0, 4], Code::BacBadLen),
        (&[0, 0, 0, 16, 0, 0, 0, 1], Code::BacBadLen),
        (&[0, 99, 0, 8, 0, 0, 0, 0], Code::BacBadType),
        (&[0xff, 0xff, 0, 8, 0, 0, 0, 1], Code::BacBadVendor),
        (&[0xff, 0xff, 0, 16, 0, 0, 0x23, 0x20, 0, 3, 0, 0, 0, 0, 0, 0], Code::BacBadVendorType),
        (&[0, 0, 0, 16, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0], Code::BacBadOutPort),
    ];
    for (bytes, code) in cases {
        assert_eq!(decode_list(Cursor::new(bytes), Version::V13), Err(code));
    }
}

#[test]
fn a_vid_is_set_together_with_the_bit_that_it_is_there() {
    let set = |value: [u8; 2]| {
        let mut bytes = vec![0, 25, 0, 16, 0x80, 0, 0x0d, 4, 0, 0, 0x0f, 0xff, 0, 0, 0, 0];
        bytes[8..10].copy_from_slice(&value);
        decode_list(Cursor::new(&bytes), Version::V15)
    };
    assert_eq!(set([0, 1]), Err(Code::BacBadSetArgument));
    // The mask need not cover that bit, but there it must be.
    let mut covered = vec![0, 25, 0, 16, 0x80, 0, 0x0d, 4, 0x10, 1, 0x1f, 0xff, 0, 0, 0, 0];
    assert!(decode_list(Cursor::new(&covered), Version::V15).is_ok());
    covered[8] = 0;
    assert_eq!(decode_list(Cursor::new(&covered), Version::V15), Err(Code::BacBadSetArgument));
}

#[test]
fn actions_inside_actions_have_a_bound() {
    let mut action = Action::Exit;
    for _ in 0..super::MAX_DEPTH + 2 {
        action = Action::Clone([action].into());
    }
    let mut bytes = Vec::new();
    encode_list(&mut bytes, &[action], Version::V13);
    assert_eq!(decode_list(Cursor::new(&bytes), Version::V13), Err(Code::BacTooMany));
}
