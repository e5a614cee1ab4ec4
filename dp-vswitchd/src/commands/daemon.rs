//! The process: `version`, `exit`, `memory/show`.

use std::sync::Arc;

use dp_core::boundary::Datapath as _;

use crate::daemon::usage;
use crate::switch::Switch;
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

/// How much there is of what costs memory.
fn memory(switch: &Switch) -> String {
    let (mut ports, mut rules) = (0, 0);
    for bridge in switch.bridges() {
        ports += bridge.bridge.ports().iter().count();
        rules += bridge.bridge.tables().snapshot().len();
    }
    let flows: usize = switch.datapaths().iter().map(|it| it.netdev.flow_count()).sum();
    let keys: usize = switch.datapaths().iter().map(|it| it.ofproto.ukeys().len()).sum();
    let mut words = Vec::new();
    if flows > 0 {
        words.push(format!("datapath-flows:{flows}"));
    }
    words.push(format!("ports:{ports} rules:{rules}"));
    if keys > 0 {
        words.push(format!("udpif keys:{keys}"));
    }
    words.join(" ")
}
