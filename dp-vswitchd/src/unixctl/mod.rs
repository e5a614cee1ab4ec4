//! The control socket: how `ovs-appctl` asks a running switch things and tells it to do others.
//!
//! JSON-RPC 1.0 over a stream socket of the file system. A command is a word with arguments, all
//! strings; its reply is text, or, for a connection that asked for it (`set-options`), JSON.
//!
//! | room | |
//! |---|---|
//! | [`registry`] | what commands there are |
//! | [`reply`] | what they answer, at once or later |
//! | [`options`] | `set-options` |
//! | [`splitter`] → [`message`] → [`connection`] | the protocol, without I/O |
//! | [`listen`], [`server`] | the sockets, as a task of the main loop |

mod connection;
pub(crate) mod listen;
mod message;
mod options;
mod registry;
mod reply;
mod server;
mod splitter;

#[cfg(test)]
mod tests;

pub use options::Format;
pub use registry::{CommandRegistry, Request};
pub use reply::{Outcome, Reply, Responder};
pub use server::Server;
