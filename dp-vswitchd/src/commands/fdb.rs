//! `fdb/*`: where a bridge has learned that addresses are.

use std::sync::Arc;

use dp_core::base::OfPort;

use crate::switch::{RunningBridge, Switch};
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("fdb/show", "bridge", 1, 1, move |request| {
        let bridge = own.bridge(request.argument(0)).ok_or("no such bridge")?;
        Ok::<_, &str>(show(&own, &bridge))
    });
    let own = Arc::clone(switch);
    registry.register("fdb/flush", "[bridge]", 0, 1, move |request| {
        let bridges = match request.arguments().first() {
            Some(name) => vec![own.bridge(name).ok_or("no such bridge")?],
            None => own.bridges(),
        };
        bridges.iter().for_each(|bridge| bridge.bridge.macs().flush());
        Ok::<_, &str>("table successfully flushed")
    });
}

fn show(switch: &Switch, bridge: &RunningBridge) -> String {
    let mut text = " port  VLAN  MAC                Age\n".to_owned();
    for entry in bridge.bridge.macs().dump(switch.now()) {
        let port = match entry.port {
            OfPort::LOCAL => "LOCAL".to_owned(),
            port => port.0.to_string(),
        };
        let age = entry.age.as_secs();
        text += &format!("{port:>5}  {:>4}  {}  {age:>3}\n", entry.vlan, entry.mac);
    }
    text
}
