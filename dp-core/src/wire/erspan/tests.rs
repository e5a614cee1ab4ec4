use super::{Packet, Repr, V1_LEN, V2_LEN, Version};
use crate::wire::specimens::{ERSPAN2, ERSPAN3, INNER_FRAME, bytes, emit, spoiled};
use crate::wire::{Error, EtherType, gre};
use proptest::prelude::*;

const V1: Repr = Repr {
    vlan: 100,
    cos: 3,
    encapsulation: 2,
    truncated: true,
    session: 0x155,
    version: Version::V1 { index: 0xabcde },
};
const V2: Repr = Repr {
    vlan: 100,
    cos: 3,
    encapsulation: 1,
    truncated: false,
    session: 0x2aa,
    version: Version::V2 {
        timestamp: 0x0102_0304,
        group_tag: 0x0506,
        is_frame: true,
        frame_type: 0,
        hardware: 0x2a,
        egress: true,
        granularity: 2,
        subheader: None,
    },
};

#[test]
fn specimens_are_parsed_and_emitted() {
    let cases = [(ERSPAN2, EtherType::ERSPAN_V1, V1), (ERSPAN3, EtherType::ERSPAN_V2, V2)];
    for (specimen, ethertype, repr) in cases {
        let data = bytes(specimen).split_off(20);
        let gre = gre::Packet::new_checked(&data).unwrap();
        assert_eq!(gre.protocol(), ethertype);
        let packet = Packet::new_checked(gre.payload()).unwrap();
        assert_eq!(Repr::parse(&packet), Ok(repr));
        assert_eq!(packet.payload(), bytes(INNER_FRAME));
        assert_eq!(emit!(repr), &gre.payload()[..packet.header_len()]);
    }
}

#[test]
fn construct_with_subheader() {
    let mut data = bytes(ERSPAN3)[28..40].to_vec();
    data[11] |= 1;
    data.extend([9; 8]);
    let packet = Packet::new_checked(&data).unwrap();
    let repr = Repr::parse(&packet).unwrap();
    assert!(matches!(repr.version, Version::V2 { subheader: Some([9, ..]), .. }));
    assert_eq!(emit!(repr), data);
}

#[test]
fn truncated_at_every_length() {
    for (specimen, need) in [(ERSPAN2, V1_LEN), (ERSPAN3, V2_LEN)] {
        let data = bytes(specimen).split_off(28);
        for len in 0..need {
            assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
        }
    }
}

#[test]
fn other_versions_are_refused() {
    for version in [0, 3, 15] {
        let packet = Packet::new_checked([version << 4, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(packet.map(|_| ()), Err(Error::Version));
    }
}

#[test]
fn values_out_of_range_are_not_emitted() {
    let v2 = |frame_type, hardware, granularity| Version::V2 {
        timestamp: 0,
        group_tag: 0,
        is_frame: true,
        frame_type,
        hardware,
        egress: false,
        granularity,
        subheader: None,
    };
    let bad = [
        Repr { vlan: 0x1000, ..V1 },
        Repr { cos: 8, ..V1 },
        Repr { encapsulation: 4, ..V1 },
        Repr { session: 0x400, ..V1 },
        Repr { version: Version::V1 { index: 0x10_0000 }, ..V1 },
        Repr { version: v2(32, 0, 0), ..V1 },
        Repr { version: v2(0, 64, 0), ..V1 },
        Repr { version: v2(0, 0, 4), ..V1 },
    ];
    for repr in bad {
        assert_eq!(repr.emit(&mut Packet::new_output([0; 12]).unwrap()), Err(Error::Field));
    }
    assert_eq!(V2.emit(&mut Packet::new_output([0; 11]).unwrap()), Err(Error::Truncated));
}

fn versions() -> impl Strategy<Value = Version> {
    let v2 =
        (any::<(u32, u16, bool, bool)>(), 0..32_u8, 0..64_u8, 0..4_u8, any::<Option<[u8; 8]>>());
    prop_oneof![
        (0..=0xf_ffff_u32).prop_map(|index| Version::V1 { index }),
        v2.prop_map(
            |(
                (timestamp, group_tag, is_frame, egress),
                frame_type,
                hardware,
                granularity,
                subheader,
            )| {
                Version::V2 {
                    timestamp,
                    group_tag,
                    is_frame,
                    frame_type,
                    hardware,
                    egress,
                    granularity,
                    subheader,
                }
            }
        ),
    ]
}

proptest! {
    #[test]
    fn round_trip(
        vlan in 0..0x1000_u16, cos in 0..8_u8, encapsulation in 0..4_u8, truncated: bool,
        session in 0..0x400_u16, version in versions(),
    ) {
        let repr = Repr { vlan, cos, encapsulation, truncated, session, version };
        let data = emit!(repr);
        prop_assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(data in spoiled(ERSPAN3)) {
        if let Ok(packet) = Packet::new_output(data.get(28..).unwrap_or_default()) {
            let _ = (Repr::parse(&packet), packet.payload().len());
        }
    }
}
