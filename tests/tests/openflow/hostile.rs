//! Peers that mean no good: they cost the daemon bounded memory, and nobody else anything.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

use crate::raw::Peer;

/// Memory that a process has, in kilobytes.
fn resident(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The daemon's process.
fn daemon(switch: &Reference) -> Result<u32> {
    let text = std::fs::read_to_string(switch.folder().join("ovs-vswitchd.pid"))?;
    Ok(text.trim().parse()?)
}

fn connect(switch: &Reference) -> Result<UnixStream> {
    let stream = UnixStream::connect(switch.folder().join(format!("{BRIDGE}.mgmt")))?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Writes again and again until the switch takes no more, or so much has been taken.
fn pour(stream: &mut UnixStream, bytes: &[u8], most: usize) -> usize {
    let (mut sent, mut refused) = (0, None);
    while sent < most {
        match stream.write(&bytes[sent % bytes.len()..]) {
            Ok(0) => break,
            Ok(len) => (sent, refused) = (sent + len, None),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // Full for a while: it is not read any more.
                if refused.get_or_insert_with(Instant::now).elapsed() > Duration::from_millis(40) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(_) => break,
        }
    }
    sent
}

#[test]
fn peers_that_flood_stall_or_lie_cost_bounded_memory_and_others_nothing() -> Result<()> {
    let switch = Reference::start_ours()?;
    let pid = daemon(&switch)?;
    let flows: String = (0..5000)
        .map(|n| format!("table=1,priority={},tcp,tp_dst={n},actions=output:1\n", n % 100))
        .collect();
    switch.add_flows(BRIDGE, &flows)?;
    switch.ofctl(&["dump-flows", BRIDGE])?;
    let before = resident(pid)?;
    let hello = [4, 0, 0, 8, 0, 0, 0, 1];
    let mut peers = Vec::new();
    for n in 0..40 {
        let mut stream = connect(&switch)?;
        match n % 4 {
            // Asks for all flows, over and over, and reads nothing.
            0 => {
                let mut ask = vec![4, 18, 0, 56, 0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0];
                ask.extend([0xff; 8]);
                ask.extend([0; 20]);
                ask.extend([0, 1, 0, 4, 0, 0, 0, 0]);
                stream.write_all(&hello)?;
                ensure!(pour(&mut stream, &ask, 64 << 20) < 4 << 20, "it is read for ever");
            }
            // Echoes of 64 kB, and reads none of the answers.
            1 => {
                let mut echo = vec![4, 2, 0xff, 0xf8, 0, 0, 0, 1];
                echo.resize(0xfff8, 0x55);
                stream.write_all(&hello)?;
                ensure!(pour(&mut stream, &echo, 64 << 20) < 16 << 20, "it is read for ever");
            }
            // Half a message, and nothing more.
            2 => {
                stream.write_all(&hello)?;
                stream.write_all(&[4, 14, 0xff, 0xff, 0, 0, 0, 1, 1, 2, 3])?;
            }
            // Says nothing at all, or what is no message: a length less than a header's.
            _ if n % 8 == 3 => {}
            _ => stream.write_all(&[4, 0, 0, 3, 0, 0, 0, 1])?,
        }
        peers.push(stream);
    }
    // Lengths inside of messages that go far beyond them: 64 kB in a match, a bucket, a property.
    for body in [vec![0xff; 40], vec![0; 56], [vec![0, 0, 0, 0, 0xff], vec![0xff; 60]].concat()] {
        let mut peer = Peer::connect(&switch, 6)?;
        for ty in [13, 14, 15, 17, 18, 29, 34] {
            peer.send(ty, &body)?;
        }
        ensure!(!peer.received()?.is_empty(), "no error was answered");
    }
    // Everybody else is served as ever.
    let begun = Instant::now();
    for n in 0..20 {
        switch.add_flow(BRIDGE, &format!("table=2,priority={n},actions=drop"))?;
    }
    let text = switch.ofctl(&["dump-flows", BRIDGE, "table=2"])?;
    ensure!(text.lines().count() == 21, "{text}");
    ensure!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let after = resident(pid)?;
    // Of each the most that may wait to be sent, and a message that is not complete.
    ensure!(after < before + 40 * 1024, "{before} kB before, {after} kB with 40 peers");
    // Whoever has sent nonsense is let go.
    let gone = |stream: &mut UnixStream| {
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Some(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => return Some(()),
            }
        }
    };
    let liar = peers.get_mut(7).context("forty peers")?;
    ensure!(patience::wait(LIMIT, || gone(liar)).is_some(), "it is still there");
    drop(peers);
    Ok(())
}

#[test]
fn a_session_that_ends_in_the_middle_of_a_bundle_leaves_everything_as_it_was() -> Result<()> {
    let switch = Reference::start_ours()?;
    switch.add_flow(BRIDGE, "table=1,priority=5,arp,actions=drop")?;
    switch.ofctl(&["-OOpenFlow14", "add-group", BRIDGE, "group_id=1,type=all"])?;
    let shown = || -> Result<[String; 3]> {
        let flows = switch.ofctl(&["-OOpenFlow14", "--no-stats", "dump-flows", BRIDGE])?;
        let groups = switch.ofctl(&["-OOpenFlow15", "dump-groups", BRIDGE])?;
        let groups = groups.lines().skip(1).collect();
        Ok([flows, groups, switch.ofctl(&["-OOpenFlow14", "dump-ports-desc", BRIDGE])?])
    };
    let settle = |mut shown: [String; 3]| {
        shown[2] = shown[2].lines().skip(1).collect();
        shown
    };
    let before = settle(shown()?);
    for sealed in [false, true] {
        let mut peer = Peer::connect(&switch, 5)?;
        // An ordered and atomic bundle: everything goes, a group comes, a flow comes.
        peer.send(33, &[0, 0, 0, 7, 0, 0, 0, 3])?;
        add_changes(&mut peer)?;
        if sealed {
            peer.send(33, &[0, 0, 0, 7, 0, 2, 0, 3])?;
        }
        let answers = peer.received()?;
        ensure!(answers.iter().all(|it| it[1] == 33), "refused: {answers:02x?}");
        drop(peer);
        assert_eq!(settle(shown()?), before);
    }
    // The same bundle, committed, changes all of it.
    let mut peer = Peer::connect(&switch, 5)?;
    peer.send(33, &[0, 0, 0, 7, 0, 0, 0, 3])?;
    add_changes(&mut peer)?;
    peer.send(33, &[0, 0, 0, 7, 0, 4, 0, 3])?;
    let answers = peer.received()?;
    ensure!(answers.iter().all(|it| it[1] == 33), "refused: {answers:02x?}");
    let after = settle(shown()?);
    ensure!(after[0] != before[0] && after[1] != before[1], "{after:?}");
    Ok(())
}

/// Adds to bundle 7 that all flows go, that a group comes and that a flow comes, as OpenFlow 1.4 says
/// it.
fn add_changes(peer: &mut Peer) -> Result<()> {
    let flow_mod = |command: u8, table: u8| {
        let mut body = vec![0; 16];
        body.extend([table, command, 0, 0, 0, 0, 0x12, 0x34]);
        body.extend([0xff; 12]);
        body.extend([0, 0, 0, 0, 0, 1, 0, 4, 0, 0, 0, 0]);
        body
    };
    let group = vec![0, 0, 0, 0, 0, 0, 0, 9];
    for (ty, body) in [(14, flow_mod(3, 0xff)), (15, group), (14, flow_mod(0, 3))] {
        let [a, b] = u16::try_from(body.len() + 8)?.to_be_bytes();
        // A message inside has the transaction of the one around it.
        let xid = peer.next_xid().to_be_bytes();
        let head = [&[0, 0, 0, 7, 0, 0, 0, 3, 5, ty, a, b][..], &xid].concat();
        peer.send(34, &[&head[..], &body].concat())?;
    }
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(30);
