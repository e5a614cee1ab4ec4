//! `Open_vSwitch.statistics`: the machine that the switch runs on, where `enable-statistics` asks for
//! it.

use std::fs;
use std::time::Instant;

/// The machine's figures, by the names of the database; what the system does not tell is left out.
pub(super) fn collect(program: &str, started: Instant) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            out.push((key.to_owned(), value));
        }
    };
    put("cpu", std::thread::available_parallelism().ok().map(|it| it.to_string()));
    put("load_average", fs::read_to_string("/proc/loadavg").ok().and_then(|it| load(&it)));
    put("memory", fs::read_to_string("/proc/meminfo").ok().and_then(|it| memory(&it)));
    let status = fs::read_to_string("/proc/self/status").ok();
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let process = status.zip(stat).and_then(|(status, stat)| process(&status, &stat, started));
    put(&format!("process_{program}"), process);
    out
}

/// The three averages, comma-separated.
fn load(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().take(3).collect();
    (words.len() == 3).then(|| words.join(","))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Total, in use, in use with buffers and caches, swap total and in use, in KiB.
fn memory(text: &str) -> Option<String> {
    let get = |name| field(text, name);
    let (total, free) = (get("MemTotal")?, get("MemFree")?);
    let cached = get("Buffers").unwrap_or(0) + get("Cached").unwrap_or(0);
    let used = total.saturating_sub(free);
    let (swap, swap_free) = (get("SwapTotal").unwrap_or(0), get("SwapFree").unwrap_or(0));
    let own = used.saturating_sub(cached);
    Some(format!("{total},{own},{used},{swap},{}", swap.saturating_sub(swap_free)))
}

/// Virtual size and resident size in KiB, CPU time in ms, crashes, and how long it has run, in ms,
/// since it was first started and since it last was.
fn process(status: &str, stat: &str, started: Instant) -> Option<String> {
    let (size, resident) = (field(status, "VmSize")?, field(status, "VmRSS")?);
    let after_name = stat.rsplit_once(')')?.1;
    let words: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| words.get(at)?.parse::<u64>().ok();
    // Fields 14 and 15 of the line, counted behind the name; a hundred ticks a second.
    let cpu = (ticks(11)? + ticks(12)?) * 10;
    let up = started.elapsed().as_millis();
    Some(format!("{size},{resident},{cpu},0,{up},{up}"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{collect, load, memory};

    #[test]
    fn figures_are_read_from_what_the_kernel_tells() {
        assert_eq!(load("0.10 0.20 0.30 1/2 3").as_deref(), Some("0.10,0.20,0.30"));
        let text = "MemTotal: 100 kB\nMemFree: 40 kB\nBuffers: 5 kB\nCached: 15 kB\n\
                    SwapTotal: 10 kB\nSwapFree: 9 kB\n";
        assert_eq!(memory(text).as_deref(), Some("100,40,60,10,1"));
        let all = collect("x", Instant::now());
        assert!(all.iter().any(|(key, _)| key == "process_x"), "{all:?}");
    }
}
