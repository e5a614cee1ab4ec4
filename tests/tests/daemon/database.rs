//! The database goes away, comes back, changes its leader: the switch forwards all the while, and its
//! configuration catches up.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::folder::Folder;
use testkit::netns::Namespace;
use testkit::process::{Guarded, output, run};
use testkit::{daemon, patience};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// Servers of one database, and a switch that they configure, on the loopback of a namespace.
struct Site {
    // Dropped in this order.
    daemon: Option<Guarded>,
    servers: Vec<Option<Guarded>>,
    folder: Folder,
    namespace: Namespace,
    /// Everybody speaks TLS: the members among themselves, the tools and the switch with them.
    tls: bool,
}

impl Site {
    /// One server, or a cluster of three.
    fn start(members: usize) -> Result<Self> {
        Self::start_as(members, false)
    }

    fn start_as(members: usize, tls: bool) -> Result<Self> {
        testkit::packages::ensure(&["openvswitch-switch", "openvswitch-common"])?;
        let (folder, namespace) = (Folder::new("site")?, Namespace::new("site")?);
        let mut site = Self { daemon: None, servers: Vec::new(), folder, namespace, tls };
        if tls {
            site.make_certificates()?;
        }
        for at in 0..members {
            let file = site.folder.join(format!("{at}.db")).display().to_string();
            let raft = |at: usize| format!("{}:127.0.0.1:{}", site.scheme(), 7000 + at);
            match (members, at) {
                (1, _) => run(Command::new("ovsdb-tool").args(["create", &file, SCHEMA]))?,
                (_, 0) => run(Command::new("ovsdb-tool").args([
                    "create-cluster",
                    &file,
                    SCHEMA,
                    &raft(0),
                ]))?,
                _ => run(Command::new("ovsdb-tool").args([
                    "join-cluster",
                    &file,
                    "Open_vSwitch",
                    &raft(at),
                    &raft(0),
                ]))?,
            };
            let server = site.server(at)?;
            site.servers.push(Some(server));
            site.joined(at)?;
        }
        site.vsctl("--no-wait init")?;
        let mut words = vec!["env".to_owned(), site.run_folder()];
        words.push(daemon::built()?.display().to_string());
        words.push(site.remotes());
        words.extend(site.credentials("switch"));
        words.extend(["--enable-dummy", "--disable-system", "-vconsole:off"].map(str::to_owned));
        words.push(format!("--log-file={}", site.folder.join("log").display()));
        words.push(format!("--unixctl={}", site.folder.join("ctl").display()));
        site.daemon = Some(site.spawn(&words)?);
        site.vsctl(
            "add-br br0 -- set Bridge br0 datapath_type=dummy fail_mode=standalone -- add-port br0 in \
             -- set Interface in type=dummy -- add-port br0 out -- set Interface out type=dummy",
        )?;
        site.forwards()?;
        Ok(site)
    }

