//! Every option of the command line has its effect, or is refused in words.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use testkit::folder::Folder;
use testkit::process::{Guarded, output, run};
use testkit::{daemon, patience};

/// What `ovs-vswitchd --help` of version 3.5 names, and what it takes besides.
const KNOWN: &[&str] = &[
    "--private-key",
    "--certificate",
    "--ca-cert",
    "--bootstrap-ca-cert",
    "--ssl-protocols",
    "--ssl-ciphers",
    "--ssl-ciphersuites",
    "--detach",
    "--monitor",
    "--user",
    "--no-chdir",
    "--pidfile",
    "--overwrite-pidfile",
    "--verbose",
    "--log-file",
    "--syslog-method",
    "--syslog-target",
    "--unixctl",
    "--help",
    "--version",
    "--peer-ca-cert",
    "--dpdk",
    "--mlockall",
    "--no-self-confinement",
    "--hw-rawio-access",
    "--enable-dummy",
    "--disable-system",
    "--disable-system-route",
    "--dummy-numa",
];

/// A daemon with its database and everything else in a folder.
struct Daemon {
    daemon: Option<Guarded>,
    folder: Folder,
    program: PathBuf,
}

impl Daemon {
    fn new() -> Result<Self> {
        let folder = Folder::new("options")?;
        // Where any user may run it.
        let program = folder.join("dp-vswitchd");
        fs::copy(daemon::built()?, &program)?;
        open(folder.path())?;
        Ok(Self { daemon: None, folder, program })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0("ovs-vswitchd").current_dir(self.folder.path());
        command.env("OVS_RUNDIR", self.folder.path()).env("OVS_LOGDIR", self.folder.path());
        command.arg(format!("file:{}", self.folder.join("conf.db").display()));
        command.args(["-vconsole:off"]).args(words);
        command
    }

    /// Starts it with the control socket at its place.
    fn start(&mut self, words: &[&str]) -> Result<()> {
        let mut all = words.to_vec();
        all.extend(["--unixctl=ctl", "--log-file=log", "--enable-dummy", "--disable-system"]);
        all.push("--disable-system-route");
        self.daemon = None;
        self.daemon = Some(Guarded::spawn(&mut self.command(&all))?);
        patience::wait(LIMIT, || self.appctl("version").ok())
            .with_context(|| format!("{words:?}: no answer; {}", self.log()))?;
        Ok(())
    }

    fn appctl(&self, words: &str) -> Result<String> {
        let mut command = Command::new("ovs-appctl");
        command.arg("-t").arg(self.folder.join("ctl")).args(words.split_whitespace());
        Ok(run(&mut command)?)
    }

    fn vsctl(&self, words: &str) -> Result<String> {
        let mut command = Command::new("ovs-vsctl");
        command.arg(format!("--db=unix:{}", self.folder.join("db.sock").display()));
        Ok(run(command.arg("--timeout=10").args(words.split_whitespace()))?)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn said(&self, text: &str) -> Result<()> {
        let said = || self.log().contains(text).then_some(());
        patience::wait(LIMIT, said).with_context(|| format!("no word of {text}: {}", self.log()))
    }

    /// A line of what the kernel says of the process.
    fn status(&self, key: &str) -> Result<String> {
        let id = self.daemon.as_ref().context("no process")?.id();
        let text = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        Ok(line.context("no such line")?.trim_matches([':', '\t', ' ']).to_owned())
    }

    /// What it says when it ends at once.
    fn refuses(&self, words: &[&str]) -> Result<String> {
        let out = output(&mut self.command(words))?;
        ensure!(!out.status.success(), "{words:?} is taken");
        Ok(String::from_utf8_lossy(&out.stderr).into_owned())
    }

    /// Starts it in the background, says where it works, and ends it.
    fn background(&self, words: &[&str]) -> Result<PathBuf> {
        let mut all = words.to_vec();
        all.extend(["--detach", "--pidfile=pid", "--unixctl=ctl", "--log-file=log"]);
        run(&mut self.command(&all))?;
        let id = fs::read_to_string(self.folder.join("pid"))?;
        let place = fs::read_link(format!("/proc/{}/cwd", id.trim()))?;
        self.appctl("exit")?;
        let pid = self.folder.join("pid");
        patience::wait(LIMIT, || (!pid.exists()).then_some(())).context("it does not end")?;
        Ok(place)
    }
}

/// Lets everybody into a folder.
fn open(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?)
}

/// A key with a certificate, and the authority's that signed it.
fn certificate(folder: &Path) -> Result<()> {
    let authority = "-subj /CN=authority -keyout ca-key.pem -out ca.pem";
    let own = "-subj /CN=switch -keyout key.pem -out cert.pem -CA ca.pem -CAkey ca-key.pem \
               -addext basicConstraints=critical,CA:FALSE";
    for words in [authority, own] {
        let mut command = Command::new("openssl");
        command.current_dir(folder).args(["req", "-x509", "-newkey", "rsa:2048", "-nodes"]);
        run(command.args(["-days", "2"]).args(words.split_whitespace()))?;
    }
    Ok(())
}

