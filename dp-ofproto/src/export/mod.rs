//! What a bridge tells collectors of its traffic: sFlow, NetFlow, IPFIX.
//!
//! ```text
//!   translation ── asks ──► plan (a snapshot)        which steps sample, and into what
//!   packet threads ── samples, credits ──► exporters  one lock each, a few hundred nanoseconds
//!   main loop ── [`Exports::run`] ──► datagrams       sent by whoever owns sockets
//! ```
//!
//! One [`Exports`] serves all bridges of a switch. It is plugged into translation as
//! [`crate::translate::hooks::Sampling`] only while somebody wants to be told something: what is off
//! costs nothing.
//!
//! | room | what |
//! |---|---|
//! | [`ipfix`] | IPFIX |
//! | [`netflow`] | NetFlow version 5 |
//! | [`sflow`] | sFlow version 5 |
//! | `hooks` | the answers to translation |
//!
//! # Threads
//!
//! The plan is read without a lock. An exporter's state is behind a lock of its own, which packet
//! threads take for packets that are sampled, and revalidation for what flows have carried.

mod bytes;
mod hooks;
pub mod ipfix;
pub mod netflow;
pub mod sflow;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use dp_core::base::{Duration, Instant, OfPort, PortNo};

/// A port of a bridge, as collectors are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPort {
    /// The datapath's number; tunnels share one.
    pub port: PortNo,
    /// The OpenFlow number.
    pub ofport: OfPort,
    /// The interface's number; `None` where it has none.
    pub ifindex: Option<u32>,
    /// Its name.
    pub name: String,
    /// What kind of tunnel it is, if it is one.
    pub tunnel: Option<Tunnel>,
}

/// Kinds of tunnels that collectors are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// VXLAN.
    Vxlan,
    /// Geneve.
    Geneve,
    /// GRE, over IPv4 or IPv6.
    Gre,
    /// Another.
    Other,
}

impl Tunnel {
    /// The protocol of the outer IP header; `None` where it is not told.
    #[must_use]
    pub const fn protocol(self) -> Option<u8> {
        match self {
            Self::Vxlan | Self::Geneve => Some(17),
            Self::Gre => Some(47),
            Self::Other => None,
        }
    }
}

/// What a bridge is to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeWish {
    /// sFlow.
    pub sflow: Option<sflow::Config>,
    /// NetFlow.
    pub netflow: Option<netflow::Config>,
    /// IPFIX of all its packets.
    pub ipfix: Option<BridgeIpfix>,
    /// IPFIX of what flows sample, by the set of collectors.
    pub sets: BTreeMap<u32, ipfix::Config>,
    /// Its ports.
    pub ports: Vec<ExportPort>,
}

/// IPFIX of all packets of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeIpfix {
    /// The exporter's settings.
    pub exporter: ipfix::Config,
    /// One packet in so many is sampled.
    pub sampling: u32,
    /// Observation domain.
    pub domain: u32,
    /// Observation point.
    pub point: u32,
    /// Whether packets are sampled where they come in.
    pub input: bool,
    /// Whether they are sampled where they leave.
    pub output: bool,
}

impl BridgeWish {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.sflow.is_none() && self.netflow.is_none() && !self.has_ipfix()
    }

    /// Whether samples of flows are taken here.
    #[must_use]
    pub fn has_ipfix(&self) -> bool {
        self.ipfix.is_some() || !self.sets.is_empty()
    }
}

/// Which exporter of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exporter {
    /// sFlow.
    Sflow,
    /// NetFlow.
    Netflow,
    /// IPFIX of all packets.
    Ipfix,
    /// IPFIX of what flows sample for this set of collectors.
    IpfixSet(u32),
}

/// A datagram for the collectors of an exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The bridge.
    pub bridge: String,
    /// Which exporter of it.
    pub exporter: Exporter,
    /// The datagram.
    pub datagram: Vec<u8>,
}

/// A bridge's exporters, and what they go by.
#[derive(Debug)]
struct BridgeExport {
    wish: BridgeWish,
    sflow: Option<Arc<Mutex<sflow::Agent>>>,
    netflow: Option<Arc<Mutex<netflow::Cache>>>,
    ipfix: Option<IpfixExporter>,
    sets: BTreeMap<u32, IpfixExporter>,
}

type IpfixExporter = Arc<Mutex<ipfix::Exporter>>;

impl BridgeExport {
    fn port(&self, port: PortNo) -> Option<&ExportPort> {
        self.wish.ports.iter().find(|it| it.port == port)
    }

    fn by_ofport(&self, ofport: OfPort) -> Option<&ExportPort> {
        self.wish.ports.iter().find(|it| it.ofport == ofport)
    }
}

/// All bridges, by name.
type Plan = BTreeMap<String, Arc<BridgeExport>>;

/// The exporters of a switch.
#[derive(Debug, Default)]
pub struct Exports {
    plan: ArcSwap<Plan>,
    /// Moves on whenever an answer to translation may differ.
    version: AtomicU64,
    /// What was lost for want of room.
    lost: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exports {
    /// Nothing to tell.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.plan.load().is_empty()
    }

