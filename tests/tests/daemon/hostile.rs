//! Whoever sends what no tool sends costs bounded memory and his own connection, nothing else: on the
//! database's socket, the control socket and a bridge's.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::reference::{BRIDGE, Reference, Setup};

/// Mebibytes that the daemon has in memory.
fn resident(id: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let number = line.split_whitespace().nth(1).context("no number")?;
    Ok(number.parse::<u64>()? / 1024)
}

/// Sends `piece` again and again, a gibibyte at most, behind `start`. Says how many mebibytes were
/// taken before the connection was closed.
fn flood(socket: &Path, start: &str, piece: &str) -> Result<u64> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(SILENCE))?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mebibyte = piece.repeat((1 << 20) / piece.len());
    if stream.write_all(start.as_bytes()).is_err() {
        return Ok(0);
    }
    for sent in 0..1024 {
        if stream.write_all(mebibyte.as_bytes()).is_err() {
            return Ok(sent);
        }
    }
    let mut answer = [0; 64];
    let _ = stream.read(&mut answer);
    Ok(1024)
}

/// The daemon answers everybody else, and has not grown by more than this many mebibytes.
fn unharmed(switch: &Reference, before: u64, room: u64, what: &str) -> Result<()> {
    switch.vsctl(&["list-br"])?;
    switch.appctl(&["version"])?;
    switch.ofctl(&["dump-flows", BRIDGE])?;
    let now = resident(switch.id())?;
    ensure!(now <= before + room, "{what}: {before} MiB before, {now} MiB now");
    Ok(())
}

#[test]
fn bombs_cost_bounded_memory_and_one_connection() -> Result<()> {
    let switch = Setup::embedded()?.start()?;
    let before = resident(switch.id())?;
    let folder = switch.folder();
    let control = format!("ovs-vswitchd.{}.ctl", switch.id());
    let sockets: [PathBuf; 2] = [folder.join("db.sock"), folder.join(control)];
    for socket in &sockets {
        let name = socket.display();
        // A string without an end, arrays in arrays, one array of everything, blanks, no JSON at all.
        for (start, piece) in [
            ("{\"method\":\"", "aaaaaaaa"),
            ("", "[[[[[[[["),
            ("", "{\"a\":{\"a\":"),
            ("{\"method\":\"echo\",\"id\":1,\"params\":[", "1,1,1,1,"),
            ("{\"id\":1", "        "),
            ("", "xxxxxxxx"),
        ] {
            let taken = flood(socket, start, piece)?;
            let what = format!("{name}: {start}{piece}… ({taken} MiB were taken)");
            ensure!(taken < 1024, "{what}: all of it");
            unharmed(&switch, before, ROOM, &what)?;
        }
    }
    // A bridge's socket: messages that claim to be long and never come, and no OpenFlow at all.
    let bridge = folder.join(format!("{BRIDGE}.mgmt"));
    let hello = "\u{4}\u{0}\u{0}\u{8}\u{0}\u{0}\u{0}\u{1}";
    for (start, piece) in [(hello, "\u{4}\u{2}\u{0}\u{4}"), ("", "GET / HTTP/1.1\r\n")] {
        let taken = flood(&bridge, start, piece)?;
        let what = format!("{}: {start:?}{piece:?}… ({taken} MiB were taken)", bridge.display());
        unharmed(&switch, before, ROOM, &what)?;
    }
    // Many who say nothing, and many who stop in the middle.
    let idle: Vec<_> = (0..100).filter_map(|_| UnixStream::connect(&sockets[0]).ok()).collect();
    let half: Vec<_> = (0..100)
        .filter_map(|_| {
            let mut stream = UnixStream::connect(&sockets[0]).ok()?;
            stream.write_all(b"{\"method\":\"transact\",\"params\":[\"Open_vSw").ok()?;
            Some(stream)
        })
        .collect();
    unharmed(&switch, before, ROOM, "two hundred connections")?;
    drop((idle, half));
    unharmed(&switch, before, ROOM, "when they have gone")
}

/// Mebibytes that a message under way may cost, and what the allocator keeps of it.
const ROOM: u64 = 128;
/// A peer that takes nothing for so long has closed in all but name.
const SILENCE: Duration = Duration::from_secs(2);
