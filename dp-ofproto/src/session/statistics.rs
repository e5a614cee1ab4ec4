//! Requests of several parts: what there is, and what it has counted.

use std::sync::Arc;

use dp_core::base::Instant;

use super::flows::check_options;
use super::handle::Request;
use super::outbox::Source;
use super::service::Shared;
use super::{features, meters, monitors, ports};
use crate::group::{Group, GroupId, GroupKind};
use crate::openflow::flow_mod::rule_flags;
use crate::openflow::flow_stats::{Aggregate, FlowStats, FlowStatsRequest, Form};
use crate::openflow::group_mod::{self, GroupStatsEntry};
use crate::openflow::meter::{self, MeterStats};
use crate::openflow::monitor::Dialect;
use crate::openflow::multipart::{self, Kind, Reply, kind};
use crate::openflow::table::TableStats;
use crate::openflow::wire::Put;
use crate::openflow::{Code, Version, experimenter, port, queue, table_features};
use crate::table::{BucketSpec, INTERNAL_TABLE, Rule, TableSet, outputs_to, uses_group};

/// Answers a request.
pub(super) fn request(request: &mut Request<'_>) -> Result<(), Code> {
    let asked = multipart::decode(request.version, request.body)?;
    if asked.more {
        // Only requests to change table features are ever that long, and they are refused.
        return Err(Code::BrcMultipartBufferOverflow);
    }
    match asked.kind {
        Kind::Standard(number) => standard(request, number, asked.body),
        Kind::Nicira(number) => nicira(request, number, asked.body),
        Kind::Onf(experimenter::onf::STATS_FLOW_MONITOR) if request.version == Version::V13 => {
            monitors::request(request, Dialect::Standard, asked.kind, asked.body)
        }
        Kind::Onf(_) => Err(Code::BrcBadSubtype),
    }
}

fn nicira(request: &mut Request<'_>, number: u32, body: &[u8]) -> Result<(), Code> {
    use experimenter::nicira_stats as nx;
    let kind = Kind::Nicira(number);
    let old = request.version <= Version::V11;
    match number {
        nx::FLOW if old => flows(request, &FlowStatsRequest::decode_nicira(body)?, kind),
        nx::AGGREGATE if old => aggregate(request, &FlowStatsRequest::decode_nicira(body)?, kind),
        nx::FLOW_MONITOR if old => monitors::request(request, Dialect::Nicira, kind, body),
        nx::GROUP if request.version == Version::V10 => groups(request, kind, body),
        nx::GROUP_DESC if request.version == Version::V10 => group_descs(request, kind, body),
        nx::GROUP_FEATURES if old => single(request, kind, |out, version| {
            group_mod::encode_features(out, group_actions(version));
        }),
        nx::IPFIX_BRIDGE | nx::IPFIX_FLOW => ipfix(request, kind, number == nx::IPFIX_FLOW),
        _ => Err(Code::BrcBadSubtype),
    }
}

fn standard(request: &mut Request<'_>, number: u16, body: &[u8]) -> Result<(), Code> {
    let kind = Kind::Standard(number);
    let version = request.version;
    match number {
        kind::DESC => description(request, kind),
        kind::FLOW => flows(request, &decode_flows(version, body)?, kind),
        kind::AGGREGATE => aggregate(request, &decode_flows(version, body)?, kind),
        kind::TABLE => tables(request, kind),
        kind::PORT => port_stats(request, kind, body),
        kind::QUEUE => queue_stats(request, kind, body),
        kind::GROUP if version > Version::V10 => groups(request, kind, body),
        kind::GROUP_DESC if version > Version::V10 => group_descs(request, kind, body),
        kind::GROUP_FEATURES if version >= Version::V12 => single(request, kind, |out, version| {
            group_mod::encode_features(out, group_actions(version));
        }),
        kind::METER if version >= Version::V13 => meter_stats(request, kind, body),
        kind::METER_CONFIG if version >= Version::V13 => meter_configs(request, kind, body),
        kind::METER_FEATURES if version >= Version::V13 => {
            single(request, kind, |out, _| meters::FEATURES.encode(out))
        }
        kind::TABLE_FEATURES if version >= Version::V13 => table_features(request, kind, body),
        kind::PORT_DESC => port_descs(request, kind, body),
        kind::TABLE_DESC if version >= Version::V14 => table_descs(request, kind),
        kind::QUEUE_DESC if version >= Version::V14 => queue_descs(request, kind, body),
        kind::FLOW_MONITOR if version >= Version::V14 => {
            monitors::request(request, Dialect::Standard, kind, body)
        }
        _ => Err(Code::BrcBadStat),
    }
}

fn send(request: &mut Request<'_>, reply: Reply) {
    for message in reply.finish() {
        request.connection.outbox.push(message);
    }
}