/// Whether this process has the privilege that it could pass on; in a container it may not.
fn may_do_raw_io() -> Result<bool> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|it| it.strip_prefix("CapEff:"));
    let bits = u64::from_str_radix(line.context("no capabilities")?.trim(), 16)?;
    Ok(bits & (1 << 17) != 0)
}

/// Shows what an option does.
fn check(it: &mut Daemon, option: &str) -> Result<()> {
    let folder = it.folder.path().to_owned();
    let gone = folder.join("no.pem").display().to_string();
    match option {
        "--private-key"
        | "--certificate"
        | "--ca-cert"
        | "--bootstrap-ca-cert"
        | "--peer-ca-cert" => {
            // What the files are for is shown in the tests of TLS; here, that they are looked for.
            let files =
                ["private-key", "certificate", "ca-cert"].map(|it| format!("--{it}={gone}"));
            let mut words: Vec<&str> = files.iter().map(String::as_str).collect();
            let own = format!("{option}={gone}");
            words.push(&own);
            it.start(&words)?;
            it.vsctl("set-manager ssl:127.0.0.1:1")?;
            it.said("no.pem: No such file or directory")
        }
        "--ssl-protocols" | "--ssl-ciphers" | "--ssl-ciphersuites" => {
            let (wanted, good, bad) = match option {
                "--ssl-protocols" => ("TLSv1.2", "-tls1_2", "-tls1_3"),
                "--ssl-ciphers" => (
                    "ECDHE-RSA-AES256-GCM-SHA384",
                    "-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384",
                    "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256",
                ),
                _ => (
                    "TLS_AES_256_GCM_SHA384",
                    "-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384",
                    "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256",
                ),
            };
            certificate(&folder)?;
            let files = ["--private-key=key.pem", "--certificate=cert.pem", "--ca-cert=ca.pem"];
            let own = format!("{option}={wanted}");
            it.start(&[&files[..], &[&own]].concat())?;
            it.vsctl("set-manager pssl:0:127.0.0.1")?;
            let port = || it.vsctl("get Manager . status:bound_port").ok();
            let port = patience::wait(LIMIT, port).context("no port")?;
            for (words, is_good) in [(good, true), (bad, false)] {
                let mut client = Command::new("openssl");
                client.current_dir(&folder).args(["s_client", "-cert", "cert.pem"]);
                client.args(["-key", "key.pem", "-connect"]);
                client.arg(format!("127.0.0.1:{}", port.trim().trim_matches('"')));
                let out = output(client.args(words.split_whitespace()))?;
                ensure!(out.status.success() == is_good, "{own}: {words}: {out:?}");
            }
            let own = format!("{option}=nosuch");
            it.start(&[&files[..], &[&own]].concat())?;
            it.vsctl("set-manager ssl:127.0.0.1:1")?;
            it.said("nosuch")
        }
        "--detach" | "--pidfile" | "--no-chdir" => {
            assert_eq!(it.background(&[])?, Path::new("/"));
            assert_eq!(it.background(&["--no-chdir"])?, folder.canonicalize()?);
            Ok(())
        }
        "--monitor" => {
            ensure!(it.refuses(&["--monitor"])?.contains("--monitor without --detach"));
            it.background(&["--monitor"]).map(drop)
        }
        "--overwrite-pidfile" => {
            it.start(&["--pidfile=pid"])?;
            let second = ["--pidfile=pid", "--unixctl=none"];
            ensure!(it.refuses(&second)?.contains("already running"));
            Ok(())
        }
        "--user" | "--hw-rawio-access" => {
            let raw_io = option == "--hw-rawio-access";
            let words = ["--user=nobody:nogroup", "--hw-rawio-access"];
            if raw_io && !may_do_raw_io()? {
                ensure!(it.refuses(&words)?.contains("capset failed"), "it cannot have that");
                return Ok(());
            }
            it.start(&words[..1 + usize::from(raw_io)])?;
            ensure!(it.status("Uid")?.starts_with("65534\t"), "{}", it.status("Uid")?);
            let wanted = if raw_io { "0000000000027800" } else { "0000000000007800" };
            assert_eq!(it.status("CapEff")?, wanted);
            Ok(())
        }
        "--verbose" => {
            it.start(&["--verbose=bridge:file:dbg", "-vrconn:file:off"])?;
            let list = it.appctl("vlog/list")?;
            let line = |name: &str| list.lines().find(|it| it.starts_with(name)).map(str::to_owned);
            ensure!(line("bridge ").is_some_and(|it| it.contains("DBG")), "{list}");
            ensure!(line("rconn ").is_some_and(|it| it.contains("OFF")), "{list}");
            Ok(())
        }
        "--log-file" => {
            it.start(&[])?;
            it.said("opened log file")
        }
        "--syslog-method" | "--syslog-target" => {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_read_timeout(Some(LIMIT))?;
            let address = socket.local_addr()?;
            let method = if option.ends_with("method") { "udp:" } else { "" };
            it.start(&[&format!("{option}={method}{address}"), "-vsyslog:info"])?;
            let mut room = [0; 2048];
            let count = socket.recv(&mut room).context("no datagram")?;
            let text = String::from_utf8_lossy(&room[..count]).into_owned();
            let said = ["|vlog|INFO|opened log file", " ovs-vswitchd "];
            ensure!(said.iter().any(|it| text.contains(it)), "{text}");
            Ok(())
        }
        "--unixctl" => {
            it.start(&[])?;
            ensure!(folder.join("ctl").exists());
            Ok(())
        }
        "--help" | "--version" => {
            let text = run(&mut it.command(&[option]))?;
            ensure!(text.contains(if option == "--help" { "usage: " } else { "3.5.0" }), "{text}");
            Ok(())
        }
        "--dpdk" => {
            let text = it.refuses(&["--dpdk"])?;
            ensure!(text.contains("Using --dpdk to configure DPDK is not supported."), "{text}");
            Ok(())
        }
        "--mlockall" => {
            it.start(&["--mlockall"])?;
            let locked = it.status("VmLck")?;
            ensure!(!locked.starts_with("0 "), "{locked}");
            Ok(())
        }
        "--no-self-confinement" => {
            let elsewhere = Folder::new("elsewhere")?;
            for (words, confined) in [(&[][..], true), (&["--no-self-confinement"][..], false)] {
                it.start(words)?;
                it.vsctl("--may-exist add-br br0 -- set Bridge br0 datapath_type=dummy")?;
                let socket = elsewhere.join("socket");
                it.vsctl(&format!("set-controller br0 punix:{}", socket.display()))?;
                if confined {
                    it.said("bridge br0: Not adding Unix domain socket controller")?;
                    ensure!(!socket.exists());
                    it.vsctl(&format!("set-controller br0 unix:{}", socket.display()))?;
                    it.said("bridge br0: Not connecting to socket controller")?;
                    let own = folder.join("br0.controller");
                    it.vsctl(&format!("set-controller br0 punix:{}", own.display()))?;
                    patience::wait(LIMIT, || own.exists().then_some(())).context("no socket")?;
                    continue;
                }
                patience::wait(LIMIT, || socket.exists().then_some(())).context("confined")?;
            }
            Ok(())
        }
        "--enable-dummy" | "--disable-system" | "--disable-system-route" => {
            it.start(&[])?;
            ensure!(it.vsctl("get Open_vSwitch . datapath_types")?.contains("dummy"));
            ensure!(!it.vsctl("get Open_vSwitch . datapath_types")?.contains("system"));
            ensure!(!it.appctl("ovs/route/show")?.contains("127.0.0.1"), "the kernel's routes");
            Ok(())
        }
        "--dummy-numa" => {
            it.start(&["--dummy-numa=0,1,1"])?;
            it.said("Discovered 2 NUMA nodes and 3 CPU cores")
        }
        other => bail!("nothing shows what {other} does"),
    }
}

