//! From rows to values.

use super::view::View;
use super::{
    AutoAttachConfig, BridgeConfig, CollectorSetConfig, ControllerConfig, DatapathConfig,
    ExportConfig, FlowTableConfig, InterfaceConfig, MirrorConfig, Policing, PortConfig, QosConfig,
    QueueConfig, SslConfig, SwitchConfig, ZoneConfig,
};
use crate::ovsdb::database::Database;

impl SwitchConfig {
    /// What the database says.
    pub(crate) fn read(database: &Database) -> Self {
        let Some(root) = View::all(database, "Open_vSwitch").next() else { return Self::default() };
        let datapaths = root.datum("datapaths").map(|it| it.pairs()).unwrap_or_default();
        let mut bridges: Vec<_> = root.rows("bridges", "Bridge").iter().map(bridge).collect();
        let managers = root.rows("manager_options", "Manager");
        let managers: Vec<_> = managers.iter().map(|it| it.text_or_empty("target")).collect();
        bridges.iter_mut().for_each(|it| it.managers.clone_from(&managers));
        bridges.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            root: Some(root.uuid()),
            next_cfg: root.number("next_cfg").unwrap_or(0),
            cur_cfg: root.number("cur_cfg").unwrap_or(0),
            other_config: root.settings("other_config"),
            external_ids: root.settings("external_ids"),
            system: ["system_type", "system_version", "db_version"]
                .map(|column| root.text_or_empty(column)),
            bridges,
            ssl: root.row("ssl", "SSL").map(|row| ssl(&row)),
            datapaths: datapaths
                .iter()
                .filter_map(|(kind, uuid)| {
                    let row = View::of(database, "Datapath", uuid.as_uuid()?)?;
                    Some((kind.as_str()?.to_owned(), datapath(&row)))
                })
                .collect(),
            collector_sets: View::all(database, "Flow_Sample_Collector_Set")
                .map(|row| collector_set(&row))
                .collect(),
        }
    }
}

fn ssl(row: &View<'_>) -> SslConfig {
    let said = |column| row.text(column).filter(|text| !text.is_empty());
    SslConfig {
        private_key: row.text_or_empty("private_key"),
        certificate: row.text_or_empty("certificate"),
        ca_cert: row.text_or_empty("ca_cert"),
        bootstrap_ca_cert: row.truth("bootstrap_ca_cert"),
        protocols: said("ssl_protocols"),
        ciphers: said("ssl_ciphers"),
        ciphersuites: said("ssl_ciphersuites"),
    }
}

fn datapath(row: &View<'_>) -> DatapathConfig {
    let zones = row.numbered_rows("ct_zones", "CT_Zone");
    DatapathConfig {
        uuid: row.uuid(),
        default_limit: row.number("ct_zone_default_limit"),
        zones: zones
            .iter()
            .filter_map(|(number, row)| Some((u16::try_from(*number).ok()?, zone(row))))
            .collect(),
    }
}

fn zone(row: &View<'_>) -> ZoneConfig {
    let policy = row.row("timeout_policy", "CT_Timeout_Policy");
    let timeouts = policy.and_then(|it| it.datum("timeouts")).map(|it| it.pairs());
    let pairs = timeouts.unwrap_or_default().iter();
    ZoneConfig {
        limit: row.number("limit"),
        timeouts: pairs
            .filter_map(|(key, value)| Some((key.as_str()?.to_owned(), value.as_integer()?)))
            .collect(),
    }
}

fn bridge(row: &View<'_>) -> BridgeConfig {
    let tables = row.numbered_rows("flow_tables", "Flow_Table");
    let mut ports: Vec<_> = row.rows("ports", "Port").iter().map(port).collect();
    ports.sort_by(|a, b| a.name.cmp(&b.name));
    BridgeConfig {
        uuid: row.uuid(),
        name: row.text_or_empty("name"),
        datapath_type: row.text_or_empty("datapath_type"),
        fail_mode: row.text("fail_mode"),
        protocols: row.texts("protocols"),
        other_config: row.settings("other_config"),
        external_ids: row.settings("external_ids"),
        flood_vlans: row.numbers("flood_vlans"),
        stp_enable: row.truth("stp_enable"),
        rstp_enable: row.truth("rstp_enable"),
        mcast_snooping_enable: row.truth("mcast_snooping_enable"),
        ports,
        controllers: row.rows("controller", "Controller").iter().map(controller).collect(),
        managers: Vec::new(),
        mirrors: row.rows("mirrors", "Mirror").iter().map(mirror).collect(),
        flow_tables: tables
            .iter()
            .filter_map(|(id, row)| Some((u8::try_from(*id).ok()?, flow_table(row))))
            .collect(),
        netflow: row.row("netflow", "NetFlow").map(|row| export(&row)),
        sflow: row.row("sflow", "sFlow").map(|row| export(&row)),
        ipfix: row.row("ipfix", "IPFIX").map(|row| export(&row)),
        auto_attach: row.row("auto_attach", "AutoAttach").map(|row| auto_attach(&row)),
    }
}

fn auto_attach(row: &View<'_>) -> AutoAttachConfig {
    let pairs = row.datum("mappings").map(|it| it.pairs()).unwrap_or_default();
    AutoAttachConfig {
        system_name: row.text_or_empty("system_name"),
        system_description: row.text_or_empty("system_description"),
        mappings: pairs
            .iter()
            .filter_map(|(isid, vlan)| {
                let (isid, vlan) = (isid.as_integer()?, vlan.as_integer()?);
                Some((u32::try_from(isid).ok()?, u16::try_from(vlan).ok()?))
            })
            .collect(),
    }
}

