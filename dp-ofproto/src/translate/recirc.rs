//! Recirculation: what translation remembers while the datapath is busy with a packet.
//!
//! Some steps of a translation need what only the datapath can compute (the state of a connection,
//! a hash, what is beneath an MPLS label). There translation stops, *freezes* what it has and what
//! is left to do, and lets the datapath come back with the number of the frozen state; the packet
//! thaws as a megaflow of its own.
//!
//! Equal states have one number: translating the same flow again, as revalidation does all the time,
//! gives the same actions. A number is held by whoever needs it ([`RecircRef`]: a ukey, mostly) and
//! free again when the last holder lets go.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ahash::RandomState;
use dp_core::base::{BondId, OfPort, RecircId};
use dp_core::flow::{FieldId, FlowKey, LANES, Wide, layout};

pub use super::kept::Kept;
use crate::action::{Action, Controller};
use crate::bridge::Bridge;

/// Actions that were left over in one table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// The table they belong to.
    pub table: u8,
    /// Cookie of the rule that they belong to.
    pub cookie: u64,
    /// The actions.
    pub actions: Box<[Action]>,
}

/// Where translation goes on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resume {
    /// With a look-up in this table.
    Table(u8),
    /// With what was left of the lists, innermost first.
    Actions(Box<[Segment]>),
    /// With the choice of a bond's member, by the hash that the datapath has computed.
    Bond(BondId),
}

/// Translation, stopped.
#[derive(Clone, Debug)]
pub struct Frozen {
    /// The bridge.
    pub bridge: Arc<Bridge>,
    /// The in-port that flow tables see.
    pub in_port: OfPort,
    /// What is left to do.
    pub resume: Resume,
    /// What the packet does not carry itself of registers, metadata and the tunnel's fields.
    pub kept: Kept,
    /// The stack.
    pub stack: Box<[Wide]>,
    /// The action set.
    pub action_set: Box<[Action]>,
    /// The mirrors that have a copy already, as bits.
    pub mirrors: u32,
    /// The packet comes from the connection tracker.
    pub conntracked: bool,
    /// For packets that a controller gets: what it is told.
    pub controller: Option<Box<Controller>>,
    /// The table in which that happened.
    pub table: u8,
    /// For packets that wait for a neighbour: which.
    pub neighbour: Option<WantedNeighbour>,
}

/// A neighbour that a packet for a tunnel waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WantedNeighbour {
    /// The bridge on whose link it is.
    pub bridge: Arc<str>,
    /// Its address.
    pub target: IpAddr,
    /// The address that asks for it.
    pub source: IpAddr,
}

impl Frozen {
    /// What a packet of a bond comes back for: nothing but the choice of a member.
    #[must_use]
    pub fn of_bond(bridge: Arc<Bridge>, bond: BondId) -> Self {
        Self {
            bridge,
            in_port: OfPort::NONE,
            resume: Resume::Bond(bond),
            kept: Kept::default(),
            stack: Box::default(),
            action_set: Box::default(),
            mirrors: 0,
            conntracked: false,
            controller: None,
            table: 0,
            neighbour: None,
        }
    }

    /// Takes what a controller gives back of OpenFlow's own fields, which it may have changed:
    /// registers, metadata and options wholly, of a tunnel what is said.
    pub(crate) fn take_metadata(&mut self, said: &FlowKey) {
        let mut kept = said.clone();
        self.kept.restore(&mut kept);
        for place in TUNNEL.map(|field| field.field().place) {
            if said.load(place) != 0 {
                kept.store(place, said.load(place));
            }
        }
        for lane in layout::REG0.lane()..LANES {
            *kept.lane_mut(lane) = *said.lane(lane);
        }
        kept.wide_mut().clone_from(said.wide());
        self.kept = Kept::all_of(&kept);
    }

    /// What equality is about: bridges are equal if they are the same.
    #[expect(clippy::type_complexity, reason = "a tuple of everything")]
    fn parts(
        &self,
    ) -> (
        *const Bridge,
        (OfPort, u8, u32, bool),
        &Resume,
        &Kept,
        &[Wide],
        &[Action],
        (&Option<Box<Controller>>, &Option<WantedNeighbour>),
    ) {
        (
            Arc::as_ptr(&self.bridge),
            (self.in_port, self.table, self.mirrors, self.conntracked),
            &self.resume,
            &self.kept,
            &self.stack,
            &self.action_set,
            (&self.controller, &self.neighbour),
        )
    }
}

/// A number that is in use, as long as it is held.
pub type RecircRef = Arc<Recirc>;

/// A frozen state and its number.
pub struct Recirc {
    id: RecircId,
    frozen: Frozen,
    table: Weak<Inner>,
    hash: u64,
}

impl Recirc {
    /// The number.
    #[must_use]
    pub fn id(&self) -> RecircId {
        self.id
    }

    /// The state.
    #[must_use]
    pub const fn frozen(&self) -> &Frozen {
        &self.frozen
    }
}

impl fmt::Debug for Recirc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recirc({:#x})", self.id.0)
    }
}

