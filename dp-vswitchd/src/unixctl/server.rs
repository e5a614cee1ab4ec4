//! The control socket as a part of the main loop.
//!
//! # Invariants
//!
//! * Whatever one peer does costs that connection and bounded memory: at most [`MOST_CONNECTIONS`]
//!   connections, and [`BUDGET`] bytes of unfinished messages over all of them.
//! * Nobody can keep others out by staying: when there are too many, the one that has been idle for
//!   longest goes.
//! * One turn serves at most [`BATCH`] requests of a connection.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::mpsc::{self, Receiver, Sender},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    CommandRegistry, Outcome, Reply, Responder,
    connection::{Connection, Fault},
    listen::Listener,
    registry::Dispatched,
    reply::Answer,
};
use crate::event_loop::{Task, Turn, Waker, Wants};

/// The control socket and its connections.
#[derive(Debug)]
pub struct Server {
    listener: Option<Listener>,
    /// After this moment connections are accepted again.
    paused_until: Option<Instant>,
    commands: CommandRegistry,
    peers: BTreeMap<u64, Peer>,
    next_peer: u64,
    answers: Receiver<Answer>,
    answer: Sender<Answer>,
    waker: Waker,
    buffer: Vec<u8>,
}

/// One connection with its socket.
#[derive(Debug)]
struct Peer {
    number: u64,
    stream: UnixStream,
    connection: Connection,
    last_used: Instant,
    /// Since when the peer has read nothing of a reply.
    stalled: Option<Instant>,
    /// Whether its turn ended with requests left.
    more: bool,
}

/// Whether a connection is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    Drop,
}

impl Server {
    /// Listens on a path, or nowhere (`--unixctl=none`), with these commands.
    ///
    /// # Errors
    ///
    /// The socket cannot be made.
    pub fn new(path: Option<&Path>, commands: CommandRegistry, waker: Waker) -> io::Result<Self> {
        let (answer, answers) = mpsc::channel();
        Ok(Self {
            listener: path.map(Listener::bind).transpose()?,
            paused_until: None,
            commands,
            peers: BTreeMap::new(),
            next_peer: 0,
            answers,
            answer,
            waker,
            buffer: vec![0; READ_AT_ONCE],
        })
    }

    /// The commands, for more to be added.
    pub const fn commands(&mut self) -> &mut CommandRegistry {
        &mut self.commands
    }

    /// Sends what is answered and not yet sent, waiting for readers that long, for a process that is
    /// about to end.
    pub fn drain(&mut self, within: Duration) {
        self.take_answers();
        let deadline = Instant::now() + within;
        for peer in self.peers.values_mut() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || peer.connection.output().is_empty() {
                continue;
            }
            let ready = peer
                .stream
                .set_nonblocking(false)
                .and_then(|()| peer.stream.set_write_timeout(Some(left)));
            if ready.is_ok() {
                // Who has gone needs no answer.
                let _ = peer.stream.write_all(peer.connection.output());
            }
        }
    }

    fn take_answers(&mut self) {
        while let Ok((number, outcome)) = self.answers.try_recv() {
            if let Some(peer) = self.peers.get_mut(&number) {
                peer.finish(outcome);
            }
        }
    }

    fn accept(&mut self) {
        let now = Instant::now();
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        while let Some(listener) = &self.listener {
            match listener.accept() {
                Ok(Some(stream)) => self.add(stream, now),
                Ok(None) => return,
                Err(error) => {
                    let why = crate::errno::text(&error);
                    log::warn!(target: "unixctl", rate = 5; "accept failed: {why}");
                    // Most likely out of descriptors: asking again at once would only spin.
                    self.paused_until = Some(now + PAUSE);
                    return;
                }
            }
        }
    }

    fn add(&mut self, stream: UnixStream, now: Instant) {
        if self.peers.len() >= MOST_CONNECTIONS && !self.drop_idle() {
            log::warn!(target: "unixctl", rate = 5; "too many connections, closing the newest");
            return;
        }
        let number = self.next_peer;
        self.next_peer += 1;
        let connection = Connection::default();
        let peer = Peer { number, stream, connection, last_used: now, stalled: None, more: true };
        self.peers.insert(number, peer);
    }

    /// Drops the connection that has been idle for longest; says whether there was one.
    fn drop_idle(&mut self) -> bool {
        let idle = self.peers.values().filter(|peer| peer.connection.is_free());
        let Some(number) = idle.min_by_key(|peer| peer.last_used).map(|peer| peer.number) else {
            return false;
        };
        log::warn!(target: "unixctl", rate = 5; "too many connections, closing idle unix#{number}");
        self.peers.remove(&number);
        true
    }

    /// Keeps the sum of unfinished messages within the budget.
    fn keep_budget(&mut self) {
        let held = |peer: &Peer| peer.connection.held();
        if self.peers.values().map(held).sum::<usize>() <= BUDGET {
            return;
        }
        let biggest = self.peers.values().max_by_key(|peer| held(peer)).map(|peer| peer.number);
        if let Some(number) = biggest {
            log::warn!(
                target: "jsonrpc", rate = 5;
                "unix#{number}: dropped, for too much is held of messages that do not end"
            );
            self.peers.remove(&number);
        }
    }

    fn serve_peers(&mut self, turn: &Turn<'_>) {
        let numbers: Vec<u64> = self.peers.keys().copied().collect();
        for number in numbers {
            let Some(mut peer) = self.peers.remove(&number) else { continue };
            let ready = turn.is_ready(&peer.stream);
            if self.serve(&mut peer, ready) == Fate::Keep {
                let big = peer.connection.held() > READ_AT_ONCE;
                self.peers.insert(number, peer);
                if big {
                    self.keep_budget();
                }
            }
        }
    }

    /// Moves one connection on as far as it goes without waiting.
    fn serve(&mut self, peer: &mut Peer, mut ready: bool) -> Fate {
        if ready && peer.connection.open_request().is_some() {
            // Only a peer's leaving is waited for while its command is carried out.
            return Fate::Drop;
        }
        peer.more = false;
        for _ in 0..BATCH {
            if peer.flush() == Fate::Drop {
                return Fate::Drop;
            }
            if !peer.connection.is_free() {
                return Fate::Keep;
            }
            match peer.connection.next_request() {
                Ok(Some((method, params))) => self.carry_out(peer, &method, params),
                Ok(None) if std::mem::take(&mut ready) => match peer.read(&mut self.buffer) {
                    Fate::Keep => {}
                    Fate::Drop => return Fate::Drop,
                },
                Ok(None) => return Fate::Keep,
                Err(fault) => {
                    complain(peer.number, &fault);
                    return Fate::Drop;
                }
            }
        }
        peer.more = true;
        Fate::Keep
    }

    fn carry_out(&mut self, peer: &mut Peer, method: &str, params: Vec<Value>) {
        peer.last_used = Instant::now();
        let id = peer.connection.open_request().cloned().unwrap_or_default();
        if log::log_enabled!(target: "unixctl", log::Level::Debug) {
            let params = Value::from(params.clone());
            log::debug!(
                target: "jsonrpc",
                "unix#{}: received request, method=\"{method}\", params={params}, id={id}",
                peer.number
            );
            log::debug!(target: "unixctl", "received request {method}{params}, id={id}");
        }
        let responder = || Responder::new(peer.number, self.answer.clone(), self.waker.clone());
        let format = peer.connection.format();
        match self.commands.dispatch(method, params, format, responder) {
            Dispatched::Done(outcome) => peer.finish(outcome),
            Dispatched::Options(arguments) => {
                let outcome = peer.connection.set_options(&arguments);
                peer.finish(outcome);
            }
            Dispatched::Later => {}
        }
    }
}

