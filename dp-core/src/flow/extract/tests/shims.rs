//! MPLS, NSH, frames without Ethernet, the rarer parts of neighbour discovery.

use super::frames::{eth, icmpv6_ns, ipv4, ipv6, udp};
use super::{F, assert_fields, extract, key_again, key_of, packet_of};
use crate::base::DropReason;
use crate::flow::Malformed;
use crate::flow::layout;

fn labels(count: u8, bottom: Option<u8>) -> Vec<u8> {
    (0..count)
        .flat_map(|at| [0, at, 0x10 | u8::from(bottom == Some(at)), 64u8.wrapping_add(at)])
        .collect()
}

#[test]
fn up_to_three_labels_are_read() {
    let mut stack = labels(2, Some(1));
    stack.extend(ipv4(17, &udp(1, 2, b"")));
    let key = key_of(&eth(0x8847, &stack));
    assert_fields(
        &key,
        &[(F::EthType, 0x8847), (F::MplsLabel, 1), (F::MplsBos, 0), (F::MplsTtl, 64)],
    );
    assert_eq!(key.load(layout::MPLS1), 0x0001_1141);
    assert_eq!((key.load(layout::MPLS2), key.get(F::NwProto)), (0, 0));
    let key = key_of(&eth(0x8848, &labels(3, Some(2))));
    assert_eq!(key.load(layout::MPLS2), 0x0002_1142);
}

/// CVE-2016-2074: a stack of any depth must not write beyond the room for three labels.
#[test]
fn cve_2016_2074_a_deep_label_stack_fills_three_places_and_no_more() {
    for depth in [4u8, 5, 64, 200] {
        let (key, why) = extract(&eth(0x8847, &labels(depth, None)));
        assert_eq!(why, None);
        assert_eq!(key.used().0, 0b101);
        let lane = key.lane(2).bytes();
        assert_eq!(lane[36..48], labels(3, None)[..]);
        assert!(lane[48..].iter().chain(&lane[..36]).all(|&byte| byte == 0));
    }
}

#[test]
fn a_stack_without_bottom_is_malformed() {
    for stack in [&labels(2, None)[..], &labels(1, None), &[0, 0, 1], &[]] {
        assert_eq!(extract(&eth(0x8847, stack)).1, Some(Malformed::Mpls));
    }
    assert_eq!(Malformed::Mpls.drop_reason(), DropReason::RxMpls);
}

fn nsh(high: u8, low: u8, mdtype: u8, context: &[u8]) -> Vec<u8> {
    let mut header = vec![high, low, mdtype, 3, 0, 0x12, 0x34, 255];
    header.extend(context);
    header
}

#[test]
fn both_metadata_types_of_nsh() {
    let context: Vec<u8> = (1..=16).collect();
    let mut frame = nsh(0x2f, 0xc6, 1, &context);
    frame.extend([0; 20]);
    let key = key_of(&eth(0x894f, &frame));
    assert_fields(
        &key,
        &[
            (F::EthType, 0x894f),
            (F::NshFlags, 2),
            (F::NshTtl, 63),
            (F::NshMdtype, 1),
            (F::NshNp, 3),
            (F::NshSpi, 0x1234),
            (F::NshSi, 255),
            (F::NshC1, 0x0102_0304),
            (F::NshC4, 0x0d0e_0f10),
        ],
    );
    let key = key_of(&eth(0x894f, &nsh(0, 0x44, 2, &[9; 8])));
    assert_fields(&key, &[(F::NshMdtype, 2), (F::NshTtl, 1), (F::NshC1, 0), (F::NshSi, 255)]);
}

#[test]
fn an_nsh_that_cannot_be_is_malformed_and_leaves_its_fields_empty() {
    let context = [7u8; 16];
    for bad in [
        nsh(0x40, 0x06, 1, &context),    // version 1
        nsh(0, 0x05, 1, &context),       // MD type 1 is six words
        nsh(0, 0x06, 1, &context[..15]), // cut off
        nsh(0, 0x01, 2, &[]),            // shorter than its base header
        nsh(0, 0x0a, 2, &context),       // longer than the frame
        nsh(0, 0x06, 3, &context),       // no such type
        vec![0, 6, 1],
    ] {
        let (key, why) = extract(&eth(0x894f, &bad));
        assert_eq!(why, Some(Malformed::Nsh), "{bad:?}");
        assert!(key.lane(3).is_zero());
    }
    assert_eq!(Malformed::Nsh.drop_reason(), DropReason::RxNsh);
}

#[test]
fn a_frame_without_ethernet_begins_with_what_its_packet_type_says() {
    for (packet_type, l3, proto) in [
        (0x1_0800, ipv4(17, &udp(5, 6, b"")), 17),
        (0x1_86dd, ipv6(17, &udp(5, 6, b"")), 17),
        (0x1_8847, labels(1, Some(0)), 0),
        (0x1_0800, vec![], 0),
    ] {
        let mut packet = packet_of(&l3);
        packet.meta_mut().set_outermost(packet_type);
        let key = key_again(packet);
        assert_fields(
            &key,
            &[
                (F::PacketType, packet_type.into()),
                (F::EthType, u128::from(packet_type & 0xffff)),
                (F::EthDst, 0),
                (F::NwProto, proto),
                (F::UdpDst, if proto == 17 { 6 } else { 0 }),
            ],
        );
    }
}

#[test]
fn the_reserved_word_and_the_first_option_of_neighbour_discovery() {
    let mut ns = icmpv6_ns();
    ns[4..8].copy_from_slice(&[0xe0, 0, 0, 1]);
    let key = key_of(&eth(0x86dd, &ipv6(58, &ns)));
    assert_fields(&key, &[(F::NdReserved, 0xe000_0001), (F::NdOptionsType, 1)]);
    ns.truncate(24);
    ns.extend([2, 1, 2, 0, 0, 0, 0, 8]);
    let key = key_of(&eth(0x86dd, &ipv6(58, &ns)));
    assert_fields(&key, &[(F::NdOptionsType, 2), (F::NdTll, 0x0200_0000_0008), (F::NdSll, 0)]);
    // Other ICMPv6 has neither.
    ns[0] = 128;
    let key = key_of(&eth(0x86dd, &ipv6(58, &ns)));
    assert_fields(&key, &[(F::NdReserved, 0), (F::NdOptionsType, 0), (F::NdTarget, 0)]);
    assert_eq!(key.used().0, 0b11);
}
