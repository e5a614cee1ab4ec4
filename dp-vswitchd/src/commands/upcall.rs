//! `upcall/*` and `revalidator/*`: the slow path's limits and its bookkeeping.

use std::fmt::Write as _;
use std::sync::Arc;

use dp_core::boundary::Datapath as _;

use crate::switch::Switch;
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("upcall/show", "", 0, 0, move |_| Ok::<_, String>(show(&own)));

    let own = Arc::clone(switch);
    registry.register("upcall/set-flow-limit", "flow-limit-number", 1, 1, move |request| {
        let limit = request.argument(0).parse::<usize>().map_err(|_| "invalid flow limit")?;
        for datapath in own.datapaths() {
            datapath.set_flow_limit(limit);
        }
        let lines = own.datapaths().len().max(1);
        Ok::<_, &str>(format!("set flow_limit to {limit}\n").repeat(lines))
    });

    let own = Arc::clone(switch);
    registry.register("revalidator/wait", "", 0, 0, move |_| {
        let now = own.now();
        own.datapaths().iter().for_each(|datapath| datapath.revalidate(now));
        Ok::<_, String>(())
    });

    let own = Arc::clone(switch);
    registry.register("revalidator/purge", "", 0, 0, move |_| {
        let now = own.now();
        for datapath in own.datapaths() {
            datapath.revalidate(now);
            datapath.netdev.flow_flush().map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(())
    });

    for (name, on, text) in [
        ("upcall/enable-megaflows", true, "megaflows enabled"),
        ("upcall/disable-megaflows", false, "megaflows disabled"),
    ] {
        let own = Arc::clone(switch);
        registry.register(name, "", 0, 0, move |_| {
            let now = own.now();
            for datapath in own.datapaths() {
                datapath.ofproto.set_megaflows(on);
                datapath.revalidate(now);
                datapath.netdev.flow_flush().map_err(|error| error.to_string())?;
            }
            Ok::<_, String>(text)
        });
    }
    for (name, on, text) in [
        (
            "upcall/enable-ufid",
            true,
            "Datapath dumping tersely using UFID enabled for supported datapaths",
        ),
        ("upcall/disable-ufid", false, "Datapath dumping tersely using UFID disabled"),
    ] {
        let own = Arc::clone(switch);
        registry.register(name, "", 0, 0, move |_| {
            own.datapaths().iter().for_each(|datapath| datapath.set_ufids(on));
            Ok::<_, String>(text)
        });
    }
    // They hold everything up, and are for tests: the reference does not list them either.
    for (name, paused) in [("revalidator/pause", true), ("revalidator/resume", false)] {
        let own = Arc::clone(switch);
        registry.register_hidden(name, "", 0, 0, move |_| {
            own.datapaths().iter().for_each(|datapath| datapath.pause_revalidation(paused));
            Ok::<_, String>(())
        });
    }
}

fn show(switch: &Switch) -> String {
    let mut text = String::new();
    for datapath in switch.datapaths() {
        let flows = datapath.netdev.flow_count();
        let figures = datapath.revalidation();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{datapath}:\n  flows         : (current {flows}) (avg {}) (max {}) (limit {})\n  dump \
             duration : {}ms\n  ufid enabled : {}\n\n  1: (keys {})\n",
            figures.average,
            figures.most.max(flows),
            figures.limit,
            figures.duration.as_millis().max(1),
            datapath.ufids(),
            datapath.ofproto.ukeys().len(),
        );
    }
    text
}
