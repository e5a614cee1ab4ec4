//! One script of configuration and control commands, given to the reference and to our daemon: the
//! answers must be the same.

use std::path::Path;

use anyhow::{Context, Result};
use testkit::reference::{Reference, ReferenceError, Setup};

/// The commands of the script, repetitions written out.
fn commands(script: &str) -> Result<Vec<String>> {
    let mut commands = Vec::new();
    for line in script.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#')) {
        match line.split_once("* ") {
            Some((count, command)) if count.bytes().all(|byte| byte.is_ascii_digit()) => {
                let count: u32 = count.parse().context(line.to_owned())?;
                commands.extend((1..=count).map(|n| command.replace('%', &n.to_string())));
            }
            _ => commands.push(line.to_owned()),
        }
    }
    Ok(commands)
}

/// What a switch answers; what differs from run to run is replaced.
fn answer(switch: &Reference, command: &str) -> Result<String> {
    let (tool, rest) = command.split_once(' ').with_context(|| command.to_owned())?;
    // The last word of a flow may hold no blank, so that blanks part the words.
    let words: Vec<&str> = rest.split_whitespace().collect();
    let done = match tool {
        "vsctl" => switch.vsctl(&words),
        "appctl" => switch.appctl(&words),
        "ofctl" => switch.ofctl(&words),
        "client" => switch.ovsdb_client(&words),
        other => anyhow::bail!("no tool {other}"),
    };
    let text = match done {
        Ok(text) => text,
        Err(ReferenceError::Process(error)) => format!("failed: {error}"),
        Err(other) => return Err(other.into()),
    };
    let text = normal(&text, switch.folder(), switch.id());
    if tool != "client" {
        return Ok(text);
    }
    // Lists of tables and columns come in the order of the tool's own hash table.
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    Ok(lines.join("\n"))
}

fn normal(text: &str, folder: &Path, id: u32) -> String {
    let text = text.replace(&folder.display().to_string(), "FOLDER");
    let text = text.replace(&format!(".{id}.ctl"), ".PID.ctl");
    // Old tools print an answer as it comes, and the reference leaves the last line's end out.
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|it| !it.is_empty()).collect();
    let lines: Vec<String> = lines
        .iter()
        .map(|line| match line.find("ovs-appctl: ") {
            Some(at) if at > 0 => format!("{}\n{}", &line[..at], &line[at..]),
            _ => (*line).to_owned(),
        })
        .collect();
    // Which token is wrong, and where, is told beyond what the reference tells; it has a test of its own.
    let more = |line: &str| line.starts_with('`') && line.contains("` at byte ");
    lines
        .iter()
        .filter(|line| !more(line))
        .map(|line| line.split(' ').map(without_uuid).collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A word without the names of rows in it.
fn without_uuid(word: &str) -> String {
    let is_uuid = |text: &str| {
        let dashes = [8, 13, 18, 23];
        text.bytes().enumerate().all(|(at, byte)| match dashes.contains(&at) {
            true => byte == b'-',
            false => byte.is_ascii_hexdigit(),
        })
    };
    let mut out = String::new();
    let mut rest = word;
    while let Some(next) = rest.chars().next() {
        match rest.get(..36).filter(|text| is_uuid(text)) {
            Some(_) => {
                out.push_str("UUID");
                rest = rest.get(36..).unwrap_or_default();
            }
            None => {
                out.push(next);
                rest = rest.get(next.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out
}

/// Gives a script to both, and says where they answer differently.
fn compare(reference: &Reference, ours: &Reference, script: &str, least: usize) -> Result<()> {
    let commands = commands(script)?;
    assert!(commands.len() > least, "{}", commands.len());
    let mut differences = Vec::new();
    for command in &commands {
        let (wanted, found) = (answer(reference, command)?, answer(ours, command)?);
        if wanted != found {
            differences.push(format!("$ {command}\nreference: {wanted}\nours:      {found}\n"));
        }
    }
    anyhow::ensure!(
        differences.is_empty(),
        "{} of {} answers differ\n{}",
        differences.len(),
        commands.len(),
        differences.join("\n")
    );
    Ok(())
}

const MANAGEMENT: &str = include_str!("../scripts/management.txt");

#[test]
fn configuration_and_control_commands_answer_as_the_reference_does() -> Result<()> {
    compare(&Reference::start()?, &Reference::start_ours()?, MANAGEMENT, 400)
}

#[test]
fn they_answer_so_with_the_database_inside_the_daemon_too() -> Result<()> {
    compare(&Reference::start()?, &Setup::embedded()?.start()?, MANAGEMENT, 400)
}

/// The database alone, in the words of its protocol.
#[test]
fn the_database_inside_the_daemon_answers_as_a_server_does() -> Result<()> {
    let script = include_str!("../scripts/database.txt");
    compare(&Reference::start()?, &Setup::embedded()?.start()?, script, 60)
}

/// The same scripts with the newer reference as the judge, its tools and its schema.
#[test]
fn the_newer_reference_answers_so_too() -> Result<()> {
    let ours = Setup::newer()?.daemon(testkit::daemon::built()?).start()?;
    compare(&Setup::newer()?.start()?, &ours, MANAGEMENT, 400)
}

#[test]
fn the_newer_reference_answers_as_the_daemon_with_the_database_inside() -> Result<()> {
    compare(&Setup::newer()?.start()?, &Setup::newer()?.and_embedded()?.start()?, MANAGEMENT, 400)
}

#[test]
fn the_newer_server_answers_as_the_database_inside_the_daemon() -> Result<()> {
    let script = include_str!("../scripts/database.txt");
    compare(&Setup::newer()?.start()?, &Setup::newer()?.and_embedded()?.start()?, script, 60)
}