fn port(row: &View<'_>) -> PortConfig {
    let mut interfaces: Vec<_> =
        row.rows("interfaces", "Interface").iter().map(interface).collect();
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    PortConfig {
        uuid: row.uuid(),
        name: row.text_or_empty("name"),
        interfaces,
        tag: row.number("tag"),
        trunks: row.numbers("trunks"),
        cvlans: row.numbers("cvlans"),
        vlan_mode: row.text("vlan_mode"),
        bond_mode: row.text("bond_mode"),
        bond_updelay: row.number("bond_updelay").unwrap_or(0),
        bond_downdelay: row.number("bond_downdelay").unwrap_or(0),
        bond_fake_iface: row.truth("bond_fake_iface"),
        lacp: row.text("lacp"),
        mac: row.text("mac"),
        protected: row.truth("protected"),
        other_config: row.settings("other_config"),
        qos: row.row("qos", "QoS").map(|row| qos(&row)),
    }
}

fn interface(row: &View<'_>) -> InterfaceConfig {
    let number = |column| row.number(column).unwrap_or(0);
    InterfaceConfig {
        uuid: row.uuid(),
        name: row.text_or_empty("name"),
        kind: row.text_or_empty("type"),
        options: row.settings("options"),
        other_config: row.settings("other_config"),
        external_ids: row.settings("external_ids"),
        ofport_request: row.number("ofport_request"),
        mac: row.text("mac"),
        mtu_request: row.number("mtu_request"),
        policing: Policing {
            rate: number("ingress_policing_rate"),
            burst: number("ingress_policing_burst"),
            kpkts_rate: number("ingress_policing_kpkts_rate"),
            kpkts_burst: number("ingress_policing_kpkts_burst"),
        },
        bfd: row.settings("bfd"),
        lldp: row.settings("lldp"),
        cfm_mpid: row.number("cfm_mpid"),
    }
}

fn qos(row: &View<'_>) -> QosConfig {
    let queue = |row: &View<'_>| QueueConfig {
        dscp: row.number("dscp"),
        other_config: row.settings("other_config"),
    };
    QosConfig {
        uuid: row.uuid(),
        kind: row.text_or_empty("type"),
        other_config: row.settings("other_config"),
        queues: row
            .numbered_rows("queues", "Queue")
            .iter()
            .filter_map(|(id, row)| Some((u32::try_from(*id).ok()?, queue(row))))
            .collect(),
    }
}

fn controller(row: &View<'_>) -> ControllerConfig {
    let asynchronous = row.datum("enable_async_messages").and_then(|it| it.as_scalar());
    ControllerConfig {
        uuid: row.uuid(),
        target: row.text_or_empty("target"),
        kind: row.text("type"),
        connection_mode: row.text("connection_mode"),
        max_backoff: row.number("max_backoff"),
        inactivity_probe: row.number("inactivity_probe"),
        enable_async_messages: asynchronous.and_then(|it| it.as_bool()).unwrap_or(true),
        controller_rate_limit: row.number("controller_rate_limit"),
        controller_burst_limit: row.number("controller_burst_limit"),
        controller_queue_size: row.number("controller_queue_size"),
        other_config: row.settings("other_config"),
    }
}

fn mirror(row: &View<'_>) -> MirrorConfig {
    let names = |column| {
        let rows = row.rows(column, "Port");
        rows.iter().map(|port| port.text_or_empty("name")).collect()
    };
    MirrorConfig {
        uuid: row.uuid(),
        name: row.text_or_empty("name"),
        select_all: row.truth("select_all"),
        select_src: names("select_src_port"),
        select_dst: names("select_dst_port"),
        select_vlan: row.numbers("select_vlan"),
        output_port: row.row("output_port", "Port").map(|port| port.text_or_empty("name")),
        output_vlan: row.number("output_vlan"),
        snaplen: row.number("snaplen"),
        filter: row.text("filter"),
    }
}

fn flow_table(row: &View<'_>) -> FlowTableConfig {
    FlowTableConfig {
        name: row.text("name"),
        flow_limit: row.number("flow_limit"),
        overflow_policy: row.text("overflow_policy"),
        groups: row.texts("groups"),
        prefixes: row.texts("prefixes"),
    }
}

/// The columns of the three tables of exports that hold one number each.
const EXPORT_NUMBERS: &[&str] = &[
    "active_timeout",
    "cache_active_timeout",
    "cache_max_flows",
    "engine_id",
    "engine_type",
    "header",
    "obs_domain_id",
    "obs_point_id",
    "polling",
    "sampling",
    "stats_interval",
    "template_interval",
];

fn export(row: &View<'_>) -> ExportConfig {
    ExportConfig {
        uuid: row.uuid(),
        targets: row.texts("targets"),
        numbers: EXPORT_NUMBERS
            .iter()
            .filter_map(|name| Some((*name, row.number(name)?)))
            .collect(),
        texts: ["agent"].into_iter().filter_map(|it| Some((it, row.text(it)?))).collect(),
        other_config: row.settings("other_config"),
        add_id_to_interface: row.truth("add_id_to_interface"),
    }
}

fn collector_set(row: &View<'_>) -> CollectorSetConfig {
    CollectorSetConfig {
        uuid: row.uuid(),
        id: row.number("id").unwrap_or(0),
        bridge: row.row("bridge", "Bridge").map(|bridge| bridge.text_or_empty("name")),
        ipfix: row.row("ipfix", "IPFIX").map(|row| export(&row)),
        local_group_id: row.number("local_group_id"),
    }
}
