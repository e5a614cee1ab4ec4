//! What packet threads do, as operators read it: the texts of the `dpif-netdev/pmd-…` commands.
//!
//! Threads that have a processor come by processor; the main thread, where it is shown at all,
//! comes last.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant as Wall;

use super::histories::{self, Histories};
use super::ports::{Entry, RxShare};
use super::stats::Totals;
use super::worker::{Cleared, Place, Worker};
use super::{Netdev, lock};
use crate::pmd::counters::{INTERVAL, INTERVALS};
use crate::pmd::suspect::Suspicion;
use crate::system::cycles_per_second;

impl Netdev {
    /// Which thread serves which receive queue, and the share of its cycles that each took in the
    /// last `seconds`, of the thread on processor `core` or of all.
    #[must_use]
    pub fn show_rx_queues(&self, seconds: u64, core: Option<u32>) -> String {
        let step = INTERVAL.as_secs();
        let count = seconds.div_ceil(step).clamp(1, INTERVALS as u64);
        let mut text = format!("Displaying last {} seconds pmd usage %\n", count * step);
        let count = usize::try_from(count).unwrap_or(INTERVALS);
        let ports = lock(&self.ports);
        let isolated = lock(&self.scheduling).isolated.clone();
        for worker in self.workers() {
            let Place::Core { core: own, numa, .. } = worker.place else { continue };
            if core.is_some_and(|core| core != own) {
                continue;
            }
            let alone = isolated.contains(&own);
            let _ =
                writeln!(text, "pmd thread numa_id {numa} core_id {own}:\n  isolated : {alone}");
            let mut served: Vec<(&Entry, &RxShare)> = ports
                .values()
                .flat_map(|entry| entry.rx.iter().map(move |share| (entry, share)))
                .filter(|(_, share)| share.thread == Some(worker.id))
                .collect();
            served.sort_by_key(|(entry, share)| (entry.port.name(), share.number));
            let all = worker.turns.window.sum(count);
            let percent = |part: u64| match (part * 100).checked_div(all) {
                Some(percent) => format!("{percent:2} %"),
                None => "NOT AVAIL".to_owned(),
            };
            let mut taken = 0;
            for (entry, share) in &served {
                let cycles = share.counters.window.sum(count);
                taken += cycles;
                let (name, number) = (entry.port.name(), share.number);
                let usage = percent(cycles);
                let _ = writeln!(
                    text,
                    "  port: {name:<16}  queue-id: {number:2} (enabled)   pmd usage: {usage}"
                );
            }
            if !served.is_empty() {
                let over = worker.turns.busy_window.sum(count).saturating_sub(taken);
                let _ = writeln!(text, "  overhead: {}", percent(over));
            }
        }
        text
    }

    /// What the threads have counted, of the thread on processor `core` or of all.
    #[must_use]
    pub fn show_stats(&self, core: Option<u32>) -> String {
        let mut text = String::new();
        for (worker, since) in self.counted(core) {
            let _ = writeln!(text, "{}:", heading(worker.place));
            stats(&mut text, &since);
            if worker.place != Place::Any {
                cycles(&mut text, &since);
            }
        }
        text
    }

    /// Counts from zero again, where statistics are shown.
    pub fn clear_stats(&self, core: Option<u32>) {
        for worker in self.workers() {
            if core.is_none() || worker.place.core() == core {
                *lock(&worker.cleared) = Cleared::now(&worker.pipeline, &worker.turns);
                worker.turns.perf.clear();
            }
        }
    }

    /// How the threads with a processor have performed since statistics were cleared. `time` is the
    /// time of day; `histories` are shown where single turns are noted.
    #[must_use]
    pub fn show_performance(&self, core: Option<u32>, time: &str, histories: Histories) -> String {
        let mut text = String::new();
        for (worker, since) in self.counted(core) {
            if worker.place == Place::Any {
                continue;
            }
            let started = lock(&worker.cleared).at;
            let seconds = started.map_or(0.0, |at| Wall::now().duration_since(at).as_secs_f64());
            let head = heading(worker.place);
            let _ =
                writeln!(text, "\nTime: {time}\nMeasurement duration: {seconds:.3} s\n\n{head}:\n");
            performance(&mut text, &since, seconds);
            if worker.turns.perf.is_on() {
                let record = worker.turns.perf.record().clone();
                histories::show(&mut text, &record, histories);
            }
        }
        text
    }

