//! Bonds whose member the datapath chooses (`lb-output-action`): its tables follow the bonds, and what
//! they have carried comes back.
//!
//! ```text
//!   Bond: 256 shares ─► member of each ─► bond_set ─► packet threads' tables
//!         load       ◄─ difference     ◄─ bond_bytes, when load is evened out
//! ```
//!
//! Translation asks the datapath to choose only after the table has been handed over; until then, and
//! where a member is no port of the datapath, hashed packets come back as they do without the setting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dp_core::base::{BondId, Instant, PortNo};
use dp_core::bond::{Assignment, BUCKETS};
use dp_core::boundary::Datapath as _;
use dp_ofproto::translate::hooks::Bonds;

use super::{Datapath, Switch};

/// The tables that datapaths have.
pub(super) type BondTables = BTreeMap<BondId, BondTable>;

/// One of them.
pub(super) struct BondTable {
    datapath: Arc<Datapath>,
    ports: Box<Assignment>,
    /// What each bucket had carried when last looked.
    counted: Box<[u64; BUCKETS]>,
}

impl Switch {
    /// Tells bonds that are about to even out their load what their tables have carried.
    pub(super) fn count_bond_tables(&self, now: Instant) {
        for (id, table) in &mut self.state().bond_tables {
            let due = self.services.change_bond(*id, |bond| bond.rebalances_at(now));
            let (Some(true), Some(bytes)) = (due, table.datapath.netdev.bond_bytes(*id)) else {
                continue;
            };
            self.services.change_bond(*id, |bond| {
                for (hash, (now, before)) in (0..).zip(bytes.iter().zip(table.counted.iter())) {
                    bond.account(hash, now.saturating_sub(*before));
                }
            });
            *table.counted = bytes;
        }
    }

    /// Makes the datapaths' tables equal to what the bonds say.
    pub(super) fn sync_bond_tables(&self) {
        let version = Bonds::version(&*self.services);
        if self.state().bonds_seen == version {
            return;
        }
        let mut alive = BTreeSet::new();
        self.services.each_bond(|_, bond| _ = alive.insert(bond.id()));
        let wanted = self.wanted_tables();
        let state = &mut *self.state();
        state.bonds_seen = version;
        state.recircs.retain(|id, _| alive.contains(id));
        let tables = &mut state.bond_tables;
        let gone: Vec<BondId> =
            tables.keys().filter(|it| !wanted.contains_key(it)).copied().collect();
        for id in gone {
            self.services.change_bond(id, |bond| bond.set_tabled(false));
            if let Some(table) = tables.remove(&id)
                && let Err(error) = table.datapath.netdev.bond_del(id)
            {
                log::warn!(target: "dpif", "bond {}: its table stays: {error}", id.0);
            }
        }
        for (id, (datapath, ports)) in wanted {
            if tables.get(&id).is_some_and(|table| table.ports == ports) {
                continue;
            }
            if let Err(error) = datapath.netdev.bond_set(id, &ports) {
                // Tried again in the next turn.
                state.bonds_seen = 0;
                log::warn!(target: "dpif", "bond {}: its table is not set: {error}", id.0);
                continue;
            }
            let counted =
                tables.remove(&id).map_or_else(|| Box::new([0; BUCKETS]), |it| it.counted);
            tables.insert(id, BondTable { datapath, ports, counted });
            self.services.change_bond(id, |bond| bond.set_tabled(true));
        }
    }

    fn wanted_tables(&self) -> BTreeMap<BondId, (Arc<Datapath>, Box<Assignment>)> {
        let mut wanted = BTreeMap::new();
        for bridge in self.bridges() {
            let state = bridge.state();
            if state.bonds.is_empty()
                || bridge.datapath.lessened("lb_output_action").as_deref() == Some("false")
            {
                continue;
            }
            let numbers: BTreeMap<_, _> =
                state.interfaces.values().filter_map(|it| Some((it.ofport?, it.number?))).collect();
            for id in state.bonds.values() {
                let members = self.services.change_bond(*id, |bond| {
                    let all_ports = bond.members().all(|(member, _)| numbers.contains_key(&member));
                    (bond.wants_table() && all_ports).then(|| bond.assignments())
                });
                let Some(Some(members)) = members else { continue };
                let number = |member| numbers.get(&member).copied();
                let ports = members.map(|it| it.and_then(number).unwrap_or(PortNo::NONE));
                wanted.insert(*id, (Arc::clone(&bridge.datapath), Box::new(ports)));
            }
        }
        wanted
    }
}
