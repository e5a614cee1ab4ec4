//! Bidirectional forwarding detection (RFC 5880), single hop over IPv4 (RFC 5881), asynchronous mode.
//!
//! ```text
//!              peer: down                    peer: init, up
//!   ┌──────┐ ───────────► ┌──────┐ ──────────────────────► ┌────┐
//!   │ down │              │ init │                         │ up │
//!   └──────┘ ◄─────────── └──────┘                         └────┘
//!      ▲      time is over, peer: admin_down                  │
//!      └─────────────────── peer: down, admin_down, time is over
//! ```
//!
//! A session is fed what comes in ([`Session::receive`]), asked when it has something to send
//! ([`Session::send`]) and run when its time has come ([`Session::run`], [`Session::wake`]).
//!
//! # Invariants
//!
//! * While a session is not up it sends at most once a second (RFC 5880, 6.8.3).
//! * An interval that shrinks is used at once, one that grows after the peer has answered a poll.

mod config;
mod packet;
mod show;

pub use config::Config;
pub use packet::{Control, ControlError, Diagnostic, Flags, LEN, State, UDP_PORT};

use std::net::Ipv4Addr;

use dp_core::base::{Duration, Instant, MacAddr};

use self::packet::Envelope;
use super::random::Random;

/// The slowest that a session which is not up may be.
const SLOW: Duration = Duration::from_secs(1);
/// Traffic counts as a sign of life for this many receive intervals.
const TRAFFIC_MULT: u32 = 100;
/// How much longer than the detection time silence is not believed while nobody has looked whether it
/// is silence: a switch that is that far behind forwards nothing either.
const GRACE: Duration = Duration::from_millis(500);
/// How long traffic is watched before the receive interval decays, at least.
const DECAY_WINDOW: Duration = Duration::from_millis(2000);

/// What a session wants the log to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It changed its state, or its peer did.
    State {
        /// Local state before and after.
        local: (State, State),
        /// The reason, before and after.
        diagnostic: (Diagnostic, Diagnostic),
    },
    /// A packet that is none.
    Bad(ControlError),
}

/// A frame that may hold a control packet: what of it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Destination of the frame.
    pub eth_dst: MacAddr,
    /// Destination of the packet.
    pub ip_dst: Ipv4Addr,
    /// TTL of the packet.
    pub ttl: u8,
    /// UDP destination port.
    pub udp_dst: u16,
    /// Tunnel key, 0 without a tunnel.
    pub tunnel_key: u64,
    /// The UDP payload.
    pub payload: &'a [u8],
}

/// One session, on one interface.
#[derive(Debug)]
pub struct Session {
    name: String,
    config: Config,
    random: Random,
    eth_src: MacAddr,
    udp_src: u16,

    state: State,
    diagnostic: Diagnostic,
    flags: Flags,
    disc: u32,
    min_tx: Duration,
    min_rx: Duration,
    /// Intervals that wait for the peer's answer to a poll.
    poll_min_tx: Duration,
    poll_min_rx: Duration,

    remote: Remote,

    last_tx: Option<Instant>,
    next_tx: Instant,
    /// When the session is down if nothing comes; `None` before the first packet.
    detect_at: Option<Instant>,
    /// Answer a poll at once.
    answer: bool,

    forwarding: bool,
    forced: Option<bool>,
    flaps: u64,
    traffic: Traffic,
    decay: Decay,
    /// Packets that were none.
    bad: u64,
    events: Vec<Event>,
}

/// What the peer said last.
#[derive(Clone, Copy, Debug)]
struct Remote {
    state: State,
    diagnostic: Diagnostic,
    flags: Flags,
    disc: u32,
    min_tx: Duration,
    min_rx: Duration,
    mult: u8,
}

impl Remote {
    /// Before anything was heard: RFC 5880, 6.8.1.
    const UNKNOWN: Self = Self {
        state: State::Down,
        diagnostic: Diagnostic::NONE,
        flags: Flags::empty(),
        disc: 0,
        min_tx: Duration::ZERO,
        min_rx: Duration::from_millis(1),
        mult: 0,
    };
}

