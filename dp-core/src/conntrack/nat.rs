//! Which addresses and ports a new connection is translated to.
//!
//! The reply direction of a connection must be no other connection's; candidates are tried until one
//! is free:
//!
//! * the address: the only one of the range, or one by a hash, of the connection or (persistent) of
//!   its host; all zeros keep the connection's own;
//! * the port: the packet's own where the action names no range, then those that follow it in its
//!   class (below 512, below 1024, above), `random` from anywhere in it; of a range one by a hash,
//!   then those that follow;
//! * ICMP: the identifier stands for the source port;
//! * where connections to several addresses are led to one, their source ports are changed if they
//!   would be the same.
//!
//! The search is bounded ([`ATTEMPTS`] a start, [`STARTS`] starts spread over the range), so that a
//! range that is full costs microseconds and not a stall, and one that is nearly full is still found
//! room in.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Conntrack;
use super::key::Tuple;
use crate::action::ct::{NatChoice, NatEnd, NatTarget};
use crate::base::{Instant, hash_words, mix64};

/// Ports tried one after another.
const ATTEMPTS: u32 = 64;
/// Places in the range where a search begins.
const STARTS: u32 = 4;

impl Conntrack {
    /// Tuples of the reply direction to try, in order. The first is free as a rule.
    pub(super) fn candidates(
        &self,
        tuple: &Tuple,
        target: &NatTarget,
        now: Instant,
    ) -> impl Iterator<Item = Tuple> + use<> {
        self.replies(tuple, tuple.reversed(), target, now)
    }

    /// As [`Self::candidates`], where the destination is translated as well: it goes first, and what
    /// the source becomes is looked for behind a few of its choices.
    pub(super) fn candidates_of_both(
        &self,
        tuple: &Tuple,
        src: &NatTarget,
        dst: &NatTarget,
        now: Instant,
    ) -> impl Iterator<Item = Tuple> {
        let own = tuple.rest.sport;
        let there = self.candidates(tuple, dst, now);
        // Another source port is the source's own business here.
        let there = there.filter(move |reply| reply.rest.dport == own || reply.is_icmp());
        let src = src.clone();
        let tuple = *tuple;
        there.take(STARTS as usize).flat_map(move |reply| self.replies(&tuple, reply, &src, now))
    }

    fn replies(
        &self,
        tuple: &Tuple,
        reply: Tuple,
        target: &NatTarget,
        now: Instant,
    ) -> impl Iterator<Item = Tuple> + use<> {
        let words = tuple.words();
        let mut seed = self.secret.hash(&words);
        let random = target.choice == NatChoice::Random;
        if random {
            seed = mix64(seed ^ now.0, seed ^ u64::from(self.count.get()) << 1 | 1);
        }
        let host = hash_words(words.get(..2).unwrap_or_default(), self.secret.hash(&[0; 5]));
        let address_seed = if target.persistent { host } else { seed };
        let end = target.end;
        let own = match end {
            NatEnd::Src => tuple.src,
            NatEnd::Dst => tuple.dst,
        };
        let addresses = Addresses::new(target.addresses, own);
        let ports = Ports::new(tuple, target);
        // One address after another, from the one that the hash says; few, for ranges are large.
        let nth = move |step| addresses.nth(u128::from(address_seed >> 16).wrapping_add(step));
        let chosen = (0..addresses.count.min(u128::from(STARTS))).flat_map(move |step| {
            ports.order(seed, random).map(move |port| with(reply, end, nth(step), port))
        });
        // A destination that all connections are led to: another source port tells them apart.
        let first = with(reply, end, nth(0), ports.order(seed, random).next().flatten());
        let sources = Ports::of_source(tuple).filter(|_| end == NatEnd::Dst);
        let apart = sources
            .into_iter()
            .flat_map(move |ports| ports.order(seed, random))
            .map(move |port| with(first, NatEnd::Src, first.dst, port));
        chosen.chain(apart)
    }
}

/// The reply tuple with one end replaced.
fn with(mut reply: Tuple, end: NatEnd, address: IpAddr, port: Option<u16>) -> Tuple {
    let icmp = reply.is_icmp();
    match end {
        NatEnd::Src => reply.dst = address,
        NatEnd::Dst => reply.src = address,
    }
    match (port, end) {
        (None, _) => {}
        (Some(id), _) if icmp => reply.rest.sport = id,
        (Some(port), NatEnd::Src) => reply.rest.dport = port,
        (Some(port), NatEnd::Dst) => reply.rest.sport = port,
    }
    reply
}

/// A range of addresses of one family.
#[derive(Clone, Copy, Debug)]
struct Addresses {
    first: u128,
    count: u128,
    v6: bool,
}

