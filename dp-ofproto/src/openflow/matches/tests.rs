use dp_core::flow::FieldId;

use super::{decode, encode, fixed, flow};
use crate::matching::{Match, MatchBuilder};
use crate::openflow::wire::Cursor;
use crate::openflow::{Code, Version};

fn tcp() -> MatchBuilder {
    Match::build()
        .exact(FieldId::InPort, 3)
        .exact(FieldId::EthType, 0x0800)
        .exact(FieldId::NwProto, 6)
        .masked(FieldId::Ipv4Dst, 0x0a00_0000, 0xff00_0000)
        .exact(FieldId::TcpDst, 80)
        .masked(FieldId::VlanTci, 0x1005, 0x1fff)
}

fn samples() -> Vec<Match> {
    vec![
        Match::any(),
        tcp().finish(),
        tcp().exact(FieldId::IpDscp, 5).finish(),
        Match::build().exact(FieldId::EthType, 0x0806).exact(FieldId::ArpOp, 1).finish(),
        Match::build().masked(FieldId::EthDst, 1 << 40, 1 << 40).finish(),
        Match::build().masked(FieldId::VlanTci, 0, 0xffff).finish(),
    ]
}

#[test]
fn lists_of_fields_are_read_as_they_were_written() {
    let more = [
        Match::build().masked(FieldId::VlanTci, 0x1000, 0x1000).finish(),
        Match::build().masked(FieldId::Reg3, 0x10, 0xf0).exact(FieldId::Metadata, 7).finish(),
        Match::build().exact(FieldId::CtState, 0x21).exact(FieldId::CtZone, 5).finish(),
        Match::build()
            .exact(FieldId::EthType, 0x86dd)
            .exact(FieldId::NwProto, 58)
            .exact(FieldId::Icmpv6Type, 135)
            .exact(FieldId::Icmpv6Code, 0)
            .exact(FieldId::NdTarget, 1)
            .exact(FieldId::NdSll, 2)
            .finish(),
    ];
    for version in Version::ALL {
        for matching in samples().iter().chain(&more) {
            let mut bytes = Vec::new();
            flow::encode(&mut bytes, matching, version);
            let list = flow::decode(Cursor::new(&bytes), flow::Unknown::Refuse).unwrap();
            // Without a tag there is no priority: later versions do not speak of it.
            let untagged = matching.field(FieldId::VlanTci) == (0, 0xffff);
            let said = Match::build().masked(FieldId::VlanTci, 0, 0x1fff).finish();
            let expected = if untagged && version > Version::V10 { &said } else { matching };
            assert_eq!(&list.matching, expected, "{version}");
        }
    }
}

#[test]
fn structures_of_old_versions_are_read_as_they_were_written() {
    for matching in samples() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &matching, Version::V11);
        assert_eq!(bytes.len(), fixed::LEN11);
        assert_eq!(decode(&mut Cursor::new(&bytes)), Ok(matching.clone()));
        let (_, mask) = matching.field(FieldId::EthDst);
        if mask != 0 {
            continue;
        }
        let mut bytes = Vec::new();
        fixed::encode10(&mut bytes, &matching);
        assert_eq!(bytes.len(), fixed::LEN10);
        assert_eq!(fixed::decode10(&mut Cursor::new(&bytes)), Ok(matching));
    }
}

#[test]
fn what_openflow_10_says_of_places_that_mean_nothing_is_passed_over() {
    let mut bytes = vec![0; fixed::LEN10];
    // All but the ports is wildcarded.
    bytes[..4].copy_from_slice(&0x003f_ff3f_u32.to_be_bytes());
    assert_eq!(fixed::decode10(&mut Cursor::new(&bytes)), Ok(Match::any()));
}

#[test]
fn faults_have_their_codes() {
    let cases: [(&[u8], Code); 7] = [
        (&[0x80, 0, 0xfe, 1, 0], Code::BmcBadField),
        (&[0x80, 0, 10, 4, 8, 0, 0, 0], Code::BmcBadLen),
        (&[0x80, 0, 10, 2, 8], Code::BmcBadLen),
        (&[0x80, 0, 20, 1, 6], Code::BmcBadPrereq),
        (&[0x80, 0, 10, 2, 8, 0, 0x80, 0, 10, 2, 8, 0], Code::BmcDupField),
        (&[0x80, 0, 11, 4, 8, 0, 0xff, 0], Code::BmcBadMask),
        (&[0, 1, 1, 8, 0, 0, 0, 9, 0, 0, 0, 8], Code::BmcBadWildcards),
    ];
    for (bytes, code) in cases {
        let read = flow::decode(Cursor::new(bytes), flow::Unknown::Refuse);
        assert_eq!(read, Err(code), "{bytes:02x?}");
    }
}

#[test]
fn a_cookie_is_told_from_an_mpls_ttl_by_its_length() {
    let mut bytes = Vec::new();
    flow::encode_cookie(&mut bytes, 0x12, 0xff);
    let list = flow::decode(Cursor::new(&bytes), flow::Unknown::Refuse).unwrap();
    assert_eq!((list.cookie, list.matching), (Some((0x12, 0xff)), Match::any()));
}
