//! Who sleeps until there is work, and who brings it, without a lock between them.
//!
//! The sleeper says that it is about to sleep and then looks for work once more; whoever brings work
//! leaves it and then asks whether to ring. Between the two steps of each stands a full fence, so
//! either the sleeper sees the work or the other sees that it is about to sleep.

use super::machine::{AtomicBool, Ordering, constant, fence};

/// Whether somebody sleeps or is about to.
#[derive(Debug, Default)]
pub struct Alarm(AtomicBool);

impl Alarm {
    constant! {
        /// Nobody sleeps.
        #[must_use]
        pub const fn new() -> Self {
            Self(AtomicBool::new(false))
        }
    }

    /// For the sleeper: it must look for work after this and before it sleeps.
    #[inline]
    pub fn about_to_sleep(&self) {
        self.0.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// For the sleeper: it does not sleep any more.
    #[inline]
    pub fn awake(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// For who has left work: whether the sleeper may not see it and is to be woken.
    #[inline]
    #[must_use]
    pub fn is_to_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::Alarm;

    #[test]
    fn rings_only_while_somebody_sleeps() {
        let alarm = Alarm::new();
        assert!(!alarm.is_to_ring());
        alarm.about_to_sleep();
        assert!(alarm.is_to_ring());
        alarm.awake();
        assert!(!alarm.is_to_ring());
    }
}
