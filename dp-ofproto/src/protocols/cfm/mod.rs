//! Connectivity fault management: continuity checks (IEEE 802.1ag, section 20.10).
//!
//! Maintenance points tell each other regularly that they are there. A point that hears nobody for
//! three and a half intervals has a fault, and so has one that hears of another's fault. The list
//! of remote points is not configured: it is who was heard.
//!
//! In the *extended* form intervals are any number of milliseconds, ids have 64 bits and messages
//! say whether the sender may be forwarded to; in *demand* mode traffic counts as a message.

mod message;
mod show;

pub use message::{Ccm, CcmError, DST, DST_EXTENDED, ETH_TYPE, Extended, LEN};

use std::collections::BTreeMap;
use std::fmt;

use dp_core::base::{Duration, Instant, MacAddr};

use super::random::Random;

/// How much longer silence is not believed while nobody has looked whether it is silence.
const GRACE: Duration = Duration::from_millis(500);
/// Remote points that are kept at most.
const MAX_REMOTES: usize = 256;
/// Checks after which the health is worked out: 21 intervals.
const HEALTH_CHECKS: u32 = 6;
/// In demand mode a message must come in so many intervals.
const DEMAND_MULT: u32 = 100;
/// The interval below which demand mode does not check: statistics are not that fresh.
const DEMAND_FLOOR: Duration = Duration::from_millis(500);
/// Intervals that the standard has, by code from 1 on.
const INTERVALS: [u64; 7] = [3, 10, 100, 1000, 10_000, 60_000, 600_000];

bitflags::bitflags! {
    /// What is wrong.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Faults: u8 {
        /// Nobody is heard.
        const RECV = 1 << 0;
        /// Somebody else hears nobody.
        const RDI = 1 << 1;
        /// Messages come from another association.
        const MAID = 1 << 2;
        /// Our own messages come back.
        const LOOPBACK = 1 << 3;
        /// More points than are kept.
        const OVERFLOW = 1 << 4;
        /// An operator says so.
        const OVERRIDE = 1 << 5;
        /// Messages come at another interval than ours: the database knows this fault, and neither the
        /// reference nor we raise it. Another interval is logged.
        const INTERVAL = 1 << 6;
    }
}

impl Faults {
    /// The names, as OVSDB has them.
    pub const NAMES: [(Self, &'static str); 7] = [
        (Self::RECV, "recv"),
        (Self::RDI, "rdi"),
        (Self::MAID, "maid"),
        (Self::LOOPBACK, "loopback"),
        (Self::OVERFLOW, "overflow"),
        (Self::OVERRIDE, "override"),
        (Self::INTERVAL, "interval"),
    ];

    /// The names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(fault, _)| self.contains(*fault)).map(|(_, n)| n)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(" "))
    }
}

/// The settings of a maintenance point: `Interface cfm_mpid` and `other_config:cfm_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its id.
    pub mpid: u64,
    /// Wanted interval; the standard form rounds it down to one that it has.
    pub interval: Duration,
    /// The extended form.
    pub extended: bool,
    /// Traffic counts as a message; extended form only.
    pub demand: bool,
    /// Whether messages say that we may be forwarded to; extended form only.
    pub opup: bool,
    /// The VLAN tag of messages.
    pub vlan: CcmVlan,
    /// Its priority; a tag with VID 0 is made for it if need be.
    pub pcp: u8,
    /// Takes only messages with tunnel key 0.
    pub check_tnl_key: bool,
}

/// Which VLAN tag messages have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CcmVlan {
    /// None, unless there is a priority.
    #[default]
    None,
    /// This one.
    Vid(u16),
    /// Another one each time.
    Random,
}

