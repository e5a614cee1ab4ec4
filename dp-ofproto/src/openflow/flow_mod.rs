//! Requests to change flows (OpenFlow 1.0 section 5.3.3, 1.3 section A.3.4.1, `NXT_FLOW_MOD`).
//!
//! What the cookie means differs: before OpenFlow 1.1 it is always the new one, and what filters is
//! the extension's cookie in a list of fields; since then it filters where rules are changed or
//! deleted, and is the new one where they are added. Before OpenFlow 1.2 a change that finds no rule
//! adds one.

use dp_core::base::OfPort;
use dp_core::flow::FieldId;

use super::actions::instructions;
use super::matches::{self, fixed, flow};
use super::wire::{Cursor, Put};
use super::{Code, Version};
use crate::action::{ActionError, Checker};
use crate::group::GroupId;
use crate::table::{Command, FlowMod, RuleFlags};

/// A flow-mod, and what its message says beside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowModMessage {
    /// What to do.
    pub flow_mod: FlowMod,
    /// A buffered packet that shall be sent through the new rule; there are none.
    pub buffer_id: Option<u32>,
}

mod flag {
    pub(super) const SEND_FLOW_REM: u16 = 1;
    pub(super) const CHECK_OVERLAP: u16 = 1 << 1;
    /// OpenFlow 1.0: a flow for when there is no controller.
    pub(super) const EMERG: u16 = 1 << 2;
    pub(super) const RESET_COUNTS: u16 = 1 << 2;
    pub(super) const NO_PKT_COUNTS: u16 = 1 << 3;
    pub(super) const NO_BYT_COUNTS: u16 = 1 << 4;
}

/// "No packet" in the place of a buffer's number.
pub(super) const NO_BUFFER: u32 = 0xffff_ffff;

/// Reads the body of a flow-mod of OpenFlow 1.0. With `table_ids` the command's upper byte is the
/// table.
///
/// # Errors
///
/// What is wrong with it.
pub fn decode10(body: &[u8], table_ids: bool) -> Result<FlowModMessage, Code> {
    let mut from = Cursor::new(body);
    let matching = fixed::decode10(&mut from)?;
    let cookie = from.u64()?;
    let mut message = decode_old(&mut from, table_ids, true)?;
    message.flow_mod.matching = matching;
    message.flow_mod.new_cookie = Some(cookie);
    finish(message, from, Version::V10)
}

/// Reads the body of the extension's flow-mod, behind its subtype.
///
/// # Errors
///
/// What is wrong with it.
pub fn decode_nicira(
    body: &[u8],
    table_ids: bool,
    version: Version,
) -> Result<FlowModMessage, Code> {
    let mut from = Cursor::new(body);
    let cookie = from.u64()?;
    let mut message = decode_old(&mut from, table_ids, false)?;
    let len = usize::from(from.u16()?);
    from.skip(6)?;
    let fields = from.sub(len)?;
    from.skip(len.next_multiple_of(8) - len)?;
    let list = flow::decode(fields, flow::Unknown::Refuse)?;
    let flow_mod = &mut message.flow_mod;
    flow_mod.matching = list.matching;
    flow_mod.new_cookie = Some(cookie);
    if let Some((value, mask)) = list.cookie {
        if flow_mod.command == Command::Add {
            // Flow additions have one cookie, not another one to look for.
            return Err(Code::NxbrcNxmInvalid);
        }
        (flow_mod.cookie, flow_mod.cookie_mask) = (value & mask, mask);
    }
    // All ones: "leave it".
    if cookie == u64::MAX && flow_mod.command != Command::Add {
        flow_mod.new_cookie = None;
    }
    finish(message, from, version)
}

/// The part that OpenFlow 1.0 and the extension share: command to flags.
fn decode_old(
    from: &mut Cursor<'_>,
    table_ids: bool,
    emergency: bool,
) -> Result<FlowModMessage, Code> {
    let word = from.u16()?;
    let (table, number) = match table_ids {
        true => ((word >> 8) as u8, word & 0xff),
        false => (0xff, word),
    };
    let (idle_timeout, hard_timeout, priority) = (from.u16()?, from.u16()?, from.u16()?);
    let buffer_id = from.u32()?;
    let (out_port, flags) = (OfPort(from.u16()?), from.u16()?);
    let command = command(number)?;
    if emergency && flags & flag::EMERG != 0 {
        return Err(Code::FmfcTableFull);
    }
    if flags & !(flag::SEND_FLOW_REM | flag::CHECK_OVERLAP) != 0 {
        return Err(Code::FmfcBadFlags);
    }
    let flow_mod = FlowMod {
        command,
        table: (table != 0xff).then_some(table),
        priority,
        idle_timeout,
        hard_timeout,
        out_port: deletes(command).then_some(out_port).filter(|port| *port != OfPort::NONE),
        flags: RuleFlags {
            send_flow_removed: flags & flag::SEND_FLOW_REM != 0,
            check_overlap: flags & flag::CHECK_OVERLAP != 0,
            // Adding a flow has always reset its counters.
            reset_counts: command == Command::Add,
            ..RuleFlags::default()
        },
        ..FlowMod::default()
    };
    Ok(FlowModMessage { flow_mod, buffer_id: (buffer_id != NO_BUFFER).then_some(buffer_id) })
}

