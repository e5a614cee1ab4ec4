//! Whole flow lines and files, and the lines of a dump.
//!
//! ```text
//!   table=0,priority=5,ip,nw_dst=10.0.0.0/8 actions=output:2     # a comment
//!   delete table=3                                               # files may name the command
//! ```

use std::fmt;
use std::sync::Arc;

use dp_core::base::{Instant, OfPort};

use super::action_parse::{number8, parse_for_rule};
use super::action_print::ActionsText;
use super::error::{Problem, TextError};
use super::match_print::MatchText;
use super::matching::MatchItems;
use super::names::{PortNames, parse_port, port_text};
use super::piece::{Form, Item, Piece};
use super::value::{number16, number64};
use super::value_print::Hex;
use crate::table::{Command, FlowMod, Rule, RuleFlags};

/// Reads one flow.
///
/// # Errors
///
/// What is wrong, and where in the line.
pub fn parse_flow(
    text: &str,
    command: Command,
    names: &dyn PortNames,
) -> Result<FlowMod, TextError> {
    parse_piece(Piece::line(text), command, names)
}

/// Reads a whole file: a flow a line, comments after `#`, blank lines, white space around. A line
/// may start with its command: `add` (which is implied), `modify`, `modify_strict`, `delete`,
/// `delete_strict`.
///
/// # Errors
///
/// The first fault, with the name of the file and the line.
pub fn parse_file(
    file: &str,
    text: &str,
    names: &dyn PortNames,
) -> Result<Vec<FlowMod>, TextError> {
    let mut flows = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split_once('#').map_or(line, |(line, _)| line);
        let piece = Piece::line(line).trim();
        if piece.is_empty() {
            continue;
        }
        let flow = parse_file_line(piece, names).map_err(|error| TextError {
            file: Some(Arc::from(file)),
            line: Some(at + 1),
            ..error
        })?;
        flows.push(flow);
    }
    Ok(flows)
}

fn parse_file_line(piece: Piece<'_>, names: &dyn PortNames) -> Result<FlowMod, TextError> {
    let mut rest = piece;
    let command = match rest.next_item()?.map(|item| (item.key.text, item.value.is_some())) {
        Some(("add", false)) => Some(Command::Add),
        Some(("modify", false)) => Some(Command::Modify),
        Some(("modify_strict", false)) => Some(Command::ModifyStrict),
        Some(("delete", false)) => Some(Command::Delete),
        Some(("delete_strict", false)) => Some(Command::DeleteStrict),
        _ => None,
    };
    match command {
        Some(command) => parse_piece(rest, command, names),
        None => parse_piece(piece, Command::Add, names),
    }
}

fn parse_piece(
    line: Piece<'_>,
    command: Command,
    names: &dyn PortNames,
) -> Result<FlowMod, TextError> {
    let deletes = matches!(command, Command::Delete | Command::DeleteStrict);
    let mut flow = FlowMod { command, ..FlowMod::default() };
    let mut items = MatchItems::default();
    let mut rest = line;
    let mut actions = None;
    loop {
        let before = rest;
        let Some(item) = rest.next_item()? else { break };
        if matches!(item.key.text, "actions" | "action") {
            actions = Some(action_list(&item, before)?);
            break;
        }
        if !keyword(&item, &mut flow, names)? {
            items.add(item)?;
        }
    }
    flow.matching = items.finish(names)?;
    match actions {
        Some(list) if deletes => {
            return Err(list.error(Problem::NotHere("a deletion takes no actions")));
        }
        Some(list) => {
            let table = match command {
                Command::Add => Some(flow.table.unwrap_or(0)),
                _ => flow.table,
            };
            flow.actions = parse_for_rule(list, names, table, &flow.matching)?;
        }
        None if !deletes => {
            return Err(line.error(Problem::Missing("`actions=` with a list of actions, or drop")));
        }
        None => {}
    }
    Ok(flow)
}

/// What stands after `actions=`, to the end of the line.
fn action_list<'a>(item: &Item<'a>, from: Piece<'a>) -> Result<Piece<'a>, TextError> {
    match item.value {
        Some((Form::Equals, _)) => {}
        _ => return Err(item.key.error(Problem::Missing("`actions=` with a list of actions"))),
    }
    // The item's value ends at the first comma, the list does not.
    match from.split_once("=") {
        Some((_, list)) => Ok(list),
        None => Err(item.key.error(Problem::Missing("`actions=` with a list of actions"))),
    }
}

