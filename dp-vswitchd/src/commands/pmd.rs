//! `dpif-netdev/*` about packet threads and machine code.

use std::fmt::Write as _;
use std::sync::Arc;

use dp_core::lookup::Kernel;
use dp_core::pipeline::Parser;
use dp_netdev::datapath::{Histories, Suspicion};

use crate::log::time_of_day;
use crate::switch::{Datapath, Switch};
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    threads(registry, switch);
    suspicions(registry, switch);
    machine_code(registry, switch);
    action_code(registry);
}

/// What was said about which threads to show.
struct Choice {
    datapath: Arc<Datapath>,
    core: Option<u32>,
    seconds: u64,
}

fn threads(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let usage = "[-pmd core] [dp]";
    let own = Arc::clone(switch);
    registry.register("dpif-netdev/pmd-stats-show", usage, 0, 3, move |request| {
        choice(&own, request.arguments()).map(|it| it.datapath.netdev.show_stats(it.core))
    });
    let own = Arc::clone(switch);
    registry.register("dpif-netdev/pmd-stats-clear", usage, 0, 3, move |request| {
        choice(&own, request.arguments()).map(|it| it.datapath.netdev.clear_stats(it.core))
    });
    let own = Arc::clone(switch);
    let with_seconds = "[-pmd core] [-secs secs] [dp]";
    registry.register("dpif-netdev/pmd-rxq-show", with_seconds, 0, 5, move |request| {
        let chosen = choice(&own, request.arguments());
        chosen.map(|it| it.datapath.netdev.show_rx_queues(it.seconds, it.core))
    });
    let own = Arc::clone(switch);
    let with_histories = "[-nh] [-it iter-history-len] [-ms ms-history-len] [-pmd core] [dp]";
    registry.register("dpif-netdev/pmd-perf-show", with_histories, 0, 8, move |request| {
        let (histories, words) = histories(request.arguments());
        let it = choice(&own, &words)?;
        Ok::<_, String>(it.datapath.netdev.show_performance(it.core, &time_of_day(), histories))
    });
    let own = Arc::clone(switch);
    registry.register("dpif-netdev/pmd-sleep-show", "[dp]", 0, 1, move |request| {
        choice(&own, request.arguments()).map(|it| it.datapath.netdev.show_sleeps())
    });
    let own = Arc::clone(switch);
    registry.register("dpif-netdev/pmd-rxq-rebalance", "[dp]", 0, 1, move |request| {
        let name = request.arguments().first().map(String::as_str);
        let datapath =
            own.datapath(name).map_err(|_| "please specify an existing datapath".to_owned())?;
        datapath.netdev.rebalance();
        datapath.tell_notes();
        Ok::<_, String>("pmd rxq rebalance requested.\n")
    });
}

fn suspicions(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("dpif-netdev/pmd-perf-log-set", SUSPICION_USAGE, 0, 10, move |request| {
        let mut wish = own.suspicion();
        read_suspicion(request.arguments(), &mut wish).ok_or(SUSPICION_HELP)?;
        own.set_suspicion(wish);
        let Suspicion { on, before, after, extend, micros, ring } = own.suspicion();
        let on = if on { "on" } else { "off" };
        log::info!(
            target: "pmd_perf",
            "pmd-perf-log-set: {on}, before={before}, after={after}, extend={extend}, \
             us_thr={micros}, q_thr={ring}"
        );
        Ok::<_, &str>("")
    });
}

const SUSPICION_HELP: &str = "Usage: ovs-appctl dpif-netdev/pmd-perf-log-set [on|off] [-b before] \
                              [-a after] [-e|-ne] [-us usec] [-q qlen]\n";
const SUSPICION_USAGE: &str = "on|off [-b before] [-a after] [-e|-ne] [-us usec] [-q qlen]";

