//! Bonds and bridge protocols: configured from the database, run by the main loop.
//!
//! What they are is in [`dp_ofproto::services`]; here their wishes are read from the configuration,
//! the facts about ports are gathered for them, and the frames that they send leave by the bridges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dp_core::base::{BondId, Instant, MacAddr, OfPort, PortNo};
use dp_core::flow::extract::{Extractor, VlanLimit};
use dp_core::packet::Pool;
use dp_netdev::port::Status;
use dp_ofproto::action::Action;
use dp_ofproto::bond;
use dp_ofproto::protocols::{bfd, cfm, lacp, mcast, rstp, stp};
use dp_ofproto::services::links::{MemberWish, PortWish};
use dp_ofproto::services::multicast::PortFlags;
use dp_ofproto::services::trees::TreeWish;
use dp_ofproto::services::watch::WatchWish;
use dp_ofproto::services::{Outgoing, PortFacts};
use dp_ofproto::translate::recirc::{Frozen, RecircRef};
use log::Level;

use super::bridge::{BridgeState, Interface, RunningBridge};
use super::{Datapath, Switch};
use crate::config::{PortConfig, Settings, is_true, number_or};
use crate::daemon::DummyMode;

/// What is known of ports, by bridge and number.
#[derive(Debug, Default)]
pub(super) struct Facts(BTreeMap<String, BTreeMap<OfPort, PortFacts>>);

impl Facts {
    /// What is known of a port.
    pub(super) fn of(&self, bridge: &str, ofport: OfPort) -> PortFacts {
        self.0.get(bridge).and_then(|ports| ports.get(&ofport)).copied().unwrap_or_default()
    }
}

/// Recirculation ids that bonds hold.
pub(super) type BondRecircs = BTreeMap<BondId, RecircRef>;

impl Switch {
    /// Plugs everything that translation may ask into a datapath's OpenFlow layer.
    pub(super) fn plug(&self, datapath: &Datapath) {
        let own = &self.services;
        datapath.ofproto.change_hooks(|hooks| *hooks = own.hooks(std::mem::take(hooks)));
    }

    /// Configures the bonds and protocols of a bridge whose interfaces are open.
    pub(super) fn apply_services(&self, bridge: &RunningBridge) {
        let now = self.now();
        let state = &mut *bridge.state();
        let wishes: Vec<PortWish> =
            state.config.ports.iter().filter_map(|port| port_wish(bridge, state, port)).collect();
        let bonds = self.services.set_ports(&bridge.name, &wishes, now);
        for id in bonds.values() {
            self.hold_recirc(bridge, *id);
        }
        state.bonds = bonds;
        let mut watched: BTreeSet<OfPort> =
            self.services.watched(&bridge.name).into_iter().collect();
        for interface in state.interfaces.values() {
            if let Some(ofport) = interface.ofport {
                let wish = watch_wish(bridge, interface);
                self.services.set_watch(&bridge.name, ofport, &wish, now);
                watched.remove(&ofport);
            }
        }
        for gone in watched {
            let none = WatchWish {
                name: String::new(),
                mac: MacAddr::ZERO,
                bfd: None,
                cfm: None,
                rx_packets: 0,
            };
            self.services.set_watch(&bridge.name, gone, &none, now);
        }
        let snooping = state.config.mcast_snooping_enable.then(|| {
            (mcast::Config::from_keys(&state.config.other_config), multicast_flags(state))
        });
        self.services.set_snooping(&bridge.name, snooping);
        let wish = tree_wish(bridge, state, |interface| self.is_up(bridge, interface));
        self.services.set_tree(&bridge.name, wish, now);
        self.apply_lldp(bridge, state);
    }

    /// The id by which a bond's packets come back is held as long as the bond is there.
    fn hold_recirc(&self, bridge: &RunningBridge, bond: BondId) {
        let mut state = self.state();
        let freeze = || {
            let frozen = Frozen::of_bond(Arc::clone(&bridge.bridge), bond);
            bridge.datapath.ofproto.recirc().freeze(frozen)
        };
        let held = state.recircs.entry(bond).or_insert_with(freeze);
        let id = held.id().0;
        drop(state);
        self.services.set_bond_recirc(bond, Some(id));
    }