/// A reply of one entry.
fn single(
    request: &mut Request<'_>,
    kind: Kind,
    body: impl FnOnce(&mut Vec<u8>, Version),
) -> Result<(), Code> {
    let mut reply = Reply::new(request.version, request.xid, kind);
    let version = request.version;
    reply.entry(|out| body(out, version));
    send(request, reply);
    Ok(())
}

fn decode_flows(version: Version, body: &[u8]) -> Result<FlowStatsRequest, Code> {
    match version {
        Version::V10 => FlowStatsRequest::decode10(body),
        _ => FlowStatsRequest::decode11(body, version),
    }
}

/// The rules that a request is about.
fn select(tables: &TableSet, asked: &FlowStatsRequest) -> Result<Vec<Arc<Rule>>, Code> {
    let ids = match asked.table {
        Some(table) if table > INTERNAL_TABLE => return Err(Code::BrcBadTableId),
        Some(table) => table..=table,
        None => 0..=INTERNAL_TABLE - 1,
    };
    let wanted = |rule: &Rule| {
        (rule.cookie() ^ asked.cookie) & asked.cookie_mask == 0
            && asked.out_port.is_none_or(|port| outputs_to(rule.actions(), port))
            && asked.out_group.is_none_or(|group| uses_group(rule.actions(), group))
    };
    if asked.table == Some(INTERNAL_TABLE) {
        let covered = |rule: &&Arc<Rule>| asked.matching.covers(rule.matching()) && wanted(rule);
        return Ok(tables.internal().iter().filter(covered).cloned().collect());
    }
    Ok(ids
        .filter_map(|id| tables.table(id))
        .flat_map(|table| table.covered_by(&asked.matching))
        .filter(|rule| wanted(rule))
        .cloned()
        .collect())
}

/// The rest of a reply about flows, made as the peer reads.
struct FlowDump {
    rules: std::vec::IntoIter<Arc<Rule>>,
    version: Version,
    xid: u32,
    kind: Kind,
    now: Instant,
    /// An entry that the message before could not hold.
    left: Option<Vec<u8>>,
    done: bool,
}

impl Source for FlowDump {
    fn next_message(&mut self) -> Option<Vec<u8>> {
        if self.done {
            return None;
        }
        let form = match self.kind {
            Kind::Nicira(_) => Form::Nicira,
            _ => Form::Standard,
        };
        let mut reply = Reply::new(self.version, self.xid, self.kind);
        loop {
            let entry = match self.left.take() {
                Some(entry) => entry,
                None => {
                    let Some(rule) = self.rules.next() else { break };
                    let mut entry = Vec::with_capacity(256);
                    flow_stats(&rule, self.version, self.now).encode(
                        &mut entry,
                        self.version,
                        form,
                    );
                    entry
                }
            };
            if !reply.fits(&entry) && !reply.is_empty() {
                self.left = Some(entry);
                break;
            }
            reply.entry(|out| out.put(&entry));
        }
        self.done = self.left.is_none() && self.rules.as_slice().is_empty();
        reply.finish_part(!self.done)
    }
}

fn flow_stats(rule: &Rule, version: Version, now: Instant) -> FlowStats<'_> {
    let stats = rule.stats();
    FlowStats {
        table: rule.table(),
        duration: now.since(rule.created()),
        priority: rule.wire_priority(),
        idle_timeout: rule.idle_timeout(),
        hard_timeout: rule.hard_timeout(),
        idle_age: now.since(stats.used()),
        hard_age: now.since(rule.modified()),
        flags: rule_flags(rule.flags(), version),
        importance: rule.importance(),
        cookie: rule.cookie(),
        packets: stats.packets(),
        bytes: stats.bytes(),
        matching: rule.matching(),
        actions: rule.actions(),
    }
}

fn flows(request: &mut Request<'_>, asked: &FlowStatsRequest, kind: Kind) -> Result<(), Code> {
    check_options(request.shared, &asked.matching, &[])?;
    let tables = request.shared.bridge.tables().snapshot();
    let rules = select(&tables, asked)?.into_iter();
    let (version, xid, now) = (request.version, request.xid, request.now);
    let dump = FlowDump { rules, version, xid, kind, now, left: None, done: false };
    request.connection.outbox.push_source(Box::new(dump));
    Ok(())
}

fn aggregate(request: &mut Request<'_>, asked: &FlowStatsRequest, kind: Kind) -> Result<(), Code> {
    check_options(request.shared, &asked.matching, &[])?;
    let tables = request.shared.bridge.tables().snapshot();
    let mut sums = Aggregate::default();
    for rule in select(&tables, asked)? {
        sums.packets = sums.packets.saturating_add(rule.stats().packets());
        sums.bytes = sums.bytes.saturating_add(rule.stats().bytes());
        sums.flows = sums.flows.saturating_add(1);
    }
    single(request, kind, |out, version| sums.encode(out, version))
}