impl Config {
    /// The settings of the point `mpid` on an interface with these `other_config`.
    #[must_use]
    pub fn from_keys(mpid: u64, keys: &BTreeMap<String, String>) -> Self {
        let flag = |key: &str| keys.get(key).is_some_and(|value| value == "true");
        let number = |key: &str, most: u64| {
            keys.get(key).and_then(|v| v.parse().ok()).filter(|n| (1..=most).contains(n))
        };
        let vlan = match keys.get("cfm_ccm_vlan").map(String::as_str) {
            Some("random") => CcmVlan::Random,
            Some(_) => match number("cfm_ccm_vlan", 4095) {
                Some(vid) => CcmVlan::Vid(vid as u16),
                None => CcmVlan::None,
            },
            None => CcmVlan::None,
        };
        Self {
            mpid,
            interval: Duration::from_millis(number("cfm_interval", u64::MAX).unwrap_or(1000)),
            extended: flag("cfm_extended"),
            demand: flag("cfm_demand"),
            opup: keys.get("cfm_opstate").is_none_or(|state| state != "down"),
            vlan,
            pcp: number("cfm_ccm_pcp", 7).map_or(0, |pcp| pcp as u8),
            check_tnl_key: false,
        }
    }

    /// The interval that is kept, and its code on the wire.
    fn kept(&self) -> (Duration, u8) {
        if self.extended {
            return (self.interval.min(Duration::from_millis(u64::from(u16::MAX))), 0);
        }
        let wanted = self.interval.as_millis();
        let at = INTERVALS.iter().rposition(|&ms| u128::from(ms) <= wanted).unwrap_or(0);
        let millis = INTERVALS.get(at).copied().unwrap_or(1000);
        (Duration::from_millis(millis), at as u8 + 1)
    }

    /// Where its messages go.
    #[must_use]
    pub fn dst(&self) -> MacAddr {
        if self.extended { DST_EXTENDED } else { DST }
    }
}

/// What a point wants the log to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its faults have changed.
    Faults {
        /// Before.
        old: Faults,
        /// Now.
        new: Faults,
    },
    /// A message that is none of ours.
    Bad(CcmError),
    /// Messages come at another interval than ours; told once, until the settings change.
    Interval(u64),
}

/// A point that was heard.
#[derive(Clone, Debug, Default)]
struct Remote {
    /// Heard since the last check.
    recv: bool,
    opup: bool,
    rdi: bool,
    /// The sequence number that is due.
    next_seq: u32,
    /// Messages without a fault, in order, since the health was worked out.
    healthy: u32,
}

/// The maintenance point of one interface.
#[derive(Debug)]
pub struct Cfm {
    name: String,
    config: Config,
    mac: MacAddr,
    random: Random,
    interval: Duration,
    code: u8,
    seq: u32,

    faults: Faults,
    /// Found in messages since the last check.
    seen: Faults,
    /// We hear nobody: told to the others.
    rdi: bool,
    overridden: Option<bool>,
    remotes: BTreeMap<u64, Remote>,
    /// Who was there at the last check.
    known: Vec<u64>,
    remote_opup: bool,
    /// Percent; `None`: undefined.
    health: Option<u8>,
    checks: u32,
    flaps: u64,
    /// Another interval has been told of.
    told_interval: bool,

    next_tx: Instant,
    next_check: Instant,
    traffic: Demand,
    /// Messages that were none.
    bad: u64,
    events: Vec<Event>,
}

/// Traffic as a message.
#[derive(Debug, Default)]
struct Demand {
    packets: u64,
    /// Until when it may stand for one.
    until: Instant,
}

impl Cfm {
    /// A point on the interface `name` with the address `mac`.
    #[must_use]
    pub fn new(name: &str, mac: MacAddr, config: Config, seed: u64, now: Instant) -> Self {
        let (interval, code) = config.kept();
        let mut cfm = Self {
            name: name.to_owned(),
            mac,
            random: Random::new(seed),
            interval,
            code,
            seq: 0,
            faults: Faults::empty(),
            seen: Faults::empty(),
            rdi: false,
            overridden: None,
            remotes: BTreeMap::new(),
            known: Vec::new(),
            remote_opup: true,
            health: None,
            checks: 0,
            flaps: 0,
            told_interval: false,
            next_tx: now,
            next_check: now,
            traffic: Demand::default(),
            bad: 0,
            events: Vec::new(),
            config,
        };
        cfm.restart(now);
        cfm.next_tx = now.after(cfm.interval);
        cfm
    }