    /// Says what a bridge is to tell from now on. Exporters whose settings are as they were go on as
    /// they are.
    pub fn set_bridge(&self, bridge: &str, wish: BridgeWish, now: Instant, unix: Duration) {
        let plan = self.plan.load();
        let known = plan.get(bridge);
        if known.map_or(wish.is_off(), |known| known.wish == wish) {
            return;
        }
        let mut new = Plan::clone(&plan);
        if wish.is_off() {
            new.remove(bridge);
        } else {
            let known = known.map(|it| &**it);
            new.insert(bridge.to_owned(), Arc::new(BridgeExport::new(wish, known, (now, unix))));
        }
        self.plan.store(Arc::new(new));
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Bridges that something is known of.
    #[must_use]
    pub fn bridges(&self) -> Vec<String> {
        self.plan.load().keys().cloned().collect()
    }

    /// Lets time pass, and gives the datagrams that are to be sent. `unix` is the time since 1970;
    /// `polled` tells what ports of a bridge have counted.
    pub fn run(
        &self,
        now: Instant,
        unix: Duration,
        mut polled: impl FnMut(&str) -> sflow::Polled,
    ) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        for (bridge, export) in self.plan.load().iter() {
            let mut put = |exporter, datagrams: Vec<Vec<u8>>| {
                outgoing.extend(datagrams.into_iter().map(|datagram| Outgoing {
                    bridge: bridge.clone(),
                    exporter,
                    datagram,
                }));
            };
            let mut lost = 0;
            if let Some(agent) = &export.sflow {
                let mut agent = lock(agent);
                put(Exporter::Sflow, agent.run(now, || polled(bridge)));
                lost += agent.take_lost();
            }
            if let Some(cache) = &export.netflow {
                let mut cache = lock(cache);
                put(Exporter::Netflow, cache.run(now, unix));
                lost += cache.take_lost();
            }
            let ipfix = export.ipfix.iter().map(|it| (Exporter::Ipfix, it));
            let sets = export.sets.iter().map(|(set, it)| (Exporter::IpfixSet(*set), it));
            for (name, exporter) in ipfix.chain(sets) {
                let mut exporter = lock(exporter);
                put(name, exporter.run(now, unix));
                lost += exporter.take_lost();
            }
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        outgoing
    }

    /// Samples and records that were lost for want of room, as of the last [`Self::run`].
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// When [`Self::run`] has something to do.
    #[must_use]
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        let plan = self.plan.load();
        plan.values().filter_map(|export| export.wake(now)).min()
    }

    /// Notes what became of a message: to how many collectors it was sent, and to how many it could
    /// not be.
    pub fn note_sent(&self, bridge: &str, exporter: Exporter, sent: u64, failed: u64) {
        let Some(export) = self.of(bridge) else { return };
        let known = match exporter {
            Exporter::Ipfix => export.ipfix.as_ref(),
            Exporter::IpfixSet(set) => export.sets.get(&set),
            Exporter::Sflow | Exporter::Netflow => None,
        };
        if let Some(exporter) = known {
            lock(exporter).note_sent(sent, failed);
        }
    }

    /// What IPFIX of a bridge's packets has counted.
    #[must_use]
    pub fn ipfix_stats(&self, bridge: &str) -> Option<ipfix::Stats> {
        Some(lock(self.of(bridge)?.ipfix.as_ref()?).stats())
    }

    /// What IPFIX of flows' samples has counted, by the set of collectors.
    #[must_use]
    pub fn ipfix_set_stats(&self, bridge: &str) -> Vec<(u32, ipfix::Stats)> {
        let Some(export) = self.of(bridge) else { return Vec::new() };
        export.sets.iter().map(|(set, exporter)| (*set, lock(exporter).stats())).collect()
    }

    fn of(&self, bridge: &str) -> Option<Arc<BridgeExport>> {
        self.plan.load().get(bridge).cloned()
    }
}

impl BridgeExport {
    fn new(wish: BridgeWish, known: Option<&Self>, (now, unix): (Instant, Duration)) -> Self {
        let sflow = wish.sflow.as_ref().map(|config| {
            let running = known.and_then(|it| it.sflow.as_ref());
            let same = running.filter(|it| lock(it).config() == config);
            same.map_or_else(
                || Arc::new(Mutex::new(sflow::Agent::new(config.clone(), now))),
                Arc::clone,
            )
        });
        let netflow = wish.netflow.as_ref().map(|config| {
            let running = known.and_then(|it| it.netflow.as_ref());
            let same = running.filter(|it| lock(it).config() == config);
            same.map_or_else(
                || Arc::new(Mutex::new(netflow::Cache::new(config.clone(), now))),
                Arc::clone,
            )
        });
        let exporter = |config: &ipfix::Config, running: Option<&IpfixExporter>| {
            if let Some(running) = running {
                lock(running).configure(config.clone());
                return Arc::clone(running);
            }
            Arc::new(Mutex::new(ipfix::Exporter::new(config.clone(), now, unix)))
        };
        let ipfix = wish
            .ipfix
            .as_ref()
            .map(|it| exporter(&it.exporter, known.and_then(|it| it.ipfix.as_ref())));
        let sets = wish
            .sets
            .iter()
            .map(|(set, config)| {
                (*set, exporter(config, known.and_then(|known| known.sets.get(set))))
            })
            .collect();
        Self { wish, sflow, netflow, ipfix, sets }
    }

    fn wake(&self, now: Instant) -> Option<Instant> {
        let sflow = self.sflow.as_ref().map(|it| lock(it).wake());
        let netflow = self.netflow.as_ref().and_then(|it| lock(it).wake(now));
        let exporters = self.ipfix.iter().chain(self.sets.values());
        let ipfix = exporters.filter_map(|it| lock(it).wake(now));
        sflow.into_iter().chain(netflow).chain(ipfix).min()
    }
}