/// Traffic as a sign of life.
#[derive(Debug, Default)]
struct Traffic {
    packets: u64,
    /// Until when traffic seen lately counts.
    alive_until: Instant,
    /// Until when it may count without a control packet.
    control_until: Instant,
}

/// Watches whether the interface carries anything worth detecting for.
#[derive(Debug, Default)]
struct Decay {
    active: bool,
    /// Frames that the interface had received when the window began.
    packets: u64,
    /// Control packets among those since.
    control: u64,
    until: Instant,
}

impl Session {
    /// A session for the interface `name`, whose address is `mac`. `seed` differs from session to
    /// session: it makes the discriminator and the source port.
    #[must_use]
    pub fn new(name: &str, mac: MacAddr, config: Config, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(seed);
        let disc = random.next().max(1);
        let udp_src = 49_152 + u16::try_from(random.below(16_384)).unwrap_or(0);
        let mut session = Self {
            name: name.to_owned(),
            min_tx: config.min_tx.max(SLOW),
            min_rx: config.min_rx,
            poll_min_tx: Duration::ZERO,
            poll_min_rx: Duration::ZERO,
            config,
            random,
            eth_src: mac,
            udp_src,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            flags: Flags::empty(),
            disc,
            remote: Remote::UNKNOWN,
            last_tx: None,
            next_tx: now,
            detect_at: None,
            answer: false,
            forwarding: false,
            forced: None,
            flaps: 0,
            traffic: Traffic::default(),
            decay: Decay::default(),
            bad: 0,
            events: Vec::new(),
        };
        session.apply_path_state();
        session
    }

    /// The interface.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Changes the settings, or the interface's address. Intervals of a session that is up change
    /// when the peer has agreed.
    pub fn configure(&mut self, mac: MacAddr, config: Config, rx_packets: u64, now: Instant) {
        self.eth_src = mac;
        if config == self.config {
            return;
        }
        let old = core::mem::replace(&mut self.config, config);
        if old.min_tx != self.config.min_tx {
            let floor = if self.state == State::Up { Duration::ZERO } else { SLOW };
            self.poll(self.config.min_tx.max(floor), self.wanted_min_rx(), now);
        }
        if old.min_rx != self.config.min_rx || old.decay_min_rx != self.config.decay_min_rx {
            self.decay = Decay::default();
            self.poll(self.wanted_min_tx(), self.config.min_rx, now);
            self.restart_decay(rx_packets, now);
        }
        if old.forwarding_if_rx != self.config.forwarding_if_rx {
            self.traffic = Traffic { packets: rx_packets, ..Traffic::default() };
            self.traffic.control_until = now.after(self.min_rx.saturating_mul(TRAFFIC_MULT));
        }
        if old.cpath_down != self.config.cpath_down {
            self.apply_path_state();
        }
        self.next_tx = self.next_tx.min(now.after(self.tx_interval()));
    }

    /// Says "path down" or that it is over: whatever else there was to say is over too.
    fn apply_path_state(&mut self) {
        self.diagnostic = match self.config.cpath_down {
            true => Diagnostic::CONCATENATED_PATH_DOWN,
            false => Diagnostic::NONE,
        };
    }

    /// Overrides what the session thinks of forwarding, or gives it back its own mind.
    pub fn set_forwarding(&mut self, forced: Option<bool>) {
        self.forced = forced;
    }

    /// When [`Self::run`] or [`Self::send`] has something to do, if nothing comes before.
    #[must_use]
    pub fn wake(&self) -> Instant {
        let mut wake = if self.answer { Instant(0) } else { self.next_tx };
        if self.state != State::Down
            && let Some(detect) = self.detect_at
        {
            wake = wake.min(detect);
        }
        if !self.config.decay_min_rx.is_zero() && self.state == State::Up {
            wake = wake.min(self.decay.until);
        }
        wake
    }

