//! Thousands of interfaces: what starting, a change and an idle second cost must not grow with the square
//! of their number.
//!
//! CI takes 250 and four times as many. The long form, whose results are in `docs/benchmarks.md`:
//!
//! ```sh
//! DP_INTERFACES=1250 cargo test --release -p dp-tests --test embedded thousands -- --nocapture
//! ```

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::netns::Namespace;
use testkit::packages;
use testkit::patience;
use testkit::process::{Guarded, run};

use super::Embedded;

/// Seconds of processor time that all threads of a process have taken.
fn spent(process: u32) -> Result<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += text.split(' ').next().context("no time")?.parse::<u64>()?;
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// How many interfaces the smaller of two switches has; the other has four times as many.
fn few() -> Result<usize> {
    match std::env::var("DP_INTERFACES") {
        Ok(text) => text.parse().context("DP_INTERFACES"),
        Err(_) => Ok(250),
    }
}

/// Processor time of a daemon, and how long whoever asked for it waited.
#[derive(Clone, Copy, Debug)]
struct Cost {
    processor: f64,
    waited: f64,
}

/// What something costs a daemon.
fn cost(process: u32, act: impl FnOnce() -> Result<()>) -> Result<Cost> {
    let (before, begin) = (spent(process)?, Instant::now());
    act()?;
    let waited = begin.elapsed().as_secs_f64();
    Ok(Cost { processor: spent(process)? - before, waited })
}

/// Adding so many, one change, an idle second, and starting with them.
fn costs(count: usize) -> Result<[Cost; 4]> {
    let mut switch = Embedded::new()?;
    let process = |it: &Embedded| it.daemon.as_ref().map(Guarded::id).context("no daemon");
    let mut id = process(&switch)?;
    let vsctl = |it: &Embedded, words: &str| {
        let mut command = it.vsctl(&["--timeout=120"]);
        run(command.args(words.split_whitespace())).map(|_| ())
    };
    vsctl(&switch, "add-br br0 -- set Bridge br0 datapath_type=dummy")?;
    let words: String = (0..count)
        .map(|at| format!("-- add-port br0 many{at} -- set Interface many{at} type=dummy "))
        .collect();
    let added = cost(id, || Ok(vsctl(&switch, &words)?))?;
    let mut turn = 0;
    let changes = cost(id, || {
        for _ in 0..CHANGES {
            turn += 1;
            vsctl(&switch, &format!("set Interface many7 external_ids:a={turn}"))?;
        }
        Ok(())
    })?;
    // Over two turns of statistics.
    let idle = cost(id, || {
        thread::sleep(IDLE);
        Ok(())
    })?;
    switch.kill();
    let begin = Instant::now();
    switch.start()?;
    id = process(&switch)?;
    // The answer comes when the configuration is in force.
    vsctl(&switch, "set Open_vSwitch . external_ids:started=yes")?;
    let started = Cost { processor: spent(id)?, waited: begin.elapsed().as_secs_f64() };
    let each = |it: Cost, by: f64| Cost { processor: it.processor / by, waited: it.waited / by };
    let costs = [added, each(changes, f64::from(CHANGES)), each(idle, IDLE.as_secs_f64()), started];
    for (name, it) in ["added", "a change", "an idle second", "started"].iter().zip(costs) {
        println!("{count} interfaces, {name}: {:.4} s, {:.4} s waited", it.processor, it.waited);
    }
    Ok(costs)
}

#[test]
fn thousands_of_interfaces_cost_no_more_each_than_hundreds() -> Result<()> {
    let (few, many) = (costs(few()?)?, costs(4 * few()?)?);
    // In proportion is four times as much; with the square would be sixteen.
    for (at, (few, many)) in few.iter().zip(&many).enumerate() {
        let most = 8.0 * few.processor.max(0.002);
        ensure!(many.processor < most, "cost {at}: {few:?}, then {many:?}");
    }
    // A debug build takes five times as long.
    let most = if cfg!(debug_assertions) { 0.25 } else { 0.05 };
    ensure!(many[2].processor < most, "an idle second: {:?}", many[2]);
    Ok(())
}

