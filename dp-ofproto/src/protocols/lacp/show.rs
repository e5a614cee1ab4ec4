//! An aggregate as operators see it: `lacp/show`, `lacp/show-stats`.

use std::fmt::{self, Write as _};

use dp_core::base::OfPort;

use super::member::{Member, Status};
use super::{Info, Lacp};

impl Lacp {
    /// The lines of `lacp/show`, each ended.
    #[must_use]
    pub fn show(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_show(&mut text);
        text
    }

    fn by_name(&self) -> Vec<(OfPort, &Member)> {
        let mut members: Vec<_> = self.members().collect();
        members.sort_by(|a, b| a.1.config().name.cmp(&b.1.config().name));
        members
    }

    fn write_show(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "---- {} ----", self.name)?;
        let active = if self.config.active { "active" } else { "passive" };
        let negotiated = if self.negotiated { " negotiated" } else { "" };
        writeln!(text, "  status: {active}{negotiated}")?;
        writeln!(text, "  sys_id: {}", self.config.id)?;
        writeln!(text, "  sys_priority: {}", self.config.priority)?;
        let lead = self.key_member.map_or(0, |lead| self.actor(lead).key);
        writeln!(text, "  aggregation key: {lead}")?;
        writeln!(text, "  lacp_time: {}", if self.config.fast { "fast" } else { "slow" })?;
        for (ofport, member) in self.by_name() {
            let status = match member.status() {
                Status::Current => "current",
                Status::Expired => "expired",
                Status::Defaulted => "defaulted",
            };
            let attached = if member.is_attached() { "attached" } else { "detached" };
            writeln!(text, "\nmember: {}: {status} {attached}", member.config().name)?;
            writeln!(text, "  port_id: {}", member.config().id)?;
            writeln!(text, "  port_priority: {}", member.config().priority)?;
            writeln!(text, "  may_enable: {}", self.member_may_enable(member))?;
            write_info(text, "actor", &self.actor(ofport))?;
            write_info(text, "partner", member.partner())?;
        }
        Ok(())
    }

    /// The lines of `lacp/show-stats`, each ended.
    #[must_use]
    pub fn show_stats(&self) -> String {
        let mut text = format!("---- {} statistics ----\n", self.name);
        let _ = (|| {
            for (_, member) in self.by_name() {
                let stats = member.stats();
                writeln!(text, "\nmember: {}:", member.config().name)?;
                writeln!(text, "  TX PDUs: {}", stats.tx_pdus)?;
                writeln!(text, "  RX PDUs: {}", stats.rx_pdus)?;
                writeln!(text, "  RX Bad PDUs: {}", stats.rx_bad)?;
                writeln!(text, "  RX Marker Request PDUs: {}", stats.rx_marker)?;
                writeln!(text, "  Link Expired: {}", stats.expired)?;
                writeln!(text, "  Link Defaulted: {}", stats.defaulted)?;
                writeln!(text, "  Carrier Status Changed: {}", stats.carrier_changed)?;
            }
            fmt::Result::Ok(())
        })();
        text
    }
}

fn write_info(text: &mut String, who: &str, info: &Info) -> fmt::Result {
    writeln!(text, "\n  {who} sys_id: {}", info.sys_id)?;
    writeln!(text, "  {who} sys_priority: {}", info.sys_priority)?;
    writeln!(text, "  {who} port_id: {}", info.port_id)?;
    writeln!(text, "  {who} port_priority: {}", info.port_priority)?;
    writeln!(text, "  {who} key: {}", info.key)?;
    let line = format!("  {who} state: {}", info.state);
    writeln!(text, "{}", line.trim_end())
}
