//! The process: `version`, `exit`, `memory/show`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::daemon::usage;
use crate::switch::{RunningBridge, Switch};
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let program = switch.paths.program.clone();
    registry.register("version", "", 0, 0, move |_| Ok::<_, String>(usage::version(&program)));

    let own = Arc::clone(switch);
    registry.register_deferred("exit", "[--cleanup]", 0, 1, move |request, responder| {
        own.request_exit(responder, request.argument(0) == "--cleanup");
    });

    let own = Arc::clone(switch);
    registry.register("memory/show", "", 0, 0, move |_| Ok::<_, String>(memory(&own)));
}

/// How many there are of what costs memory, all programs in this process together.
fn memory(switch: &Switch) -> String {
    let mut numbers = usage_of_memory(switch);
    numbers.extend(switch.server_census.get().map(|it| it.numbers()).unwrap_or_default());
    let words: Vec<_> = numbers.iter().map(|(name, count)| format!("{name}:{count}")).collect();
    words.join(" ")
}

/// How many there are of what costs memory in the switch, by the reference's names: those that are
/// not there are not named, but ports and rules.
pub(crate) fn usage_of_memory(switch: &Switch) -> BTreeMap<&'static str, usize> {
    let mut numbers = switch.census.numbers();
    let datapaths = switch.datapaths();
    // The main loop is what revalidates, each datapath for itself.
    numbers.insert("revalidators", datapaths.len());
    numbers.insert("udpif keys", datapaths.iter().map(|it| it.ofproto.ukeys().len()).sum());
    numbers.retain(|_, count| *count > 0);
    let bridges = switch.bridges();
    let sum =
        |count: fn(&RunningBridge) -> usize| bridges.iter().map(|it| count(it)).sum::<usize>();
    *numbers.entry("ports").or_default() += sum(|it| it.bridge.ports().iter().count());
    *numbers.entry("rules").or_default() += sum(|it| it.bridge.tables().snapshot().len());
    numbers
}
