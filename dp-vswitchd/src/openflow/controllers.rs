//! Controllers that a bridge is configured with: connections that are made again and again, and
//! places to be called at.

use std::collections::BTreeMap;
use std::path::Path;

use dp_core::base::Instant;
use dp_ofproto::session::{ConnectionId, PACKET_QUEUE, PaceStats, RateLimit, Service};

use super::confinement;
use super::fail_open::{self, Reach};
use crate::config::ControllerConfig;
use crate::event_loop::Wants;
use crate::net::{Connecting, Listener, Local, Remote, Stream};
use crate::ovsdb::json_rpc::{Backoff, Phase};
use crate::switch::ControllerStatus;

/// The port of controllers.
const PORT: u16 = 6653;
/// The longest wait between attempts unless it is said otherwise, in milliseconds.
const MAX_BACKOFF: u64 = 8000;
/// The silence after which a controller is asked whether it is there, in milliseconds.
const PROBE: u64 = 5000;

/// The error of a peer that takes too long.
const TIMED_OUT: &str = "Connection timed out";

/// A bridge's controllers.
#[derive(Default)]
pub(super) struct Controllers {
    configs: Vec<ControllerConfig>,
    /// Packets that may wait for a controller which says nothing of it itself.
    packet_queue: Option<usize>,
    all: Vec<Controller>,
}

struct Controller {
    config: ControllerConfig,
    way: Way,
    /// Since when it has not tended the switch, as far as that has been looked at.
    away_since: Option<Instant>,
}

enum Way {
    /// We call.
    Active { remote: Remote, backoff: Backoff, state: State, error: Option<String> },
    /// We are called, and have these connections of it.
    Passive { listener: Listener, sessions: Vec<ConnectionId> },
    /// There is no way.
    None,
}

enum State {
    Idle,
    Connecting(Connecting),
    /// There is a connection, and no word of the peer yet.
    Greeting(ConnectionId),
    Connected(ConnectionId),
}

impl State {
    /// The connection, if there is one.
    const fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Greeting(id) | Self::Connected(id) => Some(*id),
            Self::Idle | Self::Connecting(_) => None,
        }
    }
}

/// How a connection came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The peer closed it.
    Closed,
    /// The network says so.
    Broken(String),
    /// The peer did not answer a probe.
    Silent,
    /// The session ended it, for what the peer said.
    Refused,
    /// Somebody asked for that.
    Asked,
}

/// What the configuration asks for.
pub(super) struct Wanted<'a> {
    pub(super) controllers: &'a [ControllerConfig],
    /// The bridge's `controller-queue-size`.
    pub(super) packet_queue: Option<usize>,
    pub(super) bridge: &'a str,
    /// Where sockets are.
    pub(super) folder: &'a Path,
    /// Controllers have no sockets elsewhere in the file system.
    pub(super) confined: bool,
}

/// A connection that has been made.
pub(super) struct Made {
    pub(super) id: ConnectionId,
    pub(super) stream: Stream,
}

/// What has become of connections.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) made: Vec<Made>,
    /// Connections that are given up.
    pub(super) ended: Vec<ConnectionId>,
}

impl Controllers {
    /// Whether the bridge calls any. Whoever calls the bridge is a tool, as far as it is concerned:
    /// nobody waits for him.
    pub(super) fn calls_some(&self) -> bool {
        self.all.iter().any(|it| matches!(it.way, Way::Active { .. }))
    }

    /// Takes another configuration: connections to where they led before stay, under the new
    /// settings. Returns the connections that have to end.
    pub(super) fn configure(
        &mut self,
        wanted: Wanted<'_>,
        service: &mut Service,
        now: Instant,
    ) -> Vec<ConnectionId> {
        if self.configs == wanted.controllers && self.packet_queue == wanted.packet_queue {
            return Vec::new();
        }
        self.configs = wanted.controllers.to_vec();
        self.packet_queue = wanted.packet_queue;
        let mut old = std::mem::take(&mut self.all);
        for config in wanted.controllers {
            match old.iter().position(|it| it.config.target == config.target) {
                Some(at) => {
                    let mut kept = old.swap_remove(at);
                    kept.retune(config, wanted.packet_queue, service, now);
                    self.all.push(kept);
                }
                None => {
                    self.all.push(Controller::new(config, &wanted, now));
                }
            }
        }
        for controller in &old {
            if let Some(kind) = controller.kind() {
                let target = &controller.config.target;
                log::info!(
                    target: "connmgr", "{}: removed {kind} controller \"{target}\"", wanted.bridge
                );
            }
        }
        old.into_iter()
            .flat_map(|controller| match controller.way {
                Way::Active { state, .. } => state.connection().into_iter().collect(),
                Way::Passive { sessions, .. } => sessions,
                Way::None => Vec::new(),
            })
            .collect()
    }

