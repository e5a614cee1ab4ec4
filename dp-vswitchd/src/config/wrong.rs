//! Settings that should be whole numbers and are none: whoever sets one is told in the log, and in the
//! `error` of the interfaces that it concerns. What holds then is what holds where nothing is said.
//!
//! Rows that have no column for errors (`Open_vSwitch`, `Bridge`) are told of in the log alone. Options of
//! tunnels and of libdpdk's ports are read when the port is opened, which fails with a word of its own.

use std::collections::BTreeMap;

use super::{InterfaceConfig, PortConfig, QosConfig, Settings, SwitchConfig};

/// `Open_vSwitch.other_config`.
const SWITCH: &[&str] = &[
    "bundle-idle-timeout",
    "dpdk-alloc-mem",
    "emc-insert-inv-prob",
    "flow-limit",
    "max-idle",
    "max-revalidator",
    "pmd-auto-lb-improvement-threshold",
    "pmd-auto-lb-load-threshold",
    "pmd-auto-lb-rebal-interval",
    "recirculation-limit",
    "stats-update-interval",
    "tx-flush-interval",
    "vlan-limit",
];

/// `Bridge.other_config`. What bounds translation is told of by the bridge itself.
const BRIDGE: &[&str] = &[
    "controller-queue-size",
    "in-band-queue",
    "mac-aging-time",
    "mac-table-size",
    "mcast-snooping-aging-time",
    "mcast-snooping-table-size",
    "rstp-ageing-time",
    "rstp-force-protocol-version",
    "rstp-forward-delay",
    "rstp-max-age",
    "rstp-priority",
    "rstp-transmit-hold-count",
    "stp-forward-delay",
    "stp-hello-time",
    "stp-max-age",
    "stp-priority",
];

/// `Port.other_config`.
const PORT: &[&str] = &[
    "bond-hash-basis",
    "bond-rebalance-interval",
    "lacp-system-priority",
    "rstp-path-cost",
    "rstp-port-num",
    "rstp-port-priority",
    "stp-path-cost",
    "stp-port-num",
    "stp-port-priority",
];

/// `Interface.other_config`.
const INTERFACE: &[&str] =
    &["cfm_ccm_vlan", "cfm_interval", "lacp-aggregation-key", "lacp-port-id", "lacp-port-priority"];

/// `Interface.options`, of types whose ports open whatever these say.
const OPTIONS: &[&str] = &["n_rxq", "n_txq", "numa_id"];

/// `QoS.other_config`.
const QOS: &[&str] = &[
    "cbs", "cir", "ebs", "eir", "flows", "interval", "jitter", "latency", "limit", "loss",
    "max-rate", "perturb", "quantum", "target",
];

/// `Queue.other_config`.
const QUEUE: &[&str] = &["burst", "cbs", "cir", "ebs", "eir", "max-rate", "min-rate", "priority"];

/// What is wrong with the first of these keys that is no number.
fn first<'a>(column: &'a str, keys: &'a [&str], settings: &'a Settings) -> Option<String> {
    all(column, keys, settings).next()
}

fn all<'a>(
    column: &'a str,
    keys: &'a [&str],
    settings: &'a Settings,
) -> impl Iterator<Item = String> + 'a {
    keys.iter().filter_map(move |key| {
        let value = settings.get(*key)?;
        let wrong = value.trim().parse::<u64>().is_err();
        wrong.then(|| format!("{column}:{key}={value}: expected a whole number"))
    })
}

/// What is wrong with the numbers of an interface's own row.
pub(crate) fn interface(config: &InterfaceConfig) -> Option<String> {
    let own = first("other_config", INTERFACE, &config.other_config);
    let told = own.or_else(|| {
        let options = config.kind.starts_with("dummy").then_some(&config.options)?;
        first("options", OPTIONS, options)
    })?;
    Some(format!("{}: {told}", config.name))
}

/// What is wrong with the numbers of a port's row, and of its quality of service.
pub(crate) fn port(config: &PortConfig) -> Option<String> {
    let own = first("other_config", PORT, &config.other_config);
    let told = own.or_else(|| config.qos.as_ref().and_then(qos))?;
    Some(format!("port {}: {told}", config.name))
}

fn qos(config: &QosConfig) -> Option<String> {
    let own = first("QoS other_config", QOS, &config.other_config);
    own.or_else(|| {
        config.queues.iter().find_map(|(number, queue)| {
            let told = first("other_config", QUEUE, &queue.other_config)?;
            Some(format!("Queue {number} {told}"))
        })
    })
}

