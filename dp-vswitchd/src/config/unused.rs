//! Settings that this switch knows and has no use for: whoever sets one is told, once, and why.
//!
//! What other programs read (`iface-id`, keys of IPsec, …) is none of the switch's business and not
//! here.

use super::{Settings, SwitchConfig};

/// A setting without effect.
struct Unused {
    place: Place,
    key: &'static str,
    /// A value that asks for what is there already.
    harmless: Option<&'static str>,
    why: &'static str,
}

/// Which rows have the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// `Open_vSwitch.other_config`.
    Switch,
    /// `Port.other_config`.
    Port,
    /// `Interface.other_config`.
    Interface,
    /// `Interface.options`.
    Options,
}

const NO_OFFLOAD: &str = "flows are not offloaded to hardware";
const NO_HANDLERS: &str = "there are no handlers or revalidators to number: packets without a flow are \
                           translated by the thread that received them";
const OWN_MEMORY: &str = "ports of a NUMA node share one pool of buffers for each size of frame";
const BY_CARRIER: &str = "links are watched by their carrier, as events";

const UNUSED: &[Unused] = &[
    switch("hw-offload", Some("false"), NO_OFFLOAD),
    switch("tc-policy", Some("none"), NO_OFFLOAD),
    switch("n-offload-threads", None, NO_OFFLOAD),
    switch("offloaded-stats-delay", None, NO_OFFLOAD),
    switch("offload-rebalance", Some("false"), NO_OFFLOAD),
    switch("n-handler-threads", None, NO_HANDLERS),
    switch("n-revalidator-threads", None, NO_HANDLERS),
    switch("min-revalidate-pps", None, "flows are revalidated whatever they carry"),
    switch("per-port-memory", Some("false"), OWN_MEMORY),
    switch("shared-mempool-config", None, OWN_MEMORY),
    switch(
        "userspace-tso-enable",
        None,
        "large segments are passed on to ports that take them and cut for others, always",
    ),
    Unused {
        place: Place::Port,
        key: "bond-detect-mode",
        harmless: Some("carrier"),
        why: BY_CARRIER,
    },
    Unused { place: Place::Port, key: "bond-miimon-interval", harmless: None, why: BY_CARRIER },
    Unused {
        place: Place::Interface,
        key: "tx-steering",
        harmless: Some("thread"),
        why: "each thread sends by a queue of its own",
    },
    Unused {
        place: Place::Options,
        key: "use-need-wakeup",
        harmless: Some("true"),
        why: "the kernel is woken when it asks for it",
    },
];

const fn switch(key: &'static str, harmless: Option<&'static str>, why: &'static str) -> Unused {
    Unused { place: Place::Switch, key, harmless, why }
}

/// A sentence for each setting of a configuration that has no effect.
pub(crate) fn unused(config: &SwitchConfig) -> Vec<String> {
    let mut told = Vec::new();
    let mut look = |place: Place, row: &str, column: &str, settings: &Settings| {
        for it in UNUSED.iter().filter(|it| it.place == place) {
            let Some(value) = settings.get(it.key) else { continue };
            if it.harmless != Some(value.as_str()) {
                told.push(format!("{row}{column}:{}={value} has no effect: {}", it.key, it.why));
            }
        }
    };
    look(Place::Switch, "", "other_config", &config.other_config);
    for port in config.bridges.iter().flat_map(|bridge| &bridge.ports) {
        look(Place::Port, &format!("port {}: ", port.name), "other_config", &port.other_config);
        for interface in &port.interfaces {
            let row = format!("interface {}: ", interface.name);
            look(Place::Interface, &row, "other_config", &interface.other_config);
            look(Place::Options, &row, "options", &interface.options);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{UNUSED, unused};
    use crate::config::{BridgeConfig, InterfaceConfig, PortConfig, SwitchConfig};

    #[test]
    fn what_has_no_effect_is_told_and_what_is_so_already_is_not() {
        let mut config = SwitchConfig::default();
        config.other_config.insert("hw-offload".to_owned(), "false".to_owned());
        config.other_config.insert("n-handler-threads".to_owned(), "4".to_owned());
        let mut interface = InterfaceConfig { name: "p".to_owned(), ..Default::default() };
        interface.options.insert("use-need-wakeup".to_owned(), "false".to_owned());
        let port = PortConfig { interfaces: vec![interface], ..Default::default() };
        config.bridges = vec![BridgeConfig { ports: vec![port], ..Default::default() }];
        let told = unused(&config);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("other_config:n-handler-threads=4 has no effect: "));
        assert!(told[1].starts_with("interface p: options:use-need-wakeup=false has no effect: "));
    }

    /// All sources of a crate, one after the other.
    fn sources(folder: &Path, out: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, out);
            } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("wrong.rs") {
                out.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    /// Every key of ovs-vswitchd.conf.db(5) is acted upon, told to be without effect, or another
    /// program's: `keys.txt` says which.
    #[test]
    fn every_key_that_users_may_set_is_somebody_s() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut text = String::new();
        for name in ["dp-core", "dp-netdev", "dp-ofproto", "dp-vswitchd"] {
            sources(&root.join(name).join("src"), &mut text);
        }
        let (mut acted, mut other) = (0, 0);
        for line in include_str!("keys.txt").lines().filter(|it| !it.starts_with('#')) {
            let (what, rest) = line.split_once(' ').unwrap();
            let (column, key) = rest.split_once(':').unwrap();
            let known = UNUSED.iter().any(|it| it.key == key);
            match what {
                "acted" => {
                    assert!(text.contains(&format!("\"{key}\"")), "{column}:{key} is nowhere");
                    assert!(!known, "{column}:{key} is acted upon and told to have no effect");
                    acted += 1;
                }
                "unused" => assert!(known, "{column}:{key} is not told"),
                "other" => other += 1,
                _ => panic!("{line}"),
            }
        }
        assert!(acted > 120 && other < 20, "{acted} {other}");
    }
}
