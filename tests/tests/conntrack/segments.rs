//! TCP scripts in the installed reference: each segment has the state bits there, and leaves the ends
//! at the states and the connection with the life time, that the scripts say.
//!
//! The scripts are those that the tracker's own tests play (`segments_mean_what_they_mean_to_the_
//! reference`), so the two agree. Time is the scripts'.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::packets::{Packet, Tcp, TcpOption, tcp_flags};
use testkit::reference::{BRIDGE, Reference};

const SCRIPTS: &str = include_str!("../../../dp-core/src/conntrack/tests/scripts.txt");

fn flags(text: &str) -> u16 {
    let flag = |letter| match letter {
        'S' => tcp_flags::SYN,
        'A' => tcp_flags::ACK,
        'F' => tcp_flags::FIN,
        'R' => tcp_flags::RST,
        'P' => tcp_flags::PSH,
        'U' => tcp_flags::URG,
        'E' => tcp_flags::ECE,
        'W' => tcp_flags::CWR,
        _ => 0,
    };
    text.chars().map(flag).fold(0, |all, flag| all | flag)
}

fn frame(words: &[&str]) -> Result<(&'static str, Vec<u8>)> {
    let value = |key: &str| -> Result<Option<u32>> {
        let word = words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        Ok(word.map(str::parse).transpose()?)
    };
    let (port, src, dst, sport, dport) = match words.first() {
        Some(&">") => ("p1", "10.0.0.1", "10.0.0.2", 100, 200),
        _ => ("p2", "10.0.0.2", "10.0.0.1", 200, 100),
    };
    let scale = value("ws")?.map(u8::try_from).transpose()?;
    let tcp = Tcp {
        flags: flags(words.get(1).context("flags")?),
        sequence: value("seq")?.unwrap_or(0),
        acknowledgment: value("ack")?.unwrap_or(0),
        window: u16::try_from(value("win")?.unwrap_or(1000))?,
        options: scale.map(TcpOption::WindowScale).into_iter().collect(),
        ..Tcp::new(sport, dport)
    };
    let len = usize::try_from(value("len")?.unwrap_or(0))?;
    let mut frame = Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02")
        .ipv4(src, dst)
        .layer(tcp)
        .payload(vec![b'x'; len])
        .build();
    if words.contains(&"bad") {
        // A bit of the checksum.
        if let Some(byte) = frame.get_mut(50) {
            *byte ^= 1;
        }
    }
    Ok((port, frame))
}

/// State bits by their names, from where flows have written them.
fn names(frame: &[u8]) -> String {
    let bits = frame.get(11).copied().unwrap_or(0);
    let names = [(1, "new"), (2, "est"), (4, "rel"), (8, "rpl"), (16, "inv")];
    let set: Vec<&str> =
        names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    set.join("|")
}

/// The states of both ends and the life time, from a dump.
fn ends(dump: &str) -> Result<String> {
    let field = |key: &str| -> Option<&str> {
        let (_, rest) = dump.split_once(key)?;
        rest.split([',', ')', '\n']).next()
    };
    if dump.trim().is_empty() {
        return Ok("-".to_owned());
    }
    let parts = [field("state_orig="), field("state_reply="), field("timeout=")];
    let [orig, reply, timeout] = parts;
    let all = (orig.context("a state")?, reply.context("a state")?, timeout.context("a time")?);
    Ok(format!("{} {} {}", all.0, all.1, all.2))
}

fn start() -> Result<Reference> {
    let switch = Reference::start()?;
    switch.add_dummy_port("p1", 1)?;
    switch.add_dummy_port("p2", 2)?;
    switch.time_stop()?;
    let show = "move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_SRC[0..7]";
    switch.add_flows(
        BRIDGE,
        &format!(
            "table=0,tcp,actions=ct(table=1,zone=1)\n\
             table=1,priority=9,in_port=1,tcp,ct_state=+new+trk,actions={show},ct(commit,zone=1),2\n\
             table=1,priority=1,in_port=1,tcp,actions={show},2\n\
             table=1,priority=1,in_port=2,tcp,actions={show},1\n"
        ),
    )?;
    Ok(switch)
}

#[test]
fn the_reference_makes_of_segments_what_the_scripts_say() -> Result<()> {
    testkit::packages::ensure(&["openvswitch-switch", "openvswitch-common"])?;
    let switch = start()?;
    let (mut title, mut seen) = ("", Vec::new());
    for line in SCRIPTS.lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("# ") {
            title = name;
            switch.appctl(&["dpctl/flush-conntrack"])?;
            let checked = if name.ends_with("(unchecked)") { "disable" } else { "enable" };
            switch.appctl(&[&format!("dpctl/ct-{checked}-tcp-seq-chk")])?;
            continue;
        }
        if let Some(seconds) = line.strip_prefix("wait ") {
            switch.time_warp(Duration::from_secs(seconds.parse()?), None)?;
            continue;
        }
        let (sent, expected) = line.split_once(" => ").context("an arrow")?;
        let words: Vec<&str> = sent.split_whitespace().collect();
        let (port, frame) = frame(&words)?;
        switch.receive_frame(port, &frame)?;
        let ends = ends(&switch.appctl(&["dpctl/dump-conntrack", "-m", "-s"])?)?;
        seen.push((title, sent, expected, port, ends));
    }
    let (mut right, mut left) = (switch.sent("p2")?.into_iter(), switch.sent("p1")?.into_iter());
    let mut wrong = Vec::new();
    for (title, sent, expected, port, ends) in seen {
        let out = if port == "p1" { right.next() } else { left.next() };
        let found = format!("{} {ends}", names(&out.context("each segment goes on")?));
        if found != expected {
            wrong.push(format!("{title}: {sent}: {found}, not {expected}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
