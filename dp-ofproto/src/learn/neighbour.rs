//! Who has which IP address on the links underneath tunnels: ARP and neighbour discovery as tables.
//!
//! Entries come from traffic that passes a bridge's own port (ARP replies and announcements,
//! neighbour advertisements), from commands, and from packets of tunnels whose sender has moved.
//! They age. What is asked for and not there is asked on the link: once for an address and interval,
//! however many packets want it, and for a bounded number of addresses.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::RandomState;

use dp_core::base::{Duration, Instant, MacAddr};

/// A neighbour as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub ip: IpAddr,
    /// Its MAC.
    pub mac: MacAddr,
    /// The bridge it was seen on.
    pub bridge: Arc<str>,
}

/// A question that is to be sent on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The bridge.
    pub bridge: Arc<str>,
    /// Whose MAC is wanted.
    pub target: IpAddr,
    /// The address that asks.
    pub source: IpAddr,
}

/// What is kept at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourLimits {
    /// Neighbours.
    pub entries: usize,
    /// Addresses asked for at one time.
    pub questions: usize,
}

impl Default for NeighbourLimits {
    fn default() -> Self {
        Self { entries: 65_536, questions: 1_024 }
    }
}

#[derive(Debug)]
struct Entry {
    mac: MacAddr,
    expires: Instant,
}

#[derive(Debug)]
struct Asked {
    last: Instant,
    times: u32,
}

#[derive(Debug)]
struct State {
    entries: HashMap<(Arc<str>, IpAddr), Entry, RandomState>,
    asked: BTreeMap<(Arc<str>, IpAddr), Asked>,
    questions: Vec<Question>,
    ageing: Duration,
    retransmit: Duration,
    limits: NeighbourLimits,
    refused: u64,
    waker: Waker,
}

/// Whoever sends the questions.
#[derive(Default)]
struct Waker(Option<Box<dyn Fn() + Send + Sync>>);

impl Waker {
    fn wake(&self) {
        if let Some(wake) = &self.0 {
            wake();
        }
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waker").field(&self.0.is_some()).finish()
    }
}

/// The neighbours of all bridges.
#[derive(Debug)]
pub struct Neighbours {
    state: Mutex<State>,
    version: AtomicU64,
}

/// How long a neighbour is believed in, unless said otherwise.
const AGEING: Duration = Duration::from_secs(15 * 60);
/// How long an answer is waited for before the question is sent again.
const RETRANSMIT: Duration = Duration::from_millis(1_000);
/// How often a question is sent before it is forgotten, to be asked anew.
const TRIES: u32 = 5;

impl Default for Neighbours {
    fn default() -> Self {
        Self::new(NeighbourLimits::default())
    }
}

