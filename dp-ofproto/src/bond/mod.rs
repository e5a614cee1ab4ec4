//! Bonds: ports of several interfaces, of which some carry the traffic.
//!
//! ```text
//!   link, LACP, BFD ─► may carry ─► delays ─► enabled ─┬─► active-backup: one of them, the active one
//!                                                      ├─► balance-slb:   by source address and VLAN
//!                                                      └─► balance-tcp:   by addresses and ports
//! ```
//!
//! Balanced traffic is dealt out by an 8-bit hash: each of 256 shares belongs to a member, and moves
//! when members come and go, or to even out the load ([`balance`](self)).
//!
//! A bond is told what its links are like, and run when its time has come; it has no clock.

mod balance;
mod config;
mod member;
mod show;

pub use balance::{SHARES, hash_mac};
pub use config::{Config, Mode};
pub use member::Member;
pub use show::list;

use std::collections::BTreeMap;

use dp_core::base::{BondId, Instant, MacAddr, OfPort};

use crate::protocols::lacp::Negotiation;
use balance::Shares;

/// What LACP says of a bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LacpState {
    /// It is not spoken.
    Off,
    /// It is, and this is how far it has come.
    On(Negotiation),
}

impl LacpState {
    const fn is_negotiated(self) -> bool {
        matches!(self, Self::On(Negotiation::Negotiated))
    }

    const fn lacks_partner(self) -> bool {
        matches!(self, Self::On(Negotiation::Configured))
    }
}

/// How a packet that came in by a member is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// As by any port.
    Accept,
    /// Not at all.
    Drop,
    /// Not if its source address is known on another port.
    DropIfMoved,
}

/// Why a command to a bond is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such member.
    #[error("no such member")]
    NoMember,
    /// Only for bonds that balance by source address.
    #[error("not an SLB bond")]
    NotSlb,
    /// A member that is disabled carries nothing.
    #[error("cannot migrate to disabled member")]
    MigrateToDisabled,
    /// A member that is disabled cannot be the active one.
    #[error("cannot make disabled member active")]
    ActivateDisabled,
}

/// A bond.
#[derive(Debug)]
pub struct Bond {
    name: String,
    id: BondId,
    /// The recirculation id by which hashed packets come back.
    recirc: Option<u32>,
    /// The datapath has the table by which it chooses members.
    tabled: bool,
    config: Config,
    lacp: LacpState,
    members: BTreeMap<OfPort, Member>,
    active: Option<OfPort>,
    shares: Shares,
    next_rebalance: Instant,
    /// Moves on with every change that translation could notice.
    version: u64,
    /// The active member changed: the network is to learn where addresses are now.
    announce: bool,
    log: Vec<String>,
}

impl Bond {
    /// A bond without members.
    #[must_use]
    pub fn new(name: &str, id: BondId, config: Config, now: Instant) -> Self {
        Self {
            name: name.to_owned(),
            id,
            recirc: None,
            tabled: false,
            next_rebalance: now.after(config.rebalance_interval),
            config,
            lacp: LacpState::Off,
            members: BTreeMap::new(),
            active: None,
            shares: Shares::default(),
            version: 0,
            announce: false,
            log: Vec::new(),
        }
    }

    /// The port.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> BondId {
        self.id
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the settings.
    pub fn configure(&mut self, config: Config, now: Instant) {
        if config == self.config {
            return;
        }
        if config.mode != self.config.mode || config.basis != self.config.basis {
            self.shares = Shares::default();
        }
        if config.rebalance_interval != self.config.rebalance_interval {
            self.next_rebalance = now.after(config.rebalance_interval);
        }
        self.config = config;
        self.version += 1;
        self.choose_active();
    }

    /// The recirculation id by which packets come back after the datapath has hashed them.
    pub const fn set_recirc(&mut self, id: Option<u32>) {
        self.recirc = id;
    }

    /// That id.
    #[must_use]
    pub const fn recirc(&self) -> Option<u32> {
        self.recirc
    }

    /// Whether the datapath is to choose members from a table of its own.
    #[must_use]
    pub fn wants_table(&self) -> bool {
        self.config.lb_output && self.config.mode == Mode::BalanceTcp
    }

    /// Says whether the datapath has that table: until it does, hashed packets come back.
    pub fn set_tabled(&mut self, tabled: bool) {
        if tabled != self.tabled {
            self.tabled = tabled;
            self.version += 1;
        }
    }

    /// Whether the datapath is asked to choose.
    #[must_use]
    pub fn chooses_in_datapath(&self) -> bool {
        self.tabled && self.wants_table()
    }

    /// Adds a member, or changes its name and address. A new member is enabled as soon as its link
    /// is up.
    pub fn put_member(&mut self, ofport: OfPort, name: &str, mac: MacAddr) {
        let member = self.members.entry(ofport).or_insert_with(|| Member::new(name, mac));
        member.rename(name, mac);
        self.version += 1;
    }

