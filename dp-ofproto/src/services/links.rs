//! Bonds and LACP on the ports of bridges.

use std::collections::{BTreeMap, BTreeSet};

use dp_core::base::{BondId, Instant, MacAddr, OfPort};

use super::{Outgoing, PortFacts, Services, State, Turn};
use crate::bond::{self, Bond, LacpState};
use crate::bridge::Bridge;
use crate::protocols::lacp::{self, Lacp};

/// A bond, and the bridge it is in.
#[derive(Debug)]
pub(super) struct BondEntry {
    pub(super) bridge: String,
    pub(super) bond: Bond,
}

/// LACP on one port.
#[derive(Debug)]
pub(super) struct Aggregate {
    pub(super) lacp: Lacp,
    pub(super) members: BTreeSet<OfPort>,
}

/// A port of a bridge that is a bond, or speaks LACP, or both.
#[derive(Clone, Debug)]
pub struct PortWish {
    /// Its name.
    pub name: String,
    /// Its settings as a bond, if it has several interfaces.
    pub bond: Option<bond::Config>,
    /// LACP.
    pub lacp: Option<lacp::Config>,
    /// Its interfaces.
    pub members: Vec<MemberWish>,
}

/// An interface of such a port.
#[derive(Clone, Debug)]
pub struct MemberWish {
    /// Its OpenFlow number.
    pub ofport: OfPort,
    /// Its name and address, and what it says in LACP.
    pub config: lacp::MemberConfig,
}

impl Services {
    /// The ports of a bridge that are bonds or speak LACP, all of them: others end. Returns the
    /// numbers of the bonds, by port.
    pub fn set_ports(
        &self,
        bridge: &str,
        wishes: &[PortWish],
        now: Instant,
    ) -> BTreeMap<String, BondId> {
        let mut state = self.state();
        let bond_names: BTreeSet<&str> =
            wishes.iter().filter(|w| w.bond.is_some()).map(|w| w.name.as_str()).collect();
        state.bonds.retain(|_, e| e.bridge != bridge || bond_names.contains(e.bond.name()));
        let lacp_names: BTreeSet<&str> =
            wishes.iter().filter(|w| w.lacp.is_some()).map(|w| w.name.as_str()).collect();
        state.aggregates.retain(|(of, name), _| of != bridge || lacp_names.contains(name.as_str()));
        let mut numbers = BTreeMap::new();
        for wish in wishes {
            state.set_lacp(bridge, wish, now);
            if let Some(config) = &wish.bond {
                let id = state.set_bond(bridge, wish, config, now);
                numbers.insert(wish.name.clone(), id);
            }
        }
        self.index(&state);
        self.version.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        numbers
    }

    /// Whether LACP lets a port's interface carry traffic; `true` where it is not spoken.
    #[must_use]
    pub fn lacp_allows(&self, bridge: &str, ofport: OfPort) -> bool {
        let state = self.state();
        state.aggregate_of(bridge, ofport).is_none_or(|it| it.lacp.may_enable(ofport))
    }

    /// Whether an interface's LACP partner was heard in time; `None`: LACP is not spoken.
    #[must_use]
    pub fn lacp_current(&self, bridge: &str, ofport: OfPort) -> Option<bool> {
        let state = self.state();
        state.aggregate_of(bridge, ofport).map(|it| it.lacp.is_current(ofport))
    }

    /// The recirculation id by which packets of a bond come back when the datapath has hashed them.
    pub fn set_bond_recirc(&self, bond: BondId, recirc: Option<u32>) {
        if let Some(entry) = self.state().bonds.get_mut(&bond) {
            entry.bond.set_recirc(recirc);
        }
    }

    /// Calls `with` for this bond.
    pub fn change_bond<T>(&self, bond: BondId, with: impl FnOnce(&mut Bond) -> T) -> Option<T> {
        let mut state = self.state();
        let answer = state.bonds.get_mut(&bond).map(|entry| with(&mut entry.bond));
        self.notice(&mut state);
        answer
    }

    /// Calls `with` for each bond, with its bridge's name; in the order in which they were made.
    pub fn each_bond(&self, mut with: impl FnMut(&str, &mut Bond)) {
        for entry in self.state().bonds.values_mut() {
            with(&entry.bridge, &mut entry.bond);
        }
    }

    /// The answer of `with` for the bond of this port.
    pub fn with_bond<T>(&self, name: &str, with: impl FnOnce(&mut Bond) -> T) -> Option<T> {
        let mut state = self.state();
        let answer = state.bonds.values_mut().find(|e| e.bond.name() == name).map(|e| {
            let answer = with(&mut e.bond);
            log_bond(&mut e.bond);
            answer
        });
        self.notice(&mut state);
        answer
    }

    /// Calls `with` for LACP on each port, or on the one of this name; how many there were.
    pub fn each_lacp(&self, name: Option<&str>, mut with: impl FnMut(&Lacp)) -> usize {
        let state = self.state();
        let all = state.aggregates.values().map(|aggregate| &aggregate.lacp);
        all.filter(|lacp| name.is_none_or(|name| lacp.name() == name)).map(&mut with).count()
    }

    /// Frames that teach the network where addresses are now that a bond's active member changed:
    /// one for each address that the bridge has learned on other ports.
    pub fn announcements(&self, bridge: &Bridge, bond: BondId, now: Instant) -> Vec<Outgoing> {
        let mut state = self.state();
        let Some(entry) = state.bonds.get_mut(&bond) else { return Vec::new() };
        let own: BTreeSet<OfPort> = entry.bond.members().map(|(ofport, _)| ofport).collect();
        let basis = entry.bond.config().basis;
        let mut frames = Vec::new();
        for known in bridge.macs().dump(now) {
            if own.contains(&known.port) {
                continue;
            }
            let hash = || bond::hash_mac(known.mac, known.vlan, basis);
            let Some(ofport) = entry.bond.choose(hash) else { continue };
            let frame = rarp(known.mac, known.vlan);
            frames.push(Outgoing { bridge: entry.bridge.clone(), ofport, frame, oam: false });
        }
        frames
    }
}

