//! Quality of service, as ports and interfaces ask for it.
//!
//! Network interfaces of the system are given the kernel's queueing disciplines; all other ports are
//! shaped by the switch itself (`linux-htb`), and every port can be policed. Ports of type `dummy`
//! have no quality of service, as in the reference; `dummy-pmd` ones have.
//!
//! What cannot be had is the error of the interface's row, and a line of the log; packets flow as
//! though nothing had been asked for.

use std::collections::BTreeMap;

use dp_core::base::{Instant, PortNo};
use dp_netdev::netlink::tc::{self, Class, ClassStats, Discipline, Resolved};
use dp_netdev::qos::police::{PolicerConfig, TrtcmConfig, TwoRates};
use dp_netdev::qos::shaper::{QueueConfig as ShaperQueue, ShaperConfig};
use dp_netdev::qos::{EgressConfig, QosReport};

use super::bridge::{Interface, RunningBridge};
use super::open::ROUTED;
use crate::config::{Policing, QosConfig, QueueConfig, Settings};

/// What is in force on an interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AppliedQos {
    /// The port of the datapath that it was applied to.
    number: Option<PortNo>,
    plan: Plan,
    ingress: PolicerConfig,
    /// Why the plan is not in force.
    pub(crate) error: Option<String>,
    /// Since when.
    since: Instant,
}

/// How a wish is carried out.
#[derive(Clone, Debug, Default, PartialEq)]
enum Plan {
    /// There is none.
    #[default]
    Nothing,
    /// Whatever others have set up stays.
    HandsOff,
    /// By the switch.
    Own(EgressConfig, &'static str),
    /// By the kernel: on the interface of this number and MTU.
    Kernel(Discipline, u32, u32),
    /// Not at all.
    Unsupported(String),
}

/// A queue as it is shown.
pub(crate) struct QueueShown {
    /// Its number.
    pub(crate) queue: u32,
    /// Its settings, in the order in which they are shown.
    pub(crate) settings: Vec<(&'static str, u64)>,
    /// What it has counted.
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) errors: u64,
    /// Since when.
    pub(crate) since: Instant,
}

/// The quality of service of an interface as it is shown.
pub(crate) struct QosShown {
    /// Its type.
    pub(crate) kind: &'static str,
    /// Its settings, in the order in which they are shown.
    pub(crate) settings: Vec<(&'static str, u64)>,
    pub(crate) queues: Vec<QueueShown>,
}

/// The types that an interface of this type can have.
pub(crate) fn types(kind: &str) -> &'static [&'static str] {
    match kind {
        "system" => &[
            "linux-htb",
            "linux-hfsc",
            "linux-sfq",
            "linux-codel",
            "linux-fq_codel",
            "linux-netem",
            "linux-noop",
            "egress-policer",
            "trtcm-policer",
        ],
        "dummy" | "dummy-internal" | "patch" | ROUTED => &[],
        _ => &["linux-htb", "linux-noop", "egress-policer", "trtcm-policer"],
    }
}

impl RunningBridge {
    /// Puts in force what ports and interfaces ask for.
    pub(super) fn apply_qos(&self, now: Instant) {
        let state = &mut *self.state();
        let wishes: BTreeMap<&str, &QosConfig> = state
            .config
            .ports
            .iter()
            .filter_map(|port| Some((port.name.as_str(), port.qos.as_ref()?)))
            .collect();
        let mut known = std::mem::take(&mut state.qos);
        for (name, interface) in &state.interfaces {
            let before = known.remove(name);
            let wish = wishes.get(interface.port.as_str()).copied();
            let ingress = policer(&interface.config.policing);
            let idle = wish.is_none() && ingress.is_open() && before.is_none();
            let capable = !types(&interface.kind).is_empty();
            if idle || !capable {
                continue;
            }
            let before = before.unwrap_or_default();
            let applied = self.apply_to(interface, wish, ingress, before, now);
            if applied.plan != Plan::Nothing || !applied.ingress.is_open() {
                state.qos.insert(name.clone(), applied);
            }
        }
        forget(known);
    }

    /// Takes the kernel's disciplines from all interfaces of a bridge that goes.
    pub(super) fn clear_qos(&self) {
        forget(std::mem::take(&mut self.state().qos));
    }

