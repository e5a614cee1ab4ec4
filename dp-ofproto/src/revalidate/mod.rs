//! Revalidation: keeping megaflows true to the tables, and letting idle ones go.
//!
//! A round dumps every megaflow, applies the effects of what it has carried since the last round
//! (rules are credited, addresses refreshed), and asks whether what it rests on has changed. If so
//! it is translated again: it stays, gets other actions, or goes if its mask no longer covers what
//! the decision needs.
//!
//! Nothing is lost and nothing is counted twice: statistics of a megaflow that is going are read
//! once more in the next round, after the packet thread has let go of it.

mod crowd;

use std::collections::HashSet;
use std::sync::Arc;

use dp_core::base::{Duration, Instant, Ufid};
use dp_core::boundary::{Datapath, FlowDump};

use self::crowd::Crowd;
use crate::translate::{BridgeBasis, Request, Silent, World, translate_request};
use crate::upcall::Ofproto;

/// What may be chosen about revalidation.
#[derive(Clone, Copy, Debug)]
pub struct RevalidatorConfig {
    /// How long a megaflow may go without a packet (`max-idle`).
    pub max_idle: Duration,
    /// How often there is a round at least (`max-revalidator`).
    pub interval: Duration,
}

impl Default for RevalidatorConfig {
    fn default() -> Self {
        Self { max_idle: Duration::from_secs(10), interval: Duration::from_millis(500) }
    }
}

/// What a round has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Megaflows looked at.
    pub flows: usize,
    /// Translated again.
    pub translated: usize,
    /// Given other actions.
    pub changed: usize,
    /// Removed because the tables, ports or addresses changed.
    pub removed: usize,
    /// Removed because no packet came.
    pub idle: usize,
    /// Removed because their port has more than its share, and others need room.
    pub crowded: usize,
}

/// Runs the rounds. One for a datapath.
#[derive(Debug)]
pub struct Revalidator {
    ofproto: Arc<Ofproto>,
    config: RevalidatorConfig,
    last: Option<Instant>,
    /// When rules and addresses were last looked at that may be over.
    expired: Option<Instant>,
    bases: (u64, Vec<BridgeBasis>),
    /// Megaflows that the datapath was told to let go of, and may still be crediting.
    leaving: Vec<FlowDump>,
}

impl Revalidator {
    /// A revalidator for the megaflows of this layer.
    #[must_use]
    pub fn new(ofproto: Arc<Ofproto>, config: RevalidatorConfig) -> Self {
        let (last, expired, bases, leaving) = (None, None, (0, Vec::new()), Vec::new());
        Self { ofproto, config, last, expired, bases, leaving }
    }

    /// Changes what may be chosen, from the next round on.
    pub fn set_config(&mut self, config: RevalidatorConfig) {
        self.config = config;
    }

    /// Whether it is time for a round: something changed, or the interval is over.
    #[must_use]
    pub fn due(&self, now: Instant) -> bool {
        self.is_time(now) || self.bases != self.bases_now()
    }

