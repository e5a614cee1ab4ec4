//! `coverage/*`: how often things have happened.
//!
//! The counters are those of the libraries: packets dropped by reason, what the packet threads and
//! the slow path did. Their names are the field's, so that what watches the reference by them
//! watches this switch too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use dp_core::boundary::Datapath as _;

use crate::switch::Switch;
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("coverage/read-counter", "COUNTER", 1, 1, move |request| {
        let counters = counters(&own);
        let value = counters.get(request.argument(0)).ok_or("No such counter")?;
        Ok::<_, &str>(format!("{value}\n"))
    });
    let own = Arc::clone(switch);
    registry.register("coverage/show", "", 0, 0, move |_| {
        let counters = counters(&own);
        let mut text = "Event coverage, avg rate over last: 5 seconds, last minute, last hour,  \
                        hash=00000000:\n"
            .to_owned();
        let rates = own.rates(&counters);
        let mut never = 0;
        for (name, total) in &counters {
            if *total == 0 {
                never += 1;
                continue;
            }
            let [five, minute, hour] = rates.get(name).copied().unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{name:<24} {five:5.1}/sec {minute:9.3}/sec {hour:13.4}/sec   total: {total}"
            );
        }
        let _ = writeln!(text, "{never} events never hit");
        Ok::<_, String>(text)
    });
}

/// All counters by name.
pub(crate) fn counters(switch: &Switch) -> BTreeMap<&'static str, u64> {
    let mut counters = switch.events();
    let mut add = |name, count: u64| *counters.entry(name).or_default() += count;
    for datapath in switch.datapaths() {
        let totals = datapath.netdev.totals();
        for (reason, count) in &totals.drops {
            add(reason.name(), *count);
        }
        for (reason, count) in datapath.tunnels.waiting().drops().iter() {
            add(reason.name(), count);
        }
        let (held, released) = datapath.tunnels.waiting().passed();
        add("tunnel_neigh_queued", held);
        add("tunnel_neigh_released", released);
        if let Some(tracker) = datapath.netdev.conntrack() {
            for (name, count) in tracker.counters().iter() {
                add(name, count);
            }
        }
        add("flow_extract", totals.received + totals.recirculated);
        add("dpif_flow_put", totals.installed);
        add("xlate_actions", datapath.ofproto.counters().answered());
        add("upcall_flow_limit_hit", datapath.ofproto.counters().over_limit());
    }
    add("tunnel_neigh_table_full", switch.underlay.neighbours().refused());
    let (announced, left_out) = switch.underlay.announced();
    add("address_announced", announced);
    add("address_left_to_others", left_out);
    for bridge in switch.bridges() {
        let counts = bridge.bridge.macs().totals();
        add("mac_learning_learned", counts.learned);
        add("mac_learning_expired", counts.expired);
        add("mac_learning_evicted", counts.evicted);
        add("mac_learning_moved", counts.moved);
        add("mac_learning_static_none_move", counts.held);
    }
    for (name, count) in switch.exports.counters() {
        add(name, count);
    }
    counters
}
