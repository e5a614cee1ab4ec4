//! The file moves between this daemon, `ovsdb-server` and `ovsdb-tool`, and nobody notices.
//!
//! With `DP_OTHER_ROOT=FOLDER` the same is done with the tools of another system in that folder,
//! which sees the same `/tmp`; so an older and a newer reference are asked in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use testkit::folder::Folder;
use testkit::patience;
use testkit::process::{Guarded, output, run};

use crate::Embedded;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// The tools of one system.
#[derive(Clone)]
struct Tools(Option<String>);

impl Tools {
    /// Those installed here, and those of another root that is named.
    fn all() -> Vec<Self> {
        let other = std::env::var("DP_OTHER_ROOT").ok();
        [Self(None)].into_iter().chain(other.map(|it| Self(Some(it)))).collect()
    }

    fn command(&self, program: &str) -> Command {
        match &self.0 {
            None => Command::new(program),
            Some(root) => {
                let mut command = Command::new("chroot");
                command.args([root, program]);
                command
            }
        }
    }

    fn tool(&self, words: &[&str]) -> Result<String> {
        Ok(run(self.command("ovsdb-tool").args(words))?)
    }

    fn client(&self, words: &[&str]) -> Result<String> {
        Ok(run(self.command("ovsdb-client").args(words))?)
    }

    /// `ovsdb-server` on a file, answering at a socket beside it.
    fn serve(&self, file: &Path) -> Result<(Guarded, String)> {
        let (socket, control) = (file.with_extension("sock"), file.with_extension("ctl"));
        let mut command = self.command("ovsdb-server");
        command.arg(file).args(["-vconsole:off", "--no-chdir"]);
        command.arg(format!("--remote=punix:{}", socket.display()));
        command.arg(format!("--unixctl={}", control.display()));
        let server = Guarded::spawn(&mut command)?;
        let remote = format!("unix:{}", socket.display());
        patience::wait(LIMIT, || self.client(&["list-dbs", &remote]).ok())
            .with_context(|| format!("{}: no server", file.display()))?;
        Ok((server, remote))
    }
}

/// What `ovsdb-client backup` gives: the schema and everything stored, without the time. Each server
/// has an order of its own.
fn backup(tools: &Tools, remote: &str) -> Result<[String; 2]> {
    let text = tools.client(&["backup", remote])?;
    let mut records = text.lines().filter(|line| !line.starts_with("OVSDB "));
    let (Some(schema), Some(rows), None) = (records.next(), records.next(), records.next()) else {
        anyhow::bail!("not two records: {text}");
    };
    let schema: Value = serde_json::from_str(schema)?;
    let mut rows: Map<String, Value> = serde_json::from_str(rows)?;
    rows.remove("_date").context("no date")?;
    Ok([schema.to_string(), Value::Object(rows).to_string()])
}

/// A table's rows, a line each, in an order of their own.
fn rows(remote: &str, table: &str, columns: &str) -> Result<Vec<String>> {
    let form = "--format=csv --data=bare --no-headings";
    let text = vsctl(remote, &format!("{form} --columns={columns} list {table}"))?;
    let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
    rows.sort();
    Ok(rows)
}

/// The same, when nothing is written any more.
fn settled(remote: &str) -> Result<[String; 2]> {
    let mut last = [const { String::new() }; 2];
    let still = || {
        let now = backup(&Tools(None), remote).ok()?;
        std::thread::sleep(Duration::from_millis(200));
        (std::mem::replace(&mut last, now.clone()) == now).then_some(now)
    };
    patience::wait(LIMIT, still).context("the database does not come to rest")
}

fn vsctl(remote: &str, words: &str) -> Result<String> {
    let mut command = Command::new("ovs-vsctl");
    command.arg(format!("--db={remote}")).arg("--timeout=10");
    Ok(run(command.args(words.split_whitespace()))?)
}

/// A daemon with a configuration of every kind of value: sets, maps, references of both kinds, text
/// that needs quoting.
fn configured() -> Result<Embedded> {
    let switch = Embedded::new()?;
    for words in [
        "add-br br0 -- set Bridge br0 datapath_type=dummy other_config:a=b",
        "add-port br0 p1 tag=7 -- set Interface p1 type=dummy ofport_request=7",
        "add-port br0 p2 trunks=1,2,3 -- set Interface p2 type=dummy options:x=y",
        "add-port br0 gone -- set Interface gone type=dummy",
        "set Bridge br0 external_ids:quoted=\"é\\\"\\\\\"",
        "-- --id=@q create QoS type=linux-htb queues:0=@z -- --id=@z create Queue \
         other_config:max-rate=5 -- set Port p1 qos=@q",
        "-- --id=@p get Port p2 -- --id=@m create Mirror name=m select_all=true output_port=@p -- \
         set Bridge br0 mirrors=@m",
        "del-port gone",
        "set-manager ptcp:0:127.0.0.1",
    ] {
        vsctl(&remote(&switch), words)?;
    }
    Ok(switch)
}

fn remote(switch: &Embedded) -> String {
    format!("unix:{}", switch.folder.join("db.sock").display())
}

