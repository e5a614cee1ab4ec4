//! The process: what it tells a service manager, who watches it, the files it holds.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::folder::Folder;
use testkit::process::{Guarded, output, run};
use testkit::{daemon, patience};

/// The daemon with its database and everything else in a folder.
fn command(folder: &Folder) -> Result<Command> {
    let mut command = Command::new(daemon::built()?);
    command.arg0("ovs-vswitchd");
    command.env("OVS_RUNDIR", folder.path()).env("OVS_LOGDIR", folder.path());
    command.arg(format!("file:{}", folder.join("conf.db").display()));
    command.args(["--enable-dummy", "--disable-system", "--disable-system-route"]);
    command.args(["-vconsole:off", "--log-file"]);
    command.arg(format!("--pidfile={}", folder.join("pid").display()));
    command.arg(format!("--unixctl={}", folder.join("ctl").display()));
    Ok(command)
}

fn appctl(folder: &Folder, words: &[&str]) -> Result<String> {
    let mut command = Command::new("ovs-appctl");
    Ok(run(command.arg("-t").arg(folder.join("ctl")).args(words))?)
}

/// The process that the file names.
fn pid(folder: &Folder) -> Option<u32> {
    fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok()
}

/// Sends a signal to a process of this test.
fn signal(name: &str, pid: u32) -> Result<()> {
    run(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]))?;
    Ok(())
}

fn told(socket: &UnixDatagram) -> Result<String> {
    socket.set_read_timeout(Some(LIMIT))?;
    let mut room = [0; 512];
    let length = socket.recv(&mut room).context("no word to the service manager")?;
    Ok(String::from_utf8(room[..length].to_vec())?)
}

/// A daemon in the background and its watcher, ended by their own numbers where a test fails.
struct Background {
    watcher: u32,
    pid_file: PathBuf,
}

impl Background {
    fn of(folder: &Folder) -> Result<Self> {
        let id = pid(folder).context("no pid file")?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        let watcher = line.context("no parent")?.trim().parse()?;
        ensure!(watcher > 1, "nobody watches");
        Ok(Self { watcher, pid_file: folder.join("pid") })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // The pid file goes with the daemon, in good order; then there is nothing to end.
        if let Ok(id) = fs::read_to_string(&self.pid_file) {
            for id in [self.watcher.to_string().as_str(), id.trim()] {
                let _ = run(Command::new("kill").args(["-KILL", id]));
            }
        }
    }
}

#[test]
fn a_service_manager_is_told_when_the_switch_is_ready_and_when_it_stops() -> Result<()> {
    let folder = Folder::new("notify")?;
    let path = folder.join("notify");
    let name = folder.path().as_os_str().as_bytes();
    let without_file = SocketAddr::from_abstract_name(name)?;
    let sockets = [
        (path.display().to_string(), UnixDatagram::bind(&path)?),
        (format!("@{}", folder.path().display()), UnixDatagram::bind_addr(&without_file)?),
    ];
    for (place, socket) in sockets {
        let daemon = Guarded::spawn(command(&folder)?.env("NOTIFY_SOCKET", place))?;
        let word = told(&socket)?;
        assert_eq!(word, format!("READY=1\nMAINPID={}\n", daemon.id()));
        ensure!(appctl(&folder, &["version"])?.starts_with("ovs-vswitchd"), "not ready");
        signal("TERM", daemon.id())?;
        assert_eq!(told(&socket)?, "STOPPING=1\n");
        patience::eventually("the end", LIMIT, || (!folder.join("pid").exists()).then_some(()));
    }
    Ok(())
}

#[test]
fn a_watched_daemon_that_dies_of_a_fault_is_started_again_and_one_that_is_stopped_is_not()
-> Result<()> {
    let folder = Folder::new("watched")?;
    // The starter comes back when the switch is ready.
    run(command(&folder)?.args(["--detach", "--monitor", "--no-chdir"]))?;
    let _guard = Background::of(&folder)?;
    let first = pid(&folder).context("ready without a pid file")?;
    signal("SEGV", first)?;
    let again = || pid(&folder).filter(|it| *it != first);
    // The watcher waits until ten seconds have passed since it started the one that died.
    let second = patience::eventually("another process", 3 * LIMIT, again);
    patience::eventually("its answer", LIMIT, || appctl(&folder, &["version"]).ok());
    let log = fs::read_to_string(folder.join("ovs-vswitchd.log"))?;
    let line = log.lines().find(|it| it.contains("died")).context("no word of the death")?;
    ensure!(line.contains(&format!("{first} died, killed (SIGSEGV), restarting")), "{line}");
    appctl(&folder, &["exit"])?;
    patience::eventually("the end", LIMIT, || (!folder.join("pid").exists()).then_some(()));
    let gone = || (!fs::exists(format!("/proc/{second}")).unwrap_or(true)).then_some(());
    patience::eventually("the end of the process", LIMIT, gone);
    Ok(())
}

#[test]
fn a_second_daemon_on_one_pid_file_is_refused_and_a_moved_log_is_opened_again() -> Result<()> {
    let folder = Folder::new("pidfile")?;
    let daemon = Guarded::spawn(&mut command(&folder)?)?;
    patience::eventually("an answer", LIMIT, || appctl(&folder, &["version"]).ok());
    let second = output(&mut command(&folder)?)?;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    ensure!(!second.status.success(), "two daemons on one pid file");
    ensure!(said.contains(&format!("already running as pid {}", daemon.id())), "{said}");

    let (log, moved) = (folder.join("ovs-vswitchd.log"), folder.join("moved"));
    for by_signal in [true, false] {
        fs::rename(&log, &moved)?;
        if by_signal {
            signal("HUP", daemon.id())?;
        } else {
            appctl(&folder, &["vlog/reopen"])?;
        }
        patience::eventually("a new log", LIMIT, || log.exists().then_some(()));
    }
    appctl(&folder, &["exit", "--cleanup"])?;
    patience::eventually("the end", LIMIT, || (!folder.join("pid").exists()).then_some(()));
    ensure!(!folder.join("ctl").exists(), "a socket is left");
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(20);