    /// Which turns of threads are told of.
    #[must_use]
    pub fn suspicion(&self) -> Suspicion {
        *lock(&self.suspicion)
    }

    /// Says which turns of threads are to be told of, where turns are noted at all.
    pub fn set_suspicion(&self, suspicion: Suspicion) {
        let suspicion = suspicion.bounded();
        *lock(&self.suspicion) = suspicion;
        for worker in self.workers() {
            worker.turns.perf.watch().set(suspicion);
        }
    }

    /// What is to be logged of suspicious turns: a sentence each, and the turns around.
    #[must_use]
    pub fn take_suspicious(&self) -> Vec<[String; 2]> {
        let mut told = Vec::new();
        for worker in self.workers() {
            let Some(core) = worker.place.core() else { continue };
            let (reports, now) = worker.turns.perf.watch().take();
            let thread = format!("pmd-c{core:02}");
            told.extend(reports.iter().map(|report| histories::suspicious(&thread, report)));
            // A thread that had too much to tell has gone back to the usual.
            if !reports.is_empty() {
                *lock(&self.suspicion) = now;
            }
        }
        told
    }

    /// How long threads may nap.
    #[must_use]
    pub fn show_sleeps(&self) -> String {
        let default = self.schedule().map_or(0, |schedule| schedule.max_sleep);
        let mut text = format!("Default max sleep: {default:4} us\n");
        for worker in self.workers() {
            if worker.place != Place::Any {
                let nap = worker.naps.load(std::sync::atomic::Ordering::Relaxed);
                let _ = writeln!(text, "{}:\n  max sleep: {nap:4} us", heading(worker.place));
            }
        }
        text
    }

    /// The processors that have a packet thread, ascending.
    #[must_use]
    pub fn cores(&self) -> Vec<u32> {
        self.workers().iter().filter_map(|worker| worker.place.core()).collect()
    }

    /// Threads in the order they are shown, each with what it has counted since it was cleared.
    fn counted(&self, core: Option<u32>) -> Vec<(Arc<Worker>, Cleared)> {
        let mut workers = self.workers();
        workers.sort_by_key(|worker| (worker.place == Place::Any, worker.id));
        workers.retain(|worker| core.is_none() || worker.place.core() == core);
        let since = |worker: Arc<Worker>| {
            let mut now = Cleared::now(&worker.pipeline, &worker.turns);
            now.subtract(&lock(&worker.cleared));
            (worker, now)
        };
        workers.into_iter().map(since).collect()
    }
}

/// How a thread is called.
#[must_use]
pub fn heading(place: Place) -> String {
    match place {
        Place::Any => "main thread".to_owned(),
        Place::Core { core, numa, .. } => format!("pmd thread numa_id {numa} core_id {core}"),
    }
}

impl Cleared {
    fn subtract(&mut self, base: &Self) {
        self.totals.subtract(&base.totals);
        let pairs = [
            (&mut self.turns, base.turns),
            (&mut self.busy_turns, base.busy_turns),
            (&mut self.naps, base.naps),
            (&mut self.nap_micros, base.nap_micros),
            (&mut self.busy_cycles, base.busy_cycles),
            (&mut self.idle_cycles, base.idle_cycles),
            (&mut self.upcall_cycles, base.upcall_cycles),
            (&mut self.sent, base.sent),
            (&mut self.batches, base.batches),
        ];
        for (value, base) in pairs {
            *value = value.saturating_sub(base);
        }
    }
}

/// A ratio; zero of nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    // Counts are far below 2^52; beyond, the last digits of a quotient do not matter.
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn passes(totals: &Totals) -> u64 {
    totals.received + totals.recirculated
}

fn stats(text: &mut String, since: &Cleared) {
    let totals = &since.totals;
    let _ = write!(
        text,
        "  packets received: {}\n  packet recirculations: {}\n  \
         avg. datapath passes per packet: {:.2}\n  phwol hits: 0\n  mfex opt hits: {}\n  \
         simple match hits: {}\n  emc hits: {}\n  smc hits: {}\n  megaflow hits: {}\n  \
         avg. subtable lookups per megaflow hit: {:.2}\n  miss with success upcall: {}\n  \
         miss with failed upcall: {}\n  avg. packets per output batch: {:.2}\n",
        totals.received,
        totals.recirculated,
        ratio(passes(totals), totals.received),
        totals.vector_parsed,
        totals.simple_hits,
        totals.emc_hits,
        totals.smc_hits,
        totals.megaflow_hits,
        ratio(totals.masks_probed, totals.megaflow_hits),
        totals.upcalls,
        totals.upcalls_failed,
        ratio(since.sent, since.batches),
    );
}