impl Neighbours {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(limits: NeighbourLimits) -> Self {
        Self {
            state: Mutex::new(State {
                entries: HashMap::default(),
                asked: BTreeMap::new(),
                questions: Vec::new(),
                ageing: AGEING,
                retransmit: RETRANSMIT,
                limits,
                refused: 0,
                waker: Waker::default(),
            }),
            version: AtomicU64::new(1),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on when a neighbour comes, goes or changes its MAC.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// The MAC of a neighbour.
    #[must_use]
    pub fn get(&self, bridge: &str, ip: IpAddr, now: Instant) -> Option<MacAddr> {
        let state = self.state();
        let entry = state.entries.get(&(Arc::from(bridge), ip))?;
        (entry.expires > now).then_some(entry.mac)
    }

    /// A neighbour was seen. `false`: the table is full and it is none that is known.
    pub fn set(&self, bridge: &str, ip: IpAddr, mac: MacAddr, now: Instant) -> bool {
        let mut state = self.state();
        let key: (Arc<str>, IpAddr) = (bridge.into(), ip);
        let expires = now.after(state.ageing);
        if state.asked.remove(&key).is_some() {
            state.waker.wake();
        }
        if let Some(entry) = state.entries.get_mut(&key) {
            let same = entry.mac == mac;
            *entry = Entry { mac, expires };
            drop(state);
            if !same {
                self.changed();
            }
            return true;
        }
        if state.entries.len() >= state.limits.entries {
            state.refused += 1;
            return false;
        }
        state.entries.insert(key, Entry { mac, expires });
        drop(state);
        self.changed();
        true
    }

    /// A neighbour that is known was seen with this MAC; nobody new is learned.
    pub fn refresh(&self, bridge: &str, ip: IpAddr, mac: MacAddr, now: Instant) {
        let known = self.state().entries.contains_key(&(Arc::from(bridge), ip));
        if known {
            self.set(bridge, ip, mac, now);
        }
    }

    /// Somebody wants a neighbour that is not known: whether a question goes out now. Questions
    /// wait in [`Self::take_questions`].
    pub fn ask(&self, bridge: &str, target: IpAddr, source: IpAddr, now: Instant) -> bool {
        let mut state = self.state();
        let key: (Arc<str>, IpAddr) = (bridge.into(), target);
        let retransmit = state.retransmit;
        let full = state.asked.len() >= state.limits.questions;
        match state.asked.get_mut(&key) {
            Some(asked) if now.since(asked.last) < retransmit => return false,
            Some(asked) => *asked = Asked { last: now, times: asked.times + 1 },
            None if full => {
                state.refused += 1;
                return false;
            }
            None => {
                state.asked.insert(key, Asked { last: now, times: 1 });
            }
        }
        state.questions.push(Question { bridge: bridge.into(), target, source });
        state.waker.wake();
        true
    }

    /// How long an answer is waited for before a question is sent again.
    #[must_use]
    pub fn retransmit(&self) -> Duration {
        self.state().retransmit
    }

    /// Who is to be told when there are questions to send, or answers that were waited for.
    pub fn set_waker(&self, waker: Box<dyn Fn() + Send + Sync>) {
        self.state().waker = Waker(Some(waker));
    }

    /// The questions that are to be sent.
    #[must_use]
    pub fn take_questions(&self) -> Vec<Question> {
        std::mem::take(&mut self.state().questions)
    }

    /// How many neighbours and questions were refused for want of room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.state().refused
    }

    /// Forgets what is too old. To be called now and then.
    pub fn expire(&self, now: Instant) {
        let mut state = self.state();
        let before = state.entries.len();
        state.entries.retain(|_, entry| entry.expires > now);
        let gone = state.entries.len() < before;
        let patience = state.retransmit * TRIES;
        state.asked.retain(|_, asked| asked.times < TRIES && now.since(asked.last) < patience);
        drop(state);
        if gone {
            self.changed();
        }
    }

    /// Forgets the neighbours of a bridge that is gone.
    pub fn forget_bridge(&self, bridge: &str) {
        let mut state = self.state();
        state.entries.retain(|(on, _), _| **on != *bridge);
        state.asked.retain(|(on, _), _| **on != *bridge);
        drop(state);
        self.changed();
    }

    /// All neighbours, by bridge and address.
    #[must_use]
    pub fn list(&self, now: Instant) -> Vec<Neighbour> {
        let state = self.state();
        let known = state.entries.iter().filter(|(_, entry)| entry.expires > now);
        let mut all: Vec<Neighbour> = known
            .map(|((bridge, ip), entry)| Neighbour {
                ip: *ip,
                mac: entry.mac,
                bridge: Arc::clone(bridge),
            })
            .collect();
        all.sort_by(|a, b| (&a.bridge, a.ip).cmp(&(&b.bridge, b.ip)));
        all
    }

    /// `tnl/neigh/show`.
    #[must_use]
    pub fn show(&self, now: Instant) -> String {
        let mut out = String::from(
            "IP                                            MAC                 Bridge\n",
        );
        out.push_str(
            "==========================================================================\n",
        );
        for neighbour in self.list(now) {
            let (ip, mac) = (neighbour.ip.to_string(), neighbour.mac.to_string());
            let _ = writeln!(out, "{ip:<46}{mac:<20}{}", neighbour.bridge);
        }
        out
    }

