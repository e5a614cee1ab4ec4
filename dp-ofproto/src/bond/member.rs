//! One interface of a bond: whether it may carry traffic, and whether it does.

use dp_core::base::{Duration, Instant, MacAddr};

/// A member of a bond.
#[derive(Clone, Debug)]
pub struct Member {
    name: String,
    mac: MacAddr,
    /// The link and all that watches it say that it works.
    pub(super) may_enable: bool,
    enabled: bool,
    /// The state of the link that a delay runs for, and when it ends.
    pending: Option<Instant>,
}

impl Member {
    pub(super) fn new(name: &str, mac: MacAddr) -> Self {
        Self { name: name.to_owned(), mac, may_enable: false, enabled: false, pending: None }
    }

    pub(super) fn rename(&mut self, name: &str, mac: MacAddr) {
        name.clone_into(&mut self.name);
        self.mac = mac;
    }

    /// The interface.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    #[must_use]
    pub const fn mac(&self) -> MacAddr {
        self.mac
    }

    /// Whether its link works.
    #[must_use]
    pub const fn may_enable(&self) -> bool {
        self.may_enable
    }

    /// Whether it carries traffic.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    pub(super) const fn delayed_until(&self) -> Option<Instant> {
        self.pending
    }

    pub(super) fn set_enabled(&mut self, enabled: bool, log: &mut Vec<String>) {
        self.pending = None;
        if enabled != self.enabled {
            self.enabled = enabled;
            let what = if enabled { "enabled" } else { "disabled" };
            log.push(format!("member {}: {what}", self.name));
        }
    }

    /// Follows the link, after the delays. Returns whether the member was enabled or disabled.
    pub(super) fn run(
        &mut self,
        updelay: Duration,
        downdelay: Duration,
        now: Instant,
        log: &mut Vec<String>,
    ) -> bool {
        if self.may_enable == self.enabled {
            self.give_up_waiting(log);
            return false;
        }
        let delay = if self.may_enable { updelay } else { downdelay };
        let until = match self.pending {
            Some(until) => until,
            None => self.begin_waiting(delay, now, log),
        };
        if now < until {
            return false;
        }
        self.set_enabled(self.may_enable, log);
        true
    }

    fn begin_waiting(&mut self, delay: Duration, now: Instant, log: &mut Vec<String>) -> Instant {
        let state = if self.may_enable { "up" } else { "down" };
        log.push(format!("member {}: link state {state}", self.name));
        if !delay.is_zero() {
            let will = if self.may_enable { "enabled" } else { "disabled" };
            log.push(format!(
                "member {}: will be {will} if it stays {state} for {} ms",
                self.name,
                delay.as_millis()
            ));
        }
        let until = now.after(delay);
        self.pending = Some(until);
        until
    }

    fn give_up_waiting(&mut self, log: &mut Vec<String>) {
        if self.pending.take().is_some() {
            let (state, will) = if self.enabled { ("up", "disabled") } else { ("down", "enabled") };
            log.push(format!("member {}: link state {state}", self.name));
            log.push(format!("member {}: will not be {will}", self.name));
        }
    }
}
