//! What one message asks for.
//!
//! A request is `{"method": NAME, "params": [ARGUMENT…], "id": ANYTHING}`, all three required. The
//! words for what is wrong are those of the field, because they end up in logs that people grep.

use serde_json::{Map, Value};
use thiserror::Error;

/// A request that makes sense as such; whether there is such a command is not known yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    /// What the reply has to carry.
    pub(super) id: Value,
    /// The command.
    pub(super) method: String,
    /// Its arguments, which need not be strings here.
    pub(super) params: Vec<Value>,
}

/// Why a message is none that this side of a connection takes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum MessageError {
    /// Not JSON.
    #[error("error parsing stream: {0}")]
    Syntax(String),
    /// Not a message.
    #[error("received bad JSON-RPC message: {0}")]
    Malformed(String),
    /// A message that wants no reply.
    #[error("received unexpected notification message")]
    Notification,
    /// A reply, to nothing that was asked.
    #[error("received unexpected reply message")]
    Reply,
}

impl MessageError {
    /// The module that complains.
    pub(super) const fn module(&self) -> &'static str {
        match self {
            Self::Syntax(_) | Self::Malformed(_) => "jsonrpc",
            Self::Notification | Self::Reply => "unixctl",
        }
    }
}

impl Message {
    /// Reads a complete JSON text.
    pub(super) fn parse(text: &[u8]) -> Result<Self, MessageError> {
        let value = serde_json::from_slice(text)
            .map_err(|error| MessageError::Syntax(error.to_string()))?;
        let Value::Object(mut members) = value else {
            return Err(MessageError::Malformed("message is not a JSON object".into()));
        };
        let member = |members: &mut Map<String, Value>, name| {
            members.remove(name).filter(|value| !value.is_null())
        };
        let id = member(&mut members, "id");
        let method = member(&mut members, "method");
        let params = member(&mut members, "params");
        let result = member(&mut members, "result");
        let error = member(&mut members, "error");
        if let Some(name) = members.keys().next() {
            let complaint = format!("message has unexpected member \"{name}\"");
            return Err(MessageError::Malformed(complaint));
        }
        if method.is_none() && (result.is_some() || error.is_some()) {
            return Err(MessageError::Reply);
        }
        let complain = |complaint: &str| Err(MessageError::Malformed(complaint.to_owned()));
        let method = match method {
            Some(Value::String(method)) => method,
            Some(_) => return complain("method is not a JSON string"),
            None => return complain("request must have \"method\""),
        };
        let params = match params {
            Some(Value::Array(params)) => params,
            Some(_) => return complain("\"params\" must be JSON array"),
            None => return complain("request must have \"params\""),
        };
        if result.is_some() || error.is_some() {
            let name = if result.is_some() { "result" } else { "error" };
            return complain(&format!("request must not have \"{name}\""));
        }
        // A command is a line of an operator: what no command line can hold has no meaning here.
        let nul = |text: &str| text.contains('\0');
        if nul(&method) || params.iter().any(|param| param.as_str().is_some_and(nul)) {
            let complaint = "null bytes not supported in quoted strings".into();
            return Err(MessageError::Syntax(complaint));
        }
        Ok(Self { id: id.ok_or(MessageError::Notification)?, method, params })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Message;

    #[test]
    fn a_request_has_a_method_parameters_and_an_id_of_any_kind() {
        for id in [json!(0), json!("x"), json!({"a": [1, null, 1.5]}), json!(false)] {
            let text = json!({"method": "m", "params": ["a", 1], "id": id}).to_string();
            let message = Message::parse(text.as_bytes()).unwrap();
            assert_eq!(message.id, id);
            assert_eq!(message.method, "m");
            assert_eq!(message.params, [Value::from("a"), Value::from(1)]);
        }
    }

    #[test]
    fn complaints_are_those_of_the_reference() {
        for (text, complaint) in [
            (
                r#"{"id":0,"method":"m"}"#,
                r#"received bad JSON-RPC message: request must have "params""#,
            ),
            (
                r#"{"id":0,"params":[]}"#,
                r#"received bad JSON-RPC message: request must have "method""#,
            ),
            (
                r#"{"id":0,"method":"m","params":{}}"#,
                r#"received bad JSON-RPC message: "params" must be JSON array"#,
            ),
            (
                r#"{"id":0,"method":"m","params":[],"extra":1}"#,
                r#"received bad JSON-RPC message: message has unexpected member "extra""#,
            ),
            (
                r#"{"id":0,"method":5,"params":[]}"#,
                "received bad JSON-RPC message: method is not a JSON string",
            ),
            (
                r#"{"id":0,"method":"m","params":[],"error":1}"#,
                r#"received bad JSON-RPC message: request must not have "error""#,
            ),
            (r#"{"method":"m","params":[]}"#, "received unexpected notification message"),
            (r#"{"id":null,"method":"m","params":[]}"#, "received unexpected notification message"),
            (r#"{"id":0,"result":"x","error":null}"#, "received unexpected reply message"),
            (
                r#"{"id":0,"method":"a\u0000b","params":[]}"#,
                "error parsing stream: null bytes not supported in quoted strings",
            ),
        ] {
            let found = Message::parse(text.as_bytes()).map_err(|error| error.to_string());
            assert_eq!(found, Err(complaint.to_owned()), "{text}");
        }
        for text in [r#"{"id":0,,}"#, "{\"id\":\"\u{7f}", r#"{"a":"\ud800"}"#] {
            let found = Message::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(found.starts_with("error parsing stream: "), "{found}");
        }
        assert!(Message::parse(b"{\"id\":0,\"method\":\"\xff\",\"params\":[]}").is_err());
    }
}