    /// Removes a member.
    pub fn remove_member(&mut self, ofport: OfPort) {
        if self.members.remove(&ofport).is_some() {
            self.shares.take_from(ofport);
            self.version += 1;
            self.choose_active();
        }
    }

    /// The members.
    pub fn members(&self) -> impl Iterator<Item = (OfPort, &Member)> {
        self.members.iter().map(|(ofport, member)| (*ofport, member))
    }

    /// The member of this name.
    #[must_use]
    pub fn member_named(&self, name: &str) -> Option<OfPort> {
        self.members().find(|(_, member)| member.name() == name).map(|(ofport, _)| ofport)
    }

    /// Says how far LACP has come.
    pub fn set_lacp(&mut self, lacp: LacpState) {
        if lacp != self.lacp {
            self.lacp = lacp;
            self.version += 1;
        }
    }

    /// Whether it speaks LACP.
    #[must_use]
    pub const fn speaks_lacp(&self) -> bool {
        matches!(self.lacp, LacpState::On(_))
    }

    /// Says whether a member's link can carry traffic: carrier, LACP, CFM and BFD together.
    pub fn set_may_enable(&mut self, ofport: OfPort, may: bool) {
        if let Some(member) = self.members.get_mut(&ofport) {
            member.may_enable = may;
        }
    }

    /// Lets time pass: delays end, load is evened out.
    pub fn run(&mut self, now: Instant) {
        // With LACP both ends have agreed: nothing is gained by waiting.
        let delayed = self.lacp == LacpState::Off;
        let any_enabled = self.members.values().any(Member::is_enabled);
        let up = if delayed && any_enabled { self.config.updelay } else { Default::default() };
        let down = if delayed { self.config.downdelay } else { Default::default() };
        let mut changed = Vec::new();
        for (ofport, member) in &mut self.members {
            if member.run(up, down, now, &mut self.log) {
                changed.push(*ofport);
            }
        }
        for ofport in changed {
            self.noticed(ofport);
        }
        // A first member that comes up is not kept waiting by its own delay.
        if !self.members.values().any(Member::is_enabled)
            && let Some(ofport) = self.first_that_may()
            && let Some(member) = self.members.get_mut(&ofport)
        {
            member.set_enabled(true, &mut self.log);
            self.noticed(ofport);
        }
        self.choose_active();
        self.rebalance(now);
    }

    fn first_that_may(&self) -> Option<OfPort> {
        self.members().find(|(_, member)| member.may_enable).map(|(ofport, _)| ofport)
    }

    /// A member was enabled or disabled.
    fn noticed(&mut self, ofport: OfPort) {
        if self.members.get(&ofport).is_none_or(|member| !member.is_enabled()) {
            self.shares.take_from(ofport);
        }
        self.version += 1;
    }

    /// When [`Self::run`] has something to do.
    #[must_use]
    pub fn wake(&self) -> Option<Instant> {
        let delay = self.members.values().filter_map(Member::delayed_until).min();
        let balance = self.balances().then_some(self.next_rebalance);
        delay.into_iter().chain(balance).min()
    }

    /// Whether the next [`Self::run`] looks at what shares have carried.
    #[must_use]
    pub fn rebalances_at(&self, now: Instant) -> bool {
        self.balances() && now >= self.next_rebalance
    }

    /// Whether traffic is dealt out among members.
    fn balances(&self) -> bool {
        !self.config.rebalance_interval.is_zero() && self.mode_now() != Mode::ActiveBackup
    }

    /// The mode, or the one that it falls back to without an LACP partner.
    fn mode_now(&self) -> Mode {
        if self.lacp.lacks_partner() && self.config.fallback_ab {
            Mode::ActiveBackup
        } else {
            self.config.mode
        }
    }

    fn is_enabled(&self, ofport: OfPort) -> bool {
        self.members.get(&ofport).is_some_and(Member::is_enabled)
    }

    fn enabled(&self) -> Vec<OfPort> {
        self.members().filter(|(_, m)| m.is_enabled()).map(|(ofport, _)| ofport).collect()
    }

    /// Keeps the active member as long as it is enabled, unless the primary is.
    fn choose_active(&mut self) {
        let primary = self.config.primary.as_deref().and_then(|name| self.member_named(name));
        let chosen = primary
            .filter(|&ofport| self.is_enabled(ofport))
            .or(self.active.filter(|&ofport| self.is_enabled(ofport)))
            .or_else(|| self.enabled().first().copied());
        self.set_active(chosen);
    }

