//! How many there are of the things that cost memory and that tasks of the main loop keep to themselves.
//!
//! Each task tells its numbers as they change; `memory/show` and the page of metrics read them all.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Numbers by name, of one program.
#[derive(Debug, Default)]
pub(crate) struct Census(Mutex<BTreeMap<&'static str, usize>>);

impl Census {
    /// So many there are now.
    pub(crate) fn tell(&self, numbers: &[(&'static str, usize)]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(numbers.iter().copied());
    }

    /// What was told last of each.
    pub(crate) fn numbers(&self) -> BTreeMap<&'static str, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::Census;

    #[test]
    fn the_last_number_of_each_counts() {
        let census = Census::default();
        census.tell(&[("ports", 1), ("rules", 5)]);
        census.tell(&[("ports", 2)]);
        assert_eq!(census.numbers().into_iter().collect::<Vec<_>>(), [("ports", 2), ("rules", 5)]);
    }
}
