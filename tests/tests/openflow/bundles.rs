//! Bundles that fail at their end: flows, groups, ports and packets are as though nothing had been
//! asked, as in the reference; the same bundles without the fault do all of it, in order.

use anyhow::{Result, ensure};
use testkit::reference::{BRIDGE, Reference};

use crate::raw::Peer;

const FRAME: &str = "50540000000250540000000112340000000000000000000000000000000000000000000000000000\
                     0000000000000000000000000000000000000000";

/// Flows, groups and settings of ports, and how many frames have left by `p2`.
fn state(switch: &Reference) -> Result<(Vec<String>, usize)> {
    let mut lines = Vec::new();
    for words in [
        &["-OOpenFlow14", "--no-stats", "dump-flows", BRIDGE][..],
        &["-OOpenFlow14", "dump-groups", BRIDGE],
        &["-OOpenFlow14", "dump-ports-desc", BRIDGE],
    ] {
        let text = switch.ofctl(words)?;
        // Addresses differ, and transactions.
        let kept = text.lines().filter(|line| !line.contains("xid=") && !line.contains("addr:"));
        let mut kept: Vec<_> = kept.map(|line| line.trim().to_owned()).collect();
        kept.sort();
        lines.extend(kept);
    }
    Ok((lines, switch.sent("p2")?.len()))
}

#[test]
fn a_bundle_that_fails_at_its_end_has_done_nothing() -> Result<()> {
    let bundle = |last: &str| {
        format!(
            "group group_id=5,type=all,bucket=actions=output:2\n\
             flow delete table=3\n\
             flow add table=3,priority=7,ip,actions=group:5\n\
             packet-out in_port=1,packet={FRAME},actions=output:2\n\
             group mod group_id=4,type=all,bucket=actions=output:1,bucket=actions=output:2\n\
             flow add table=4,actions=group:4\n{last}\n"
        )
    };
    let mut outcomes = Vec::new();
    for switch in [Reference::start()?, Reference::start_ours()?] {
        for (name, number) in [("p1", 1), ("p2", 2)] {
            switch.add_dummy_port(name, number)?;
        }
        switch.ofctl(&["del-flows", BRIDGE])?;
        switch.add_flow(BRIDGE, "table=3,priority=1,actions=drop")?;
        switch.ofctl(&["-OOpenFlow14", "add-group", BRIDGE, "group_id=4,type=all"])?;
        let mut seen = vec![state(&switch)?];
        for (last, fails) in [
            ("flow add table=5,actions=group:99", true),
            ("group group_id=4,type=all", true),
            ("flow add table=5,actions=drop", false),
        ] {
            let path = switch.folder().join("bundle");
            std::fs::write(&path, bundle(last))?;
            let path = path.display().to_string();
            let done = switch.ofctl(&["-OOpenFlow14", "bundle", BRIDGE, &path]);
            ensure!(done.is_err() == fails, "{last}: {done:?}");
            seen.push(state(&switch)?);
        }
        outcomes.push(seen);
    }
    assert_eq!(outcomes[0], outcomes[1]);
    let [before, first, second, after] = &outcomes[1][..] else { anyhow::bail!("four states") };
    ensure!(before == first && before == second, "{outcomes:#?}");
    ensure!(before.0 != after.0 && (before.1, after.1) == (0, 1), "{outcomes:#?}");
    Ok(())
}

#[test]
fn a_port_is_set_back_when_its_bundle_fails() -> Result<()> {
    // Ours alone: the reference refuses ports in atomic bundles.
    let switch = Reference::start_ours()?;
    switch.add_dummy_port("p1", 1)?;
    let text = switch.ofctl(&["-OOpenFlow14", "dump-ports-desc", BRIDGE, "p1"])?;
    let mac = text.split("addr:").nth(1).and_then(|rest| rest.split_whitespace().next());
    let octets = mac.unwrap_or_default().split(':').map(|it| u8::from_str_radix(it, 16));
    let mac = octets.collect::<Result<Vec<u8>, _>>()?;
    // No packets are received: bit 2 of the settings.
    let port_mod = [&[0, 0, 0, 1, 0, 0, 0, 0][..], &mac, &[0, 0, 0, 0, 0, 4, 0, 0, 0, 4]].concat();
    // With no actions, and to a group that is not there.
    let mut flow_mod = vec![0; 16];
    flow_mod.extend([3, 0, 0, 0, 0, 0, 0, 9]);
    flow_mod.extend([0xff; 12]);
    flow_mod.extend([0, 0, 0, 0, 0, 1, 0, 4, 0, 0, 0, 0]);
    let group = [0, 4, 0, 16, 0, 0, 0, 0, 0, 22, 0, 8, 0, 0, 0, 99];
    let to_group = [&flow_mod[..], &group].concat();
    let mut outcomes = Vec::new();
    for flow_mod in [&to_group, &flow_mod] {
        let mut peer = Peer::connect(&switch, 5)?;
        peer.send(33, &[0, 0, 0, 7, 0, 0, 0, 3])?;
        for (ty, body) in [(16, &port_mod), (14, flow_mod)] {
            let [a, b] = u16::try_from(body.len() + 8)?.to_be_bytes();
            let xid = peer.next_xid().to_be_bytes();
            let head = [&[0, 0, 0, 7, 0, 0, 0, 3, 5, ty, a, b][..], &xid].concat();
            peer.send(34, &[&head[..], body].concat())?;
        }
        peer.send(33, &[0, 0, 0, 7, 0, 4, 0, 3])?;
        let errors = peer.received()?.into_iter().filter(|it| it[1] == 1).count();
        outcomes.push((errors > 0, state_of_port(&switch)?));
    }
    assert_eq!(outcomes, [(true, "config: 0".into()), (false, "config: NO_RECV".into())]);
    Ok(())
}

/// The settings of `p1`.
fn state_of_port(switch: &Reference) -> Result<String> {
    let text = switch.ofctl(&["-OOpenFlow14", "dump-ports-desc", BRIDGE, "p1"])?;
    let line = text.lines().find(|line| line.contains("config:")).unwrap_or_default();
    Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
}
