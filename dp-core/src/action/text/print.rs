//! Printing a list of actions.

use core::fmt;

use super::parse::label_parts;
use super::{ct, set, tunnel, userspace};
use crate::action::{Action, HashAlgorithm, nsh};
use crate::base::PortNo;
use crate::flow::text::{Commas, DpPorts, print_bytes};

/// A list of actions as text, as `ovs-appctl dpctl/dump-flows` shows it.
#[derive(Clone, Copy)]
pub struct ActionsText<'a> {
    actions: &'a [Action],
    ports: &'a dyn DpPorts,
}

impl<'a> ActionsText<'a> {
    /// The text of `actions`; ports are shown by name where `ports` knows one.
    #[must_use]
    pub fn new(actions: &'a [Action], ports: &'a dyn DpPorts) -> Self {
        Self { actions, ports }
    }
}

impl fmt::Display for ActionsText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.actions, self.ports)
    }
}

/// A port by name or number.
pub(super) fn port(f: &mut dyn fmt::Write, port: PortNo, ports: &dyn DpPorts) -> fmt::Result {
    match ports.name(port) {
        Some(name) => f.write_str(name),
        None => write!(f, "{port}"),
    }
}

fn list(f: &mut dyn fmt::Write, actions: &[Action], ports: &dyn DpPorts) -> fmt::Result {
    if actions.is_empty() {
        return f.write_str("drop");
    }
    let mut out = Commas::new(f);
    for action in actions {
        one(out.next()?, action, ports)?;
        if action.ends() {
            break;
        }
    }
    Ok(())
}

fn one(f: &mut dyn fmt::Write, action: &Action, ports: &dyn DpPorts) -> fmt::Result {
    match action {
        Action::Output(number) => port(f, *number, ports),
        Action::LbOutput(bond) => write!(f, "lb_output({})", bond.0),
        Action::Drop(_) => f.write_str("drop"),
        Action::Userspace(userspace) => userspace::print(f, userspace, ports),
        Action::Psample { group, cookie } => {
            write!(f, "psample(group={group}")?;
            if !cookie.is_empty() {
                f.write_str(",cookie=0x")?;
                cookie.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            }
            f.write_str(")")
        }
        Action::PushVlan { tpid, tci } => {
            f.write_str("push_vlan(")?;
            if *tpid != 0x8100 {
                write!(f, "tpid={tpid:#06x},")?;
            }
            write!(f, "vid={},pcp={}", tci & 0xfff, tci >> 13)?;
            f.write_str(if tci & 0x1000 == 0 { ",cfi=0)" } else { ")" })
        }
        Action::PopVlan => f.write_str("pop_vlan"),
        Action::PushMpls { lse, eth_type } => mpls(f, "push_mpls", *lse, *eth_type),
        Action::AddMpls { lse, eth_type, behind_ethernet } => {
            let (label, tc, ttl, bos) = label_parts(*lse);
            write!(f, "add_mpls(label={label},tc={tc},ttl={ttl},bos={bos},")?;
            write!(f, "eth_type={eth_type:#x}")?;
            f.write_str(if *behind_ethernet { ",tun_flags=1)" } else { ")" })
        }
        Action::PopMpls { eth_type } => write!(f, "pop_mpls(eth_type={eth_type:#x})"),
        Action::PushEthernet(eth) => write!(f, "push_eth(src={},dst={})", eth.src, eth.dst),
        Action::PopEthernet => f.write_str("pop_eth"),
        Action::PushNsh(header) => push_nsh(f, header),
        Action::PopNsh => f.write_str("pop_nsh()"),
        Action::Set(set) => set::print(f, set, ports),
        Action::DecTtl(exhausted) => {
            f.write_str("dec_ttl(le_1(")?;
            list(f, exhausted, ports)?;
            f.write_str("))")
        }
        Action::Trunc(len) => write!(f, "trunc({len})"),
        Action::Meter(meter) => write!(f, "meter({})", meter.0),
        Action::Hash { algorithm, basis } => match algorithm {
            HashAlgorithm::L4 => write!(f, "hash(l4({basis}))"),
            HashAlgorithm::SymL4 => write!(f, "hash(sym_l4({basis}))"),
        },
        Action::Sample { probability, actions } => {
            let percent = 100.0 * f64::from(*probability) / f64::from(u32::MAX);
            write!(f, "sample(sample={percent:.1}%,actions(")?;
            list(f, actions, ports)?;
            f.write_str("))")
        }
        Action::Clone(actions) => {
            f.write_str("clone(")?;
            list(f, actions, ports)?;
            f.write_str(")")
        }
        Action::CheckPktLen { len, greater, less_or_equal } => {
            write!(f, "check_pkt_len(size={len},gt(")?;
            list(f, greater, ports)?;
            f.write_str("),le(")?;
            list(f, less_or_equal, ports)?;
            f.write_str("))")
        }
        Action::Ct(ct) => ct::print(f, ct),
        Action::CtClear => f.write_str("ct_clear"),
        Action::TunnelPush(push) => tunnel::print(f, push, ports),
        Action::TunnelPop(number) => {
            f.write_str("tnl_pop(")?;
            port(f, *number, ports)?;
            f.write_str(")")
        }
        Action::Recirc(id) if id.0 == 0 => f.write_str("recirc(0)"),
        Action::Recirc(id) => write!(f, "recirc({:#x})", id.0),
    }
}

fn mpls(f: &mut dyn fmt::Write, name: &str, lse: u32, eth_type: u16) -> fmt::Result {
    let (label, tc, ttl, bos) = label_parts(lse);
    write!(f, "{name}(label={label},tc={tc},ttl={ttl},bos={bos},eth_type={eth_type:#x})")
}

fn push_nsh(f: &mut dyn fmt::Write, header: &nsh::Header) -> fmt::Result {
    let key = &header.key;
    write!(f, "push_nsh(flags={},ttl={},mdtype={}", key.flags, key.ttl, key.mdtype)?;
    write!(f, ",np={},spi={:#x},si={}", key.np, key.spi, key.si)?;
    if key.mdtype == 1 {
        for (at, word) in key.context.iter().enumerate() {
            write!(f, ",c{}={word:#x}", at + 1)?;
        }
    } else {
        f.write_str(",md2=")?;
        // All its digits: leading zeros are metadata, too.
        match header.metadata2.iter().all(|&byte| byte == 0) {
            true => print_bytes(f, &header.metadata2)?,
            false => {
                f.write_str("0x")?;
                header.metadata2.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            }
        }
    }
    f.write_str(")")
}
