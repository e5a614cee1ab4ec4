//! What is acknowledged is on the disk: no message leaves between a write to the database's file and the
//! call that brings it to the disk. The system calls themselves are looked at.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::packages;
use testkit::patience;
use testkit::process::{Guarded, run};

use super::Embedded;

/// Calls that can change a file or tell a client something.
const CALLS: &str = "trace=write,writev,pwrite64,pwritev,sendto,sendmsg,sendmmsg,fsync,fdatasync";

#[test]
fn nothing_is_told_before_it_is_on_the_disk() -> Result<()> {
    packages::ensure(&["strace"])?;
    let mut switch = Embedded::new()?;
    let id = switch.daemon.as_ref().map(Guarded::id).context("no daemon")?;
    let path = switch.folder.join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-q", "-s", "100", "-e", CALLS, "-p", &id.to_string(), "-o"]);
    let mut tracer = Guarded::spawn(strace.arg(&path))?;
    let traced = || {
        let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
        (line.trim() != "0").then_some(())
    };
    patience::wait(Duration::from_secs(10), traced).context("strace does not attach")?;
    // Several clients at once, so that transactions and replies overlap.
    thread::scope(|scope| -> Result<()> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let switch = &switch;
                scope.spawn(move || -> Result<()> {
                    for turn in 0..TURNS {
                        let word = format!("external_ids:client{client}={turn}");
                        let words = ["--no-wait", "set", "Open_vSwitch", ".", &word];
                        run(&mut switch.vsctl(&words))?;
                    }
                    Ok(())
                })
            })
            .collect();
        for client in clients {
            client.join().map_err(|_| anyhow::anyhow!("a client has ended"))??;
        }
        Ok(())
    })?;
    // The daemon goes first, so that the tracer writes all that it has seen.
    switch.kill();
    let ended = || tracer.ended().ok().flatten();
    patience::wait(Duration::from_secs(10), ended).context("strace does not end")?;
    judge(&fs::read_to_string(&path)?)
}

/// Looks at each call in turn.
fn judge(trace: &str) -> Result<()> {
    let (mut written, mut synced, mut replies) = (0, 0, 0);
    let mut dirty: Option<&str> = None;
    for line in trace.lines() {
        let Some((call, rest)) = line.split_once(' ').and_then(|(_, it)| it.trim().split_once('('))
        else {
            continue;
        };
        let of_file = rest.split(',').next().is_some_and(|it| it.contains("conf.db"));
        match call {
            "fsync" | "fdatasync" if of_file => {
                ensure!(rest.contains("= 0"), "{line}");
                synced += 1;
                dirty = None;
            }
            _ if of_file => {
                written += 1;
                dirty = Some(line);
            }
            _ if rest.contains("socket:[") => {
                ensure!(dirty.is_none(), "told before it is on the disk:\n{dirty:?}\n{line}");
                replies += usize::from(rest.contains("\\\"result\\\":[{\\\"count\\\":"));
            }
            _ => {}
        }
    }
    let most = CLIENTS * TURNS;
    ensure!(dirty.is_none() && replies >= most, "{replies} replies, {dirty:?}");
    ensure!(written >= most && synced > 0 && synced <= written, "{written} written, {synced}");
    Ok(())
}

const CLIENTS: usize = 4;
const TURNS: usize = 10;

#[test]
fn a_reply_that_leaves_too_early_is_seen() {
    let write = "7 write(12</x/conf.db>, \"OVSDB JSON 1\", 12) = 12\n";
    let sync = "7 fdatasync(12</x/conf.db>) = 0\n";
    let reply = "7 sendto(16<socket:[1]>, \"{\\\"error\\\":null,\\\"id\\\":4,\\\"result\\\":[{\\\"count\\\":1}]}\", 85, MSG_NOSIGNAL, NULL, 0) = 85\n";
    let many = |text: &str| text.repeat(CLIENTS * TURNS);
    assert!(judge(&many(&[write, sync, reply].concat())).is_ok());
    assert!(judge(&many(&[write, reply, sync].concat())).is_err());
    assert!(judge(&many(&[write, reply].concat())).is_err());
}
