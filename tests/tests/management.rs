//! One script of configuration and control commands, given to the reference and to our daemon: the
//! answers must be the same.

use std::path::Path;

use anyhow::{Context, Result};
use testkit::reference::{Reference, ReferenceError};

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
        other => anyhow::bail!("no tool {other}"),
    };
    let text = match done {
        Ok(text) => text,
        Err(ReferenceError::Process(error)) => format!("failed: {error}"),
        Err(other) => return Err(other.into()),
    };
    Ok(normal(&text, switch.folder(), switch.id()))
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

/// A word, unless it is the name of a row.
fn without_uuid(word: &str) -> &str {
    let bytes = word.as_bytes();
    let dashes = [8, 13, 18, 23].iter().all(|at| bytes.get(*at) == Some(&b'-'));
    if word.len() == 36 && dashes { "UUID" } else { word }
}

#[test]
fn configuration_and_control_commands_answer_as_the_reference_does() -> Result<()> {
    let script = include_str!("../scripts/management.txt");
    let commands = commands(script)?;
    assert!(commands.len() > 400, "{}", commands.len());
    let (reference, ours) = (Reference::start()?, Reference::start_ours()?);
    let mut differences = Vec::new();
    for command in &commands {
        let (wanted, found) = (answer(&reference, command)?, answer(&ours, command)?);
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
