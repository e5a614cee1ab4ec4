//! `ovs-fields(7)` as the reference's package has it, read for its rows.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The manual's source.
///
/// # Errors
///
/// If it is not there, or is no compressed text.
pub fn source(path: &Path) -> Result<String> {
    let output = Command::new("gzip").arg("--decompress").arg("--stdout").arg(path).output()?;
    ensure!(output.status.success(), "{}: {}", path.display(), output.status);
    String::from_utf8(output.stdout).context("a manual in UTF-8")
}

/// Every field that a summary names, the members of families too.
#[must_use]
pub fn names(source: &str) -> Vec<String> {
    let rows = source.lines().map(plain).filter(|line| line.matches(';').count() == 5);
    let names = rows.filter_map(|line| Some(line.split_once(';')?.0.to_owned()));
    let names = names.filter_map(|name| Some(name.split(" aka ").next()?.to_owned()));
    names.filter(|name| name != "Name" && name != "\\_").collect()
}

/// The tables of fields: name | alias | width | masks | prerequisites | access | numbers.
///
/// # Errors
///
/// If a table is not as they all are.
pub fn rows(source: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let mut lines = source.lines().map(plain);
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("Name:;") else { continue };
        let table: Vec<String> = lines.by_ref().take_while(|line| line != ".TE").collect();
        let says = |what: &str| {
            let said = table.iter().find_map(|line| line.strip_prefix(what)?.strip_prefix(":;"));
            said.with_context(|| format!("{name}: no {what}"))
        };
        let (name, alias) = match name.split_once(" (aka ") {
            Some((name, alias)) => (name, alias.trim_end_matches(')')),
            None => (name, "-"),
        };
        let masks = match says("Masking")? {
            "arbitrary bitwise masks" => "bits",
            "not maskable" => "exact",
            other => other,
        };
        let access = match says("Access")? {
            "read/write" => "rw",
            "read-only" => "r",
            other => other,
        };
        let mut numbers = Vec::new();
        for line in table.iter().filter(|line| line.contains(" since ")) {
            for number in line.split("\\[char59] ") {
                let (number, _) = number.split_once(" since ").context("since when")?;
                numbers.push(number.replace(['(', ')'], ""));
            }
        }
        out.push(format!(
            "{name} | {alias} | {} | {masks} | {} | {access} | {}",
            width(says("Width")?)?,
            says("Prerequisites")?,
            numbers.join("; ")
        ));
    }
    Ok(out)
}

/// `8`, or `8:3` of which three bits count.
fn width(said: &str) -> Result<String> {
    let (bits, rest) = said.split_once(" bits").context("bits")?;
    let narrow = rest.trim().strip_prefix("(only the least-significant ");
    Ok(match narrow.and_then(|rest| rest.split_once(' ')) {
        Some((narrow, _)) => format!("{bits}:{narrow}"),
        None => bits.to_owned(),
    })
}

/// A line without its fonts.
fn plain(line: &str) -> String {
    line.replace("\\fB", "").replace("\\fR", "")
}
