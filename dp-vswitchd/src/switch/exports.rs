//! sFlow, NetFlow and IPFIX: configured from the database, run by the main loop, sent from here.
//!
//! What they are is in [`dp_ofproto::export`]. What cannot be understood of a row is said in the log
//! and left out; the bridge works on without it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Datapath as _, PortInfo};
use dp_core::route::SourceNeed;
use dp_ofproto::export::{
    BridgeIpfix, BridgeWish, ExportPort, Exporter, Exports, Tunnel, ipfix, netflow, sflow,
};
use dp_ofproto::tunnel::is_tunnel;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::Switch;
use super::bridge::{BridgeState, Interface, RunningBridge};
use crate::config::{CollectorSetConfig, ExportConfig, SwitchConfig};
use crate::net::collectors::{Collectors, parse_target};

/// What collectors are told, and the collectors.
#[derive(Debug, Default)]
pub(crate) struct SwitchExports {
    pub(crate) exports: Arc<Exports>,
    collectors: Mutex<BTreeMap<(String, Exporter), Collectors>>,
    sent: AtomicU64,
    failed: AtomicU64,
}

impl SwitchExports {
    /// Datagrams sent, datagrams that could not be, samples and records lost for want of room.
    pub(crate) fn counters(&self) -> [(&'static str, u64); 3] {
        [
            ("export_sent", self.sent.load(Ordering::Relaxed)),
            ("export_send_failed", self.failed.load(Ordering::Relaxed)),
            ("export_lost", self.exports.lost()),
        ]
    }

    fn collectors(&self) -> MutexGuard<'_, BTreeMap<(String, Exporter), Collectors>> {
        self.collectors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that an exporter has these collectors.
    fn set_collectors(
        &self,
        bridge: &str,
        exporter: Exporter,
        targets: &[String],
        default_port: Option<u16>,
    ) {
        let mut all = self.collectors();
        let key = (bridge.to_owned(), exporter);
        if all.get(&key).is_none_or(|known| known.targets() != targets) {
            all.insert(key, Collectors::open(targets, default_port));
        }
    }
}

impl Switch {
    /// Configures the exporters of all bridges, whose interfaces are open.
    pub(super) fn apply_exports(&self, config: &SwitchConfig) {
        let now = self.now();
        let mut known = self.exports.exports.bridges();
        let mut sub_agent = 0;
        let mut used = Vec::new();
        for (number, bridge) in config.bridges.iter().enumerate() {
            let Some(running) = self.bridge(&bridge.name) else { continue };
            known.retain(|name| *name != bridge.name);
            let mut wish = BridgeWish::default();
            let mut collect = |exporter, row: &ExportConfig, port| {
                self.exports.set_collectors(&bridge.name, exporter, &row.targets, port);
                used.push((bridge.name.clone(), exporter));
            };
            if let Some(row) = &bridge.sflow {
                wish.sflow = self.sflow_config(row, sub_agent);
                if wish.sflow.is_some() {
                    sub_agent += 1;
                    collect(Exporter::Sflow, row, Some(SFLOW_PORT));
                }
            }
            if let Some(row) = &bridge.netflow {
                wish.netflow = Some(netflow_config(row, number));
                collect(Exporter::Netflow, row, None);
            }
            if let Some(row) = &bridge.ipfix {
                wish.ipfix = Some(bridge_ipfix(row));
                collect(Exporter::Ipfix, row, Some(IPFIX_PORT));
            }
            let own = |set: &&CollectorSetConfig| set.bridge.as_ref() == Some(&bridge.name);
            let mut local = false;
            for set in config.collector_sets.iter().filter(own) {
                local |= set.local_group_id.is_some();
                let id = u32::try_from(set.id).ok();
                if let (Some(row), Some(id)) = (&set.ipfix, id) {
                    wish.sets.insert(id, ipfix_config(row));
                    collect(Exporter::IpfixSet(id), row, Some(IPFIX_PORT));
                }
            }
            if local {
                log::warn!(
                    target: "bridge",
                    "bridge {}: ignoring local sampling configuration: not supported by this \
                     datapath",
                    bridge.name
                );
            }
            if !wish.is_off() {
                wish.ports = export_ports(&running, &running.state());
            }
            self.exports.exports.set_bridge(&bridge.name, wish, now, unix());
        }
        for gone in known {
            self.exports.exports.set_bridge(&gone, BridgeWish::default(), now, unix());
        }
        self.exports.collectors().retain(|key, _| used.contains(key));
        self.plug_exports();
    }

    /// Translation asks the exporters only while there is something to tell.
    fn plug_exports(&self) {
        let wanted = !self.exports.exports.is_off();
        for datapath in self.datapaths() {
            if datapath.ofproto.world().hooks.sampling.is_some() != wanted {
                let exports = Arc::clone(&self.exports.exports);
                datapath
                    .ofproto
                    .change_hooks(|hooks| hooks.sampling = wanted.then_some(exports as Arc<_>));
            }
        }
    }

