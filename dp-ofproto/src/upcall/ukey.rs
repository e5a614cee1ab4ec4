//! What the slow path remembers of a megaflow.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use ahash::RandomState;
use dp_core::action::ActionList;
use dp_core::base::{Instant, PortNo, Ufid};
use dp_core::boundary::FlowStats;
use dp_core::sync::machine::{AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError};
use smallvec::SmallVec;

use super::shares::Shares;
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
    /// The datapath's port that its packets come in by.
    pub port: PortNo,
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
    /// No round has named it since the slow path has answered.
    fresh: bool,
    seen: SmallVec<[Seen; 1]>,
}

impl Ukey {
    /// What is remembered of a megaflow that was decided on at `now`.
    #[must_use]
    pub fn new(bridge: Arc<Bridge>, port: PortNo, translation: Translation, now: Instant) -> Self {
        let Translation { actions, mut effects, recircs, basis, .. } = translation;
        effects.retain(|effect| effect.lasts());
        let seen = SmallVec::new();
        let (stale, heard, fresh) = (false, now, true);
        Self { bridge, port, basis, actions, effects, recircs, stale, heard, fresh, seen }
    }

    /// A round of revalidation names it.
    pub fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.fresh = false;
    }

    /// Whether it is known that no thread has it.
    fn is_gone(&self) -> bool {
        self.seen.is_empty() && !self.fresh
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
        // The thread has begun to note its first packet: the next time.
        let Some(used) = now.used else { return };
        let packets = now.packets.wrapping_sub(seen.packets);
        let bytes = now.bytes.wrapping_sub(seen.bytes);
        (seen.packets, seen.bytes) = (now.packets, now.bytes);
        if (packets, bytes) != (0, 0) {
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
    shares: Shares,
}

impl Default for Ukeys {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, len: AtomicUsize::new(0), shares: Shares::default() }
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
            port: ukey.port,
            basis: ukey.basis.clone(),
            recircs: ukey.recircs.clone(),
            actions: Arc::clone(&ukey.actions),
            effects: ukey.effects.clone(),
            stale: ukey.stale,
            heard: ukey.heard,
            fresh: true,
            seen: SmallVec::new(),
        });
        if let Some(copy) = copy {
            self.put(other, copy);
        }
    }

    /// Remembers a megaflow. What was accounted of an earlier one with this id stays: another
    /// thread may have it. `false`: there was one.
    pub fn put(&self, id: Ufid, ukey: Ukey) -> bool {
        match self.shard(id).entry(id) {
            Entry::Occupied(mut entry) => {
                let seen = std::mem::take(&mut entry.get_mut().seen);
                let port = entry.get().port;
                entry.insert(Ukey { seen, port, ..ukey });
                false
            }
            Entry::Vacant(entry) => {
                self.shares.add(ukey.port);
                entry.insert(ukey);
                self.len.fetch_add(1, Ordering::Relaxed);
                true
            }
        }
    }

    /// How many there are of each port.
    #[must_use]
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Forgets one that no thread has any more.
    pub fn release(&self, id: Ufid) {
        if let Entry::Occupied(entry) = self.shard(id).entry(id)
            && entry.get().is_gone()
        {
            self.shares.sub(entry.get().port);
            entry.remove();
            self.len.fetch_sub(1, Ordering::Relaxed);
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
            shard.retain(|id, ukey| {
                let keeps = keep(*id, ukey);
                if !keeps {
                    self.shares.sub(ukey.port);
                }
                keeps
            });
            self.len.fetch_sub(before - shard.len(), Ordering::Relaxed);
        }
    }
}
