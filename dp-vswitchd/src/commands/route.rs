//! `ovs/route/*`: the routes by which tunnels are reached. The texts are
//! [`dp_core::route::text`]'s.

use std::sync::Arc;

use dp_core::route::{Router, text};

use crate::switch::Switch;
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    let usage = "ip/plen output_bridge [gw] [pkt_mark=mark] [src=src_ip] [table=id] \
                 [policy=src-ip|dst-ip]";
    registry.register("ovs/route/add", usage, 2, 7, move |request| {
        change(&own, request.arguments(), text::add)
    });
    let own = Arc::clone(switch);
    registry.register(
        "ovs/route/del",
        "ip/plen [pkt_mark=mark] [table=id] [policy=src-ip|dst-ip]",
        1,
        4,
        move |request| change(&own, request.arguments(), text::del),
    );
    let own = Arc::clone(switch);
    registry.register("ovs/route/show", "[table=all|id]", 0, 1, move |request| {
        text::show(&own.underlay.router(), &words(request.arguments()))
    });
    let own = Arc::clone(switch);
    let usage = "ip_addr [pkt_mark=mark] [src=src_ip]";
    registry.register("ovs/route/lookup", usage, 1, 3, move |request| {
        text::lookup(&mut own.underlay.router(), &words(request.arguments()))
    });
    let own = Arc::clone(switch);
    registry.register("ovs/route/explain", usage, 1, 3, move |request| {
        text::explain(&mut own.underlay.router(), &words(request.arguments()))
    });
    let own = Arc::clone(switch);
    let usage =
        "[-6] [not] from=all|ip/plen [prio=num] [mark=value[/mask]] table=local|main|default|id";
    registry.register("ovs/route/rule/add", usage, 2, 6, move |request| {
        change(&own, request.arguments(), text::rule_add)
    });
    let own = Arc::clone(switch);
    registry.register("ovs/route/rule/del", usage, 2, 6, move |request| {
        change(&own, request.arguments(), text::rule_del)
    });
    let own = Arc::clone(switch);
    registry.register("ovs/route/rule/show", "[-6]", 0, 1, move |request| {
        text::rule_show(&own.underlay.router(), &words(request.arguments()))
    });
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Changes the routes, and publishes them if they have changed. The router is let go before: publishing
/// looks at it again.
fn change(
    switch: &Switch,
    arguments: &[String],
    command: impl FnOnce(&mut Router, &[&str]) -> Result<String, String>,
) -> Result<String, String> {
    let result = command(&mut switch.underlay.router(), &words(arguments));
    if result.is_ok() {
        switch.refresh_routes();
        switch.touch();
    }
    result
}
