//! `ofproto/list`: the bridges.

use std::sync::Arc;

use crate::switch::Switch;
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("ofproto/list", "", 0, 0, move |_| {
        Ok::<_, String>(own.bridges().iter().map(|it| format!("{}\n", it.name)).collect::<String>())
    });
}
