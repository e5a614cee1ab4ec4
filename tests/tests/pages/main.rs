//! Situations that the newer reference's own tests describe, played on it and on ours: what the commands
//! print is compared line by line.

mod clones;
mod controllers;
mod headers;
mod labels;
mod limits;
mod macs;
mod megaflows;
mod sessions;
mod threads;
mod trees;

use anyhow::{Result, ensure};
use testkit::reference::{BRIDGE, Reference};

/// Plays the same on both; gives what both printed.
fn both(play: impl Fn(&Reference) -> Result<Vec<String>>) -> Result<Vec<String>> {
    let theirs = {
        let switch = Reference::start_newer()?;
        play(&switch)?
    };
    let own = play(&Reference::start_ours()?)?;
    ensure!(theirs.len() == own.len(), "the reference: {theirs:#?}\nours: {own:#?}");
    let differ: Vec<_> = theirs.iter().zip(&own).filter(|(theirs, own)| theirs != own).collect();
    ensure!(differ.is_empty(), "the reference and ours: {differ:#?}");
    Ok(own)
}

/// A bridge without flows, with dummy ports `p1`, `p2` and so on.
fn emptied(switch: &Reference, ports: u16) -> Result<()> {
    for n in 1..=ports {
        switch.add_dummy_port(&format!("p{n}"), n)?;
    }
    switch.ofctl(&["del-flows", BRIDGE])?;
    Ok(())
}

/// A command of `ovs-vsctl`, its words apart.
fn vsctl(switch: &Reference, words: &str) -> Result<String> {
    Ok(switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?)
}

/// What the datapath would do with a packet.
fn traced(switch: &Reference, bridge: &str, flow: &str) -> Result<String> {
    let text = switch.trace(bridge, flow)?;
    Ok(text.lines().last().unwrap_or_default().to_owned())
}

/// A bridge beside the first, joined to it by the patch ports `here` and `there` (both number 100).
fn join(switch: &Reference, beside: &str) -> Result<()> {
    vsctl(
        switch,
        &format!(
            "add-br {beside} -- set bridge {beside} datapath-type=dummy fail-mode=secure -- add-port \
             {BRIDGE} here -- set interface here type=patch options:peer=there ofport_request=100 -- \
             add-port {beside} there -- set interface there type=patch options:peer=here \
             ofport_request=100"
        ),
    )?;
    Ok(())
}