    /// Lets bonds and protocols run. Returns whether packets wait to be moved.
    pub(super) fn run_services(&self, now: Instant) -> bool {
        if self.is_time_to_look(now) {
            let facts = Arc::new(self.port_facts());
            self.state().facts = Arc::clone(&facts);
            self.follow_carriers(&facts);
        }
        let facts = self.known_facts();
        let of = |bridge: &str, ofport: OfPort| facts.of(bridge, ofport);
        self.count_bond_tables(now);
        let turn = self.services.run_heard(self.heard_until(now), now, of);
        self.sync_bond_tables();
        let sent = !turn.outgoing.is_empty() || !turn.announce.is_empty();
        for outgoing in turn.outgoing {
            self.send(&outgoing, now);
        }
        for (name, bond) in turn.announce {
            let Some(bridge) = self.bridge(&name) else { continue };
            for outgoing in self.services.announcements(&bridge.bridge, bond, now) {
                self.send(&outgoing, now);
            }
        }
        for name in turn.flush {
            if let Some(bridge) = self.bridge(&name) {
                bridge.bridge.macs().flush();
            }
        }
        if turn.changed {
            for bridge in self.bridges() {
                bridge.publish();
            }
            self.touch();
        }
        sent
    }

    /// Whether ports are to be looked at in this turn: now and then, and whenever something was asked
    /// for. Where scripts move the clock they are in every turn.
    fn is_time_to_look(&self, now: Instant) -> bool {
        let pace = self.pace();
        let mut state = self.state();
        let due = state.touched
            || self.dummy != DummyMode::Off
            || state.look_at.is_none_or(|at| now >= at);
        if due {
            state.look_at = Some(now.after(pace));
        }
        due
    }

    /// How often links are looked at: as often as the largest datapath bears.
    fn pace(&self) -> Duration {
        self.datapaths().iter().map(|it| it.pace()).max().unwrap_or(LOOK)
    }

    /// What the main loop knew of ports when it looked last.
    pub(super) fn known_facts(&self) -> Arc<Facts> {
        Arc::clone(&self.state().facts)
    }

    /// When [`Self::run_services`] has something to do.
    pub(super) fn services_wake(&self) -> Option<Instant> {
        // What has a deadline is somebody else's, where threads move packets.
        let wake = match self.dummy {
            DummyMode::Off => self.services.wake_at_leisure(),
            _ => self.services.wake(),
        };
        // Links are looked at now and then: nothing tells when one goes.
        let look = (!self.bridges().is_empty()).then(|| self.now().after(self.pace()));
        wake.into_iter().chain(look).min()
    }

    fn is_up(&self, bridge: &RunningBridge, interface: &Interface) -> bool {
        let status = interface.number.and_then(|it| bridge.datapath.netdev.port_status(it));
        has_carrier(bridge, interface, status)
    }

    fn port_facts(&self) -> Facts {
        let mut looks: BTreeMap<String, Vec<(PortNo, Status, u64)>> = BTreeMap::new();
        let mut facts = Facts::default();
        for bridge in self.bridges() {
            let kind = &bridge.datapath.kind;
            if !looks.contains_key(kind) {
                looks.insert(kind.clone(), bridge.datapath.netdev.looks());
            }
            let looks = looks.get(kind).map_or(&[][..], Vec::as_slice);
            let fact = |interface: &Interface| {
                let number = interface.number;
                let at = number.and_then(|it| looks.binary_search_by_key(&it, |look| look.0).ok());
                let look = at.and_then(|at| looks.get(at));
                let carrier = has_carrier(&bridge, interface, look.map(|look| look.1));
                let rx_packets = look.map_or(0, |look| look.2);
                Some((interface.ofport?, PortFacts { carrier, rx_packets }))
            };
            let ports = bridge.state().interfaces.values().filter_map(fact).collect();
            facts.0.insert(bridge.name.clone(), ports);
        }
        facts
    }

    /// A link that went up or down changes trees, and what translation sees of ports.
    fn follow_carriers(&self, facts: &Facts) {
        for bridge in self.bridges() {
            let ports = facts.0.get(&bridge.name).into_iter().flatten();
            let now = ports.map(|(ofport, fact)| (*ofport, fact.carrier));
            let wish = {
                let state = &mut *bridge.state();
                if state.carriers.iter().map(|(ofport, up)| (*ofport, *up)).eq(now.clone()) {
                    continue;
                }
                let before = std::mem::replace(&mut state.carriers, now.collect());
                state.link_resets.retain(|port, _| state.carriers.contains_key(port));
                for (port, up) in &state.carriers {
                    if before.get(port).is_some_and(|before| before != up) {
                        *state.link_resets.entry(*port).or_default() += 1;
                    }
                }
                tree_wish(&bridge, state, |interface| self.is_up(&bridge, interface))
            };
            self.services.set_tree(&bridge.name, wish, self.now());
            bridge.publish();
            self.touch();
        }
    }