impl Peer {
    fn finish(&mut self, outcome: Outcome) {
        if let Some(id) = self.connection.open_request() {
            match &outcome {
                Ok(Reply::Text(text)) => {
                    log::debug!(target: "unixctl", "replying with success, id={id}: \"{text}\"");
                }
                Ok(Reply::Json(value)) => {
                    log::debug!(target: "unixctl", "replying with success, id={id}: {value}");
                }
                Err(error) => {
                    log::debug!(target: "unixctl", "replying with error, id={id}: \"{error}\"");
                }
            }
        }
        self.connection.finish(outcome);
    }

    /// Sends as much as the peer takes.
    fn flush(&mut self) -> Fate {
        while !self.connection.output().is_empty() {
            match self.stream.write(self.connection.output()) {
                Ok(0) => return Fate::Drop,
                Ok(count) => {
                    self.connection.sent(count);
                    self.stalled = None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let since = *self.stalled.get_or_insert_with(Instant::now);
                    return if since.elapsed() < PATIENCE { Fate::Keep } else { Fate::Drop };
                }
                Err(_) => return Fate::Drop,
            }
        }
        Fate::Keep
    }

    /// Reads what is there, up to the buffer's size.
    fn read(&mut self, buffer: &mut [u8]) -> Fate {
        match self.stream.read(buffer) {
            Ok(0) => Fate::Drop,
            Ok(count) => {
                self.connection.receive(buffer.get(..count).unwrap_or_default());
                Fate::Keep
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Fate::Keep,
                _ => Fate::Drop,
            },
        }
    }
}

impl Task for Server {
    fn name(&self) -> &'static str {
        "control socket"
    }

    fn run(&mut self, turn: &Turn<'_>) {
        self.take_answers();
        self.accept();
        self.serve_peers(turn);
    }

    fn wait(&mut self, wants: &mut Wants) {
        match (self.paused_until, &self.listener) {
            (Some(until), _) => wants.real(until.saturating_duration_since(Instant::now())),
            (None, Some(listener)) => wants.read(listener.socket()),
            (None, None) => {}
        }
        for peer in self.peers.values() {
            if !peer.connection.output().is_empty() {
                wants.write(&peer.stream);
                wants.real(PATIENCE);
            } else if peer.connection.is_free() {
                wants.read(&peer.stream);
            } else {
                wants.hang_up(&peer.stream);
            }
            if peer.more {
                wants.immediately();
            }
        }
    }
}

fn complain(number: u64, fault: &Fault) {
    // The macro wants a target that does not change from call to call.
    match fault.module() {
        "unixctl" => log::warn!(target: "unixctl", rate = 5; "unix#{number}: {fault}"),
        _ => log::warn!(target: "jsonrpc", rate = 5; "unix#{number}: {fault}"),
    }
}

/// How many connections there are at most.
const MOST_CONNECTIONS: usize = 256;

/// How many bytes of unfinished messages are held at most, over all connections, before the biggest
/// holder goes.
const BUDGET: usize = 64 << 20;

/// How many bytes are read from a connection at once.
const READ_AT_ONCE: usize = 64 << 10;

/// How many steps a connection takes in one turn: about half as many requests.
const BATCH: usize = 20;

/// How long a peer may read nothing of a reply that waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long no connection is accepted after that failed.
const PAUSE: Duration = Duration::from_millis(100);
