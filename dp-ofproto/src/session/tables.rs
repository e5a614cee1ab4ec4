//! What a table-mod says of a table, and what is told when a table fills up or empties (OpenFlow 1.4,
//! sections 7.3.4.1 and 7.4.5).
//!
//! A table has one of two vacancy events armed: while there is room, the one that tells that little
//! is left; once that has been told, the one that tells that there is room again. So a table at the
//! edge does not tell of every flow. What counts is how a change leaves a table: a bundle that fills
//! it and empties it again has nothing to tell.

use std::collections::BTreeMap;

use super::connection::Connection;
use super::events::wants;
use super::service::{ConnectionId, Shared};
use crate::openflow::async_config::AsyncKind;
use crate::openflow::table::{StatusReason, TableMod, Vacancy, config};
use crate::openflow::{Version, control, message_type};

/// What table-mods have said of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TableState {
    pub(super) miss: u32,
    pub(super) eviction: bool,
    pub(super) vacancy: Option<Watch>,
}

/// When it is told how much room a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    /// It is told when less than this is free, in per cent.
    down: u8,
    /// It is told when more than this is free again.
    up: u8,
    /// What is told next.
    armed: StatusReason,
}

/// Takes what OpenFlow 1.4 and later say of a table.
pub(super) fn modify(shared: &mut Shared, table: u8, asked: &TableMod) {
    let free = vacancy(shared, table);
    let state = shared.tables.entry(table).or_default();
    state.eviction = asked.config & config::EVICTION != 0;
    let wanted = asked.config & config::VACANCY != 0;
    let (down, up) = match (asked.vacancy, state.vacancy) {
        (Some(asked), _) => (asked.down, asked.up),
        (None, Some(before)) => (before.down, before.up),
        (None, None) => (0, 0),
    };
    let first = if free < up { StatusReason::VacancyUp } else { StatusReason::VacancyDown };
    let armed = state.vacancy.map_or(first, |before| before.armed);
    state.vacancy = wanted.then_some(Watch { down, up, armed });
    let eviction = state.eviction;
    shared.bridge.tables().set_eviction(table, eviction);
}

/// How a table is described.
pub(super) fn describe(shared: &Shared, table: u8) -> TableMod {
    let state = shared.tables.get(&table).copied().unwrap_or_default();
    let mut bits = 0;
    if state.eviction {
        bits |= config::EVICTION;
    }
    let watch = state.vacancy.map(|watch| {
        bits |= config::VACANCY;
        Vacancy { down: watch.down, up: watch.up, vacancy: vacancy(shared, table) }
    });
    // What goes first: everything that there is counts.
    TableMod { table, config: bits, eviction: Some(7), vacancy: watch }
}

/// Tells whoever wants to know which tables have filled up or emptied.
pub(super) fn tell(shared: &mut Shared, connections: &mut BTreeMap<ConnectionId, Connection>) {
    let watched: Vec<_> =
        shared.tables.iter().filter_map(|(table, state)| Some((*table, state.vacancy?))).collect();
    for (table, watch) in watched {
        let free = vacancy(shared, table);
        let next = match watch.armed {
            StatusReason::VacancyDown if free < watch.down => StatusReason::VacancyUp,
            StatusReason::VacancyUp if free > watch.up => StatusReason::VacancyDown,
            _ => continue,
        };
        if let Some(state) = shared.tables.get_mut(&table) {
            state.vacancy = Some(Watch { armed: next, ..watch });
        }
        let desc = describe(shared, table);
        for connection in connections.values_mut() {
            let version = connection.version().filter(|version| *version >= Version::V14);
            let Some(version) = version else { continue };
            if wants(connection, AsyncKind::TableStatus, watch.armed as u8) {
                let status = control::reply(version, message_type::TABLE_STATUS, 0, |out| {
                    desc.encode_status(out, watch.armed);
                });
                connection.outbox.push(status);
            }
        }
    }
}

/// How much of a table is free, in per cent, rounded down.
fn vacancy(shared: &Shared, table: u8) -> u8 {
    let tables = shared.bridge.tables();
    // A table without a limit of its own holds as many as a counter of OpenFlow counts.
    let most = tables.limit(table).and_then(|it| u32::try_from(it).ok()).unwrap_or(u32::MAX);
    let rules = tables.snapshot().table(table).map_or(0, |table| table.len());
    let rules = u32::try_from(rules).unwrap_or(u32::MAX);
    if most == 0 {
        return 100;
    }
    let free = u64::from(most.saturating_sub(rules)) * 100 / u64::from(most);
    u8::try_from(free).unwrap_or(100)
}