/// Reads the body of a flow-mod of OpenFlow 1.1 and later.
///
/// # Errors
///
/// What is wrong with it.
pub fn decode11(body: &[u8], version: Version) -> Result<FlowModMessage, Code> {
    let mut from = Cursor::new(body);
    let (cookie, cookie_mask) = (from.u64()?, from.u64()?);
    let (table, number) = (from.u8()?, from.u8()?);
    let (idle_timeout, hard_timeout, priority) = (from.u16()?, from.u16()?, from.u16()?);
    let buffer_id = from.u32()?;
    let out_port = from.port(version, Code::BrcBadPort)?;
    let (out_group, flags) = (GroupId(from.u32()?), from.u16()?);
    let importance = from.u16()?;
    let importance = if version >= Version::V14 { importance } else { 0 };
    let matching = matches::decode(&mut from)?;
    let command = command(u16::from(number))?;
    let mut known = flag::SEND_FLOW_REM | flag::CHECK_OVERLAP;
    if version >= Version::V12 {
        known |= flag::RESET_COUNTS;
    }
    if version >= Version::V13 {
        known |= flag::NO_PKT_COUNTS | flag::NO_BYT_COUNTS;
    }
    if flags & !known != 0 {
        return Err(Code::FmfcBadFlags);
    }
    if command == Command::Add && table == 0xff {
        return Err(Code::FmfcBadTableId);
    }
    let deletes = deletes(command);
    let mut flow_mod = FlowMod {
        command,
        table: (table != 0xff).then_some(table),
        priority,
        matching,
        idle_timeout,
        hard_timeout,
        importance,
        out_port: deletes.then_some(out_port).filter(|port| *port != OfPort::NONE),
        out_group: deletes.then_some(out_group).filter(|group| *group != GroupId::ANY),
        flags: RuleFlags {
            send_flow_removed: flags & flag::SEND_FLOW_REM != 0,
            check_overlap: flags & flag::CHECK_OVERLAP != 0,
            reset_counts: flags & flag::RESET_COUNTS != 0
                || version == Version::V11 && command == Command::Add,
            no_packet_counts: flags & flag::NO_PKT_COUNTS != 0,
            no_byte_counts: flags & flag::NO_BYT_COUNTS != 0,
        },
        ..FlowMod::default()
    };
    match command {
        Command::Add => flow_mod.new_cookie = Some(cookie),
        _ => {
            flow_mod.cookie = cookie & cookie_mask;
            flow_mod.cookie_mask = cookie_mask;
            if version == Version::V11 && !deletes && cookie_mask == 0 {
                flow_mod.new_cookie = Some(cookie);
            }
        }
    }
    let buffer_id = (buffer_id != NO_BUFFER).then_some(buffer_id);
    finish(FlowModMessage { flow_mod, buffer_id }, from, version)
}

/// Reads the actions and checks them against the match.
fn finish(
    mut message: FlowModMessage,
    actions: Cursor<'_>,
    version: Version,
) -> Result<FlowModMessage, Code> {
    let flow_mod = &mut message.flow_mod;
    flow_mod.actions = instructions::decode_rule(actions, version)?;
    if deletes(flow_mod.command) {
        flow_mod.actions.clear();
    }
    let table = match flow_mod.command {
        Command::Add => Some(flow_mod.table.unwrap_or(0)),
        _ => flow_mod.table,
    };
    let recirc_id = flow_mod.matching.field(FieldId::RecircId).0;
    let hash = flow_mod.matching.field(FieldId::DpHash).1;
    if !deletes(flow_mod.command) && (recirc_id != 0 || hash != 0) {
        // Such packets are between two passes: no rule of a controller's sees them.
        return Err(Code::BrcEperm);
    }
    let mut checker = Checker::new(table, Some(&flow_mod.matching));
    if version >= Version::V11 {
        checker = checker.strict();
    }
    for action in &flow_mod.actions {
        checker.next(action).map_err(action_code)?;
    }
    Ok(message)
}

/// How the wire says what is wrong with a list of actions.
#[must_use]
pub fn action_code(error: ActionError) -> Code {
    match error {
        ActionError::ReadOnly(_) => Code::BacBadSetArgument,
        ActionError::OutOfField(_) | ActionError::MoveWidths { .. } => Code::BacBadArgument,
        ActionError::Prerequisite { .. } => Code::BacMatchInconsistent,
        ActionError::VlanType(_) | ActionError::Tos(_) | ActionError::TooWide { .. } => {
            Code::BacBadArgument
        }
        ActionError::Order { .. } => Code::BacUnsupportedOrder,
        ActionError::Duplicate(_) => Code::BicDupInst,
        ActionError::NotInSet(_) => Code::BacBadType,
        ActionError::BackwardGoto { .. } => Code::BicBadTableId,
        #[expect(unreachable_patterns, reason = "kinds of errors are added beside")]
        _ => Code::BacBadArgument,
    }
}

