//! Link aggregation control (IEEE 802.1AX, chapter 6).
//!
//! ```text
//!            data unit                     data unit
//!  current ◄────────── expired     current ◄──────── defaulted
//!     │ 3 intervals       ▲ │ 3 s                        ▲
//!     └───────────────────┘ └────────────────────────────┘
//! ```
//!
//! One [`Lacp`] is one port of a bridge, its [`Member`]s are the interfaces. Members whose partner is
//! the same system with the same key form the aggregate; the best of them leads. A member may carry
//! traffic when it is in the aggregate and its partner says that it is in sync.

mod member;
mod pdu;
mod show;

pub use member::{Member, MemberConfig, MemberStats, Status};
pub use pdu::{DST, ETH_TYPE, Info, LEN, Pdu, Slow, State};

use std::collections::BTreeMap;

use dp_core::base::{Duration, Instant, MacAddr, OfPort};

/// Interval between data units that are wanted often.
const FAST: Duration = Duration::from_secs(1);
/// Interval between those that are not.
const SLOW: Duration = Duration::from_secs(30);
/// Data units that may be missed.
const RX_MULTIPLIER: u32 = 3;

/// The settings of an aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The system.
    pub id: MacAddr,
    /// Priority of the system.
    pub priority: u16,
    /// Speaks first.
    pub active: bool,
    /// Wants data units every second.
    pub fast: bool,
    /// Without a partner, one member is used as though there were no protocol.
    pub fallback_ab: bool,
}

/// How far an aggregate has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Negotiation {
    /// There is no partner yet.
    Configured,
    /// There is one.
    Negotiated,
}

/// The aggregate of one port.
#[derive(Debug)]
pub struct Lacp {
    name: String,
    config: Config,
    members: BTreeMap<OfPort, Member>,
    /// The member whose port number is the default key.
    key_member: Option<OfPort>,
    negotiated: bool,
}

impl Lacp {
    /// An aggregate without members.
    #[must_use]
    pub fn new(name: &str, config: Config) -> Self {
        let members = BTreeMap::new();
        Self { name: name.to_owned(), config, members, key_member: None, negotiated: false }
    }

    /// The port.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the settings.
    pub fn configure(&mut self, config: Config, now: Instant) {
        if config.active != self.config.active || config.id != self.config.id {
            self.members.values_mut().for_each(|member| member.set_expired(now));
        }
        self.config = config;
        self.attach();
    }

    /// Adds a member, or changes its settings.
    pub fn put_member(&mut self, ofport: OfPort, config: MemberConfig, now: Instant) {
        match self.members.get_mut(&ofport) {
            Some(member) => member.configure(config, now),
            None => {
                self.members.insert(ofport, Member::new(config, now));
                self.key_member.get_or_insert(ofport);
            }
        }
        self.attach();
    }

    /// Removes a member.
    pub fn remove_member(&mut self, ofport: OfPort) {
        self.members.remove(&ofport);
        if self.key_member == Some(ofport) {
            self.key_member = self.members.keys().next().copied();
        }
        self.attach();
    }

    /// The members.
    pub fn members(&self) -> impl Iterator<Item = (OfPort, &Member)> {
        self.members.iter().map(|(ofport, member)| (*ofport, member))
    }

    /// A member's link went up or down.
    pub fn carrier_changed(&mut self, ofport: OfPort, up: bool, now: Instant) {
        if let Some(member) = self.members.get_mut(&ofport)
            && member.carrier_changed(up, now)
        {
            self.attach();
        }
    }

    /// Takes what follows the Ethertype of a slow protocol frame that came in by a member. Returns
    /// whether what may carry traffic changed.
    pub fn receive(&mut self, ofport: OfPort, payload: &[u8], now: Instant) -> bool {
        let before = self.enabled();
        let actor = self.actor(ofport);
        let Some(member) = self.members.get_mut(&ofport) else { return false };
        if member.receive(payload, actor, now) {
            self.attach();
        }
        self.enabled() != before
    }

    /// Lets time pass. Returns whether what may carry traffic changed.
    pub fn run(&mut self, now: Instant) -> bool {
        let before = self.enabled();
        let mut changed = false;
        for member in self.members.values_mut() {
            changed |= member.run(now);
        }
        if changed {
            self.attach();
        }
        self.enabled() != before
    }