impl State {
    fn aggregate_of(&self, bridge: &str, ofport: OfPort) -> Option<&Aggregate> {
        let of_bridge = |((of, _), _): &(&(String, String), &Aggregate)| of == bridge;
        let mut all = self.aggregates.iter().filter(of_bridge).map(|(_, aggregate)| aggregate);
        all.find(|aggregate| aggregate.members.contains(&ofport))
    }

    fn set_lacp(&mut self, bridge: &str, wish: &PortWish, now: Instant) {
        let Some(config) = &wish.lacp else { return };
        let key = (bridge.to_owned(), wish.name.clone());
        let aggregate = self.aggregates.entry(key).or_insert_with(|| Aggregate {
            lacp: Lacp::new(&wish.name, config.clone()),
            members: BTreeSet::new(),
        });
        aggregate.lacp.configure(config.clone(), now);
        let wanted: BTreeSet<OfPort> = wish.members.iter().map(|member| member.ofport).collect();
        for gone in aggregate.members.difference(&wanted) {
            aggregate.lacp.remove_member(*gone);
        }
        for member in &wish.members {
            aggregate.lacp.put_member(member.ofport, member.config.clone(), now);
        }
        aggregate.members = wanted;
    }

    fn set_bond(
        &mut self,
        bridge: &str,
        wish: &PortWish,
        config: &bond::Config,
        now: Instant,
    ) -> BondId {
        let known = self
            .bonds
            .iter()
            .find(|(_, entry)| entry.bridge == bridge && entry.bond.name() == wish.name)
            .map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| {
            self.next_bond += 1;
            let id = BondId(self.next_bond);
            let bond = Bond::new(&wish.name, id, config.clone(), now);
            self.bonds.insert(id, BondEntry { bridge: bridge.to_owned(), bond });
            id
        });
        let Some(entry) = self.bonds.get_mut(&id) else { return id };
        entry.bond.configure(config.clone(), now);
        let lacp = match wish.lacp {
            None => LacpState::Off,
            Some(_) => LacpState::On(lacp::Negotiation::Configured),
        };
        if wish.lacp.is_none() || !entry.bond.speaks_lacp() {
            entry.bond.set_lacp(lacp);
        }
        let wanted: BTreeSet<OfPort> = wish.members.iter().map(|member| member.ofport).collect();
        let gone: Vec<OfPort> =
            entry.bond.members().map(|(o, _)| o).filter(|o| !wanted.contains(o)).collect();
        gone.into_iter().for_each(|ofport| entry.bond.remove_member(ofport));
        for member in &wish.members {
            entry.bond.put_member(member.ofport, &member.config.name, member.config.mac);
        }
        id
    }

    pub(super) fn run_links(
        &mut self,
        now: Instant,
        facts: &mut impl FnMut(&str, OfPort) -> PortFacts,
        turn: &mut Turn,
    ) {
        for ((bridge, _), aggregate) in &mut self.aggregates {
            for &member in &aggregate.members {
                aggregate.lacp.carrier_changed(member, facts(bridge, member).carrier, now);
            }
            aggregate.lacp.run(now);
            for (ofport, frame) in aggregate.lacp.send(now) {
                let bridge = bridge.clone();
                turn.outgoing.push(Outgoing { bridge, ofport, frame, oam: false });
            }
        }
        let Self { bonds, aggregates, watches, .. } = self;
        for (id, entry) in bonds {
            let key = (entry.bridge.clone(), entry.bond.name().to_owned());
            let lacp = aggregates.get(&key).map(|aggregate| &aggregate.lacp);
            entry.bond.set_lacp(match lacp {
                None => LacpState::Off,
                Some(lacp) => LacpState::On(lacp.negotiation()),
            });
            let members: Vec<OfPort> = entry.bond.members().map(|(ofport, _)| ofport).collect();
            for ofport in members {
                let watch = watches.get(&(entry.bridge.clone(), ofport));
                let may = facts(&entry.bridge, ofport).carrier
                    && watch.is_none_or(|watch| watch.is_content())
                    && lacp.is_none_or(|lacp| lacp.may_enable(ofport));
                entry.bond.set_may_enable(ofport, may);
            }
            entry.bond.run(now);
            log_bond(&mut entry.bond);
            if entry.bond.take_announcement() {
                turn.announce.push((entry.bridge.clone(), *id));
            }
        }
    }
}

fn log_bond(bond: &mut Bond) {
    for line in bond.take_log() {
        log::info!(target: "bond", "{line}");
    }
}

/// A reverse ARP request: it has nothing to say but its source address, and is flooded.
fn rarp(mac: MacAddr, vlan: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(64);
    frame.extend_from_slice(&MacAddr::BROADCAST.0);
    frame.extend_from_slice(&mac.0);
    if vlan != 0 {
        frame.extend_from_slice(&[0x81, 0x00]);
        frame.extend_from_slice(&vlan.to_be_bytes());
    }
    // Ethernet, IPv4, request; own address in both places.
    frame.extend_from_slice(&[0x80, 0x35, 0, 1, 0x08, 0x00, 6, 4, 0, 3]);
    frame.extend_from_slice(&mac.0);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&mac.0);
    frame.extend_from_slice(&[0; 4]);
    frame.resize(60, 0);
    frame
}
