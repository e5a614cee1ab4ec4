//! The slab of flows: where caches and tables point.
//!
//! A reference is an index and a generation. Removing a flow changes the generation of its slot, so
//! whatever still refers to it finds nothing: caches need not be swept, and nothing dangles.
//!
//! ```text
//!   slot, 128 bytes  │ line 0: first masked lane of the key │ line 1: generation, subtable, T │
//!                      the megaflow table compares it          what a hit is executed from
//! ```
//!
//! A slot is freed by taking `T` out. Generations wrap after 2³² reuses of one slot; a reference
//! that old would have to have survived in a cache all the time without being looked at.

use core::ops::Range;

use crate::flow::Lane;
use crate::packet::{BURST, Slots};

/// Refers to a flow in [`Flows`], or to one that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowRef {
    /// Which slot.
    pub index: u32,
    /// Which of the flows that have lived there.
    pub generation: u32,
}

impl FlowRef {
    /// Refers to nothing, ever.
    pub const NONE: Self = Self { index: 0, generation: 0 };
}

/// The flow of each slot of a burst, by its index in [`Flows`]. Meaningful for hits alone, and until
/// a flow is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct BurstFlows(pub [u32; BURST]);

impl Default for BurstFlows {
    fn default() -> Self {
        Self([0; BURST])
    }
}

impl BurstFlows {
    /// Which slots hold this index, hits or not.
    #[inline(always)]
    #[must_use]
    pub fn with(&self, index: u32) -> Slots {
        let mut slots = 0;
        for (slot, &other) in self.0.iter().enumerate() {
            slots |= u32::from(other == index) << slot;
        }
        Slots(slots)
    }
}

/// The subtable of a slot without a flow.
pub(super) const NO_TABLE: u32 = u32::MAX;

/// Flows of one packet thread.
#[derive(Debug)]
pub struct Flows<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

/// One slot; two cache lines for a `T` of up to 40 bytes.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Slot<T> {
    /// The first live lane of the masked key.
    pub(super) key: Lane,
    /// Never 0.
    pub(super) generation: u32,
    /// Row of the further lanes in the subtable.
    pub(super) row: u32,
    /// The subtable that it belongs to; [`NO_TABLE`] without a flow.
    pub(super) table: u32,
    value: Option<T>,
}

impl<T> Default for Flows<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Flows<T> {
    /// How many flows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The flow, if it is still there.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, flow: FlowRef) -> Option<&T> {
        let slot = self.slots.get(flow.index as usize)?;
        if slot.generation == flow.generation { slot.value.as_ref() } else { None }
    }

    /// The flow, to be changed.
    #[inline(always)]
    #[must_use]
    pub fn get_mut(&mut self, flow: FlowRef) -> Option<&mut T> {
        let slot = self.slots.get_mut(flow.index as usize)?;
        if slot.generation == flow.generation { slot.value.as_mut() } else { None }
    }

    /// The flow with this index, if there is one.
    #[inline(always)]
    #[must_use]
    pub fn at(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.value.as_ref()
    }

    /// The reference to the flow with this index: [`FlowRef::NONE`] if there is none.
    #[inline(always)]
    #[must_use]
    pub fn reference(&self, index: u32) -> FlowRef {
        match self.slots.get(index as usize) {
            Some(Slot { generation, value: Some(_), .. }) => {
                FlowRef { index, generation: *generation }
            }
            _ => FlowRef::NONE,
        }
    }

    /// Whether the flow is still there.
    #[inline(always)]
    #[must_use]
    pub fn is_live(&self, flow: FlowRef) -> bool {
        // A freed slot has a generation that nobody has been told yet.
        self.slots.get(flow.index as usize).is_some_and(|slot| slot.generation == flow.generation)
    }

    /// All flows, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (FlowRef, &T)> {
        self.range(0..self.slot_count())
    }

    /// The flows in a range of slots: for walks that pause between parts.
    pub fn range(&self, slots: Range<u32>) -> impl Iterator<Item = (FlowRef, &T)> {
        let first = (slots.start as usize).min(self.slots.len());
        let rest = self.slots.get(first..).unwrap_or(&[]);
        rest.iter().zip(slots).filter_map(|(slot, index)| {
            let flow = FlowRef { index, generation: slot.generation };
            slot.value.as_ref().map(|value| (flow, value))
        })
    }

    /// How many slots there are, in use or not.
    #[must_use]
    pub fn slot_count(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// The slots, for look-up kernels.
    #[inline(always)]
    pub(super) fn slots(&self) -> &[Slot<T>] {
        &self.slots
    }

    /// The slot of a live flow.
    pub(super) fn slot(&self, index: u32) -> Option<&Slot<T>> {
        self.slots.get(index as usize)
    }

    /// Adds a flow. `None` if all 2³² − 1 slots are in use.
    pub(super) fn insert(
        &mut self,
        key: Lane,
        (table, row): (u32, u32),
        value: T,
    ) -> Option<FlowRef> {
        if let Some(index) = self.free.pop() {
            let slot = self.slots.get_mut(index as usize)?;
            (slot.key, slot.table, slot.row, slot.value) = (key, table, row, Some(value));
            return Some(FlowRef { index, generation: slot.generation });
        }
        let index = u32::try_from(self.slots.len()).ok().filter(|&index| index != u32::MAX)?;
        self.slots.push(Slot { key, generation: 1, row, table, value: Some(value) });
        Some(FlowRef { index, generation: 1 })
    }

    /// Removes a flow.
    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let slot = self.slots.get_mut(index as usize)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.checked_add(1).unwrap_or(1);
        slot.table = NO_TABLE;
        self.free.push(index);
        Some(value)
    }
}

const _: () = assert!(size_of::<Slot<[u64; 5]>>() == 128);

#[cfg(test)]
mod tests {
    use super::{FlowRef, Flows};
    use crate::flow::Lane;

    #[test]
    fn a_reference_outlives_its_flow_without_harm() {
        let mut flows = Flows::default();
        let a = flows.insert(Lane::ZERO, (0, 0), 'a').unwrap();
        let b = flows.insert(Lane::ZERO, (0, 0), 'b').unwrap();
        assert_eq!(flows.remove(a.index), Some('a'));
        assert_eq!((flows.get(a), flows.is_live(a), flows.len()), (None, false, 1));
        let c = flows.insert(Lane::ZERO, (0, 0), 'c').unwrap();
        assert_eq!(c.index, a.index);
        assert_eq!((flows.get(a), flows.get(b), flows.get(c)), (None, Some(&'b'), Some(&'c')));
        assert_eq!(flows.get(FlowRef::NONE), None);
        assert_eq!(flows.iter().count(), 2);
        assert_eq!(flows.remove(c.index), Some('c'));
        assert_eq!(flows.remove(c.index), None);
    }
}
