//! A rapid spanning tree as operators see it: `rstp/show`, `rstp_status`.

use std::fmt::{self, Write as _};

use dp_core::base::{Instant, OfPort};

use super::Rstp;
use super::port::{PortStats, Role, State, Times};
use crate::protocols::bpdu::BridgeId;

/// A bridge as OVSDB shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeStatus {
    /// Its id.
    pub bridge_id: String,
    /// The root's.
    pub root_id: String,
    /// The cost to it.
    pub root_path_cost: u32,
    /// The designated bridge of the root port's LAN.
    pub designated_id: String,
    /// Its port there.
    pub designated_port_id: u16,
    /// The root port.
    pub bridge_port_id: u16,
}

/// A port as OVSDB shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortStatus {
    /// Priority and number.
    pub id: u16,
    /// Role.
    pub role: Role,
    /// State.
    pub state: State,
    /// The designated bridge of its LAN.
    pub designated_bridge_id: String,
    /// That one's port.
    pub designated_port_id: u16,
    /// That one's cost to the root.
    pub designated_path_cost: u32,
    /// What it counts.
    pub stats: PortStats,
    /// Seconds since it came to be as it is.
    pub uptime: u64,
}

/// A bridge's id as OVSDB writes it: priority, extension, address.
fn id_text(id: BridgeId) -> String {
    let priority = id.priority();
    format!("{:x}.{:03x}.{:012x}", priority >> 12, priority & 0xfff, id.mac().to_u64())
}

impl Rstp {
    /// The bridge as OVSDB shows it.
    #[must_use]
    pub fn status(&self) -> BridgeStatus {
        let root = self.root_priority;
        let own_port = self.root_port.and_then(|at| self.ports.get(&at));
        BridgeStatus {
            bridge_id: id_text(self.config.id),
            root_id: id_text(root.root),
            root_path_cost: root.cost,
            designated_id: id_text(root.bridge),
            designated_port_id: root.port,
            bridge_port_id: own_port.map_or(0, |port| port.config.id()),
        }
    }

    /// A port as OVSDB shows it; `None`: it takes no part.
    #[must_use]
    pub fn port_status(&self, ofport: OfPort, now: Instant) -> Option<PortStatus> {
        let port = self.ports.get(&ofport)?;
        Some(PortStatus {
            id: port.config.id(),
            role: port.role,
            state: port.state(),
            designated_bridge_id: id_text(port.port_priority.bridge),
            designated_port_id: port.port_priority.port,
            designated_path_cost: port.port_priority.cost,
            stats: port.stats,
            uptime: now.since(self.began).as_secs(),
        })
    }

    /// The role of a port.
    #[must_use]
    pub fn role(&self, ofport: OfPort) -> Role {
        self.ports.get(&ofport).map_or(Role::Disabled, |port| port.role)
    }

    /// The lines of `rstp/show`, each ended.
    #[must_use]
    pub fn show(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_show(&mut text);
        text
    }

    fn write_show(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "---- {} ----\nRoot ID:", self.name)?;
        write_id(text, self.root_priority.root, self.root_times)?;
        match self.root_port.and_then(|at| self.ports.get(&at)) {
            None => writeln!(text, "  This bridge is the root")?,
            Some(port) => {
                writeln!(text, "  root-port       {}", port.config.name)?;
                writeln!(text, "  root-path-cost  {}", self.root_priority.cost)?;
            }
        }
        writeln!(text, "\nBridge ID:")?;
        write_id(text, self.config.id, self.config.times())?;
        writeln!(text, "\n  Interface  Role       State      Cost     Pri.Nbr ")?;
        writeln!(text, "  ---------- ---------- ---------- -------- -------")?;
        for port in self.ports.values() {
            writeln!(
                text,
                "  {:<10} {:<10} {:<10} {:<8} {}.{}",
                port.config.name,
                port.role,
                port.state(),
                port.config.path_cost,
                port.config.priority,
                port.config.number,
            )?;
        }
        writeln!(text)
    }
}

fn write_id(text: &mut String, id: BridgeId, times: Times) -> fmt::Result {
    writeln!(text, "  stp-priority    {}", id.priority())?;
    writeln!(text, "  stp-system-id   {}", id.mac())?;
    writeln!(text, "  stp-hello-time  {}s", times.hello)?;
    writeln!(text, "  stp-max-age     {}s", times.max_age)?;
    writeln!(text, "  stp-fwd-delay   {}s", times.forward_delay)
}
