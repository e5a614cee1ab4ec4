//! Bounds of translation, and of meters.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

use super::both;

/// What a trace ends with, and the lines of errors.
fn outcome(switch: &Reference, flow: &str) -> Result<Vec<String>> {
    let text = switch.trace(BRIDGE, flow)?;
    let errors = text.lines().filter(|line| line.contains(">>>>"));
    let last = text.lines().rev().take(3).map(|line| line.chars().take(200).collect::<String>());
    Ok(errors.map(str::to_owned).chain(last).chain([text.lines().count().to_string()]).collect())
}

#[test]
fn translation_gives_up_where_the_reference_does() -> Result<()> {
    both(|switch| {
        let mut seen = Vec::new();
        for deepest in [65, 66] {
            // Each of these is looked up from a later table.
            let mut flows = format!("table=0,actions=resubmit(,{deepest})\n");
            for table in 2..=deepest {
                writeln!(flows, "table={table},actions=resubmit(,{})", table - 1)?;
            }
            flows += "table=1,actions=local\n";
            switch.ofctl(&["del-flows", BRIDGE])?;
            switch.add_flows(BRIDGE, &flows)?;
            seen.extend(outcome(switch, "in_port=1")?);
        }
        let outputs = ["local"; 8].join(",");
        for (deep, end) in [(64, "local"), (12, outputs.as_str())] {
            let mut flows = String::new();
            for port in 1..=deep {
                let next = port + 1;
                writeln!(flows, "in_port={port},actions=resubmit:{next},resubmit:{next},local")?;
            }
            writeln!(flows, "in_port={},actions={end}", deep + 1)?;
            switch.ofctl(&["del-flows", BRIDGE])?;
            switch.add_flows(BRIDGE, &flows)?;
            seen.extend(outcome(switch, "in_port=1")?);
        }
        Ok(seen)
    })?;
    Ok(())
}

#[test]
fn the_log_tells_by_which_way_a_packet_came_to_its_bound() -> Result<()> {
    let lines = both(|switch| {
        switch.add_dummy_port("p1", 1)?;
        switch.ofctl(&["del-flows", BRIDGE])?;
        switch.add_flow(BRIDGE, "actions=resubmit(,0)")?;
        let packet = "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x1234)";
        switch.receive("p1", packet)?;
        let path = switch.folder().join("ovs-vswitchd.log");
        let read = || {
            let text = std::fs::read_to_string(&path).ok()?;
            text.contains("packet is dropped").then_some(text)
        };
        let text = patience::wait(Duration::from_secs(10), read).context("nothing is told")?;
        let told = text.lines().filter(|line| line.contains("over max translation depth"));
        let tail = |line: &str| line.rsplit('|').next().unwrap_or_default().to_owned();
        let ways = text.lines().filter(|line| line.trim() == "resubmit(,0)").count();
        Ok(told.map(tail).chain([ways.to_string()]).collect())
    })?;
    ensure!(lines.last().is_some_and(|ways| ways == "65"), "{lines:#?}");
    Ok(())
}

#[test]
fn a_meter_begins_with_a_full_bucket() -> Result<()> {
    let lines = both(|switch| {
        for n in 1..=2 {
            switch.add_dummy_port(&format!("p{n}"), n)?;
        }
        switch.time_stop()?;
        switch.ofctl(&["del-flows", BRIDGE])?;
        let bands = [
            "pktps stats bands=type=drop rate=1",
            "pktps burst stats bands=type=drop rate=2 burst_size=5",
            "kbps burst stats bands=type=drop rate=1 burst_size=2",
        ];
        let mut seen = Vec::new();
        for (number, band) in bands.iter().enumerate() {
            let number = number + 1;
            switch.ofctl(&[
                "-OOpenFlow13",
                "add-meter",
                BRIDGE,
                &format!("meter={number} {band}"),
            ])?;
            let flow = format!("in_port=1,actions=meter:{number},2");
            switch.ofctl(&["-OOpenFlow13", "add-flow", BRIDGE, &flow])?;
            switch.appctl(&["revalidator/wait"])?;
            let before = switch.sent("p2")?.len();
            for _ in 0..2 {
                for _ in 0..9 {
                    switch.receive_frame("p1", &[0; 42])?;
                }
                seen.push(format!("{band}: {}", switch.sent("p2")?.len() - before));
                switch.time_warp(Duration::from_secs(1), None)?;
            }
        }
        Ok(seen)
    })?;
    ensure!(lines.first().is_some_and(|line| line.ends_with(": 1")), "{lines:#?}");
    Ok(())
}
