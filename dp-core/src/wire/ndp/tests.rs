use super::{HOP_LIMIT, Opt, OptionIter, Packet, Preference, Prefix, Repr};
use crate::base::MacAddr;
use crate::wire::checksum::Pseudo;
use crate::wire::icmpv6::{self, MessageType};
use crate::wire::specimens::{ND_NA, ND_NS, ND_RA, ND_RS, bytes, emit, spoiled};
use crate::wire::{Error, ipv6};
use proptest::option;
use proptest::prelude::*;
use std::net::Ipv6Addr;

const A: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 1);
const B: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 2);
const TARGET: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

const SOLICIT: Repr = Repr::NeighbourSolicit { target: TARGET, source: Some(A) };
const ADVERT: Repr = Repr::NeighbourAdvert {
    router: true,
    solicited: true,
    overrides: true,
    target: TARGET,
    lladdr: Some(B),
};
const ROUTER_ADVERT: Repr = Repr::RouterAdvert {
    hop_limit: 64,
    managed: true,
    other: true,
    preference: Preference::High,
    lifetime: 1800,
    reachable_time: 30000,
    retransmit_time: 1000,
    source: Some(A),
    mtu: Some(1442),
    prefix: Some(Prefix {
        address: Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0),
        len: 64,
        on_link: true,
        autonomous: true,
        valid_lifetime: 86400,
        preferred_lifetime: 14400,
    }),
};
const SPECIMENS: [(&str, Repr); 4] = [
    (ND_NS, SOLICIT),
    (ND_NA, ADVERT),
    (ND_RS, Repr::RouterSolicit { source: Some(A) }),
    (ND_RA, ROUTER_ADVERT),
];

#[test]
fn specimens_are_parsed_and_emitted() {
    for (specimen, repr) in SPECIMENS {
        let data = bytes(specimen);
        let ip = ipv6::Packet::new_checked(&data).unwrap();
        assert_eq!(ip.hop_limit(), HOP_LIMIT);
        let packet = Packet::new_checked(ip.payload()).unwrap();
        assert_eq!(Repr::parse(&packet), Ok(repr));

        let ends = Pseudo::V6 { src: ip.src(), dst: ip.dst() };
        let mut emitted = emit!(repr);
        icmpv6::Packet::new_output(&mut emitted).unwrap().fill_checksum(ends);
        assert_eq!(emitted, ip.payload());
    }
}

#[test]
fn deconstruct() {
    let data = bytes(ND_NA).split_off(40);
    let packet = Packet::new_checked(&data).unwrap();
    assert_eq!((packet.kind(), packet.code()), (MessageType::NEIGHBOUR_ADVERT, 0));
    assert!(packet.is_router() && packet.is_solicited() && packet.is_override());
    assert_eq!(packet.target(), TARGET);
    assert_eq!(packet.options().collect::<Vec<_>>(), [Ok(Opt::Target(B))]);
}

#[test]
fn truncated_at_every_length() {
    for (specimen, repr) in SPECIMENS {
        let data = bytes(specimen).split_off(40);
        let mut whole = 0;
        for len in 0..=data.len() {
            match Packet::new_checked(&data[..len]) {
                Err(error) => assert_eq!(error, Error::Truncated),
                Ok(_) => whole += 1,
            }
        }
        // The message without options, and again at the end of each option.
        let options = Packet::new_checked(&data).unwrap().options().count();
        assert_eq!((whole, repr.buffer_len()), (1 + options, data.len()));
    }
}

#[test]
fn an_option_of_length_zero_is_refused() {
    let mut data = bytes(ND_NS).split_off(40);
    data[25] = 0;
    assert_eq!(Packet::new_checked(&data).map(|_| ()), Err(Error::Length));
    let walk = |bytes| OptionIter { rest: bytes }.collect::<Vec<_>>();
    assert_eq!(walk(&[1, 0, 0, 0, 0, 0, 0, 0]), [Err(Error::Length)]);
    assert_eq!(walk(&[1, 2, 0, 0, 0, 0, 0, 0]), [Err(Error::Truncated)]);
    assert_eq!(walk(&[1]), [Err(Error::Truncated)]);
    // A prefix of the wrong size, and one of 129 bits.
    assert_eq!(walk(&[3, 1, 0, 0, 0, 0, 0, 0]), [Err(Error::Length)]);
    let prefix = [&[3, 4, 129][..], &[0; 29]].concat();
    assert_eq!(OptionIter { rest: &prefix }.next(), Some(Err(Error::Field)));
}

