//! What a switch's bridges do of their own accord, plugged into translation.
//!
//! The state machines of [`crate::protocols`] and [`crate::bond`] know nothing of each other or of a
//! bridge; here they meet. One [`Services`] serves all bridges: it is configured by whoever owns the
//! switch, run with the time, asked by translation through the hooks, and says which frames to send.
//!
//! ```text
//!   carrier ─┐
//!   CFM, BFD ├─► may carry ─► bond ─► translation asks: admit? which member?
//!   LACP ────┘
//!   frames in (hooks) ─► state machines ─► frames out ([`Services::run`])
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`links`] | bonds and LACP |
//! | [`watch`] | CFM and BFD |
//! | [`discovery`] | LLDP |
//! | [`counters`] | what LACP has counted |
//! | [`multicast`] | snooping |
//! | [`trees`] | STP and RSTP |
//! | `hooks` | the answers to translation |
//! | `interest` | which ports speak what, to be read without the lock |
//! | `frame` | payloads of frames |
//!
//! # Threads
//!
//! One lock over all of it: translation takes it for packets of ports that are bonds, that are watched,
//! or that belong to a protocol, on upcalls alone; the time-driven part holds it briefly. A thread of
//! its own may call [`Services::pulse`], so that what must be sent in time does not wait for anything
//! else.

pub mod counters;
pub mod discovery;
mod frame;
mod hooks;
mod interest;
pub mod links;
pub mod multicast;
pub mod trees;
pub mod watch;

pub use self::frame::control_packet;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use dp_core::base::{BondId, Duration, Instant, OfPort};

use crate::protocols::lldp;
use crate::translate::hooks::Hooks;
use interest::Interest;
use links::{Aggregate, BondEntry};
use multicast::BridgeSnooping;
use trees::Tree;
use watch::Watch;

/// A port of a bridge, by name and OpenFlow number.
pub(crate) type PortKey = (String, OfPort);

/// Bonds and bridge protocols of a switch.
#[derive(Debug, Default)]
pub struct Services {
    state: Mutex<State>,
    /// Moves on whenever an answer to translation may differ.
    version: AtomicU64,
    /// Rung when a protocol has heard something.
    heard: Condvar,
    /// Who speaks what: translation asks for every packet, and takes the lock for few.
    interest: ArcSwap<Interest>,
}

#[derive(Debug, Default)]
struct State {
    bonds: BTreeMap<BondId, BondEntry>,
    /// LACP by bridge and port, bonds or not.
    aggregates: BTreeMap<(String, String), Aggregate>,
    watches: BTreeMap<PortKey, Watch>,
    snooping: BTreeMap<String, BridgeSnooping>,
    trees: BTreeMap<String, Tree>,
    lldp: BTreeMap<PortKey, lldp::Agent>,
    next_bond: u32,
    /// For seeds: each session gets another.
    sessions: u64,
    /// The versions of everything together, when last looked at.
    seen: u64,
    /// Bonds whose active member changed in a pulse.
    announce: Vec<(String, BondId)>,
}

/// What the switch knows of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortFacts {
    /// Whether its link is up.
    pub carrier: bool,
    /// Frames that it has received so far.
    pub rx_packets: u64,
}

/// A frame to send out of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The bridge.
    pub bridge: String,
    /// The port.
    pub ofport: OfPort,
    /// The frame.
    pub frame: Vec<u8>,
    /// To be marked OAM, where the port is a tunnel that can.
    pub oam: bool,
}

/// What a turn brought about.
#[derive(Debug, Default)]
pub struct Turn {
    /// Frames to send.
    pub outgoing: Vec<Outgoing>,
    /// Bonds whose active member changed: [`Services::announcements`] are to be sent.
    pub announce: Vec<(String, BondId)>,
    /// Bridges whose tree has changed: the addresses that they learned may be wrong.
    pub flush: Vec<String>,
    /// Whether something that operators see has changed.
    pub changed: bool,
    /// A session is over unless its neighbour's message has come in and was not looked at yet.
    pub in_doubt: bool,
}

impl Services {
    /// Nothing configured.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Itself as the hooks of translation; what it does not answer is taken from `others`.
    #[must_use]
    pub fn hooks(self: &Arc<Self>, others: Hooks) -> Hooks {
        let (bonds, protocols) = (Arc::clone(self), Arc::clone(self));
        Hooks { bonds: Some(bonds), protocols: Some(protocols), ..others }
    }

    /// Lets time pass: `facts` tells about ports. Call it when something may have come in, and when
    /// [`Self::wake`] says so.
    pub fn run(&self, now: Instant, facts: impl FnMut(&str, OfPort) -> PortFacts) -> Turn {
        self.run_heard(now, now, facts)
    }