impl Addresses {
    fn new(range: Option<(IpAddr, IpAddr)>, own: IpAddr) -> Self {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let range = range.filter(|(first, last)| {
            first.is_ipv6() == own.is_ipv6()
                && last.is_ipv6() == own.is_ipv6()
                && !(first.is_unspecified() && last.is_unspecified())
        });
        let (first, last) = range.unwrap_or((own, own));
        let count = bits(last).saturating_sub(bits(first)).saturating_add(1);
        Self { first: bits(first), count, v6: own.is_ipv6() }
    }

    fn nth(&self, n: u128) -> IpAddr {
        let bits = self.first.wrapping_add(n % self.count);
        if self.v6 {
            Ipv6Addr::from_bits(bits).into()
        } else {
            Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap_or(0)).into()
        }
    }
}

/// Which ports may be taken.
#[derive(Clone, Copy, Debug)]
struct Ports {
    /// The packet's own, tried first.
    own: Option<u16>,
    first: u16,
    count: u32,
    /// No port can be chosen: the protocol has none, or they stay.
    fixed: bool,
}

impl Ports {
    fn new(tuple: &Tuple, target: &NatTarget) -> Self {
        let fixed = Self { own: None, first: 0, count: 1, fixed: true };
        let has_ports = matches!(tuple.rest.proto, 6 | 17 | 132);
        match (target.end, target.ports) {
            (_, Some((first, last))) if has_ports => {
                let count = u32::from(last.saturating_sub(first)) + 1;
                Self { own: None, first, count, fixed: false }
            }
            (NatEnd::Src, _) => Self::of_source(tuple).unwrap_or(fixed),
            _ => fixed,
        }
    }

    /// The source port, or what stands for it, and others of its class. `None`: there is none.
    fn of_source(tuple: &Tuple) -> Option<Self> {
        let own = tuple.rest.sport;
        let (first, last) = match (tuple.rest.proto, own) {
            _ if tuple.is_icmp() => (0, u16::MAX),
            (6 | 17 | 132, 0..512) => (1, 511),
            (6 | 17 | 132, 512..1024) => (600, 1023),
            (6 | 17 | 132, _) => (1024, u16::MAX),
            _ => return None,
        };
        Some(Self { own: Some(own), first, count: u32::from(last - first) + 1, fixed: false })
    }

