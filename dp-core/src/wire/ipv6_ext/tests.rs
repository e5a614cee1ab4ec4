use super::{Chain, MAX_HEADERS, Walk, walk};
use crate::wire::specimens::{AH6, SRH, UDP6, UDP6_CHAIN, bytes, spoiled};
use crate::wire::{Error, Protocol, ipv6, ipv6_fragment, udp};
use proptest::collection::vec;
use proptest::prelude::*;

/// Walks the payload of a specimen, whatever its payload length says.
fn walk_specimen(data: &[u8]) -> Result<Chain, Error> {
    let ip = ipv6::Packet::new_quoted(data).unwrap();
    walk(ip.next_header(), ip.payload())
}

#[test]
fn the_headers_come_in_order() {
    let data = bytes(UDP6_CHAIN);
    let ip = ipv6::Packet::new_checked(&data).unwrap();
    let mut walk = Walk::new(ip.next_header(), ip.payload());
    let headers: Vec<_> = walk.by_ref().map(Result::unwrap).collect();
    let expected = [
        (Protocol::HOP_BY_HOP, 0, 8),
        (Protocol::IPV6_DESTINATION, 8, 8),
        (Protocol::IPV6_ROUTING, 16, 24),
        (Protocol::IPV6_FRAGMENT, 40, 8),
    ];
    let seen = headers.iter().map(|header| (header.kind, header.offset, header.bytes.len()));
    assert!(seen.eq(expected));
    let chain = walk.reached();
    assert_eq!((chain.protocol, chain.offset, chain.headers), (Protocol::UDP, 48, 4));
    assert!(chain.has_transport() && chain.fragment.unwrap().more);
    let udp = udp::Packet::new_checked(&ip.payload()[chain.offset..]).unwrap();
    assert_eq!(udp.payload(), b"frag");
}

#[test]
fn other_specimens_lead_to_their_payload() {
    let lead = |hex| walk_specimen(&bytes(hex)).map(|chain| (chain.protocol, chain.offset));
    assert_eq!(lead(AH6), Ok((Protocol::UDP, 24)));
    assert_eq!(lead(SRH), Ok((Protocol::IPV6, 40)));
    assert_eq!(lead(UDP6), Ok((Protocol::UDP, 0)));
}

#[test]
fn nothing_is_interpreted_in_a_later_fragment() {
    // The bytes behind would be another, lying, extension header.
    let payload = [60, 0, 0, 8, 0, 0, 0, 1, 17, 255];
    let chain = walk(Protocol::IPV6_FRAGMENT, &payload).unwrap();
    assert_eq!((chain.protocol, chain.offset), (Protocol::IPV6_DESTINATION, 8));
    assert_eq!(chain.fragment.map(|fragment| fragment.offset()), Some(8));
    assert!(!chain.has_transport());
}

#[test]
fn the_walk_ends_where_nothing_can_be_read() {
    let chain = walk(Protocol::NO_NEXT_HEADER, &[1, 2, 3]).unwrap();
    assert!(!chain.has_transport());
    let chain = walk(Protocol::ESP, &[]).unwrap();
    assert_eq!((chain.protocol, chain.headers), (Protocol::ESP, 0));
}

#[test]
fn lying_chains_are_refused() {
    let mut payload = vec![0; 64];
    // A length beyond the payload.
    payload[..2].copy_from_slice(&[17, 8]);
    assert_eq!(walk(Protocol::IPV6_DESTINATION, &payload), Err(Error::Truncated));
    payload[1] = 7;
    assert_eq!(walk(Protocol::IPV6_DESTINATION, &payload).map(|chain| chain.offset), Ok(64));
    assert_eq!(walk(Protocol::IPV6_ROUTING, &payload[..63]), Err(Error::Truncated));
    // An authentication header shorter than its fixed part.
    assert_eq!(walk(Protocol::AH, &[17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Error::Length));
    // Hop-by-hop options that are not first: a header that names itself.
    assert_eq!(walk(Protocol::HOP_BY_HOP, &[0; 64]), Err(Error::Field));
    assert_eq!(walk(Protocol::IPV6_DESTINATION, &[0; 64]), Err(Error::Field));
    // Two fragment headers.
    let twice = [[44, 0, 0, 1, 0, 0, 0, 0], [17, 0, 0, 1, 0, 0, 0, 0]].concat();
    assert_eq!(walk(Protocol::IPV6_FRAGMENT, &twice), Err(Error::Field));
    // No error comes twice.
    let errors = Walk::new(Protocol::IPV6_FRAGMENT, &twice);
    assert_eq!(errors.map(|header| header.is_ok()).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn long_chains_are_refused() {
    let chain = |headers: usize| {
        let mut payload = [60, 0, 1, 4, 0, 0, 0, 0].repeat(headers);
        payload[(headers - 1) * 8] = 17;
        walk(Protocol::IPV6_DESTINATION, &payload).map(|chain| chain.headers)
    };
    assert_eq!(chain(MAX_HEADERS), Ok(MAX_HEADERS));
    assert_eq!(chain(MAX_HEADERS + 1), Err(Error::TooMany));
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(UDP6_CHAIN);
    for len in 40..data.len() {
        let result = walk_specimen(&data[..len]).map(|chain| chain.offset);
        assert_eq!(result, if len < 88 { Err(Error::Truncated) } else { Ok(48) });
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        first in prop::sample::select(vec![0_u8, 43, 44, 51, 60, 17]),
        payload in vec(prop::sample::select(vec![0_u8, 1, 2, 43, 44, 51, 60, 255]), 0..300),
    ) {
        let mut end = 0;
        for header in Walk::new(Protocol(first), &payload).flatten() {
            prop_assert!(header.offset == end && header.bytes.len() >= ipv6_fragment::HEADER_LEN);
            end += header.bytes.len();
        }
        if let Ok(chain) = walk(Protocol(first), &payload) {
            prop_assert!(chain.offset == end && end <= payload.len());
            prop_assert!(chain.headers <= MAX_HEADERS);
        }
    }

    #[test]
    fn spoiled_packets_are_survived(data in spoiled(UDP6_CHAIN)) {
        if let Ok(ip) = ipv6::Packet::new_quoted(&data) {
            let _ = walk(ip.next_header(), ip.payload());
        }
    }
}