    /// A connection is lost.
    pub(super) fn lost(&mut self, id: ConnectionId, loss: &Loss, bridge: &str, now: Instant) {
        for controller in &mut self.all {
            let seconds = probe(&controller.config).as_secs();
            if let Way::Passive { sessions, .. } = &mut controller.way {
                sessions.retain(|session| *session != id);
            }
            if let Way::Active { remote, backoff, state, error } = &mut controller.way
                && state.connection() == Some(id)
            {
                let name = format!("{bridge}<->{remote}");
                match loss {
                    Loss::Closed => {
                        log::info!(target: "rconn", "{name}: connection closed by peer");
                        *error = Some("End of file".to_owned());
                    }
                    Loss::Broken(why) => {
                        log::warn!(target: "rconn", "{name}: connection dropped ({why})");
                        *error = Some(why.clone());
                    }
                    Loss::Silent => {
                        log::error!(
                            target: "rconn",
                            "{name}: no response to inactivity probe after {seconds} seconds, \
                             disconnecting"
                        );
                        *error = Some(TIMED_OUT.to_owned());
                    }
                    Loss::Refused => {
                        log::warn!(target: "rconn", "{name}: connection dropped (Protocol error)");
                        *error = Some("Protocol error".to_owned());
                    }
                    Loss::Asked => log::info!(target: "rconn", "{name}: disconnecting"),
                }
                *state = State::Idle;
                backoff.disconnected(now.as_millis());
            }
        }
    }

    /// Makes the connections that are due, and takes those that come.
    pub(super) fn run(&mut self, service: &mut Service, bridge: &str, now: Instant) -> Outcome {
        let mut out = Outcome::default();
        for controller in &mut self.all {
            let config = &controller.config;
            match &mut controller.way {
                Way::Active { remote, backoff, state, error } => {
                    let name = format!("{bridge}<->{remote}");
                    let outcome = advance(remote, &name, backoff, state, now);
                    match outcome {
                        Ok(Some(stream)) => {
                            let id = service.connect(name, probe(config), now);
                            tune(service, id, config, self.packet_queue, now);
                            *state = State::Greeting(id);
                            out.made.push(Made { id, stream });
                        }
                        Ok(None) => {}
                        Err(why) => {
                            log::warn!(target: "rconn", "{name}: connection failed ({why})");
                            out.ended.extend(state.connection());
                            *state = State::Idle;
                            *error = Some(why);
                            backoff.disconnected(now.as_millis());
                            tell_wait(&name, backoff);
                        }
                    }
                }
                Way::Passive { listener, sessions } => {
                    while let Ok(Some((stream, peer))) = listener.accept() {
                        let id = service.accept(format!("{bridge}<->{peer}"), now);
                        service.set_probe(id, probe(config));
                        tune(service, id, config, self.packet_queue, now);
                        sessions.push(id);
                        out.made.push(Made { id, stream });
                    }
                }
                Way::None => {}
            }
        }
        out
    }

    /// Looks which peers have said hello: they are not connected before.
    pub(super) fn greet(&mut self, service: &mut Service, bridge: &str, now: Instant) {
        for controller in &mut self.all {
            if let Way::Active { remote, backoff, state, .. } = &mut controller.way
                && let State::Greeting(id) = *state
                && service.connection(id).is_some_and(|it| it.version().is_some())
            {
                log::info!(target: "rconn", "{bridge}<->{remote}: connected");
                backoff.connected(now.as_millis());
                *state = State::Connected(id);
            }
        }
    }

    /// How the controllers are that the bridge calls; `None`: it calls none. Once the bridge has
    /// failed open, it takes more than a connection to be there.
    pub(super) fn reach(
        &mut self,
        service: &mut Service,
        is_open: bool,
        now: Instant,
    ) -> Option<Reach> {
        let mut longest = None;
        let called = self.all.iter_mut().filter(|it| matches!(it.way, Way::Active { .. }));
        let mut since = Vec::new();
        for controller in called {
            longest = longest.max(Some(probe(&controller.config)));
            let connection = match &controller.way {
                Way::Active { state: State::Connected(id), .. } => service.connection(*id),
                _ => None,
            };
            let speaks = connection.as_ref().is_some_and(|it| it.version().is_some());
            let tends = speaks && connection.is_some_and(|it| it.tends());
            controller.away_since = match tends {
                true => None,
                false => controller.away_since.or(Some(now)),
            };
            since.push(controller.away_since.filter(|_| !speaks || is_open));
        }
        Some(Reach { lost: fail_open::lost_for(since.into_iter(), now), probe: longest? })
    }

