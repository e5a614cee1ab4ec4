//! What bonds and bridge protocols write back.

use std::collections::BTreeMap;

use super::bridge::{Interface, RunningBridge};
use dp_core::base::OfPort;
use dp_ofproto::services::trees::Tree;

use super::Switch;
use super::status::{Columns, integers, map_of, number, numbers, text, texts, truth};
use crate::config::PortConfig;
use crate::ovsdb::value::Datum;

impl Switch {
    /// The columns of a bridge's rows that bonds and protocols fill.
    pub(super) fn service_columns(&self, bridge: &RunningBridge, columns: &mut Columns) {
        self.tree_columns(bridge, columns);
        self.lldp_columns(bridge, columns);
        let state = bridge.state();
        // The lowest number of each port's interfaces.
        let mut ofports = BTreeMap::new();
        for interface in state.interfaces.values() {
            if let Some(ofport) = interface.ofport {
                let least = ofports.entry(interface.port.as_str()).or_insert(ofport);
                *least = ofport.min(*least);
            }
        }
        for port in &state.config.ports {
            let mac = self.services.with_bond(&port.name, |bond| bond.active_mac());
            let mac = mac.map_or_else(Datum::empty_set, |mac| text(&mac.to_string()));
            columns.set("Port", port.uuid, "bond_active_slave", mac);
            let ofport = ofports.get(port.name.as_str()).copied();
            self.tree_port_columns(bridge, port, ofport, columns);
        }
        for interface in state.interfaces.values() {
            self.watch_columns(bridge, interface, columns);
        }
    }

    fn watch_columns(&self, bridge: &RunningBridge, interface: &Interface, columns: &mut Columns) {
        let uuid = interface.config.uuid;
        let mut set = |column, value| columns.set("Interface", uuid, column, value);
        let ofport = interface.ofport;
        let current = ofport.and_then(|it| self.services.lacp_current(&bridge.name, it));
        set("lacp_current", current.map_or_else(Datum::empty_set, truth));
        let bfd = ofport.and_then(|it| self.services.bfd_status(&bridge.name, it, self.now()));
        set(
            "bfd_status",
            bfd.map_or_else(Datum::empty_map, |keys| map_of(keys.into_iter().collect())),
        );
        let Some(cfm) = ofport.and_then(|it| self.services.cfm_status(&bridge.name, it)) else {
            for column in [
                "cfm_fault",
                "cfm_fault_status",
                "cfm_flap_count",
                "cfm_health",
                "cfm_remote_mpids",
                "cfm_remote_opstate",
            ] {
                set(column, Datum::empty_set());
            }
            return;
        };
        set("cfm_fault", truth(!cfm.faults.is_empty()));
        set("cfm_fault_status", texts(cfm.faults.names()));
        set("cfm_flap_count", number(i64::try_from(cfm.flaps).unwrap_or(i64::MAX)));
        set("cfm_health", cfm.health.map_or_else(Datum::empty_set, |it| number(i64::from(it))));
        let mpids = cfm.remote_mpids.iter().map(|mpid| mpid.cast_signed()).collect();
        set("cfm_remote_mpids", integers(mpids));
        let word = |up: bool| text(if up { "up" } else { "down" });
        set("cfm_remote_opstate", cfm.remote_opup.map_or_else(Datum::empty_set, word));
    }

    fn tree_columns(&self, bridge: &RunningBridge, columns: &mut Columns) {
        let uuid = bridge.state().config.uuid;
        let (mut status, mut rapid) = (Vec::new(), Vec::new());
        self.services.with_tree(&bridge.name, |tree| match tree {
            Tree::Stp(stp) => {
                let (own, root, cost) = stp.status();
                status = vec![
                    ("stp_bridge_id", own.to_string()),
                    ("stp_designated_root", root.to_string()),
                    ("stp_root_path_cost", cost.to_string()),
                ];
            }
            Tree::Rstp(rstp) => {
                let it = rstp.status();
                rapid = vec![
                    ("rstp_bridge_id", it.bridge_id),
                    ("rstp_bridge_port_id", format!("{:04x}", it.bridge_port_id)),
                    ("rstp_designated_id", it.designated_id),
                    ("rstp_designated_port_id", format!("{:04x}", it.designated_port_id)),
                    ("rstp_root_id", it.root_id),
                    ("rstp_root_path_cost", it.root_path_cost.to_string()),
                ];
            }
        });
        columns.set("Bridge", uuid, "status", map_of(status));
        columns.set("Bridge", uuid, "rstp_status", map_of(rapid));
    }

    fn tree_port_columns(
        &self,
        bridge: &RunningBridge,
        port: &PortConfig,
        ofport: Option<OfPort>,
        columns: &mut Columns,
    ) {
        let now = self.now();
        let (mut status, mut statistics) = (Vec::new(), Vec::new());
        let (mut rapid, mut rapid_statistics) = (Vec::new(), Vec::new());
        if let Some(ofport) = ofport {
            self.services.with_tree(&bridge.name, |tree| match tree {
                Tree::Stp(stp) => {
                    let Some(it) = stp.port_status(ofport, now) else { return };
                    status = vec![
                        ("stp_port_id", it.id.to_string()),
                        ("stp_role", it.role.to_string()),
                        ("stp_sec_in_state", it.seconds.to_string()),
                        ("stp_state", it.state.to_string()),
                    ];
                    statistics = vec![
                        ("stp_error_count", it.stats.errors),
                        ("stp_rx_count", it.stats.rx),
                        ("stp_tx_count", it.stats.tx),
                    ];
                }
                Tree::Rstp(rstp) => {
                    let Some(it) = rstp.port_status(ofport, now) else { return };
                    rapid = vec![
                        ("rstp_designated_bridge_id", it.designated_bridge_id),
                        ("rstp_designated_path_cost", it.designated_path_cost.to_string()),
                        ("rstp_designated_port_id", format!("{:04x}", it.designated_port_id)),
                        ("rstp_port_id", format!("{:04x}", it.id)),
                        ("rstp_port_role", it.role.to_string()),
                        ("rstp_port_state", it.state.to_string()),
                    ];
                    rapid_statistics = vec![
                        ("rstp_error_count", it.stats.errors),
                        ("rstp_rx_count", it.stats.rx),
                        ("rstp_tx_count", it.stats.tx),
                        ("rstp_uptime", it.uptime),
                    ];
                }
            });
        }
        columns.set("Port", port.uuid, "status", map_of(status));
        columns.set("Port", port.uuid, "statistics", numbers(counts(statistics)));
        columns.set("Port", port.uuid, "rstp_status", map_of(rapid));
        columns.set("Port", port.uuid, "rstp_statistics", numbers(counts(rapid_statistics)));
    }
}

fn counts(values: Vec<(&str, u64)>) -> Vec<(String, u64)> {
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