    /// The interface.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the settings or the address.
    pub fn configure(&mut self, mac: MacAddr, config: Config, now: Instant) {
        self.mac = mac;
        if config == self.config {
            return;
        }
        let (interval, code) = config.kept();
        let other = (interval, code, config.extended, config.demand)
            != (self.interval, self.code, self.config.extended, self.config.demand);
        self.config = config;
        self.told_interval = false;
        if other {
            (self.interval, self.code) = (interval, code);
            self.next_tx = now.after(interval);
            self.restart(now);
        }
    }

    fn restart(&mut self, now: Instant) {
        self.next_check = now.after(self.check_interval());
        self.traffic.until = now.after(self.interval.saturating_mul(DEMAND_MULT));
    }

    fn demand(&self) -> bool {
        self.config.extended && self.config.demand
    }

    fn check_interval(&self) -> Duration {
        let base = if self.demand() { self.interval.max(DEMAND_FLOOR) } else { self.interval };
        base.saturating_mul(7) / 2
    }

    /// Says that there is a fault, or none, whatever was heard; or lets it judge itself.
    pub fn set_fault(&mut self, overridden: Option<bool>) {
        self.overridden = overridden;
    }

    /// When [`Self::run`] or [`Self::send`] has something to do.
    #[must_use]
    pub fn wake(&self) -> Instant {
        self.next_tx.min(self.next_check)
    }

    /// Lets time pass. `rx_packets`: frames that the interface has received so far.
    pub fn run(&mut self, rx_packets: u64, now: Instant) {
        self.run_heard(rx_packets, now, now);
    }

    /// As [`Self::run`], where only what came in until `heard` has been taken in: a check waits for
    /// the rest. Returns whether one does.
    pub fn run_heard(&mut self, rx_packets: u64, heard: Instant, now: Instant) -> bool {
        if now < self.next_check {
            return false;
        }
        if heard < self.next_check && now < self.next_check.after(GRACE) {
            return true;
        }
        self.check(rx_packets, now);
        self.next_check = now.after(self.check_interval());
        false
    }

    fn check(&mut self, rx_packets: u64, now: Instant) {
        let old = self.faults;
        let traffic = rx_packets != core::mem::replace(&mut self.traffic.packets, rx_packets);
        if self.demand() && self.remotes.len() == 1 && traffic && now < self.traffic.until {
            self.remotes.values_mut().for_each(|remote| remote.recv = true);
        }
        self.work_out_health();
        self.remotes.retain(|_, remote| core::mem::take(&mut remote.recv));
        self.known = self.remotes.keys().copied().collect();

        let mut faults = core::mem::take(&mut self.seen);
        if self.remotes.is_empty() {
            faults |= Faults::RECV;
        }
        if self.remotes.contains_key(&self.config.mpid) {
            faults |= Faults::LOOPBACK;
        }
        // Told to the others is only that nobody is heard.
        self.rdi = self.remotes.is_empty();
        if self.remotes.values().any(|remote| remote.rdi) {
            faults |= Faults::RDI;
        }
        self.faults = faults;
        self.remote_opup = self.remotes.values().all(|remote| remote.opup);
        if faults != old {
            self.events.push(Event::Faults { old, new: faults });
        }
        if faults.is_empty() != old.is_empty() {
            self.flaps += 1;
        }
    }

    fn work_out_health(&mut self) {
        self.checks += 1;
        if self.checks < HEALTH_CHECKS {
            return;
        }
        self.checks = 0;
        let expected = HEALTH_CHECKS * 7 / 2;
        let percent = |healthy: u32| (healthy.min(expected) * 100 / expected) as u8;
        let mut remotes = self.remotes.values();
        self.health = match (remotes.next(), remotes.next()) {
            (None, _) => Some(0),
            (Some(only), None) if self.demand() && only.recv && self.faults.is_empty() => Some(100),
            (Some(only), None) => Some(percent(only.healthy)),
            (Some(_), Some(_)) => None,
        };
        self.remotes.values_mut().for_each(|remote| remote.healthy = 0);
    }