fn deletes(command: Command) -> bool {
    matches!(command, Command::Delete | Command::DeleteStrict)
}

fn command(number: u16) -> Result<Command, Code> {
    Ok(match number {
        0 => Command::Add,
        1 => Command::Modify,
        2 => Command::ModifyStrict,
        3 => Command::Delete,
        4 => Command::DeleteStrict,
        _ => return Err(Code::FmfcBadCommand),
    })
}

fn command_number(command: Command) -> u8 {
    match command {
        Command::Add => 0,
        Command::Modify => 1,
        Command::ModifyStrict => 2,
        Command::Delete => 3,
        Command::DeleteStrict => 4,
    }
}

/// Flags of a rule as a version has them.
#[must_use]
pub fn rule_flags(flags: RuleFlags, version: Version) -> u16 {
    let bit = |set: bool, bit: u16| if set { bit } else { 0 };
    let mut out = bit(flags.send_flow_removed, flag::SEND_FLOW_REM)
        | bit(flags.check_overlap, flag::CHECK_OVERLAP);
    if version >= Version::V12 {
        out |= bit(flags.reset_counts, flag::RESET_COUNTS);
    }
    if version >= Version::V13 {
        out |= bit(flags.no_packet_counts, flag::NO_PKT_COUNTS);
        out |= bit(flags.no_byte_counts, flag::NO_BYT_COUNTS);
    }
    out
}

/// Writes the body of a flow-mod of OpenFlow 1.1 and later.
pub fn encode11(out: &mut Vec<u8>, message: &FlowModMessage, version: Version) {
    let flow_mod = &message.flow_mod;
    let adds = flow_mod.command == Command::Add;
    let cookie = if adds { flow_mod.new_cookie } else { None };
    out.put64(cookie.or(flow_mod.new_cookie).unwrap_or(flow_mod.cookie));
    out.put64(flow_mod.cookie_mask);
    out.put8(flow_mod.table.unwrap_or(if adds { 0 } else { 0xff }));
    out.put8(command_number(flow_mod.command));
    for number in [flow_mod.idle_timeout, flow_mod.hard_timeout, flow_mod.priority] {
        out.put16(number);
    }
    out.put32(message.buffer_id.unwrap_or(NO_BUFFER));
    out.put_port(version, flow_mod.out_port.unwrap_or(OfPort::NONE));
    out.put32(flow_mod.out_group.unwrap_or(GroupId::ANY).0);
    out.put16(rule_flags(flow_mod.flags, version));
    out.put16(if version >= Version::V14 { flow_mod.importance } else { 0 });
    matches::encode(out, &flow_mod.matching, version);
    instructions::encode_rule(out, &flow_mod.actions, version);
}

/// Writes the body of the extension's flow-mod, behind its subtype.
pub fn encode_nicira(out: &mut Vec<u8>, message: &FlowModMessage, table_ids: bool) {
    let flow_mod = &message.flow_mod;
    out.put64(flow_mod.new_cookie.unwrap_or(u64::MAX));
    encode_old(out, message, table_ids);
    let len_at = out.len();
    out.zeros(8);
    let start = out.len();
    flow::encode(out, &flow_mod.matching, Version::V10);
    flow::encode_cookie(out, flow_mod.cookie, flow_mod.cookie_mask);
    let len = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    out.set16(len_at, len);
    out.pad8(start);
    instructions::encode_rule(out, &flow_mod.actions, Version::V10);
}

/// Writes the body of a flow-mod of OpenFlow 1.0.
pub fn encode10(out: &mut Vec<u8>, message: &FlowModMessage, table_ids: bool) {
    fixed::encode10(out, &message.flow_mod.matching);
    out.put64(message.flow_mod.new_cookie.unwrap_or(0));
    encode_old(out, message, table_ids);
    instructions::encode_rule(out, &message.flow_mod.actions, Version::V10);
}

fn encode_old(out: &mut Vec<u8>, message: &FlowModMessage, table_ids: bool) {
    let flow_mod = &message.flow_mod;
    let table = if table_ids { flow_mod.table.unwrap_or(0xff) } else { 0 };
    out.put8(table);
    out.put8(command_number(flow_mod.command));
    for number in [flow_mod.idle_timeout, flow_mod.hard_timeout, flow_mod.priority] {
        out.put16(number);
    }
    out.put32(message.buffer_id.unwrap_or(NO_BUFFER));
    out.put16(flow_mod.out_port.unwrap_or(OfPort::NONE).0);
    out.put16(rule_flags(flow_mod.flags, Version::V10));
}