    fn apply_to(
        &self,
        interface: &Interface,
        wish: Option<&QosConfig>,
        ingress: PolicerConfig,
        before: AppliedQos,
        now: Instant,
    ) -> AppliedQos {
        let name = &interface.config.name;
        let plan = wish.map_or(Plan::Nothing, |wish| self.plan(interface, wish));
        let fresh = before.plan != plan || before.number != interface.number;
        let since = if fresh { now } else { before.since };
        let mut error = if fresh { None } else { before.error.clone() };
        if fresh {
            if let Err(why) = change_kernel(&before.plan, &plan) {
                let kind = wish.map_or("", |wish| wish.kind.as_str());
                error = Some(format!("{name}: QoS type {kind} cannot be set up ({why})"));
            }
            if let Plan::Unsupported(why) = &plan {
                error = Some(why.clone());
            }
            if let Some(why) = &error {
                log::warn!(target: "bridge", "{why}");
            }
        }
        if let Some(number) = interface.number {
            let egress = match &plan {
                Plan::Own(egress, _) => egress.clone(),
                _ => EgressConfig::Open,
            };
            self.datapath.netdev.set_port_qos(number, ingress, egress, now);
        }
        AppliedQos { number: interface.number, plan, ingress, error, since }
    }

    fn plan(&self, interface: &Interface, wish: &QosConfig) -> Plan {
        let name = &interface.config.name;
        let unsupported = || {
            Plan::Unsupported(format!(
                "{name}: QoS type {} is not supported on a port of type {}",
                wish.kind, interface.kind
            ))
        };
        let numbers = |key| number(&wish.other_config, key);
        match wish.kind.as_str() {
            "" | "linux-default" => return Plan::Nothing,
            "linux-noop" => return Plan::HandsOff,
            "egress-policer" | "trtcm-policer" => {
                return match numbers("cir").unwrap_or(0).min(numbers("cbs").unwrap_or(0)) {
                    0 => Plan::Unsupported(format!(
                        "{name}: QoS type {} needs other_config:cir and other_config:cbs",
                        wish.kind
                    )),
                    _ => policed(wish),
                };
            }
            _ => {}
        }
        let max_rate = numbers("max-rate").filter(|it| *it != 0);
        let max_rate = max_rate.or_else(|| link_rate(name)).unwrap_or(DEFAULT_RATE);
        if interface.kind != "system" {
            return match wish.kind.as_str() {
                "linux-htb" => Plan::Own(EgressConfig::Shape(shaper(wish, max_rate)), "linux-htb"),
                _ => unsupported(),
            };
        }
        let status = interface.number.and_then(|it| self.datapath.netdev.port_status(it));
        let Some(status) = status.filter(|it| it.ifindex != 0) else { return Plan::Nothing };
        match discipline(wish, max_rate, status.mtu) {
            Some(discipline) => Plan::Kernel(discipline, status.ifindex, status.mtu),
            None => unsupported(),
        }
    }

    /// The quality of service of an interface; `None` if it has none.
    pub(crate) fn qos_of(&self, interface: &Interface) -> Option<QosShown> {
        let applied = self.state().qos.get(&interface.config.name)?.clone();
        if applied.error.is_some() {
            return None;
        }
        match &applied.plan {
            Plan::Own(egress, kind) => {
                let report = self.datapath.netdev.port_qos(interface.number?)?;
                Some(own_shown(egress, kind, &report))
            }
            Plan::Kernel(discipline, ifindex, mtu) => {
                let stats = tc::statistics(*ifindex).unwrap_or_default();
                Some(kernel_shown(discipline, *mtu, &stats, applied.since))
            }
            Plan::Nothing | Plan::HandsOff | Plan::Unsupported(_) => None,
        }
    }

    /// Why an interface has not the quality of service that was asked for.
    pub(crate) fn qos_error(&self, interface: &str) -> Option<String> {
        self.state().qos.get(interface)?.error.clone()
    }

