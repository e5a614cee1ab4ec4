use super::{Extension, Flavour, MAX_VNI, NextProtocol, Packet, Repr};
use crate::wire::specimens::{INNER_FRAME, VXLAN_GBP, VXLAN_GPE, VXLAN_PLAIN, bytes, emit};
use crate::wire::{Error, ipv4, udp};
use proptest::prelude::*;

const PLAIN: Repr = Repr { vni: 0xabcdef, extension: Extension::None };
const GROUP: Repr = Repr {
    vni: 42,
    extension: Extension::GroupPolicy { policy: 0x1234, dont_learn: true, applied: true },
};
const GPE: Repr = Repr {
    vni: 42,
    extension: Extension::Gpe { next_protocol: NextProtocol::IPV4, oam: false, replicated: false },
};

#[test]
fn specimens_are_parsed_and_emitted() {
    let cases = [
        (VXLAN_PLAIN, Flavour::Plain, PLAIN),
        (VXLAN_GBP, Flavour::GroupPolicy, GROUP),
        (VXLAN_GPE, Flavour::Gpe, GPE),
    ];
    for (specimen, flavour, repr) in cases {
        let data = bytes(specimen).split_off(20);
        let udp = udp::Packet::new_checked(&data).unwrap();
        let packet = Packet::new_checked(udp.payload()).unwrap();
        assert_eq!(Repr::parse(&packet, flavour), Ok(repr));
        assert_eq!(emit!(repr), &udp.payload()[..8]);
    }
}

#[test]
fn deconstruct() {
    let data = bytes(VXLAN_PLAIN).split_off(28);
    let packet = Packet::new_checked(&data).unwrap();
    assert!(packet.has_vni() && !packet.has_policy() && !packet.has_next());
    assert_eq!(packet.payload(), bytes(INNER_FRAME));
    let data = bytes(VXLAN_GPE).split_off(28);
    assert!(ipv4::Packet::new_checked(Packet::new_checked(&data).unwrap().payload()).is_ok());
}

#[test]
fn the_flavour_decides_over_the_reserved_bits() {
    let data = bytes(VXLAN_GBP).split_off(28);
    let packet = Packet::new_checked(&data).unwrap();
    let plain = Repr { extension: Extension::None, ..GROUP };
    assert_eq!(Repr::parse(&packet, Flavour::Plain), Ok(plain));
    let data = bytes(VXLAN_PLAIN).split_off(28);
    let packet = Packet::new_checked(&data).unwrap();
    assert_eq!(Repr::parse(&packet, Flavour::GroupPolicy), Ok(PLAIN));
    // GPE without next protocol carries Ethernet.
    let next_protocol = NextProtocol::ETHERNET;
    let extension = Extension::Gpe { next_protocol, oam: false, replicated: false };
    assert_eq!(Repr::parse(&packet, Flavour::Gpe), Ok(Repr { extension, ..PLAIN }));
}

#[test]
fn what_is_not_vxlan_is_refused() {
    let packet = Packet::new_checked([0; 8]).unwrap();
    assert_eq!(Repr::parse(&packet, Flavour::Plain), Err(Error::Field));
    let packet = Packet::new_checked([0x1c, 0, 0, 1, 0, 0, 0, 0]).unwrap();
    assert_eq!(Repr::parse(&packet, Flavour::Gpe), Err(Error::Version));
    let bad = Repr { vni: MAX_VNI + 1, ..PLAIN };
    assert_eq!(bad.emit(&mut Packet::new_output([0; 8]).unwrap()), Err(Error::Field));
}

#[test]
fn truncated_at_every_length() {
    for len in 0..8 {
        assert_eq!(Packet::new_checked(&[0; 8][..len]).map(|_| ()), Err(Error::Truncated));
    }
}

proptest! {
    #[test]
    fn round_trip(vni in 0..=MAX_VNI, policy: u16, next: u8, flags: (bool, bool)) {
        let group = Extension::GroupPolicy { policy, dont_learn: flags.0, applied: flags.1 };
        let next_protocol = NextProtocol(next);
        let gpe = Extension::Gpe { next_protocol, oam: flags.0, replicated: flags.1 };
        let cases = [
            (Flavour::Plain, Extension::None),
            (Flavour::GroupPolicy, group),
            (Flavour::GroupPolicy, Extension::None),
            (Flavour::Gpe, gpe),
        ];
        for (flavour, extension) in cases {
            let repr = Repr { vni, extension };
            let data = emit!(repr);
            prop_assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap(), flavour), Ok(repr));
        }
    }

    #[test]
    fn any_bytes_are_survived(data: [u8; 9]) {
        let packet = Packet::new_checked(data).unwrap();
        for flavour in [Flavour::Plain, Flavour::GroupPolicy, Flavour::Gpe] {
            prop_assert!(Repr::parse(&packet, flavour).is_ok_and(|it| it.vni <= MAX_VNI)
                || !packet.has_vni() || packet.version() != 0);
        }
        prop_assert_eq!(packet.payload(), &data[8..]);
    }
}