fn file(switch: &Embedded) -> PathBuf {
    switch.folder.join("conf.db")
}

#[test]
fn a_file_written_here_is_served_and_handled_by_the_tools_of_the_reference() -> Result<()> {
    let mut switch = configured()?;
    let before = settled(&remote(&switch))?;
    switch.kill();
    for tools in Tools::all() {
        let copy = switch.folder.join("copy.db");
        let path = copy.display().to_string();
        let again = || fs::copy(file(&switch), &copy);
        again()?;
        assert_eq!(tools.tool(&["db-name", &path])?.trim(), "Open_vSwitch");
        assert_eq!(tools.tool(&["db-version", &path])?.trim(), "8.8.0");
        assert_eq!(tools.tool(&["db-is-standalone", &path])?, "");
        assert_eq!(tools.tool(&["db-cksum", &path])?.trim(), "2823623553 27869");
        let log = tools.tool(&["show-log", "-m", &path])?;
        ensure!(log.contains("add-port br0 p1 tag=7"), "who did what is in the log: {log}");
        ensure!(log.contains("table Port insert row \"p1\""), "{log}");
        let ports = "[\"Open_vSwitch\",{\"op\":\"select\",\"table\":\"Port\",\"where\":[],\
                     \"columns\":[\"name\",\"tag\"]}]";
        let found = tools.tool(&["query", &path, ports])?;
        ensure!(found.contains("{\"name\":\"p1\",\"tag\":7}"), "{found}");
        for command in [&["compact", &path][..], &["convert", &path, SCHEMA]] {
            again()?;
            tools.tool(command)?;
            let (_server, at) = tools.serve(&copy)?;
            // Another version of the schema may have other columns; the rows are the same.
            if command[0] == "compact" {
                assert_eq!(backup(&tools, &at)?, before);
            }
            let ports = rows(&at, "Port", "name,tag,trunks")?;
            assert_eq!(ports, ["br0,,", "p1,7,", "p2,,1 2 3"].map(str::to_owned), "{command:?}");
            assert_eq!(rows(&at, "Queue", "other_config")?, ["max-rate=5"]);
        }
        again()?;
        let change = "[\"Open_vSwitch\",{\"op\":\"update\",\"table\":\"Bridge\",\"where\":[],\
                      \"row\":{\"external_ids\":[\"map\",[[\"by\",\"tool\"]]]}}]";
        tools.tool(&["transact", &path, change])?;
        let (_server, at) = tools.serve(&copy)?;
        ensure!(vsctl(&at, "get Bridge br0 external_ids")?.contains("by=tool"));
    }
    Ok(())
}

#[test]
fn a_file_goes_to_a_server_and_comes_back_with_what_was_changed_there() -> Result<()> {
    let mut switch = configured()?;
    for (round, tools) in Tools::all().iter().enumerate() {
        let before = settled(&remote(&switch))?;
        switch.kill();
        let (mut server, at) = tools.serve(&file(&switch))?;
        assert_eq!(backup(tools, &at)?, before, "what the server finds");
        // Two programs do not have one file.
        let mut second = tools.command("ovsdb-tool");
        let change = "[\"Open_vSwitch\",{\"op\":\"comment\",\"comment\":\"x\"}]";
        let locked = output(second.arg("transact").arg(file(&switch)).arg(change))?;
        ensure!(!locked.status.success());
        ensure!(switch.start().is_err(), "started beside a server that has the file");
        switch.kill();
        let name = format!("there{round}");
        let words = format!("--no-wait add-port br0 {name} -- set Interface {name} type=dummy");
        vsctl(&at, &words)?;
        vsctl(&at, "--no-wait set Port p2 trunks=4,5 -- remove Bridge br0 other_config a")?;
        let before = backup(tools, &at)?;
        server.terminate(LIMIT)?;
        switch.start()?;
        let at = remote(&switch);
        vsctl(&at, &format!("wait-until Interface {name} ofport>0"))?;
        assert_eq!(vsctl(&at, "get Port p2 trunks")?.trim(), "[4, 5]");
        let now = backup(&Tools(None), &at)?;
        assert_eq!(now[0], before[0]);
        for table in ["Port", "QoS", "Mirror"] {
            let of = |record: &str| {
                let (_, rest) = record.split_once(&format!("\"{table}\":")).context("a table")?;
                anyhow::Ok(rest.split_once("}}").map_or(rest, |it| it.0).to_owned())
            };
            assert_eq!(of(&now[1])?, of(&before[1])?);
        }
    }
    Ok(())
}

