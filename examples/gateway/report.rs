//! The tables at the end: by port, by cache tier, by drop reason, by flow.

use std::fmt::Display;

use dp_core::boundary::Datapath;
use dp_netdev::datapath::Totals;
use dp_ofproto::text::RuleText;

use crate::switch::Switch;

/// Rows of text under headings; numbers stand to the right.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    fn row(&mut self, cells: &[&dyn Display]) {
        self.rows.push(cells.iter().map(ToString::to_string).collect());
    }

    fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().map(|row| cell(row, column).chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, &width) in widths.iter().enumerate() {
                let text = cell(row, column);
                let number = text.starts_with(|first: char| first.is_ascii_digit());
                let heading_of_numbers = std::ptr::eq(row, &raw const self.rows[0])
                    && self.rows.get(1).is_some_and(|row| {
                        cell(row, column).starts_with(|first: char| first.is_ascii_digit())
                    });
                if number || heading_of_numbers {
                    line.push_str(&format!("{text:>width$}  "));
                } else {
                    line.push_str(&format!("{text:<width$}  "));
                }
            }
            println!("{}", line.trim_end());
        }
    }
}

/// A share in percent.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    format!("{:.2} %", part as f64 * 100.0 / whole as f64)
}

/// Prints all tables.
pub(crate) fn print(switch: &Switch, flows: bool) {
    ports(switch);
    let totals = switch.netdev.totals();
    tiers(&totals);
    drops(&totals);
    if flows {
        rules(switch);
    }
}

fn ports(switch: &Switch) {
    println!("\nPorts");
    let mut table = Table::new(&[
        "port",
        "name",
        "kind",
        "rx packets",
        "rx bytes",
        "rx lost",
        "tx packets",
        "tx bytes",
        "tx lost",
    ]);
    for info in switch.netdev.ports() {
        let stats = info.stats;
        table.row(&[
            &info.port,
            &info.name,
            &info.kind,
            &stats.rx_packets,
            &stats.rx_bytes,
            &stats.rx_dropped,
            &stats.tx_packets,
            &stats.tx_bytes,
            &stats.tx_dropped,
        ]);
    }
    table.print();
}

fn tiers(totals: &Totals) {
    println!("\nWhere packets found their actions");
    let passes = totals.emc_hits + totals.megaflow_hits + totals.upcalls + totals.upcalls_failed;
    let mut table = Table::new(&["tier", "packets", "share"]);
    for (tier, packets) in [
        ("exact-match cache", totals.emc_hits),
        ("megaflow table", totals.megaflow_hits),
        ("flow tables (upcall)", totals.upcalls),
        ("nowhere", totals.upcalls_failed),
    ] {
        table.row(&[&tier, &packets, &share(packets, passes)]);
    }
    table.print();
    println!(
        "{} megaflows with {} masks installed now, {} in all",
        totals.flows, totals.masks, totals.installed
    );
}

fn drops(totals: &Totals) {
    println!("\nDropped packets");
    let mut table = Table::new(&["reason", "packets", "meaning"]);
    for &(reason, packets) in totals.drops.iter().filter(|(_, packets)| *packets != 0) {
        table.row(&[&reason.name(), &packets, &reason.meaning()]);
    }
    if totals.dropped_in_all() == 0 {
        println!("none");
    } else {
        table.print();
    }
    if totals.malformed_forwarded != 0 {
        println!("{} malformed packets were forwarded nevertheless", totals.malformed_forwarded);
    }
}

fn rules(switch: &Switch) {
    println!("\nFlows");
    let tables = switch.bridge.tables().snapshot();
    let mut rules: Vec<_> = tables.rules().collect();
    rules.sort_by_key(|rule| (rule.table(), std::cmp::Reverse(rule.priority()), rule.id()));
    for rule in rules {
        println!("{}", RuleText { rule, now: Some(switch.now()), names: &switch.names });
    }
}