fn description(request: &mut Request<'_>, kind: Kind) -> Result<(), Code> {
    let words = request.host.description();
    single(request, kind, |out, _| {
        out.put_text(&words.manufacturer, 256);
        out.put_text(&words.hardware, 256);
        out.put_text(&words.software, 256);
        out.put_text(&words.serial, 32);
        out.put_text(&words.datapath, 256);
    })
}

fn table_name(shared: &Shared, table: u8) -> String {
    match shared.settings.table_names.get(&table) {
        Some(name) => name.clone(),
        None => String::new(),
    }
}

/// Rules that a table says it may hold.
const MAX_RULES: usize = 1_000_000;

fn tables(request: &mut Request<'_>, kind: Kind) -> Result<(), Code> {
    let set = request.shared.bridge.tables().snapshot();
    let mut reply = Reply::new(request.version, request.xid, kind);
    for table in 0..INTERNAL_TABLE {
        let active = set.table(table).map_or(0, |table| table.len());
        let counters = set.counters(table);
        let (lookups, matched) = (counters.looked_up(), counters.matched());
        let stats = TableStats {
            table,
            name: table_name(request.shared, table),
            config: features::state(request.shared, table).miss,
            max_entries: u32::try_from(MAX_RULES).unwrap_or(u32::MAX),
            active: u32::try_from(active).unwrap_or(u32::MAX),
            lookups,
            matched,
        };
        let version = request.version;
        reply.entry(|out| stats.encode(out, version));
    }
    send(request, reply);
    Ok(())
}

fn table_descs(request: &mut Request<'_>, kind: Kind) -> Result<(), Code> {
    let mut reply = Reply::new(request.version, request.xid, kind);
    for table in 0..INTERNAL_TABLE {
        let desc = super::tables::describe(request.shared, table);
        reply.entry(|out| desc.encode_desc(out));
    }
    send(request, reply);
    Ok(())
}

fn table_features(request: &mut Request<'_>, kind: Kind, body: &[u8]) -> Result<(), Code> {
    if !body.is_empty() {
        // What tables can do is not a controller's to say.
        return Err(Code::TffcEperm);
    }
    let mut reply = Reply::new(request.version, request.xid, kind);
    for table in 0..INTERNAL_TABLE {
        let name = table_name(request.shared, table);
        let version = request.version;
        reply.entry(|out| table_features::encode(out, version, table, &name, MAX_RULES));
    }
    send(request, reply);
    Ok(())
}

fn port_stats(request: &mut Request<'_>, kind: Kind, body: &[u8]) -> Result<(), Code> {
    let asked = port::decode_stats_request(request.version, body)?;
    let mut reply = Reply::new(request.version, request.xid, kind);
    let version = request.version;
    for port in request.host.ports() {
        if asked.is_none_or(|it| it == port.desc.port) {
            reply.entry(|out| port.stats.encode(out, version, &port.custom));
        }
    }
    send(request, reply);
    Ok(())
}

fn port_descs(request: &mut Request<'_>, kind: Kind, body: &[u8]) -> Result<(), Code> {
    let asked = port::decode_desc_request(request.version, body)?;
    let mut reply = Reply::new(request.version, request.xid, kind);
    let version = request.version;
    for port in request.host.ports() {
        if asked.is_none_or(|it| it == port.desc.port) {
            reply.entry(|out| port.desc.encode(out, version));
        }
    }
    send(request, reply);
    Ok(())
}

fn queue_stats(request: &mut Request<'_>, kind: Kind, body: &[u8]) -> Result<(), Code> {
    let asked = queue::decode_stats_request(request.version, body)?;
    let ports = ports::queue_configs(
        request.host,
        queue::QueueRequest { port: asked.port, queue: asked.queue },
    )?;
    let mut reply = Reply::new(request.version, request.xid, kind);
    let version = request.version;
    for config in ports {
        let queues = request.host.queues(config.port);
        if let Some(queue) = queues.iter().find(|queue| queue.stats.queue == config.queue) {
            reply.entry(|out| queue.stats.encode(out, version));
        }
    }
    send(request, reply);
    Ok(())
}

fn queue_descs(request: &mut Request<'_>, kind: Kind, body: &[u8]) -> Result<(), Code> {
    let asked = queue::decode_config_request(request.version, body)?;
    let configs = ports::queue_configs(request.host, asked)?;
    let mut reply = Reply::new(request.version, request.xid, kind);
    let version = request.version;
    for config in configs {
        reply.entry(|out| config.encode(out, version));
    }
    send(request, reply);
    Ok(())
}