    /// The frame to send now, if it is time.
    pub fn send(&mut self, now: Instant) -> Option<Vec<u8>> {
        if now < self.next_tx {
            return None;
        }
        self.next_tx = now.after(self.interval);
        self.seq = self.seq.wrapping_add(1);
        let ccm = Ccm {
            seq: self.seq,
            mpid: self.config.mpid,
            rdi: self.rdi,
            interval_code: self.code,
            extended: self.config.extended.then(|| Extended {
                interval: u16::try_from(self.interval.as_millis()).unwrap_or(u16::MAX),
                opdown: !self.config.opup,
            }),
        };
        let mut frame = Vec::with_capacity(18 + LEN);
        frame.extend_from_slice(&self.config.dst().0);
        frame.extend_from_slice(&self.mac.0);
        if let Some(vid) = self.vid() {
            frame.extend_from_slice(&[0x81, 0x00]);
            frame.extend_from_slice(&(u16::from(self.config.pcp) << 13 | vid).to_be_bytes());
        }
        frame.extend_from_slice(&ETH_TYPE.to_be_bytes());
        frame.extend_from_slice(&ccm.emit());
        Some(frame)
    }

    fn vid(&mut self) -> Option<u16> {
        match self.config.vlan {
            CcmVlan::Vid(vid) => Some(vid),
            CcmVlan::Random => Some(1 + self.random.below(4094) as u16),
            CcmVlan::None => (self.config.pcp != 0).then_some(0),
        }
    }

    /// Whether a frame with this destination, Ethertype and tunnel key is for this point.
    #[must_use]
    pub fn wants(&self, dst: MacAddr, eth_type: u16, tunnel_key: u64) -> bool {
        eth_type == ETH_TYPE
            && dst == self.config.dst()
            && (!self.config.check_tnl_key || tunnel_key == 0)
    }

    /// Takes what follows the Ethertype of a frame that it [`Self::wants`].
    pub fn receive(&mut self, payload: &[u8], now: Instant) {
        let ccm = match Ccm::parse(payload, self.config.extended) {
            Ok(ccm) => ccm,
            Err(error) => {
                if error == CcmError::Association {
                    self.seen |= Faults::MAID;
                }
                self.refuse(error);
                return;
            }
        };
        let interval = u16::try_from(self.interval.as_millis()).unwrap_or(u16::MAX);
        let another =
            ccm.interval_code != self.code || ccm.extended.is_some_and(|e| e.interval != interval);
        if another && !core::mem::replace(&mut self.told_interval, true) {
            self.events.push(Event::Interval(ccm.mpid));
        }
        self.traffic.until = now.after(self.interval.saturating_mul(DEMAND_MULT));
        if self.remotes.len() >= MAX_REMOTES && !self.remotes.contains_key(&ccm.mpid) {
            self.seen |= Faults::OVERFLOW;
            return;
        }
        let well = !ccm.rdi;
        let new = Remote { next_seq: ccm.seq, ..Remote::default() };
        let remote = self.remotes.entry(ccm.mpid).or_insert(new);
        if remote.next_seq == ccm.seq && well {
            remote.healthy += 1;
        }
        remote.next_seq = ccm.seq.wrapping_add(1);
        remote.recv = true;
        remote.rdi = ccm.rdi;
        remote.opup = ccm.extended.is_none_or(|extended| !extended.opdown);
    }

    /// What is wrong now.
    #[must_use]
    pub fn faults(&self) -> Faults {
        match self.overridden {
            Some(true) => Faults::OVERRIDE,
            Some(false) => Faults::empty(),
            None => self.faults,
        }
    }

    /// Whether the others may be forwarded to, as they say.
    #[must_use]
    pub const fn remote_opup(&self) -> bool {
        self.remote_opup
    }

    /// The health in percent; `None`: undefined.
    #[must_use]
    pub const fn health(&self) -> Option<u8> {
        self.health
    }

    /// Changes between fault and no fault.
    #[must_use]
    pub const fn flaps(&self) -> u64 {
        self.flaps
    }

    /// The points that were heard before the last check.
    #[must_use]
    pub fn remote_mpids(&self) -> &[u64] {
        &self.known
    }

    /// Messages that were none, so far.
    #[must_use]
    pub const fn bad(&self) -> u64 {
        self.bad
    }

    /// Counts one that is none; the log is told of one of those that came since it was told last.
    fn refuse(&mut self, error: CcmError) {
        self.bad += 1;
        if !self.events.iter().any(|event| matches!(event, Event::Bad(_))) {
            self.events.push(Event::Bad(error));
        }
    }

    /// What happened since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }
}

#[cfg(test)]
mod tests;