    /// What policing and shaping have cost an interface, by the names of its statistics.
    pub(crate) fn qos_drops(&self, interface: &Interface) -> Vec<(String, u64)> {
        if !self.state().qos.contains_key(&interface.config.name) {
            return Vec::new();
        }
        let number = interface.number;
        let report = number.and_then(|it| self.datapath.netdev.port_qos(it)).unwrap_or_default();
        vec![
            ("ovs_rx_qos_drops".to_owned(), report.rx_policed),
            ("ovs_tx_qos_drops".to_owned(), report.tx_policed + report.tx_overflow),
        ]
    }
}

/// The kernel's interface outlives the port: what was put there goes.
fn forget(gone: BTreeMap<String, AppliedQos>) {
    for (name, gone) in gone {
        if let Plan::Kernel(_, ifindex, _) = gone.plan
            && let Err(error) = tc::clear(ifindex)
            && error.raw_os_error() != Some(libc::ENODEV)
        {
            log::warn!(target: "netdev_linux", "{name}: {}", crate::errno::text(&error));
        }
    }
}

/// What a port may send where neither the row nor the device says.
const DEFAULT_RATE: u64 = 10_000_000_000;

/// The rate of a device, in bits a second.
fn link_rate(name: &str) -> Option<u64> {
    let path = std::path::Path::new("/sys/class/net").join(name).join("speed");
    let text = std::fs::read_to_string(path).ok()?;
    let megabits: u64 = text.trim().parse().ok()?;
    (megabits != 0).then(|| megabits.saturating_mul(1_000_000))
}

fn number(settings: &Settings, key: &str) -> Option<u64> {
    settings.get(key)?.trim().parse().ok()
}

fn number32(settings: &Settings, key: &str) -> Option<u32> {
    number(settings, key).and_then(|it| u32::try_from(it).ok())
}

/// `ingress_policing_*`: thousands of bits, and thousands of packets.
fn policer(policing: &Policing) -> PolicerConfig {
    let plain = |it: i64| u64::try_from(it).unwrap_or(0);
    let burst = |rate: i64, burst: i64, default| match (plain(rate), plain(burst)) {
        (0, _) => 0,
        (_, 0) => default,
        (_, burst) => burst,
    };
    PolicerConfig {
        bits: plain(policing.rate).saturating_mul(1000),
        bits_burst: burst(policing.rate, policing.burst, 8000).saturating_mul(1000),
        packets: plain(policing.kpkts_rate).saturating_mul(1000),
        packets_burst: burst(policing.kpkts_rate, policing.kpkts_burst, 16).saturating_mul(1000),
    }
}

fn two_rates(settings: &Settings, excess: bool) -> TwoRates {
    let get = |key| number(settings, key).unwrap_or(0);
    TwoRates {
        cir: get("cir"),
        cbs: get("cbs"),
        eir: if excess { get("eir") } else { 0 },
        ebs: if excess { get("ebs") } else { 0 },
    }
}

fn policed(wish: &QosConfig) -> Plan {
    if wish.kind == "egress-policer" {
        let port = two_rates(&wish.other_config, false);
        let config = TrtcmConfig { port, queues: Vec::new() };
        return Plan::Own(EgressConfig::Police(config), "egress-policer");
    }
    let port = two_rates(&wish.other_config, true);
    let mut queues: BTreeMap<u32, TwoRates> =
        wish.queues.iter().map(|(id, queue)| (*id, two_rates(&queue.other_config, true))).collect();
    // The default queue is as the port where nothing else is said.
    queues.entry(0).or_insert(port);
    let config = TrtcmConfig { port, queues: queues.into_iter().collect() };
    Plan::Own(EgressConfig::Police(config), "trtcm-policer")
}

fn shaper(wish: &QosConfig, max_rate: u64) -> ShaperConfig {
    let queue = |queue: &QueueConfig| {
        let get = |key| number(&queue.other_config, key).unwrap_or(0);
        ShaperQueue {
            min_rate: get("min-rate"),
            max_rate: get("max-rate"),
            burst: get("burst"),
            priority: number32(&queue.other_config, "priority").unwrap_or(0),
        }
    };
    let queues = wish.queues.iter().map(|(id, it)| (*id, queue(it)));
    ShaperConfig { max_rate, queues: queues.collect() }
}

/// The kernel's discipline of this type; `None` if there is no such type.
fn discipline(wish: &QosConfig, max_rate: u64, mtu: u32) -> Option<Discipline> {
    let get = |key, default| number32(&wish.other_config, key).unwrap_or(default);
    let class = |queue: &QueueConfig| {
        let get = |key| number(&queue.other_config, key).unwrap_or(0);
        Class {
            min_rate: get("min-rate"),
            max_rate: get("max-rate"),
            burst: get("burst"),
            priority: number32(&queue.other_config, "priority").unwrap_or(0),
        }
    };
    let classes = || wish.queues.iter().map(|(id, queue)| (*id, class(queue))).collect();
    Some(match wish.kind.as_str() {
        "linux-htb" => Discipline::Htb { max_rate, classes: classes() },
        "linux-hfsc" => Discipline::Hfsc { max_rate, classes: classes() },
        "linux-sfq" => {
            Discipline::Sfq { perturb: get("perturb", 10), quantum: get("quantum", mtu) }
        }
        "linux-codel" => Discipline::Codel {
            target: get("target", 5_000),
            limit: get("limit", 10_240),
            interval: get("interval", 100_000),
        },
        "linux-fq_codel" => Discipline::FqCodel {
            target: get("target", 5_000),
            limit: get("limit", 10_240),
            interval: get("interval", 1_000_000),
            flows: get("flows", 1_024),
            quantum: get("quantum", mtu + 14),
        },
        "linux-netem" => Discipline::Netem {
            latency: get("latency", 0),
            limit: get("limit", 1_000),
            loss: get("loss", 0),
            jitter: get("jitter", 0),
        },
        _ => return None,
    })
}

/// Makes the kernel's part of one plan that of another.
fn change_kernel(before: &Plan, after: &Plan) -> Result<(), String> {
    let done = match (before, after) {
        (Plan::Kernel(old, before, _), Plan::Kernel(new, ifindex, mtu)) if before == ifindex => {
            tc::change(*ifindex, *mtu, old, new)
        }
        (_, Plan::Kernel(new, ifindex, mtu)) => tc::put(*ifindex, *mtu, new),
        (Plan::Kernel(_, ifindex, _), _) => tc::clear(*ifindex),
        _ => Ok(()),
    };
    done.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => "the kernel does not have it".to_owned(),
        _ => crate::errno::text(&error),
    })
}