    fn order(self, seed: u64, random: bool) -> impl Iterator<Item = Option<u16>> {
        let start = match self.own.filter(|_| !random).map(|own| own.checked_sub(self.first)) {
            Some(own) => own.map_or(0, |place| u64::from(place) + 1),
            None => (seed >> 32) % u64::from(self.count),
        };
        // Where a search begins after the first has failed: spread evenly.
        let stride = (self.count / STARTS).max(1);
        let tries = self.count.min(ATTEMPTS * STARTS);
        let run = if self.count <= ATTEMPTS * STARTS { self.count } else { ATTEMPTS };
        let search = (0..tries).map(move |at| {
            let offset = u64::from(at / run * stride + at % run);
            let place = (start + offset) % u64::from(self.count);
            Some(self.first.wrapping_add(u16::try_from(place).unwrap_or(0)))
        });
        let own = self.own.map(Some);
        let kept = self.fixed.then_some(None);
        let search = search.filter(move |_| !self.fixed);
        kept.into_iter().chain(own).chain(search)
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::Rest;
    use super::*;
    use crate::base::Zone;

    fn tuple(proto: u8, sport: u16) -> Tuple {
        Tuple {
            src: "10.0.0.1".parse().expect("address"),
            dst: "10.0.0.2".parse().expect("address"),
            rest: Rest { proto, sport, dport: if proto == 1 { 0x0800 } else { 80 }, zone: Zone(1) },
        }
    }

    fn target(end: NatEnd, addresses: &str, ports: Option<(u16, u16)>) -> NatTarget {
        let (first, last) = addresses.split_once('-').unwrap_or((addresses, addresses));
        let address = |text: &str| text.parse().expect("address");
        NatTarget {
            end,
            addresses: Some((address(first), address(last))),
            ports,
            persistent: false,
            choice: NatChoice::Default,
        }
    }

    fn all(tuple: &Tuple, target: &NatTarget) -> Vec<Tuple> {
        Conntrack::new(3).candidates(tuple, target, Instant(5)).collect()
    }

    #[test]
    fn the_own_port_comes_first_and_then_others_of_its_class() {
        let found = all(&tuple(17, 700), &target(NatEnd::Src, "10.0.0.9", None));
        assert_eq!(found[0].dst, IpAddr::from([10, 0, 0, 9]));
        let first: Vec<u16> = found.iter().take(3).map(|tuple| tuple.rest.dport).collect();
        assert_eq!(first, [700, 701, 702]);
        let port = |own: u16, nth: usize| {
            all(&tuple(17, own), &target(NatEnd::Src, "10.0.0.9", None))[nth].rest.dport
        };
        assert_eq!(
            [port(1023, 1), port(530, 1), port(511, 1), port(65535, 1)],
            [600, 600, 1, 1024]
        );
        assert!(found.iter().all(|tuple| (600..1024).contains(&tuple.rest.dport)));
    }

    #[test]
    fn every_port_of_a_small_range_is_tried_and_none_beyond() {
        let found = all(&tuple(6, 5), &target(NatEnd::Src, "10.0.0.9", Some((5000, 5100))));
        let mut ports: Vec<u16> = found.iter().map(|tuple| tuple.rest.dport).collect();
        ports.sort_unstable();
        assert_eq!(ports, (5000..=5100).collect::<Vec<_>>());
    }

    #[test]
    fn a_search_is_bounded() {
        let found =
            all(&tuple(6, 5), &target(NatEnd::Src, "10.0.0.0-10.0.255.255", Some((1, 65535))));
        assert!(found.len() <= (STARTS * ATTEMPTS * STARTS) as usize + 8);
        let ports: std::collections::HashSet<u16> =
            found.iter().map(|tuple| tuple.rest.dport).collect();
        assert_eq!(ports.len(), (ATTEMPTS * STARTS) as usize);
    }

    #[test]
    fn zeros_keep_the_address_and_destinations_keep_their_port() {
        let found = all(&tuple(17, 7), &target(NatEnd::Src, "0.0.0.0", None));
        assert_eq!(found[0], tuple(17, 7).reversed());
        let found = all(&tuple(17, 7), &target(NatEnd::Dst, "10.0.0.7", None));
        assert!(
            found.iter().all(|it| it.src == IpAddr::from([10, 0, 0, 7]) && it.rest.sport == 80)
        );
        assert_eq!(found[0].rest.dport, 7, "the source port changes only if it must");
        assert!(found.len() > 100 && found[2].rest.dport != 7);
    }

    #[test]
    fn identifiers_of_icmp_are_chosen_like_ports() {
        let found = all(&tuple(1, 7), &target(NatEnd::Src, "10.0.0.9", None));
        assert_eq!(found[0].rest.sport, 7);
        assert!(found.len() > 100 && found[1].rest.sport != 7);
        assert!(found.iter().all(|tuple| tuple.icmp_type() == 0));
    }

    #[test]
    fn a_choice_by_hash_is_the_same_again_and_one_at_random_is_not() {
        let tracker = Conntrack::new(3);
        let mut target = target(NatEnd::Src, "10.1.0.0-10.1.255.255", Some((5000, 5999)));
        let firsts = |target: &NatTarget, now: u64| -> Vec<(IpAddr, u16)> {
            let first = |sport| {
                let found = tracker.candidates(&tuple(17, sport), target, Instant(now)).next();
                found.map(|it| (it.dst, it.rest.dport))
            };
            (1..=100).filter_map(first).collect()
        };
        let differing = |target: &NatTarget| {
            let (before, after) = (firsts(target, 5), firsts(target, 6));
            for all in [&before, &after] {
                let ports: std::collections::HashSet<u16> = all.iter().map(|it| it.1).collect();
                let hosts: std::collections::HashSet<IpAddr> = all.iter().map(|it| it.0).collect();
                assert!(ports.len() > 80 && hosts.len() > 80, "{} {}", ports.len(), hosts.len());
                assert!(ports.iter().all(|port| (5000..6000).contains(port)));
            }
            before.iter().zip(&after).filter(|(before, after)| before != after).count()
        };
        assert_eq!(differing(&target), 0, "unless said otherwise, by hash");
        target.choice = NatChoice::Hash;
        assert_eq!(differing(&target), 0);
        target.choice = NatChoice::Random;
        assert!(differing(&target) > 95);
    }

    #[test]
    fn a_host_keeps_its_address_when_asked_to() {
        let mut target = target(NatEnd::Src, "10.1.0.0-10.1.255.255", None);
        let address = |sport, target: &NatTarget| all(&tuple(17, sport), target)[0].dst;
        let spread: std::collections::HashSet<IpAddr> =
            (1..100).map(|sport| address(sport, &target)).collect();
        assert!(spread.len() > 50);
        target.persistent = true;
        assert!((1..100).all(|sport| address(sport, &target) == address(1, &target)));
    }
}
