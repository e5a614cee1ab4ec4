//! `ofproto/trace` and `ofproto/trace-packet-out`: what the flow tables make of a packet;
//! `ofproto/detrace`: what they have made a megaflow of.

use std::sync::Arc;

use dp_core::base::Instant;
use dp_core::boundary::{Datapath as _, FlowDump};
use dp_core::flow::text::DpPorts;
use dp_ofproto::bridge::Bridge;
use dp_ofproto::text::{FullRuleText, GroupText, NumbersOnly};
use dp_ofproto::trace::{trace, trace_packet_out};
use dp_ofproto::translate::{Effect, World};

use super::dpctl_flow::ufid_of;

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
    let own = Arc::clone(switch);
    registry.register("ofproto/detrace", "UFID [pmd=PMD-ID]", 1, 2, move |request| {
        let arguments: Vec<&str> = request.arguments().iter().map(String::as_str).collect();
        detrace(&own, &arguments)
    });
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

/// The rules and groups that made a megaflow, in the order in which its packets meet them.
fn detrace(switch: &Switch, arguments: &[&str]) -> Result<String, &'static str> {
    let id = arguments.first().and_then(|it| it.strip_prefix("ufid:")).and_then(ufid_of);
    let id = id.ok_or("failed to parse ufid")?;
    let thread = match arguments.get(1) {
        Some(word) => Some(core_of(word).ok_or(WANTS_CORE)?),
        None => None,
    };
    let mut text = String::new();
    for datapath in switch.datapaths() {
        let core = |flow: &FlowDump| datapath.core_of(flow.thread).unwrap_or(NO_CORE);
        let there = thread.is_none_or(|thread| {
            datapath.netdev.flow_get(id).iter().any(|flow| core(flow) == thread)
        });
        let ofproto = &datapath.ofproto;
        match ofproto.ukeys().with(id, |ukey| ukey.effects.clone()).filter(|_| there) {
            Some(effects) => text += &origins(&effects, &ofproto.world(), switch.now()),
            // Of a text that no operator reads as a failure, as there may be more datapaths.
            None => {
                text += &format!("UFID was not found for {}@{}\n", datapath.kind, datapath.name);
            }
        }
    }
    Ok(text)
}

/// A processor as the command names it: those of no packet thread's are the highest number there is.
fn core_of(word: &str) -> Option<u32> {
    let number = word.strip_prefix("pmd=")?;
    let value = match number.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => number.parse(),
    };
    let value = value.ok()?;
    u32::try_from(value).ok().or((value == -1).then_some(NO_CORE))
}

/// What of a megaflow's effects is a rule's or a group's doing.
fn origins(effects: &[Effect], world: &World, now: Instant) -> String {
    let mut text = String::new();
    for effect in effects {
        match effect {
            Effect::Credit(rule) => {
                let line = FullRuleText { rule, now, offloads: true, names: &NumbersOnly };
                text += &format!("{line}\n");
            }
            Effect::Count(stats) => {
                let groups = |bridge: &Arc<Bridge>| {
                    let tables = bridge.tables().snapshot();
                    tables.groups().find(|group| Arc::ptr_eq(&group.stats, stats)).cloned()
                };
                // Buckets and mirrors count as well.
                if let Some(group) = world.bridges.iter().find_map(groups) {
                    let line = GroupText { group: &group, names: &NumbersOnly };
                    text += &format!("{line}\n");
                }
            }
            _ => {}
        }
    }
    text
}

/// What the main thread counts as.
const NO_CORE: u32 = u32::MAX;
const WANTS_CORE: &str = "Invalid pmd argument format. Expecting 'pmd=PMD-ID'";

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
