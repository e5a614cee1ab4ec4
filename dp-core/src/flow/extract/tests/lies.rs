//! Frames that contradict themselves: each kind has its own name, and what stood before the fault
//! is in the key.

use super::frames::{eth, icmpv6_ns, ipv4, ipv6, tagged, tcp, udp};
use super::{assert_fields, extract, extract_with};
use crate::base::DropReason;
use crate::flow::extract::{Extractor, Malformed};
use crate::flow::{FieldId as F, FlowKey};

fn lie(frame: &[u8], why: Malformed) -> FlowKey {
    let (key, found) = extract(frame);
    assert_eq!(found, Some(why));
    key
}

fn edited(mut frame: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    frame[at] = value;
    frame
}

#[test]
fn a_frame_shorter_than_ethernet_has_no_key() {
    for len in 0..14 {
        let frame = vec![0; len];
        let (key, why) = extract_with(&Extractor::default(), &frame);
        assert_eq!((key, why), (None, Some(Malformed::TooShort)));
    }
}

#[test]
fn a_tag_that_is_cut_off() {
    let frame = tagged(0x8100, 5, 0x0800, &[]);
    for len in 14..18 {
        let key = lie(&frame[..len], Malformed::VlanTag);
        assert_fields(&key, &[(F::EthType, 0x8100), (F::VlanTci, 0)]);
    }
}

#[test]
fn ipv4_headers_that_lie() {
    let good = eth(0x0800, &ipv4(17, &udp(1, 2, b"hello")));
    for len in 14..34 {
        let key = lie(&good[..len], Malformed::Ipv4Header);
        assert_fields(&key, &[(F::EthType, 0x0800), (F::Ipv4Src, 0), (F::NwProto, 0)]);
    }
    for len in 34..good.len() {
        assert_fields(&lie(&good[..len], Malformed::Ipv4Length), &[(F::Ipv4Src, 0)]);
    }
    lie(&edited(good.clone(), 14, 0x44), Malformed::Ipv4Header); // header of 16 bytes
    lie(&edited(good.clone(), 14, 0x4f), Malformed::Ipv4Header); // header beyond the frame
    lie(&edited(good.clone(), 17, 19), Malformed::Ipv4Header); // datagram shorter than its header
    lie(&edited(good.clone(), 16, 1), Malformed::Ipv4Length); // datagram longer than the frame
    let key = lie(&edited(good, 14, 0x65), Malformed::Ipv4Header); // of version 6
    assert_fields(&key, &[(F::Ipv4Src, 0x0a00_0001)]);
}

#[test]
fn ipv6_headers_that_lie() {
    let good = eth(0x86dd, &ipv6(17, &udp(1, 2, b"hello")));
    for len in 14..54 {
        lie(&good[..len], Malformed::Ipv6Header);
    }
    for len in 54..good.len() {
        lie(&good[..len], Malformed::Ipv6Length);
    }
    lie(&edited(good.clone(), 18, 9), Malformed::Ipv6Length);
    lie(&edited(good, 14, 0x4b), Malformed::Ipv6Header);
}

#[test]
fn extension_headers_that_lie() {
    for (next, header) in [
        (0, vec![17, 200, 0, 0, 0, 0, 0, 0]),  // longer than the packet
        (60, vec![17, 0, 0, 0]),               // cut off
        (51, vec![17, 255, 0, 0, 0, 0, 0, 0]), // authentication beyond the packet
        (44, vec![17, 0, 0, 1]),               // fragment header cut off
        (43, [43, 0, 0, 0, 0, 0, 0, 0].repeat(17)), // a chain without end
    ] {
        let key = lie(&eth(0x86dd, &ipv6(next, &header)), Malformed::Ipv6Extension);
        assert_fields(
            &key,
            &[(F::Ipv6Src, 0xfd00_0000_0000_0000_0000_0000_0000_0001), (F::NwProto, 0)],
        );
    }
}

