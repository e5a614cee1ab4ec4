//! `ofproto/trace` and `ofproto/trace-packet-out`: what the flow tables make of a packet.

use std::sync::Arc;

use dp_core::base::Instant;
use dp_core::flow::text::DpPorts;
use dp_ofproto::trace::{trace, trace_packet_out};
use dp_ofproto::translate::World;

use crate::switch::{Datapath, Switch};
use crate::unixctl::CommandRegistry;

type Trace = fn(&World, &dyn DpPorts, &[&str], Instant) -> Result<String, String>;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let commands: [(&str, &str, usize, Trace); 2] = [
        (
            "ofproto/trace",
            "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]",
            1,
            trace,
        ),
        (
            "ofproto/trace-packet-out",
            "[-consistent] {[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet] actions",
            2,
            trace_packet_out,
        ),
    ];
    for (name, usage, min, run) in commands {
        let own = Arc::clone(switch);
        registry.register(name, usage, min, usize::MAX, move |request| {
            let arguments: Vec<&str> = request.arguments().iter().map(String::as_str).collect();
            let datapath = datapath(&own, &arguments)?;
            let ports = datapath.port_table();
            run(&datapath.ofproto.world(), &ports, &arguments, own.now())
        });
    }
}

/// The datapath that is meant: by a bridge's name, by its own, or the only one.
fn datapath(switch: &Switch, arguments: &[&str]) -> Result<Arc<Datapath>, String> {
    let named = arguments.iter().find_map(|word| switch.bridge(word));
    match named {
        Some(bridge) => Ok(Arc::clone(&bridge.datapath)),
        None => {
            let mut all = switch.datapaths().into_iter();
            if let Some(found) = all.find(|it| arguments.contains(&it.name.as_str())) {
                return Ok(found);
            }
            let name = arguments.iter().find(|word| word.contains('@') && !word.contains('('));
            switch.datapath(name.copied())
        }
    }
}