#[test]
fn backup_restore_and_convert_do_what_they_do_with_a_server() -> Result<()> {
    let mut switch = configured()?;
    settled(&remote(&switch))?;
    for (round, tools) in Tools::all().iter().enumerate() {
        switch.kill();
        let copy = switch.folder.join("server.db");
        fs::copy(file(&switch), &copy)?;
        switch.start()?;
        settled(&remote(&switch))?;
        let (_server, theirs) = tools.serve(&copy)?;
        let ours = remote(&switch);
        let snapshot = tools.client(&["backup", &theirs])?;
        let folder = Folder::new("snapshot")?;
        let saved = folder.join("saved");
        fs::write(&saved, &snapshot)?;
        for at in [&theirs, &ours] {
            // Something that the snapshot has not, and that goes with it.
            vsctl(at, "--no-wait add-br later -- set Bridge later datapath_type=dummy")?;
            let mut shell = tools.command("sh");
            run(shell.args(["-c", "ovsdb-client restore \"$0\" < \"$1\"", at]).arg(&saved))?;
        }
        for (table, columns) in [
            ("Bridge", "name,external_ids,other_config"),
            ("Port", "name,tag,trunks"),
            ("Interface", "name,type,options,ofport_request"),
            ("QoS", "type,other_config"),
            ("Queue", "other_config"),
            ("Mirror", "name,select_all"),
        ] {
            assert_eq!(rows(&ours, table, columns)?, rows(&theirs, table, columns)?);
        }
        assert_eq!(vsctl(&ours, "list-br")?, "br0\n");
        // And the switch is what the database says.
        vsctl(
            &ours,
            &format!("add-port br0 alive{round} -- set Interface alive{round} type=dummy"),
        )?;
        vsctl(&ours, &format!("wait-until Interface alive{round} ofport>0"))?;

        // Another schema, and one that does not fit.
        let schema = fs::read_to_string(SCHEMA)?;
        let (head, tables) = schema.split_once("\"tables\"").context("no tables")?;
        ensure!(head.contains("\"version\""), "{head}");
        let head = "{\"name\": \"Open_vSwitch\", \"version\": \"9.0.0\", \"tables\"";
        // A column has another name, so one is gone and one is new.
        let new = format!("{head}{}", tables.replace("\"flood_vlans\"", "\"kind\""));
        let text = "\"type\": \"string\"";
        let at = new.find("\"Bridge\": {").context("no Bridge")?;
        let name = new[at..].find("\"name\": {").context("no name")? + at;
        let kind = new[name..].find(text).context("no type")? + name;
        let wrong = format!("{}\"type\": \"integer\"{}", &new[..kind], &new[kind + text.len()..]);
        let (good, bad) = (folder.join("good"), folder.join("bad"));
        fs::write(&good, new)?;
        fs::write(&bad, wrong)?;
        let mut answers = Vec::new();
        for at in [&theirs, &ours] {
            let mut said = Vec::new();
            for schema in [&bad, &good] {
                let schema = schema.display().to_string();
                let mut command = tools.command("ovsdb-client");
                let out = output(command.args(["convert", at, &schema]))?;
                let text = String::from_utf8_lossy(&out.stderr);
                said.push((out.status.success(), text.replace(|c: char| c.is_numeric(), "")));
                said.push((true, tools.client(&["needs-conversion", at, &schema])?));
            }
            let words = ["get-schema-version", at];
            said.push((true, tools.client(&words)?));
            // A column that is new, and one that is gone.
            for column in ["kind", "flood_vlans"] {
                let select = format!(
                    "[\"Open_vSwitch\",{{\"op\":\"select\",\"table\":\"Bridge\",\"where\":[],\
                     \"columns\":[\"name\",\"{column}\"]}}]"
                );
                said.push((true, tools.client(&["transact", at, &select])?));
            }
            answers.push(said);
        }
        assert_eq!(answers[0], answers[1]);
        ensure!(answers[0].iter().any(|(good, _)| !good), "nothing was refused");
        vsctl(
            &ours,
            &format!("add-port br0 after{round} -- set Interface after{round} type=dummy"),
        )?;
        vsctl(&ours, &format!("wait-until Interface after{round} ofport>0"))?;
        tools.client(&["convert", &ours, SCHEMA])?;
    }
    Ok(())
}

#[test]
fn a_torn_tail_is_cut_off_and_told_and_the_rest_is_served() -> Result<()> {
    let mut switch = configured()?;
    settled(&remote(&switch))?;
    vsctl(&remote(&switch), "--no-wait set Bridge br0 external_ids:last=kept")?;
    switch.kill();
    let whole = fs::read(file(&switch))?;
    // What a write that was cut short leaves behind: half a header, half a record.
    for tail in ["OVSDB JSON 34", "OVSDB JSON 90 0123456789012345678901234567890123456789\n{\"_da"]
    {
        fs::write(file(&switch), [&whole, tail.as_bytes()].concat())?;
        switch.start()?;
        assert_eq!(vsctl(&remote(&switch), "get Bridge br0 external_ids:last")?.trim(), "kept");
        let log = fs::read_to_string(switch.folder.join("log"))?;
        let told = format!("{} bytes from offset {} are damaged", tail.len(), whole.len());
        ensure!(log.contains(&told) && log.contains("|ovsdb_error|WARN|"), "{log}");
        vsctl(&remote(&switch), "--no-wait set Bridge br0 external_ids:more=too")?;
        switch.kill();
        // Nobody finds anything wrong with it.
        let path = file(&switch).display().to_string();
        let log = Tools(None).tool(&["show-log", &path])?;
        ensure!(log.contains("external_ids:more=too"), "{log}");
    }
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(20);