/// Changes what the words speak of; `None` if they make no sense.
fn read_suspicion(words: &[String], wish: &mut Suspicion) -> Option<()> {
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let mut number = || words.next()?.parse::<u32>().ok();
        match word {
            "on" => wish.on = true,
            "off" => wish.on = false,
            "-e" => wish.extend = true,
            "-ne" => wish.extend = false,
            "-b" => wish.before = usize::try_from(number()?).ok()?,
            "-a" => wish.after = usize::try_from(number()?).ok()?,
            "-us" => wish.micros = number()?,
            "-q" => wish.ring = number()?,
            _ => return None,
        }
    }
    Some(())
}

/// Reads `[-nh] [-it turns] [-ms milliseconds]`; gives the other words too.
fn histories(words: &[String]) -> (Histories, Vec<String>) {
    let mut histories = Histories::default();
    let mut others = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut length = || words.next().and_then(|it| it.parse().ok()).unwrap_or(0);
        match word.as_str() {
            "-nh" => histories.distributions = false,
            "-it" => histories.turns = length(),
            "-ms" => histories.millis = length(),
            _ => others.push(word.clone()),
        }
    }
    (histories, others)
}

/// Reads `[-pmd core] [-secs secs] [dp]`.
fn choice(switch: &Switch, words: &[String]) -> Result<Choice, String> {
    let (mut core, mut seconds, mut name) = (None, LONGEST, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-pmd" => core = words.next().and_then(|it| it.parse().ok()),
            "-secs" => {
                let asked = words.next().and_then(|it| it.parse().ok());
                seconds = asked.filter(|it| (1..=LONGEST).contains(it)).unwrap_or(LONGEST);
            }
            text => name = Some(text),
        }
    }
    // One datapath needs no name, and answers to any.
    let datapath = switch
        .datapath(name)
        .or_else(|_| switch.datapath(None))
        .map_err(|_| "please specify an existing datapath".to_owned())?;
    Ok(Choice { datapath, core, seconds })
}

/// The longest time that loads are shown for.
const LONGEST: u64 = 60;

fn machine_code(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("dpif-netdev/subtable-lookup-info-get", "", 0, 0, move |_| {
        Ok::<_, String>(own.show_kernels())
    });
    let own = Arc::clone(switch);
    registry.register_hidden("dpif-netdev/subtable-lookup-prio-get", "", 0, 0, move |_| {
        Ok::<_, String>(own.show_kernels())
    });
    let own = Arc::clone(switch);
    let name = "dpif-netdev/subtable-lookup-prio-set";
    registry.register(name, "[lookup_func] [prio]", 2, 2, move |request| {
        set_priority(&own, request.argument(0), request.argument(1))
    });
    let own = Arc::clone(switch);
    registry.register("dpif-netdev/miniflow-parser-get", "", 0, 0, move |_| {
        Ok::<_, String>(parsers(&own))
    });
    let own = Arc::clone(switch);
    let usage = "[-pmd core] miniflow_implementation_name [study_pkt_cnt]";
    registry.register("dpif-netdev/miniflow-parser-set", usage, 1, 5, move |request| {
        let done = set_parser(&own, request.arguments());
        match &done {
            Ok(text) => log::info!(target: "dpif_netdev", "{}", text.trim_end()),
            Err(text) => log::error!(target: "dpif_netdev", "{}", text.trim_end()),
        }
        done
    });
    let own = Arc::clone(switch);
    registry.register("dpif-netdev/dpif-impl-get", "", 0, 0, move |_| {
        let cores = cores(&own);
        Ok::<_, String>(format!("Available DPIF implementations:\n  dpif_scalar (pmds: {cores})\n"))
    });
    let usage = "dpif_implementation_name";
    registry.register("dpif-netdev/dpif-impl-set", usage, 1, 1, |request| {
        let name = request.argument(0);
        if name != "dpif_scalar" {
            let text =
                format!("DPIF implementation not available: Unknown DPIF implementation {name}.");
            log::error!(target: "dpif_netdev", "{text}");
            return Err(text + "\n");
        }
        log::info!(target: "dpif_netdev", "DPIF implementation set to {name}.");
        Ok(format!("DPIF implementation set to {name}.\n"))
    });
}

