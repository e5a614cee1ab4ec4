//! The same change made very often through the database: the daemon holds afterwards what it held
//! half-way.
//!
//! CI makes a few hundred. The long runs, of which the first has its results in `docs/benchmarks.md`:
//!
//! ```sh
//! DP_VSCTL_CYCLES=20000 cargo test -p dp-tests --test endurance ports -- --nocapture --test-threads=1
//! DP_QOS_CYCLES=100000 cargo test -p dp-tests --test endurance quality -- --nocapture
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::netns::{Namespace, veth_pair};
use testkit::packages;
use testkit::patience;
use testkit::reference::{Reference, Setup};

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Held {
    /// Resident memory in KiB.
    memory: u64,
    descriptors: usize,
    threads: usize,
}

fn held(process: u32) -> Result<Held> {
    let path = Path::new("/proc").join(process.to_string());
    let status = fs::read_to_string(path.join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory = line.context("no memory")?.trim().trim_end_matches(" kB").parse()?;
    let count = |name: &str| -> Result<usize> { Ok(fs::read_dir(path.join(name))?.count()) };
    Ok(Held { memory, descriptors: count("fd")?, threads: count("task")? })
}

/// Runs the cycles and judges what the process holds over their second half.
fn endure(process: u32, cycles: u32, mut cycle: impl FnMut(u32) -> Result<()>) -> Result<()> {
    let begin = Instant::now();
    let mut samples = Vec::new();
    for number in 0..cycles {
        cycle(number).with_context(|| format!("cycle {number}"))?;
        // Twenty samples, evenly over the second half.
        if number >= cycles / 2 && (number - cycles / 2).is_multiple_of((cycles / 40).max(1)) {
            samples.push(held(process)?);
        }
    }
    let first = samples[0];
    // The session of the last command ends when the daemon comes to it.
    let settled = || {
        let now = held(process).ok()?;
        (now.descriptors <= first.descriptors && now.threads <= first.threads).then_some(now)
    };
    let last = match patience::wait(Duration::from_secs(20), settled) {
        Some(last) => last,
        None => held(process)?,
    };
    let memory: Vec<f64> = samples.iter().map(|it| it.memory as f64).collect();
    println!(
        "{cycles} cycles in {:.1} s: {first:?} half-way, {last:?} at the end; slope {:.1} KiB over the half",
        begin.elapsed().as_secs_f64(),
        slope(&memory) * memory.len() as f64,
    );
    println!("resident memory over the second half, KiB: {memory:?}");
    // What an allocator keeps moves by some pages; 32 bytes lost a cycle are seen in the long run.
    let most = 512.0 + f64::from(cycles) / 64.0;
    ensure!(slope(&memory) * memory.len() as f64 <= most, "memory grows: {memory:?} KiB");
    ensure!(last.descriptors <= first.descriptors, "descriptors: {first:?}, then {last:?}");
    ensure!(last.threads <= first.threads, "threads: {first:?}, then {last:?}");
    Ok(())
}

/// How much the line through these values, by least squares, rises from one to the next.
fn slope(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let (mid, mean) = ((count - 1.0) / 2.0, values.iter().sum::<f64>() / count);
    let (mut above, mut below) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let x = at as f64 - mid;
        above += x * (value - mean);
        below += x * x;
    }
    if below == 0.0 { 0.0 } else { above / below }
}

fn cycles(variable: &str, default: u32) -> Result<u32> {
    match std::env::var(variable) {
        Ok(text) => text.parse().context(variable.to_owned()),
        Err(_) => Ok(default),
    }
}

/// The name of a port, in letters: the dummy datapath would take digits for the number to give.
fn name(number: u32) -> String {
    let letter = |digit: u8| char::from(digit - b'0' + b'a');
    format!("port-{}", number.to_string().bytes().map(letter).collect::<String>())
}

/// Each command adds a port and removes the one that the last command added.
fn ports_come_and_go(switch: &Reference) -> Result<()> {
    let cycles = cycles("DP_VSCTL_CYCLES", 100)?;
    for name in ["stays1", "stays2"] {
        switch.vsctl(&["add-port", "br0", name, "--", "set", "Interface", name, "type=dummy"])?;
    }
    let first = name(0);
    switch.vsctl(&["add-port", "br0", &first, "--", "set", "Interface", &first, "type=dummy"])?;
    endure(switch.id(), cycles, |number| {
        let (old, new) = (name(number), name(number + 1));
        let mut words = vec!["del-port", "br0", &old, "--", "add-port", "br0", &new];
        words.extend(["--", "set", "Interface", &new, "type=dummy"]);
        switch.vsctl(&words)?;
        Ok(())
    })?;
    // Numbers of the datapath are used again at once; OpenFlow numbers in turn, up to the last.
    let shown = switch.appctl(&["dpctl/show"])?;
    let numbers: BTreeSet<u32> = shown
        .lines()
        .filter_map(|line| line.trim().strip_prefix("port ")?.split(':').next()?.parse().ok())
        .collect();
    ensure!(numbers.len() == 5 && numbers.last() == Some(&100), "{shown}");
    let last = name(cycles);
    let ofport: u32 = switch.vsctl(&["get", "Interface", &last, "ofport"])?.trim().parse()?;
    ensure!(ofport == cycles % 32_767 + 3, "{last} has number {ofport}");
    // A number that a removed port had can be asked for.
    let request = "ofport_request=3";
    let words = ["add-port", "br0", "again", "--", "set", "Interface", "again", "type=dummy"];
    switch.vsctl(&[&words[..], &[request]].concat())?;
    ensure!(switch.vsctl(&["get", "Interface", "again", "ofport"])?.trim() == "3");
    Ok(())
}

