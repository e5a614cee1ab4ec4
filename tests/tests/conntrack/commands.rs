//! Commands about connections answer as release 3.5 of the reference does.
//!
//! `commands.txt` holds what that release answered: behind `>` a command, below it the answer, lines
//! of dumps sorted. Behind a flush stands what was left, and the connections that went come again.
//! The installed release is an older one, which does not know all of this.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};
use testkit::packets::{Icmp, Icmpv6, Ipv4, Packet, Tcp, tcp_flags};
use testkit::reference::{BRIDGE, Reference};

fn frames() -> [Vec<u8>; 7] {
    let ip = |src: &str| {
        Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02").ipv4(src, "10.1.1.2")
    };
    let ip6 =
        || Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02").ipv6("fc00::1", "fc00::2");
    [
        ip("10.1.1.1").udp(1, 2),
        ip("10.1.1.3").udp(1, 2),
        ip("10.1.1.1").layer(Tcp { flags: tcp_flags::SYN, ..Tcp::new(1, 2) }),
        ip("10.1.1.3").layer(Icmp::echo_request(0, 0)),
        Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02")
            .layer(Ipv4 { protocol: Some(47), ..Ipv4::new("10.1.1.3", "10.1.1.2") }),
        ip6().udp(1, 2),
        ip6().layer(Icmpv6::echo_request(0, 0)),
    ]
    .map(|packet| packet.payload(b"data").build())
}

fn start() -> Result<Reference> {
    let switch = Reference::start_ours()?;
    switch.add_dummy_port("p1", 1)?;
    switch.add_dummy_port("p2", 2)?;
    switch.time_stop()?;
    switch.add_flows(
        BRIDGE,
        "in_port=1,ip,nw_src=10.1.1.1,actions=ct(commit,zone=5,exec(set_field:0x7->ct_mark,\
         set_field:0x123456789abcdef0->ct_label)),2\n\
         in_port=1,ip,nw_src=10.1.1.3,actions=ct(commit,zone=0,exec(set_field:0x9->ct_mark,\
         set_field:0x5/0xff->ct_label)),2\n\
         in_port=1,ipv6,actions=ct(commit,zone=6),2\n",
    )?;
    fill(&switch)?;
    Ok(switch)
}

fn fill(switch: &Reference) -> Result<()> {
    frames().iter().try_for_each(|frame| Ok(switch.receive_frame("p1", frame)?))
}

/// Protocol, source and zone of the connections that are left.
fn left(switch: &Reference) -> Result<String> {
    let text = switch.appctl(&["dpctl/dump-conntrack"])?;
    let mut all = Vec::new();
    for line in text.lines() {
        let (protocol, rest) = line.split_once(",orig=(src=").context("a connection")?;
        let (source, rest) = rest.split_once(',').context("a source")?;
        let zone = rest
            .split_once(",zone=")
            .map(|(_, rest)| format!("/{}", rest.split(',').next().unwrap_or_default()));
        all.push(format!("{protocol}@{source}{}", zone.unwrap_or_default()));
    }
    all.sort_unstable();
    Ok(format!("left: {}", all.join(" ")))
}

fn answer(switch: &Reference, command: &str) -> Result<Vec<String>> {
    let words: Vec<&str> =
        command.split(' ').map(|word| if word == "''" { "" } else { word }).collect();
    let said = match words.as_slice() {
        ["ofctl", words @ ..] => switch.ofctl(words),
        words => switch.appctl(words),
    };
    // An error holds what the program wrote, behind which program it was.
    let said = said.or_else(|error| {
        let text = error.to_string();
        let starts = ["ovs-vswitchd: ", "Unrecognized option", "\"dpctl/"];
        let from = starts.iter().filter_map(|start| text.find(start)).min();
        let from = from.with_context(|| text.clone())?;
        anyhow::Ok(text.get(from..).unwrap_or_default().to_owned())
    })?;
    let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
    lines.retain(|line| !line.ends_with("server returned an error"));
    if command.contains("dump") {
        lines.sort_unstable();
    }
    Ok(lines)
}

