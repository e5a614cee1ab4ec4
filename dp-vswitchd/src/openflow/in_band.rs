//! In-band control: a bridge's own traffic with its controllers gets through whatever the flow tables
//! say, so that a controller cannot cut itself off.
//!
//! The rules are the ones of the reference's design document, before all of a controller's own:
//!
//! | priority | what is switched as NORMAL |
//! |---|---|
//! | 180000 | the local port asks for an address by DHCP |
//! | 180001, 180002 | ARP to and from the local port |
//! | 180003, 180004 | ARP to and from the next hop towards a controller |
//! | 180005, 180006 | ARP about a controller's address |
//! | 180007, 180008 | TCP to and from a controller |

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use dp_core::base::{Instant, MacAddr, OfPort};
use dp_core::flow::FieldId as F;
use dp_core::route::SourceNeed;
use dp_ofproto::action::Action;
use dp_ofproto::matching::{Match, MatchBuilder};
use dp_ofproto::table::HiddenRule;

use crate::config::{BridgeConfig, is_true};
use crate::net::Remote;
use crate::switch::{RunningBridge, Switch};

/// A controller or manager: its address and port.
type Peer = (Ipv4Addr, u16);

/// What in-band control of a bridge is made of.
#[derive(Debug, Default, PartialEq)]
struct Parts {
    local: MacAddr,
    peers: BTreeSet<Peer>,
    next_hops: BTreeSet<MacAddr>,
    queue: Option<u32>,
}

/// A bridge's in-band control.
#[derive(Debug, Default)]
pub(super) struct InBand {
    parts: Parts,
    rules: Vec<HiddenRule>,
    /// When next hops were looked up.
    looked: Option<Instant>,
}

impl InBand {
    /// Follows the configuration and the routes. Empty: nothing is controlled in-band.
    pub(super) fn rules(
        &mut self,
        bridge: &RunningBridge,
        switch: &Switch,
        now: Instant,
    ) -> &[HiddenRule] {
        let (peers, queue, local) = {
            let state = bridge.state();
            let queue = state.config.other_config.get("in-band-queue");
            let queue = queue.and_then(|it| it.trim().parse().ok());
            (peers(&state.config, &switch.paths.in_run_folder("")), queue, state.mac)
        };
        if peers.is_empty() {
            *self = Self::default();
            return &self.rules;
        }
        let stale = self.looked.is_none_or(|at| now.since(at) >= LOOK_EVERY);
        let mut next_hops = std::mem::take(&mut self.parts.next_hops);
        if stale || peers != self.parts.peers {
            self.looked = Some(now);
            next_hops = next_hops_of(&peers, bridge, switch);
        }
        let parts = Parts { local, peers, next_hops, queue };
        if parts != self.parts || self.rules.is_empty() {
            self.rules = rules(&parts);
        }
        self.parts = parts;
        &self.rules
    }

    /// When there is something to look at again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.looked.map(|at| at.after(LOOK_EVERY))
    }
}

/// Who controls a bridge in-band: its own controllers that do not say otherwise, and the managers of
/// the database.
fn peers(config: &BridgeConfig, folder: &Path) -> BTreeSet<Peer> {
    if is_true(&config.other_config, "disable-in-band") {
        return BTreeSet::new();
    }
    let in_band = |mode: Option<&str>| mode != Some("out-of-band");
    let controllers = config.controllers.iter().filter(|it| in_band(it.connection_mode.as_deref()));
    let controllers = controllers.map(|it| (it.target.as_str(), CONTROLLER_PORT));
    let managers = config.managers.iter().map(|it| (it.as_str(), MANAGER_PORT));
    let peer = |(target, port): (&str, u16)| match Remote::parse(target, port, folder).ok()? {
        Remote::Tcp(host, port) | Remote::Tls(host, port) => Some((host.parse().ok()?, port)),
        Remote::Unix(_) => None,
    };
    controllers.chain(managers).filter_map(peer).collect()
}

/// The Ethernet addresses of the next hops towards the peers that are reached through the bridge, as
/// far as the host knows them.
fn next_hops_of(
    peers: &BTreeSet<Peer>,
    bridge: &RunningBridge,
    switch: &Switch,
) -> BTreeSet<MacAddr> {
    let routing = switch.underlay.router().snapshot();
    let known = std::fs::read_to_string(NEIGHBOURS).unwrap_or_default();
    let hop = |&(address, _): &Peer| {
        let found = routing.lookup(IpAddr::V4(address), 0, SourceNeed::Any, 0)?;
        if *found.device != *bridge.name {
            return None;
        }
        let hop = found.gateway.unwrap_or(IpAddr::V4(address));
        neighbour(&known, hop, &bridge.name)
    };
    peers.iter().filter_map(hop).collect()
}

