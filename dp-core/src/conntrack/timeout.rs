//! How long connections live without a packet, by protocol and state; one set of figures a policy.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::base::Instant;
use crate::sync::{Locked, Word32};

macro_rules! states {
    ($($(#[doc = $doc:literal])+ $name:ident = $key:literal, $seconds:expr;)*) => {
        /// What a connection is doing, as far as its life time depends on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Life {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Life {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its key in a timeout policy; an empty one has none.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            /// Seconds, where no policy says otherwise.
            #[must_use]
            pub const fn default_seconds(self) -> u32 {
                match self { $(Self::$name => $seconds,)* }
            }
        }
    };
}

states! {
    /// TCP: one end has sent, the other not yet.
    TcpFirst = "tcp_syn_sent", 30;
    /// TCP: both have sent, the handshake is not through.
    TcpOpening = "tcp_syn_recv", 30;
    /// TCP: data may flow.
    TcpEstablished = "tcp_established", 24 * 60 * 60;
    /// TCP: one end has finished.
    TcpClosing = "tcp_fin_wait", 15 * 60;
    /// TCP: both ends have finished.
    TcpFinWait = "tcp_time_wait", 45;
    /// TCP: closed or reset.
    TcpClosed = "tcp_close", 30;
    /// Datagrams: one has been seen.
    UdpFirst = "udp_first", 60;
    /// Datagrams: several, all in one direction.
    UdpSingle = "udp_single", 60;
    /// Datagrams: in both directions.
    UdpMultiple = "udp_multiple", 30;
    /// ICMP: a question.
    IcmpFirst = "icmp_first", 60;
    /// ICMP: question and answer.
    IcmpReply = "icmp_reply", 30;
}

/// Further keys that policies may have; the states that they are about are not told apart here, as
/// the reference does not tell them apart in its userspace datapath.
pub const OTHER_KEYS: &[&str] =
    &["tcp_close_wait", "tcp_last_ack", "tcp_syn_sent2", "tcp_retransmit", "tcp_unack"];

const LIVES: usize = Life::ALL.len();

/// Seconds by [`Life`]; 0 is the default's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeoutPolicy([u32; LIVES]);

impl TimeoutPolicy {
    /// Sets the seconds of a key. `false`: there is no such key. Those in [`OTHER_KEYS`] are taken
    /// and have no state to hold for.
    #[must_use]
    pub fn set(&mut self, key: &str, seconds: u32) -> bool {
        for (life, place) in Life::ALL.iter().zip(&mut self.0) {
            if life.key() == key {
                *place = seconds;
                return true;
            }
        }
        OTHER_KEYS.contains(&key)
    }

    /// The seconds of a state, if the policy has them.
    #[must_use]
    pub fn seconds(&self, life: Life) -> Option<u32> {
        self.0.get(life as usize).copied().filter(|&seconds| seconds != 0)
    }
}

/// The policies: the default one and those with a number.
#[derive(Debug)]
pub(super) struct Timeouts {
    default: [Word32; LIVES],
    others: ArcSwap<HashMap<u32, TimeoutPolicy>>,
    names: Locked<Vec<(Box<str>, u32)>>,
}

/// The number of the default policy.
pub(super) const DEFAULT_POLICY: u32 = 0;

impl Default for Timeouts {
    fn default() -> Self {
        let default = core::array::from_fn(|at| {
            Word32::new(Life::ALL.get(at).map_or(0, |life| life.default_seconds()))
        });
        Self { default, others: ArcSwap::default(), names: Locked::default() }
    }
}

impl Timeouts {
    /// When a connection in this state ends if nothing more comes.
    #[inline(always)]
    pub(super) fn expiry(&self, policy: u32, life: Life, now: Instant) -> u64 {
        let seconds = if policy == DEFAULT_POLICY { None } else { self.special(policy, life) };
        let seconds =
            seconds.or_else(|| self.default.get(life as usize).map(Word32::get)).unwrap_or(0);
        now.0.saturating_add(u64::from(seconds) * 1_000_000_000)
    }

    #[cold]
    fn special(&self, policy: u32, life: Life) -> Option<u32> {
        self.others.load().get(&policy)?.seconds(life)
    }

    /// Sets what holds where no policy is named.
    pub(super) fn set_default(&self, policy: &TimeoutPolicy) {
        for (&life, place) in Life::ALL.iter().zip(&self.default) {
            place.set(policy.seconds(life).unwrap_or_else(|| life.default_seconds()));
        }
    }

    /// Adds or replaces a policy; `None` removes it, and its connections go by the default.
    pub(super) fn set(&self, name: &str, policy: Option<TimeoutPolicy>) {
        let number = self.number(name, true);
        self.others.rcu(|old| {
            let mut new = HashMap::clone(old);
            match policy {
                Some(policy) => new.insert(number, policy),
                None => new.remove(&number),
            };
            Arc::new(new)
        });
    }

    /// The number of a policy's name, which is known from now on.
    pub(super) fn add(&self, name: &str) -> u32 {
        self.number(name, true)
    }

    /// The number of a policy's name; the default's if nobody has set it.
    pub(super) fn named(&self, name: &str) -> u32 {
        self.number(name, false)
    }

    fn number(&self, name: &str, add: bool) -> u32 {
        let mut names = self.names.lock();
        if let Some((_, number)) = names.iter().find(|(known, _)| **known == *name) {
            return *number;
        }
        if !add {
            return DEFAULT_POLICY;
        }
        let number = u32::try_from(names.len() + 1).unwrap_or(DEFAULT_POLICY);
        names.push((name.into(), number));
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_says_what_it_says_and_the_default_the_rest() {
        let timeouts = Timeouts::default();
        let mut policy = TimeoutPolicy::default();
        assert!(policy.set("udp_first", 5) && policy.set("tcp_unack", 9));
        assert!(!policy.set("udp_last", 5));
        timeouts.set("3", Some(policy));
        let number = timeouts.named("3");
        assert_eq!(timeouts.named("4"), DEFAULT_POLICY);
        let at = |policy, life| timeouts.expiry(policy, life, Instant(0)) / 1_000_000_000;
        assert_eq!(at(number, Life::UdpFirst), 5);
        assert_eq!(at(number, Life::UdpMultiple), 30);
        assert_eq!(at(DEFAULT_POLICY, Life::UdpFirst), 60);
        timeouts.set("3", None);
        assert_eq!(at(number, Life::UdpFirst), 60);
    }
}