    /// Sends a frame out of a bridge's port: through patch ports and tunnels too.
    pub(super) fn send(&self, outgoing: &Outgoing, now: Instant) {
        let Some(bridge) = self.bridge(&outgoing.bridge) else { return };
        let frame = &outgoing.frame;
        let packet = Pool::for_len(frame.len()).and_then(Pool::alloc);
        let Some(mut packet) = packet else { return };
        let Some(room) = packet.append(frame.len()) else { return };
        room.copy_from_slice(frame);
        packet.meta_mut().in_port = PortNo::NONE;
        let (key, _) = Extractor::portable(VlanLimit::Two).packet(&packet);
        let output = [Action::Output { port: outgoing.ofport, max_len: 0 }];
        let ofproto = &bridge.datapath.ofproto;
        let translation =
            ofproto.packet_out(&bridge.bridge, OfPort::NONE, &key, frame, &output, now);
        let sent = bridge.datapath.netdev.execute_urgent(packet, &key, translation.actions);
        if let Err(error) = sent {
            log::debug!(
                target: "ofproto_dpif",
                "bridge {}: a frame for port {} is lost: {error}", outgoing.bridge, outgoing.ofport
            );
        }
    }
}

/// Whether an interface can carry packets: its device says so, or the other end of the patch is there.
fn has_carrier(bridge: &RunningBridge, interface: &Interface, status: Option<Status>) -> bool {
    if interface.number.is_some() {
        return status.is_some_and(|status| status.admin_up && status.link_up);
    }
    let peer = interface.config.options.get("peer");
    let world = || bridge.datapath.ofproto.world();
    peer.is_some_and(|peer| world().peer(&interface.config.name, peer).is_some())
}

/// How often links are looked at where there are none.
const LOOK: Duration = Duration::from_millis(100);

fn port_wish(bridge: &RunningBridge, state: &BridgeState, port: &PortConfig) -> Option<PortWish> {
    let speaks = matches!(port.lacp.as_deref(), Some("active" | "passive"));
    let is_bond = port.interfaces.len() > 1;
    if !speaks && !is_bond {
        return None;
    }
    let keys = &port.other_config;
    let fast = keys.get("lacp-time").is_some_and(|time| time == "fast");
    let number = |key: &str, default: u16| {
        let value = u16::try_from(number_or(keys, key, 0)).unwrap_or(0);
        if value == 0 { default } else { value }
    };
    let id: Option<MacAddr> = keys.get("lacp-system-id").and_then(|it| it.parse().ok());
    // Whoever names a system that is none does not want to speak for another.
    let nonsense = keys.get("lacp-system-id").filter(|_| speaks && id.is_none());
    if let Some(text) = nonsense {
        let line =
            format!("port {}: LACP system ID ({text}) must be an Ethernet address.", port.name);
        bridge.tell_once(Level::Warn, &line);
    }
    let lacp = (speaks && nonsense.is_none()).then(|| lacp::Config {
        id: id.filter(|mac: &MacAddr| !mac.is_zero()).unwrap_or(state.mac),
        priority: number("lacp-system-priority", 65_534),
        active: port.lacp.as_deref() == Some("active"),
        fast,
        fallback_ab: is_true(keys, "lacp-fallback-ab"),
    });
    let members = port
        .interfaces
        .iter()
        .filter_map(|config| {
            let interface = state.interfaces.get(&config.name)?;
            Some(member_wish(bridge, interface, interface.ofport?, fast))
        })
        .collect();
    Some(PortWish {
        name: port.name.clone(),
        bond: is_bond.then(|| bond_config(port)),
        lacp,
        members,
    })
}

fn member_wish(
    bridge: &RunningBridge,
    interface: &Interface,
    ofport: OfPort,
    fast: bool,
) -> MemberWish {
    let keys = &interface.config.other_config;
    let number = |key: &str| u16::try_from(number_or(keys, key, 0)).unwrap_or(0);
    let or = |value: u16, default: u16| if value == 0 { default } else { value };
    MemberWish {
        ofport,
        config: lacp::MemberConfig {
            name: interface.config.name.clone(),
            mac: mac_of(bridge, interface),
            id: or(number("lacp-port-id"), ofport.0),
            priority: or(number("lacp-port-priority"), u16::MAX),
            key: number("lacp-aggregation-key"),
            fast,
        },
    }
}

/// The address that an interface's own frames come from: its device's, or one made from its row.
pub(super) fn mac_of(bridge: &RunningBridge, interface: &Interface) -> MacAddr {
    let status = interface.number.and_then(|it| bridge.datapath.netdev.port_status(it));
    status.map_or_else(|| super::bridge::own_mac(interface.config.uuid), |status| status.mac)
}