/// The groups that a request is about, ascending; none if it names one that is not there.
fn select_groups(tables: &TableSet, asked: GroupId) -> Vec<Arc<Group>> {
    let mut groups: Vec<_> = match asked {
        GroupId::ALL => tables.groups().cloned().collect(),
        id => tables.group(id).cloned().into_iter().collect(),
    };
    groups.sort_by_key(|group| group.id);
    groups
}

fn groups(request: &mut Request<'_>, kind: Kind, body: &[u8]) -> Result<(), Code> {
    let asked = group_mod::decode_request(body)?;
    let tables = request.shared.bridge.tables().snapshot();
    let mut reply = Reply::new(request.version, request.xid, kind);
    let version = request.version;
    for group in select_groups(&tables, asked) {
        let stats = |stats: &crate::group::GroupStats| (stats.packets(), stats.bytes());
        let entry = GroupStatsEntry {
            group: group.id.0,
            references: tables.group_users(group.id),
            packets: group.stats.packets(),
            bytes: group.stats.bytes(),
            duration: request.now.since(group.created),
            buckets: group.buckets.iter().map(|bucket| stats(&bucket.stats)).collect(),
        };
        reply.entry(|out| entry.encode(out, version));
    }
    send(request, reply);
    Ok(())
}

fn group_descs(request: &mut Request<'_>, kind: Kind, body: &[u8]) -> Result<(), Code> {
    let asked = match request.version {
        Version::V10 | Version::V15 => group_mod::decode_request(body)?,
        _ => GroupId::ALL,
    };
    let tables = request.shared.bridge.tables().snapshot();
    let mut reply = Reply::new(request.version, request.xid, kind);
    let version = request.version;
    for group in select_groups(&tables, asked) {
        let buckets: Vec<_> = group
            .buckets
            .iter()
            .map(|bucket| BucketSpec {
                id: Some(bucket.id),
                weight: (group.kind == GroupKind::Select).then_some(bucket.weight),
                watch_port: bucket.watch_port,
                watch_group: bucket.watch_group,
                actions: bucket.actions.to_vec(),
            })
            .collect();
        reply.entry(|out| {
            let (id, kind, selection) = (group.id, group.kind, &group.selection);
            group_mod::encode_desc(out, id, kind, &buckets, selection, version);
        });
    }
    send(request, reply);
    Ok(())
}

/// Actions of buckets: bit *n* for the specification's action *n*.
fn group_actions(version: Version) -> u32 {
    match version {
        Version::V10 => 0x0fff,
        Version::V11 => 0x01ff_e7ff,
        _ => 0x03ff_8001,
    }
}

fn meter_stats(request: &mut Request<'_>, kind: Kind, body: &[u8]) -> Result<(), Code> {
    let asked = meter::decode_request(body)?;
    let tables = request.shared.bridge.tables().snapshot();
    let mut reply = Reply::new(request.version, request.xid, kind);
    for id in request.shared.meters.select(asked)? {
        let Some(meter) = request.shared.meters.by_id.get(&id) else { continue };
        let counted = request.host.meter_stats(id).unwrap_or_default();
        let mut bands = counted.bands.clone();
        bands.resize(meter.bands.len(), (0, 0));
        let stats = MeterStats {
            meter: id,
            flows: tables.meter_users(id),
            duration: request.now.since(meter.created),
            bands,
            ..counted
        };
        reply.entry(|out| stats.encode(out));
    }
    send(request, reply);
    Ok(())
}

fn meter_configs(request: &mut Request<'_>, kind: Kind, body: &[u8]) -> Result<(), Code> {
    let asked = meter::decode_request(body)?;
    let mut reply = Reply::new(request.version, request.xid, kind);
    for id in request.shared.meters.select(asked)? {
        let Some(meter) = request.shared.meters.by_id.get(&id) else { continue };
        reply.entry(|out| meter::encode_config(out, id, meter.flags, &meter.bands));
    }
    send(request, reply);
    Ok(())
}

fn ipfix(request: &mut Request<'_>, kind: Kind, flows: bool) -> Result<(), Code> {
    let rows = request.host.ipfix_stats(flows).ok_or(Code::NxstNotConfigured)?;
    let mut reply = Reply::new(request.version, request.xid, kind);
    for row in rows {
        reply.entry(|out| {
            for number in [
                row.total_flows,
                row.current_flows,
                row.packets,
                row.ipv4_packets,
                row.ipv6_packets,
                row.lost_packets,
                row.lost_ipv4_packets,
                row.lost_ipv6_packets,
                row.tx_packets,
                row.tx_errors,
            ] {
                out.put64(number);
            }
            out.put32(row.collector_set);
            out.zeros(4);
        });
    }
    send(request, reply);
    Ok(())
}
