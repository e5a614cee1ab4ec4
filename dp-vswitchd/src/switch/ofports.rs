//! OpenFlow port numbers of a bridge.
//!
//! A number that a port asks for is given if no other port has it. All others get the next number
//! that was never used, and when there is none any more the one that has been free for longest:
//! controllers may still hold flows for a number that was freed lately.
//!
//! # Invariants
//!
//! * The memory is fixed: one byte or two a number, and a ring that holds each number once.
//! * [`OfPorts::allocate`] takes constant time but for numbers that ports asked for, each of which is
//!   passed over once.

use std::collections::VecDeque;

/// The numbers of a bridge's ports.
#[derive(Debug)]
pub(crate) struct OfPorts {
    states: Box<[State]>,
    /// The lowest number that may never have been used.
    next: u16,
    /// Numbers that were freed, longest ago first; some are in use again.
    freed: VecDeque<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    used: bool,
    /// Whether it is in the ring.
    queued: bool,
}

impl OfPorts {
    /// All numbers free.
    pub(crate) fn new() -> Self {
        let states = vec![State::default(); usize::from(LAST_REQUESTED) + 1];
        Self { states: states.into_boxed_slice(), next: 1, freed: VecDeque::new() }
    }

    /// Takes the number that a port asks for; `false` if it is in use or no port's number.
    pub(crate) fn request(&mut self, number: u16) -> bool {
        match self.state(number) {
            Some(state) if !state.used && number != 0 => {
                state.used = true;
                true
            }
            _ => false,
        }
    }

    /// Takes a number for a port that asks for none; `None` when all are in use.
    pub(crate) fn allocate(&mut self) -> Option<u16> {
        while self.next <= LAST_ALLOCATED {
            let number = self.next;
            self.next += 1;
            if let Some(state) = self.state(number)
                && !state.used
                && !state.queued
            {
                state.used = true;
                return Some(number);
            }
        }
        for _ in 0..self.freed.len() {
            let number = self.freed.pop_front()?;
            let Some(state) = self.state(number) else { continue };
            state.queued = false;
            if !state.used {
                state.used = true;
                return Some(number);
            }
            // It is in use by request, and comes back into the ring when it is freed.
        }
        None
    }

    /// Gives a number back.
    pub(crate) fn free(&mut self, number: u16) {
        let Some(state) = self.state(number) else { return };
        state.used = false;
        if number <= LAST_ALLOCATED && !std::mem::replace(&mut state.queued, true) {
            self.freed.push_back(number);
        }
    }

    fn state(&mut self, number: u16) -> Option<&mut State> {
        self.states.get_mut(usize::from(number))
    }
}

/// The last number that is given to a port which asks for none.
const LAST_ALLOCATED: u16 = 32_767;
/// The last number that a port may ask for.
const LAST_REQUESTED: u16 = 0xfeff;

#[cfg(test)]
mod tests {
    use super::{LAST_ALLOCATED, OfPorts};

    #[test]
    fn numbers_are_given_in_turn_and_a_freed_one_last() {
        let mut ports = OfPorts::new();
        assert!(ports.request(2) && !ports.request(2) && !ports.request(0));
        assert!(ports.request(65_279) && !ports.request(65_280));
        assert_eq!([ports.allocate(), ports.allocate()], [Some(1), Some(3)]);
        ports.free(1);
        ports.free(3);
        for number in 4..=LAST_ALLOCATED {
            assert_eq!(ports.allocate(), Some(number));
        }
        // All were used: the one that has been free for longest comes first.
        let last = [ports.allocate(), ports.allocate(), ports.allocate()];
        assert_eq!(last, [Some(1), Some(3), None]);
        ports.free(2);
        assert!(ports.request(2));
        assert_eq!(ports.allocate(), None);
        ports.free(2);
        assert_eq!(ports.allocate(), Some(2));
    }

    #[test]
    fn a_million_cycles_take_no_memory_and_lose_no_number() {
        let mut ports = OfPorts::new();
        for _ in 0..1_000_000 {
            let number = ports.allocate().unwrap();
            ports.free(number);
            assert!(ports.request(7));
            ports.free(7);
        }
        assert!(ports.freed.len() <= usize::from(LAST_ALLOCATED));
        let all: Vec<_> = std::iter::from_fn(|| ports.allocate()).collect();
        assert_eq!(all.len(), usize::from(LAST_ALLOCATED));
    }
}
