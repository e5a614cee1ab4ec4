//! What the switch tells unasked, octet by octet as the reference does: tables that fill up, and flow
//! monitors of all versions.

use anyhow::{Result, ensure};
use testkit::reference::{BRIDGE, Reference};

use crate::raw::{Peer, hex};

/// Carries out commands on both switches, after each of them takes what each tells its peer, and
/// returns what ours told; the reference told the same.
fn same(
    switches: [&Reference; 2],
    peers: &mut [Peer; 2],
    commands: &[&str],
    keep: impl Fn(&[u8]) -> bool,
) -> Result<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for command in commands {
        let mut told = Vec::new();
        for (switch, peer) in switches.iter().zip(peers.iter_mut()) {
            let mut words: Vec<&str> = command.split(' ').collect();
            let at = words.iter().position(|word| !word.starts_with('-')).unwrap_or(0);
            words.insert(at + 1, BRIDGE);
            switch.ofctl(&words)?;
            let mut messages = peer.received()?;
            messages.retain(|message| keep(message));
            told.push(messages);
        }
        let own = told.pop().unwrap_or_default();
        let theirs = told.pop().unwrap_or_default();
        ensure!(theirs == own, "{command}:\nreference: {theirs:02x?}\nours:      {own:02x?}");
        all.extend(own);
    }
    Ok(all)
}

#[test]
fn tables_that_fill_up_and_empty_are_told_of_as_by_the_reference() -> Result<()> {
    let (reference, ours) = (Reference::start()?, Reference::start_ours()?);
    let version = 5;
    let option = format!("-OOpenFlow1{}", version - 1);
    for switch in [&reference, &ours] {
        let words = format!(
            "--id=@t create Flow_Table flow_limit=10 -- set Bridge {BRIDGE} flow_tables:0=@t"
        );
        switch.vsctl(&words.split(' ').collect::<Vec<_>>())?;
        switch.ofctl(&["del-flows", BRIDGE])?;
    }
    let mut peers = [Peer::connect(&reference, version)?, Peer::connect(&ours, version)?];
    for peer in &mut peers {
        // A tool is told things if it asks for packets; of tables if it says so.
        peer.send(9, &[0, 0, 0xff, 0xff])?;
        peer.send(28, &[0, 9, 0, 8, 0, 0, 0, 0x18])?;
    }
    let add = |n: u8| format!("{option} add-flow dl_src=00:00:00:00:00:{n:02},actions=drop");
    let delete = |n: u8| format!("{option} del-flows dl_src=00:00:00:00:00:{n:02}");
    let table = |what: &str| format!("{option} mod-table 0 {what}");
    let mut commands = vec![table("vacancy:20,80")];
    commands.extend((1..=10).map(add));
    // Said once in each direction.
    commands.extend((1..=9).map(delete));
    commands.extend([delete(10), table("novacancy")]);
    // Switched on in the middle, and changed while it is on.
    commands.extend((1..=5).map(add));
    commands.push(table("vacancy:60,80"));
    commands.push(add(6));
    commands.extend((1..=6).map(delete));
    commands.push(table("vacancy:70,90"));
    commands.extend((1..=5).map(add));
    commands.push(table("vacancy:40,45"));
    commands.extend((6..=9).map(add));
    commands.push(format!("{option} del-flows"));
    commands.push(table("novacancy"));
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let told = same([&reference, &ours], &mut peers, &commands, |message| message[1] == 31)?;
    ensure!(told.len() >= 5, "told {} times", told.len());
    Ok(())
}

