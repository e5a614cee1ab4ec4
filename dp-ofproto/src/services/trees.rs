//! Spanning trees of bridges.

use std::collections::BTreeSet;

use dp_core::base::{Instant, OfPort};

use crate::openflow::port::state;

use super::{Outgoing, Services, State, Turn};
use crate::protocols::rstp::{self, Rstp};
use crate::protocols::stp::{self, Stp};

/// The spanning tree of one bridge.
#[derive(Debug)]
pub enum Tree {
    /// 802.1D-1998.
    Stp(Stp),
    /// 802.1D-2004.
    Rstp(Rstp),
}

/// What a bridge's tree is to be.
#[derive(Clone, Debug)]
pub enum TreeWish {
    /// STP, with the ports that take part and are up.
    Stp(stp::Config, Vec<(OfPort, stp::PortConfig)>),
    /// RSTP.
    Rstp(rstp::Config, Vec<(OfPort, rstp::PortConfig)>),
}

impl Tree {
    pub(super) fn version(&self) -> u64 {
        match self {
            Self::Stp(stp) => stp.version(),
            Self::Rstp(rstp) => rstp.version(),
        }
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        match self {
            Self::Stp(stp) => stp.wake(),
            Self::Rstp(rstp) => rstp.wake(),
        }
    }

    /// Whether a port learns from packets and carries them; both where it takes no part.
    fn lets(&self, ofport: OfPort) -> (bool, bool) {
        match self {
            Self::Stp(stp) => {
                stp.state(ofport).map_or((true, true), |state| (state.learns(), state.forwards()))
            }
            Self::Rstp(rstp) => {
                rstp.state(ofport).map_or((true, true), |state| (state.learns(), state.forwards()))
            }
        }
    }

    /// The bits of a port's state in OpenFlow 1.0, which alone has them.
    fn openflow_state(&self, ofport: OfPort) -> u32 {
        match self {
            Self::Stp(stp) => match stp.state(ofport) {
                Some(stp::State::Blocking) => state::STP_BLOCK,
                Some(stp::State::Learning) => state::STP_LEARN,
                Some(stp::State::Forwarding) => state::STP_FORWARD,
                Some(stp::State::Listening | stp::State::Disabled) | None => state::STP_LISTEN,
            },
            Self::Rstp(rstp) => match rstp.state(ofport) {
                Some(rstp::State::Learning) => state::STP_LEARN,
                Some(rstp::State::Forwarding) => state::STP_FORWARD,
                Some(rstp::State::Discarding) | None => state::STP_LISTEN,
            },
        }
    }

    pub(super) fn takes_part(&self, ofport: OfPort) -> bool {
        match self {
            Self::Stp(stp) => stp.state(ofport).is_some(),
            Self::Rstp(rstp) => rstp.state(ofport).is_some(),
        }
    }

    pub(super) fn receive(&mut self, ofport: OfPort, llc: &[u8], now: Instant) {
        match self {
            Self::Stp(stp) => stp.receive(ofport, llc, now),
            Self::Rstp(rstp) => rstp.receive(ofport, llc, now),
        }
    }

    fn run(&mut self, now: Instant) -> (Vec<(OfPort, Vec<u8>)>, bool) {
        match self {
            Self::Stp(stp) => {
                stp.run(now);
                (stp.send(), stp.take_flush())
            }
            Self::Rstp(rstp) => {
                rstp.run(now);
                (rstp.send(), rstp.take_flush())
            }
        }
    }
}

impl Services {
    /// Gives a bridge the tree that is wished for, or none. A tree that goes on keeps its state.
    pub fn set_tree(&self, bridge: &str, wish: Option<TreeWish>, now: Instant) {
        let mut state = self.state();
        match wish {
            None => {
                state.trees.remove(bridge);
            }
            Some(TreeWish::Stp(config, ports)) => {
                let known = state.trees.remove(bridge);
                let mut stp = match known {
                    Some(Tree::Stp(stp)) => stp,
                    _ => Stp::new(bridge, config.clone(), now),
                };
                stp.configure(config, now);
                let wanted: BTreeSet<OfPort> = ports.iter().map(|(ofport, _)| *ofport).collect();
                let all: Vec<OfPort> = stp.ports().collect();
                all.into_iter()
                    .filter(|ofport| !wanted.contains(ofport))
                    .for_each(|ofport| stp.remove_port(ofport, now));
                ports.into_iter().for_each(|(ofport, port)| stp.put_port(ofport, port, now));
                state.trees.insert(bridge.to_owned(), Tree::Stp(stp));
            }
            Some(TreeWish::Rstp(config, ports)) => {
                let known = state.trees.remove(bridge);
                let mut rstp = match known {
                    Some(Tree::Rstp(rstp)) => rstp,
                    _ => Rstp::new(bridge, config.clone(), now),
                };
                rstp.configure(config, now);
                let wanted: BTreeSet<OfPort> = ports.iter().map(|(ofport, _)| *ofport).collect();
                let all: Vec<OfPort> = rstp.ports().collect();
                all.into_iter()
                    .filter(|ofport| !wanted.contains(ofport))
                    .for_each(|ofport| rstp.remove_port(ofport, now));
                ports.into_iter().for_each(|(ofport, port)| rstp.put_port(ofport, port, now));
                state.trees.insert(bridge.to_owned(), Tree::Rstp(rstp));
            }
        }
        self.index(&state);
        self.version.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether a port learns from packets, and carries them.
    #[must_use]
    pub fn tree_lets(&self, bridge: &str, ofport: OfPort) -> (bool, bool) {
        self.state().trees.get(bridge).map_or((true, true), |tree| tree.lets(ofport))
    }

    /// What OpenFlow 1.0 tells of a port's state in the tree: bits of [`state`].
    #[must_use]
    pub fn tree_openflow_state(&self, bridge: &str, ofport: OfPort) -> u32 {
        self.state().trees.get(bridge).map_or(0, |tree| tree.openflow_state(ofport))
    }

    /// The answer of `with` for a bridge's tree; `None`: it has none.
    pub fn with_tree<T>(&self, bridge: &str, with: impl FnOnce(&mut Tree) -> T) -> Option<T> {
        let mut state = self.state();
        let answer = state.trees.get_mut(bridge).map(with);
        self.notice(&mut state);
        answer
    }
}

impl State {
    pub(super) fn run_trees(&mut self, now: Instant, turn: &mut Turn) {
        for (bridge, tree) in &mut self.trees {
            let (frames, flush) = tree.run(now);
            for (ofport, frame) in frames {
                let bridge = bridge.clone();
                turn.outgoing.push(Outgoing { bridge, ofport, frame, oam: false });
            }
            if flush {
                turn.flush.push(bridge.clone());
                if let Some(snooping) = self.snooping.get_mut(bridge) {
                    snooping.table.flush();
                }
            }
        }
    }
}