#[test]
fn commands_answer_as_the_newer_reference_does() -> Result<()> {
    let switch = start()?;
    let mut wrong = Vec::new();
    let script = include_str!("commands.txt");
    for block in script.split("> ").filter(|block| !block.is_empty()) {
        let mut lines = block.lines();
        let command = lines.next().unwrap_or_default();
        let mut found = answer(&switch, command)?;
        if command.contains("flush") {
            found.push(left(&switch)?);
            fill(&switch)?;
        }
        let expected: Vec<&str> = lines.collect();
        if found != expected {
            wrong.push(format!("{command}:\n{found:#?}\nnot\n{expected:#?}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Sends Nicira's message number 32 of OpenFlow 1.0, and waits until it has been worked on.
fn ct_flush(switch: &Reference, properties: &[(u16, &[u8])]) -> Result<()> {
    let mut body = vec![0, 0, 0x23, 0x20, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0];
    for (kind, value) in properties {
        body.extend(kind.to_be_bytes());
        body.extend(u16::try_from(4 + value.len())?.to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(8), 0);
    }
    let message = |kind: u8, body: &[u8]| -> Result<Vec<u8>> {
        let len = u16::try_from(8 + body.len())?.to_be_bytes();
        Ok([&[1, kind, len[0], len[1], 0, 0, 0, 1][..], body].concat())
    };
    const HELLO: u8 = 0;
    const VENDOR: u8 = 4;
    const BARRIER: u8 = 18;
    let mut socket = UnixStream::connect(switch.folder().join(format!("{BRIDGE}.mgmt")))?;
    socket.set_read_timeout(Some(super::hosts::PATIENCE))?;
    socket.write_all(
        &[message(HELLO, &[])?, message(VENDOR, &body)?, message(BARRIER, &[])?].concat(),
    )?;
    loop {
        let mut header = [0; 8];
        socket.read_exact(&mut header)?;
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        socket.read_exact(&mut vec![0; len.saturating_sub(8)])?;
        ensure!(header[1] != 1, "an error: {header:?}");
        if header[1] == BARRIER + 1 {
            return Ok(());
        }
    }
}

#[test]
fn controllers_flush_by_mark_and_label() -> Result<()> {
    let switch = start()?;
    let all = "47@10.1.1.3 icmp@10.1.1.3 icmpv6@fc00::1/6 tcp@10.1.1.1/5 udp@10.1.1.1/5 \
               udp@10.1.1.3 udp@fc00::1/6";
    let label = |value: u128| value.to_be_bytes();
    const ZONE: u16 = 2;
    const MARK: u16 = 3;
    const MARK_MASK: u16 = 4;
    const LABEL: u16 = 5;
    const LABEL_MASK: u16 = 6;
    for (properties, left_over) in [
        (
            &[(MARK, &9u32.to_be_bytes()[..])][..],
            "icmpv6@fc00::1/6 tcp@10.1.1.1/5 udp@10.1.1.1/5 udp@fc00::1/6",
        ),
        (&[(MARK, &8u32.to_be_bytes()[..])], all),
        (
            &[(MARK, &8u32.to_be_bytes()[..]), (MARK_MASK, &8u32.to_be_bytes()[..])],
            "icmpv6@fc00::1/6 tcp@10.1.1.1/5 udp@10.1.1.1/5 udp@fc00::1/6",
        ),
        (&[(ZONE, &6u16.to_be_bytes()[..]), (MARK, &9u32.to_be_bytes()[..])], all),
        (
            &[(LABEL, &label(0x1234_5678_9abc_def0)[..])],
            "47@10.1.1.3 icmp@10.1.1.3 icmpv6@fc00::1/6 udp@10.1.1.3 udp@fc00::1/6",
        ),
        (
            &[(LABEL, &label(0xf0)[..]), (LABEL_MASK, &label(0xff)[..])],
            "47@10.1.1.3 icmp@10.1.1.3 icmpv6@fc00::1/6 udp@10.1.1.3 udp@fc00::1/6",
        ),
    ] {
        ct_flush(&switch, properties)?;
        let found = left(&switch)?;
        ensure!(found == format!("left: {left_over}"), "{properties:?}: {found}");
        fill(&switch)?;
    }
    Ok(())
}

/// The table of buckets: the numbers that it shows for those beyond `gt`.
fn buckets(switch: &Reference, words: &[&str]) -> Result<(usize, Vec<u64>)> {
    let text = switch.appctl(&[&["dpctl/ct-bkts"], words].concat())?;
    let mut lines = text.lines();
    let number = |line: Option<&str>, name: &str| -> Result<usize> {
        let value = line.and_then(|it| it.strip_prefix(name)).with_context(|| text.clone())?;
        Ok(value.trim().parse()?)
    };
    let total = number(lines.next(), "Total Buckets: ")?;
    ensure!(number(lines.next(), "Current Connections: ")? == 7, "{text}");
    let (mut places, mut shown) = (0, Vec::new());
    for line in lines.filter(|line| line.contains("..")) {
        let (_, cells) = line.split_once('|').with_context(|| text.clone())?;
        for cell in cells.split_whitespace() {
            places += 1;
            shown.extend((cell != ".").then(|| cell.parse::<u64>()).transpose()?);
        }
    }
    ensure!(places == total || words.len() == 1, "{places} places of {total}: {text}");
    Ok((total, shown))
}

#[test]
fn buckets_add_up_to_the_connections_and_those_with_more_are_picked_out() -> Result<()> {
    let switch = start()?;
    let (total, shown) = buckets(&switch, &[])?;
    ensure!(total > 7 && shown.iter().sum::<u64>() == 7, "{total} buckets: {shown:?}");
    for least in 0..3 {
        let more: Vec<u64> = shown.iter().copied().filter(|count| *count > least).collect();
        let (_, found) = buckets(&switch, &[&format!("gt={least}")])?;
        ensure!(found == more, "more than {least}: {found:?}, not {more:?}");
    }
    Ok(())
}
