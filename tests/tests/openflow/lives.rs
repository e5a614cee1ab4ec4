//! What lives for a while: rules that a connection's end shortens, addresses that stay for ever.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::reference::{BRIDGE, Reference};

/// A TCP segment with these flags.
fn segment(flags: u16) -> String {
    format!(
        "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x0800),\
         ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=5,dst=80),\
         tcp_flags({flags:#x})"
    )
}

/// The rules of a bridge without ages and counts.
fn rules(switch: &Reference) -> Result<Vec<String>> {
    let text = switch.ofctl(&["-OOpenFlow13", "--no-stats", "dump-flows", BRIDGE])?;
    let mut lines: Vec<_> = text.lines().map(str::trim).map(str::to_owned).collect();
    lines.sort();
    Ok(lines)
}

/// Gives a switch two ports and no flow; time stands still from here on.
fn stop_with_two_ports(switch: &Reference) -> Result<()> {
    for (name, number) in [("p1", 1), ("p2", 2)] {
        switch.add_dummy_port(name, number)?;
    }
    switch.ofctl(&["del-flows", BRIDGE])?;
    Ok(switch.time_stop()?)
}

const SYN: u16 = 2;
const FIN: u16 = 0x11;

#[test]
fn the_end_of_a_connection_shortens_its_rules_as_in_the_reference() -> Result<()> {
    let mut outcomes = Vec::new();
    for switch in [Reference::start()?, Reference::start_ours()?] {
        stop_with_two_ports(&switch)?;
        switch.add_flows(
            BRIDGE,
            "priority=9,in_port=1,tcp,idle_timeout=100,actions=fin_timeout(idle_timeout=5),\
             resubmit(,1)\n\
             table=1,priority=3,tcp,actions=learn(table=2,idle_timeout=60,fin_idle_timeout=7,\
             fin_hard_timeout=30,priority=4,eth_type=0x800,nw_proto=6,NXM_OF_TCP_SRC[]),\
             resubmit(,2),output:2\n\
             table=2,priority=1,actions=drop\n",
        )?;
        let mut seen = Vec::new();
        let step = Some(Duration::from_millis(500));
        for (flags, seconds) in [(SYN, 1), (SYN, 1), (FIN, 2), (SYN, 4), (SYN, 6), (FIN, 40)] {
            switch.receive("p1", &segment(flags))?;
            switch.appctl(&["revalidator/purge"])?;
            seen.push(rules(&switch)?);
            switch.time_warp(Duration::from_secs(seconds), step)?;
            seen.push(rules(&switch)?);
        }
        outcomes.push(seen);
    }
    assert_eq!(outcomes[0], outcomes[1]);
    let first = outcomes[1].first().map_or(0, Vec::len);
    ensure!(first == 4 && outcomes[1].last().map_or(0, Vec::len) < first, "{:#?}", outcomes[1]);
    Ok(())
}

/// Rules with timeouts of their own, with none but what the end of a connection gives them, added again
/// and modified after that; to the very second.
#[test]
fn rules_go_in_the_moment_in_which_they_go_in_the_reference() -> Result<()> {
    let mut outcomes = Vec::new();
    for switch in [Reference::start()?, Reference::start_ours()?] {
        stop_with_two_ports(&switch)?;
        let fin = "actions=fin_timeout(idle_timeout=3,hard_timeout=20),resubmit(,";
        let again = format!("priority=8,in_port=1,tcp,idle_timeout=9,{fin}2)");
        switch.add_flows(
            BRIDGE,
            &format!(
                "priority=9,in_port=1,tcp,{fin}1)\n\
                 table=1,priority=8,in_port=1,tcp,idle_timeout=9,{fin}2)\n\
                 table=2,priority=7,tcp,{fin}3)\n\
                 table=3,priority=6,hard_timeout=4,actions=drop\n\
                 table=3,priority=5,idle_timeout=2,actions=drop\n"
            ),
        )?;
        let mut seen = Vec::new();
        for second in 0..14 {
            match second {
                0 => switch.receive("p1", &segment(SYN))?,
                1 => switch.receive("p1", &segment(FIN))?,
                // Counters stay, what the connection's end has done does not.
                2 => drop(switch.ofctl(&[
                    "-OOpenFlow13",
                    "add-flow",
                    BRIDGE,
                    &format!("table=1,{again}"),
                ])?),
                3 => drop(switch.ofctl(&[
                    "-OOpenFlow13",
                    "mod-flows",
                    BRIDGE,
                    "table=2,actions=drop",
                ])?),
                _ => {}
            }
            switch.appctl(&["revalidator/purge"])?;
            seen.push(rules(&switch)?);
            switch.time_warp(Duration::from_secs(1), Some(Duration::from_millis(500)))?;
        }
        outcomes.push(seen);
    }
    assert_eq!(outcomes[0], outcomes[1]);
    let counts: Vec<usize> = outcomes[1].iter().map(Vec::len).collect();
    ensure!(counts.first() == Some(&5) && counts.last() < Some(&3), "{counts:?}");
    Ok(())
}

#[test]
fn an_address_that_was_set_by_hand_stays_where_it_is() -> Result<()> {
    // The reference has the command since 3.0.
    let mut outcomes = Vec::new();
    for switch in [Reference::start()?, Reference::start_ours()?] {
        for (name, number) in [("p1", 1), ("p2", 2), ("p3", 3)] {
            switch.add_dummy_port(name, number)?;
        }
        switch.ofctl(&["del-flows", BRIDGE])?;
        switch.add_flow(BRIDGE, "actions=normal")?;
        switch.time_stop()?;
        switch.appctl(&["fdb/add", BRIDGE, "p2", "0", "50:54:00:00:00:02"])?;
        let frame = |src: u8, dst: u8| {
            format!("eth(src=50:54:00:00:00:{src:02},dst=50:54:00:00:00:{dst:02}),eth_type(0x1234)")
        };
        let mut seen = Vec::new();
        // Known from the start; claimed by another port; as old as can be; gone.
        switch.receive("p1", &format!("in_port(1),{}", frame(1, 2)))?;
        seen.push(counts(&switch)?);
        switch.receive("p3", &format!("in_port(3),{}", frame(2, 1)))?;
        switch.time_warp(Duration::from_secs(1000), Some(Duration::from_millis(10_000)))?;
        switch.appctl(&["revalidator/purge"])?;
        switch.receive("p1", &format!("in_port(1),{}", frame(1, 2)))?;
        seen.push(counts(&switch)?);
        let shown = switch.appctl(&["fdb/show", BRIDGE])?;
        ensure!(shown.contains("static"), "{shown}");
        switch.appctl(&["fdb/del", BRIDGE, "0", "50:54:00:00:00:02"])?;
        switch.appctl(&["revalidator/purge"])?;
        switch.receive("p1", &format!("in_port(1),{}", frame(1, 2)))?;
        seen.push(counts(&switch)?);
        outcomes.push(seen);
    }
    assert_eq!(outcomes[0], outcomes[1]);
    ensure!(outcomes[1].first() == Some(&[0, 1, 0]), "{:?}", outcomes[1]);
    Ok(())
}

/// How many frames have left by each port.
fn counts(switch: &Reference) -> Result<[usize; 3]> {
    let sent = |port: &str| -> Result<usize> { Ok(switch.sent(port)?.len()) };
    Ok([sent("p1")?, sent("p2")?, sent("p3")?])
}
