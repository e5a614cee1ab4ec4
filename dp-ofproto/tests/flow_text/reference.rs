//! Flow text against the installed `ovs-ofctl`: what we print for a flow is what it prints, and
//! what it refuses we refuse.
//!
//! The tool sends each flow through a version of OpenFlow before it prints it. Some actions change
//! their spelling on that way, so each version is asked only about what it carries as it is.

use std::process::{Command, Output};

use dp_ofproto::table::{Command as FlowCommand, FlowMod, Tables};
use dp_ofproto::text::{ActionsText, MatchText, NumbersOnly, parse_flow};

use crate::random::{For, Random, Spelling, random_actions, random_match};

const TOOL: &str = "ovs-ofctl";

fn tool(arguments: &[&str]) -> Output {
    Command::new(TOOL).args(arguments).output().unwrap_or_else(|error| {
        panic!("cannot run {TOOL} ({error}); Debian has it in the package openvswitch-switch")
    })
}

/// What the tool makes of flows, one a line.
fn asked(name: &str, options: &[&str], lines: &[String]) -> Vec<String> {
    let path = std::env::temp_dir().join(format!("dp-flow-text-{}-{name}", std::process::id()));
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let mut arguments = options.to_vec();
    arguments.extend(["parse-flows", path.to_str().unwrap()]);
    let output = tool(&arguments);
    std::fs::remove_file(&path).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let at = errors.split(':').find_map(|part| part.parse::<usize>().ok());
    let line = at.and_then(|at| lines.get(at.wrapping_sub(1)));
    let clean = output.status.success() && errors.is_empty();
    assert!(clean, "{TOOL} {options:?}: {errors}\n  about {line:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| Some(line.split_once("): ADD ").or(line.split_once("): "))?.1))
        // What it says when no table was named.
        .map(|line| line.strip_prefix("table:255 ").unwrap_or(line).to_owned())
        .collect()
}

/// A flow as the tool prints it inside a message.
fn message(flow: &FlowMod) -> String {
    let table = flow.table.filter(|&table| table != 0);
    let table = table.map(|table| format!("table:{table} ")).unwrap_or_default();
    let matching = MatchText { matching: &flow.matching, names: &NumbersOnly }.to_string();
    let priority = match flow.priority {
        FlowMod::DEFAULT_PRIORITY => String::new(),
        priority => format!("priority={priority}"),
    };
    let comma = if priority.is_empty() || matching.is_empty() { "" } else { "," };
    let space = if priority.is_empty() && matching.is_empty() { "" } else { " " };
    let actions = ActionsText { actions: &flow.actions, names: &NumbersOnly };
    format!("{table}{priority}{comma}{matching}{space}actions={actions}")
}

/// A flow as a line for the tool to read.
fn line(flow: &FlowMod) -> String {
    match message(flow).strip_prefix("table:") {
        Some(rest) => format!("table={rest}"),
        None => message(flow),
    }
}

fn parsed(line: &str) -> FlowMod {
    parse_flow(line, FlowCommand::Add, &NumbersOnly)
        .unwrap_or_else(|error| panic!("{error}\n  in {line}"))
}

fn compare(name: &str, options: &[&str], lines: &[String]) {
    let answers = asked(name, options, lines);
    assert_eq!(answers.len(), lines.len(), "one answer a line");
    let mut differences = Vec::new();
    for (line, answer) in lines.iter().zip(answers) {
        let ours = message(&parsed(line));
        if ours != answer {
            differences.push(format!("read    {line}\n  ours   {ours}\n  theirs {answer}"));
        }
        // And what it prints we read as the same flow.
        let again =
            parse_flow(&answer.replacen("table:", "table=", 1), FlowCommand::Add, &NumbersOnly);
        if again.as_ref() != Ok(&parsed(line)) {
            differences
                .push(format!("read    {line}\n  theirs {answer}\n  means something else to us"));
        }
    }
    let count = differences.len();
    let shown = differences.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{count} differences:\n{shown}");
}

const NXM: &[&str] = &["-F", "NXM+table_id"];
const OF15: &[&str] = &["-O", "OpenFlow15"];

#[test]
fn written_flows_print_alike() {
    for (file, options, text) in
        [("nxm", NXM, include_str!("nxm.txt")), ("of15", OF15, include_str!("of15.txt"))]
    {
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(str::to_owned)
            .collect();
        assert!(lines.len() > 20);
        compare(file, options, &lines);
    }
}

#[test]
fn random_flows_print_alike() {
    for (name, options, wanted, spelling, seed) in [
        ("random-nxm", NXM, For::Reference, Spelling::OpenFlow10, 11),
        ("random-of15", OF15, For::Reference15, Spelling::OpenFlow15, 12),
    ] {
        let mut random = Random(seed);
        let lines: Vec<_> = (0..600)
            .map(|_| {
                let matching = random_match(&mut random, wanted);
                let actions = random_actions(&mut random, &matching, spelling);
                let priority = [0, 5, FlowMod::DEFAULT_PRIORITY, 65535][random.below(4)];
                line(&FlowMod::add(0, priority, matching, actions))
            })
            .collect();
        compare(name, options, &lines);
    }
}

#[test]
fn what_the_tool_refuses_we_refuse() {
    let text = include_str!("refused.txt");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.len() > 40);
    for line in lines {
        let output = tool(&["-O", "OpenFlow15", "parse-flow", line]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            !output.status.success() || said.contains("decode error"),
            "the tool accepts {line}: {said}"
        );
        let error = parse_flow(line, FlowCommand::Add, &NumbersOnly);
        assert!(error.is_err(), "we accept {line}");
    }
}

/// A rule that was added prints as the flow it came from.
#[test]
fn a_table_gives_back_what_was_put_in() {
    let tables = Tables::default();
    for line in include_str!("nxm.txt").lines().filter(|line| line.contains("actions=")) {
        let flow = parsed(line);
        tables.apply(&flow, Default::default()).unwrap_or_else(|error| panic!("{error}: {line}"));
        let set = tables.snapshot();
        let rule = set.table(flow.table.unwrap_or(0)).unwrap().get(&flow.matching, flow.priority);
        assert_eq!(rule.unwrap().actions()[..], flow.actions[..]);
    }
}
