//! `ofproto/list`, `bridge/reconnect`, `bridge/dump-flows`: the bridges, their connections, and all of
//! their rules, those of the switch itself included.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::sync::Arc;

use dp_core::base::Instant;
use dp_ofproto::text::{FullRuleText, NumbersOnly};

use crate::switch::{RunningBridge, Switch};
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
    let own = Arc::clone(switch);
    let usage = "[--offload-stats] bridge";
    registry.register("bridge/dump-flows", usage, 1, 2, move |request| {
        let arguments = request.arguments();
        let offloads = arguments.len() > 1 && arguments.iter().any(|it| it == "--offload-stats");
        let name = arguments.last().map(String::as_str).unwrap_or_default();
        let bridge = own.bridge(name).ok_or_else(|| "Unknown bridge".to_owned())?;
        Ok::<_, String>(dump(&bridge, offloads, own.now()))
    });
}

/// All rules of a bridge, a line each: by table, then by priority.
fn dump(bridge: &RunningBridge, offloads: bool, now: Instant) -> String {
    let set = bridge.bridge.tables().snapshot();
    let hidden = set.hidden().into_iter().flat_map(|it| it.rules());
    let mut rules: Vec<_> = hidden.chain(set.rules()).chain(set.internal().iter()).collect();
    rules.sort_by_key(|rule| (rule.table(), Reverse(rule.priority()), rule.id()));
    let mut text = String::new();
    for rule in rules {
        let line = FullRuleText { rule, now, offloads, names: &NumbersOnly };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    }
    text
}