/// A switch that follows the addresses and routes of a host with so many links: starting, a question,
/// an address that comes and is known, an idle second.
fn host_costs(count: usize) -> Result<[Cost; 4]> {
    let host = Namespace::quiet("many")?;
    let mut batch: String = (0..count / 2)
        .map(|at| format!("link add many{} type veth peer name many{}\n", 2 * at, 2 * at + 1))
        .collect();
    for at in 0..count {
        let (high, low) = (at / 250, at % 250);
        batch += &format!("address add 10.{high}.{low}.1/24 dev many{at}\nlink set many{at} up\n");
    }
    batch.push_str("link set lo up\n");
    let folder = testkit::folder::Folder::new("many")?;
    let file = folder.join("batch");
    fs::write(&file, batch)?;
    host.exec(&["ip", "-batch", &file.display().to_string()])?;
    let mut command = host.command("env");
    command.arg(format!("OVS_RUNDIR={}", folder.path().display()));
    command.arg(testkit::daemon::built()?);
    command.arg(format!("file:{}", folder.join("conf.db").display()));
    command.arg(format!("--unixctl={}", folder.join("ctl").display()));
    command.args(["--disable-system", "-vconsole:off"]);
    command.arg(format!("--log-file={}", folder.join("log").display()));
    let begin = Instant::now();
    let daemon = Guarded::spawn(&mut command)?;
    let id = daemon.id();
    let ask = |words: &[&str]| {
        run(Command::new("ovs-appctl").arg("-t").arg(folder.join("ctl")).args(words))
    };
    let last = count - 1;
    let address = format!("10.{}.{}.7", last / 250, last % 250);
    let lookup = || ask(&["ovs/route/lookup", &address]);
    let known = patience::wait(Duration::from_secs(60), || {
        lookup().ok().filter(|it| it.contains(&format!("dev many{last}"))).map(|_| ())
    });
    known.with_context(|| format!("{address}: {:?}", lookup()))?;
    let started = Cost { processor: spent(id)?, waited: begin.elapsed().as_secs_f64() };
    let questions = cost(id, || {
        for _ in 0..QUESTIONS {
            lookup()?;
        }
        Ok(())
    })?;
    let mut seen = 0;
    let arrivals = cost(id, || {
        for turn in 0..ARRIVALS {
            let new = format!("172.16.{turn}.1");
            host.exec(&["ip", "address", "add", &format!("{new}/24"), "dev", "many3"])?;
            let there = || {
                let text = ask(&["ovs/route/lookup", &format!("172.16.{turn}.9")]).ok()?;
                text.contains(&format!("src {new}")).then_some(())
            };
            patience::wait(Duration::from_secs(10), there).context(new.clone())?;
            seen += 1;
        }
        Ok(())
    })?;
    ensure!(seen == ARRIVALS);
    let idle = cost(id, || {
        thread::sleep(IDLE);
        Ok(())
    })?;
    let each = |it: Cost, by: f64| Cost { processor: it.processor / by, waited: it.waited / by };
    let costs = [
        started,
        each(questions, f64::from(QUESTIONS)),
        each(arrivals, f64::from(ARRIVALS)),
        each(idle, IDLE.as_secs_f64()),
    ];
    for (name, it) in ["started", "a question", "an arrival", "an idle second"].iter().zip(costs) {
        println!("{count} links, {name}: {:.5} s, {:.5} s waited", it.processor, it.waited);
    }
    Ok(costs)
}

#[test]
fn thousands_of_addresses_of_the_host_make_no_question_slower() -> Result<()> {
    packages::ensure(&["iproute2"])?;
    let (few, many) = (host_costs(few()?)?, host_costs(4 * few()?)?);
    let most = [8.0, 2.5, 8.0, 8.0];
    for (at, ((few, many), most)) in few.iter().zip(&many).zip(most).enumerate() {
        let most = most * few.processor.max(0.001);
        ensure!(many.processor < most, "cost {at}: {few:?}, then {many:?}");
    }
    ensure!(many[3].processor < 0.05, "an idle second: {:?}", many[3]);
    Ok(())
}

const CHANGES: u32 = 10;
const QUESTIONS: u32 = 50;
const ARRIVALS: u32 = 10;
const IDLE: Duration = Duration::from_secs(6);