impl Drop for Recirc {
    fn drop(&mut self) {
        if let Some(inner) = self.table.upgrade() {
            let mut maps = inner.lock();
            // Another may have been made with this state since the last holder let go.
            let gone = |weak: &Weak<Self>| weak.strong_count() == 0;
            if maps.by_id.get(&self.id.0).is_some_and(gone) {
                maps.by_id.remove(&self.id.0);
            }
            if let Some(list) = maps.by_state.get_mut(&self.hash) {
                list.retain(|weak| !gone(weak));
                if list.is_empty() {
                    maps.by_state.remove(&self.hash);
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Maps {
    last: u32,
    by_id: HashMap<u32, Weak<Recirc>, RandomState>,
    by_state: HashMap<u64, Vec<Weak<Recirc>>, RandomState>,
    /// What was handed out lately: packets may be under way that no megaflow stands for.
    young: Vec<RecircRef>,
    old: Vec<RecircRef>,
}

#[derive(Debug, Default)]
struct Inner {
    maps: Mutex<Maps>,
    hasher: RandomState,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All frozen states of a switch.
#[derive(Clone, Debug, Default)]
pub struct RecircTable(Arc<Inner>);

impl RecircTable {
    /// The number of a state: the one it has, or a new one.
    #[must_use]
    pub fn freeze(&self, frozen: Frozen) -> RecircRef {
        let hash = self.0.hasher.hash_one(frozen.parts());
        let mut maps = self.0.lock();
        let same = maps.by_state.get(&hash).and_then(|list| {
            list.iter()
                .filter_map(Weak::upgrade)
                .find(|other| other.frozen.parts() == frozen.parts())
        });
        if let Some(same) = same {
            return same;
        }
        self.put(&mut maps, frozen, hash)
    }

    fn put(&self, maps: &mut Maps, frozen: Frozen, hash: u64) -> RecircRef {
        loop {
            maps.last = maps.last.wrapping_add(1).max(1);
            if !maps.by_id.contains_key(&maps.last) {
                break;
            }
        }
        let id = RecircId(maps.last);
        let recirc = Arc::new(Recirc { id, frozen, table: Arc::downgrade(&self.0), hash });
        maps.by_id.insert(id.0, Arc::downgrade(&recirc));
        maps.by_state.entry(hash).or_default().push(Arc::downgrade(&recirc));
        maps.young.push(Arc::clone(&recirc));
        recirc
    }

    /// The state with this number.
    #[must_use]
    pub fn find(&self, id: RecircId) -> Option<RecircRef> {
        self.0.lock().by_id.get(&id.0)?.upgrade()
    }

    /// How many are in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().by_id.len()
    }

    /// Whether none is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets go of numbers handed out before the last call but one; to be called every half second
    /// or more rarely.
    pub fn age(&self) {
        let mut maps = self.0.lock();
        let young = std::mem::take(&mut maps.young);
        let old = std::mem::replace(&mut maps.old, young);
        // Dropping them takes the lock.
        drop(maps);
        drop(old);
    }
}

/// What controllers are told of a tunnel.
const TUNNEL: [FieldId; 8] = [
    FieldId::TunId,
    FieldId::TunSrc,
    FieldId::TunDst,
    FieldId::TunIpv6Src,
    FieldId::TunIpv6Dst,
    FieldId::TunGbpId,
    FieldId::TunGbpFlags,
    FieldId::TunFlags,
];

#[cfg(test)]
mod tests {
    use super::{FieldId, FlowKey, Frozen, Kept, RecircTable, Resume};
    use crate::bridge::Bridge;
    use crate::learn::MacTableConfig;
    use crate::table::TablesConfig;
    use dp_core::base::OfPort;
    use std::sync::Arc;

    fn frozen(bridge: &Arc<Bridge>, n: u8) -> Frozen {
        Frozen {
            bridge: Arc::clone(bridge),
            in_port: OfPort(1),
            resume: Resume::Table(n),
            kept: Kept::default(),
            stack: Box::default(),
            action_set: Box::default(),
            mirrors: 0,
            conntracked: false,
            controller: None,
            table: 0,
            neighbour: None,
        }
    }

    #[test]
    fn what_a_controller_changes_of_the_registers_is_what_goes_on() {
        let bridge =
            Arc::new(Bridge::new("br0", TablesConfig::default(), MacTableConfig::default()));
        let mut paused = frozen(&bridge, 1);
        let mut flow = FlowKey::EMPTY;
        flow.set(FieldId::Reg0, 0x300);
        flow.set(FieldId::Reg1, 7);
        flow.set(FieldId::TunId, 5);
        paused.kept = Kept::all_of(&flow);
        let mut said = FlowKey::EMPTY;
        said.set(FieldId::Reg0, 0x308);
        paused.take_metadata(&said);
        flow.set(FieldId::Reg0, 0x308);
        flow.set(FieldId::Reg1, 0);
        let mut back = FlowKey::EMPTY;
        paused.kept.restore(&mut back);
        assert_eq!(back, flow);
    }

    #[test]
    fn equal_states_have_one_number_and_free_ones_are_forgotten() {
        let table = RecircTable::default();
        let bridge =
            Arc::new(Bridge::new("br0", TablesConfig::default(), MacTableConfig::default()));
        let a = table.freeze(frozen(&bridge, 1));
        let b = table.freeze(frozen(&bridge, 1));
        let c = table.freeze(frozen(&bridge, 2));
        assert_eq!((a.id(), table.len()), (b.id(), 2));
        assert_ne!(a.id(), c.id());
        drop((a, b));
        assert!(table.find(c.id()).is_some());
        table.age();
        assert_eq!(table.len(), 2, "packets may be under way");
        table.age();
        assert_eq!(table.len(), 1);
        drop(c);
        assert!(table.is_empty());
    }
}