/// Actions are carried out by one implementation.
fn action_code(registry: &mut CommandRegistry) {
    registry.register("odp-execute/action-impl-show", "", 0, 0, |_| {
        Ok::<_, String>(
            "Available Actions implementations:\n  scalar (available: Yes, active: Yes)\n",
        )
    });
    registry.register("odp-execute/action-impl-set", "name", 1, 1, |request| {
        let name = request.argument(0);
        if name != "scalar" {
            log::error!(target: "odp_execute", "Failed setting action implementation to {name}");
            return Err(format!("Error: unknown action implementation, {name}, specified!\n"));
        }
        Ok("Action implementation set to scalar.\n")
    });
}

fn set_priority(switch: &Switch, name: &str, priority: &str) -> Result<String, String> {
    let Ok(priority) = priority.parse::<u8>() else {
        return Err("error converting priority, use integer in range 0-255\n".to_owned());
    };
    if Kernel::named(name).is_none() {
        log::warn!(
            target: "dpif_netdev_lookup",
            "Subtable function '{name}' not found, failed to set priority"
        );
        return Err("error, subtable lookup function not found\n".to_owned());
    }
    log::info!(
        target: "dpif_netdev_lookup",
        "Subtable function '{name}' set priority to {priority}"
    );
    let (ports, subtables) = switch.prefer_kernel(name, priority);
    let text =
        format!("Lookup priority change affected {ports} dpcls ports and {subtables} subtables.");
    log::info!(target: "dpif_netdev", "{text}");
    Ok(text + "\n")
}

/// Processors with a packet thread, as these commands list them.
fn cores(switch: &Switch) -> String {
    let cores = switch.datapaths().iter().flat_map(|it| it.netdev.cores()).collect::<Vec<_>>();
    list(&cores)
}

fn list(cores: &[u32]) -> String {
    if cores.is_empty() {
        return "none".to_owned();
    }
    cores.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn parsers(switch: &Switch) -> String {
    let chosen = switch.datapaths().first().map(|it| it.tuning().pipeline.parser);
    let mut text = "Available MFEX implementations:\n".to_owned();
    for (name, parser) in Parser::all() {
        let used = if parser.is_some() && chosen == parser { cores(switch) } else { list(&[]) };
        let there = if parser.is_some() { "True" } else { "False" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name} (available: {there} pmds: {used})");
    }
    text
}

fn set_parser(switch: &Switch, words: &[String]) -> Result<String, String> {
    let mut words = words.iter().map(String::as_str);
    let mut first = words.next().unwrap_or_default();
    let mut core = None;
    if first == "-pmd" {
        let Some(text) = words.next() else {
            return Err("Error: -pmd option requires a thread id argument.\n".to_owned());
        };
        core = text.parse::<u32>().ok();
        let known = core.is_some_and(|core| {
            switch.datapaths().iter().any(|it| it.netdev.cores().contains(&core))
        });
        if !known {
            return Err(format!(
                "Error: miniflow extract parser not changed, PMD thread {text} not in use, pass a \
                 valid pmd thread ID.\n"
            ));
        }
        first = words.next().ok_or("Error: no miniflow extract name provided.\n")?;
    }
    let Some((_, parser)) = Parser::all().find(|(name, _)| *name == first) else {
        if first == "study" {
            return Err(
                "Error: study is not supported: there is nothing to choose between.\n".into()
            );
        }
        return Err(format!("Error: unknown miniflow extract implementation {first}.\n"));
    };
    let parser = parser.ok_or_else(|| {
        format!("Error: miniflow extract implementation {first} needs another processor.\n")
    })?;
    if let Some(more) = words.next() {
        return Err(format!("Error: unknown argument {more}.\n"));
    }
    if let Some(core) = core {
        return Err(format!(
            "Error: one implementation serves all threads, PMD thread {core} cannot differ.\n"
        ));
    }
    for datapath in switch.datapaths() {
        datapath
            .change_pipeline(|settings| settings.parser = parser)
            .map_err(|error| format!("Error: {error}.\n"))?;
    }
    Ok(format!("Miniflow extract implementation set to {first}.\n"))
}
