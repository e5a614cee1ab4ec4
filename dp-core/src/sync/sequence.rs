//! A number that several threads take in turn: what a header that counts packets carries.

use super::machine::{AtomicU32, Ordering, constant};

/// Numbers from 0 on; each is given once, then they begin anew.
#[derive(Debug, Default)]
pub struct Sequence(AtomicU32);

impl Sequence {
    constant! {
        /// A sequence that begins with 0.
        #[must_use]
        pub const fn new() -> Self {
            Self(AtomicU32::new(0))
        }
    }

    /// The next number.
    #[must_use]
    pub fn take(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::Sequence;

    #[test]
    fn no_number_is_given_twice() {
        let sequence = Sequence::default();
        let take = || (0..1000).map(|_| sequence.take()).collect::<Vec<_>>();
        let mut all: Vec<u32> = thread::scope(|scope| {
            let threads = [0; 4].map(|_| scope.spawn(take));
            threads.map(|thread| thread.join().expect("no panic")).concat()
        });
        all.sort_unstable();
        assert!(all.into_iter().eq(0..4000));
    }
}
