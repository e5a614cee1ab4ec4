//! Random masked sets on random packets.

use core::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::frames::{Kind, frame, parts, wrong};
use super::{one_out, packet};
use crate::action::set::{Arp, Ethernet, Icmp, Ipv4, Ipv6, Nd, NdExt, Ports};
use crate::action::{Action, Masked, Set};
use crate::base::{MacAddr, PortNo};
use crate::packet::Offloads;

fn mac() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(MacAddr)
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from_bits)
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from_bits)
}

/// Two of a kind, as value and mask: nobody promised that bits outside the mask are clear.
fn masked<T: core::fmt::Debug>(
    part: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Masked<T>> {
    (part.clone(), part).prop_map(|(value, mask)| Masked { value, mask })
}

fn ports() -> impl Strategy<Value = Ports> + Clone {
    any::<(u16, u16)>().prop_map(|(src, dst)| Ports { src, dst })
}

fn icmp() -> impl Strategy<Value = Icmp> + Clone {
    any::<(u8, u8)>().prop_map(|(icmp_type, code)| Icmp { icmp_type, code })
}

/// Sets of every header that has a checksum or is covered by one, and of those around it.
fn set() -> impl Strategy<Value = Set> {
    fn shared<T: core::fmt::Debug>(
        strategy: impl Strategy<Value = T>,
    ) -> impl Strategy<Value = T> + Clone {
        std::sync::Arc::new(strategy)
    }
    let ethernet = shared((mac(), mac()).prop_map(|(src, dst)| Ethernet { src, dst }));
    let ipv4 =
        shared((v4(), v4(), any::<u8>(), any::<u8>()).prop_map(|(src, dst, tos, ttl)| Ipv4 {
            src,
            dst,
            tos,
            ttl,
        }));
    let ipv6 = shared(
        (v6(), v6(), any::<u32>(), any::<u8>(), any::<u8>())
            .prop_map(|(src, dst, label, tclass, hlimit)| Ipv6 { src, dst, label, tclass, hlimit }),
    );
    let arp =
        shared((any::<u16>(), v4(), v4(), mac(), mac()).prop_map(|(op, spa, tpa, sha, tha)| Arp {
            op,
            spa,
            tpa,
            sha,
            tha,
        }));
    let nd = shared((v6(), mac(), mac()).prop_map(|(target, sll, tll)| Nd { target, sll, tll }));
    let nd_ext = shared(
        (any::<u32>(), any::<u8>())
            .prop_map(|(reserved, options_type)| NdExt { reserved, options_type }),
    );
    prop_oneof![
        masked(ethernet).prop_map(Set::Ethernet),
        masked(ipv4).prop_map(Set::Ipv4),
        masked(ipv6).prop_map(|set| Set::Ipv6(Box::new(set))),
        masked(ports()).prop_map(Set::Tcp),
        masked(ports()).prop_map(Set::Udp),
        masked(ports()).prop_map(Set::Sctp),
        masked(icmp()).prop_map(Set::Icmp),
        masked(icmp()).prop_map(Set::Icmpv6),
        masked(arp).prop_map(|set| Set::Arp(Box::new(set))),
        masked(nd).prop_map(|set| Set::Nd(Box::new(set))),
        masked(nd_ext).prop_map(Set::NdExt),
        masked(any::<u16>()).prop_map(Set::Vlan),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    select(Kind::ALL.as_slice())
}

/// The list that writes these and sends the packet.
fn list(sets: &[Set]) -> Vec<Action> {
    sets.iter().cloned().map(Action::Set).chain([Action::Output(PortNo(1))]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn after_random_sets_all_checksums_recompute_right(
        kind in kind(),
        tag in proptest::option::of(any::<u16>()),
        body in vec(any::<u8>(), 0..64),
        sets in vec(set(), 1..6),
    ) {
        let before = frame(kind, tag, &body);
        prop_assert_eq!(wrong(&before), Vec::<&str>::new());
        let after = one_out(packet(&before), &list(&sets));
        prop_assert_eq!(wrong(&after), Vec::<&str>::new());
        prop_assert_eq!(after.len(), before.len());
        if kind == Kind::BareUdpV4 {
            let at = parts(&after).and_then(|parts| parts.checksum_at()).unwrap();
            prop_assert_eq!(&after[at..at + 2], &[0, 0]);
        }
    }

    #[test]
    fn a_wrong_checksum_stays_as_wrong_as_it_was(
        kind in select(vec![Kind::TcpV4, Kind::UdpV4, Kind::UdpV6, Kind::IcmpV6]),
        error in 1..0xffff_u16,
        body in vec(any::<u8>(), 0..32),
        sets in vec(set(), 1..4),
    ) {
        let mut before = frame(kind, None, &body);
        let right = one_out(packet(&before), &list(&sets));
        let parts = parts(&before).unwrap();
        let at = parts.checksum_at().unwrap();
        let spoil = |frame: &mut [u8]| {
            // Ones' complement addition: what an incremental update preserves.
            let sum = u32::from(u16::from_be_bytes([frame[at], frame[at + 1]])) + u32::from(error);
            let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
            frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        };
        spoil(&mut before);
        // A checksum that became zero would say that there is none.
        prop_assume!(before[at..at + 2] != [0, 0]);
        let after = one_out(packet(&before), &list(&sets));
        prop_assert!(!wrong(&after).is_empty());
        let differences: Vec<usize> =
            (0..after.len()).filter(|&byte| after[byte] != right[byte]).collect();
        prop_assert!(differences.iter().all(|&byte| byte == at || byte == at + 1));
    }

    #[test]
    fn a_checksum_left_to_the_device_stays_the_sum_of_the_pseudo_header(
        kind in select(vec![Kind::TcpV4, Kind::UdpV4, Kind::TcpV6, Kind::UdpV6, Kind::RoutedV6]),
        tag in proptest::option::of(any::<u16>()),
        body in vec(any::<u8>(), 0..64),
        sets in vec(set(), 1..6),
    ) {
        let mut before = frame(kind, tag, &body);
        let old = parts(&before).unwrap();
        let at = old.checksum_at().unwrap();
        before[at..at + 2].copy_from_slice(&old.partial().to_be_bytes());
        let mut packet = packet(&before);
        packet.meta_mut().offloads |= Offloads::L4_CSUM_PARTIAL;
        let after = one_out(packet, &list(&sets));
        let new = parts(&after).unwrap();
        prop_assert_eq!(after[at..at + 2].to_vec(), new.partial().to_be_bytes().to_vec());
    }

    #[test]
    fn tags_pushed_and_popped_again_leave_the_frame_as_it_was(
        kind in kind(),
        tag in proptest::option::of(any::<u16>()),
        tags in vec((select(vec![0x8100_u16, 0x88a8]), any::<u16>()), 1..4),
        sets in vec(set(), 0..3),
    ) {
        let before = frame(kind, tag, b"body");
        let pushes = tags.iter().map(|&(tpid, tci)| Action::PushVlan { tpid, tci });
        let pops = tags.iter().map(|_| Action::PopVlan);
        // What is set between tags lands where it would have without them, outer tag aside.
        let inside: Vec<Set> =
            sets.into_iter().filter(|set| !matches!(set, Set::Vlan(_))).collect();
        let around: Vec<Action> =
            pushes.chain(inside.iter().cloned().map(Action::Set)).chain(pops)
                .chain([Action::Output(PortNo(1))]).collect();
        prop_assert_eq!(one_out(packet(&before), &around), one_out(packet(&before), &list(&inside)));
    }
}
