//! What the database says the switch is to be, as plain values.
//!
//! ```text
//!   replica ── read ──► SwitchConfig ── compared with what runs ──► changes
//! ```
//!
//! Nothing here acts. Values keep the database's words; what a word means is decided where it is
//! applied, so that what cannot be applied is an error of that row alone.

mod read;
pub(crate) mod unused;
pub(crate) mod view;
pub(crate) mod wrong;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use view::Settings;

use crate::ovsdb::uuid::Uuid;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SwitchConfig {
    /// The one row of `Open_vSwitch`.
    pub(crate) root: Option<Uuid>,
    pub(crate) next_cfg: i64,
    pub(crate) cur_cfg: i64,
    pub(crate) other_config: Settings,
    pub(crate) external_ids: Settings,
    /// What the start scripts say of the host and the database, for readers: `system_type`,
    /// `system_version`, `db_version`.
    pub(crate) system: [String; 3],
    pub(crate) bridges: Vec<BridgeConfig>,
    pub(crate) ssl: Option<SslConfig>,
    /// By datapath type, rows that the control plane made.
    pub(crate) datapaths: BTreeMap<String, DatapathConfig>,
    /// Sampling by sets of collectors.
    pub(crate) collector_sets: Vec<CollectorSetConfig>,
}

/// What the control plane says of a datapath.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DatapathConfig {
    pub(crate) uuid: Uuid,
    /// Connections that a zone may have which nothing else is said of.
    pub(crate) default_limit: Option<i64>,
    /// Zones of connection tracking.
    pub(crate) zones: BTreeMap<u16, ZoneConfig>,
}

/// The row `SSL`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SslConfig {
    pub(crate) private_key: String,
    pub(crate) certificate: String,
    pub(crate) ca_cert: String,
    pub(crate) bootstrap_ca_cert: bool,
    pub(crate) protocols: Option<String>,
    pub(crate) ciphers: Option<String>,
    pub(crate) ciphersuites: Option<String>,
}

/// A zone of connection tracking.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ZoneConfig {
    pub(crate) limit: Option<i64>,
    /// Seconds by state.
    pub(crate) timeouts: BTreeMap<String, i64>,
}

/// A bridge.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BridgeConfig {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) datapath_type: String,
    pub(crate) fail_mode: Option<String>,
    pub(crate) protocols: Vec<String>,
    pub(crate) other_config: Settings,
    pub(crate) external_ids: Settings,
    pub(crate) flood_vlans: Vec<i64>,
    pub(crate) stp_enable: bool,
    pub(crate) rstp_enable: bool,
    pub(crate) mcast_snooping_enable: bool,
    pub(crate) ports: Vec<PortConfig>,
    pub(crate) controllers: Vec<ControllerConfig>,
    /// What the managers of the database are called: they may be reached through the bridge.
    pub(crate) managers: Vec<String>,
    pub(crate) mirrors: Vec<MirrorConfig>,
    pub(crate) flow_tables: BTreeMap<u8, FlowTableConfig>,
    pub(crate) netflow: Option<ExportConfig>,
    pub(crate) sflow: Option<ExportConfig>,
    pub(crate) ipfix: Option<ExportConfig>,
    pub(crate) auto_attach: Option<AutoAttachConfig>,
}

/// Auto-attach of a bridge.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AutoAttachConfig {
    pub(crate) system_name: String,
    pub(crate) system_description: String,
    /// VLANs by service.
    pub(crate) mappings: BTreeMap<u32, u16>,
}

