//! LLDP and auto-attach: configured from the database, and what auto-attach writes back.
//!
//! A mapping of auto-attach is a VLAN that the ports which speak LLDP are to carry: as in the
//! reference, the port's row is told so (`trunks`, `vlan_mode`), and told otherwise when the mapping
//! goes.

use std::collections::{BTreeMap, BTreeSet};

use dp_core::base::OfPort;
use dp_ofproto::protocols::lldp;

use super::Switch;
use super::bridge::{BridgeState, RunningBridge};
use super::services::mac_of;
use super::status::{Columns, integers, text};
use crate::config::{PortConfig, is_true};
use crate::daemon::usage;

/// VLANs that auto-attach has given to ports, by bridge and port.
pub(super) type AttachedVlans = BTreeMap<(String, String), BTreeSet<i64>>;

impl Switch {
    /// Configures LLDP on a bridge whose interfaces are open.
    pub(super) fn apply_lldp(&self, bridge: &RunningBridge, state: &BridgeState) {
        let ports = state
            .interfaces
            .values()
            .filter(|it| is_true(&it.config.lldp, "enable"))
            .filter_map(|it| {
                let attach = state.config.auto_attach.as_ref();
                let said = |text: &String| !text.is_empty();
                let config = lldp::Config {
                    name: it.config.name.clone(),
                    mac: mac_of(bridge, it),
                    system_name: attach.map(|it| it.system_name.clone()).filter(said),
                    system_description: attach
                        .map(|it| it.system_description.clone())
                        .filter(said)
                        .unwrap_or_else(|| format!("openvswitch {}", usage::COMPATIBLE)),
                    mappings: attach.map(|it| it.mappings.clone()).unwrap_or_default(),
                };
                Some((it.ofport?, config))
            })
            .collect::<Vec<(OfPort, lldp::Config)>>();
        self.services.set_lldp(&bridge.name, ports, self.now());
    }

    /// The VLANs of mappings, in the rows of the ports that speak LLDP.
    pub(super) fn lldp_columns(&self, bridge: &RunningBridge, columns: &mut Columns) {
        let state = bridge.state();
        let mappings = state.config.auto_attach.as_ref().map(|it| &it.mappings);
        let vlans: BTreeSet<i64> =
            mappings.into_iter().flat_map(|it| it.values()).map(|it| i64::from(*it)).collect();
        let mut switch = self.state();
        for port in &state.config.ports {
            let key = (bridge.name.clone(), port.name.clone());
            let speaks = port.interfaces.iter().any(|it| is_true(&it.lldp, "enable"));
            let wanted = if speaks { vlans.clone() } else { BTreeSet::new() };
            let given = switch.attached.get(&key).cloned().unwrap_or_default();
            if wanted.is_empty() && given.is_empty() {
                continue;
            }
            attach(port, &given, &wanted, columns);
            switch.attached.insert(key, wanted);
        }
    }
}

fn attach(port: &PortConfig, given: &BTreeSet<i64>, wanted: &BTreeSet<i64>, columns: &mut Columns) {
    let before: BTreeSet<i64> = port.trunks.iter().copied().collect();
    let mut trunks: BTreeSet<i64> = before.clone();
    trunks.retain(|vlan| wanted.contains(vlan) || !given.contains(vlan));
    trunks.extend(wanted);
    if trunks != before {
        columns.set("Port", port.uuid, "trunks", integers(trunks.into_iter().collect()));
    }
    if !wanted.is_empty() && port.vlan_mode.as_deref() != Some("trunk") {
        columns.set("Port", port.uuid, "vlan_mode", text("trunk"));
    }
}
