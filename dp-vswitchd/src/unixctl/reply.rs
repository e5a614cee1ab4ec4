//! What a command answers, at once or later.

use std::{fmt, sync::mpsc::Sender};

use serde_json::{Value, json};

use super::Format;
use crate::event_loop::Waker;

/// What a command has to say when it succeeds.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Text, as an operator reads it.
    Text(String),
    /// A value, for those who asked for JSON and got it from a command that has it.
    Json(Value),
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Reply {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<()> for Reply {
    fn from((): ()) -> Self {
        Self::Text(String::new())
    }
}

/// A command's end: what it has to say, or why it failed.
pub type Outcome = Result<Reply, String>;

/// The message that carries an outcome to the connection whose request had this id.
pub(super) fn encode(id: &Value, format: Format, outcome: Outcome) -> String {
    match (outcome, format) {
        (Ok(Reply::Text(text)), Format::Text) => {
            format!("{{\"id\":{id},\"result\":{},\"error\":null}}", Value::from(line(text)))
        }
        (Ok(Reply::Text(text)), Format::Json) => {
            let wrapped = json!({ "reply-format": "plain", "reply": text });
            format!("{{\"id\":{id},\"result\":{wrapped},\"error\":null}}")
        }
        (Ok(Reply::Json(value)), _) => {
            format!("{{\"id\":{id},\"result\":{value},\"error\":null}}")
        }
        (Err(error), Format::Text) => {
            format!("{{\"id\":{id},\"error\":{}}}", Value::from(line(error)))
        }
        (Err(error), Format::Json) => format!("{{\"id\":{id},\"error\":{}}}", Value::from(error)),
    }
}

/// The text with a line's end: older tools print it as it comes, newer ones add what is missing.
fn line(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// The duty to answer one request, from any thread. Dropping it answers too, with an error, so that
/// no tool waits for ever.
pub struct Responder {
    connection: u64,
    answers: Sender<Answer>,
    waker: Waker,
    done: bool,
}

/// An answer on its way to its connection.
pub(super) type Answer = (u64, Outcome);

impl Responder {
    pub(super) const fn new(connection: u64, answers: Sender<Answer>, waker: Waker) -> Self {
        Self { connection, answers, waker, done: false }
    }

    /// Answers.
    pub fn answer<R: Into<Reply>>(mut self, outcome: Result<R, String>) {
        self.send(outcome.map(Into::into));
    }

    fn send(&mut self, outcome: Outcome) {
        self.done = true;
        // If the server is gone, so is whoever waits.
        let _ = self.answers.send((self.connection, outcome));
        self.waker.wake();
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.done {
            self.send(Err("the command was given up".to_owned()));
        }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("connection", &self.connection).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Format, Reply, encode};

    #[test]
    fn replies_are_written_as_the_reference_writes_them() {
        let id = json!({"a": [1, null]});
        for (format, outcome, wanted) in [
            (Format::Text, Ok("x".into()), r#"{"id":{"a":[1,null]},"result":"x\n","error":null}"#),
            (Format::Text, Ok(().into()), r#"{"id":{"a":[1,null]},"result":"","error":null}"#),
            (Format::Text, Err("no".to_owned()), r#"{"id":{"a":[1,null]},"error":"no\n"}"#),
            (
                Format::Json,
                Ok("x\n".into()),
                r#"{"id":{"a":[1,null]},"result":{"reply-format":"plain","reply":"x\n"},"error":null}"#,
            ),
            (
                Format::Json,
                Ok(Reply::Json(json!([1]))),
                r#"{"id":{"a":[1,null]},"result":[1],"error":null}"#,
            ),
            (Format::Json, Err("no".to_owned()), r#"{"id":{"a":[1,null]},"error":"no"}"#),
        ] {
            let found = encode(&id, format, outcome);
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(value(&found), value(wanted));
            assert_eq!(found.starts_with(r#"{"id""#), wanted.starts_with(r#"{"id""#));
        }
    }
}