/// A neighbour's address in the text of the kernel's table: address, hardware type, flags, Ethernet
/// address, mask, device.
fn neighbour(table: &str, address: IpAddr, device: &str) -> Option<MacAddr> {
    let address = address.to_string();
    table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[ip, _, flags, mac, _, name] = words.as_slice() else { return None };
        let complete = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()? & COMPLETE != 0;
        (ip == address && name == device && complete).then(|| mac.parse().ok())?
    })
}

fn rules(parts: &Parts) -> Vec<HiddenRule> {
    let mac = |mac: MacAddr| u128::from(mac.to_u64());
    let arp = |operation: u128| Match::build().exact(F::EthType, ARP).exact(F::ArpOp, operation);
    let l4 = |protocol: u128| Match::build().exact(F::EthType, IPV4).exact(F::NwProto, protocol);
    let dhcp = l4(UDP)
        .exact(F::InPort, u128::from(OfPort::LOCAL.0))
        .exact(F::EthSrc, mac(parts.local))
        .exact(F::UdpSrc, 68)
        .exact(F::UdpDst, 67);
    let mut all: Vec<(u32, MatchBuilder)> = vec![
        (0, dhcp),
        (1, arp(REPLY).exact(F::EthDst, mac(parts.local))),
        (2, arp(REQUEST).exact(F::EthSrc, mac(parts.local))),
    ];
    for &hop in &parts.next_hops {
        all.push((3, arp(REPLY).exact(F::EthDst, mac(hop))));
        all.push((4, arp(REQUEST).exact(F::EthSrc, mac(hop))));
    }
    let addresses: BTreeSet<_> = parts.peers.iter().map(|&(address, _)| address).collect();
    for address in addresses {
        let address = u128::from(address.to_bits());
        all.push((5, arp(REPLY).exact(F::ArpTpa, address)));
        all.push((6, arp(REQUEST).exact(F::ArpSpa, address)));
    }
    for &(address, port) in &parts.peers {
        let (address, port) = (u128::from(address.to_bits()), u128::from(port));
        all.push((7, l4(TCP).exact(F::Ipv4Dst, address).exact(F::TcpDst, port)));
        all.push((8, l4(TCP).exact(F::Ipv4Src, address).exact(F::TcpSrc, port)));
    }
    let normal = Action::Output { port: OfPort::NORMAL, max_len: 0 };
    let actions: Vec<_> = parts.queue.map(Action::SetQueue).into_iter().chain([normal]).collect();
    let rule = |(at, matching): (u32, MatchBuilder)| HiddenRule {
        priority: PRIORITY + at,
        matching: matching.finish(),
        actions: actions.clone(),
    };
    all.into_iter().map(rule).collect()
}

/// The least of the rules' priorities.
const PRIORITY: u32 = 180_000;
/// How often next hops are looked up.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const CONTROLLER_PORT: u16 = 6653;
const MANAGER_PORT: u16 = 6640;
/// The kernel's neighbours of IPv4.
const NEIGHBOURS: &str = "/proc/net/arp";
/// `ATF_COM` of `<net/if_arp.h>`: the address is known.
const COMPLETE: u32 = 2;
// Values of the fields.
const ARP: u128 = 0x0806;
const IPV4: u128 = 0x0800;
const TCP: u128 = 6;
const UDP: u128 = 17;
const REQUEST: u128 = 1;
const REPLY: u128 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_read_if_it_is_known_and_there() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     192.168.0.7      0x1         0x2         50:54:00:00:00:07     *        br0\n\
                     192.168.0.8      0x1         0x0         00:00:00:00:00:00     *        br0\n";
        let of = |address: &str, device| neighbour(table, address.parse().unwrap(), device);
        assert_eq!(of("192.168.0.7", "br0"), "50:54:00:00:00:07".parse().ok());
        assert_eq!(of("192.168.0.7", "br1"), None);
        assert_eq!(of("192.168.0.8", "br0"), None);
        assert_eq!(of("192.168.0.9", "br0"), None);
    }

    #[test]
    fn every_part_has_its_rules_and_a_queue_comes_first() {
        let parts = Parts {
            local: MacAddr::ZERO,
            peers: BTreeSet::from([(Ipv4Addr::LOCALHOST, 1), (Ipv4Addr::LOCALHOST, 2)]),
            next_hops: BTreeSet::from([MacAddr::ZERO]),
            queue: Some(3),
        };
        let rules = rules(&parts);
        let mut priorities: Vec<_> = rules.iter().map(|it| it.priority - PRIORITY).collect();
        priorities.sort_unstable();
        assert_eq!(priorities, [0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 8]);
        assert!(rules.iter().all(|it| it.actions.first() == Some(&Action::SetQueue(3))));
    }
}