    /// An authority, whose certificate everybody has but the switch, and who it has signed.
    fn make_certificates(&self) -> Result<()> {
        for words in [
            &["init"][..],
            &["req+sign", "server", "switch"],
            &["req+sign", "tool", "switch"],
            &["req+sign", "switch", "switch"],
        ] {
            let mut command = Command::new("ovs-pki");
            command.current_dir(self.folder.path()).arg("--force").args(words);
            command.arg(format!("--dir={}", self.folder.join("pki").display()));
            run(command.arg(format!("--log={}", self.folder.join("pki.log").display())))?;
        }
        Ok(())
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "ssl" } else { "tcp" }
    }

    /// Options of somebody whose certificate is signed. The switch takes the authority's from whom it
    /// speaks to first, and keeps it.
    fn credentials(&self, name: &str) -> Vec<String> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        if !self.tls {
            return Vec::new();
        }
        let authority = match name {
            "switch" => format!("--bootstrap-ca-cert={}", path("kept.pem")),
            _ => format!("--ca-cert={}", path("pki/switchca/cacert.pem")),
        };
        vec![
            format!("--private-key={}", path(&format!("{name}-privkey.pem"))),
            format!("--certificate={}", path(&format!("{name}-cert.pem"))),
            authority,
        ]
    }

    fn run_folder(&self) -> String {
        format!("OVS_RUNDIR={}", self.folder.path().display())
    }

    fn spawn(&self, words: &[String]) -> Result<Guarded> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Ok(self.namespace.spawn(&words)?)
    }

    fn server(&self, at: usize) -> Result<Guarded> {
        let path = |name: String| self.folder.join(name).display().to_string();
        let mut words = vec![
            "env".to_owned(),
            self.run_folder(),
            "ovsdb-server".to_owned(),
            path(format!("{at}.db")),
            format!("--remote=p{}:{}:127.0.0.1", self.scheme(), 6640 + at),
            format!("--unixctl={}", path(format!("{at}.ctl"))),
            "-vconsole:off".to_owned(),
        ];
        words.extend(self.credentials("server"));
        let server = self.spawn(&words)?;
        let answers = || self.ask(at, &["version"]).ok();
        patience::wait(LIMIT, answers).context("the server does not answer")?;
        Ok(server)
    }

    /// Asks a server's control socket.
    fn ask(&self, at: usize, words: &[&str]) -> Result<String> {
        let socket = self.folder.join(format!("{at}.ctl"));
        Ok(run(Command::new("ovs-appctl").arg("-t").arg(socket).args(words))?)
    }

    /// Waits until a member is one.
    fn joined(&self, at: usize) -> Result<()> {
        let status = || {
            let text = self.ask(at, &["cluster/status", "Open_vSwitch"]);
            // A database that stands alone has no status.
            let Ok(text) = text else { return Some(()) };
            text.contains("Status: cluster member").then_some(())
        };
        patience::wait(LIMIT, status).context("the server does not join")
    }

    fn leader(&self) -> Option<usize> {
        (0..self.servers.len()).find(|&at| {
            let status = self.ask(at, &["cluster/status", "Open_vSwitch"]);
            status.is_ok_and(|text| text.contains("Role: leader"))
        })
    }

    fn remotes(&self) -> String {
        let members = self.servers.len();
        let all: Vec<_> =
            (0..members).map(|at| format!("{}:127.0.0.1:{}", self.scheme(), 6640 + at)).collect();
        all.join(",")
    }

    /// The tool, which waits until the switch has done what it is told.
    fn vsctl(&self, words: &str) -> Result<String> {
        let database = format!("--db={}", self.remotes());
        let credentials = self.credentials("tool");
        let words: Vec<&str> = ["ovs-vsctl", &database, "--timeout=30"]
            .into_iter()
            .chain(credentials.iter().map(String::as_str))
            .chain(words.split_whitespace())
            .collect();
        Ok(self.namespace.exec(&words)?)
    }

    fn appctl(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("ovs-appctl");
        let out = output(command.arg("-t").arg(self.folder.join("ctl")).args(words))?;
        ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8(out.stdout)?)
    }

    /// What has left by the port `out`.
    fn sent(&self) -> Result<u64> {
        let socket = self.folder.join("br0.mgmt").display().to_string();
        let text = run(Command::new("ovs-ofctl").args(["dump-ports", &socket, "out"]))?;
        let number = text.split("tx pkts=").nth(1).and_then(|it| it.split(',').next());
        Ok(number.context("no counter")?.parse()?)
    }

    /// A packet passes.
    fn forwards(&self) -> Result<()> {
        let before = self.sent()?;
        let packet = "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x1234)";
        self.appctl(&["netdev-dummy/receive", "in", packet])?;
        let passed = || (self.sent().ok()? > before).then_some(());
        patience::wait(LIMIT, passed).context("no packet passes")
    }

    /// The switch does what it is told now.
    fn obeys(&self, name: &str) -> Result<()> {
        self.vsctl(&format!("add-port br0 {name} -- set Interface {name} type=dummy"))?;
        let ports = self.appctl(&["dpif/show"])?;
        ensure!(ports.contains(&format!(" {name} ")), "{ports}");
        Ok(())
    }
}

