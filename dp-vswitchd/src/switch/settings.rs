//! Settings of bridges and datapaths that are neither ports nor threads: mirrors, flow tables,
//! limits of the slow path, connection tracking by zone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dp_core::base::Zone;
use dp_core::boundary::Datapath as _;
use dp_core::conntrack::{TimeoutPolicy, skip};
use dp_core::flow::FieldId;
use dp_ofproto::bridge::{Bridge, Mirror, MirrorOutput, VlanSet};
use dp_ofproto::learn::MacChange;
use dp_ofproto::revalidate::RevalidatorConfig;
use dp_ofproto::table::{INTERNAL_TABLE, PrefixFields, TableLimit};
use dp_ofproto::text::{NumbersOnly, parse_match, parse_subfield};

use super::{Datapath, RunningBridge, Switch};
use crate::config::{
    BridgeConfig, DatapathConfig, FlowTableConfig, MirrorConfig, Settings, SwitchConfig,
    ZoneConfig, is_true, number_or,
};

/// Whether packets are dropped whose connection is not entered because of a bound.
const DROP_UNENTERED: &str = "ct-drop-unentered";

impl Switch {
    /// How long a bundle may be left alone, if that is configured: a second at least.
    pub(crate) fn bundle_idle(&self) -> Option<Duration> {
        let seconds = number_or(&self.state().other_config, "bundle-idle-timeout", 0);
        u64::try_from(seconds).ok().filter(|it| *it > 0).map(Duration::from_secs)
    }
}

impl Datapath {
    /// Limits of the slow path, and what the datapath's own row says of connection tracking.
    pub(super) fn set_limits(&self, config: &SwitchConfig, row: Option<&DatapathConfig>) {
        let other = &config.other_config;
        let millis = |key, default: i64| {
            let value = number_or(other, key, default);
            Duration::from_millis(u64::try_from(value).unwrap_or(0).max(1))
        };
        self.set_rounds(RevalidatorConfig {
            max_idle: millis("max-idle", 10_000),
            interval: millis("max-revalidator", 500).max(Duration::from_millis(100)),
        });
        let flows = usize::try_from(number_or(other, "flow-limit", 200_000)).unwrap_or(200_000);
        self.set_flow_limit(flows.max(1));
        self.set_skip(&config.other_config);
        let Some(tracker) = self.netdev.conntrack() else { return };
        tracker.set_drops_unentered(is_true(other, DROP_UNENTERED));
        let Some(row) = row else { return };
        if let Some(limit) = row.default_limit {
            tracker.set_default_zone_limit(u32::try_from(limit).unwrap_or(0));
        }
        let mut known = self.zones();
        for (number, zone) in &row.zones {
            let limit = zone.limit.and_then(|it| u32::try_from(it).ok());
            tracker.set_zone_limit(Zone(*number), limit);
            tracker.set_zone_timeouts(Zone(*number), policy(zone));
            known.remove(number);
        }
        // Zones that were configured and are no longer.
        for number in known {
            tracker.set_zone_limit(Zone(number), None);
            tracker.set_zone_timeouts(Zone(number), None);
        }
        self.set_zones(row.zones.keys().copied().collect::<BTreeSet<u16>>());
    }

    /// Which packets are not tracked. Megaflows are translated again only when that changes; a
    /// setting that cannot be read leaves the rules as they were.
    fn set_skip(&self, settings: &Settings) {
        let keys = [skip::NODE_LOCAL_DNS, skip::DESTINATIONS, skip::DIRECT, skip::MULTICAST];
        let text = keys.map(|key| settings.get(key).cloned());
        if !self.is_news_of_skip(&text) {
            return;
        }
        match skip::from_settings(|key| settings.get(key).map(String::as_str)) {
            Ok(rules) => self.skip.set(rules),
            Err(error) => log::warn!(target: "conntrack", "other_config: {error}"),
        }
    }
}

fn policy(zone: &ZoneConfig) -> Option<TimeoutPolicy> {
    if zone.timeouts.is_empty() {
        return None;
    }
    let mut policy = TimeoutPolicy::default();
    for (key, seconds) in &zone.timeouts {
        let seconds = u32::try_from(*seconds).unwrap_or(u32::MAX);
        if !policy.set(key, seconds) {
            log::warn!(target: "conntrack_tp", "{key}: no such connection timeout");
        }
    }
    Some(policy)
}

impl RunningBridge {
    /// Mirrors and flow tables, as the configuration says.
    pub(super) fn set_tables_and_mirrors(&self) {
        let state = self.state();
        let ports: BTreeSet<&str> = state.config.ports.iter().map(|it| it.name.as_str()).collect();
        let mirrors = state.config.mirrors.iter().filter_map(|it| mirror(it, &ports));
        let mirrors: Vec<Mirror> = mirrors.collect();
        let same = mirrors.is_empty() && self.bridge.mirrors().is_empty();
        if !same {
            self.bridge.set_mirrors(keep_counts(&self.bridge, mirrors));
        }
        set_prefixes(&self.bridge, &state.config);
        set_table_limits(&self.bridge, &state.config);
    }

    /// Says in the log where addresses are learned, whichever path learned them.
    pub(super) fn log_addresses(&self) {
        self.bridge.set_mac_listener(Some(Box::new(|bridge: &Bridge, change: &MacChange| {
            let ports = bridge.ports();
            let port = ports.get(change.port).map_or("", |port| port.name.as_str());
            log::debug!(
                target: "ofproto_dpif_xlate",
                "bridge {}: learned that {} is on port {port} in VLAN {}",
                bridge.name(), change.mac, change.vlan
            );
        })));
    }
}