/// Takes a keyword that is no match field; returns whether it was one.
fn keyword(item: &Item<'_>, flow: &mut FlowMod, names: &dyn PortNames) -> Result<bool, TextError> {
    let adds = flow.command == Command::Add;
    let strict = matches!(flow.command, Command::ModifyStrict | Command::DeleteStrict);
    let modifies = matches!(flow.command, Command::Modify | Command::ModifyStrict);
    match item.key.text {
        "table" => {
            let table = number8(item.expect("a table: table=0")?, "a table")?;
            flow.table = Some(table).filter(|&table| table != 255);
        }
        "priority" if adds || strict || modifies => {
            flow.priority = number16(item.expect("a priority from 0 to 65535")?, "a priority")?;
        }
        "cookie" => cookie(item, flow)?,
        "idle_timeout" => {
            flow.idle_timeout = number16(item.expect("seconds")?, "idle_timeout")?;
        }
        "hard_timeout" => {
            flow.hard_timeout = number16(item.expect("seconds")?, "hard_timeout")?;
        }
        "importance" => {
            flow.importance = number16(item.expect("a number")?, "importance")?;
        }
        "out_port" if !adds => {
            let piece = item.expect("a port")?;
            let port = parse_port(piece.text, names);
            let port = port.ok_or_else(|| piece.error(Problem::UnknownPort))?;
            flow.out_port = Some(port).filter(|port| *port != OfPort::NONE);
        }
        "out_port" | "out_group" => {
            return Err(item.key.error(Problem::NotHere("not supported here")));
        }
        "priority" => {
            let only = "only additions, modifications and strict commands have a priority";
            return Err(item.key.error(Problem::NotHere(only)));
        }
        "send_flow_rem" => flag(item, &mut flow.flags.send_flow_removed)?,
        "reset_counts" => flag(item, &mut flow.flags.reset_counts)?,
        "no_packet_counts" => flag(item, &mut flow.flags.no_packet_counts)?,
        "no_byte_counts" => flag(item, &mut flow.flags.no_byte_counts)?,
        "check_overlap" => flag(item, &mut flow.flags.check_overlap)?,
        // What a dump says besides, so that a dump can be read.
        "duration" | "n_packets" | "n_bytes" | "idle_age" | "hard_age" => {}
        _ => return Ok(false),
    }
    Ok(true)
}

fn flag(item: &Item<'_>, flag: &mut bool) -> Result<(), TextError> {
    item.expect_none()?;
    *flag = true;
    Ok(())
}

/// `cookie=VALUE` says the new cookie, `cookie=VALUE/MASK` which rules to touch.
fn cookie(item: &Item<'_>, flow: &mut FlowMod) -> Result<(), TextError> {
    let piece = item.expect("a cookie: cookie=0x1, or cookie=0x1/-1 to select rules")?;
    match (piece.split_once("/"), flow.command) {
        (Some(_), Command::Add) => {
            Err(piece.error(Problem::NotHere("flow additions cannot use a cookie mask")))
        }
        (Some((value, mask)), _) => {
            flow.cookie = number64(value, "a cookie")?;
            flow.cookie_mask = number64(mask, "a cookie's mask")?;
            Ok(())
        }
        (None, Command::Delete | Command::DeleteStrict) => {
            let only = "a deletion selects by cookie with a mask: cookie=VALUE/-1";
            Err(piece.error(Problem::NotHere(only)))
        }
        (None, _) => {
            flow.new_cookie = Some(number64(piece, "a cookie")?);
            Ok(())
        }
    }
}

/// A flow-mod to be printed as a line that [`parse_flow`] reads.
#[derive(Clone, Copy)]
pub struct FlowModText<'a> {
    /// The flow-mod.
    pub flow_mod: &'a FlowMod,
    /// Names of the ports.
    pub names: &'a dyn PortNames,
}

impl fmt::Display for FlowModText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flow = self.flow_mod;
        if flow.cookie_mask != 0 {
            let (value, mask) = (u128::from(flow.cookie), u128::from(flow.cookie_mask));
            write!(f, "cookie={}/{}, ", Hex(value), Hex(mask))?;
        }
        if let Some(cookie) = flow.new_cookie {
            write!(f, "cookie={cookie:#x}, ")?;
        }
        if let Some(table) = flow.table {
            write!(f, "table={table}, ")?;
        }
        write_options(f, flow.idle_timeout, flow.hard_timeout, flow.flags, flow.importance)?;
        if let Some(port) = flow.out_port {
            write!(f, "out_port={}, ", port_text(port, self.names))?;
        }
        let text = MatchText { matching: &flow.matching, names: self.names };
        let priority = (flow.priority != FlowMod::DEFAULT_PRIORITY).then_some(flow.priority.into());
        write_priority_and_match(f, priority, text)?;
        if matches!(flow.command, Command::Delete | Command::DeleteStrict) {
            return Ok(());
        }
        write!(f, "actions={}", ActionsText { actions: &flow.actions, names: self.names })
    }
}