/// A port: one interface, or a bond of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PortConfig {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) interfaces: Vec<InterfaceConfig>,
    pub(crate) tag: Option<i64>,
    pub(crate) trunks: Vec<i64>,
    pub(crate) cvlans: Vec<i64>,
    pub(crate) vlan_mode: Option<String>,
    pub(crate) bond_mode: Option<String>,
    pub(crate) bond_updelay: i64,
    pub(crate) bond_downdelay: i64,
    pub(crate) bond_fake_iface: bool,
    pub(crate) lacp: Option<String>,
    pub(crate) mac: Option<String>,
    pub(crate) protected: bool,
    pub(crate) other_config: Settings,
    pub(crate) qos: Option<QosConfig>,
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct InterfaceConfig {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    /// `type`: empty for a network interface of the system.
    pub(crate) kind: String,
    pub(crate) options: Settings,
    pub(crate) other_config: Settings,
    pub(crate) external_ids: Settings,
    pub(crate) ofport_request: Option<i64>,
    pub(crate) mac: Option<String>,
    pub(crate) mtu_request: Option<i64>,
    pub(crate) policing: Policing,
    pub(crate) bfd: Settings,
    pub(crate) lldp: Settings,
    pub(crate) cfm_mpid: Option<i64>,
}

/// `ingress_policing_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policing {
    pub(crate) rate: i64,
    pub(crate) burst: i64,
    pub(crate) kpkts_rate: i64,
    pub(crate) kpkts_burst: i64,
}

/// A queueing discipline and its queues.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct QosConfig {
    pub(crate) uuid: Uuid,
    pub(crate) kind: String,
    pub(crate) other_config: Settings,
    pub(crate) queues: BTreeMap<u32, QueueConfig>,
}

/// A queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct QueueConfig {
    pub(crate) dscp: Option<i64>,
    pub(crate) other_config: Settings,
}

/// A controller of a bridge.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ControllerConfig {
    pub(crate) uuid: Uuid,
    pub(crate) target: String,
    pub(crate) kind: Option<String>,
    pub(crate) connection_mode: Option<String>,
    pub(crate) max_backoff: Option<i64>,
    pub(crate) inactivity_probe: Option<i64>,
    pub(crate) enable_async_messages: bool,
    pub(crate) controller_rate_limit: Option<i64>,
    pub(crate) controller_burst_limit: Option<i64>,
    pub(crate) controller_queue_size: Option<i64>,
    pub(crate) other_config: Settings,
}

/// A mirror.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MirrorConfig {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) select_all: bool,
    /// Names of ports.
    pub(crate) select_src: Vec<String>,
    pub(crate) select_dst: Vec<String>,
    pub(crate) select_vlan: Vec<i64>,
    pub(crate) output_port: Option<String>,
    pub(crate) output_vlan: Option<i64>,
    pub(crate) snaplen: Option<i64>,
    pub(crate) filter: Option<String>,
}

/// Settings of a flow table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FlowTableConfig {
    pub(crate) name: Option<String>,
    pub(crate) flow_limit: Option<i64>,
    pub(crate) overflow_policy: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) prefixes: Vec<String>,
}

/// A row of NetFlow, sFlow or IPFIX: its columns by name, for the protocol to understand.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ExportConfig {
    pub(crate) uuid: Uuid,
    pub(crate) targets: Vec<String>,
    pub(crate) numbers: BTreeMap<&'static str, i64>,
    pub(crate) texts: BTreeMap<&'static str, String>,
    pub(crate) other_config: Settings,
    pub(crate) add_id_to_interface: bool,
}

/// A set of IPFIX collectors for the action `sample`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CollectorSetConfig {
    pub(crate) uuid: Uuid,
    pub(crate) id: i64,
    pub(crate) bridge: Option<String>,
    pub(crate) ipfix: Option<ExportConfig>,
    pub(crate) local_group_id: Option<i64>,
}

impl SwitchConfig {
    /// Whether another configuration asks for the same, `next_cfg` included; what the switch writes
    /// back itself does not count.
    pub(crate) fn same_wishes(&self, other: &Self) -> bool {
        let plain = |config: &Self| Self { cur_cfg: 0, ..config.clone() };
        plain(self) == plain(other)
    }
}

/// Whether a setting is `true`; any other word is `false`, as the reference reads it.
pub(crate) fn is_true(settings: &Settings, key: &str) -> bool {
    settings.get(key).is_some_and(|value| value == "true")
}

/// A setting's number, or the default where it is not one.
pub(crate) fn number_or(settings: &Settings, key: &str, default: i64) -> i64 {
    settings.get(key).and_then(|value| value.trim().parse().ok()).unwrap_or(default)
}
