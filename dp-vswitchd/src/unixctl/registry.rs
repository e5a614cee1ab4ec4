//! The commands of the control socket.
//!
//! Each part of the switch registers its own, with a line of usage and how many arguments it takes:
//!
//! ```
//! # use dp_vswitchd::unixctl::CommandRegistry;
//! let mut commands = CommandRegistry::new();
//! commands.register("fdb/show", "bridge", 1, 1, |request| {
//!     let bridge = request.argument(0);
//!     Err::<String, _>(format!("no such bridge: {bridge}"))
//! });
//! ```
//!
//! A handler that needs state of the switch owns a handle to it. All run in the main loop's thread;
//! one that has to wait for something registers with
//! [`register_deferred`](CommandRegistry::register_deferred) and answers when it is there.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};

use super::{Format, Outcome, Reply, Responder};

/// A command as an operator gave it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    arguments: &'a [String],
    format: Format,
}

impl<'a> Request<'a> {
    pub(super) const fn new(arguments: &'a [String], format: Format) -> Self {
        Self { arguments, format }
    }

    /// The words after the command.
    #[must_use]
    pub const fn arguments(&self) -> &'a [String] {
        self.arguments
    }

    /// One of them, from 0; empty if there are fewer, which a command whose least number of
    /// arguments says otherwise never sees.
    #[must_use]
    pub fn argument(&self, place: usize) -> &'a str {
        self.arguments.get(place).map_or("", String::as_str)
    }

    /// In which form the operator wants the reply. A command may ignore it; text is wrapped.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }
}

/// The commands, by name.
#[derive(Debug)]
pub struct CommandRegistry {
    commands: BTreeMap<String, Command>,
}

struct Command {
    usage: String,
    /// `list-commands` does not show it.
    hidden: bool,
    least: usize,
    most: usize,
    handler: Handler,
}

type Direct = dyn FnMut(&Request<'_>) -> Outcome;
type Deferred = dyn FnMut(&Request<'_>, Responder);

enum Handler {
    Direct(Box<Direct>),
    Deferred(Box<Deferred>),
    /// `list-commands`, which nobody but the registry can answer.
    List,
    /// `set-options`, which is about the connection.
    Options,
}

/// What became of a command.
#[derive(Debug)]
pub(super) enum Dispatched {
    /// It has ended.
    Done(Outcome),
    /// It will answer through its responder.
    Later,
    /// It sets these options of its connection.
    Options(Vec<String>),
}

impl CommandRegistry {
    /// A registry with the two commands that are about the socket itself.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Self { commands: BTreeMap::new() };
        registry.insert("list-commands", "", 0, 0, Handler::List);
        registry.insert("set-options", "[--format text|json]", 1, 2, Handler::Options);
        registry
    }

    /// Adds a command that answers at once. `usage` names its arguments, of which it takes at
    /// least `least` and at most `most`. A command of that name is replaced.
    pub fn register<R, E, F>(
        &mut self,
        name: &str,
        usage: &str,
        least: usize,
        most: usize,
        mut handler: F,
    ) where
        R: Into<Reply>,
        E: fmt::Display,
        F: FnMut(&Request<'_>) -> Result<R, E> + 'static,
    {
        let handler = move |request: &Request<'_>| {
            handler(request).map(Into::into).map_err(|error| error.to_string())
        };
        self.insert(name, usage, least, most, Handler::Direct(Box::new(handler)));
    }

    /// Adds a command that may answer later, from any thread.
    pub fn register_deferred<F>(
        &mut self,
        name: &str,
        usage: &str,
        least: usize,
        most: usize,
        handler: F,
    ) where
        F: FnMut(&Request<'_>, Responder) + 'static,
    {
        self.insert(name, usage, least, most, Handler::Deferred(Box::new(handler)));
    }

    /// Adds a command that is not listed: a former name of one that is registered already, for scripts
    /// that know no other, or one that only tests have a use for.
    pub fn register_hidden<R, E, F>(
        &mut self,
        name: &str,
        usage: &str,
        least: usize,
        most: usize,
        handler: F,
    ) where
        R: Into<Reply>,
        E: fmt::Display,
        F: FnMut(&Request<'_>) -> Result<R, E> + 'static,
    {
        self.register(name, usage, least, most, handler);
        if let Some(command) = self.commands.get_mut(name) {
            command.hidden = true;
        }
    }

    /// The names of all commands, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.commands.keys().map(String::as_str)
    }

    /// All commands with their usage, sorted by name.
    pub fn usages(&self) -> impl Iterator<Item = (&str, &str)> {
        self.commands.iter().map(|(name, command)| (name.as_str(), command.usage.as_str()))
    }

    /// Carries out a command.
    pub(super) fn dispatch(
        &mut self,
        name: &str,
        params: Vec<Value>,
        format: Format,
        responder: impl FnOnce() -> Responder,
    ) -> Dispatched {
        let fail = |error| Dispatched::Done(Err(error));
        let Some(command) = self.commands.get_mut(name) else {
            return fail(format!(
                "\"{name}\" is not a valid command (use \"list-commands\" to see a list of valid \
                 commands)"
            ));
        };
        if let Err(error) = command.count(name, params.len()) {
            return fail(error);
        }
        let Some(arguments) = strings(params) else {
            return fail(format!("\"{name}\" command has non-string argument"));
        };
        let request = Request::new(&arguments, format);
        match &mut command.handler {
            Handler::Direct(handler) => Dispatched::Done(handler(&request)),
            Handler::Deferred(handler) => {
                handler(&request, responder());
                Dispatched::Later
            }
            Handler::List => Dispatched::Done(Ok(self.list(format))),
            Handler::Options => Dispatched::Options(arguments),
        }
    }

    fn insert(&mut self, name: &str, usage: &str, least: usize, most: usize, handler: Handler) {
        let command = Command { usage: usage.to_owned(), hidden: false, least, most, handler };
        self.commands.insert(name.to_owned(), command);
    }

    fn list(&self, format: Format) -> Reply {
        let commands = self.commands.iter().filter(|(_, it)| !it.hidden);
        match format {
            Format::Json => Reply::Json(Value::Object(
                commands
                    .map(|(name, it)| (name.clone(), Value::from(it.usage.as_str())))
                    .collect::<Map<_, _>>(),
            )),
            Format::Text => {
                let lines = commands.map(|(name, it)| format!("  {name:<23} {}\n", it.usage));
                Reply::Text("The available commands are:\n".to_owned() + &lines.collect::<String>())
            }
        }
    }
}

impl Default for CommandRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl Command {
    fn count(&self, name: &str, given: usize) -> Result<(), String> {
        if given < self.least {
            Err(format!("\"{name}\" command requires at least {} arguments", self.least))
        } else if given > self.most {
            Err(format!("\"{name}\" command takes at most {} arguments", self.most))
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("usage", &self.usage)
            .field("arguments", &(self.least..=self.most))
            .finish_non_exhaustive()
    }
}

fn strings(params: Vec<Value>) -> Option<Vec<String>> {
    params
        .into_iter()
        .map(|param| match param {
            Value::String(text) => Some(text),
            _ => None,
        })
        .collect()
}
