//! `userspace(…)`: what goes to the slow path, and why.

use core::fmt;

use super::parse::{hexadecimal, named};
use super::print::port;
use crate::action::userspace::SampleDirection;
use crate::action::{ActionList, SlowReasons, UserData, Userspace};
use crate::base::PortNo;
use crate::flow::text::scan::{Item, Piece};
use crate::flow::text::{DpPorts, Problem, TextError, value};

/// Most bytes that data without a meaning may have.
const RAW_MAX: usize = 256;

/// Reads `userspace(pid=…,…)`.
pub(super) fn parse<'a>(item: &Item<'a>, ports: &dyn DpPorts) -> Result<Userspace, TextError<'a>> {
    let mut piece = item.inside()?;
    let mut pid = None;
    let mut out = Userspace { pid: 0, data: UserData::None, with_actions: false, tunnel_out: None };
    while let Some(part) = piece.next_item()? {
        let data = match part.name.text {
            "pid" => {
                pid = Some(value::word(part.equals()?)?);
                continue;
            }
            "actions" => {
                part.alone()?;
                out.with_actions = true;
                continue;
            }
            "tunnel_out_port" => {
                out.tunnel_out = Some(value::port(part.equals()?, ports)?);
                continue;
            }
            "slow_path" => UserData::SlowPath(reasons(part.inside()?)?),
            "controller" => controller(&part)?,
            "neighbour" => {
                let [recirc_id] = named(part.inside()?, ["recirc_id"])?;
                let recirc_id = word(number(&part, recirc_id, 32, "recirc_id=…")?);
                UserData::Neighbour { recirc_id }
            }
            "sFlow" => sflow(&part)?,
            "ipfix" => {
                let [output] = named(part.inside()?, ["output_port"])?;
                UserData::Ipfix { output: optional_port(output, ports)?, dropped: false }
            }
            "flow_sample" => flow_sample(&part, ports)?,
            "userdata" => UserData::Raw(hexadecimal(part.inside()?, RAW_MAX)?.into_boxed_slice()),
            _ => return Err(part.name.error(Problem::UnknownPart)),
        };
        if out.data != UserData::None {
            return Err(part.name.error(Problem::Twice));
        }
        out.data = data;
    }
    out.pid = pid.ok_or_else(|| item.name.error(Problem::Missing("pid=…")))?;
    Ok(out)
}

/// Names with commas between them; nothing or `0` is none.
fn reasons<'a>(mut piece: Piece<'a>) -> Result<SlowReasons, TextError<'a>> {
    let mut reasons = SlowReasons::empty();
    while let Some(item) = piece.next_item()? {
        if item.name.text == "0" {
            continue;
        }
        let known = SlowReasons::NAMES.iter().find(|(_, name)| *name == item.name.text);
        let expected = || item.name.error(Problem::Expected("cfm, bfd, lacp, stp, lldp …"));
        reasons |= known.ok_or_else(expected)?.0;
    }
    Ok(reasons)
}

/// A port; the number that stands for none is none.
fn optional_port<'a>(
    piece: Option<Piece<'a>>,
    ports: &dyn DpPorts,
) -> Result<Option<PortNo>, TextError<'a>> {
    let port = piece.map(|piece| value::port(piece, ports)).transpose()?;
    Ok(port.filter(|port| *port != PortNo::NONE))
}

fn number<'a>(
    part: &Item<'a>,
    piece: Option<Piece<'a>>,
    bits: u8,
    name: &'static str,
) -> Result<u64, TextError<'a>> {
    let piece = piece.ok_or_else(|| part.name.error(Problem::Missing(name)))?;
    let number = value::number(piece, bits)?;
    u64::try_from(number).map_err(|_| piece.error(Problem::TooWide(bits)))
}

fn byte(number: u64) -> u8 {
    u8::try_from(number & 0xff).unwrap_or(0)
}

fn short(number: u64) -> u16 {
    u16::try_from(number & 0xffff).unwrap_or(0)
}

fn word(number: u64) -> u32 {
    u32::try_from(number & 0xffff_ffff).unwrap_or(0)
}

fn controller<'a>(part: &Item<'a>) -> Result<UserData, TextError<'a>> {
    let names = [
        "reason",
        "dont_send",
        "continuation",
        "recirc_id",
        "rule_cookie",
        "controller_id",
        "max_len",
    ];
    let [reason, dont_send, continuation, recirc_id, cookie, id, max_len] =
        named(part.inside()?, names)?;
    Ok(UserData::Controller {
        reason: byte(number(part, reason, 8, "reason=…")?),
        dont_send: number(part, dont_send, 1, "dont_send=…")? != 0,
        continuation: number(part, continuation, 1, "continuation=…")? != 0,
        recirc_id: word(number(part, recirc_id, 32, "recirc_id=…")?),
        rule_cookie: number(part, cookie, 64, "rule_cookie=…")?,
        controller_id: short(number(part, id, 16, "controller_id=…")?),
        max_len: short(number(part, max_len, 16, "max_len=…")?),
    })
}

