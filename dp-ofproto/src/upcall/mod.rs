//! The slow path's answer to upcalls, and what it remembers of each answer.
//!
//! ```text
//!   upcall ─► bridge of the port ─► translate ─► effects for this packet ─► verdict
//!                                       └─► ukey: effects, what the answer rests on ─► revalidation
//! ```
//!
//! Effects of the packet that was asked about are applied here; the megaflow's own statistics
//! start at zero, and revalidation applies the effects of what it carries.

mod ukey;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use dp_core::base::{Instant, PortNo, Ufid};
use dp_core::boundary::{Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::flow::ufid;

use crate::bridge::{Bridge, BridgePort};
use crate::translate::{Silent, View, translate};

pub use ukey::{Basis, Ukey, Ukeys};

/// Megaflows installed at most, unless it is said otherwise.
pub const FLOW_LIMIT: usize = 200_000;

/// The OpenFlow layer of a switch: its bridges, and what is known of the megaflows that they made.
#[derive(Debug)]
pub struct Ofproto {
    bridges: ArcSwap<Vec<Arc<Bridge>>>,
    ukeys: Ukeys,
    flow_limit: AtomicUsize,
    counters: UpcallCounters,
}

/// What became of upcalls.
#[derive(Debug, Default)]
pub struct UpcallCounters {
    answered: AtomicU64,
    over_limit: AtomicU64,
    no_bridge: AtomicU64,
}

impl UpcallCounters {
    /// Upcalls with an answer.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Answers for one packet only, because the flow limit was reached.
    #[must_use]
    pub fn over_limit(&self) -> u64 {
        self.over_limit.load(Ordering::Relaxed)
    }

    /// Upcalls from ports that belong to no bridge.
    #[must_use]
    pub fn no_bridge(&self) -> u64 {
        self.no_bridge.load(Ordering::Relaxed)
    }
}

impl Default for Ofproto {
    fn default() -> Self {
        Self {
            bridges: ArcSwap::default(),
            ukeys: Ukeys::default(),
            flow_limit: AtomicUsize::new(FLOW_LIMIT),
            counters: UpcallCounters::default(),
        }
    }
}

impl Ofproto {
    /// A layer with these bridges.
    #[must_use]
    pub fn new(bridges: impl IntoIterator<Item = Arc<Bridge>>) -> Self {
        let ofproto = Self::default();
        ofproto.set_bridges(bridges);
        ofproto
    }

    /// Replaces the bridges. Megaflows of bridges that are gone go at the next revalidation.
    pub fn set_bridges(&self, bridges: impl IntoIterator<Item = Arc<Bridge>>) {
        self.bridges.store(Arc::new(bridges.into_iter().collect()));
    }

    /// The bridges.
    #[must_use]
    pub fn bridges(&self) -> Arc<Vec<Arc<Bridge>>> {
        self.bridges.load_full()
    }

    /// The bridge that a datapath port belongs to, and what it is there.
    #[must_use]
    pub fn locate(&self, port: PortNo) -> Option<(Arc<Bridge>, Arc<BridgePort>)> {
        self.bridges.load().iter().find_map(|bridge| {
            let port = Arc::clone(bridge.ports().by_port(port)?);
            Some((Arc::clone(bridge), port))
        })
    }

    /// What is known of the megaflows.
    #[must_use]
    pub fn ukeys(&self) -> &Ukeys {
        &self.ukeys
    }

    /// How many megaflows may be installed; further upcalls are answered for their packet alone.
    pub fn set_flow_limit(&self, flows: usize) {
        self.flow_limit.store(flows, Ordering::Relaxed);
    }

    /// What became of upcalls.
    #[must_use]
    pub fn counters(&self) -> &UpcallCounters {
        &self.counters
    }

    /// Lets rules and learned addresses go whose time is over.
    pub fn expire(&self, now: Instant) {
        for bridge in self.bridges.load().iter() {
            bridge.tables().expire(now);
            bridge.macs().expire(now);
        }
    }
}

impl UpcallSink for Ofproto {
    fn upcall(&self, upcall: &Upcall<'_>, now: Instant) -> Result<Verdict, UpcallError> {
        let Some((bridge, port)) = self.locate(upcall.key.in_port()) else {
            self.counters.no_bridge.fetch_add(1, Ordering::Relaxed);
            return Err(UpcallError::NoBridge);
        };
        // The basis first: whatever changes meanwhile makes the answer look old, never new.
        let basis = Basis::of(&bridge);
        let translation = translate(&View::of(&bridge), &port, upcall.key, &mut Silent);
        let bytes = upcall.frame.len() as u64;
        for effect in &translation.effects {
            effect.apply(&bridge, 1, bytes, now);
        }
        self.counters.answered.fetch_add(1, Ordering::Relaxed);
        let install = self.ukeys.len() < self.flow_limit.load(Ordering::Relaxed);
        if install {
            let id = ufid(upcall.key, &translation.mask);
            let actions = Arc::clone(&translation.actions);
            self.ukeys.put(id, Ukey::new(bridge, basis, actions, translation.effects, now));
        } else {
            self.counters.over_limit.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Verdict { actions: translation.actions, mask: translation.mask, install })
    }

    fn widened(&self, asked: Ufid, installed: Ufid) {
        self.ukeys.copy(asked, installed);
    }
}
