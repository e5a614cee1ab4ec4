//! Printing actions and instructions as `ovs-ofctl dump-flows` does.

use std::fmt;

use dp_core::base::OfPort;
use dp_core::flow::fields::Format;
use dp_core::flow::{FieldId, layout};

use super::choose::{write_bundle, write_multipath};
use super::control::{write_controller, write_hex, write_sample};
use super::ct::write_ct;
use super::encap::{write_decap, write_encap};
use super::learn::write_learn;
use super::names::{PortNames, port_text};
use super::value::full_mask;
use super::value_print::{Hex, write_option, write_value};
use crate::action::{Action, Subfield};

/// A list of actions to be printed, without `actions=`.
#[derive(Clone, Copy)]
pub struct ActionsText<'a> {
    /// The actions.
    pub actions: &'a [Action],
    /// Names of the ports.
    pub names: &'a dyn PortNames,
}

impl fmt::Display for ActionsText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.actions.is_empty() {
            return f.write_str("drop");
        }
        for (at, action) in self.actions.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            write_action(f, action, self.names)?;
        }
        Ok(())
    }
}

fn write_action(f: &mut fmt::Formatter<'_>, action: &Action, names: &dyn PortNames) -> fmt::Result {
    match action {
        Action::Output { port, max_len } => output(f, *port, *max_len, names),
        Action::OutputReg { src, .. } => write!(f, "output:{}", SubfieldText(*src)),
        Action::Resubmit { in_port, table, ct } => resubmit(f, *in_port, *table, *ct, names),
        Action::GotoTable(table) => write!(f, "goto_table:{table}"),
        Action::SetField { field, value, mask, named } => {
            let row = field.field();
            f.write_str("set_field:")?;
            if *field == FieldId::VlanVid && *mask == row.ones() {
                write!(f, "{}", value | u128::from(layout::VLAN_PRESENT))?;
            } else if *named {
                match row.format {
                    Format::Hex => write!(f, "{}/{mask:#x}", Hex(*value))?,
                    _ => write!(f, "{value}/{mask:#x}")?,
                }
            } else {
                write_value(f, row, *value, mask & full_mask(row), names)?;
            }
            write!(f, "->{}", row.name)
        }
        Action::SetOption(set) => {
            f.write_str("set_field:")?;
            write_option(f, set.value, set.mask)?;
            write!(f, "->{}", set.field.field().name)
        }
        Action::Load { dst, value } => {
            write!(f, "load:{}->{}", Hex(u128::from(*value)), SubfieldText(*dst))
        }
        Action::Move { src, dst } => {
            write!(f, "move:{}->{}", SubfieldText(*src), SubfieldText(*dst))
        }
        Action::Push(src) => write!(f, "push:{}", SubfieldText(*src)),
        Action::Pop(dst) => write!(f, "pop:{}", SubfieldText(*dst)),
        Action::SetEthSrc(mac) => write!(f, "mod_dl_src:{mac}"),
        Action::SetEthDst(mac) => write!(f, "mod_dl_dst:{mac}"),
        Action::SetVlanVid(vid) => write!(f, "mod_vlan_vid:{vid}"),
        Action::SetVlanPcp(pcp) => write!(f, "mod_vlan_pcp:{pcp}"),
        Action::StripVlan => f.write_str("strip_vlan"),
        Action::PopVlan => f.write_str("pop_vlan"),
        Action::PushVlan(tpid) => write!(f, "push_vlan:{tpid:#06x}"),
        Action::SetIpv4Src(ip) => write!(f, "mod_nw_src:{ip}"),
        Action::SetIpv4Dst(ip) => write!(f, "mod_nw_dst:{ip}"),
        Action::SetTos(tos) => write!(f, "mod_nw_tos:{tos}"),
        Action::SetEcn(ecn) => write!(f, "mod_nw_ecn:{ecn}"),
        Action::SetTtl(ttl) => write!(f, "mod_nw_ttl:{ttl}"),
        Action::DecTtl(controllers) => dec_ttl(f, controllers),
        Action::SetL4Src(port) => write!(f, "mod_tp_src:{port}"),
        Action::SetL4Dst(port) => write!(f, "mod_tp_dst:{port}"),
        Action::SetTunnel { id, wide } => {
            write!(f, "set_tunnel{}:{}", if *wide { "64" } else { "" }, Hex(u128::from(*id)))
        }
        Action::WriteMetadata { value, mask } => {
            write!(f, "write_metadata:{}", Hex(u128::from(*value)))?;
            if *mask == u64::MAX { Ok(()) } else { write!(f, "/{}", Hex(u128::from(*mask))) }
        }
        Action::ClearActions => f.write_str("clear_actions"),
        Action::WriteActions(set) => {
            write!(f, "write_actions({})", ActionsText { actions: set, names })
        }
        Action::Note(bytes) => {
            f.write_str("note:")?;
            write_hex(f, bytes)
        }
        Action::Exit => f.write_str("exit"),
        _ => write_more(f, action, names),
    }
}