    /// Lets time pass. `rx_packets`: frames that the interface has received so far.
    pub fn run(&mut self, rx_packets: u64, now: Instant) {
        self.run_heard(rx_packets, now, now);
    }

    /// As [`Self::run`], where only what came in until `heard` has been taken in: silence after that
    /// is none yet. Returns whether the session is over if nothing has come.
    pub fn run_heard(&mut self, rx_packets: u64, heard: Instant, now: Instant) -> bool {
        let due = |at: Instant| heard >= at || now >= at.after(GRACE);
        let waits = self.state > State::Down && self.detect_at.is_some_and(|at| now >= at);
        let mut in_doubt = false;
        if waits && self.detect_at.is_some_and(due) {
            self.enter(State::Down, Diagnostic::EXPIRED, now);
        } else {
            in_doubt = waits;
        }
        self.watch_decay(rx_packets, now);
        self.watch_traffic(rx_packets, now);
        // Changes that the peer need not confirm: it is not up.
        let floor = self.wanted_min_tx();
        if self.min_tx != floor && self.poll_min_tx.is_zero() {
            self.poll(floor, self.wanted_min_rx(), now);
        }
        self.forwarding(now);
        in_doubt
    }

    /// The frame to send now, if there is one, and whether it is to be marked OAM.
    pub fn send(&mut self, now: Instant) -> Option<Vec<u8>> {
        if !self.answer && now < self.next_tx {
            return None;
        }
        let mut flags = self.flags;
        if core::mem::take(&mut self.answer) {
            flags.insert(Flags::FINAL);
            flags.remove(Flags::POLL);
        } else {
            flags.remove(Flags::FINAL);
        }
        let polling = self.polling();
        let control = Control {
            diagnostic: self.diagnostic,
            state: self.state,
            flags,
            mult: self.config.mult,
            my_disc: self.disc,
            your_disc: self.remote.disc,
            min_tx: micros(if polling { self.poll_min_tx } else { self.min_tx }),
            min_rx: micros(if polling { self.poll_min_rx } else { self.min_rx }),
            min_rx_echo: 0,
        };
        self.last_tx = Some(now);
        self.schedule();
        let envelope = Envelope {
            eth_src: self.config.local_src_mac.unwrap_or(self.eth_src),
            eth_dst: self.config.local_dst_mac,
            src: self.config.src_ip,
            dst: self.config.dst_ip,
            udp_src: self.udp_src,
        };
        Some(packet::frame(&envelope, &control))
    }

    /// Whether packets are to be marked as OAM.
    #[must_use]
    pub fn oam(&self) -> bool {
        self.config.oam
    }

    /// Whether a frame is for this session. One whose source address was not chosen takes packets to
    /// any address: both ends send to the same default then.
    #[must_use]
    pub fn wants(&self, received: &Received<'_>) -> bool {
        let own = self.config.src_ip;
        received.udp_dst == UDP_PORT
            && self.config.remote_dst_mac.is_none_or(|mac| mac == received.eth_dst)
            && (!self.config.check_tnl_key || received.tunnel_key == 0)
            && (received.ip_dst == own || own == config::DEFAULT_SRC)
    }

    /// Takes a frame that [`Self::wants`].
    pub fn receive(&mut self, received: &Received<'_>, now: Instant) {
        // Whoever is more than a hop away is not the neighbour (RFC 5881, section 5).
        if received.ttl != 255 {
            return;
        }
        match Control::parse(received.payload) {
            Ok(control) if control.your_disc != 0 && control.your_disc != self.disc => {}
            Ok(control) => self.accept(&control, now),
            Err(error) => self.refuse(error),
        }
    }