#[test]
fn transport_headers_that_are_cut_off() {
    let whole =
        [(17_u8, udp(1, 2, b"")), (6, tcp(1, 2, 2, b"")), (132, vec![0; 12]), (1, vec![8; 8])];
    for (proto, header) in whole {
        for len in 0..header.len() {
            let key = lie(&eth(0x0800, &ipv4(proto, &header[..len])), Malformed::L4Header);
            assert_fields(
                &key,
                &[(F::NwProto, u128::from(proto)), (F::TcpSrc, 0), (F::TcpFlags, 0)],
            );
        }
    }
    for len in 0..24 {
        lie(&eth(0x86dd, &ipv6(58, &icmpv6_ns()[..len])), Malformed::L4Header);
    }
}

#[test]
fn lengths_inside_transport_headers() {
    lie(&eth(0x0800, &ipv4(6, &edited(tcp(1, 2, 2, b""), 12, 0x40))), Malformed::TcpOffset);
    let key =
        lie(&eth(0x86dd, &ipv6(6, &edited(tcp(1, 2, 2, b""), 12, 0xf0))), Malformed::TcpOffset);
    assert_fields(&key, &[(F::NwProto, 6), (F::TcpSrc, 0), (F::TcpFlags, 0)]);
    lie(&eth(0x0800, &ipv4(17, &edited(udp(1, 2, b""), 5, 7))), Malformed::UdpLength);
    let key = lie(&eth(0x0800, &ipv4(17, &edited(udp(1, 2, b""), 5, 9))), Malformed::UdpLength);
    assert_fields(&key, &[(F::UdpSrc, 1), (F::UdpDst, 2)]);
}

#[test]
fn arp_that_is_cut_off_and_arp_of_another_kind() {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend([9; 20]);
    for len in 0..28 {
        lie(&eth(0x0806, &arp[..len]), Malformed::Arp);
    }
    let (key, why) = extract(&eth(0x0806, &edited(arp, 5, 16)));
    assert_eq!(why, None);
    assert_fields(&key, &[(F::ArpOp, 0), (F::ArpSpa, 0)]);
}

#[test]
fn neighbour_options_that_lie() {
    let zero = edited(icmpv6_ns(), 25, 0);
    let long = edited(icmpv6_ns(), 25, 2);
    let twice = [icmpv6_ns(), icmpv6_ns()[24..].to_vec()].concat();
    for packet in [zero, long, twice] {
        let key = lie(&eth(0x86dd, &ipv6(58, &packet)), Malformed::NdOption);
        assert_fields(&key, &[(F::Icmpv6Type, 135), (F::NdTarget, 0), (F::NdSll, 0)]);
    }
}

#[test]
fn every_kind_has_its_own_drop_reason() {
    let reasons: Vec<DropReason> = Malformed::ALL.iter().map(|kind| kind.drop_reason()).collect();
    for (index, reason) in reasons.iter().enumerate() {
        assert!(reasons[index + 1..].iter().all(|other| other != reason), "{reason}");
    }
    assert_eq!(reasons[Malformed::TooShort as usize], DropReason::RxTooShort);
    assert_eq!(reasons[Malformed::VlanTag as usize], DropReason::RxVlanTag);
    assert_eq!(reasons[Malformed::Ipv4Header as usize], DropReason::RxIpv4Header);
    assert_eq!(reasons[Malformed::Ipv4Length as usize], DropReason::RxIpv4Length);
    assert_eq!(reasons[Malformed::Ipv6Header as usize], DropReason::RxIpv6Header);
    assert_eq!(reasons[Malformed::Ipv6Length as usize], DropReason::RxIpv6Length);
    assert_eq!(reasons[Malformed::Ipv6Extension as usize], DropReason::RxIpv6Extension);
    assert_eq!(reasons[Malformed::L4Header as usize], DropReason::RxL4Header);
    assert_eq!(reasons[Malformed::TcpOffset as usize], DropReason::RxTcpOffset);
    assert_eq!(reasons[Malformed::UdpLength as usize], DropReason::RxUdpLength);
    assert_eq!(reasons[Malformed::Arp as usize], DropReason::RxArp);
    assert_eq!(reasons[Malformed::NdOption as usize], DropReason::RxNdOption);
}