/// What a mirror has counted goes on counting while others change.
fn keep_counts(bridge: &Bridge, mut mirrors: Vec<Mirror>) -> Vec<Mirror> {
    for mirror in &mut mirrors {
        if let Some(old) = bridge.mirrors().iter().find(|old| old.name == mirror.name) {
            mirror.stats = Arc::clone(&old.stats);
        }
    }
    mirrors
}

/// A mirror, or nothing and a line in the log if it makes no sense.
fn mirror(config: &MirrorConfig, ports: &BTreeSet<&str>) -> Option<Mirror> {
    let name = &config.name;
    let vlan = config.output_vlan.and_then(|it| u16::try_from(it).ok());
    let output = match (&config.output_port, vlan) {
        (Some(port), _) => MirrorOutput::Port(port.clone()),
        (None, Some(vlan)) => MirrorOutput::Vlan(vlan),
        (None, None) => {
            log::error!(target: "bridge", "mirror {name}: no output specified; ignoring");
            return None;
        }
    };
    let mut mirror = Mirror::new(name.clone(), output);
    let known = |names: &[String]| -> BTreeSet<String> {
        names.iter().filter(|it| ports.contains(it.as_str())).cloned().collect()
    };
    if config.select_all {
        mirror.src = ports.iter().map(|it| (*it).to_owned()).collect();
        mirror.dst.clone_from(&mirror.src);
    } else {
        mirror.src = known(&config.select_src);
        mirror.dst = known(&config.select_dst);
    }
    if !config.select_vlan.is_empty() {
        let vlans = config.select_vlan.iter().filter_map(|it| u16::try_from(*it).ok());
        mirror.vlans = Some(vlans.collect::<VlanSet>());
    }
    // All there is, is what is copied anyway.
    let snaplen = config.snaplen.and_then(|it| u16::try_from(it).ok());
    mirror.snaplen = snaplen.filter(|it| *it != u16::MAX).unwrap_or(0);
    if let Some(text) = config.filter.as_deref().filter(|it| !it.is_empty()) {
        match parse_match(text, &NumbersOnly) {
            Ok(filter) => mirror.filter = Some(filter),
            Err(error) => {
                log::error!(
                    target: "bridge",
                    "filter is invalid for mirror {name}: {error}; ignoring mirror"
                );
                return None;
            }
        }
    }
    Some(mirror)
}

/// How many rules each table may hold, and what happens beyond.
fn set_table_limits(bridge: &Bridge, config: &BridgeConfig) {
    let limit = |(table, it): (&u8, &FlowTableConfig)| {
        let limit = TableLimit {
            rules: it.flow_limit.and_then(|limit| usize::try_from(limit).ok()),
            evict: it.overflow_policy.as_deref() == Some("evict"),
            groups: it.groups.iter().filter_map(|text| parse_subfield(text).ok()).collect(),
        };
        (*table, limit)
    };
    let limits = config.flow_tables.iter().map(limit).collect();
    let changes = bridge.tables().set_limits(limits);
    bridge.tables().tell(changes);
}

/// Which fields of each table are looked up by prefixes.
fn set_prefixes(bridge: &Bridge, config: &BridgeConfig) {
    let usual = bridge.tables().config().prefixes;
    let mut edit = bridge.tables().edit();
    for table in 0..INTERNAL_TABLE {
        let names = config.flow_tables.get(&table).map_or(&[][..], |it| &it.prefixes);
        let fields: Option<Vec<FieldId>> = match names.iter().any(|name| name == "none") {
            true => Some(Vec::new()),
            false => names.iter().map(|name| FieldId::by_name(name)).collect(),
        };
        let fields = match names.is_empty() {
            true => Some(usual),
            false => fields.and_then(|fields| PrefixFields::of(&fields)),
        };
        let done = match fields {
            Some(fields) => edit.set_prefixes(table, fields).map_err(|error| error.to_string()),
            None => Err(format!("prefixes {names:?} cannot be looked up so")),
        };
        if let Err(why) = done {
            log::warn!(target: "bridge", "bridge {}: table {table}: {why}", bridge.name());
        }
    }
    edit.commit();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dp_ofproto::bridge::MirrorOutput;

    use super::{mirror, policy};
    use crate::config::{MirrorConfig, ZoneConfig};

    #[test]
    fn mirrors_select_ports_that_there_are() {
        let ports = BTreeSet::from(["p1", "p2"]);
        let config = MirrorConfig {
            name: "m".into(),
            select_src: vec!["p1".into(), "gone".into()],
            output_port: Some("p2".into()),
            select_vlan: vec![5],
            ..MirrorConfig::default()
        };
        let made = mirror(&config, &ports).unwrap();
        assert_eq!(made.src, BTreeSet::from(["p1".to_owned()]));
        assert_eq!(made.output, MirrorOutput::Port("p2".into()));
        assert!(made.dst.is_empty() && made.vlans.is_some_and(|it| it.has(5)));
        let all = MirrorConfig { select_all: true, output_vlan: Some(9), ..config.clone() };
        assert_eq!(mirror(&all, &ports).unwrap().dst.len(), 2);
        let wrong = MirrorConfig { filter: Some("nosuch".into()), ..config.clone() };
        assert!(mirror(&wrong, &ports).is_none());
        assert!(mirror(&MirrorConfig::default(), &ports).is_none());
    }

    #[test]
    fn a_zone_without_timeouts_has_no_policy() {
        let mut zone = ZoneConfig::default();
        assert!(policy(&zone).is_none());
        zone.timeouts.insert("udp_first".into(), 7);
        assert!(policy(&zone).is_some());
    }
}