    /// `tnl/neigh/set BRIDGE IP MAC`.
    ///
    /// # Errors
    ///
    /// The text of the refusal.
    pub fn set_by_text(
        &self,
        bridge: &str,
        ip: &str,
        mac: &str,
        now: Instant,
    ) -> Result<String, String> {
        let ip: IpAddr = ip.parse().map_err(|_| "bad IP address".to_string())?;
        let ip = ip.to_canonical();
        let mac: MacAddr = mac.parse().map_err(|_| "bad MAC address".to_string())?;
        if self.set(bridge, ip, mac, now) {
            Ok("OK".into())
        } else {
            Err("the neighbour table is full".into())
        }
    }

    /// `tnl/neigh/flush`.
    pub fn flush(&self) -> String {
        self.state().entries.clear();
        self.changed();
        "OK".into()
    }

    /// `tnl/neigh/aging [SECONDS]`. What would live longer from now on lives as long only.
    ///
    /// # Errors
    ///
    /// The text of the refusal.
    pub fn ageing_by_text(&self, seconds: Option<&str>, now: Instant) -> Result<String, String> {
        let mut state = self.state();
        let Some(seconds) = seconds else { return Ok(state.ageing.as_secs().to_string()) };
        let seconds: u64 = seconds.parse().map_err(|_| "bad aging value".to_string())?;
        if !(1..=3600).contains(&seconds) {
            return Err("bad aging value".into());
        }
        state.ageing = Duration::from_secs(seconds);
        let latest = now.after(state.ageing);
        for entry in state.entries.values_mut() {
            entry.expires = entry.expires.min(latest);
        }
        Ok("OK".into())
    }

    /// `tnl/neigh/retrans_time [MILLISECONDS]`.
    ///
    /// # Errors
    ///
    /// The text of the refusal.
    pub fn retransmit_by_text(&self, millis: Option<&str>) -> Result<String, String> {
        let mut state = self.state();
        let Some(millis) = millis else { return Ok(state.retransmit.as_millis().to_string()) };
        let millis: u64 = millis.parse().map_err(|_| "bad retrans time value".to_string())?;
        if !(1..=3_600_000).contains(&millis) {
            return Err("bad retrans time value".into());
        }
        state.retransmit = Duration::from_millis(millis);
        Ok("OK".into())
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, IpAddr, MacAddr, NeighbourLimits, Neighbours, Question};

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    const MAC: MacAddr = MacAddr::new(0xaa, 0x55, 0xaa, 0x55, 0, 1);
    const OTHER: MacAddr = MacAddr::new(0xaa, 0x55, 0xaa, 0x55, 0, 2);
    const NOW: Instant = Instant::from_millis(1_000_000);

    fn later(millis: u64) -> Instant {
        Instant::from_millis(NOW.as_millis() + millis)
    }

    #[test]
    fn neighbours_are_shown_as_the_reference_shows_them() {
        let neighbours = Neighbours::default();
        let set = |bridge, ip, mac| neighbours.set_by_text(bridge, ip, mac, NOW);
        assert_eq!(set("br0", "1.1.2.92", "aa:55:aa:55:00:01"), Ok("OK".into()));
        assert_eq!(set("br0", "2001:cafe::92", "aa:55:aa:55:00:02"), Ok("OK".into()));
        assert_eq!(set("br0", "foo", "aa:55:aa:55:00:02"), Err("bad IP address".into()));
        assert_eq!(set("br0", "1.1.2.92", "foo"), Err("bad MAC address".into()));
        let shown = "\
IP                                            MAC                 Bridge
==========================================================================
1.1.2.92                                      aa:55:aa:55:00:01   br0
2001:cafe::92                                 aa:55:aa:55:00:02   br0
";
        assert_eq!(neighbours.show(NOW), shown);
        neighbours.flush();
        assert_eq!(neighbours.show(NOW).lines().count(), 2);
    }

