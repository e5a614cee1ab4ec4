//! Why a packet does not go on: its connection must be entered and cannot be.

use crate::base::DropReason;
use crate::packet::Slots;

/// Packets whose connection could not be entered, by the reason for which they must be dropped.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Indexed as [`Refusal`]: packets that are still in the burst …
    slots: [Slots; Refusal::ALL.len()],
    /// … and pieces of datagrams, which are gone.
    pieces: [u64; Refusal::ALL.len()],
}

/// Why a connection that must be entered is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No address and port was free.
    NoTranslation,
    /// There are too many connections.
    TableFull,
    /// The zone has too many.
    ZoneFull,
}

impl Refusal {
    const ALL: [(Self, DropReason); 3] = [
        (Self::NoTranslation, DropReason::NatExhausted),
        (Self::TableFull, DropReason::ConntrackFull),
        (Self::ZoneFull, DropReason::ConntrackZoneFull),
    ];
}

impl Refusals {
    /// Whether nothing is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(|slots| slots.is_empty()) && self.pieces == [0; Refusal::ALL.len()]
    }

    /// Each reason with the packets of the burst that must be dropped for it, and the number of pieces of
    /// datagrams that are gone for it.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, Slots, u64)> {
        let counts = self.slots.into_iter().zip(self.pieces);
        Refusal::ALL
            .iter()
            .zip(counts)
            .map(|(&(_, reason), (slots, pieces))| (reason, slots, pieces))
    }

    pub(super) fn insert(&mut self, slot: usize, refusal: Refusal) {
        if let Some(slots) = self.slots.get_mut(refusal as usize) {
            slots.insert(slot);
        }
    }

    pub(super) fn add_pieces(&mut self, pieces: usize, refusal: Refusal) {
        if let Some(count) = self.pieces.get_mut(refusal as usize) {
            *count += pieces as u64;
        }
    }
}