#[test]
fn every_option_has_its_effect_or_is_refused_in_words() -> Result<()> {
    let theirs = run(Command::new("ovs-vswitchd").arg("--help"))?;
    let words = theirs.split(|it: char| !(it.is_alphanumeric() || it == '-'));
    let named = words.filter(|it| it.starts_with("--") && it.len() > 2);
    // Their help speaks of --dpdk only to say that it is gone.
    let mut options: Vec<&str> = KNOWN.iter().copied().chain(named).collect();
    options.sort_unstable();
    options.dedup();
    let mut daemon = Daemon::new()?;
    let help = run(&mut daemon.command(&["--help"]))?;
    for option in options {
        let hidden = ["--peer-ca-cert"].contains(&option);
        ensure!(hidden || help.contains(option), "{option} is not in the help");
        check(&mut daemon, option).with_context(|| option.to_owned())?;
        daemon.daemon = None;
        // The next one may be another user's.
        for entry in fs::read_dir(daemon.folder.path())? {
            let path = entry?.path();
            if path != daemon.program {
                fs::remove_file(path)?;
            }
        }
    }
    for option in ["--record", "--replay", "--nosuch"] {
        let said = daemon.refuses(&[option])?;
        ensure!(said.contains(&format!("unrecognized option '{option}'")), "{said}");
    }
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(20);
