//! A bond as operators see it: `bond/show`, `bond/list`.

use std::fmt::{self, Write as _};

use dp_core::base::Instant;

use super::{Bond, LacpState, Member, Mode};
use crate::protocols::lacp::Negotiation;

impl Bond {
    /// The lines of `bond/show`, each ended.
    #[must_use]
    pub fn show(&self, now: Instant) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_show(&mut text, now);
        text
    }

    fn write_show(&self, text: &mut String, now: Instant) -> fmt::Result {
        let config = &self.config;
        writeln!(text, "---- {} ----", self.name)?;
        writeln!(text, "bond_mode: {}", config.mode)?;
        // A bond that has fallen back to one member passes no packet twice.
        let recirculates = self.mode_now() == Mode::BalanceTcp && self.recirc.is_some();
        let (may, id) = match self.recirc.filter(|_| recirculates) {
            Some(id) => ("yes", i64::from(id)),
            None => ("no", -1),
        };
        writeln!(text, "bond may use recirculation: {may}, Recirc-ID : {id}")?;
        writeln!(text, "bond-hash-basis: {}", config.basis)?;
        let lb = config.lb_output && config.mode == Mode::BalanceTcp;
        let (lb, id) = if lb { ("enabled", i64::from(self.id.0)) } else { ("disabled", -1) };
        writeln!(text, "lb_output action: {lb}, bond-id: {id}")?;
        if config.mode == Mode::BalanceSlb {
            writeln!(text, "all members active: {}", config.all_active)?;
        }
        writeln!(text, "updelay: {} ms", config.updelay.as_millis())?;
        writeln!(text, "downdelay: {} ms", config.downdelay.as_millis())?;
        if config.mode != Mode::ActiveBackup && !config.rebalance_interval.is_zero() {
            writeln!(text, "next rebalance: {} ms", left(self.next_rebalance, now))?;
        }
        let lacp = match self.lacp {
            LacpState::Off => "off",
            LacpState::On(Negotiation::Configured) => "configured",
            LacpState::On(Negotiation::Negotiated) => "negotiated",
        };
        writeln!(text, "lacp_status: {lacp}")?;
        writeln!(text, "lacp_fallback_ab: {}", config.fallback_ab)?;
        // Only a bond that may come down to one member has one.
        let may = config.mode == Mode::ActiveBackup || config.fallback_ab;
        match config.primary.as_ref().filter(|_| may) {
            None => writeln!(text, "active-backup primary: <none>")?,
            Some(name) if self.member_named(name).is_some() => {
                writeln!(text, "active-backup primary: {name}")?;
            }
            Some(name) => writeln!(text, "active-backup primary: {name} (no such member)")?,
        }
        let active = self.active.and_then(|active| self.members.get(&active));
        let active = active.map_or("none", |member| member.name());
        writeln!(text, "active member mac: {}({active})", self.active_mac())?;
        self.write_members(text, now)
    }

    fn write_members(&self, text: &mut String, now: Instant) -> fmt::Result {
        let mut members: Vec<_> = self.members().collect();
        members.sort_by(|a, b| a.1.name().cmp(b.1.name()));
        for (ofport, member) in members {
            let enabled = if member.is_enabled() { "enabled" } else { "disabled" };
            writeln!(text, "\nmember {}: {enabled}", member.name())?;
            if self.active == Some(ofport) {
                writeln!(text, "  active member")?;
            }
            if let Some(until) = member.delayed_until() {
                let which = if member.is_enabled() { "downdelay" } else { "updelay" };
                writeln!(text, "  {which} expires in {} ms", left(until, now))?;
            }
            writeln!(text, "  may_enable: {}", member.may_enable())?;
            if self.config.mode == Mode::ActiveBackup {
                continue;
            }
            let shares = self.shares.0.iter().enumerate();
            for (hash, share) in shares.filter(|(_, share)| share.member == Some(ofport)) {
                let load = share.bytes / 1024;
                if load > 0 {
                    writeln!(text, "  hash {hash}: {load} kB load")?;
                }
            }
        }
        Ok(())
    }
}

fn left(moment: Instant, now: Instant) -> u64 {
    moment.as_millis().saturating_sub(now.as_millis())
}

/// The lines of `bond/list`, each ended.
#[must_use]
pub fn list<'a>(bonds: impl IntoIterator<Item = &'a Bond>) -> String {
    let mut text = "bond\ttype\trecircID\tmembers\n".to_owned();
    for bond in bonds {
        let mut names: Vec<&str> = bond.members.values().map(Member::name).collect();
        names.sort_unstable();
        let recirc = bond.recirc.unwrap_or(0);
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "{}\t{}\t{recirc}\t{}", bond.name, bond.config.mode, names.join(", "));
    }
    text
}
