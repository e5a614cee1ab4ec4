//! A burst: packets in slots, and which slots are live.
//!
//! Stages look at slots and shrink selections ([`Slots`]); packets are moved only when they leave.

use super::buffer_unsafe::Packet;

/// Packets a burst holds at most.
pub const BURST: usize = 32;

/// A selection of slots: bit `n` stands for slot `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots(pub u32);

impl Slots {
    /// No slot.
    pub const NONE: Self = Self(0);

    /// The first `count` slots.
    #[inline(always)]
    #[must_use]
    pub const fn first(count: usize) -> Self {
        if count >= BURST { Self(u32::MAX) } else { Self((1 << count) - 1) }
    }

    /// Whether no slot is selected.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many slots are selected.
    #[inline(always)]
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether `slot` is selected.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, slot: usize) -> bool {
        self.0 >> (slot & (BURST - 1)) & 1 != 0
    }

    /// The slots that are in both.
    #[inline(always)]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The slots that are in either.
    #[inline(always)]
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The slots of `self` that are not in `other`.
    #[inline(always)]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The lowest selected slot.
    #[inline(always)]
    #[must_use]
    pub const fn lowest(self) -> Option<usize> {
        if self.0 == 0 { None } else { Some(self.0.trailing_zeros() as usize) }
    }

    /// Selects one more slot.
    #[inline(always)]
    pub const fn insert(&mut self, slot: usize) {
        self.0 |= 1 << (slot & (BURST - 1));
    }

    /// Selects one slot less.
    #[inline(always)]
    pub const fn remove(&mut self, slot: usize) {
        self.0 &= !(1 << (slot & (BURST - 1)));
    }

    /// The selected slots, ascending.
    #[inline(always)]
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            (left != 0).then(|| {
                let slot = left.trailing_zeros() as usize;
                left &= left - 1;
                slot
            })
        })
    }
}

/// Up to [`BURST`] packets. Slots below [`Burst::len`] have been filled; those whose packet has
/// been taken are empty.
#[derive(Debug, Default)]
pub struct Burst {
    slots: [Option<Packet>; BURST],
    filled: usize,
}

impl Burst {
    /// Puts a packet into the next slot; gives it back if there is none.
    #[inline(always)]
    pub fn push(&mut self, packet: Packet) -> Result<(), Packet> {
        match self.slots.get_mut(self.filled) {
            Some(slot) => {
                // What is overwritten is empty: no slot beyond `filled` holds a packet.
                core::mem::forget(slot.replace(packet));
                self.filled += 1;
                Ok(())
            }
            None => Err(packet),
        }
    }

    /// How many slots have been filled since the burst was last cleared.
    #[inline(always)]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.filled
    }

    /// Whether no slot has been filled.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether every slot has been filled.
    #[inline(always)]
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.filled == BURST
    }

    /// The packet in a slot.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, slot: usize) -> Option<&Packet> {
        self.slots.get(slot)?.as_ref()
    }

    /// The packet in a slot, to be changed.
    #[inline(always)]
    #[must_use]
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut Packet> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// Takes the packet out of a slot.
    #[inline(always)]
    #[must_use]
    pub fn take(&mut self, slot: usize) -> Option<Packet> {
        self.slots.get_mut(slot)?.take()
    }

    /// Puts a packet back into a slot that was filled before; the one that was there is dropped.
    #[inline]
    pub fn put_back(&mut self, slot: usize, packet: Packet) {
        if let Some(place) = self.slots.get_mut(slot).filter(|_| slot < self.filled) {
            *place = Some(packet);
        }
    }

    /// Moves the packets in `slots`, in their order, to the end of another burst, as far as it has
    /// room; returns those left.
    #[inline(always)]
    pub fn give(&mut self, slots: Slots, to: &mut Self) -> Slots {
        let mut left = slots.0;
        let from = to.filled.min(BURST);
        let mut moved = 0;
        for place in &mut to.slots[from..] {
            if left == 0 {
                break;
            }
            let packet = self.slots[left.trailing_zeros() as usize & (BURST - 1)].take();
            left &= left - 1;
            // A slot that was empty leaves a gap that `live` knows of. What is overwritten is
            // empty: no slot beyond `filled` holds a packet.
            core::mem::forget(core::mem::replace(place, packet));
            moved += 1;
        }
        to.filled = from + moved;
        Slots(left)
    }

    /// The filled slots whose packet has not been taken.
    #[must_use]
    pub fn live(&self) -> Slots {
        // No slot beyond `filled` holds a packet.
        let mut live = 0;
        for (slot, packet) in self.slots.iter().enumerate() {
            live |= u32::from(packet.is_some()) << slot;
        }
        Slots(live)
    }

    /// The packets that are there, slots ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Packet> {
        self.slots.iter().take(self.filled).flatten()
    }

    /// Takes all packets out, slots ascending; the burst is empty afterwards.
    pub fn drain(&mut self) -> impl Iterator<Item = Packet> {
        let filled = core::mem::take(&mut self.filled);
        self.slots.iter_mut().take(filled).filter_map(Option::take)
    }

    /// Moves packets up into slots that have been emptied, in their order.
    pub fn close_gaps(&mut self) {
        let filled = core::mem::take(&mut self.filled);
        for slot in 0..filled {
            if let Some(packet) = self.take(slot) {
                // There is room: no more are put back than were taken.
                drop(self.push(packet));
            }
        }
    }

    /// Drops what is left and starts anew.
    #[inline]
    pub fn clear(&mut self) {
        let filled = core::mem::take(&mut self.filled);
        // Mostly all have been taken, which a look without branches tells.
        if self.slots.iter().fold(false, |any, slot| any | slot.is_some()) {
            for slot in self.slots.iter_mut().take(filled) {
                *slot = None;
            }
        }
    }
}