    fn accept(&mut self, control: &Control, now: Instant) {
        if self.remote.state != control.state || self.remote.diagnostic != control.diagnostic {
            self.next_tx = self.next_tx.min(now.after(self.tx_interval()));
        }
        self.decay.control += 1;
        self.remote = Remote {
            state: control.state,
            diagnostic: control.diagnostic,
            flags: control.flags,
            disc: control.my_disc,
            min_tx: millis(control.min_tx),
            min_rx: millis(control.min_rx).max(Duration::from_millis(1)),
            mult: control.mult,
        };
        if control.flags.contains(Flags::FINAL) && self.polling() {
            self.settle();
        }
        if control.flags.contains(Flags::POLL) {
            self.answer = true;
        }
        let wait = self.rx_interval().saturating_mul(u32::from(self.remote.mult));
        self.detect_at = Some(now.after(wait));
        self.traffic.control_until = now.after(self.min_rx.saturating_mul(TRAFFIC_MULT));
        self.follow(control, now);
        if let Some(last) = self.last_tx {
            // The peer may want them faster now.
            self.next_tx = self.next_tx.min(last.after(self.tx_interval()));
        }
    }

    /// The state machine of RFC 5880, 6.8.6.
    fn follow(&mut self, control: &Control, now: Instant) {
        let signalled = Diagnostic::NEIGHBOUR_DOWN;
        match (self.state, control.state) {
            (State::AdminDown, _) | (State::Down, State::Up | State::AdminDown) => {}
            (_, State::AdminDown) | (State::Up, State::Down) => {
                self.enter(State::Down, signalled, now);
            }
            // Why it was down last stays to be read (6.8.1).
            (State::Down, State::Down) => self.enter(State::Init, self.diagnostic, now),
            (State::Down | State::Init, State::Init) | (State::Init, State::Up) => {
                self.enter(State::Up, self.diagnostic, now);
            }
            (State::Init, State::Down) | (State::Up, State::Init | State::Up) => {}
        }
    }

    fn enter(&mut self, state: State, diagnostic: Diagnostic, now: Instant) {
        if self.state == state {
            return;
        }
        let diagnostic = match self.config.cpath_down {
            true => Diagnostic::CONCATENATED_PATH_DOWN,
            false => diagnostic,
        };
        self.events.push(Event::State {
            local: (self.state, state),
            diagnostic: (self.diagnostic, diagnostic),
        });
        self.state = state;
        self.diagnostic = diagnostic;
        if state <= State::Down {
            let Remote { flags, mult, .. } = self.remote;
            self.remote = Remote { flags, mult, ..Remote::UNKNOWN };
            if self.decay.active {
                self.decay = Decay::default();
            }
        }
        let floor = if state == State::Up { Duration::ZERO } else { SLOW };
        self.poll(self.config.min_tx.max(floor), self.wanted_min_rx(), now);
        if state == State::Up {
            self.restart_decay(self.decay.packets, now);
        }
    }

    /// Asks the peer to agree to new intervals; without a peer they are in force at once.
    fn poll(&mut self, min_tx: Duration, min_rx: Duration, now: Instant) {
        if self.state != State::Up {
            (self.min_tx, self.min_rx) = (min_tx, min_rx);
            (self.poll_min_tx, self.poll_min_rx) = (Duration::ZERO, Duration::ZERO);
            self.flags.remove(Flags::POLL);
        } else if (min_tx, min_rx) != (self.min_tx, self.min_rx) {
            (self.poll_min_tx, self.poll_min_rx) = (min_tx, min_rx);
            self.flags.insert(Flags::POLL);
        }
        self.next_tx = self.next_tx.min(now.after(self.tx_interval()));
    }

    fn polling(&self) -> bool {
        self.flags.contains(Flags::POLL)
    }

    /// The peer has agreed.
    fn settle(&mut self) {
        self.flags.remove(Flags::POLL);
        if self.poll_min_tx < self.min_tx {
            // Faster from now on: do not wait for the old moment.
            self.next_tx = self.last_tx.map_or(self.next_tx, |last| {
                self.next_tx.min(last.after(self.poll_min_tx.max(self.remote.min_rx)))
            });
        }
        (self.min_tx, self.min_rx) = (self.poll_min_tx, self.poll_min_rx);
        (self.poll_min_tx, self.poll_min_rx) = (Duration::ZERO, Duration::ZERO);
    }

