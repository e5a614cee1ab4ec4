//! `ofproto/list`, `bridge/reconnect`: the bridges, and their connections.

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
    registry.register("bridge/reconnect", "[bridge]", 0, 1, move |request| {
        let bridges = match request.arguments().first() {
            Some(name) => vec![own.bridge(name).ok_or_else(|| "Unknown bridge".to_owned())?],
            None => own.bridges(),
        };
        bridges.iter().for_each(|bridge| bridge.ask_to_reconnect());
        own.waker.wake();
        Ok::<_, String>(String::new())
    });
}
