//! A datapath of the switch with its OpenFlow layer: all bridges of one datapath type share it.
//!
//! Where dummy ports exist the main loop drives the packets, by the switch's clock, so that nothing
//! happens but what a script asked for. Otherwise packet threads do.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Datapath as _, DatapathError, UpcallSink};
use dp_core::conntrack::skip::SkipPolicy;
use dp_core::flow::text::PortTable;
use dp_core::pipeline::{Malformed, Settings as Pipeline};
use dp_netdev::datapath::AddPortError;
use dp_netdev::datapath::numbers::{NUMBERS, Numbers};
use dp_netdev::port::Port;
use dp_netdev::port::dummy::{Dummy, Hand};
use dp_netdev::port::tap::{Role, Tap};
use dp_netdev::{Config, Idle, Netdev, Running, system};
use dp_ofproto::learn::Neighbours;
use dp_ofproto::revalidate::{Revalidator, RevalidatorConfig, Round};
use dp_ofproto::translate::Features;
use dp_ofproto::tunnel::Tunnels;
use dp_ofproto::upcall::{FLOW_LIMIT, Ofproto};

use super::chosen_ids::ChosenIds;
use super::features::Feature;
use super::scheduling::Tuning;
use crate::daemon::DummyMode;
use crate::event_loop::{Clock, Waker, Wants};

/// A datapath and the OpenFlow layer above it.
pub(crate) struct Datapath {
    /// The datapath type: `netdev`, `dummy`, or `system` where dummies stand for it.
    pub(crate) kind: String,
    /// Whether it is a dummy, of whatever type.
    pub(crate) dummy: bool,
    /// Its name, as `ovs-netdev`.
    pub(crate) name: String,
    pub(crate) netdev: Arc<Netdev>,
    pub(crate) ofproto: Arc<Ofproto>,
    /// Its tunnels.
    pub(crate) tunnels: Arc<Tunnels>,
    /// Which packets are not tracked.
    pub(crate) skip: Arc<SkipPolicy>,
    /// Tunnels by the datapath's port that they share.
    tunnel_users: Mutex<BTreeMap<PortNo, usize>>,
    revalidator: Mutex<Revalidator>,
    ports: Mutex<Ports>,
    /// Threads that drive the packets, unless the main loop does.
    running: Mutex<Option<Running>>,
    by_hand: bool,
    /// An operator made it; no bridge is in it.
    is_bare: bool,
    tuning: Mutex<Tuning>,
    figures: Mutex<Figures>,
    set: Mutex<Set>,
}

/// What rounds of revalidation have found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Flows in an average round.
    pub(crate) average: usize,
    /// Flows in the fullest round.
    pub(crate) most: usize,
    /// Flows that there may be.
    pub(crate) limit: usize,
    /// How long the last round took.
    pub(crate) duration: Duration,
    /// When the next round may be, unless somebody asks for one.
    rests_until: Option<std::time::Instant>,
    /// No rounds are made.
    paused: bool,
}

/// What scripts and the configuration have set.
#[derive(Debug, Default)]
struct Set {
    /// Zones of connection tracking that the configuration speaks of.
    zones: BTreeSet<u16>,
    /// Rounds of revalidation ask for whole keys.
    no_ufids: bool,
    /// What the configuration says of packets that are not tracked.
    skip: Option<SkipSettings>,
    /// No packet moves until flows are restored.
    held: bool,
    /// What translation may ask of the datapath, where a script pretends that it can do less.
    features: Features,
    /// The same, by name.
    lessened: BTreeMap<&'static str, String>,
    /// Ids of flows.
    ids: ChosenIds,
}

/// The values of the four settings.
type SkipSettings = [Option<String>; 4];

/// A port as the commands about datapaths see it.
#[derive(Clone, Debug)]
pub(crate) struct DatapathPort {
    pub(crate) name: String,
    /// The type it was opened with: `dummy-internal`, `tap`, `system` …
    pub(crate) kind: String,
    /// What operates it, if it is a dummy.
    pub(crate) hand: Option<Hand>,
}

/// The ports of a datapath by number, and the numbers that are free.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    by_number: BTreeMap<PortNo, DatapathPort>,
    numbers: Numbers,
}

impl Ports {
    pub(super) fn insert(&mut self, number: PortNo, port: DatapathPort) {
        self.numbers.take(number);
        self.by_number.insert(number, port);
    }

    pub(super) fn remove(&mut self, number: PortNo) {
        if self.by_number.remove(&number).is_some() {
            self.numbers.give_back(number);
        }
    }
}

impl Deref for Ports {
    type Target = BTreeMap<PortNo, DatapathPort>;

