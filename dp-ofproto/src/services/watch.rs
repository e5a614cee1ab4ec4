//! CFM and BFD on the ports of bridges.

use std::collections::BTreeMap;

use dp_core::base::{Instant, MacAddr, OfPort};

use super::{Outgoing, PortFacts, Services, State, Turn};
use crate::protocols::{bfd, cfm};

/// What watches one port.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) name: String,
    pub(super) bfd: Option<bfd::Session>,
    pub(super) cfm: Option<cfm::Cfm>,
    /// Moves on with every change of what they think.
    version: u64,
    /// What they thought last: BFD forwarding, CFM content.
    content: (bool, bool),
}

impl Watch {
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        let bfd = self.bfd.as_ref().map(bfd::Session::wake);
        let cfm = self.cfm.as_ref().map(cfm::Cfm::wake);
        bfd.into_iter().chain(cfm).min()
    }

    /// Whether both think that the port may be used.
    pub(super) fn is_content(&self) -> bool {
        self.content.0 && self.content.1
    }

    /// Returns whether something waits for packets that may have come in to be looked at.
    fn run(
        &mut self,
        facts: PortFacts,
        heard: Instant,
        now: Instant,
        send: &mut impl FnMut(Vec<u8>, bool),
    ) -> bool {
        let mut in_doubt = false;
        if let Some(bfd) = &mut self.bfd {
            in_doubt |= bfd.run_heard(facts.rx_packets, heard, now);
            let oam = bfd.oam();
            if let Some(frame) = bfd.send(now) {
                send(frame, oam);
            }
            for event in bfd.events() {
                log_bfd(&self.name, &event, bfd.bad());
            }
        }
        if let Some(cfm) = &mut self.cfm {
            in_doubt |= cfm.run_heard(facts.rx_packets, heard, now);
            if let Some(frame) = cfm.send(now) {
                send(frame, false);
            }
            for event in cfm.events() {
                log_cfm(&self.name, &event, cfm.bad());
            }
        }
        let content = (
            self.bfd.as_mut().is_none_or(|bfd| bfd.forwarding(now)),
            self.cfm.as_ref().is_none_or(|cfm| cfm.faults().is_empty() && cfm.remote_opup()),
        );
        if content != self.content {
            self.content = content;
            self.version += 1;
        }
        in_doubt
    }
}

fn log_bfd(name: &str, event: &bfd::Event, bad: u64) {
    match event {
        bfd::Event::State { local: (old, new), diagnostic: (before, after) } => {
            log::info!(
                target: "bfd",
                "{name}: BFD state change: {old}->{new} \"{before}\"->\"{after}\"."
            );
        }
        bfd::Event::Bad(error) => {
            log::info!(
                target: "bfd", rate = 1, burst = 1;
                "{name}: a control packet {error}; ignored, as {bad} so far"
            );
        }
    }
}

fn log_cfm(name: &str, event: &cfm::Event, bad: u64) {
    match event {
        cfm::Event::Faults { old, new } => {
            log::info!(target: "cfm", "{name}: CFM faults changed from [{old}] to [{new}].");
        }
        cfm::Event::Interval(mpid) => {
            log::info!(target: "cfm", "{name}: MPID {mpid} sends at another interval than ours");
        }
        cfm::Event::Bad(error) => {
            log::info!(
                target: "cfm", rate = 1, burst = 1;
                "{name}: a message {error}; ignored, as {bad} so far"
            );
        }
    }
}

impl State {
    pub(super) fn run_watches(
        &mut self,
        heard: Instant,
        now: Instant,
        facts: &mut impl FnMut(&str, OfPort) -> PortFacts,
        turn: &mut Turn,
    ) {
        for ((bridge, ofport), watch) in &mut self.watches {
            let facts = facts(bridge, *ofport);
            let mut send = |frame, oam| {
                let (bridge, ofport) = (bridge.clone(), *ofport);
                turn.outgoing.push(Outgoing { bridge, ofport, frame, oam });
            };
            turn.in_doubt |= watch.run(facts, heard, now, &mut send);
        }
    }
}

/// What is to watch a port.
#[derive(Clone, Debug)]
pub struct WatchWish {
    /// The port's name.
    pub name: String,
    /// Its address.
    pub mac: MacAddr,
    /// BFD.
    pub bfd: Option<bfd::Config>,
    /// CFM.
    pub cfm: Option<cfm::Config>,
    /// Frames that the port has received so far.
    pub rx_packets: u64,
}