    /// Whether the interval is over.
    #[must_use]
    pub fn is_time(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.since(last) >= self.config.interval)
    }

    fn bases_now(&self) -> (u64, Vec<BridgeBasis>) {
        let world = self.ofproto.world();
        (world.version(), world.bridges.iter().map(BridgeBasis::of).collect())
    }

    /// One round: expires rules and addresses, then goes through all megaflows.
    pub fn run(&mut self, datapath: &dyn Datapath, now: Instant) -> Round {
        self.expired = None;
        self.run_due(datapath, now)
    }

    /// A round that is due. Rules and addresses expire in one of each interval only: tables may hold
    /// many, and a controller may change them with each of its messages.
    pub fn run_due(&mut self, datapath: &dyn Datapath, now: Instant) -> Round {
        self.last = Some(now);
        if self.expired.is_none_or(|last| now.since(last) >= self.config.interval) {
            self.expired = Some(now);
            self.ofproto.expire(now);
        }
        self.ofproto.begin_round();
        self.bases = self.bases_now();
        let world = self.ofproto.world();
        let mut round = Round::default();
        let mut fates = Vec::new();
        let mut crowd = Crowd::new(self.ofproto.ukeys(), self.ofproto.flow_limit());
        let leaving = std::mem::take(&mut self.leaving);
        datapath.flow_dump(&mut |flow| {
            round.flows += 1;
            self.ofproto.journal().dumped(&flow, now);
            let fate = self.judge(&world, &flow, now, &mut round);
            if fate != Fate::Keep {
                fates.push((flow, fate));
            } else {
                crowd.see(flow);
            }
        });
        // What was told to leave has left, or else its fate is among the ones below once more.
        let staying: HashSet<_> = fates.iter().map(|(flow, _)| Arc::as_ptr(&flow.stats)).collect();
        for flow in leaving {
            self.ofproto.ukeys().with(flow.ufid, |ukey| {
                ukey.account(&world.hooks, &flow.stats);
                if !staying.contains(&Arc::as_ptr(&flow.stats)) {
                    ukey.forget(&world.hooks, &flow.stats);
                }
            });
            self.ofproto.ukeys().release(flow.ufid);
        }
        let total = self.ofproto.ukeys().len().saturating_sub(fates.len());
        fates.extend(crowd.out(total).into_iter().map(|flow| (flow, Fate::Crowded)));
        for (flow, fate) in fates {
            self.carry_out(datapath, flow, fate, &mut round);
        }
        // A ukey that no dump has named for a while has no megaflow: its installation failed, or
        // it has left.
        let leaving: HashSet<Ufid> = self.leaving.iter().map(|flow| flow.ufid).collect();
        let grace = self.config.interval * 4;
        self.ofproto
            .ukeys()
            .retain(|id, ukey| now.since(ukey.heard) < grace || leaving.contains(&id));
        round
    }

    fn judge(&self, world: &World, flow: &FlowDump, now: Instant, round: &mut Round) -> Fate {
        let stats = flow.stats.snapshot();
        let idle = now.since(stats.used.unwrap_or(flow.created)) >= self.config.max_idle;
        let version = world.version();
        let verdict = self.ofproto.ukeys().with(flow.ufid, |ukey| {
            ukey.hear(now);
            ukey.account(&world.hooks, &flow.stats);
            if idle {
                return Fate::Idle;
            }
            if !ukey.basis.holds(version) {
                round.translated += 1;
                let Ok((location, looked_at)) = world.find(&flow.key) else {
                    return Fate::Remove;
                };
                if !Arc::ptr_eq(&location.bridge, &ukey.bridge) {
                    return Fate::Remove;
                }
                let mut request = Request::new(world, location, &flow.key);
                request.now = now;
                let mut new = translate_request(request, &mut Silent);
                new.mask.or_assign(&looked_at);
                ukey.stale = !flow.mask.covers(&new.mask);
                let actions = new.installed_actions();
                if actions != ukey.actions {
                    ukey.actions = actions;
                }
                new.effects.retain(|effect| effect.lasts());
                ukey.effects = new.effects;
                ukey.recircs = new.recircs;
                ukey.basis = new.basis;
            }
            if ukey.stale {
                Fate::Remove
            } else if Arc::ptr_eq(&flow.actions, &ukey.actions) || flow.actions == ukey.actions {
                Fate::Keep
            } else {
                Fate::Change(Arc::clone(&ukey.actions))
            }
        });
        verdict.unwrap_or(Fate::Remove)
    }

    /// Tells the datapath to let go of every megaflow.
    pub fn purge(&mut self, datapath: &dyn Datapath) {
        let mut all = Vec::new();
        datapath.flow_dump(&mut |flow| all.push(flow));
        for flow in all {
            if datapath.flow_del(flow.thread, flow.ufid).is_ok() {
                self.leaving.push(flow);
            }
        }
    }

    fn carry_out(
        &mut self,
        datapath: &dyn Datapath,
        flow: FlowDump,
        fate: Fate,
        round: &mut Round,
    ) {
        // A packet thread that does not answer is asked again in the next round.
        match fate {
            Fate::Keep => {}
            Fate::Change(actions) => {
                self.ofproto.journal().changed(&flow, &actions);
                if datapath.flow_put(flow.thread, flow.ufid, actions).is_ok() {
                    round.changed += 1;
                }
            }
            Fate::Remove | Fate::Idle | Fate::Crowded => {
                if datapath.flow_del(flow.thread, flow.ufid).is_ok() {
                    match fate {
                        Fate::Idle => round.idle += 1,
                        Fate::Crowded => round.crowded += 1,
                        _ => round.removed += 1,
                    }
                    self.ofproto.journal().removed(&flow, self.last.unwrap_or_default());
                    self.leaving.push(flow);
                }
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    Change(dp_core::action::ActionList),
    Remove,
    Idle,
    Crowded,
}

#[cfg(test)]
mod tests;