/// A rule to be printed as a line of `ovs-ofctl dump-flows`, without the leading blank.
#[derive(Clone, Copy)]
pub struct RuleText<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The time now, for ages; `None` leaves ages and counters out (`--no-stats`).
    pub now: Option<Instant>,
    /// Names of the ports.
    pub names: &'a dyn PortNames,
}

impl fmt::Display for RuleText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.rule;
        if self.now.is_some() || rule.cookie() != 0 {
            write!(f, "cookie={:#x}, ", rule.cookie())?;
        }
        if let Some(now) = self.now {
            let millis = now.since(rule.created()).as_millis();
            write!(f, "duration={}.{:03}s, ", millis / 1000, millis % 1000)?;
        }
        if self.now.is_some() || rule.table() != 0 {
            write!(f, "table={}, ", rule.table())?;
        }
        if self.now.is_some() {
            let stats = rule.stats();
            write!(f, "n_packets={}, n_bytes={}, ", stats.packets(), stats.bytes())?;
        }
        let (idle, hard) = (rule.idle_timeout(), rule.hard_timeout());
        write_options(f, idle, hard, rule.flags(), rule.importance())?;
        if let Some(now) = self.now {
            write!(f, "idle_age={}, ", now.since(rule.stats().used()).as_secs())?;
            if rule.modified() != rule.created() {
                write!(f, "hard_age={}, ", now.since(rule.modified()).as_secs())?;
            }
        }
        let priority =
            Some(rule.priority()).filter(|&it| it != u32::from(FlowMod::DEFAULT_PRIORITY));
        let text = MatchText { matching: rule.matching(), names: self.names };
        write_priority_and_match(f, priority, text)?;
        write!(f, "actions={}", ActionsText { actions: rule.actions(), names: self.names })
    }
}

/// A rule as `ovs-appctl bridge/dump-flows` prints it.
pub struct FullRuleText<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The time.
    pub now: Instant,
    /// Whether what hardware has counted is told: nothing, there is none.
    pub offloads: bool,
    /// Names of ports.
    pub names: &'a dyn PortNames,
}

impl fmt::Display for FullRuleText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rule, stats) = (self.rule, self.rule.stats());
        if rule.cookie() != 0 {
            write!(f, "cookie={:#x}, ", rule.cookie())?;
        }
        if rule.table() != 0 {
            write!(f, "table_id={}, ", rule.table())?;
        }
        write!(f, "duration={}s, ", self.now.since(rule.created()).as_secs())?;
        write!(f, "n_packets={}, n_bytes={}, ", stats.packets(), stats.bytes())?;
        if self.offloads {
            f.write_str("n_offload_packets=0, n_offload_bytes=0, ")?;
        }
        let text = MatchText { matching: rule.matching(), names: self.names };
        let any = rule.matching().is_any();
        match rule.priority() {
            USUAL if any => {}
            USUAL => write!(f, "{text}")?,
            priority if any => write!(f, "priority={priority}")?,
            priority => write!(f, "priority={priority},{text}")?,
        }
        write!(f, ",actions={}", ActionsText { actions: rule.actions(), names: self.names })
    }
}

/// The priority that is not told.
const USUAL: u32 = FlowMod::DEFAULT_PRIORITY as u32;

fn write_options(
    f: &mut fmt::Formatter<'_>,
    idle_timeout: u16,
    hard_timeout: u16,
    flags: RuleFlags,
    importance: u16,
) -> fmt::Result {
    if idle_timeout != 0 {
        write!(f, "idle_timeout={idle_timeout}, ")?;
    }
    if hard_timeout != 0 {
        write!(f, "hard_timeout={hard_timeout}, ")?;
    }
    for (set, name) in [
        (flags.send_flow_removed, "send_flow_rem "),
        (flags.check_overlap, "check_overlap "),
        (flags.reset_counts, "reset_counts "),
        (flags.no_packet_counts, "no_packet_counts "),
        (flags.no_byte_counts, "no_byte_counts "),
    ] {
        f.write_str(if set { name } else { "" })?;
    }
    if importance != 0 {
        write!(f, "importance={importance}, ")?;
    }
    Ok(())
}

/// `priority=5,tcp,tp_dst=80 `, or nothing.
fn write_priority_and_match(
    f: &mut fmt::Formatter<'_>,
    priority: Option<u32>,
    text: MatchText<'_>,
) -> fmt::Result {
    let any = text.matching.is_any();
    match priority {
        Some(priority) if any => write!(f, "priority={priority} "),
        Some(priority) => write!(f, "priority={priority},{text} "),
        None if any => Ok(()),
        None => write!(f, "{text} "),
    }
}
