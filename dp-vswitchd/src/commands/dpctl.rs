//! `dpif/*` and `dpctl/*` about datapaths and their ports.

use std::fmt::Write as _;
use std::sync::Arc;

use dp_core::boundary::Datapath as _;
use serde_json::{Map, Value, json};

use crate::switch::{Datapath, RunningBridge, Switch};
use crate::unixctl::{CommandRegistry, Format, Reply, Request};

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("dpctl/dump-dps", "", 0, 0, move |_| {
        let names = own.datapaths();
        Ok::<_, String>(names.iter().map(|it| format!("{it}\n")).collect::<String>())
    });
    let own = Arc::clone(switch);
    registry.register("dpif/dump-dps", "", 0, 0, move |_| {
        let line = |it: &Arc<RunningBridge>| format!("{}@{}\n", it.datapath.kind, it.name);
        Ok::<_, String>(own.bridges().iter().map(line).collect::<String>())
    });
    let own = Arc::clone(switch);
    registry.register("dpctl/show", "[-s] [dp...]", 0, usize::MAX, move |request| {
        dpctl_show(&own, request)
    });
    let own = Arc::clone(switch);
    registry.register("dpif/show", "", 0, 0, move |request| {
        Ok::<_, String>(match request.format() {
            Format::Text => Reply::Text(dpif_show(&own)),
            Format::Json => Reply::Json(dpif_show_json(&own)),
        })
    });
}

fn dpctl_show(switch: &Switch, request: &Request<'_>) -> Result<String, String> {
    let statistics = request.arguments().iter().any(|it| it == "-s");
    let names: Vec<_> = request.arguments().iter().filter(|it| !it.starts_with('-')).collect();
    let datapaths = if names.is_empty() {
        switch.datapaths()
    } else {
        let find = |name: &&String| {
            switch
                .datapath(Some(name))
                .map_err(|why| format!("ovs-vswitchd: opening datapath {name} failed ({why})\n"))
        };
        names.iter().map(find).collect::<Result<_, _>>()?
    };
    Ok(datapaths.iter().map(|it| show_one(it, statistics)).collect())
}

/// Writing to a string cannot fail: the results below are of no interest.
fn show_one(datapath: &Datapath, statistics: bool) -> String {
    let totals = datapath.netdev.totals();
    let hits = totals.emc_hits + totals.megaflow_hits;
    let mut text = format!("{datapath}:\n");
    let _ = writeln!(
        text,
        "  lookups: hit:{hits} missed:{} lost:{}",
        totals.upcalls, totals.upcalls_failed
    );
    let _ = writeln!(text, "  flows: {}", totals.flows);
    let kinds = datapath.ports().clone();
    for port in datapath.netdev.ports() {
        let kind = kinds.get(&port.port).map_or("", |it| it.kind.as_str());
        let dummy = kind.starts_with("dummy");
        let kind = if kind == "system" { String::new() } else { format!(" ({kind})") };
        let _ = writeln!(text, "  port {}: {}{kind}", port.port.0, port.name);
        if statistics {
            let it = port.stats;
            let known = |value: u64| if dummy { "?".to_owned() } else { value.to_string() };
            let (rx_dropped, tx_dropped) = (known(it.rx_dropped), known(it.tx_dropped));
            let zero = known(0);
            let _ = writeln!(
                text,
                "    RX packets:{} errors:{zero} dropped:{rx_dropped} overruns:{zero} \
                 frame:{zero}\n    TX packets:{} errors:{zero} dropped:{tx_dropped} \
                 aborted:{zero} carrier:{zero}\n    collisions:{zero}\n    RX bytes:{}  TX \
                 bytes:{}\n    UPCALL packets:? errors:?",
                it.rx_packets, it.tx_packets, it.rx_bytes, it.tx_bytes
            );
        }
    }
    text
}

fn dpif_show(switch: &Switch) -> String {
    let mut text = String::new();
    for datapath in switch.datapaths() {
        let totals = datapath.netdev.totals();
        let hits = totals.emc_hits + totals.megaflow_hits;
        let _ = writeln!(text, "{datapath}: hit:{hits} missed:{}", totals.upcalls);
        for bridge in switch.bridges().iter().filter(|it| Arc::ptr_eq(&it.datapath, &datapath)) {
            let _ = writeln!(text, "  {}:", bridge.name);
            for interface in bridge.state().interfaces.values() {
                let Some(ofport) = interface.ofport else { continue };
                let number = interface.number.map_or("none".to_owned(), |it| it.0.to_string());
                let _ = writeln!(
                    text,
                    "    {} {}/{number}: ({})",
                    interface.config.name, ofport.0, interface.kind
                );
            }
        }
    }
    text
}

fn dpif_show_json(switch: &Switch) -> Value {
    let mut datapaths = Map::new();
    for datapath in switch.datapaths() {
        let totals = datapath.netdev.totals();
        let mut bridges = Map::new();
        for bridge in switch.bridges().iter().filter(|it| Arc::ptr_eq(&it.datapath, &datapath)) {
            let mut ports = Map::new();
            for interface in bridge.state().interfaces.values() {
                let Some(ofport) = interface.ofport else { continue };
                let number = interface.number.map_or("none".to_owned(), |it| it.0.to_string());
                ports.insert(
                    interface.config.name.clone(),
                    json!({
                        "type": interface.kind,
                        "ofport": ofport.0.to_string(),
                        "odp_port": number,
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
                    "n_hit": (totals.emc_hits + totals.megaflow_hits).to_string(),
                    "n_missed": totals.upcalls.to_string(),
                },
            }),
        );
    }
    Value::Object(datapaths)
}
