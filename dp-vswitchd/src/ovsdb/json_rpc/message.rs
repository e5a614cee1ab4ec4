//! One JSON-RPC message and its JSON form.

use serde_json::{Map, Value};
use thiserror::Error;

/// A message in either direction.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Asks for something.
    Request {
        /// What is asked for.
        method: String,
        /// The arguments.
        params: Vec<Value>,
        /// What the reply will carry; not null.
        id: Value,
    },
    /// Tells something; there is no reply.
    Notification {
        /// What is told.
        method: String,
        /// The arguments.
        params: Vec<Value>,
    },
    /// The result of a request.
    Reply {
        /// The result.
        result: Value,
        /// The request's id.
        id: Value,
    },
    /// The failure of a request.
    Error {
        /// What went wrong; not null.
        error: Value,
        /// The request's id.
        id: Value,
    },
}

/// Why a JSON document is not a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Not an object.
    #[error("message is not a JSON object")]
    NotAnObject,
    /// A method that is no string.
    #[error("method is not a JSON string")]
    Method,
    /// Parameters that are no array.
    #[error("\"params\" must be JSON array")]
    Params,
    /// A member that every such message has.
    #[error("{kind} must have \"{member}\"")]
    Missing {
        /// What the message would be.
        kind: &'static str,
        /// What it lacks.
        member: &'static str,
    },
    /// A member that no such message has.
    #[error("message has unexpected member \"{0}\"")]
    Unexpected(String),
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// When the document has the form of none.
    pub fn from_json(json: Value) -> Result<Self, Malformed> {
        let Value::Object(mut object) = json else { return Err(Malformed::NotAnObject) };
        let mut take = |name: &str| object.remove(name).filter(|value| !value.is_null());
        let (method, params, id) = (take("method"), take("params"), take("id"));
        let error = take("error");
        let result = object.remove("result");
        if let Some((name, _)) = object.into_iter().find(|(name, _)| !MEMBERS.contains(&&**name)) {
            return Err(Malformed::Unexpected(name));
        }
        if let Some(method) = method {
            let Value::String(method) = method else { return Err(Malformed::Method) };
            let kind = if id.is_some() { "request" } else { "notification" };
            let params = match params {
                Some(Value::Array(params)) => params,
                Some(_) => return Err(Malformed::Params),
                None => return Err(Malformed::Missing { kind, member: "params" }),
            };
            if error.is_some() {
                return Err(Malformed::Unexpected("error".into()));
            }
            if result.is_some_and(|result| !result.is_null()) {
                return Err(Malformed::Unexpected("result".into()));
            }
            return Ok(match id {
                Some(id) => Self::Request { method, params, id },
                None => Self::Notification { method, params },
            });
        }
        let kind = if error.is_some() { "error" } else { "reply" };
        if params.is_some() {
            return Err(Malformed::Unexpected("params".into()));
        }
        let id = id.ok_or(Malformed::Missing { kind, member: "id" })?;
        match (error, result) {
            (Some(error), _) => Ok(Self::Error { error, id }),
            (None, Some(result)) => Ok(Self::Reply { result, id }),
            (None, None) => Err(Malformed::Missing { kind, member: "result" }),
        }
    }

    /// The JSON form.
    pub fn into_json(self) -> Value {
        let mut out = Map::new();
        let mut put = |name: &str, value| out.insert(name.to_owned(), value);
        match self {
            Self::Request { method, params, id } => {
                put("method", method.into());
                put("params", params.into());
                put("id", id);
            }
            Self::Notification { method, params } => {
                put("method", method.into());
                put("params", params.into());
                put("id", Value::Null);
            }
            Self::Reply { result, id } => {
                put("result", result);
                put("error", Value::Null);
                put("id", id);
            }
            Self::Error { error, id } => {
                put("result", Value::Null);
                put("error", error);
                put("id", id);
            }
        }
        Value::Object(out)
    }

    /// The bytes on the wire.
    pub fn encode(self) -> Vec<u8> {
        self.into_json().to_string().into_bytes()
    }
}

const MEMBERS: [&str; 5] = ["method", "params", "id", "error", "result"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Malformed, Message};

    #[test]
    fn the_four_forms_are_told_apart() {
        let read = |json| Message::from_json(json).unwrap();
        let echo = || "echo".to_owned();
        assert_eq!(
            read(json!({"method": "echo", "params": [1], "id": {"a": 1}})),
            Message::Request { method: echo(), params: vec![json!(1)], id: json!({"a": 1}) }
        );
        let told = Message::Notification { method: echo(), params: vec![] };
        assert_eq!(read(json!({"method": "echo", "params": [], "id": null})), told);
        assert_eq!(read(json!({"method": "echo", "params": []})), told);
        let reply = |result| Message::Reply { result, id: json!(3) };
        assert_eq!(read(json!({"result": {}, "error": null, "id": 3})), reply(json!({})));
        assert_eq!(read(json!({"result": null, "error": null, "id": 3})), reply(json!(null)));
        let failed = Message::Error { error: json!("no"), id: json!(3) };
        assert_eq!(read(json!({"result": null, "error": "no", "id": 3})), failed);
        assert_eq!(read(json!({"error": "no", "id": 3})), failed);
        for message in [told, reply(json!([1])), failed] {
            assert_eq!(read(message.clone().into_json()), message);
        }
    }

    #[test]
    fn what_has_no_form_is_named() {
        let refuse = |json| Message::from_json(json).unwrap_err();
        assert_eq!(refuse(json!([1])), Malformed::NotAnObject);
        assert_eq!(refuse(json!({"method": 1, "params": [], "id": 1})), Malformed::Method);
        assert_eq!(refuse(json!({"method": "m", "params": {}, "id": 1})), Malformed::Params);
        assert_eq!(
            refuse(json!({"method": "m", "id": 1})).to_string(),
            "request must have \"params\""
        );
        assert_eq!(refuse(json!({"result": 1})).to_string(), "reply must have \"id\"");
        assert_eq!(refuse(json!({})).to_string(), "reply must have \"id\"");
        assert_eq!(
            refuse(json!({"method": "m", "params": [], "id": 1, "zz": 1})),
            Malformed::Unexpected("zz".into())
        );
    }
}
