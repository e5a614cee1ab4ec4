//! Which port numbers are free, as ranges, so that the lowest is found without a look at the taken.
//!
//! A search from 1 on takes as long as there are ports, and adding many ports as long as their
//! square. Ranges cost the logarithm, and memory for what is taken alone: there is at most one range
//! more than there are numbers taken.

use std::collections::BTreeMap;

use dp_core::base::PortNo;

/// The largest port number, and one.
pub const NUMBERS: u32 = 1 << 16;

/// The port numbers that are free: below 65,536.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Ranges that do not touch: their first number, and the one after their last.
    free: BTreeMap<u32, u32>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { free: BTreeMap::from([(0, NUMBERS)]) }
    }
}

impl Numbers {
    /// The lowest from 1 on that is free; 0 is a datapath's own.
    #[must_use]
    pub fn lowest(&self) -> Option<PortNo> {
        let from_one = |(first, after): (&u32, &u32)| {
            let first = (*first).max(1);
            (first < *after).then_some(PortNo(first))
        };
        // Only the first range can hold nothing but 0.
        self.free.iter().take(2).find_map(from_one)
    }

    /// Takes a number; whether it was free.
    pub fn take(&mut self, number: PortNo) -> bool {
        let number = number.0;
        let range = self.free.range(..=number).next_back();
        let Some((first, after)) = range.map(|(first, after)| (*first, *after)) else {
            return false;
        };
        if number >= after {
            return false;
        }
        self.free.remove(&first);
        if first < number {
            self.free.insert(first, number);
        }
        if number + 1 < after {
            self.free.insert(number + 1, after);
        }
        true
    }

    /// Gives a number back; whether it was taken.
    pub fn give_back(&mut self, number: PortNo) -> bool {
        let number = number.0;
        let before = self.free.range(..=number).next_back().map(|(first, after)| (*first, *after));
        if number >= NUMBERS || before.is_some_and(|(_, after)| number < after) {
            return false;
        }
        let first = before.filter(|(_, after)| *after == number).map_or(number, |(first, _)| first);
        let after = self.free.remove(&(number + 1)).unwrap_or(number + 1);
        self.free.insert(first, after);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dp_core::base::PortNo;
    use proptest::prelude::*;

    use super::{NUMBERS, Numbers};

    proptest! {
        #[test]
        fn numbers_are_those_of_a_set(steps in prop::collection::vec((any::<bool>(), 0u32..24), 0..300)) {
            let (mut numbers, mut taken) = (Numbers::default(), BTreeSet::new());
            for (take, number) in steps {
                if take {
                    prop_assert_eq!(numbers.take(PortNo(number)), taken.insert(number));
                } else {
                    prop_assert_eq!(numbers.give_back(PortNo(number)), taken.remove(&number));
                }
                let lowest = (1..NUMBERS).find(|it| !taken.contains(it)).map(PortNo);
                prop_assert_eq!(numbers.lowest(), lowest);
                prop_assert!(numbers.free.len() <= taken.len() + 1);
            }
        }
    }

    #[test]
    fn all_numbers_can_be_taken_and_none_beyond() {
        let mut numbers = Numbers::default();
        for number in 1..NUMBERS {
            assert_eq!(numbers.lowest(), Some(PortNo(number)));
            assert!(numbers.take(PortNo(number)));
        }
        assert_eq!(numbers.lowest(), None);
        assert!(numbers.take(PortNo(0)));
        for beyond in [NUMBERS, u32::MAX] {
            assert!(!numbers.take(PortNo(beyond)));
            assert!(!numbers.give_back(PortNo(beyond)));
        }
        assert!(numbers.give_back(PortNo(NUMBERS - 1)));
        assert_eq!(numbers.lowest(), Some(PortNo(NUMBERS - 1)));
    }
}
