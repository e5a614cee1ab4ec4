//! `ofproto/list`, `bridge/*`, `qos/*`: bridges and their ports.

use std::sync::Arc;

use crate::switch::Switch;
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("ofproto/list", "", 0, 0, move |_| {
        Ok::<_, String>(own.bridges().iter().map(|it| format!("{}\n", it.name)).collect::<String>())
    });
    let own = Arc::clone(switch);
    registry.register("qos/show-types", "interface", 1, 1, move |request| {
        let name = request.argument(0);
        own.interface(name).ok_or("no such interface")?;
        Ok::<_, &str>(format!("No QoS types supported for interface: {name}\n"))
    });
    let own = Arc::clone(switch);
    registry.register("qos/show", "interface", 1, 1, move |request| {
        let name = request.argument(0);
        let (bridge, interface) = own.interface(name).ok_or("no such interface")?;
        match bridge.unsupported_qos(&interface) {
            Some(kind) => Err(format!("QoS type {kind} is not supported on {name}")),
            None => Ok(format!("QoS not configured on {name}\n")),
        }
    });
}