fn own_shown(egress: &EgressConfig, kind: &'static str, report: &QosReport) -> QosShown {
    let mut shown = QosShown { kind, settings: Vec::new(), queues: Vec::new() };
    match egress {
        EgressConfig::Open => {}
        EgressConfig::Police(config) => {
            shown.settings = rates_shown(&config.port, kind == "trtcm-policer");
            for (queue, rates) in &config.queues {
                shown.queues.push(QueueShown {
                    queue: *queue,
                    settings: rates_shown(rates, true),
                    packets: 0,
                    bytes: 0,
                    errors: 0,
                    since: Instant::default(),
                });
            }
        }
        EgressConfig::Shape(config) => {
            shown.settings = vec![("max-rate", config.max_rate)];
            for it in &report.queues {
                let wish = config.queues.get(&it.queue).copied().unwrap_or_default();
                let most = if wish.max_rate == 0 { config.max_rate } else { wish.max_rate };
                let mut settings = Vec::new();
                for (key, value) in [("burst", wish.burst), ("priority", u64::from(wish.priority))]
                {
                    if value != 0 {
                        settings.push((key, value));
                    }
                }
                settings.extend([("min-rate", wish.min_rate), ("max-rate", most)]);
                shown.queues.push(QueueShown {
                    queue: it.queue,
                    settings,
                    packets: it.packets,
                    bytes: it.bytes,
                    errors: it.dropped,
                    since: it.since,
                });
            }
        }
    }
    shown
}

fn rates_shown(rates: &TwoRates, excess: bool) -> Vec<(&'static str, u64)> {
    let mut settings = vec![("cir", rates.cir), ("cbs", rates.cbs)];
    if excess {
        settings.extend([("eir", rates.eir), ("ebs", rates.ebs)]);
    }
    settings
}

fn kernel_shown(
    discipline: &Discipline,
    mtu: u32,
    stats: &BTreeMap<u32, ClassStats>,
    since: Instant,
) -> QosShown {
    let wide = |value: &u32| u64::from(*value);
    let (kind, settings) = match discipline {
        Discipline::Htb { max_rate, .. } => ("linux-htb", vec![("max-rate", *max_rate)]),
        Discipline::Hfsc { max_rate, .. } => ("linux-hfsc", vec![("max-rate", *max_rate)]),
        Discipline::Sfq { perturb, quantum } => {
            ("linux-sfq", vec![("quantum", wide(quantum)), ("perturb", wide(perturb))])
        }
        Discipline::Codel { target, limit, interval } => {
            let settings = vec![
                ("target", wide(target)),
                ("limit", wide(limit)),
                ("interval", wide(interval)),
            ];
            ("linux-codel", settings)
        }
        Discipline::FqCodel { target, limit, interval, flows, quantum } => {
            let settings = vec![
                ("target", wide(target)),
                ("limit", wide(limit)),
                ("interval", wide(interval)),
                ("flows", wide(flows)),
                ("quantum", wide(quantum)),
            ];
            ("linux-fq_codel", settings)
        }
        Discipline::Netem { latency, limit, loss, jitter } => {
            let settings = vec![
                ("latency", wide(latency)),
                ("limit", wide(limit)),
                ("loss", wide(loss)),
                ("jitter", wide(jitter)),
            ];
            ("linux-netem", settings)
        }
    };
    let htb = matches!(discipline, Discipline::Htb { .. });
    let queue = |(queue, class): (u32, Resolved)| {
        let stats = stats.get(&queue).copied().unwrap_or_default();
        QueueShown {
            queue,
            settings: class_shown(&class, htb),
            packets: stats.packets,
            bytes: stats.bytes,
            errors: stats.drops,
            since,
        }
    };
    QosShown { kind, settings, queues: discipline.classes(mtu).into_iter().map(queue).collect() }
}

fn class_shown(class: &Resolved, htb: bool) -> Vec<(&'static str, u64)> {
    let mut settings = Vec::new();
    if htb {
        settings.push(("burst", class.burst * 8));
        if class.priority != 0 {
            settings.push(("priority", u64::from(class.priority)));
        }
    }
    settings.extend([("min-rate", class.min_rate * 8), ("max-rate", class.max_rate * 8)]);
    settings
}