fn cycles(text: &mut String, since: &Cleared) {
    let (idle, busy) = (since.idle_cycles, since.busy_cycles);
    let all = idle + busy;
    if all == 0 {
        return;
    }
    let _ = writeln!(text, "  idle cycles: {idle} ({:.2}%)", ratio(idle, all) * 100.0);
    let _ = writeln!(text, "  processing cycles: {busy} ({:.2}%)", ratio(busy, all) * 100.0);
    let packets = since.totals.received;
    if packets == 0 {
        return;
    }
    let each = ratio(all, packets);
    let _ = writeln!(text, "  avg cycles per packet: {each:.2} ({all}/{packets})");
    let each = ratio(busy, packets);
    let _ = writeln!(text, "  avg processing cycles per packet: {each:.2} ({busy}/{packets})");
}

fn performance(text: &mut String, since: &Cleared, seconds: f64) {
    let rate = cycles_per_second() as f64;
    let micros = |cycles: f64| cycles * 1e6 / rate;
    let all = since.idle_cycles + since.busy_cycles;
    let mut line = |label: &str, value: u64, rest: &str| {
        let rest = if rest.is_empty() { String::new() } else { format!("  ({rest})") };
        let _ = writeln!(text, "  {label:<20}{value:>12}{rest}");
    };
    let turns = since.turns;
    line("Iterations:", turns, &format!("{:.2} us/it", micros(ratio(all, turns))));
    let used = if seconds > 0.0 { all as f64 * 100.0 / (seconds * rate) } else { 0.0 };
    line("- Used TSC cycles:", all, &format!("{used:5.1} % of total cycles"));
    let share = |part| ratio(part, all) * 100.0;
    let idle = turns.saturating_sub(since.busy_turns);
    let text_of = |part| format!("{:5.1} % of used cycles", share(part));
    line("- idle iterations:", idle, &text_of(since.idle_cycles));
    line("- busy iterations:", since.busy_turns, &text_of(since.busy_cycles));
    let naps = ratio(since.naps, turns) * 100.0;
    line("- sleep iterations:", since.naps, &format!("{naps:5.1} % of iterations"));
    let nap = ratio(since.nap_micros, turns);
    line("Sleep time (us):", since.nap_micros, &format!("{nap:3.0} us/iteration avg."));
    let totals = &since.totals;
    let kpps = |packets: u64| if seconds > 0.0 { packets as f64 / seconds / 1000.0 } else { 0.0 };
    if totals.received == 0 {
        line("Rx packets:", 0, "");
    } else {
        let received = totals.received;
        let each = ratio(since.busy_cycles, received);
        line("Rx packets:", received, &format!("{:.0} Kpps, {each:.0} cycles/pkt", kpps(received)));
        let passes = passes(totals);
        let each = ratio(passes, received);
        line("Datapath passes:", passes, &format!("{each:.2} passes/pkt"));
        let share = |hits: u64| format!("{:5.1} %", ratio(hits, passes) * 100.0);
        line("- PHWOL hits:", 0, &share(0));
        line("- MFEX Opt hits:", totals.vector_parsed, &share(totals.vector_parsed));
        line("- Simple Match hits:", totals.simple_hits, &share(totals.simple_hits));
        line("- EMC hits:", totals.emc_hits, &share(totals.emc_hits));
        line("- SMC hits:", totals.smc_hits, &share(totals.smc_hits));
        let each = ratio(totals.masks_probed, totals.megaflow_hits);
        let hits = totals.megaflow_hits;
        line("- Megaflow hits:", hits, &format!("{}, {each:.2} subtbl lookups/hit", share(hits)));
        let asked = totals.upcalls + totals.upcalls_failed;
        let each = micros(ratio(since.upcall_cycles, asked));
        line("- Upcalls:", asked, &format!("{}, {each:.1} us/upcall", share(asked)));
        let lost = totals.upcalls_failed;
        line("- Lost upcalls:", lost, &share(lost));
    }
    if since.sent == 0 {
        line("Tx packets:", 0, "");
        text.push('\n');
    } else {
        line("Tx packets:", since.sent, &format!("{:.0} Kpps", kpps(since.sent)));
        let each = ratio(since.sent, since.batches);
        line("Tx batches:", since.batches, &format!("{each:.2} pkts/batch"));
    }
}