    fn sflow_config(&self, row: &ExportConfig, sub_agent: u32) -> Option<sflow::Config> {
        let number = |name, default: i64| row.numbers.get(name).copied().unwrap_or(default);
        let positive = |name, default: u32| {
            u32::try_from(number(name, default.into())).ok().filter(|it| *it != 0)
        };
        let agent = row.texts.get("agent").map(String::as_str).filter(|it| !it.is_empty());
        let Some(agent) = self.agent_address(agent, &row.targets) else {
            log::error!(target: "sflow", "could not determine IP address for sFlow agent");
            return None;
        };
        let header = usize::try_from(number("header", 128)).unwrap_or(128);
        Some(sflow::Config {
            agent,
            sub_agent,
            sampling: positive("sampling", 400).unwrap_or(400),
            polling: Duration::from_secs(u64::try_from(number("polling", 30)).unwrap_or(0)),
            header: header.min(sflow::MAX_HEADER),
        })
    }

    /// The address by which collectors know an agent: the one that is said, that of the device that
    /// is said, or the one that the first collector is reached from.
    fn agent_address(&self, agent: Option<&str>, targets: &[String]) -> Option<IpAddr> {
        let routing = self.underlay.router().snapshot();
        if let Some(agent) = agent {
            let of_device = || {
                let addresses = routing.addresses().of(agent);
                let v4 = addresses.iter().find(|(address, _)| address.is_ipv4());
                v4.or(addresses.first()).map(|(address, _)| *address)
            };
            return agent.parse().ok().or_else(of_device);
        }
        let target = targets.iter().find_map(|it| parse_target(it, Some(SFLOW_PORT)).ok())?;
        let found = routing.lookup(target.ip(), 0, SourceNeed::Any, 0)?;
        found.source.or_else(|| routing.addresses().source_for(&found.device, target.ip()))
    }

    /// Lets exporters run, and sends what they have to say.
    pub(super) fn run_exports(&self, now: Instant) {
        if self.exports.exports.is_off() {
            return;
        }
        let outgoing = self.exports.exports.run(now, unix(), |bridge| self.polled(bridge));
        if outgoing.is_empty() {
            return;
        }
        let mut collectors = self.exports.collectors();
        for one in outgoing {
            let key = (one.bridge, one.exporter);
            if let Some(collectors) = collectors.get_mut(&key) {
                let sent = collectors.send(&one.datagram);
                self.exports.sent.fetch_add(sent.ok, Ordering::Relaxed);
                self.exports.failed.fetch_add(sent.failed, Ordering::Relaxed);
                self.exports.exports.note_sent(&key.0, key.1, sent.ok, sent.failed);
            }
        }
    }

    /// When [`Self::run_exports`] has something to do.
    pub(super) fn exports_wake(&self) -> Option<Instant> {
        self.exports.exports.wake(self.now())
    }

    /// What sFlow tells of a bridge's ports and of the switch.
    fn polled(&self, name: &str) -> sflow::Polled {
        let Some(bridge) = self.bridge(name) else { return sflow::Polled::default() };
        let netdev = &bridge.datapath.netdev;
        let infos: BTreeMap<PortNo, PortInfo> =
            netdev.ports().into_iter().map(|port| (port.port, port)).collect();
        let state = bridge.state();
        let interfaces: Vec<&Interface> = state.interfaces.values().collect();
        let ports = interfaces
            .into_iter()
            .filter_map(|interface| self.port_counters(&bridge, interface, &infos))
            .collect();
        let totals = netdev.totals();
        sflow::Polled {
            datapath_id: state.datapath_id,
            ports,
            resources: resources(),
            switch: sflow::SwitchCounters {
                hits: totals.hits(),
                misses: totals.upcalls + totals.upcalls_failed,
                lost: totals.upcalls_failed,
                flows: totals.flows,
            },
        }
    }

