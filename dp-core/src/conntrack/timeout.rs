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

            /// Seconds, where no policy says otherwise; 0: those of [`Self::whole`].
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
    /// TCP: both ends have sent SYN, and no answer to one.
    TcpSynSent2 = "tcp_syn_sent2", 0;
    /// TCP: one end has finished, and the other knows.
    TcpCloseWait = "tcp_close_wait", 0;
    /// TCP: both ends have finished, and not both know.
    TcpLastAck = "tcp_last_ack", 0;
    /// TCP: both ends have finished, and both know; it has no key.
    TcpDone = "", 0;
    /// TCP: an end has said the same again and again (three times); no state of its own.
    TcpRetransmit = "tcp_retransmit", 0;
    /// TCP: an end has said what is not acknowledged; no state of its own.
    TcpUnack = "tcp_unack", 0;
}

impl Life {
    /// The state that it is part of: the reference's userspace datapath tells these no further
    /// apart, and its figures hold where a policy does not name the part.
    #[must_use]
    pub const fn whole(self) -> Self {
        match self {
            Self::TcpSynSent2 => Self::TcpFirst,
            Self::TcpCloseWait => Self::TcpClosing,
            Self::TcpLastAck => Self::TcpFinWait,
            Self::TcpDone => Self::TcpClosed,
            other => other,
        }
    }
}

const LIVES: usize = Life::ALL.len();

/// Seconds by [`Life`]; 0 is the default's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeoutPolicy([u32; LIVES]);

impl TimeoutPolicy {
    /// Sets the seconds of a key. `false`: there is no such key.
    #[must_use]
    pub fn set(&mut self, key: &str, seconds: u32) -> bool {
        for (life, place) in Life::ALL.iter().zip(&mut self.0) {
            if life.key() == key && !key.is_empty() {
                *place = seconds;
                return true;
            }
        }
        false
    }

    /// The seconds of a state, if the policy has them.
    #[must_use]
    pub fn seconds(&self, life: Life) -> Option<u32> {
        self.0.get(life as usize).copied().filter(|&seconds| seconds != 0)
    }

    /// Whether it asks for what only watching every segment tells.
    fn watches(&self) -> bool {
        [Life::TcpRetransmit, Life::TcpUnack].iter().any(|&life| self.seconds(life).is_some())
    }
}

/// The policies: the default one and those with a number.
#[derive(Debug)]
pub(super) struct Timeouts {
    default: [Word32; LIVES],
    others: ArcSwap<HashMap<u32, TimeoutPolicy>>,
    names: Locked<Vec<(Box<str>, u32)>>,
    /// Whether any of them watches every segment.
    watching: Word32,
}

/// The number of the default policy.
pub(super) const DEFAULT_POLICY: u32 = 0;

impl Default for Timeouts {
    fn default() -> Self {
        let default = core::array::from_fn(|at| {
            Word32::new(Life::ALL.get(at).map_or(0, |life| life.default_seconds()))
        });
        Self {
            default,
            others: ArcSwap::default(),
            names: Locked::default(),
            watching: Word32::new(0),
        }
    }
}

impl Timeouts {
    /// When a connection in this state ends if nothing more comes.
    #[inline(always)]
    pub(super) fn expiry(&self, policy: u32, life: Life, now: Instant) -> u64 {
        now.0.saturating_add(u64::from(self.seconds(policy, life)) * 1_000_000_000)
    }

    /// Seconds of a state; 0 where one that is no state of its own is not named.
    #[inline(always)]
    fn seconds(&self, policy: u32, life: Life) -> u32 {
        let special = if policy == DEFAULT_POLICY { None } else { self.special(policy, life) };
        let default = |life: Life| self.default.get(life as usize).map_or(0, Word32::get);
        special.unwrap_or_else(|| figure(default, life))
    }

    #[cold]
    fn special(&self, policy: u32, life: Life) -> Option<u32> {
        let others = self.others.load();
        let policy = others.get(&policy)?;
        let said = figure(|life| policy.seconds(life).unwrap_or(0), life);
        (said != 0).then_some(said)
    }

    /// Whether connections of this policy have every segment watched: [`Self::shortened`].
    #[inline(always)]
    pub(super) fn watches(&self, policy: u32) -> bool {
        self.watching.get() != 0 && self.watched(policy)
    }

    #[cold]
    fn watched(&self, policy: u32) -> bool {
        [Life::TcpRetransmit, Life::TcpUnack].iter().any(|&life| self.seconds(policy, life) != 0)
    }

    /// As [`Self::expiry`], or earlier where these hold and a policy names them.
    pub(super) fn shortened(
        &self,
        policy: u32,
        life: Life,
        parts: impl IntoIterator<Item = Life>,
        now: Instant,
    ) -> u64 {
        let whole = self.expiry(policy, life, now);
        let named = |part: &Life| self.seconds(policy, *part) != 0;
        let part = parts.into_iter().find(named);
        part.map_or(whole, |part| whole.min(self.expiry(policy, part, now)))
    }

    /// Notes whether any policy watches.
    fn look_again(&self) {
        let watching =
            self.watched(DEFAULT_POLICY) || self.others.load().values().any(TimeoutPolicy::watches);
        self.watching.set(u32::from(watching));
    }

    /// Sets what holds where no policy is named.
    pub(super) fn set_default(&self, policy: &TimeoutPolicy) {
        for (&life, place) in Life::ALL.iter().zip(&self.default) {
            place.set(policy.seconds(life).unwrap_or_else(|| life.default_seconds()));
        }
        self.look_again();
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
        self.look_again();
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

/// The seconds of a state, or of what it is part of.
#[inline(always)]
fn figure(said: impl Fn(Life) -> u32, life: Life) -> u32 {
    match said(life) {
        // Whoever tells the last acknowledgment apart means by `tcp_time_wait` what comes behind it.
        0 if life == Life::TcpDone && said(Life::TcpLastAck) != 0 => said(Life::TcpFinWait),
        0 => said(life.whole()),
        seconds => seconds,
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
