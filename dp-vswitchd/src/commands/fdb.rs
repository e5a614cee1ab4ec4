//! `fdb/*`: where a bridge has learned that addresses are.

use std::sync::Arc;

use dp_core::base::{MacAddr, OfPort};
use serde_json::{Value, json};

use crate::switch::{RunningBridge, Switch};
use crate::unixctl::{CommandRegistry, Format, Reply, Request};

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("fdb/show", "bridge", 1, 1, move |request| {
        let bridge = own.bridge(request.argument(0)).ok_or("no such bridge")?;
        Ok::<_, &str>(match request.format() {
            Format::Text => Reply::Text(show(&own, &bridge)),
            Format::Json => Reply::Json(show_json(&own, &bridge)),
        })
    });
    let own = Arc::clone(switch);
    registry.register("fdb/stats-show", "bridge", 1, 1, move |request| {
        let bridge = own.bridge(request.argument(0)).ok_or("no such bridge")?;
        Ok::<_, &str>(statistics(&bridge))
    });
    let own = Arc::clone(switch);
    registry.register("fdb/stats-clear", "[bridge]", 0, 1, move |request| {
        chosen(&own, request)?.iter().for_each(|bridge| bridge.bridge.macs().clear_counts());
        Ok::<_, &str>("statistics successfully cleared")
    });
    let own = Arc::clone(switch);
    registry.register("fdb/flush", "[bridge]", 0, 1, move |request| {
        chosen(&own, request)?.iter().for_each(|bridge| bridge.bridge.macs().flush());
        Ok::<_, &str>("table successfully flushed")
    });
    let own = Arc::clone(switch);
    registry.register("fdb/add", "bridge port vlan mac", 4, 4, move |request| add(&own, request));
    let own = Arc::clone(switch);
    registry.register("fdb/del", "bridge vlan mac", 3, 3, move |request| {
        let bridge = own.bridge(request.argument(0)).ok_or("no such bridge")?;
        let (vlan, mac) = place(request.argument(1), request.argument(2))?;
        if bridge.bridge.macs().remove_static(vlan, mac) {
            Ok(())
        } else {
            Err("could not find static mac entry\n")
        }
    });
}

/// The bridge that is named, or all.
fn chosen(switch: &Switch, request: &Request<'_>) -> Result<Vec<Arc<RunningBridge>>, &'static str> {
    match request.arguments().first() {
        Some(name) => Ok(vec![switch.bridge(name).ok_or("no such bridge")?]),
        None => Ok(switch.bridges()),
    }
}

fn add(switch: &Switch, request: &Request<'_>) -> Result<String, &'static str> {
    let bridge = switch.bridge(request.argument(0)).ok_or("no such bridge")?;
    let name = request.argument(1);
    let ports = bridge.bridge.ports();
    let port = match name.parse::<u16>() {
        Ok(number) => ports.get(OfPort(number)),
        Err(_) => ports.by_name(name),
    };
    let port = port.ok_or("software error, odp port is present but no ofp port")?.ofport;
    let (vlan, mac) = place(request.argument(2), request.argument(3))?;
    if mac.is_multicast() {
        return Err("multicast mac entries are not supported");
    }
    let said = match bridge.bridge.macs().add_static(vlan, mac, port, switch.now()) {
        Some((old, true)) if old != port => Some((old, "static")),
        Some((old, false)) => Some((old, "dynamic")),
        _ => None,
    };
    Ok(said.map_or_else(String::new, |(old, kind)| {
        format!("Overriding already existing {kind} entry on {}\n", port_name(old))
    }))
}

fn place(vlan: &str, mac: &str) -> Result<(u16, MacAddr), &'static str> {
    let vlan = vlan.parse().ok().filter(|it| *it < 4096).ok_or("invalid vlan identifier")?;
    Ok((vlan, mac_of(mac).ok_or("bad MAC address")?))
}

/// An address, each part of one or two digits.
fn mac_of(text: &str) -> Option<MacAddr> {
    let mut octets = [0; 6];
    let mut parts = text.split(':');
    for octet in &mut octets {
        let part = parts.next().filter(|part| (1..=2).contains(&part.len()))?;
        *octet = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(MacAddr(octets))
}

fn port_name(port: OfPort) -> String {
    match port {
        OfPort::LOCAL => "LOCAL".to_owned(),
        port => port.0.to_string(),
    }
}

fn show(switch: &Switch, bridge: &RunningBridge) -> String {
    let mut text = " port  VLAN  MAC                Age\n".to_owned();
    for entry in bridge.bridge.macs().dump(switch.now()) {
        let age = if entry.is_static {
            "static".to_owned()
        } else {
            format!("{:3}", entry.age.as_secs())
        };
        let port = port_name(entry.port);
        text += &format!("{port:>5}  {:>4}  {}  {age}\n", entry.vlan, entry.mac);
    }
    text
}

fn show_json(switch: &Switch, bridge: &RunningBridge) -> Value {
    let entries = bridge.bridge.macs().dump(switch.now());
    let row = entries.into_iter().map(|entry| {
        let mut row = json!({
            "mac": entry.mac.to_string(),
            "port": entry.port.0,
            "vlan": entry.vlan,
            "static": entry.is_static,
        });
        if !entry.is_static
            && let Some(row) = row.as_object_mut()
        {
            row.insert("age".to_owned(), json!(entry.age.as_secs()));
        }
        row
    });
    row.collect()
}

fn statistics(bridge: &RunningBridge) -> String {
    let macs = bridge.bridge.macs();
    let counts = macs.counts();
    // Where addresses are followed at once, as in the reference, there are none.
    let held = match macs.suppressed_moves() {
        0 => String::new(),
        held => format!("  Total number of suppressed port moves   : {held}\n"),
    };
    format!(
        "Statistics for bridge \"{}\":\n  Current/maximum MAC entries in the table: {}/{}\n  Current \
         static MAC entries in the table : {}\n  Total number of learned MAC entries     : {}\n  \
         Total number of expired MAC entries     : {}\n  Total number of evicted MAC entries     : \
         {}\n  Total number of port moved MAC entries  : {}\n{held}",
        bridge.name,
        macs.len(),
        macs.capacity(),
        macs.static_len(),
        counts.learned,
        counts.expired,
        counts.evicted,
        counts.moved,
    )
}