    /// Says what to wake up for.
    pub(super) fn wait(&self, wants: &mut Wants) {
        for controller in &self.all {
            match &controller.way {
                Way::Active { backoff, state, .. } => {
                    if let State::Connecting(connecting) = state {
                        connecting.wait(wants);
                    }
                    if let Some(at) = backoff.deadline() {
                        wants.at(Instant::from_millis(at));
                    }
                }
                Way::Passive { listener, .. } => wants.read(listener),
                Way::None => {}
            }
        }
    }

    /// What is written back of each.
    pub(super) fn status(
        &self,
        service: &mut Service,
        now: Instant,
    ) -> Vec<(crate::ovsdb::uuid::Uuid, ControllerStatus)> {
        let mut all = Vec::new();
        for controller in &self.all {
            let Way::Active { backoff, state, error, .. } = &controller.way else { continue };
            let connected = matches!(state, State::Connected(_));
            let role = match state {
                State::Connected(id) => service.connection(*id).map(|it| match it.role() as u32 {
                    2 => "master",
                    3 => "slave",
                    _ => "other",
                }),
                _ => None,
            };
            let ago = |at: Option<u64>| at.map(|at| (now.as_millis().saturating_sub(at)) / 1000);
            let mut status = BTreeMap::new();
            let connection = state.connection().and_then(|id| service.connection(id));
            let name = match connection.filter(|_| connected) {
                Some(it) if it.is_probed() => "IDLE",
                _ => backoff.state_name(),
            };
            status.insert("state".to_owned(), name.to_owned());
            if let Some(seconds) = ago(backoff.last_connected_ms()) {
                status.insert("sec_since_connect".to_owned(), seconds.to_string());
            }
            if let Some(seconds) = ago(backoff.last_disconnected_ms()) {
                status.insert("sec_since_disconnect".to_owned(), seconds.to_string());
            }
            if let Some(why) = error {
                status.insert("last_error".to_owned(), why.clone());
            }
            if let State::Connected(id) = state
                && let Some(stats) = service.connection(*id).and_then(|it| it.pace_stats())
            {
                status.extend(pace_status(stats));
            }
            let role = role.map(str::to_owned);
            all.push((controller.config.uuid, ControllerStatus { connected, role, status }));
        }
        all
    }
}

impl Controller {
    /// Other settings for the same peer.
    fn retune(
        &mut self,
        config: &ControllerConfig,
        packet_queue: Option<usize>,
        service: &mut Service,
        now: Instant,
    ) {
        match &mut self.way {
            Way::Active { backoff, state, .. } => {
                backoff.set_longest(longest_wait(config));
                if let Some(id) = state.connection() {
                    service.set_probe(id, probe(config));
                    tune(service, id, config, packet_queue, now);
                }
            }
            // What they are told unasked is for those who call from now on.
            Way::Passive { sessions, .. } => {
                for id in sessions {
                    service.set_probe(*id, probe(config));
                    let queue = queue_size(config, packet_queue);
                    service.set_pace(*id, limit(config), queue, now);
                }
            }
            Way::None => {}
        }
        self.config = config.clone();
    }

    /// What kind of controller it is, if there is a way to it.
    const fn kind(&self) -> Option<&'static str> {
        match self.way {
            Way::Active { .. } => Some("primary"),
            Way::Passive { .. } => Some("service"),
            Way::None => None,
        }
    }

    fn new(config: &ControllerConfig, wanted: &Wanted<'_>, now: Instant) -> Self {
        let (bridge, folder) = (wanted.bridge, wanted.folder);
        let refuse = |why: &str| {
            log::error!(
                target: "connmgr", "{bridge}: controller \"{}\": {why}", config.target
            );
            Way::None
        };
        let way = match Local::parse(&config.target, PORT, folder) {
            _ if wanted.confined && !confinement::permits(&config.target, bridge, folder) => {
                confinement::complain(&config.target, bridge, folder);
                Way::None
            }
            Some(Ok(local)) => match local.listen() {
                Ok(listener) => Way::Passive { listener, sessions: Vec::new() },
                Err(error) => refuse(&crate::errno::text(&error)),
            },
            Some(Err(error)) => refuse(&error.to_string()),
            None => match Remote::parse(&config.target, PORT, folder) {
                Ok(remote) => {
                    let backoff = Backoff::new(longest_wait(config), now.as_millis());
                    Way::Active { remote, backoff, state: State::Idle, error: None }
                }
                Err(error) => refuse(&error.to_string()),
            },
        };
        let it = Self { config: config.clone(), way, away_since: Some(now) };
        if let Some(kind) = it.kind() {
            let target = &config.target;
            log::info!(target: "connmgr", "{bridge}: added {kind} controller \"{target}\"");
        }
        it
    }
}

