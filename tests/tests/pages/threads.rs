//! Packet threads, and which queues they serve, as masks, affinities and numbers of queues change.

use anyhow::{Result, ensure};
use testkit::reference::{BRIDGE, Reference};

use super::{both, vsctl};

/// Steps, and what shows the threads after each.
fn shown_after(switch: &Reference, steps: &[&str]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for step in steps {
        vsctl(switch, step)?;
        all.push(format!("{step}\n{}", switch.appctl(&["dpif-netdev/pmd-rxq-show"])?));
        all.push(switch.appctl(&["dpif/show"])?);
    }
    Ok(all)
}

#[test]
fn queues_are_served_again_once_a_thread_may() -> Result<()> {
    let add = format!("add-port {BRIDGE} p1 -- set interface p1 type=dummy-pmd ofport_request=1");
    let told = both(|switch| {
        shown_after(
            switch,
            &[
                "set open_vswitch . other_config:pmd-cpu-mask=1",
                &add,
                "set interface p1 options:n_rxq=8",
                "set open_vswitch . other_config:pmd-cpu-mask=3",
                "set open_vswitch . other_config:pmd-cpu-mask=2",
                // Queue 2 is pinned where no thread is, and all threads are for pinned queues.
                "set interface p1 other_config:pmd-rxq-affinity=0:1,1:1,2:0",
                "set open_vswitch . other_config:pmd-cpu-mask=3",
                "remove interface p1 other_config pmd-rxq-affinity",
                "set open_vswitch . other_config:pmd-rxq-assign=roundrobin",
                "set open_vswitch . other_config:pmd-rxq-assign=group",
                "set open_vswitch . other_config:pmd-rxq-isolate=false",
                "set interface p1 other_config:pmd-rxq-affinity=0:1,3:1",
                "set interface p1 options:n_rxq=3 options:n_txq=2",
                "set interface p1 options:n_rxq=0",
                "set interface p1 other_config:pmd-rxq-affinity=0:0,a:b",
            ],
        )
    })?;
    let served = |text: &str| text.matches("queue-id").count();
    ensure!(served(&told[10]) == 2, "two are pinned, and others have no thread: {}", told[10]);
    ensure!(served(&told[14]) == 8, "all have one again: {}", told[14]);
    Ok(())
}
