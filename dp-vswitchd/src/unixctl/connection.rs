//! One connection of the control socket, without the socket: bytes in, requests out; outcomes in,
//! bytes out.
//!
//! ```text
//!          bytes                 next_request            outcome
//!  ───▶ receive ──▶ splitter ──▶ message ──▶ (command) ──▶ finish ──▶ output ───▶
//! ```
//!
//! # Invariants
//!
//! * One request is open at a time, and none is taken before the reply to the last has left, so a
//!   peer that does not read costs one reply, and one that does not end its message costs one
//!   message.

use serde_json::Value;
use thiserror::Error;

use super::{
    Format, Outcome,
    message::{Message, MessageError},
    options, reply,
    splitter::{SplitError, Splitter},
};

/// The state of a connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    input: Splitter,
    output: Vec<u8>,
    sent: usize,
    format: Format,
    /// The id of the request that is being carried out.
    open: Option<Value>,
}

/// Why a connection is not worth keeping.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Fault {
    /// Its bytes make no message.
    #[error("received bad JSON-RPC message: {0}")]
    Split(#[from] SplitError),
    /// Its message makes no sense.
    #[error(transparent)]
    Message(#[from] MessageError),
}

impl Fault {
    /// The module that complains.
    pub(super) const fn module(&self) -> &'static str {
        match self {
            Self::Split(_) => "jsonrpc",
            Self::Message(error) => error.module(),
        }
    }
}

impl Connection {
    /// Takes bytes from the peer.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    /// The next request to carry out. The caller finishes it before he asks again.
    pub(super) fn next_request(&mut self) -> Result<Option<(String, Vec<Value>)>, Fault> {
        if !self.is_free() {
            return Ok(None);
        }
        let Some(text) = self.input.next()? else { return Ok(None) };
        let Message { id, method, params } = Message::parse(&text)?;
        self.open = Some(id);
        Ok(Some((method, params)))
    }

    /// Ends the open request.
    pub(super) fn finish(&mut self, outcome: Outcome) {
        if let Some(id) = self.open.take() {
            self.output = reply::encode(&id, self.format, outcome).into_bytes();
            self.sent = 0;
        }
    }

    /// Carries out `set-options`, which is about the connection and nothing else.
    pub(super) fn set_options(&mut self, arguments: &[String]) -> Outcome {
        self.format = options::set(self.format, arguments).map_err(|error| error.to_string())?;
        Ok(().into())
    }

    /// The form of replies.
    pub(super) const fn format(&self) -> Format {
        self.format
    }

    /// The id of the open request.
    pub(super) const fn open_request(&self) -> Option<&Value> {
        self.open.as_ref()
    }

    /// What is to be sent.
    pub(super) fn output(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    /// Notes that so many bytes of it were.
    pub(super) fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.output().is_empty() {
            // A big reply's memory is not kept for small ones.
            self.output = Vec::new();
            self.sent = 0;
        }
    }

    /// Whether nothing is being carried out or sent, so that more may be read.
    pub(super) fn is_free(&self) -> bool {
        self.open.is_none() && self.output().is_empty()
    }

    /// How many bytes of unfinished messages are held.
    pub(super) const fn held(&self) -> usize {
        self.input.held()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Connection, Format};

    const REQUEST: &[u8] = br#"{"id":1,"method":"m","params":["a"]}"#;

    #[test]
    fn the_next_request_waits_for_the_last_reply_to_leave() {
        let mut connection = Connection::default();
        connection.receive(REQUEST);
        connection.receive(REQUEST);
        assert_eq!(connection.next_request(), Ok(Some(("m".into(), vec![json!("a")]))));
        assert_eq!(connection.next_request(), Ok(None));
        connection.finish(Ok("yes".into()));
        assert_eq!(connection.next_request(), Ok(None));
        assert_eq!(connection.output(), br#"{"id":1,"result":"yes\n","error":null}"#);
        connection.sent(5);
        assert_eq!(connection.next_request(), Ok(None));
        let rest = connection.output().len();
        connection.sent(rest);
        assert!(connection.next_request().unwrap().is_some());
    }

    #[test]
    fn a_reply_without_a_request_goes_nowhere() {
        let mut connection = Connection::default();
        connection.finish(Ok("yes".into()));
        assert_eq!(connection.output(), b"");
        assert!(connection.is_free());
    }

    #[test]
    fn options_hold_for_the_connection() {
        let mut connection = Connection::default();
        assert_eq!(connection.set_options(&["--format=json".into()]), Ok(().into()));
        assert_eq!(connection.format(), Format::Json);
        assert!(connection.set_options(&["--format".into()]).is_err());
        assert_eq!(connection.format(), Format::Json);
    }
}
