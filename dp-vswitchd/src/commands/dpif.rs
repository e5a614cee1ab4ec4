//! `dpif/show` and `dpif/dump-dps`: bridges and their ports, as the datapath knows them.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::switch::tunnels::config_of;
use crate::switch::{Interface, RunningBridge, Switch};
use crate::unixctl::{CommandRegistry, Format, Reply};

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("dpif/dump-dps", "", 0, 0, move |_| {
        let line = |it: &Arc<RunningBridge>| format!("{}@{}\n", it.datapath.kind, it.name);
        Ok::<_, String>(own.bridges().iter().map(line).collect::<String>())
    });
    let own = Arc::clone(switch);
    registry.register("dpif/show", "", 0, 0, move |request| {
        Ok::<_, String>(match request.format() {
            Format::Text => Reply::Text(show(&own)),
            Format::Json => Reply::Json(show_json(&own)),
        })
    });
}

fn show(switch: &Switch) -> String {
    let mut text = String::new();
    for datapath in switch.datapaths().iter().filter(|it| it.has_bridges()) {
        let totals = datapath.netdev.totals();
        let hits = totals.hits();
        let _ = writeln!(text, "{datapath}: hit:{hits} missed:{}", totals.upcalls);
        for bridge in switch.bridges().iter().filter(|it| Arc::ptr_eq(&it.datapath, datapath)) {
            let _ = writeln!(text, "  {}:", bridge.name);
            for interface in bridge.state().interfaces.values() {
                let Some(ofport) = interface.ofport else { continue };
                let number = interface.number.map_or("none".to_owned(), |it| it.0.to_string());
                let _ = writeln!(
                    text,
                    "    {} {}/{number}: ({}{})",
                    interface.config.name,
                    ofport.0,
                    interface.shown_kind(),
                    options(bridge, interface)
                );
            }
        }
    }
    text
}

/// What a tunnel, a patch or a dummy is told to be, behind its type.
fn options(bridge: &RunningBridge, interface: &Interface) -> String {
    let given = |key: &&str| interface.config.options.contains_key(*key);
    let plain = |keys: &[&str]| -> Vec<String> {
        let options = &interface.config.options;
        let value = |key: &&str| options.get(*key).cloned().unwrap_or_default();
        keys.iter().filter(|key| given(key)).map(|key| format!("{key}={}", value(key))).collect()
    };
    let pairs: Vec<String> = match interface.kind.as_str() {
        "patch" => plain(&["peer"]),
        "dummy" | "dummy-pmd" => {
            let mut pairs = plain(&["ifindex", "pstream", "stream"]);
            pairs.extend(set_up(bridge, interface));
            pairs.sort_unstable();
            pairs
        }
        _ => match config_of(interface) {
            Some(config) => config.shown().map(|(key, value)| format!("{key}={value}")).collect(),
            None => set_up(bridge, interface),
        },
    };
    if pairs.is_empty() { String::new() } else { format!(": {}", pairs.join(", ")) }
}

/// How a device is set up.
fn set_up(bridge: &RunningBridge, interface: &Interface) -> Vec<String> {
    let pairs = interface.number.map(|it| bridge.datapath.netdev.port_configuration(it));
    pairs.unwrap_or_default().iter().map(|(key, value)| format!("{key}={value}")).collect()
}

fn show_json(switch: &Switch) -> Value {
    let mut datapaths = Map::new();
    for datapath in switch.datapaths().iter().filter(|it| it.has_bridges()) {
        let totals = datapath.netdev.totals();
        let mut bridges = Map::new();
        for bridge in switch.bridges().iter().filter(|it| Arc::ptr_eq(&it.datapath, datapath)) {
            let mut ports = Map::new();
            for interface in bridge.state().interfaces.values() {
                let Some(ofport) = interface.ofport else { continue };
                let number = interface.number.map_or("none".to_owned(), |it| it.0.to_string());
                ports.insert(
                    interface.config.name.clone(),
                    json!({
                        "type": interface.shown_kind(),
                        "ofport": ofport.0.to_string(),
                        "port_no": number,
                    }),
                );
            }
            bridges.insert(bridge.name.clone(), Value::Object(ports));
        }
        datapaths.insert(
            datapath.to_string(),
            json!({
                "bridges": bridges,
                "stats": {
                    "hit": totals.hits().to_string(),
                    "missed": totals.upcalls.to_string(),
                },
            }),
        );
    }
    Value::Object(datapaths)
}