/// The actions that came with Nicira's extensions and the later versions.
fn write_more(f: &mut fmt::Formatter<'_>, action: &Action, names: &dyn PortNames) -> fmt::Result {
    match action {
        Action::OutputTrunc { port, max_len } => {
            write!(f, "output(port={},max_len={max_len})", port_text(*port, names))
        }
        Action::Controller(to) => write_controller(f, to),
        Action::Enqueue { port, queue } => {
            write!(f, "enqueue:{}:{queue}", port_text(*port, names))
        }
        Action::Group(id) => write!(f, "group:{id}"),
        Action::Bundle(bundle) => write_bundle(f, bundle, names),
        Action::Multipath(path) => write_multipath(f, path),
        Action::SetQueue(queue) => write!(f, "set_queue:{queue}"),
        Action::PopQueue => f.write_str("pop_queue"),
        Action::PushMpls(eth_type) => write!(f, "push_mpls:{eth_type:#06x}"),
        Action::PopMpls(eth_type) => write!(f, "pop_mpls:{eth_type:#06x}"),
        Action::SetMplsLabel(label) => write!(f, "set_mpls_label({label})"),
        Action::SetMplsTc(tc) => write!(f, "set_mpls_tc({tc})"),
        Action::SetMplsTtl(ttl) => write!(f, "set_mpls_ttl({ttl})"),
        Action::DecMplsTtl => f.write_str("dec_mpls_ttl"),
        Action::DecNshTtl => f.write_str("dec_nsh_ttl"),
        Action::Encap(encap) => write_encap(f, encap),
        Action::Decap(to) => write_decap(f, *to),
        Action::Ct(ct) => write_ct(f, ct, names),
        Action::CtClear => f.write_str("ct_clear"),
        Action::Learn(learn) => write_learn(f, learn, names),
        Action::Conjunction { id, clause, clauses } => {
            write!(f, "conjunction({id},{}/{clauses})", u16::from(*clause) + 1)
        }
        Action::FinTimeout { idle, hard } => {
            let mut parts = Vec::new();
            if *idle != 0 {
                parts.push(format!("idle_timeout={idle}"));
            }
            if *hard != 0 {
                parts.push(format!("hard_timeout={hard}"));
            }
            write!(f, "fin_timeout({})", parts.join(","))
        }
        Action::Sample(sample) => write_sample(f, sample, names),
        Action::CheckPktLarger { len, dst } => {
            write!(f, "check_pkt_larger({len})->{}", SubfieldText(*dst))
        }
        Action::Clone(actions) => {
            write!(f, "clone({})", ActionsText { actions, names })
        }
        Action::Meter(meter) => write!(f, "meter:{meter}"),
        Action::DeleteField(field) => write!(f, "delete_field:{}", field.field().name),
        Action::DebugRecirc => f.write_str("debug_recirc"),
        Action::DebugSlow => f.write_str("debug_slow"),
        // The others are printed above.
        _ => Ok(()),
    }
}

/// Reserved ports stand alone, the controller with the length it wants.
fn output(
    f: &mut fmt::Formatter<'_>,
    port: OfPort,
    max_len: u16,
    names: &dyn PortNames,
) -> fmt::Result {
    let text = port_text(port, names);
    if port == OfPort::CONTROLLER {
        write!(f, "{text}:{max_len}")
    } else if port < OfPort::MAX {
        write!(f, "output:{text}")
    } else {
        f.write_str(&text)
    }
}

fn resubmit(
    f: &mut fmt::Formatter<'_>,
    in_port: Option<OfPort>,
    table: Option<u8>,
    ct: bool,
    names: &dyn PortNames,
) -> fmt::Result {
    let port = in_port.map(|port| port_text(port, names)).unwrap_or_default();
    match (table, in_port) {
        (table, _) if ct => match table {
            Some(table) => write!(f, "resubmit({port},{table},ct)"),
            None => write!(f, "resubmit({port},,ct)"),
        },
        (Some(table), _) => write!(f, "resubmit({port},{table})"),
        (None, Some(_)) => write!(f, "resubmit:{port}"),
        (None, None) => f.write_str("resubmit:IN_PORT"),
    }
}

/// Controller 0 alone is what a packet whose TTL is used up goes to unless it is said otherwise; the
/// wire can also name none.
fn dec_ttl(f: &mut fmt::Formatter<'_>, controllers: &[u16]) -> fmt::Result {
    f.write_str("dec_ttl")?;
    if controllers == [0] {
        return Ok(());
    }
    f.write_str("(")?;
    for (at, id) in controllers.iter().enumerate() {
        write!(f, "{}{id}", if at == 0 { "" } else { "," })?;
    }
    f.write_str(")")
}

/// `FIELD[]`, `FIELD[BIT]` or `FIELD[START..END]`, the field by its name on the wire.
pub struct SubfieldText(pub Subfield);

impl fmt::Display for SubfieldText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subfield { field, start, bits } = self.0;
        let row = field.field();
        f.write_str(row.oxm.first().map_or(row.name, |oxm| oxm.name))?;
        match bits {
            _ if self.0.is_whole() => f.write_str("[]"),
            1 => write!(f, "[{start}]"),
            _ => write!(f, "[{start}..{}]", start + bits.max(1) - 1),
        }
    }
}
