//! `stp/*`, `rstp/*` and `mdb/*`.

use std::sync::Arc;

use dp_core::base::OfPort;
use dp_ofproto::services::trees::Tree;

use crate::switch::Switch;
use crate::unixctl::CommandRegistry;

/// Registers the families.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let families = [("stp", "no such stp object"), ("rstp", "No such RSTP object")];
    for (family, missing) in families {
        let own = Arc::clone(switch);
        registry.register(&format!("{family}/show"), "[bridge]", 0, 1, move |request| {
            let name = request.arguments().first().map(String::as_str);
            let text = each(&own, family, name, |tree| match tree {
                Tree::Stp(stp) => stp.show(),
                Tree::Rstp(rstp) => rstp.show(),
            });
            if text.is_empty() && name.is_some() { Err(missing) } else { Ok(text.concat()) }
        });
        let own = Arc::clone(switch);
        registry.register(&format!("{family}/tcn"), "[bridge]", 0, 1, move |request| {
            let name = request.arguments().first().map(String::as_str);
            let now = own.now();
            let done = each(&own, family, name, |tree| match tree {
                Tree::Stp(stp) => stp.force_topology_change(now),
                Tree::Rstp(rstp) => rstp.force_topology_change(now),
            });
            if done.is_empty() && name.is_some() { Err(missing) } else { Ok("OK") }
        });
    }
    let own = Arc::clone(switch);
    registry.register("mdb/show", "bridge", 1, 1, move |request| {
        let name = request.argument(0);
        own.bridge(name).ok_or("no such bridge")?;
        let now = own.now();
        let number = |port: OfPort| match port {
            OfPort::LOCAL => "LOCAL".to_owned(),
            port => port.0.to_string(),
        };
        let text = own.services.with_snooping(name, |table| table.show(now, number));
        text.ok_or("multicast snooping is disabled")
    });
    let own = Arc::clone(switch);
    registry.register("mdb/flush", "[bridge]", 0, 1, move |request| {
        let Some(name) = request.arguments().first() else {
            for bridge in own.bridges() {
                own.services.with_snooping(&bridge.name, |table| table.flush());
            }
            return Ok("table successfully flushed");
        };
        own.bridge(name).ok_or("no such bridge")?;
        let flushed = own.services.with_snooping(name, |table| table.flush());
        flushed.map(|()| "table successfully flushed").ok_or("multicast snooping is disabled")
    });
}

/// The answers of `with` for the trees of a family, of all bridges or of this one.
fn each<T>(
    switch: &Switch,
    family: &str,
    name: Option<&str>,
    mut with: impl FnMut(&mut Tree) -> T,
) -> Vec<T> {
    let mut answers = Vec::new();
    for bridge in switch.bridges() {
        if name.is_some_and(|name| name != bridge.name) {
            continue;
        }
        switch.services.with_tree(&bridge.name, |tree| {
            let own = if matches!(tree, Tree::Stp(_)) { "stp" } else { "rstp" };
            if own == family {
                answers.push(with(tree));
            }
        });
    }
    answers
}
