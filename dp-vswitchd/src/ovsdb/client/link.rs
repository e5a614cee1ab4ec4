//! The connection of a [`Client`] to its server: made, lost, made again.
//!
//! Remotes are tried in turn. A server of a cluster that is not its leader, or has lost the others,
//! is left for the next one when it closes the connection.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Client, Committed};
use crate::event_loop::Wants;
use crate::net::{Connecting, Remote, Stream};
use crate::ovsdb::json_rpc::{Backoff, DEFAULT_PROBE_MS, Limits, Phase, Session};

/// A client with its connection.
#[derive(Debug)]
pub(crate) struct Link {
    remotes: Vec<Remote>,
    /// Which of them is tried next.
    turn: usize,
    client: Client,
    backoff: Backoff,
    wire: Wire,
    started: Instant,
    buffer: Vec<u8>,
    /// How many times a connection was made.
    connections: u64,
}

#[derive(Debug)]
enum Wire {
    None,
    Connecting(Connecting),
    Open(Stream, Box<Session>),
}

impl Link {
    /// A link to one of these servers.
    pub(crate) fn new(remotes: Vec<Remote>, client: Client) -> Self {
        Self {
            remotes,
            turn: 0,
            client,
            backoff: Backoff::new(LONGEST_WAIT_MS, 0),
            wire: Wire::None,
            started: Instant::now(),
            buffer: vec![0; READ_AT_ONCE],
            connections: 0,
        }
    }

    /// The client.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// What became of transactions since the last call.
    pub(crate) fn take_results(&mut self) -> Vec<Committed> {
        self.client.take_results()
    }

    /// Whether a transaction can be sent now.
    pub(crate) fn is_free(&self) -> bool {
        self.client.is_free()
    }

    /// Sends a transaction.
    pub(crate) fn transact(&mut self, operations: Vec<Value>) {
        if let Wire::Open(_, session) = &mut self.wire {
            self.client.transact(session, operations);
        }
        self.flush();
    }

    /// Does what can be done without waiting.
    pub(crate) fn run(&mut self) {
        let now = self.now();
        match std::mem::replace(&mut self.wire, Wire::None) {
            Wire::None => {
                if self.backoff.due(now) {
                    self.begin(now);
                }
            }
            Wire::Connecting(connecting) => self.go_on(connecting, now),
            Wire::Open(stream, session) => self.wire = Wire::Open(stream, session),
        }
        if matches!(self.wire, Wire::Open(..))
            && let Err(why) = self.converse(now)
        {
            self.lose(&why, now);
        }
    }

    /// What to wake up for.
    pub(crate) fn wait(&self, wants: &mut Wants) {
        let now = self.now();
        let at = |deadline: u64, wants: &mut Wants| {
            wants.real(Duration::from_millis(deadline.saturating_sub(now)));
        };
        if let Some(deadline) = self.backoff.deadline() {
            at(deadline, wants);
        }
        match &self.wire {
            Wire::None => {}
            Wire::Connecting(connecting) => connecting.wait(wants),
            Wire::Open(stream, session) => {
                stream.wait(wants, session.wants_input(), session.output().is_some());
                if let Some(deadline) = session.deadline() {
                    at(deadline, wants);
                }
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn remote(&self) -> Option<&Remote> {
        self.remotes.get(self.turn % self.remotes.len().max(1))
    }

    fn begin(&mut self, now: u64) {
        let Some(remote) = self.remote().cloned() else { return };
        log::info!(target: "reconnect", "{remote}: connecting...");
        self.backoff.connecting(now);
        match remote.connect() {
            Ok(connecting) => self.go_on(connecting, now),
            Err(error) => self.refused(&error, now),
        }
    }

    fn go_on(&mut self, connecting: Connecting, now: u64) {
        match connecting.finish() {
            Ok(Ok(stream)) => {
                let Some(remote) = self.remote() else { return };
                log::info!(target: "reconnect", "{remote}: connected");
                let probe = if remote.is_local() { 0 } else { DEFAULT_PROBE_MS };
                self.backoff.connected(now);
                self.connections += 1;
                let mut session = Box::new(Session::new(Limits::CLIENT, probe, now));
                self.client.connected(&mut session);
                self.wire = Wire::Open(stream, session);
            }
            Ok(Err(connecting)) if !self.backoff.attempt_timed_out(now) => {
                self.wire = Wire::Connecting(connecting);
            }
            Ok(Err(_)) => self.refused(&io::ErrorKind::TimedOut.into(), now),
            Err(error) => self.refused(&error, now),
        }
    }

    fn refused(&mut self, error: &io::Error, now: u64) {
        let why = crate::errno::text(error);
        self.backoff.disconnected(now);
        if let Some(remote) = self.remote() {
            log::info!(target: "reconnect", "{remote}: connection attempt failed ({why})");
            let wait = self.backoff.wait_ms() / 1000;
            log::info!(
                target: "reconnect",
                "{remote}: waiting {wait} seconds before reconnect"
            );
        }
        self.turn = self.turn.wrapping_add(1);
    }

    fn lose(&mut self, why: &str, now: u64) {
        self.wire = Wire::None;
        self.client.disconnected();
        self.backoff.disconnected(now);
        if let Some(remote) = self.remote() {
            log::warn!(target: "reconnect", "{remote}: connection dropped ({why})");
        }
        self.turn = self.turn.wrapping_add(1);
        debug_assert_eq!(self.backoff.phase(), Phase::Waiting);
    }

    /// Reads, understands and writes until nothing more can be done.
    fn converse(&mut self, now: u64) -> Result<(), String> {
        loop {
            let Wire::Open(stream, session) = &mut self.wire else { return Ok(()) };
            let mut moved = false;
            if session.wants_input() {
                match stream.read(&mut self.buffer) {
                    Ok(0) => return Err("Connection reset by peer".to_owned()),
                    Ok(count) => {
                        session.receive(self.buffer.get(..count).unwrap_or_default(), now);
                        moved = true;
                    }
                    Err(error) if is_temporary(&error) => {}
                    Err(error) => return Err(crate::errno::text(&error)),
                }
            }
            session.tick(now).map_err(|error| error.to_string())?;
            while let Some(message) = session.next_message().map_err(|error| error.to_string())? {
                self.client.take(session, message)?;
                moved = true;
            }
            if !moved {
                break;
            }
        }
        self.flush();
        Ok(())
    }

    /// Writes what the server takes.
    fn flush(&mut self) {
        let Wire::Open(stream, session) = &mut self.wire else { return };
        // What is wrong with the connection is found by reading.
        let _ = stream.flush();
        while let Some(bytes) = session.output() {
            match stream.write(bytes) {
                Ok(0) => break,
                Ok(count) => session.wrote(count),
                // What is wrong with the connection is found by reading.
                Err(_) => break,
            }
        }
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

const LONGEST_WAIT_MS: u64 = 8_000;
const READ_AT_ONCE: usize = 64 << 10;
