//! Connections that others have announced.
//!
//! An expectation says: a connection from this address to that address and port belongs to that
//! parent. The first packet of such a connection is related, and the connection inherits its parent's
//! mark and label, and the translation that makes the announced address reachable. Expectations end
//! with their parent or after a while, and there is a bound.

use core::net::IpAddr;
use std::collections::{HashMap, VecDeque};

use super::Conntrack;
use super::key::{Tuple, Words};
use crate::action::ct::NatTarget;
use crate::base::{Duration, Instant, Zone};
use crate::sync::{Locked, Word32};

/// How long an announcement holds.
const PATIENCE: Duration = Duration::from_secs(300);
/// Expectations at most.
const MOST: usize = 10_000;

/// Which connections are meant: any source port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Whom {
    pub(super) zone: Zone,
    pub(super) proto: u8,
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) dport: u16,
}

/// What is known of a connection that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expectation {
    pub(super) parent: Words,
    pub(super) mark: u32,
    pub(super) label: u128,
    pub(super) nat: NatTarget,
}

#[derive(Debug, Default)]
struct All {
    map: HashMap<Whom, (Instant, Expectation)>,
    /// In the order of their births; some may be gone.
    births: VecDeque<(Instant, Whom)>,
}

/// All expectations.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    all: Locked<All>,
    count: Word32,
}

/// An expectation at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The connection: its source port may be any.
    pub orig: Tuple,
    /// Mark that it will have.
    pub mark: u32,
    /// Label that it will have.
    pub label: u128,
    /// Who announced it.
    pub parent: Tuple,
}

impl Expectations {
    /// The expectation of a connection that this packet would begin.
    #[inline]
    pub(super) fn find(&self, tuple: &Tuple, now: Instant) -> Option<Expectation> {
        if self.count.get() == 0 {
            return None;
        }
        let whom = Whom {
            zone: tuple.rest.zone,
            proto: tuple.rest.proto,
            src: tuple.src,
            dst: tuple.dst,
            dport: tuple.rest.dport,
        };
        let all = self.all.lock();
        let (born, found) = all.map.get(&whom)?;
        (now.since(*born) < PATIENCE).then(|| found.clone())
    }

    /// Adds an expectation, or renews that of the same parent. `false`: another parent has it, or
    /// there are too many.
    pub(super) fn add(&self, whom: Whom, expectation: Expectation, now: Instant) -> bool {
        let mut all = self.all.lock();
        while let Some(&(born, old)) = all.births.front() {
            let over = now.since(born) >= PATIENCE;
            let gone = all.map.get(&old).is_none_or(|(at, _)| *at != born);
            if !over && !gone {
                break;
            }
            all.births.pop_front();
            if over && !gone {
                all.map.remove(&old);
            }
        }
        let added = match all.map.get(&whom) {
            Some((_, known)) => known.parent == expectation.parent,
            None => all.map.len() < MOST,
        };
        if added {
            all.births.push_back((now, whom));
            all.map.insert(whom, (now, expectation));
        }
        self.count.set(u32::try_from(all.map.len()).unwrap_or(u32::MAX));
        added
    }

    /// Forgets what a connection that ends has announced.
    pub(super) fn forget(&self, parent: &Words) {
        if self.count.get() == 0 {
            return;
        }
        let mut all = self.all.lock();
        all.map.retain(|_, (_, expectation)| expectation.parent != *parent);
        self.count.set(u32::try_from(all.map.len()).unwrap_or(u32::MAX));
    }
}

impl Conntrack {
    /// What is expected in a zone, or in all, in the order of the tuples.
    #[must_use]
    pub fn expected(&self, zone: Option<Zone>, now: Instant) -> Vec<Expected> {
        let all = self.expectations.all.lock();
        let mut out: Vec<_> = all
            .map
            .iter()
            .filter(|(whom, (born, _))| {
                now.since(*born) < PATIENCE && zone.is_none_or(|zone| zone == whom.zone)
            })
            .map(|(whom, (_, expectation))| Expected {
                orig: Tuple {
                    src: whom.src,
                    dst: whom.dst,
                    rest: super::Rest {
                        proto: whom.proto,
                        sport: 0,
                        dport: whom.dport,
                        zone: whom.zone,
                    },
                },
                mark: expectation.mark,
                label: expectation.label,
                parent: Tuple::from_words(&expectation.parent),
            })
            .collect();
        out.sort_unstable_by_key(|expected| expected.orig);
        out
    }
}
