//! What `ovs-ofctl` prints of our switch is what it prints of the reference.
//!
//! A script of commands in several versions of the protocol (`commands.txt`: version, command) goes
//! to both, one by one, and the outputs are compared but for times, transaction numbers and
//! addresses. Where a command is refused, it is refused with the same error.

mod bundles;
mod detrace;
mod hidden;
mod hostile;
mod limits;
mod lives;
mod old_actions;
mod pace;
mod pauses;
mod ports;
mod raw;
mod situations;
mod told;
mod versions;

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use testkit::reference::{BRIDGE, Reference};

/// What a command says, without what differs from run to run, in a fixed order of lines.
fn said(switch: &Reference, version: &str, words: &[&str]) -> Vec<String> {
    let protocol = format!("-OOpenFlow{version}");
    let all: Vec<&str> = std::iter::once(protocol.as_str()).chain(words.iter().copied()).collect();
    match switch.ofctl(&all) {
        Ok(text) => {
            let mut lines: Vec<_> = text.lines().map(settle).collect();
            lines.sort();
            lines
        }
        // Of a refusal only the error's name counts: tools show the message in their own ways.
        Err(error) => {
            let text = error.to_string();
            let name = |word: &&str| {
                let known = ["OFP", "NX"].iter().any(|start| word.starts_with(start));
                known && word.contains('_') && !word.starts_with("OFPT_")
            };
            let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(name);
            std::iter::once("refused".to_owned())
                .chain(names.filter(|it| !it.starts_with("NXT_")).map(str::to_owned).take(1))
                .collect()
        }
    }
}

/// A line without times, numbers of transactions, addresses and ids.
fn settle(line: &str) -> String {
    let mut out = String::new();
    let starts = ["duration", "idle_age", "hard_age", "dpid", "addr", "(xid"];
    for word in line.split_inclusive([' ', ',']) {
        match starts.iter().find(|start| word.starts_with(*start)) {
            Some(start) => out.push_str(start),
            None => out.push_str(word),
        }
        out.push('|');
    }
    out
}

#[test]
fn tools_see_our_switch_as_they_see_the_reference() -> Result<()> {
    let reference = Reference::start()?;
    let ours = Reference::start_ours()?;
    for switch in [&reference, &ours] {
        switch.add_dummy_port("p1", 1)?;
        switch.add_dummy_port("p2", 2)?;
        switch.ofctl(&["del-flows", BRIDGE])?;
        // Tools show the age of a change where it differs from that of the flow, in whole seconds.
        switch.time_stop()?;
    }
    let (mut report, mut commands) = (String::new(), 0);
    for line in include_str!("commands.txt").lines() {
        let mut words = line.split(' ');
        let version = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        let (theirs, own) = (said(&reference, version, &words), said(&ours, version, &words));
        commands += 1;
        if theirs != own {
            let only = |a: &[String], b: &[String]| {
                a.iter().filter(|it| !b.contains(it)).cloned().collect::<Vec<_>>().join("\n    ")
            };
            writeln!(report, "{line}")?;
            writeln!(report, "  reference: {}", only(&theirs, &own))?;
            writeln!(report, "  ours: {}", only(&own, &theirs))?;
        }
    }
    ensure!(commands > 200, "only {commands} commands");
    ensure!(report.is_empty(), "{report}");
    Ok(())
}