    /// The intervals that are in force or under way.
    fn wanted_min_tx(&self) -> Duration {
        match self.state {
            State::Up => self.config.min_tx,
            _ => self.config.min_tx.max(SLOW),
        }
    }

    fn wanted_min_rx(&self) -> Duration {
        if self.decay.active { self.config.decay_min_rx } else { self.config.min_rx }
    }

    /// While it is polled for, whichever loses no packet: the shorter interval to send at, the longer
    /// one to wait (RFC 5880, 6.8.3).
    fn tx_interval(&self) -> Duration {
        let own = if self.polling() { self.min_tx.min(self.poll_min_tx) } else { self.min_tx };
        own.max(self.remote.min_rx)
    }

    fn rx_interval(&self) -> Duration {
        let own = if self.polling() { self.min_rx.max(self.poll_min_rx) } else { self.min_rx };
        own.max(self.remote.min_tx)
    }

    /// The next packet: one interval on, less up to a quarter (RFC 5880, 6.8.7).
    fn schedule(&mut self) {
        let interval = self.tx_interval();
        let percent = if self.config.mult == 1 {
            75 + self.random.below(15)
        } else {
            75 + self.random.below(25)
        };
        let wait = interval.saturating_mul(percent) / 100;
        self.next_tx = self.last_tx.unwrap_or_default().after(wait);
    }

    fn restart_decay(&mut self, rx_packets: u64, now: Instant) {
        self.decay.packets = rx_packets;
        self.decay.control = 0;
        self.decay.until = now.after(self.config.decay_min_rx.max(DECAY_WINDOW));
    }

    /// Slows down where nothing but control packets comes in, and wakes up when more does.
    fn watch_decay(&mut self, rx_packets: u64, now: Instant) {
        if self.config.decay_min_rx.is_zero() || self.state != State::Up || now < self.decay.until {
            if self.state != State::Up {
                self.decay.packets = rx_packets;
            }
            return;
        }
        let received = rx_packets.saturating_sub(self.decay.packets);
        let quiet = received <= self.decay.control.max(1).saturating_mul(2);
        self.restart_decay(rx_packets, now);
        if quiet != self.decay.active {
            self.decay.active = quiet;
            self.poll(self.wanted_min_tx(), self.wanted_min_rx(), now);
        }
    }

    fn watch_traffic(&mut self, rx_packets: u64, now: Instant) {
        if rx_packets != self.traffic.packets {
            self.traffic.packets = rx_packets;
            if self.config.forwarding_if_rx {
                let wait = self.rx_interval().saturating_mul(u32::from(self.config.mult));
                self.traffic.alive_until = now.after(wait);
            }
        }
    }

    /// Whether the interface may be used to forward.
    pub fn forwarding(&mut self, now: Instant) -> bool {
        let traffic = self.config.forwarding_if_rx
            && now < self.traffic.alive_until
            && now < self.traffic.control_until;
        let blocked = [Diagnostic::CONCATENATED_PATH_DOWN, Diagnostic::REVERSE_PATH_DOWN]
            .contains(&self.remote.diagnostic);
        if let Some(forced) = self.forced {
            return forced;
        }
        let own = (self.state == State::Up || traffic) && !blocked;
        if own != self.forwarding {
            self.forwarding = own;
            self.flaps += 1;
        }
        own
    }

    /// Packets that were none, so far.
    #[must_use]
    pub const fn bad(&self) -> u64 {
        self.bad
    }

    /// Counts one that is none; the log is told of one of those that came since it was told last.
    fn refuse(&mut self, error: ControlError) {
        self.bad += 1;
        if !self.events.iter().any(|event| matches!(event, Event::Bad(_))) {
            self.events.push(Event::Bad(error));
        }
    }

    /// What happened since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }
}

impl PartialOrd for State {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some((*self as u8).cmp(&(*other as u8)))
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn millis(micros: u32) -> Duration {
    // Whole milliseconds, as everything here; never less than what the peer asked for.
    Duration::from_millis(u64::from(micros.div_ceil(1000)))
}

#[cfg(test)]
mod tests;
