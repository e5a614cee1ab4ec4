//! Controllers that a bridge is configured with: connections that are made again and again, and
//! places to be called at.

use std::collections::BTreeMap;
use std::path::Path;

use dp_core::base::Instant;
use dp_ofproto::session::{ConnectionId, RateLimit, Service};

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

/// A bridge's controllers.
#[derive(Default)]
pub(super) struct Controllers {
    configs: Vec<ControllerConfig>,
    all: Vec<Controller>,
}

struct Controller {
    config: ControllerConfig,
    way: Way,
    /// Since when it has not been there, as far as that has been looked at.
    away_since: Option<Instant>,
}

enum Way {
    /// We call.
    Active { remote: Remote, backoff: Backoff, state: State, error: Option<String> },
    /// We are called.
    Passive(Listener),
    /// There is no way.
    None,
}

enum State {
    Idle,
    Connecting(Connecting),
    Connected(ConnectionId),
}

/// A connection that has been made.
pub(super) struct Made {
    pub(super) id: ConnectionId,
    pub(super) stream: Stream,
}

impl Controllers {
    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.configs.is_empty()
    }

    /// Takes another configuration: what is the same stays. Returns the connections that have to
    /// end.
    pub(super) fn configure(
        &mut self,
        configs: &[ControllerConfig],
        bridge: &str,
        folder: &Path,
        now: Instant,
    ) -> Vec<ConnectionId> {
        if self.configs == configs {
            return Vec::new();
        }
        self.configs = configs.to_vec();
        let mut old = std::mem::take(&mut self.all);
        for config in configs {
            match old.iter().position(|it| it.config == *config) {
                Some(at) => self.all.push(old.swap_remove(at)),
                None => self.all.push(Controller::new(config, bridge, folder, now)),
            }
        }
        old.into_iter()
            .filter_map(|controller| match controller.way {
                Way::Active { state: State::Connected(id), .. } => Some(id),
                _ => None,
            })
            .collect()
    }

    /// A connection is lost.
    pub(super) fn lost(&mut self, id: ConnectionId, why: &str, now: Instant) {
        for controller in &mut self.all {
            if let Way::Active { remote, backoff, state, error } = &mut controller.way
                && matches!(state, State::Connected(it) if *it == id)
            {
                log::info!(target: "rconn", "{remote}: connection closed ({why})");
                *state = State::Idle;
                *error = Some(why.to_owned());
                backoff.disconnected(now.as_millis());
            }
        }
    }

    /// Makes the connections that are due, and takes those that come.
    pub(super) fn run(&mut self, service: &mut Service, bridge: &str, now: Instant) -> Vec<Made> {
        let mut made = Vec::new();
        for controller in &mut self.all {
            let config = &controller.config;
            match &mut controller.way {
                Way::Active { remote, backoff, state, error } => {
                    let outcome = advance(remote, backoff, state, now);
                    match outcome {
                        Ok(Some(stream)) => {
                            let name = format!("{bridge}<->{remote}");
                            let id = service.connect(name, probe(config), limit(config), now);
                            service.set_quiet(id, !config.enable_async_messages);
                            log::info!(target: "rconn", "{bridge}<->{remote}: connected");
                            *state = State::Connected(id);
                            *error = None;
                            made.push(Made { id, stream });
                        }
                        Ok(None) => {}
                        Err(why) => {
                            log::info!(
                                target: "rconn", "{bridge}<->{remote}: connection failed ({why})"
                            );
                            *state = State::Idle;
                            *error = Some(why);
                            backoff.disconnected(now.as_millis());
                        }
                    }
                }
                Way::Passive(listener) => {
                    while let Ok(Some((stream, peer))) = listener.accept() {
                        let id = service.accept(format!("{bridge}<->{peer}"), now);
                        made.push(Made { id, stream });
                    }
                }
                Way::None => {}
            }
        }
        made
    }

    /// How the controllers are that the bridge calls; `None`: it calls none.
    pub(super) fn reach(&mut self, service: &mut Service, now: Instant) -> Option<Reach> {
        let mut longest = None;
        let called = self.all.iter_mut().filter(|it| !matches!(it.way, Way::Passive(_)));
        let mut since = Vec::new();
        for controller in called {
            longest = longest.max(Some(probe(&controller.config)));
            let there = match &controller.way {
                Way::Active { state: State::Connected(id), .. } => {
                    service.connection(*id).is_some_and(|it| it.version().is_some())
                }
                _ => false,
            };
            controller.away_since = match there {
                true => None,
                false => controller.away_since.or(Some(now)),
            };
            since.push(controller.away_since);
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
                Way::Passive(listener) => wants.read(listener),
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
            status.insert("state".to_owned(), backoff.state_name().to_owned());
            if let Some(seconds) = ago(backoff.last_connected_ms()) {
                status.insert("sec_since_connect".to_owned(), seconds.to_string());
            }
            if let Some(seconds) = ago(backoff.last_disconnected_ms()) {
                status.insert("sec_since_disconnect".to_owned(), seconds.to_string());
            }
            if let Some(why) = error {
                status.insert("last_error".to_owned(), why.clone());
            }
            let role = role.map(str::to_owned);
            all.push((controller.config.uuid, ControllerStatus { connected, role, status }));
        }
        all
    }
}

impl Controller {
    fn new(config: &ControllerConfig, bridge: &str, folder: &Path, now: Instant) -> Self {
        let refuse = |why: &str| {
            log::error!(
                target: "connmgr", "{bridge}: controller \"{}\": {why}", config.target
            );
            Way::None
        };
        let way = match Local::parse(&config.target, PORT, folder) {
            Some(Ok(local)) => match local.listen() {
                Ok(listener) => Way::Passive(listener),
                Err(error) => refuse(&crate::errno::text(&error)),
            },
            Some(Err(error)) => refuse(&error.to_string()),
            None => match Remote::parse(&config.target, PORT, folder) {
                Ok(remote) => {
                    let longest = config.max_backoff.and_then(|it| u64::try_from(it).ok());
                    let longest = longest.unwrap_or(MAX_BACKOFF);
                    let backoff = Backoff::new(longest, now.as_millis());
                    Way::Active { remote, backoff, state: State::Idle, error: None }
                }
                Err(error) => refuse(&error.to_string()),
            },
        };
        Self { config: config.clone(), way, away_since: Some(now) }
    }
}

/// Begins an attempt that is due, or looks what has become of one.
fn advance(
    remote: &Remote,
    backoff: &mut Backoff,
    state: &mut State,
    now: Instant,
) -> Result<Option<Stream>, String> {
    let millis = now.as_millis();
    if backoff.phase() == Phase::Waiting && backoff.due(millis) {
        backoff.connecting(millis);
        let connecting = remote.connect().map_err(|error| crate::errno::text(&error))?;
        *state = State::Connecting(connecting);
    }
    let State::Connecting(_) = state else { return Ok(None) };
    if backoff.attempt_timed_out(millis) {
        return Err("Connection timed out".to_owned());
    }
    let State::Connecting(connecting) = std::mem::replace(state, State::Idle) else {
        return Ok(None);
    };
    match connecting.finish() {
        Ok(Ok(stream)) => {
            backoff.connected(millis);
            Ok(Some(stream))
        }
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

fn limit(config: &ControllerConfig) -> RateLimit {
    let number = |it: Option<i64>| it.and_then(|it| u32::try_from(it).ok());
    let rate = number(config.controller_rate_limit).unwrap_or(0);
    RateLimit { rate, burst: number(config.controller_burst_limit).unwrap_or(0) }
}