    fn port_counters(
        &self,
        bridge: &RunningBridge,
        interface: &Interface,
        infos: &BTreeMap<PortNo, PortInfo>,
    ) -> Option<sflow::PortCounters> {
        let ofport = interface.ofport?;
        let number = interface.number?;
        let ifindex = ifindex(bridge, interface)?;
        let status = bridge.datapath.netdev.port_status(number)?;
        let stats = infos.get(&number)?.stats;
        // What dummies lose is not known.
        let device = !interface.kind.starts_with("dummy");
        let (speed, full_duplex) = match bridge.datapath.netdev.port_link(number).filter(|_| device)
        {
            Some(link) => (u64::from(link.mbps) * 1_000_000, link.full_duplex),
            // As the reference tells what is not known.
            None => (DEFAULT_SPEED, None),
        };
        let lacp = self.services.lacp_view(&bridge.name, ofport).map(|view| sflow::LacpCounters {
            actor: view.actor,
            partner: view.partner,
            aggregator: view.key.into(),
            // Aggregation, and whether it speaks first: what an operator can wish for.
            states: [4 | u8::from(view.active), view.actor_state, 0, view.partner_state],
            rx: view.rx,
            rx_bad: view.rx_bad,
            tx: view.tx,
        });
        Some(sflow::PortCounters {
            ifindex,
            ofport,
            name: interface.config.name.clone(),
            speed,
            full_duplex,
            admin_up: status.admin_up,
            link_up: status.link_up,
            rx_packets: stats.rx_packets,
            rx_bytes: stats.rx_bytes,
            rx_dropped: device.then_some(stats.rx_dropped),
            tx_packets: stats.tx_packets,
            tx_bytes: stats.tx_bytes,
            tx_dropped: device.then_some(stats.tx_dropped),
            lacp,
        })
    }
}

/// NetFlow's settings; engines that are not numbered have the bridge's place for a number.
fn netflow_config(row: &ExportConfig, place: usize) -> netflow::Config {
    let engine = |name| {
        let number = row.numbers.get(name).and_then(|it| u8::try_from(*it).ok());
        number.unwrap_or_else(|| u8::try_from(place & 0xff).unwrap_or(0))
    };
    let active_timeout = match row.numbers.get("active_timeout").copied().unwrap_or(0) {
        ..0 => None,
        0 => Some(netflow::ACTIVE_TIMEOUT),
        seconds => Some(Duration::from_secs(seconds.unsigned_abs())),
    };
    netflow::Config {
        engine_type: engine("engine_type"),
        engine_id: engine("engine_id"),
        add_id_to_interface: row.add_id_to_interface,
        active_timeout,
    }
}

fn bridge_ipfix(row: &ExportConfig) -> BridgeIpfix {
    let number = |name| row.numbers.get(name).and_then(|it| u32::try_from(*it).ok());
    let on = |key: &str| row.other_config.get(key).is_none_or(|value| value != "false");
    BridgeIpfix {
        exporter: ipfix_config(row),
        sampling: number("sampling").filter(|it| *it != 0).unwrap_or(400),
        domain: number("obs_domain_id").unwrap_or(0),
        point: number("obs_point_id").unwrap_or(0),
        input: on("enable-input-sampling"),
        output: on("enable-output-sampling"),
    }
}

fn ipfix_config(row: &ExportConfig) -> ipfix::Config {
    let number = |name| row.numbers.get(name).and_then(|it| u64::try_from(*it).ok());
    let interval = |name| {
        let seconds = number(name).filter(|it| *it != 0);
        seconds.map_or(ipfix::INTERVAL, Duration::from_secs)
    };
    let point = row.other_config.get("virtual_obs_id").filter(|it| !it.is_empty());
    let tunnels = row.other_config.get("enable-tunnel-sampling");
    ipfix::Config {
        active_timeout: Duration::from_secs(number("cache_active_timeout").unwrap_or(0)),
        max_flows: usize::try_from(number("cache_max_flows").unwrap_or(0)).unwrap_or(usize::MAX),
        stats_interval: interval("stats_interval"),
        template_interval: interval("template_interval"),
        virtual_point: point.cloned(),
        tunnels: tunnels.is_none_or(|value| value != "false"),
    }
}

/// The time since 1970.
fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What is known of the ports of a bridge.
fn export_ports(bridge: &RunningBridge, state: &BridgeState) -> Vec<ExportPort> {
    let port = |interface: &Interface| {
        Some(ExportPort {
            port: interface.number.unwrap_or(PortNo::NONE),
            ofport: interface.ofport?,
            ifindex: ifindex(bridge, interface),
            name: interface.config.name.clone(),
            tunnel: tunnel(&interface.kind),
        })
    };
    state.interfaces.values().filter_map(port).collect()
}

fn tunnel(kind: &str) -> Option<Tunnel> {
    is_tunnel(kind).then_some(match kind {
        "vxlan" => Tunnel::Vxlan,
        "geneve" => Tunnel::Geneve,
        "gre" | "ip6gre" => Tunnel::Gre,
        _ => Tunnel::Other,
    })
}

/// The number by which the world knows an interface; a dummy's is what its row pretends.
fn ifindex(bridge: &RunningBridge, interface: &Interface) -> Option<u32> {
    if interface.kind.starts_with("dummy") {
        return interface.config.options.get("ifindex")?.parse().ok();
    }
    let status = bridge.datapath.netdev.port_status(interface.number?)?;
    Some(status.ifindex).filter(|it| *it != 0)
}

fn resources() -> sflow::Resources {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return sflow::Resources::default() };
    let millis = |time: i64| u32::try_from(time & 0xffff_ffff).unwrap_or(0);
    sflow::Resources {
        user_ms: millis(usage.user_time().num_milliseconds()),
        system_ms: millis(usage.system_time().num_milliseconds()),
        memory: u64::try_from(usage.max_rss()).unwrap_or(0).saturating_mul(1024),
    }
}

/// Where sFlow's collectors are by default.
const SFLOW_PORT: u16 = 6343;
/// Where IPFIX's collectors are by default.
const IPFIX_PORT: u16 = 4739;
/// The speed that is told of a link whose speed is not known, as the reference tells it.
const DEFAULT_SPEED: u64 = 100_000_000;