    fn deref(&self) -> &Self::Target {
        &self.by_number
    }
}

impl Datapath {
    /// A datapath of this type, with its own port 0.
    pub(crate) fn new(
        kind: &str,
        name: &str,
        mode: DummyMode,
        clock: &Clock,
        neighbours: &Arc<Neighbours>,
        waker: Waker,
    ) -> io::Result<Arc<Self>> {
        let by_hand = mode != DummyMode::Off;
        let ofproto = Arc::new(Ofproto::default());
        ofproto.set_account(dp_ofproto::trace::account);
        ofproto.set_reviser(Box::new(move || waker.wake()));
        ofproto.journal().set_datapath(format_args!("{kind}@{name}"));
        let tunnels = Arc::new(Tunnels::new(Arc::clone(neighbours)));
        let plugged = Arc::clone(&tunnels);
        let skip = Arc::new(SkipPolicy::default());
        let asked = Arc::clone(&skip);
        ofproto.change_hooks(|hooks| {
            hooks.tunnels = Some(plugged);
            hooks.skip = Some(asked);
        });
        let sink = Arc::clone(&ofproto) as Arc<dyn UpcallSink>;
        let config = Config {
            clock: system::Clock::since(clock.origin()),
            // As the reference does: what a packet says wrongly is for the tables to judge.
            pipeline: Pipeline {
                malformed: Malformed::Forward,
                seed: if by_hand { 0 } else { random() },
                ..Pipeline::default()
            },
            ..Config::default()
        };
        let pipeline = config.pipeline.clone();
        let netdev = Netdev::new(sink, config)?;
        let revalidator = Revalidator::new(Arc::clone(&ofproto), RevalidatorConfig::default());
        let running = if by_hand { None } else { Some(netdev.start(&[], Idle::Sleep)?) };
        let datapath = Arc::new(Self {
            kind: kind.to_owned(),
            dummy: mode.pretends(kind),
            name: name.to_owned(),
            netdev,
            ofproto,
            tunnels,
            skip,
            tunnel_users: Mutex::default(),
            revalidator: Mutex::new(revalidator),
            ports: Mutex::default(),
            running: Mutex::new(running),
            by_hand,
            is_bare: name != format!("ovs-{kind}"),
            tuning: Mutex::new(Tuning { pipeline, threads: None }),
            figures: Mutex::new(Figures {
                average: 0,
                most: 0,
                limit: FLOW_LIMIT,
                duration: Duration::ZERO,
                rests_until: None,
                paused: false,
            }),
            set: Mutex::default(),
        });
        datapath.add_own_port(name);
        Ok(datapath)
    }

    pub(super) fn tunnel_users(&self) -> MutexGuard<'_, BTreeMap<PortNo, usize>> {
        self.tunnel_users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The port that is the datapath itself: it belongs to no bridge.
    fn add_own_port(&self, name: &str) {
        let added = if self.dummy {
            let port = Dummy::new(name);
            let hand = port.hand();
            self.add(PortNo(0), Box::new(port), "dummy-internal", Some(hand))
        } else {
            match Tap::open(name, Role::Internal) {
                Ok(port) => self.add(PortNo(0), Box::new(port), "tap", None),
                Err(error) => Err(error.into()),
            }
        };
        if let Err(error) = added {
            log::warn!(target: "dpif", "{self}: failed to add {name} as port: {error}");
        }
    }

    /// Adds a port under this number.
    pub(crate) fn add(
        &self,
        number: PortNo,
        port: Box<dyn Port>,
        kind: &str,
        hand: Option<Hand>,
    ) -> Result<(), AddPortError> {
        let name = port.name().to_owned();
        self.netdev.add_port(number, port)?;
        self.ports().insert(number, DatapathPort { name, kind: kind.to_owned(), hand });
        Ok(())
    }

    /// Removes a port.
    pub(crate) fn remove(&self, number: PortNo) {
        self.ports().remove(number);
        if let Err(error) = self.netdev.remove_port(number) {
            log::warn!(target: "dpif", "{self}: failed to remove port {}: {error}", number.0);
        }
    }

    /// A number for a port of this name. A dummy datapath gives a port the number that its name
    /// holds, and from 100 on for bridges, so that scripts know it; all others get the lowest number
    /// that is free.
    pub(crate) fn choose_number(&self, name: &str) -> Option<PortNo> {
        let ports = self.ports();
        if self.dummy {
            let start = if name.starts_with("br") { 100 } else { 0 };
            let digits: String = name
                .chars()
                .skip_while(|c| !c.is_ascii_digit())
                .take_while(char::is_ascii_digit)
                .collect();
            let number = digits.parse::<u32>().ok().and_then(|it| it.checked_add(start));
            let free = |number: &u32| {
                *number > 0 && *number < NUMBERS && !ports.contains_key(&PortNo(*number))
            };
            if let Some(number) = number.filter(free) {
                return Some(PortNo(number));
            }
        }
        ports.numbers.lowest()
    }

