//! One connection: what came, what is to go, and whether the peer is still there.
//!
//! A session takes bytes and gives messages, takes messages and gives bytes. It answers `echo` by
//! itself and sends its own when the peer has been silent for the probe interval; silence for
//! another interval means that nobody is there.
//!
//! # Invariants
//! * Unread input is bounded: the owner offers no bytes while [`Session::wants_input`] is false,
//!   which is so as long as unread bytes are left or the peer does not take what was written.
//! * What is written is not lost and not cut: [`Session::output`] gives whole messages in order.

use std::collections::VecDeque;

use serde_json::Value;
use thiserror::Error;

use super::message::{Malformed, Message};
use super::parser::{Limits, ParseError, Parser};

/// One connection's state.
#[derive(Debug)]
pub struct Session {
    parser: Parser,
    inbox: Vec<u8>,
    /// How much of `inbox` has been read.
    taken: usize,
    outbox: VecDeque<Vec<u8>>,
    /// How much of the first message of `outbox` has gone.
    gone: usize,
    backlog: usize,
    probe_ms: u64,
    last_activity_ms: u64,
    probing: bool,
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// What the peer sent is not JSON within bounds.
    #[error("error parsing stream: {0}")]
    Parse(#[from] ParseError),
    /// What the peer sent is not JSON-RPC.
    #[error("received bad JSON-RPC message: {0}")]
    Malformed(#[from] Malformed),
    /// The peer does not answer.
    #[error("no response to inactivity probe after {0} seconds, disconnecting")]
    Silent(u64),
}

impl Session {
    /// A connection that has just been made.
    ///
    /// `probe_ms` is the time of silence before a probe; 0 for none.
    pub fn new(limits: Limits, probe_ms: u64, now_ms: u64) -> Self {
        Self {
            parser: Parser::new(limits),
            inbox: Vec::new(),
            taken: 0,
            outbox: VecDeque::new(),
            gone: 0,
            backlog: 0,
            probe_ms: normalize_probe(probe_ms),
            last_activity_ms: now_ms,
            probing: false,
        }
    }

    /// Sets the time of silence before a probe; 0 for none.
    pub fn set_probe(&mut self, probe_ms: u64) {
        self.probe_ms = normalize_probe(probe_ms);
    }

    /// True when the owner may read more from the peer.
    pub fn wants_input(&self) -> bool {
        self.inbox.is_empty() && self.backlog < BACKLOG_LIMIT
    }

    /// Takes bytes that came.
    pub fn receive(&mut self, bytes: &[u8], now_ms: u64) {
        self.last_activity_ms = now_ms;
        self.probing = false;
        self.inbox.extend_from_slice(bytes);
    }

    /// The next message from the peer; none when more bytes are needed, or while the peer does not
    /// take what was written for it.
    ///
    /// # Errors
    /// When the stream has no meaning; the connection is to be closed.
    pub fn next_message(&mut self) -> Result<Option<Message>, Failure> {
        while self.backlog < BACKLOG_LIMIT {
            let unread = self.inbox.get(self.taken..).unwrap_or_default();
            let mut rest = unread;
            let parsed = self.parser.feed(&mut rest);
            self.taken += unread.len() - rest.len();
            if rest.is_empty() {
                self.inbox.clear();
                self.taken = 0;
            }
            let Some(json) = parsed? else { return Ok(None) };
            match Message::from_json(json)? {
                Message::Request { method, params, id } if method == "echo" => {
                    self.send(Message::Reply { result: Value::Array(params), id });
                }
                Message::Reply { id, .. } | Message::Error { id, .. } if id == PROBE_ID => {}
                message => return Ok(Some(message)),
            }
        }
        Ok(None)
    }

    /// Queues a message for the peer.
    pub fn send(&mut self, message: Message) {
        let bytes = message.encode();
        self.backlog += bytes.len();
        self.outbox.push_back(bytes);
    }

    /// Bytes to be written, if any.
    pub fn output(&self) -> Option<&[u8]> {
        self.outbox.front()?.get(self.gone..)
    }

    /// Notes that the first `count` bytes of [`Session::output`] have been written.
    pub fn wrote(&mut self, count: usize) {
        self.backlog = self.backlog.saturating_sub(count);
        self.gone += count;
        if self.outbox.front().is_some_and(|message| self.gone >= message.len()) {
            self.outbox.pop_front();
            self.gone = 0;
        }
    }

    /// How many bytes wait to be written.
    pub fn backlog(&self) -> usize {
        self.backlog
    }

    /// Probes the peer when it is time.
    ///
    /// # Errors
    /// When a probe went unanswered; the connection is to be closed.
    pub fn tick(&mut self, now_ms: u64) -> Result<(), Failure> {
        if self.deadline().is_none_or(|deadline| now_ms < deadline) {
            return Ok(());
        }
        if self.probing {
            return Err(Failure::Silent(self.probe_ms / 1000));
        }
        self.probing = true;
        self.last_activity_ms = now_ms;
        let method = "echo".to_owned();
        self.send(Message::Request { method, params: Vec::new(), id: PROBE_ID.into() });
        Ok(())
    }

    /// Whether a probe waits for its answer.
    pub fn is_probing(&self) -> bool {
        self.probing
    }

    /// When [`Session::tick`] has something to do.
    pub fn deadline(&self) -> Option<u64> {
        (self.probe_ms > 0).then(|| self.last_activity_ms + self.probe_ms)
    }
}

/// Probes more often than once a second would be a load of their own.
fn normalize_probe(probe_ms: u64) -> u64 {
    if probe_ms == 0 { 0 } else { probe_ms.max(1000) }
}

/// Bytes written but not taken by the peer, above which its requests are no longer read.
const BACKLOG_LIMIT: usize = 4 << 20;
/// The id of probes, on either side.
const PROBE_ID: &str = "echo";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{BACKLOG_LIMIT, Failure, Session};
    use crate::ovsdb::json_rpc::{Limits, Message};

    fn session(probe_ms: u64) -> Session {
        Session::new(Limits::SERVER, probe_ms, 0)
    }

    /// Everything that waits to be written, as JSON.
    fn written(session: &mut Session) -> Vec<Value> {
        let mut out = Vec::new();
        while let Some(bytes) = session.output().map(<[u8]>::to_vec) {
            session.wrote(bytes.len());
            out.push(serde_json::from_slice(&bytes).unwrap());
        }
        assert_eq!(session.backlog(), 0);
        out
    }

    #[test]
    fn echo_is_answered_without_the_owner() {
        let mut session = session(0);
        session.receive(br#"{"method":"echo","params":["x"],"id":7}{"method":"m","params":[]}"#, 0);
        let message = session.next_message().unwrap();
        assert_eq!(message, Some(Message::Notification { method: "m".into(), params: vec![] }));
        assert_eq!(written(&mut session), [json!({"result": ["x"], "error": null, "id": 7})]);
    }

    #[test]
    fn silence_is_probed_once_and_then_the_end() {
        let mut session = session(5000);
        assert_eq!(session.deadline(), Some(5000));
        session.tick(4999).unwrap();
        assert!(session.output().is_none());
        session.tick(5000).unwrap();
        assert_eq!(written(&mut session), [json!({"method": "echo", "params": [], "id": "echo"})]);
        session.receive(br#"{"result":[],"error":null,"id":"echo"}"#, 9000);
        assert_eq!(session.next_message(), Ok(None));
        session.tick(13_999).unwrap();
        session.tick(14_000).unwrap();
        assert_eq!(session.tick(19_000), Err(Failure::Silent(5)));
    }

    #[test]
    fn without_a_probe_silence_is_fine() {
        let mut session = session(0);
        assert_eq!(session.deadline(), None);
        session.tick(u64::MAX).unwrap();
        assert!(session.output().is_none());
    }

    #[test]
    fn a_peer_that_does_not_read_is_not_read() {
        let mut session = session(0);
        let echo = json!({"method": "echo", "params": ["x".repeat(1000)], "id": 7}).to_string();
        session.receive(&echo.as_bytes().repeat(8000), 0);
        assert_eq!(session.next_message(), Ok(None));
        assert!(session.backlog() < BACKLOG_LIMIT + 2000, "{}", session.backlog());
        assert!(!session.wants_input());
        let mut answers = written(&mut session).len();
        // Once it reads, the rest is answered.
        while answers < 8000 {
            assert_eq!(session.next_message(), Ok(None));
            answers += written(&mut session).len();
        }
        assert!(session.wants_input());
    }

    #[test]
    fn partial_writes_do_not_lose_their_place() {
        let mut session = session(0);
        session.send(Message::Reply { result: json!("abc"), id: json!(1) });
        let whole = session.output().unwrap().to_vec();
        session.wrote(5);
        assert_eq!(session.output().unwrap(), &whole[5..]);
        session.wrote(whole.len() - 5);
        assert!(session.output().is_none());
    }
}