    /// As [`Self::run`], where only what came in until `heard` has been taken in.
    pub fn run_heard(
        &self,
        heard: Instant,
        now: Instant,
        mut facts: impl FnMut(&str, OfPort) -> PortFacts,
    ) -> Turn {
        let mut state = self.state();
        let mut turn = Turn::default();
        state.run_watches(heard, now, &mut facts, &mut turn);
        state.run_links(now, &mut facts, &mut turn);
        turn.announce.append(&mut state.announce);
        state.run_trees(now, &mut turn);
        state.run_lldp(now, &mut turn);
        for snooping in state.snooping.values_mut() {
            snooping.table.expire(now);
        }
        turn.changed = self.notice(&mut state);
        turn
    }

    /// What of [`Self::run`] must not be late: CFM, BFD, LACP, and the bonds that follow them. The rest,
    /// and telling others of changes, is left to a call of `run` that follows when there are any.
    pub fn pulse(
        &self,
        heard: Instant,
        now: Instant,
        mut facts: impl FnMut(&str, OfPort) -> PortFacts,
    ) -> Turn {
        let mut state = self.state();
        let mut turn = Turn::default();
        state.run_watches(heard, now, &mut facts, &mut turn);
        state.run_links(now, &mut facts, &mut turn);
        state.announce.append(&mut turn.announce);
        turn.changed = state.versions() != state.seen || !state.announce.is_empty();
        if turn.changed {
            self.version.fetch_add(1, Ordering::Relaxed);
        }
        turn
    }

    /// Waits until [`Self::pulse`] has something to do: its moment, or something that came in; but no
    /// longer than `most`, and never less than a moment. `now` tells the time.
    pub fn await_pulse(&self, most: Duration, now: impl Fn() -> Instant) {
        let state = self.state();
        let watches = state.watches.values().filter_map(Watch::wake);
        let lacp = state.aggregates.values().filter_map(|aggregate| aggregate.lacp.wake());
        let wait = watches.chain(lacp).min().map_or(most, |at| at.since(now()).min(most));
        let wait = wait.max(SHORTEST);
        drop(self.heard.wait_timeout(state, wait));
    }

    /// When [`Self::run`] has something to do, if nothing comes in before.
    #[must_use]
    pub fn wake(&self) -> Option<Instant> {
        let state = self.state();
        let watches = state.watches.values().filter_map(Watch::wake);
        let bonds = state.bonds.values().filter_map(|entry| entry.bond.wake());
        let lacp = state.aggregates.values().filter_map(|aggregate| aggregate.lacp.wake());
        let trees = state.trees.values().filter_map(Tree::wake);
        let lldp = state.lldp.values().map(lldp::Agent::wake);
        watches.chain(bonds).chain(lacp).chain(trees).chain(lldp).min()
    }

    /// As [`Self::wake`], where somebody else calls [`Self::pulse`] in time.
    #[must_use]
    pub fn wake_at_leisure(&self) -> Option<Instant> {
        let state = self.state();
        let bonds = state.bonds.values().filter_map(|entry| entry.bond.wake());
        let trees = state.trees.values().filter_map(Tree::wake);
        let lldp = state.lldp.values().map(lldp::Agent::wake);
        bonds.chain(trees).chain(lldp).min()
    }

    /// Whether there is any session or tree whose state is told to operators.
    #[must_use]
    pub fn is_used(&self) -> bool {
        let state = self.state();
        let quiet = state.bonds.is_empty()
            && state.aggregates.is_empty()
            && state.watches.is_empty()
            && state.trees.is_empty()
            && state.lldp.is_empty();
        !quiet
    }

    /// Everything of a bridge goes.
    pub fn remove_bridge(&self, bridge: &str) {
        let mut state = self.state();
        state.bonds.retain(|_, entry| entry.bridge != bridge);
        state.aggregates.retain(|(of, _), _| of != bridge);
        state.watches.retain(|(of, _), _| of != bridge);
        state.snooping.remove(bridge);
        state.trees.remove(bridge);
        state.lldp.retain(|(of, _), _| of != bridge);
        self.index(&state);
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets translation know that answers may differ.
    fn move_on(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Says that something else has changed by which answers may differ.
    pub fn look_again(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets translation know that answers may differ, if they do.
    fn notice(&self, state: &mut State) -> bool {
        let now = state.versions();
        let changed = now != state.seen;
        if changed {
            state.seen = now;
            self.version.fetch_add(1, Ordering::Relaxed);
        }
        changed
    }
}

impl State {
    /// The versions of everything together.
    fn versions(&self) -> u64 {
        let bonds = self.bonds.values().map(|entry| entry.bond.version());
        let watches = self.watches.values().map(Watch::version);
        let snooping = self.snooping.values().map(|snooping| snooping.table.version());
        let trees = self.trees.values().map(Tree::version);
        bonds.chain(watches).chain(snooping).chain(trees).fold(0, u64::wrapping_add)
    }

    /// A seed that no session has had.
    fn seed(&mut self) -> u64 {
        self.sessions += 1;
        self.sessions.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// The shortest wait for a pulse: a thread that runs before all others must let them run.
const SHORTEST: Duration = Duration::from_micros(500);

#[cfg(test)]
mod tests;
