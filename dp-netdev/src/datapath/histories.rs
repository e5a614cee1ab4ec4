//! The texts of `dpif-netdev/pmd-perf-show` about single turns: distributions and histories.

use std::fmt::Write as _;

use crate::pmd::perf::{Histogram, Record, Sample};
use crate::pmd::suspect::Report;

/// What is to be shown of a thread's turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histories {
    /// The distributions.
    pub distributions: bool,
    /// How many of the last turns.
    pub turns: usize,
    /// How many of the last milliseconds.
    pub millis: usize,
}

impl Default for Histories {
    fn default() -> Self {
        Self { distributions: true, turns: 0, millis: 0 }
    }
}

/// A quotient of whole numbers; 0 of nothing.
fn each(part: u64, whole: u64) -> u64 {
    part.checked_div(whole).unwrap_or(0)
}

/// Shows what was asked for.
pub(super) fn show(text: &mut String, record: &Record, what: Histories) {
    if what.distributions {
        text.push('\n');
        distributions(text, record);
    }
    if what.turns != 0 {
        text.push('\n');
        turns(text, record, what.turns);
    }
    if what.millis != 0 {
        text.push('\n');
        millis(text, record, what.millis);
    }
}

fn distributions(text: &mut String, record: &Record) {
    let columns: [(&str, &Histogram); 7] = [
        ("cycles/it", &record.cycles),
        ("packets/it", &record.packets),
        ("cycles/pkt", &record.cycles_per_packet),
        ("pkts/batch", &record.packets_per_batch),
        ("max vhost qlen", &record.guest_ring),
        ("upcalls/it", &record.upcalls),
        ("cycles/upcall", &record.cycles_per_upcall),
    ];
    let _ = writeln!(text, "Histograms\n{}", row(columns.map(|(name, _)| name.to_owned())));
    for bin in 0..record.cycles.counts.len() {
        let cells = columns.map(|(_, histogram)| {
            let wall = histogram.walls.get(bin).map_or(">".to_owned(), u64::to_string);
            format!("{wall:<9} {:<11}", histogram.counts[bin])
        });
        let _ = writeln!(text, "{}", row(cells));
    }
    let _ = writeln!(text, "{}", "-".repeat(154));
    let names = columns.map(|(name, _)| name.trim_start_matches("max ").to_owned());
    let _ = writeln!(text, "{}", row(names));
    let total = &record.total;
    let mean = |part: u64, whole: u64| match whole {
        0 => "0.00000".to_owned(),
        _ => format!("{:.5}", part as f64 / whole as f64),
    };
    let cells = [
        each(total.cycles, total.turns).to_string(),
        mean(total.packets, total.turns),
        each(total.cycles, total.packets).to_string(),
        mean(total.packets, total.batches),
        mean(total.guest_ring, 1),
        mean(total.upcalls, total.turns),
        each(total.upcall_cycles, total.upcalls).to_string(),
    ];
    let _ = writeln!(text, "{}", row(cells));
}

fn row(cells: [String; 7]) -> String {
    let cells = cells.map(|cell| format!("{cell:<21}"));
    format!("   {}", cells.join("  "))
}

/// The columns that both histories have, from cycles a packet on.
fn shares(sample: &Sample) -> String {
    let cells = [
        each(sample.cycles, sample.packets),
        each(sample.packets, sample.batches),
        sample.guest_ring,
        sample.upcalls,
        each(sample.upcall_cycles, sample.upcalls),
    ];
    cells.map(|cell| format!("{cell:<11}")).join("  ")
}

fn turns(text: &mut String, record: &Record, count: usize) {
    rows(text, record.turns.iter().rev().take(count));
}

/// A suspicious turn of the thread of this name, and those around it.
pub(super) fn suspicious(thread: &str, report: &Report) -> [String; 2] {
    let Report { why, number, micros, turns } = report;
    let first =
        format!("{thread}: Suspicious iteration ({why}): iter={number} duration={micros} us");
    let mut second = format!("{thread}: Neighborhood of suspicious iteration:\n");
    rows(&mut second, turns.iter().rev());
    [first, second]
}

fn rows<'a>(text: &mut String, turns: impl Iterator<Item = &'a Sample>) {
    let _ = writeln!(
        text,
        "   {:<18}  {:<11}  {:<11}  {:<11}  {:<11}  {:<11}  {:<11}  cycles/upcall",
        "iter", "cycles", "packets", "cycles/pkt", "pkts/batch", "vhost qlen", "upcalls"
    );
    for turn in turns {
        let Sample { number, cycles, packets, .. } = turn;
        let shares = shares(turn);
        let _ = writeln!(text, "   {number:<18}  {cycles:<11}  {packets:<11}  {shares}");
    }
}

fn millis(text: &mut String, record: &Record, count: usize) {
    let _ = writeln!(
        text,
        "   {:<13}  {:<11}  {:<11}  {:<11}  {:<11}  {:<11}  {:<11}  {:<11}  cycles/upcall",
        "ms",
        "iterations",
        "cycles/it",
        "Kpps",
        "cycles/pkt",
        "pkts/batch",
        "vhost qlen",
        "upcalls"
    );
    for milli in record.millis.iter().rev().take(count) {
        // Packets a millisecond are thousands a second.
        let Sample { number, turns, packets, .. } = milli;
        let (cycles, shares) = (each(milli.cycles, *turns), shares(milli));
        let _ =
            writeln!(text, "   {number:<13}  {turns:<11}  {cycles:<11}  {packets:<11}  {shares}");
    }
}