#[test]
fn full_tables_let_go_what_the_reference_lets_go() -> Result<()> {
    let (reference, ours) = (Reference::start()?, Reference::start_ours()?);
    let both = [&reference, &ours];
    let flow = |n: u16, rest: &str| format!("table=2,dl_src=00:00:00:00:00:{n:02},{rest}");
    let left = |switch: &Reference| -> Result<Vec<String>> {
        let text = switch.ofctl(&["-OOpenFlow14", "--no-stats", "dump-flows", BRIDGE])?;
        let mut lines: Vec<_> =
            text.lines().filter(|it| it.contains("table=2")).map(str::to_owned).collect();
        lines.sort();
        Ok(lines)
    };
    let mut outcomes = [Vec::new(), Vec::new()];
    for (switch, outcome) in both.iter().zip(&mut outcomes) {
        let words = format!(
            "--id=@t create Flow_Table flow_limit=3 -- set Bridge {BRIDGE} flow_tables:2=@t"
        );
        switch.vsctl(&words.split(' ').collect::<Vec<_>>())?;
        // Time plays no part.
        switch.time_stop()?;
        let table = |what: &str| switch.ofctl(&["-OOpenFlow14", "mod-table", BRIDGE, "2", what]);
        let mut add = |n: u16, rest: &str| -> Result<()> {
            let done = switch.ofctl(&["-OOpenFlow14", "add-flow", BRIDGE, &flow(n, rest)]);
            let full = done.err().map(|error| error.to_string().contains("OFPFMFC_TABLE_FULL"));
            outcome.push((full, left(switch)?));
            Ok(())
        };
        add(1, "hard_timeout=90,importance=1,actions=drop")?;
        add(2, "hard_timeout=80,actions=drop")?;
        add(3, "idle_timeout=70,importance=1,actions=drop")?;
        add(4, "hard_timeout=60,actions=drop")?;
        table("evict")?;
        add(4, "hard_timeout=60,actions=drop")?;
        add(5, "hard_timeout=50,importance=1,actions=drop")?;
        add(6, "importance=9,actions=drop")?;
        add(7, "actions=drop")?;
        add(8, "actions=drop")?;
        // All that is left has no timeout, and stays.
        add(9, "hard_timeout=5,actions=drop")?;
        table("noevict")?;
        add(9, "hard_timeout=5,actions=drop")?;
        // The limit ends with its row.
        switch.vsctl(&["clear", "Bridge", BRIDGE, "flow_tables"])?;
        add(9, "hard_timeout=5,actions=drop")?;
    }
    let [theirs, own] = outcomes;
    assert_eq!(theirs, own);
    ensure!(
        own.iter().any(|it| it.0 == Some(true)) && own.last().is_some_and(|it| it.1.len() == 4)
    );
    Ok(())
}

#[test]
fn flow_monitors_of_every_version_tell_what_the_reference_tells() -> Result<()> {
    let (reference, ours) = (Reference::start()?, Reference::start_ours()?);
    // The requests that `ovs-ofctl monitor BRIDGE watch:` sends, with and without `own`; the last
    // octet of the flags is to be filled in.
    let nicira = "ffff000000002320 00000002 00000000 00000000 00FF ffff 0000 ff 0000000000";
    let onf =
        "ffff0000 00000000 4f4e4600 0000074e 00000000 00FF 0004 ffffffff ff000000 0001000400000000";
    let standard = "0010000000000000 00000000 ffffffff ffffffff 00FF ff00 0001000400000000";
    let cases = [
        (1, 16, nicira, ["3f", "05"]),
        (4, 18, onf, ["3f", "1a"]),
        (5, 18, standard, ["5f", "06"]),
        (6, 18, standard, ["1f", "48"]),
    ];
    let commands = [
        "-OOpenFlow13 add-flow table=1,ip,actions=drop",
        "-OOpenFlow13 add-flow table=1,priority=7,tcp,tp_dst=80,cookie=0x5,actions=output:1",
        "-OOpenFlow13 mod-flows table=1,ip,actions=output:2",
        "-OOpenFlow13 --strict del-flows table=1,priority=7,tcp,tp_dst=80",
        "-OOpenFlow13 del-flows",
    ];
    for (version, ty, request, flags) in cases {
        for flag in flags {
            for switch in [&reference, &ours] {
                switch.ofctl(&["del-flows", BRIDGE])?;
                switch.add_flow(BRIDGE, "table=3,arp,actions=drop")?;
            }
            let mut peers = [Peer::connect(&reference, version)?, Peer::connect(&ours, version)?];
            let mut begun = Vec::new();
            for peer in &mut peers {
                peer.send(ty, &hex(&request.replace("FF", flag)))?;
                begun.push(peer.received()?);
            }
            ensure!(begun[0] == begun[1], "{version} {flag}: {begun:02x?}");
            ensure!(begun[1].len() == 1 && begun[1][0][1] == ty + 1, "{version}: {begun:02x?}");
            let told =
                same([&reference, &ours], &mut peers, &commands, |message| message[1] == ty + 1)?;
            ensure!(!told.is_empty(), "{version} {flag}");
        }
    }
    Ok(())
}