fn sflow<'a>(part: &Item<'a>) -> Result<UserData, TextError<'a>> {
    let [vid, pcp, output] = named(part.inside()?, ["vid", "pcp", "output"])?;
    let vid = short(number(part, vid, 12, "vid=…")?);
    let pcp = short(number(part, pcp, 3, "pcp=…")?);
    let output = word(number(part, output, 32, "output=…")?);
    Ok(UserData::Sflow { vlan_tci: pcp << 13 | vid, output, following: ActionList::default() })
}

fn flow_sample<'a>(part: &Item<'a>, ports: &dyn DpPorts) -> Result<UserData, TextError<'a>> {
    let mut piece = part.inside()?;
    let mut values = [None; 4];
    let (mut output, mut direction) = (None, SampleDirection::Unspecified);
    const NAMES: [&str; 4] = ["probability", "collector_set_id", "obs_domain_id", "obs_point_id"];
    while let Some(item) = piece.next_item()? {
        match item.name.text {
            "ingress" => item.alone().map(|()| direction = SampleDirection::Ingress)?,
            "egress" => item.alone().map(|()| direction = SampleDirection::Egress)?,
            "output_port" => output = optional_port(Some(item.equals()?), ports)?,
            name => {
                let at = NAMES.iter().position(|known| *known == name);
                let slot = at.and_then(|at| values.get_mut(at));
                let slot = slot.ok_or_else(|| item.name.error(Problem::UnknownPart))?;
                *slot = Some(item.equals()?);
            }
        }
    }
    let [probability, collector_set, domain, point] = values;
    Ok(UserData::FlowSample {
        probability: short(number(part, probability, 16, "probability=…")?),
        collector_set: word(number(part, collector_set, 32, "collector_set_id=…")?),
        obs_domain: word(number(part, domain, 32, "obs_domain_id=…")?),
        obs_point: word(number(part, point, 32, "obs_point_id=…")?),
        output,
        direction,
    })
}

/// Prints `userspace(…)`.
pub(super) fn print(
    f: &mut dyn fmt::Write,
    userspace: &Userspace,
    ports: &dyn DpPorts,
) -> fmt::Result {
    write!(f, "userspace(pid={}", userspace.pid)?;
    match &userspace.data {
        UserData::None => {}
        UserData::SlowPath(reasons) => {
            let names = SlowReasons::NAMES.iter().filter(|(reason, _)| reasons.contains(*reason));
            let names: Vec<&str> = names.map(|(_, name)| *name).collect();
            let names = if names.is_empty() { "0".to_owned() } else { names.join(",") };
            write!(f, ",slow_path({names})")?;
        }
        UserData::Controller {
            reason,
            dont_send,
            continuation,
            recirc_id,
            rule_cookie,
            controller_id,
            max_len,
        } => {
            write!(f, ",controller(reason={reason},dont_send={}", u8::from(*dont_send))?;
            write!(f, ",continuation={},recirc_id={recirc_id}", u8::from(*continuation))?;
            match rule_cookie {
                0 => f.write_str(",rule_cookie=0")?,
                cookie => write!(f, ",rule_cookie={cookie:#x}")?,
            }
            write!(f, ",controller_id={controller_id},max_len={max_len})")?;
        }
        UserData::Neighbour { recirc_id } => write!(f, ",neighbour(recirc_id={recirc_id})")?,
        UserData::Sflow { vlan_tci, output, .. } => {
            let (vid, pcp) = (vlan_tci & 0xfff, vlan_tci >> 13);
            write!(f, ",sFlow(vid={vid},pcp={pcp},output={output})")?;
        }
        UserData::Ipfix { output, .. } => {
            f.write_str(",ipfix(output_port=")?;
            port(f, output.unwrap_or(PortNo::NONE), ports)?;
            f.write_str(")")?;
        }
        UserData::FlowSample {
            probability,
            collector_set,
            obs_domain,
            obs_point,
            output,
            direction,
        } => {
            write!(f, ",flow_sample(probability={probability}")?;
            write!(f, ",collector_set_id={collector_set},obs_domain_id={obs_domain}")?;
            write!(f, ",obs_point_id={obs_point},output_port=")?;
            port(f, output.unwrap_or(PortNo::NONE), ports)?;
            f.write_str(match direction {
                SampleDirection::Unspecified => ")",
                SampleDirection::Ingress => ",ingress)",
                SampleDirection::Egress => ",egress)",
            })?;
        }
        UserData::Raw(bytes) => {
            f.write_str(",userdata(")?;
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str(")")?;
        }
    }
    if userspace.with_actions {
        f.write_str(",actions")?;
    }
    if let Some(tunnel) = userspace.tunnel_out {
        f.write_str(",tunnel_out_port=")?;
        port(f, tunnel, ports)?;
    }
    f.write_str(")")
}