    /// Its ports, to be looked at or changed.
    pub(crate) fn ports(&self) -> MutexGuard<'_, Ports> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The dummy port of this name.
    pub(crate) fn hand(&self, name: &str) -> Option<Hand> {
        self.ports().values().find(|port| port.name == name)?.hand.clone()
    }

    /// Moves packets, where nobody else does, and keeps megaflows true.
    pub(crate) fn run(&self, now: Instant) {
        self.drive(now);
        if self.rest_before_round(now) == Some(Duration::ZERO) {
            self.round(now, Revalidator::run_due);
            self.drive(now);
        }
    }

    /// How long until the next round by the system's clock, if one is due. What changes is looked at
    /// at once, but rounds for that take no more than a fifth of the main loop's time; those of each
    /// interval come in any case.
    fn rest_before_round(&self, now: Instant) -> Option<Duration> {
        // Where there never was a bridge, flows are operators' alone.
        let wanted = self.has_bridges() || self.netdev.flow_count() > 0 && !self.is_bare;
        let figures = *self.figures();
        if !wanted || figures.paused || !self.revalidator().due(now) {
            return None;
        }
        // Scripts that move packets by hand see each change in the turn that follows.
        let at_once = self.by_hand || self.revalidator().is_time(now);
        let rests = figures.rests_until.filter(|_| !at_once);
        let clock = std::time::Instant::now();
        Some(rests.map_or(Duration::ZERO, |at| at.saturating_duration_since(clock)))
    }