fn bond_config(port: &PortConfig) -> bond::Config {
    let keys = &port.other_config;
    let mode = port.bond_mode.as_deref().unwrap_or("active-backup");
    let mode = bond::Mode::parse(mode).unwrap_or_else(|| {
        log::warn!(
            target: "bridge",
            "port {}: unknown bond_mode {mode}, defaulting to active-backup", port.name
        );
        bond::Mode::ActiveBackup
    });
    let millis = |number: i64| Duration::from_millis(u64::try_from(number).unwrap_or(0));
    let interval = number_or(keys, "bond-rebalance-interval", 10_000);
    bond::Config {
        mode,
        basis: u32::try_from(number_or(keys, "bond-hash-basis", 0)).unwrap_or(0),
        updelay: millis(port.bond_updelay),
        downdelay: millis(port.bond_downdelay),
        rebalance_interval: match interval {
            0 => Duration::ZERO,
            some => millis(some.max(1000)),
        },
        primary: keys.get("bond-primary").cloned(),
        all_active: is_true(keys, "all-members-active"),
        lb_output: is_true(keys, "lb-output-action"),
        fallback_ab: is_true(keys, "lacp-fallback-ab"),
    }
}

fn watch_wish(bridge: &RunningBridge, interface: &Interface) -> WatchWish {
    let name = interface.config.name.clone();
    let mut complaints = Vec::new();
    let bfd = bfd::Config::from_keys(&interface.config.bfd, &mut complaints);
    for complaint in complaints {
        log::warn!(target: "bfd", "{name}: {complaint}");
    }
    let keys = &interface.config.other_config;
    let cfm = interface.config.cfm_mpid.filter(|&mpid| mpid != 0).map(|mpid| {
        // The database has signed numbers; the protocol's are eight bytes.
        let mut config = cfm::Config::from_keys(mpid.cast_unsigned(), keys);
        let key = interface.config.options.get("key").or(interface.config.options.get("in_key"));
        config.check_tnl_key = key.is_some_and(|key| key == "flow");
        config
    });
    let number = interface.number.filter(|_| bfd.is_some() || cfm.is_some());
    let received = number.and_then(|it| bridge.datapath.netdev.port_received(it));
    let rx_packets = received.unwrap_or(0);
    WatchWish { mac: mac_of(bridge, interface), name, bfd, cfm, rx_packets }
}

fn multicast_flags(state: &BridgeState) -> Vec<PortFlags> {
    let flags = |port: &PortConfig| {
        let flood = is_true(&port.other_config, "mcast-snooping-flood");
        let flood_reports = is_true(&port.other_config, "mcast-snooping-flood-reports");
        let of_port = state.interfaces.values().filter(|it| it.port == port.name);
        let ofport = of_port.filter_map(|it| it.ofport).min()?;
        (flood || flood_reports).then_some(PortFlags { ofport, flood, flood_reports })
    };
    state.config.ports.iter().filter_map(flags).collect()
}

/// The spanning tree that a bridge is to be part of; RSTP, where both are wanted.
fn tree_wish(
    bridge: &RunningBridge,
    state: &BridgeState,
    is_up: impl Fn(&Interface) -> bool,
) -> Option<TreeWish> {
    let config = &state.config;
    if !config.rstp_enable && !config.stp_enable {
        return None;
    }
    let enable = if config.rstp_enable { "rstp-enable" } else { "stp-enable" };
    // Bonds, ports of the host itself and mirrors' outputs take no part.
    let mut ports = Vec::new();
    for port in &config.ports {
        let [only] = port.interfaces.as_slice() else { continue };
        let Some(interface) = state.interfaces.get(&only.name) else { continue };
        let Some(ofport) = interface.ofport else { continue };
        let internal = matches!(interface.kind.as_str(), "internal" | "dummy-internal")
            || ofport == OfPort::LOCAL;
        let mirrored = config.mirrors.iter().any(|it| it.output_port.as_ref() == Some(&port.name));
        let off = port.other_config.get(enable).is_some_and(|value| value == "false");
        if !internal && !mirrored && !off {
            ports.push((port, interface, ofport));
        }
    }
    Some(if config.rstp_enable {
        let wishes = numbered(bridge, &ports, "rstp-port-num", 4095)
            .into_iter()
            .map(|(port, interface, ofport, number)| {
                (ofport, rstp_port(bridge, port, interface, number, is_up(interface)))
            })
            .collect();
        TreeWish::Rstp(rstp::Config::from_keys(state.mac, &config.other_config), wishes)
    } else {
        // Those whose number is wrong take no part, and do not count here.
        let by_hand = |port: &PortConfig| port.other_config.contains_key("stp-port-num");
        let right =
            ports.iter().filter(|(port, ..)| tree_number(port, "stp-port-num", 255).is_some());
        if right.count() != 0 && !ports.iter().all(|(port, ..)| by_hand(port)) {
            let line = "must manually configure all STP port IDs or none, disabling";
            bridge.tell_once(Level::Error, &format!("bridge {}: {line}", bridge.name));
            return None;
        }
        let wishes = numbered(bridge, &ports, "stp-port-num", 255)
            .into_iter()
            .map(|(port, interface, ofport, number)| {
                (ofport, stp_port(bridge, port, interface, number, is_up(interface)))
            })
            .collect();
        TreeWish::Stp(stp::Config::from_keys(state.mac, &config.other_config), wishes)
    })
}