#[test]
fn a_server_that_is_restarted_is_found_again_with_what_has_changed() -> Result<()> {
    let mut site = Site::start(1)?;
    for round in 0..2 {
        site.servers[0] = None;
        site.forwards()?;
        // Changed while nobody looks: a port more, one less.
        let file = site.folder.join("0.db").display().to_string();
        let name = format!("later{round}");
        let change = format!(
            "[\"Open_vSwitch\",{{\"op\":\"insert\",\"table\":\"Interface\",\"row\":{{\"name\":\"{name}\",\
             \"type\":\"dummy\"}},\"uuid-name\":\"i\"}},{{\"op\":\"insert\",\"table\":\"Port\",\"row\":\
             {{\"name\":\"{name}\",\"interfaces\":[\"named-uuid\",\"i\"]}},\"uuid-name\":\"p\"}},\
             {{\"op\":\"mutate\",\"table\":\"Bridge\",\"where\":[],\"mutations\":[[\"ports\",\"insert\",\
             [\"set\",[[\"named-uuid\",\"p\"]]]]]}}]"
        );
        run(Command::new("ovsdb-tool").args(["transact", &file, &change]))?;
        site.forwards()?;
        site.servers[0] = Some(site.server(0)?);
        let there = || site.appctl(&["dpif/show"]).ok()?.contains(&name).then_some(());
        patience::wait(LIMIT, there).context("the port does not come")?;
        site.forwards()?;
        site.obeys(&format!("told{round}"))?;
    }
    Ok(())
}

/// Seconds that the connection is cut, unless `DP_CUT_SECONDS` says another number.
const CUT: u64 = 3;

#[test]
fn a_server_that_is_silent_for_a_while_stops_nothing() -> Result<()> {
    let site = Site::start(1)?;
    let seconds = std::env::var("DP_CUT_SECONDS").map_or(CUT, |it| it.parse().unwrap());
    let server = site.servers[0].as_ref().map_or(0, Guarded::id);
    let signal = |name: &str| run(Command::new("kill").args([name, &server.to_string()]));
    signal("-STOP")?;
    for _ in 0..seconds {
        site.forwards()?;
        std::thread::sleep(Duration::from_secs(1));
    }
    signal("-CONT")?;
    site.obeys("after")?;
    site.forwards()
}

#[test]
fn a_cluster_whose_leader_goes_is_followed_to_the_next() -> Result<()> {
    leaders_go(&mut Site::start(3)?)
}

#[test]
fn a_cluster_that_speaks_tls_is_followed_as_well() -> Result<()> {
    let mut site = Site::start_as(3, true)?;
    leaders_go(&mut site)?;
    let log = fs::read_to_string(site.folder.join("log"))?;
    ensure!(log.matches("successfully bootstrapped CA cert").count() == 1, "{log}");
    let kept = |name: &str| {
        let path = site.folder.join(name).display().to_string();
        run(Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-in", &path]))
    };
    ensure!(kept("kept.pem")? == kept("pki/switchca/cacert.pem")?);
    Ok(())
}

fn leaders_go(site: &mut Site) -> Result<()> {
    site.obeys("first")?;
    for round in 0..2 {
        let leader = patience::wait(LIMIT, || site.leader()).context("no leader")?;
        // Once it goes in good order, once it dies.
        if round == 0 {
            let gone = site.ask(leader, &["exit"]);
            ensure!(gone.is_ok(), "{gone:?}");
        }
        site.servers[leader] = None;
        site.forwards()?;
        let next = || site.leader().filter(|&at| at != leader);
        patience::wait(LIMIT, next).context("no other leader")?;
        site.obeys(&format!("next{round}"))?;
        site.forwards()?;
        site.servers[leader] = Some(site.server(leader)?);
        site.joined(leader)?;
    }
    let log = fs::read_to_string(site.folder.join("log"))?;
    ensure!(log.matches("|reconnect|").count() > 2, "{log}");
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(30);
