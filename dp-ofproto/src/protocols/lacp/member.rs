//! One interface of an aggregate.

use dp_core::base::{Instant, MacAddr};

use super::pdu::{Info, Pdu, Slow, State};
use super::{FAST, Lacp, RX_MULTIPLIER, SLOW};

/// The settings of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberConfig {
    /// The interface.
    pub name: String,
    /// Its address.
    pub mac: MacAddr,
    /// Its number in the protocol.
    pub id: u16,
    /// Its priority.
    pub priority: u16,
    /// Its key; 0: that of the aggregate.
    pub key: u16,
    /// Whether we want data units every second.
    pub fast: bool,
}

/// What is known of the partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was heard in time.
    Current,
    /// It was not.
    Expired,
    /// It is made up.
    Defaulted,
}

/// What a member counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberStats {
    /// Data units sent.
    pub tx_pdus: u64,
    /// Frames received.
    pub rx_pdus: u64,
    /// Frames that are no data units.
    pub rx_bad: u64,
    /// Requests of the marker protocol.
    pub rx_marker: u64,
    /// Times that the partner expired.
    pub expired: u64,
    /// Times that it was given up.
    pub defaulted: u64,
    /// Times that the link went up or down.
    pub carrier_changed: u64,
}

/// A member of an aggregate.
#[derive(Debug)]
pub struct Member {
    config: MemberConfig,
    status: Status,
    attached: bool,
    /// `None`: nobody has said yet.
    carrier_up: Option<bool>,
    partner: Info,
    /// What we said of ourselves last.
    told: Info,
    next_tx: Instant,
    rx_until: Option<Instant>,
    stats: MemberStats,
}

impl Member {
    pub(super) fn new(config: MemberConfig, now: Instant) -> Self {
        let mut member = Self {
            config,
            status: Status::Defaulted,
            attached: false,
            carrier_up: None,
            partner: Info::default(),
            told: Info::default(),
            next_tx: now,
            rx_until: None,
            stats: MemberStats::default(),
        };
        member.set_expired(now);
        member
    }

    pub(super) fn configure(&mut self, config: MemberConfig, now: Instant) {
        let other = (config.id, config.priority, config.key)
            != (self.config.id, self.config.priority, self.config.key);
        self.config = config;
        if other {
            self.set_expired(now);
        }
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &MemberConfig {
        &self.config
    }

    pub(super) const fn mac(&self) -> MacAddr {
        self.config.mac
    }

    /// What is known of the partner.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The partner.
    #[must_use]
    pub const fn partner(&self) -> &Info {
        &self.partner
    }

    /// What this side said of itself last.
    #[must_use]
    pub const fn told(&self) -> &Info {
        &self.told
    }

    /// Whether it is in the aggregate.
    #[must_use]
    pub const fn is_attached(&self) -> bool {
        self.attached
    }

    /// What it counts.
    #[must_use]
    pub const fn stats(&self) -> &MemberStats {
        &self.stats
    }

    pub(super) const fn set_attached(&mut self, attached: bool) {
        self.attached = attached;
    }

    /// The partner has not been heard: it is asked to speak every second.
    pub(super) fn set_expired(&mut self, now: Instant) {
        self.status = Status::Expired;
        self.partner.state.insert(State::TIMEOUT);
        self.partner.state.remove(State::SYNC);
        self.rx_until = Some(now.after(FAST * RX_MULTIPLIER));
        self.next_tx = now;
    }

    fn set_defaulted(&mut self) {
        self.status = Status::Defaulted;
        self.partner = Info::default();
        self.rx_until = None;
    }

    /// Returns whether the aggregate is to be chosen anew.
    pub(super) fn carrier_changed(&mut self, up: bool, now: Instant) -> bool {
        let before = self.carrier_up.replace(up);
        if before.is_none_or(|before| before == up) {
            return false;
        }
        self.stats.carrier_changed += 1;
        let again = matches!(self.status, Status::Current | Status::Defaulted);
        if again {
            self.set_expired(now);
        }
        again
    }

    /// Returns whether the aggregate is to be chosen anew.
    pub(super) fn receive(&mut self, payload: &[u8], actor: Info, now: Instant) -> bool {
        self.stats.rx_pdus += 1;
        let pdu = match Pdu::parse(payload) {
            Slow::Lacp(pdu) => pdu,
            Slow::Marker => {
                self.stats.rx_marker += 1;
                return false;
            }
            Slow::Bad => {
                self.stats.rx_bad += 1;
                return false;
            }
        };
        self.status = Status::Current;
        self.rx_until = Some(now.after(Lacp::rx_timeout(self.config.fast)));
        self.partner = pdu.actor;
        // The partner has a wrong picture of us: put it right at once.
        let knows = |seen: Info| Info { state: seen.state & TOLD, ..seen };
        if knows(pdu.partner) != knows(actor) {
            self.next_tx = now;
        }
        true
    }

    /// Returns whether the aggregate is to be chosen anew.
    pub(super) fn run(&mut self, now: Instant) -> bool {
        if self.rx_until.is_none_or(|until| now < until) {
            return false;
        }
        match self.status {
            Status::Current => {
                self.stats.expired += 1;
                self.set_expired(now);
            }
            Status::Expired => {
                self.stats.defaulted += 1;
                self.set_defaulted();
            }
            Status::Defaulted => return false,
        }
        true
    }

    pub(super) fn send(&mut self, active: bool, actor: Info, now: Instant) -> Option<Pdu> {
        if !active && !self.partner.state.contains(State::ACTIVITY) {
            return None;
        }
        if now < self.next_tx && actor == self.told {
            return None;
        }
        let often = self.partner.state.contains(State::TIMEOUT);
        self.next_tx = now.after(if often { FAST } else { SLOW });
        self.told = actor;
        self.stats.tx_pdus += 1;
        Some(Pdu { actor, partner: self.partner })
    }

    pub(super) fn wake(&self) -> Instant {
        self.rx_until.map_or(self.next_tx, |until| until.min(self.next_tx))
    }
}

/// What of our state the partner must have right.
const TOLD: State =
    State::ACTIVITY.union(State::TIMEOUT).union(State::AGGREGATION).union(State::SYNC);
const _: () = assert!(SLOW.as_secs() > FAST.as_secs());
