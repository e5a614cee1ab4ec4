//! A linear scan over flows: too slow for packets, too simple to be wrong. The judge of the caches
//! and tables in property tests.

use crate::flow::{FlowKey, FlowMask};

/// Flows in the order of their insertion.
#[derive(Clone, Debug)]
pub struct Oracle<T> {
    flows: Vec<(FlowKey, FlowMask, T)>,
}

impl<T> Default for Oracle<T> {
    fn default() -> Self {
        Self { flows: Vec::new() }
    }
}

impl<T> Oracle<T> {
    /// Adds a flow; replaces one with the same mask and masked key.
    pub fn insert(&mut self, key: &FlowKey, mask: &FlowMask, value: T) {
        let masked = key.masked(mask);
        let same = self.flows.iter_mut().find(|(key, other, _)| *key == masked && other == mask);
        match same {
            Some((_, _, old)) => *old = value,
            None => self.flows.push((masked, mask.clone(), value)),
        }
    }

    /// Removes the flow with this mask and masked key.
    pub fn remove(&mut self, key: &FlowKey, mask: &FlowMask) -> Option<T> {
        let masked = key.masked(mask);
        let at = self.flows.iter().position(|(key, other, _)| *key == masked && other == mask)?;
        Some(self.flows.remove(at).2)
    }

    /// Every flow that covers the key.
    pub fn lookup(&self, key: &FlowKey) -> impl Iterator<Item = &T> {
        self.flows
            .iter()
            .filter(|(masked, mask, _)| key.agrees(masked, mask))
            .map(|(_, _, value)| value)
    }

    /// Whether a flow with this mask and key would share a packet with one that is there.
    #[must_use]
    pub fn overlaps(&self, key: &FlowKey, mask: &FlowMask) -> bool {
        self.flows.iter().any(|(other, theirs, _)| {
            let mut shared = FlowMask::EMPTY;
            for lane in mask.used().iter() {
                *shared.lane_mut(lane) = mask.lane(lane).and(theirs.lane(lane));
            }
            key.agrees(other, &shared)
        })
    }

    /// All flows: masked key, mask, value.
    pub fn iter(&self) -> impl Iterator<Item = &(FlowKey, FlowMask, T)> {
        self.flows.iter()
    }

    /// How many flows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }
}