    #[test]
    fn neighbours_age_and_a_shorter_age_holds_at_once() {
        let neighbours = Neighbours::default();
        let ageing = |text| neighbours.ageing_by_text(text, NOW);
        assert_eq!(ageing(None), Ok("900".into()));
        neighbours.set("br0", ip("1.1.1.1"), MAC, NOW);
        assert_eq!(neighbours.get("br0", ip("1.1.1.1"), later(899_999)), Some(MAC));
        assert_eq!(neighbours.get("br0", ip("1.1.1.1"), later(900_000)), None);
        for bad in ["0", "3601", "foo"] {
            assert_eq!(ageing(Some(bad)), Err("bad aging value".into()));
        }
        assert_eq!(ageing(Some("5")), Ok("OK".into()));
        assert_eq!(neighbours.get("br0", ip("1.1.1.1"), later(4_999)), Some(MAC));
        assert_eq!(neighbours.get("br0", ip("1.1.1.1"), later(5_000)), None);
        // A longer one does not lengthen what is there.
        assert_eq!(ageing(Some("3600")), Ok("OK".into()));
        let version = neighbours.version();
        neighbours.expire(later(5_000));
        assert!(neighbours.list(NOW).is_empty() && neighbours.version() > version);
    }

    #[test]
    fn a_neighbour_is_asked_for_once_an_interval_and_a_bounded_number_of_times() {
        let neighbours = Neighbours::default();
        let ask = |at| neighbours.ask("br0", ip("1.1.1.1"), ip("1.1.1.2"), at);
        assert!(ask(NOW) && !ask(later(999)) && ask(later(1_000)) && !ask(later(1_001)));
        let question =
            Question { bridge: "br0".into(), target: ip("1.1.1.1"), source: ip("1.1.1.2") };
        assert_eq!(neighbours.take_questions(), [question.clone(), question]);
        assert_eq!(neighbours.retransmit_by_text(None), Ok("1000".into()));
        assert_eq!(neighbours.retransmit_by_text(Some("10")), Ok("OK".into()));
        assert!(neighbours.retransmit_by_text(Some("0")).is_err());
        assert!(ask(later(1_010)));
        neighbours.expire(later(5_000));
        assert!(ask(later(5_001)), "it was forgotten and is asked for anew");
    }

    #[test]
    fn tables_are_bounded_and_refusals_counted() {
        let neighbours = Neighbours::new(NeighbourLimits { entries: 2, questions: 1 });
        assert!(neighbours.set("br0", ip("1.1.1.1"), MAC, NOW));
        assert!(neighbours.set("br0", ip("1.1.1.2"), MAC, NOW));
        assert!(!neighbours.set("br0", ip("1.1.1.3"), MAC, NOW));
        assert!(neighbours.set("br0", ip("1.1.1.2"), OTHER, NOW));
        assert!(neighbours.ask("br0", ip("1.1.1.8"), ip("1.1.1.9"), NOW));
        assert!(!neighbours.ask("br0", ip("1.1.1.7"), ip("1.1.1.9"), NOW));
        assert_eq!((neighbours.refused(), neighbours.list(NOW).len()), (2, 2));
    }

    #[test]
    fn only_changes_move_the_version_on() {
        let neighbours = Neighbours::default();
        neighbours.set("br0", ip("1.1.1.1"), MAC, NOW);
        let version = neighbours.version();
        neighbours.set("br0", ip("1.1.1.1"), MAC, later(5));
        neighbours.refresh("br0", ip("1.1.1.2"), MAC, NOW);
        assert_eq!(neighbours.version(), version);
        neighbours.refresh("br0", ip("1.1.1.1"), OTHER, NOW);
        assert!(neighbours.version() > version);
        assert_eq!(neighbours.get("br0", ip("1.1.1.1"), NOW), Some(OTHER));
        neighbours.forget_bridge("br0");
        assert_eq!(neighbours.get("br0", ip("1.1.1.1"), NOW), None);
    }
}