    fn set_active(&mut self, ofport: Option<OfPort>) {
        if ofport == self.active {
            return;
        }
        self.active = ofport;
        self.version += 1;
        match ofport.and_then(|ofport| self.members.get(&ofport)) {
            Some(member) => {
                self.log.push(format!(
                    "bond {}: active member is now {}",
                    self.name,
                    member.name()
                ));
                self.announce = true;
            }
            None => self.log.push(format!("bond {}: all members are now disabled", self.name)),
        }
    }

    /// The member that carries what is not dealt out.
    #[must_use]
    pub const fn active(&self) -> Option<OfPort> {
        self.active
    }

    /// The address of that member, as OVSDB shows it.
    #[must_use]
    pub fn active_mac(&self) -> MacAddr {
        self.active
            .and_then(|ofport| self.members.get(&ofport))
            .map_or(MacAddr::ZERO, |member| member.mac())
    }

    /// How a packet with this destination that came in by a member is taken.
    #[must_use]
    pub fn admit(&self, member: OfPort, dst: MacAddr) -> Admission {
        match self.lacp {
            // The partner treats the links as one: all that comes is meant.
            LacpState::On(Negotiation::Negotiated) => {
                return if self.is_enabled(member) { Admission::Accept } else { Admission::Drop };
            }
            LacpState::On(Negotiation::Configured) if !self.config.fallback_ab => {
                return Admission::Drop;
            }
            LacpState::On(Negotiation::Configured) | LacpState::Off => {}
        }
        let secondary = self.active != Some(member);
        match self.mode_now() {
            // What one member sends out as multicast comes back by the others.
            Mode::BalanceSlb if dst.is_multicast() && secondary && !self.config.all_active => {
                Admission::Drop
            }
            Mode::BalanceSlb => Admission::DropIfMoved,
            Mode::ActiveBackup if secondary => Admission::Drop,
            Mode::ActiveBackup => Admission::Accept,
            // Without LACP nobody knows that these links belong together.
            Mode::BalanceTcp => Admission::Drop,
        }
    }

    /// The member by which a packet leaves, given the hash of its flow; `None`: none is up. `hash`
    /// is asked for only where it decides.
    pub fn choose(&mut self, hash: impl FnOnce() -> u32) -> Option<OfPort> {
        if self.lacp.lacks_partner() && !self.config.fallback_ab {
            return None;
        }
        match self.mode_now() {
            Mode::ActiveBackup => self.active,
            Mode::BalanceTcp if !self.lacp.is_negotiated() => None,
            Mode::BalanceTcp | Mode::BalanceSlb => self.share(hash()),
        }
    }

    /// Whether packets go out by what the datapath hashes: balance-tcp that works.
    #[must_use]
    pub fn hashes_in_datapath(&self) -> bool {
        self.mode_now() == Mode::BalanceTcp
            && self.lacp.is_negotiated()
            && self.members.values().any(Member::is_enabled)
    }

    /// Moves on whenever an answer may differ.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Whether the network is to be told that addresses are behind another member now; asked once.
    pub fn take_announcement(&mut self) -> bool {
        core::mem::take(&mut self.announce) && self.mode_now() != Mode::BalanceTcp
    }

    /// What the log is to know since the last call.
    pub fn take_log(&mut self) -> Vec<String> {
        core::mem::take(&mut self.log)
    }

    /// Makes a member the active one; `false`: it was already.
    ///
    /// # Errors
    ///
    /// [`CommandError::NoMember`], [`CommandError::ActivateDisabled`].
    pub fn activate(&mut self, name: &str) -> Result<bool, CommandError> {
        let ofport = self.member_named(name).ok_or(CommandError::NoMember)?;
        if !self.is_enabled(ofport) {
            return Err(CommandError::ActivateDisabled);
        }
        let changed = self.active != Some(ofport);
        self.set_active(Some(ofport));
        Ok(changed)
    }

    /// Enables or disables a member, without its delay, until its link changes.
    ///
    /// # Errors
    ///
    /// [`CommandError::NoMember`].
    pub fn force(&mut self, name: &str, enable: bool) -> Result<(), CommandError> {
        let ofport = self.member_named(name).ok_or(CommandError::NoMember)?;
        if let Some(member) = self.members.get_mut(&ofport) {
            member.set_enabled(enable, &mut self.log);
        }
        self.noticed(ofport);
        self.choose_active();
        Ok(())
    }

    /// Gives a share to a member.
    ///
    /// # Errors
    ///
    /// [`CommandError`].
    pub fn migrate(&mut self, hash: u32, name: &str) -> Result<(), CommandError> {
        if self.config.mode != Mode::BalanceSlb {
            return Err(CommandError::NotSlb);
        }
        let ofport = self.member_named(name).ok_or(CommandError::NoMember)?;
        if !self.is_enabled(ofport) {
            return Err(CommandError::MigrateToDisabled);
        }
        self.shares.give(hash, ofport);
        self.version += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
