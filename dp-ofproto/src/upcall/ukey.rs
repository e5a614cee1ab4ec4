//! What the slow path remembers of a megaflow.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use ahash::RandomState;
use dp_core::action::ActionList;
use dp_core::base::{Instant, Ufid};
use dp_core::boundary::FlowStats;
use dp_core::sync::machine::{AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError};
use smallvec::SmallVec;

use crate::bridge::Bridge;
use crate::translate::hooks::Hooks;
use crate::translate::recirc::RecircRef;
use crate::translate::{Basis, Effects, Translation};

/// How much of what a packet thread's copy of the megaflow has carried is accounted for.
#[derive(Debug)]
struct Seen {
    /// The copy, known by its statistics: one that is installed again is another.
    stats: Arc<FlowStats>,
    packets: u64,
    bytes: u64,
}

/// What the slow path remembers of a megaflow.
#[derive(Debug)]
pub struct Ukey {
    /// The bridge that made it.
    pub bridge: Arc<Bridge>,
    /// What its actions rest on.
    pub basis: Basis,
    /// What it should do, going by the basis.
    pub actions: ActionList,
    /// What its packets cause beside the actions.
    pub effects: Effects,
    /// Numbers that its actions need.
    pub recircs: SmallVec<[RecircRef; 1]>,
    /// Its mask no longer covers what the decision needs: every copy of it must go.
    pub stale: bool,
    /// When the slow path last heard of it.
    pub heard: Instant,
    seen: SmallVec<[Seen; 1]>,
}

impl Ukey {
    /// What is remembered of a megaflow that was decided on at `now`.
    #[must_use]
    pub fn new(bridge: Arc<Bridge>, translation: Translation, now: Instant) -> Self {
        let Translation { actions, mut effects, recircs, basis, .. } = translation;
        effects.retain(|effect| effect.lasts());
        let seen = SmallVec::new();
        Self { bridge, basis, actions, effects, recircs, stale: false, heard: now, seen }
    }

    /// Applies the effects of what a thread's copy has carried since the last time.
    pub fn account(&mut self, hooks: &Hooks, stats: &Arc<FlowStats>) {
        let known = self.seen.iter().position(|seen| Arc::ptr_eq(&seen.stats, stats));
        let index = known.unwrap_or_else(|| {
            self.seen.push(Seen { stats: Arc::clone(stats), packets: 0, bytes: 0 });
            self.seen.len() - 1
        });
        let Some(seen) = self.seen.get_mut(index) else { return };
        let now = stats.snapshot();
        let packets = now.packets.wrapping_sub(seen.packets);
        let bytes = now.bytes.wrapping_sub(seen.bytes);
        (seen.packets, seen.bytes) = (now.packets, now.bytes);
        if let (1.., Some(used)) = (packets, now.used) {
            for effect in &self.effects {
                effect.apply(hooks, packets, bytes, now.tcp_flags, used);
            }
        }
    }

    /// A thread's copy is gone for good.
    pub fn forget(&mut self, hooks: &Hooks, stats: &Arc<FlowStats>) {
        self.seen.retain(|seen| !Arc::ptr_eq(&seen.stats, stats));
        if self.seen.is_empty() {
            self.effects.iter().for_each(|effect| effect.end(hooks));
        }
    }
}

const SHARDS: usize = 64;
type Shard = HashMap<Ufid, Ukey, RandomState>;

/// What is remembered of all megaflows, by id.
#[derive(Debug)]
pub struct Ukeys {
    shards: [Mutex<Shard>; SHARDS],
    len: AtomicUsize,
}

impl Default for Ukeys {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), len: AtomicUsize::new(0) }
    }
}

impl Ukeys {
    fn shard(&self, id: Ufid) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(id.0 % SHARDS as u128).unwrap_or(0);
        let [first, ..] = &self.shards;
        self.shards.get(index).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Remembers of `other` what is remembered of `id`: the datapath has installed it under that id.
    pub fn copy(&self, id: Ufid, other: Ufid) {
        let copy = self.with(id, |ukey| Ukey {
            bridge: Arc::clone(&ukey.bridge),
            basis: ukey.basis.clone(),
            recircs: ukey.recircs.clone(),
            actions: Arc::clone(&ukey.actions),
            effects: ukey.effects.clone(),
            stale: ukey.stale,
            heard: ukey.heard,
            seen: SmallVec::new(),
        });
        if let Some(copy) = copy {
            self.put(other, copy);
        }
    }

    /// Remembers a megaflow. What was accounted of an earlier one with this id stays: another
    /// thread may have it.
    pub fn put(&self, id: Ufid, ukey: Ukey) {
        match self.shard(id).entry(id) {
            Entry::Occupied(mut entry) => {
                let seen = std::mem::take(&mut entry.get_mut().seen);
                entry.insert(Ukey { seen, ..ukey });
            }
            Entry::Vacant(entry) => {
                entry.insert(ukey);
                self.len.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Does something with what is remembered of a megaflow.
    pub fn with<T>(&self, id: Ufid, act: impl FnOnce(&mut Ukey) -> T) -> Option<T> {
        self.shard(id).get_mut(&id).map(act)
    }

    /// Forgets those that `keep` does not want.
    pub fn retain(&self, mut keep: impl FnMut(Ufid, &Ukey) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let before = shard.len();
            shard.retain(|id, ukey| keep(*id, ukey));
            self.len.fetch_sub(before - shard.len(), Ordering::Relaxed);
        }
    }
}