/// Leaves bridges out whose names are no names of files, such as those of their sockets; a sentence
/// for each.
pub(crate) fn keep_nameable(config: &mut SwitchConfig) -> Vec<String> {
    let mut told = Vec::new();
    config.bridges.retain(|bridge| {
        let nameable = !bridge.name.contains('/');
        if !nameable {
            told.push(format!("ignoring bridge with invalid name \"{}\"", bridge.name));
        }
        nameable
    });
    told
}

/// Leaves each interface to the first port that names it; a sentence for each other that does.
pub(crate) fn keep_first(config: &mut SwitchConfig) -> Vec<String> {
    let (mut owners, mut told) = (BTreeMap::new(), Vec::new());
    for bridge in &mut config.bridges {
        for port in &mut bridge.ports {
            let name = port.name.clone();
            port.interfaces.retain(|interface| {
                let owner = owners.entry(interface.name.clone()).or_insert_with(|| name.clone());
                let first = *owner == name;
                if !first {
                    let interface = &interface.name;
                    told.push(format!(
                        "port {name}: interface {interface} is on port {owner} already"
                    ));
                }
                first
            });
        }
        bridge.ports.retain(|port| !port.interfaces.is_empty());
    }
    told
}

/// A sentence for each number of a configuration that is none.
pub(crate) fn wrong(config: &SwitchConfig) -> Vec<String> {
    let mut told: Vec<String> = all("other_config", SWITCH, &config.other_config).collect();
    for bridge in &config.bridges {
        let own = all("other_config", BRIDGE, &bridge.other_config);
        told.extend(own.map(|it| format!("bridge {}: {it}", bridge.name)));
        for port in &bridge.ports {
            told.extend(self::port(port));
            told.extend(port.interfaces.iter().filter_map(interface));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BridgeConfig, QueueConfig};

    /// Nonsense under every key of every row is told under its name, and numbers are not.
    #[test]
    fn every_number_that_is_none_is_told_by_its_key() {
        let set = |keys: &[&str], value: &str| -> Settings {
            keys.iter().map(|key| ((*key).to_owned(), value.to_owned())).collect()
        };
        let config = |value| {
            let queue = QueueConfig { dscp: None, other_config: set(QUEUE, value) };
            let qos = QosConfig {
                other_config: set(QOS, value),
                queues: [(3, queue)].into(),
                ..QosConfig::default()
            };
            let interface = InterfaceConfig {
                name: "p1".to_owned(),
                kind: "dummy".to_owned(),
                other_config: set(INTERFACE, value),
                options: set(OPTIONS, value),
                ..InterfaceConfig::default()
            };
            let port = PortConfig {
                name: "p1".to_owned(),
                other_config: set(PORT, value),
                interfaces: vec![interface],
                qos: Some(qos),
                ..PortConfig::default()
            };
            let bridge = BridgeConfig {
                name: "br0".to_owned(),
                other_config: set(BRIDGE, value),
                ports: vec![port],
                ..BridgeConfig::default()
            };
            SwitchConfig {
                other_config: set(SWITCH, value),
                bridges: vec![bridge],
                ..SwitchConfig::default()
            }
        };
        assert_eq!(wrong(&config("17")), [""; 0]);
        let told = wrong(&config("many"));
        for key in SWITCH.iter().chain(BRIDGE) {
            let sentence = format!("other_config:{key}=many: expected a whole number");
            assert!(told.iter().any(|line| line.ends_with(&sentence)), "{key}: {told:?}");
        }
        // Of a port's row, and of an interface's, the first is told.
        assert_eq!(told.len(), SWITCH.len() + BRIDGE.len() + 2);
        let negative = wrong(&config("-1"));
        assert_eq!(negative.len(), told.len());
        let mut only = config("17");
        let queues = &mut only.bridges[0].ports[0].qos.as_mut().unwrap().queues;
        queues.get_mut(&3).unwrap().other_config.insert("burst".into(), "1k".into());
        let told = wrong(&only);
        assert_eq!(told, ["port p1: Queue 3 other_config:burst=1k: expected a whole number"]);
    }

    #[test]
    fn a_bridge_whose_name_leads_elsewhere_is_left_out() {
        let named = |name: &str| BridgeConfig { name: name.to_owned(), ..BridgeConfig::default() };
        let mut config = SwitchConfig {
            bridges: ["br0", "../../tmp/br", "a/b"].map(named).into(),
            ..SwitchConfig::default()
        };
        let told = keep_nameable(&mut config);
        assert_eq!(config.bridges.len(), 1);
        assert_eq!(told[1], "ignoring bridge with invalid name \"a/b\"");
    }
}