/// The number in the tree that is set for a port, if it is one that a port can have.
fn tree_number(port: &PortConfig, key: &str, most: u16) -> Option<u16> {
    let number = u16::try_from(number_or(&port.other_config, key, 0)).unwrap_or(0);
    (1..=most).contains(&number).then_some(number)
}

/// The ports with their numbers in the tree: the configured ones, and the lowest that are free. A port
/// whose number is out of range, or somebody else's, takes no part.
fn numbered<'a>(
    bridge: &RunningBridge,
    ports: &[(&'a PortConfig, &'a Interface, OfPort)],
    key: &'static str,
    most: u16,
) -> Vec<(&'a PortConfig, &'a Interface, OfPort, u16)> {
    let mut taken = BTreeSet::new();
    let mut numbered = Vec::new();
    let (by_hand, others): (Vec<_>, Vec<_>) =
        ports.iter().copied().partition(|(port, ..)| port.other_config.contains_key(key));
    for (port, interface, ofport) in by_hand {
        let Some(number) = tree_number(port, key, most) else {
            bridge.tell_once(Level::Error, &format!("port {}: invalid {key}", port.name));
            continue;
        };
        if !taken.insert(number) {
            let line = format!("port {}: duplicate {key} {number}, disabling", port.name);
            bridge.tell_once(Level::Error, &line);
        } else {
            numbered.push((port, interface, ofport, number));
        }
    }
    for (port, interface, ofport) in others {
        let Some(number) = (1..=most).find(|it| !taken.contains(it)) else {
            let line = format!("port {}: too many ports take part, disabling", port.name);
            bridge.tell_once(Level::Error, &line);
            continue;
        };
        taken.insert(number);
        numbered.push((port, interface, ofport, number));
    }
    numbered
}

/// A port's priority: the lower eight bits of what is set, as the reference has it.
fn priority(keys: &Settings, key: &str) -> u8 {
    u64::try_from(number_or(keys, key, 128)).map_or(128, |it| it as u8)
}

fn stp_port(
    bridge: &RunningBridge,
    port: &PortConfig,
    interface: &Interface,
    number: u16,
    up: bool,
) -> stp::PortConfig {
    let keys = &port.other_config;
    stp::PortConfig {
        up,
        name: port.name.clone(),
        mac: mac_of(bridge, interface),
        priority: priority(keys, "stp-port-priority"),
        number: u8::try_from(number).unwrap_or(u8::MAX),
        // The protocol's costs have 32 bits, the reference's 16.
        path_cost: match keys.get("stp-path-cost") {
            Some(_) => u32::from(number_or(keys, "stp-path-cost", 0) as u16),
            None => stp::path_cost(0),
        },
    }
}

fn rstp_port(
    bridge: &RunningBridge,
    port: &PortConfig,
    interface: &Interface,
    number: u16,
    up: bool,
) -> rstp::PortConfig {
    let keys = &port.other_config;
    rstp::PortConfig {
        up,
        name: port.name.clone(),
        mac: mac_of(bridge, interface),
        priority: priority(keys, "rstp-port-priority") & 0xf0,
        number,
        path_cost: u32::try_from(number_or(keys, "rstp-path-cost", 0))
            .ok()
            .filter(|cost| (1..=200_000_000).contains(cost))
            .unwrap_or_else(|| rstp::path_cost(0)),
        admin_edge: is_true(keys, "rstp-port-admin-edge"),
        auto_edge: keys.get("rstp-port-auto-edge").is_none_or(|value| value != "false"),
        mcheck: is_true(keys, "rstp-port-mcheck"),
    }
}