    /// One round of revalidation.
    fn round(
        &self,
        now: Instant,
        run: impl FnOnce(&mut Revalidator, &dyn dp_core::boundary::Datapath, Instant) -> Round,
    ) {
        let start = std::time::Instant::now();
        let round = run(&mut self.revalidator(), &*self.netdev, now);
        let mut figures = self.figures();
        figures.duration = start.elapsed();
        figures.rests_until = start.checked_add(figures.duration * 5 + REST);
        figures.average = (figures.average + round.flows) / 2;
        figures.most = figures.most.max(round.flows);
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What rounds of revalidation have found.
    pub(crate) fn revalidation(&self) -> Figures {
        *self.figures()
    }

    /// Sets how many megaflows there may be.
    pub(crate) fn set_flow_limit(&self, limit: usize) {
        self.ofproto.set_flow_limit(limit);
        self.figures().limit = limit;
    }

    /// Sets how often rounds are made, and how long a megaflow may be idle.
    pub(crate) fn set_rounds(&self, config: RevalidatorConfig) {
        self.revalidator().set_config(config);
    }

    fn set(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The zones that the configuration speaks of.
    pub(super) fn zones(&self) -> BTreeSet<u16> {
        self.set().zones.clone()
    }

    /// Notes what the configuration says of packets that are not tracked; whether that is new.
    pub(super) fn is_news_of_skip(&self, settings: &SkipSettings) -> bool {
        let known = &mut self.set().skip;
        let news = known.as_ref() != Some(settings);
        *known = Some(settings.clone());
        news
    }

    /// Notes the zones that the configuration speaks of.
    pub(super) fn set_zones(&self, zones: BTreeSet<u16>) {
        self.set().zones = zones;
    }

    /// What is known of the ids that operators have chosen for flows.
    pub(crate) fn with_ids<T>(&self, look: impl FnOnce(&mut ChosenIds) -> T) -> T {
        look(&mut self.set().ids)
    }

    /// Whether megaflows are dumped by their ids.
    pub(crate) fn ufids(&self) -> bool {
        !self.set().no_ufids
    }

    /// Sets that.
    pub(crate) fn set_ufids(&self, enabled: bool) {
        self.set().no_ufids = !enabled;
        self.ofproto.journal().set_terse(enabled);
    }

    /// Has no rounds made, or again.
    pub(crate) fn pause_revalidation(&self, paused: bool) {
        self.figures().paused = paused;
    }

    /// Whether it is one that bridges are in.
    pub(crate) fn has_bridges(&self) -> bool {
        !self.ofproto.bridges().is_empty()
    }

    /// The processor of a packet thread; `None` for the main loop.
    pub(crate) fn core_of(&self, thread: u32) -> Option<u32> {
        self.netdev.place_of(thread)?.core()
    }

    /// Its ports by name, for texts.
    pub(crate) fn port_table(&self) -> PortTable {
        self.ports().iter().map(|(number, port)| (*number, port.name.clone())).collect()
    }

    /// What a feature is pretended to be, if that is not what it is.
    pub(crate) fn lessened(&self, name: &str) -> Option<String> {
        self.set().lessened.get(name).cloned()
    }

    /// Pretends that a feature is of another value; `false` if translation knows no way without it.
    pub(crate) fn lessen(&self, feature: &Feature, value: &str) -> bool {
        let mut set = self.set();
        let honoured = set.features.set(feature.name, value);
        if honoured || value == feature.value {
            set.lessened.insert(feature.name, value.to_owned());
            let features = set.features;
            drop(set);
            self.ofproto.set_features(features);
        }
        honoured || value == feature.value
    }

    /// How often packets may come back and how deep tags are looked at, for translation and traces.
    pub(super) fn tell_limits(&self, pipeline: &Pipeline) {
        let mut set = self.set();
        let features = Features {
            recirculations: pipeline.recirc_limit,
            vlan_limit: pipeline.vlan_limit,
            ..set.features
        };
        if set.features != features {
            set.features = features;
            drop(set);
            self.ofproto.set_features(features);
        }
    }

    /// Holds all packets back, or lets them move again (`flow-restore-wait`): until the flows of
    /// before a restart are there again, nothing is forwarded that they would have dropped.
    pub(super) fn hold(&self, held: bool) {
        let was = std::mem::replace(&mut self.set().held, held);
        if was == held || self.by_hand {
            return;
        }
        if held {
            self.stop();
            return;
        }
        match self.netdev.start(&[], Idle::Sleep) {
            Ok(running) => {
                let mut place = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                *place = Some(running);
            }
            Err(error) => {
                let why = crate::errno::text(&error);
                log::error!(target: "dpif_netdev", "{self}: packet threads cannot start: {why}");
            }
        }
    }

    /// Moves packets until none is left, or for a bounded time.
    pub(crate) fn drive(&self, now: Instant) {
        if self.by_hand && !self.set().held {
            for _ in 0..TURNS {
                if self.netdev.turn(now) == 0 {
                    break;
                }
            }
            self.netdev.flush();
        }
    }

    /// Rounds of revalidation, whether they are due or not.
    pub(crate) fn revalidate(&self, now: Instant) {
        self.drive(now);
        // What is removed in the first round is credited in the second.
        for _ in 0..2 {
            self.round(now, Revalidator::run);
            self.drive(now);
        }
    }

    /// What the main loop has to wake up for.
    pub(crate) fn wait(&self, wants: &mut Wants, now: Instant) {
        if self.by_hand {
            for wake in self.netdev.wakes() {
                if let Some(fd) = wake.readable {
                    wants.read_number(fd);
                }
                if let Some(at) = wake.at {
                    wants.at(at);
                }
            }
        }
        if let Some(rest) = self.rest_before_round(now) {
            wants.real(rest);
        }
        wants.at(now.after(self.pace()));
    }

    /// How long the main loop may sleep when nothing happens, while it has to look now and then. A turn
    /// costs something for each port: with thousands of them there are fewer turns.
    pub(super) fn pace(&self) -> Duration {
        let thousands = u32::try_from(self.ports().len() / 1000).unwrap_or(u32::MAX);
        ROUND * (thousands / 2).clamp(1, 5)
    }

    fn revalidator(&self) -> MutexGuard<'_, Revalidator> {
        self.revalidator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was set about threads and pipelines.
    pub(crate) fn tuning(&self) -> MutexGuard<'_, Tuning> {
        self.tuning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the settings of all pipelines.
    pub(crate) fn change_pipeline(
        &self,
        change: impl FnOnce(&mut Pipeline),
    ) -> Result<(), DatapathError> {
        let mut tuning = self.tuning();
        change(&mut tuning.pipeline);
        self.netdev.configure(&tuning.pipeline)
    }

    /// Stops the packet threads.
    pub(crate) fn stop(&self) {
        drop(self.running.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl std::fmt::Display for Datapath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.kind, self.name)
    }
}

/// A number that nobody can guess.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// How many turns the main loop gives a datapath at once.
const TURNS: usize = 256;
/// How often the main loop looks whether a round of revalidation is due, and at links.
const ROUND: Duration = Duration::from_millis(100);
/// What lies at least between two rounds of revalidation that nobody asked for.
const REST: Duration = Duration::from_millis(2);