#[test]
fn ports_added_and_removed_through_a_server_leave_nothing_behind() -> Result<()> {
    ports_come_and_go(&Reference::start_ours()?)
}

#[test]
fn ports_added_and_removed_through_the_database_inside_leave_nothing_behind() -> Result<()> {
    ports_come_and_go(&Setup::embedded()?.start()?)
}

/// A session with the database: many changes, each waited for, in less time than the tool needs to
/// start.
struct Session {
    stream: UnixStream,
    /// The number of the last change.
    changes: u32,
}

impl Session {
    fn open(switch: &Reference) -> Result<Self> {
        let stream = UnixStream::connect(switch.folder().join("db.sock"))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let next = switch.vsctl(&["get", "Open_vSwitch", ".", "next_cfg"])?;
        Ok(Self { stream, changes: next.trim().parse()? })
    }

    /// Makes a change and waits until it is in force, as `ovs-vsctl` does.
    fn change(&mut self, operation: &str) -> Result<()> {
        self.changes += 1;
        let number = self.changes;
        self.transact(&format!(
            r#"{operation},{{"op":"update","table":"Open_vSwitch","where":[],"row":{{"next_cfg":{number}}}}}"#
        ))?;
        self.transact(&format!(
            r#"{{"op":"wait","table":"Open_vSwitch","where":[],"columns":["cur_cfg"],"until":"==","rows":[{{"cur_cfg":{number}}}]}}"#
        ))
    }

    fn transact(&mut self, operations: &str) -> Result<()> {
        let request =
            format!(r#"{{"method":"transact","id":1,"params":["Open_vSwitch",{operations}]}}"#);
        self.stream.write_all(request.as_bytes())?;
        let answer = self.answer()?;
        let good = answer.contains(r#""error":null"#) && !answer.contains(r#""error":""#);
        ensure!(good, "{request}: {answer}");
        Ok(())
    }

    /// One answer: all braces closed. No string here holds any.
    fn answer(&mut self) -> Result<String> {
        let (mut text, mut buffer) = (String::new(), [0; 4096]);
        loop {
            let count = self.stream.read(&mut buffer)?;
            ensure!(count != 0, "the database has closed the session");
            text.push_str(std::str::from_utf8(&buffer[..count])?);
            if text.matches('{').count() == text.matches('}').count() {
                return Ok(text);
            }
        }
    }
}

#[test]
fn quality_of_service_set_replaced_and_cleared_leaves_nothing_behind() -> Result<()> {
    packages::ensure(&["iproute2"])?;
    let (there, here) = (Namespace::quiet("endq-there")?, Namespace::quiet("endq-here")?);
    veth_pair((&here, "sw0"), (&there, "eth0"))?;
    let switch = Setup::within(&here).daemon(testkit::daemon::built()?).start()?;
    let vsctl = |words: &str| switch.vsctl(&words.split_whitespace().collect::<Vec<_>>());
    // A port with a kernel behind it, and one that the switch shapes.
    vsctl("add-port br0 sw0 -- add-port br0 in0 -- set Interface in0 type=internal")?;
    let mut rows = Vec::new();
    for wish in [
        "type=linux-htb other_config:max-rate=10000000 queues:1=@q -- --id=@q create Queue \
         other_config:min-rate=2000000",
        "type=linux-htb other_config:max-rate=20000000 queues:2=@q -- --id=@q create Queue \
         other_config:max-rate=3000000",
        "type=linux-noop",
        "type=linux-default",
        "type=egress-policer other_config:cir=1000000 other_config:cbs=20000",
    ] {
        let row = vsctl(&format!("create QoS {}", wish.replacen("queues", "-- set QoS .", 0)))?;
        rows.push(row.lines().next().context("no row")?.to_owned());
    }
    let mut session = Session::open(&switch)?;
    endure(switch.id(), cycles("DP_QOS_CYCLES", 400)?, |number| {
        // Set, replaced by each of the others, cleared.
        let at = usize::try_from(number)? % (rows.len() + 1);
        let qos = match rows.get(at) {
            Some(row) => format!(r#"["uuid","{row}"]"#),
            None => r#"["set",[]]"#.to_owned(),
        };
        session.change(&format!(
            r#"{{"op":"update","table":"Port","where":[["name","!=","br0"]],"row":{{"qos":{qos}}}}}"#
        ))?;
        // What is asked for is what runs.
        if number % 100 < 6 {
            let shown = here.exec(&["tc", "qdisc", "show", "dev", "sw0"])?;
            ensure!(shown.contains("htb 1:") == (at < 2), "{at}: {shown}");
            let kinds = ["linux-htb", "linux-htb", "", "", "egress-policer", ""];
            let shown = switch.appctl(&["qos/show", "in0"]).unwrap_or_default();
            ensure!(shown.contains(kinds[at]), "{at}: {shown}");
        }
        Ok(())
    })?;
    let left = here.exec(&["tc", "class", "show", "dev", "sw0"])?;
    vsctl("clear Port sw0 qos -- clear Port in0 qos")?;
    let cleared = here.exec(&["tc", "class", "show", "dev", "sw0"])?;
    ensure!(cleared.trim().is_empty(), "{left}, then {cleared}");
    Ok(())
}