#[test]
fn a_long_link_layer_address_is_another_option() {
    let data = [&[1, 2][..], &[7; 14]].concat();
    let options: Vec<_> = OptionIter { rest: &data }.collect();
    assert_eq!(options, [Ok(Opt::Other { kind: 1, data: &[7; 14] })]);
}

#[test]
fn illegal_messages_are_refused() {
    let spoil = |at: usize, value: u8| {
        let mut data = bytes(ND_NS).split_off(40);
        data[at] = value;
        Packet::new_checked(data).and_then(|packet| Repr::parse(&packet))
    };
    assert_eq!(spoil(8, 0xfe), Ok(SOLICIT));
    assert_eq!(spoil(8, 0xff), Err(Error::Field));
    assert_eq!(spoil(1, 1), Err(Error::Field));
    assert_eq!(spoil(0, 128), Err(Error::Field));
    let multicast =
        Repr::NeighbourSolicit { target: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), source: None };
    assert_eq!(multicast.emit(&mut Packet::new_output([0; 24]).unwrap()), Err(Error::Field));
    let redirect = [&[137][..], &[0; 39]].concat();
    assert_eq!(Repr::parse(&Packet::new_checked(redirect).unwrap()), Err(Error::Field));
}

#[test]
fn emit_wants_its_room() {
    for (_, repr) in SPECIMENS {
        let mut packet = Packet::new_output(vec![0; repr.buffer_len() - 1]).unwrap();
        assert_eq!(repr.emit(&mut packet), Err(Error::Truncated));
    }
}

fn mac() -> impl Strategy<Value = Option<MacAddr>> {
    option::of(any::<[u8; 6]>().prop_map(MacAddr))
}

fn target() -> impl Strategy<Value = Ipv6Addr> {
    any::<[u8; 16]>().prop_map(Ipv6Addr::from).prop_filter("unicast", |it| !it.is_multicast())
}

prop_compose! {
    fn prefix()(
        address: [u8; 16], len in 0..=128_u8, flags: (bool, bool), lifetimes: (u32, u32),
    ) -> Prefix {
        Prefix {
            address: address.into(), len, on_link: flags.0, autonomous: flags.1,
            valid_lifetime: lifetimes.0, preferred_lifetime: lifetimes.1,
        }
    }
}

prop_compose! {
    fn router_advert()(
        hop_limit: u8, flags: (bool, bool), lifetime: u16, times: (u32, u32), source in mac(),
        mtu: Option<u32>, preference in 0..3_usize, prefix in option::of(prefix()),
    ) -> Repr {
        Repr::RouterAdvert {
            hop_limit, managed: flags.0, other: flags.1, lifetime,
            preference: [Preference::Low, Preference::Medium, Preference::High][preference], reachable_time: times.0,
            retransmit_time: times.1, source, mtu, prefix,
        }
    }
}

fn reprs() -> impl Strategy<Value = Repr> {
    prop_oneof![
        mac().prop_map(|source| Repr::RouterSolicit { source }),
        router_advert(),
        (target(), mac()).prop_map(|(target, source)| Repr::NeighbourSolicit { target, source }),
        (any::<[bool; 3]>(), target(), mac()).prop_map(
            |([router, solicited, overrides], target, lladdr)| Repr::NeighbourAdvert {
                router,
                solicited,
                overrides,
                target,
                lladdr,
            }
        ),
    ]
}

proptest! {
    #[test]
    fn round_trip(repr in reprs()) {
        let data = emit!(repr);
        prop_assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(data in spoiled(ND_RA)) {
        if let Ok(packet) = Packet::new_output(data.get(40..).unwrap_or_default()) {
            prop_assert!(packet.options().count() <= data.len() / 8 + 1);
            let _ = Repr::parse(&packet);
        }
    }
}
