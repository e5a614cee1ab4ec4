//! Tunnels in the datapath: headers put in front of packets and taken off again.
//!
//! ```text
//!   translation ── Template ──► TunnelPush { header }          once a flow
//!   push:  header copied into the headroom; lengths, checksums, source port, sequence filled in
//!   pop:   outer headers checked and cut off; what they said becomes the packet's tunnel metadata,
//!          which the next pass finds in the key
//! ```
//!
//! Nothing of the packet itself is copied or moved: both work on the headroom. What a tunnel port of
//! the datapath is (its kind, how it takes reserved bits, its sequence numbers) stands in [`Ends`].
//!
//! | room | what |
//! |---|---|
//! | [`Ends`], [`End`] | the datapath's tunnel ports |
//! | [`Template`] | the headers of a flow, as bytes |
//! | [`push()`] | into a tunnel |
//! | [`pop()`] | out of one |
//!
//! # Bounds
//!
//! A tunnel that leads into itself passes the pipeline again with each layer; the limit of passes
//! ends that, under [`DropReason::RecircLimit`](crate::base::DropReason::RecircLimit). The size
//! of a buffer ends what is put in without passing, under
//! [`DropReason::TunnelPushError`](crate::base::DropReason::TunnelPushError).

mod ends;
mod outer;
mod pop;
mod push;
mod template;

pub use ends::{End, Ends, Flavour};
pub use pop::pop;
pub use push::push;
pub use template::{Body, BuildError, Erspan, FlowLabel, Template};

#[cfg(test)]
mod tests;