    /// The frames that are due, with the members they leave by.
    pub fn send(&mut self, now: Instant) -> Vec<(OfPort, Vec<u8>)> {
        let mut frames = Vec::new();
        let all: Vec<OfPort> = self.members.keys().copied().collect();
        for ofport in all {
            let actor = self.actor(ofport);
            let active = self.config.active;
            let Some(member) = self.members.get_mut(&ofport) else { continue };
            if let Some(pdu) = member.send(active, actor, now) {
                frames.push((ofport, pdu.frame(member.mac())));
            }
        }
        frames
    }

    /// When [`Self::run`] or [`Self::send`] has something to do.
    #[must_use]
    pub fn wake(&self) -> Option<Instant> {
        self.members.values().map(Member::wake).min()
    }

    /// How far it has come.
    #[must_use]
    pub const fn negotiation(&self) -> Negotiation {
        if self.negotiated { Negotiation::Negotiated } else { Negotiation::Configured }
    }

    /// Whether a member may carry traffic.
    #[must_use]
    pub fn may_enable(&self, ofport: OfPort) -> bool {
        self.members.get(&ofport).is_some_and(|member| self.member_may_enable(member))
    }

    fn member_may_enable(&self, member: &Member) -> bool {
        let synced = member.partner().state.contains(State::SYNC);
        let alone = self.config.fallback_ab && member.status() == Status::Defaulted;
        member.is_attached() && (synced || alone)
    }

    /// Whether a member's partner was heard in time.
    #[must_use]
    pub fn is_current(&self, ofport: OfPort) -> bool {
        self.members.get(&ofport).is_some_and(|member| member.status() != Status::Defaulted)
    }

    fn enabled(&self) -> Vec<OfPort> {
        let enabled = |(_, member): &(&OfPort, &Member)| self.member_may_enable(member);
        self.members.iter().filter(enabled).map(|(ofport, _)| *ofport).collect()
    }

    /// Chooses the aggregate anew: the members that have the same partner as the best one.
    fn attach(&mut self) {
        let fallback = self.config.fallback_ab;
        let usable = |member: &Member| member.status() != Status::Defaulted;
        let own = (self.config.priority, self.config.id);
        // The better of the two systems decides by its own ports (802.1AX, 6.7.1).
        let rank = |member: &Member| {
            let (actor, partner) = (member.config(), member.partner());
            let theirs = (partner.sys_priority, partner.sys_id);
            if own <= theirs {
                (own.0, own.1, actor.priority, actor.id)
            } else {
                (theirs.0, theirs.1, partner.port_priority, partner.port_id)
            }
        };
        // A partner that is known beats one that is only waited for.
        let lead = self
            .members
            .iter()
            .filter(|(_, member)| usable(member))
            .min_by_key(|(ofport, member)| {
                (member.status() != Status::Current, rank(member), **ofport)
            })
            .map(|(_, member)| (member.partner().sys_id, member.partner().key));
        self.negotiated = lead.is_some();
        for member in self.members.values_mut() {
            let attached = match lead {
                Some(lead) => {
                    usable(member) && (member.partner().sys_id, member.partner().key) == lead
                }
                None => fallback,
            };
            member.set_attached(attached);
        }
    }

    /// What we say of ourselves on a member.
    fn actor(&self, ofport: OfPort) -> Info {
        let Some(member) = self.members.get(&ofport) else { return Info::default() };
        let mut state = State::empty();
        state.set(State::ACTIVITY, self.config.active);
        state.set(State::TIMEOUT, self.config.fast);
        state.set(State::AGGREGATION, self.members.len() > 1);
        state.set(State::DEFAULTED, member.status() == Status::Defaulted);
        state.set(State::EXPIRED, member.status() == Status::Expired);
        let joined = State::SYNC | State::COLLECTING | State::DISTRIBUTING;
        state.set(joined, member.is_attached() || !self.negotiated);
        let lead = self.key_member.and_then(|key| self.members.get(&key));
        let key = match member.config().key {
            0 => lead.map_or(0, |lead| match lead.config().key {
                0 => lead.config().id,
                key => key,
            }),
            key => key,
        };
        Info {
            sys_priority: self.config.priority,
            sys_id: self.config.id,
            key,
            port_priority: member.config().priority,
            port_id: member.config().id,
            state,
        }
    }

    /// The time after which a silent partner has expired.
    fn rx_timeout(fast: bool) -> Duration {
        if fast { FAST * RX_MULTIPLIER } else { SLOW * RX_MULTIPLIER }
    }
}

#[cfg(test)]
mod tests;
