//! A switch of one's own: the three libraries, wired together.
//!
//! ```text
//!   dp-ofproto  Bridge ── Ofproto (answers upcalls) ── Revalidator
//!                              ▲                            │ dump, change, remove
//!   dp-netdev            packet thread ◄── Netdev ◄─────────┘
//!                              │
//!                         ports: captures, interfaces, taps, sinks
//! ```
//!
//! The packet thread forwards; this thread revalidates, watches the ports, and tells how it goes.

mod args;
mod node;
mod progress;
mod report;
mod scenario;
mod sink;
mod switch;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use dp_netdev::datapath::PortEventKind;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::args::Args;
use crate::progress::Progress;
use crate::switch::Switch;

/// How often this thread looks after the switch.
const TICK: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    match forward(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// What went wrong and why, each said once.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, next| {
        match (told.is_empty(), told.contains(&next)) {
            (true, _) => next,
            (false, true) => told,
            (false, false) => format!("{told}: {next}"),
        }
    })
}

fn forward(args: &Args) -> Result<()> {
    let bundled = args.ports.is_empty() && args.node.is_none();
    if bundled && args.flows.is_some() {
        bail!("--flows needs a --port: flows of your own go with ports of your own");
    }
    let ports = if bundled { scenario::ports(args)? } else { args.ports.clone() };
    let seconds = match args.seconds {
        None if bundled && args.repeat.is_none() => Some(scenario::SECONDS),
        given => given,
    };
    if seconds.is_some_and(|seconds| !(seconds.is_finite() && seconds > 0.0)) {
        bail!("--seconds: expected a number above 0");
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("Ctrl-C")?;
    }

    if let Some(file) = &args.node {
        return node::run(file, &stop);
    }
    let mut switch = Switch::new(args)?;
    switch.add_ports(&ports)?;
    switch.load_flows(args.flows.as_deref(), bundled)?;
    let failures = run(&mut switch, args, seconds, &stop)?;
    report::print(&switch, args.show_flows);
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    Ok(())
}

/// Lets the switch run until it is told to stop, the time is over, or nothing can come any more.
/// Returns what went wrong with ports that were to be read to their ends.
fn run(
    switch: &mut Switch,
    args: &Args,
    seconds: Option<f64>,
    stop: &AtomicBool,
) -> Result<Vec<String>> {
    let mut progress = Progress::new();
    let mut failures = Vec::new();
    let running = switch.start(args)?;
    let began = switch.now();
    loop {
        let over = stop.load(Ordering::Relaxed)
            || seconds.is_some_and(|s| switch.now().since(began).as_secs_f64() >= s)
            || !switch.netdev.is_receiving();
        for event in switch.netdev.events() {
            match event.kind {
                PortEventKind::Up => progress.say(&format!("{}: up", event.name)),
                PortEventKind::Down => progress.say(&format!("{}: down", event.name)),
                PortEventKind::Finished => progress.say(&format!("{}: finished", event.name)),
                PortEventKind::Failed(why) => {
                    progress.say(&format!("{}: {why}", event.name));
                    if switch.is_capture(event.port) {
                        failures.push(format!("{}: {why}", event.name));
                    }
                }
            }
        }
        switch.revalidate();
        progress.show(&switch.netdev.totals(), switch.now());
        if over {
            break;
        }
        std::thread::sleep(TICK);
    }
    running.stop();
    switch.netdev.flush();
    switch.settle();
    progress.finish();
    Ok(failures)
}
