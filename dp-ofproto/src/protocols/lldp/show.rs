//! `autoattach/*`: what a port knows, as text.

use std::fmt::Write as _;

use super::frame::{Identifier, kind};
use super::{Agent, Element, Neighbour};

impl Agent {
    /// `autoattach/status`: who is at the other end, where he takes part in auto-attach.
    #[must_use]
    pub fn show_status(&self) -> String {
        let mut text = format!("LLDP: {}\n", self.config.name);
        for neighbour in self.neighbours() {
            if let Some(element) = &neighbour.pdu.element {
                let _ = write_server(&mut text, neighbour, element);
            }
        }
        text
    }

    /// `autoattach/show-isid`: mappings, and what has become of them.
    #[must_use]
    pub fn show_isid(&self) -> String {
        let mut text = format!(
            "LLDP: {}\n{:<8} {:<4} {:<11} {:<8}\n-------- ---- ----------- --------\n",
            self.config.name, "I-SID", "VLAN", "Source", "Status"
        );
        for (&isid, vlan) in self.config.mappings.iter().rev() {
            let status = match self.status(isid) {
                None => "Pending",
                Some(2) => "Active",
                Some(3) => "Reject (Generic)",
                Some(4) => "Reject (AA resources unavailable)",
                Some(6) => "Reject (Invalid)",
                Some(8) => "Reject (VLAN resources unavailable)",
                Some(9) => "Reject (Application interaction issue)",
                Some(_) => "Undefined",
            };
            let _ = writeln!(text, "{isid:<8} {vlan:<4} {:<11} {status:<11}", "Switch");
        }
        text
    }

    /// `autoattach/statistics`.
    #[must_use]
    pub fn show_statistics(&self) -> String {
        let mut text = format!("Statistics: {}\n", self.config.name);
        let stats = &self.stats;
        for (name, count) in [
            ("tx", stats.tx),
            ("rx", stats.rx),
            ("rx discarded", stats.rx_discarded),
            ("rx unrecognized", stats.rx_unrecognized),
            ("ageout", stats.ageouts),
            ("insert", stats.inserts),
            ("delete", stats.deletes),
            ("drop", stats.drops),
        ] {
            let _ = writeln!(text, "  {name} cnt: {count}");
        }
        text
    }
}

fn write_server(text: &mut String, neighbour: &Neighbour, element: &Element) -> std::fmt::Result {
    let [_, c1, c2, c3] = element.connection;
    let c0 = element.connection[0] & 0x0f;
    let description = neighbour.pdu.system_description.as_deref().unwrap_or_default();
    writeln!(text, "  Auto Attach Primary Server Id: {}", id(&neighbour.pdu.chassis))?;
    writeln!(text, "  Auto Attach Primary Server Descr: {description}")?;
    writeln!(
        text,
        "  Auto Attach Primary Server System Id: {}:00:00:{c1:02x}:{c0:02x}:{c2:02x}:{c3:02x}",
        element.system
    )
}

/// An identifier: addresses as such, texts as they are, anything else as bytes.
fn id(id: &Identifier) -> String {
    let hex = || {
        let bytes: Vec<String> = id.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        bytes.join(":")
    };
    match id.kind {
        kind::CHASSIS_MAC => hex(),
        _ => match std::str::from_utf8(&id.bytes) {
            Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
            _ => hex(),
        },
    }
}