/// Says when the next attempt is, until that is always as long.
fn tell_wait(name: &str, backoff: &Backoff) {
    if backoff.is_longest() {
        log::debug!(target: "rconn", "{name}: waiting {} ms before reconnect", backoff.wait_ms());
    } else {
        let seconds = backoff.wait_ms() / 1000;
        log::info!(target: "rconn", "{name}: waiting {seconds} seconds before reconnect");
    }
}

/// Begins an attempt that is due, or looks what has become of one.
fn advance(
    remote: &Remote,
    name: &str,
    backoff: &mut Backoff,
    state: &mut State,
    now: Instant,
) -> Result<Option<Stream>, String> {
    let millis = now.as_millis();
    if backoff.phase() == Phase::Waiting && backoff.due(millis) {
        backoff.connecting(millis);
        log::debug!(target: "rconn", "{name}: connecting...");
        let connecting = remote.connect().map_err(|error| crate::errno::text(&error))?;
        *state = State::Connecting(connecting);
    }
    let (State::Connecting(_) | State::Greeting(_)) = state else { return Ok(None) };
    if backoff.attempt_timed_out(millis) {
        return Err(TIMED_OUT.to_owned());
    }
    let State::Connecting(_) = state else { return Ok(None) };
    let State::Connecting(connecting) = std::mem::replace(state, State::Idle) else {
        return Ok(None);
    };
    match connecting.finish() {
        Ok(Ok(stream)) => Ok(Some(stream)),
        Ok(Err(connecting)) => {
            *state = State::Connecting(connecting);
            Ok(None)
        }
        Err(error) => Err(crate::errno::text(&error)),
    }
}

fn probe(config: &ControllerConfig) -> dp_core::base::Duration {
    let asked = config.inactivity_probe.and_then(|it| u64::try_from(it).ok());
    let millis = match asked {
        None => PROBE,
        Some(0) => 0,
        Some(millis) => millis.max(PROBE),
    };
    dp_core::base::Duration::from_millis(millis)
}

/// The longest wait between attempts, in milliseconds.
fn longest_wait(config: &ControllerConfig) -> u64 {
    config.max_backoff.and_then(|it| u64::try_from(it).ok()).unwrap_or(MAX_BACKOFF)
}

/// Packets that may wait to be sent to a controller.
fn queue_size(config: &ControllerConfig, of_bridge: Option<usize>) -> usize {
    let own = config.controller_queue_size.and_then(|it| usize::try_from(it).ok());
    own.or(of_bridge).unwrap_or(PACKET_QUEUE)
}

/// Has a connection told what its controller wants to be told, and as fast.
fn tune(
    service: &mut Service,
    id: ConnectionId,
    config: &ControllerConfig,
    packet_queue: Option<usize>,
    now: Instant,
) {
    service.set_quiet(id, !config.enable_async_messages);
    service.set_pace(id, limit(config), queue_size(config, packet_queue), now);
}

/// What limiting the rate has done, as the column `status` says it.
fn pace_status(stats: [PaceStats; 2]) -> impl Iterator<Item = (String, String)> {
    ["miss", "action"].into_iter().zip(stats).flat_map(|(kind, stats)| {
        [
            ("bypassed", stats.bypassed),
            ("queued", stats.queued),
            ("dropped", stats.dropped),
            ("backlog", stats.backlog as u64),
        ]
        .map(|(what, count)| (format!("packet-in-{kind}-{what}"), count.to_string()))
    })
}

fn limit(config: &ControllerConfig) -> RateLimit {
    let number = |it: Option<i64>| it.and_then(|it| u32::try_from(it).ok());
    let rate = number(config.controller_rate_limit).unwrap_or(0);
    RateLimit { rate, burst: number(config.controller_burst_limit).unwrap_or(0) }
}