impl Services {
    /// Lets a port be watched as wished; sessions that go on keep their state.
    pub fn set_watch(&self, bridge: &str, ofport: OfPort, wish: &WatchWish, now: Instant) {
        let mut state = self.state();
        let key = (bridge.to_owned(), ofport);
        if wish.bfd.is_none() && wish.cfm.is_none() {
            if state.watches.remove(&key).is_some() {
                self.index(&state);
                self.version.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            return;
        }
        let (bfd_seed, cfm_seed) = (state.seed(), state.seed());
        let watch = state.watches.entry(key).or_default();
        watch.name.clone_from(&wish.name);
        watch.version += 1;
        match (&mut watch.bfd, &wish.bfd) {
            (Some(session), Some(config)) => {
                session.configure(wish.mac, config.clone(), wish.rx_packets, now);
            }
            (session, Some(config)) => {
                let config = config.clone();
                *session = Some(bfd::Session::new(&wish.name, wish.mac, config, bfd_seed, now));
            }
            (session, None) => *session = None,
        }
        match (&mut watch.cfm, &wish.cfm) {
            (Some(cfm), Some(config)) => cfm.configure(wish.mac, config.clone(), now),
            (cfm, Some(config)) => {
                let config = config.clone();
                *cfm = Some(cfm::Cfm::new(&wish.name, wish.mac, config, cfm_seed, now));
            }
            (cfm, None) => *cfm = None,
        }
        self.index(&state);
        drop(state);
        // Whoever waits for the next moment has a nearer one now.
        self.heard.notify_one();
    }

    /// The ports of a bridge that are watched.
    #[must_use]
    pub fn watched(&self, bridge: &str) -> Vec<OfPort> {
        let state = self.state();
        state.watches.keys().filter(|(of, _)| of == bridge).map(|(_, ofport)| *ofport).collect()
    }

    /// Whether what watches a port thinks that it may be used; `true` if nothing does.
    #[must_use]
    pub fn is_content(&self, bridge: &str, ofport: OfPort) -> bool {
        let state = self.state();
        state.watches.get(&(bridge.to_owned(), ofport)).is_none_or(Watch::is_content)
    }

    /// Calls `with` for the BFD session of each port, or of the one of this name; how many there
    /// were.
    pub fn each_bfd(&self, name: Option<&str>, mut with: impl FnMut(&mut bfd::Session)) -> usize {
        let mut state = self.state();
        let sessions = state.watches.values_mut().filter_map(|watch| watch.bfd.as_mut());
        let chosen = sessions.filter(|session| name.is_none_or(|name| session.name() == name));
        chosen.map(&mut with).count()
    }

    /// Calls `with` for the CFM point of each port, or of the one of this name; how many there were.
    pub fn each_cfm(&self, name: Option<&str>, mut with: impl FnMut(&mut cfm::Cfm)) -> usize {
        let mut state = self.state();
        let points = state.watches.values_mut().filter_map(|watch| watch.cfm.as_mut());
        let chosen = points.filter(|point| name.is_none_or(|name| point.name() == name));
        chosen.map(&mut with).count()
    }

    /// The keys of `Interface bfd_status`; `None`: no BFD there.
    #[must_use]
    pub fn bfd_status(
        &self,
        bridge: &str,
        ofport: OfPort,
        now: Instant,
    ) -> Option<BTreeMap<&'static str, String>> {
        let mut state = self.state();
        let watch = state.watches.get_mut(&(bridge.to_owned(), ofport))?;
        watch.bfd.as_mut().map(|session| session.status(now))
    }

    /// What OVSDB shows of a CFM point; `None`: none there.
    #[must_use]
    pub fn cfm_status(&self, bridge: &str, ofport: OfPort) -> Option<CfmStatus> {
        let state = self.state();
        let cfm = state.watches.get(&(bridge.to_owned(), ofport))?.cfm.as_ref()?;
        Some(CfmStatus {
            faults: cfm.faults(),
            flaps: cfm.flaps(),
            remote_opup: cfm.config().extended.then(|| cfm.remote_opup()),
            health: cfm.health(),
            remote_mpids: cfm.remote_mpids().to_vec(),
        })
    }
}

/// A CFM point as OVSDB shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CfmStatus {
    /// What is wrong.
    pub faults: cfm::Faults,
    /// Changes between fault and no fault.
    pub flaps: u64,
    /// Whether the others may be forwarded to; only in the extended form.
    pub remote_opup: Option<bool>,
    /// Percent; `None`: undefined.
    pub health: Option<u8>,
    /// Who was heard.
    pub remote_mpids: Vec<u64>,
}
