//! A spanning tree as operators see it: `stp/show`, `Bridge status`, `Port status`.

use std::fmt::{self, Write as _};

use dp_core::base::{Instant, OfPort};

use super::{PortStats, Role, State, Stp};
use crate::protocols::bpdu::BridgeId;

/// A port as OVSDB shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortStatus {
    /// Priority and number.
    pub id: u16,
    /// State.
    pub state: State,
    /// Seconds in that state.
    pub seconds: u64,
    /// Role.
    pub role: Role,
    /// What it counts.
    pub stats: PortStats,
}

impl Stp {
    /// The bridge's id, the root's, and the cost to it.
    #[must_use]
    pub const fn status(&self) -> (BridgeId, BridgeId, u32) {
        (self.config.id, self.root, self.root_cost)
    }

    /// A port as OVSDB shows it; `None`: it takes no part.
    #[must_use]
    pub fn port_status(&self, ofport: OfPort, now: Instant) -> Option<PortStatus> {
        let port = self.ports.get(&ofport)?;
        Some(PortStatus {
            id: port.config.id(),
            state: port.state,
            seconds: now.since(port.since).as_secs(),
            role: self.role(ofport),
            stats: port.stats,
        })
    }

    /// The lines of `stp/show`, each ended.
    #[must_use]
    pub fn show(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_show(&mut text);
        text
    }

    fn write_show(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "---- {} ----\nRoot ID:", self.name)?;
        let times = |text: &mut String, id: BridgeId, times: [std::time::Duration; 3]| {
            let [hello, max_age, forward_delay] = times.map(|time| time.as_secs());
            writeln!(text, "  stp-priority  {}", id.priority())?;
            writeln!(text, "  stp-system-id   {}", id.mac())?;
            writeln!(text, "  stp-hello-time  {hello}s")?;
            writeln!(text, "  stp-max-age     {max_age}s")?;
            writeln!(text, "  stp-fwd-delay   {forward_delay}s")
        };
        times(text, self.root, [self.hello, self.max_age, self.forward_delay])?;
        let root_port = self.root_port.and_then(|root| self.ports.get(&root));
        match root_port {
            None => writeln!(text, "  This bridge is the root")?,
            Some(port) => {
                writeln!(text, "  root-port       {}", port.config.name)?;
                writeln!(text, "  root-path-cost  {}", self.root_cost)?;
            }
        }
        writeln!(text, "\nBridge ID:")?;
        let own = &self.config;
        times(text, own.id, [own.hello, own.max_age, own.forward_delay])?;
        writeln!(
            text,
            "\n  {:<10} {:<10} {:<10} {:<5} {:<8}",
            "Interface", "Role", "State", "Cost", "Pri.Nbr"
        )?;
        writeln!(text, "  ---------- ---------- ---------- ----- -------")?;
        for (ofport, port) in self.ports.iter().filter(|(_, port)| port.config.up) {
            let role = self.role(*ofport);
            writeln!(
                text,
                "  {:<10} {role:<10} {:<10} {:<5} {}.{}",
                port.config.name,
                port.state,
                port.config.path_cost,
                port.config.priority,
                port.config.number,
            )?;
        }
        writeln!(text)
    }
}
