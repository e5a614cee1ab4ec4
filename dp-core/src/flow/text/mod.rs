//! Datapath keys as text: what `ovs-appctl dpctl/dump-flows`, `dpctl/add-flow`,
//! `netdev-dummy/receive` and `ofproto/trace` read and write.
//!
//! ```text
//!   recirc_id(0),in_port(1),eth(src=…,dst=…),eth_type(0x0800),ipv4(src=10.0.0.0/255.0.0.0,frag=no)
//!   └ attribute ┘                                             └ part ┘ └ value ┘└─ mask ─┘
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`parse_flow`], [`ParsedFlow`] | reading |
//! | [`KeyText`] | printing, with or without mask |
//! | [`Misfit`] | whether what was read is complete and fits together |
//! | [`DpPorts`] | names of ports |
//! | [`scan`], [`value`] | the grammar, and values; action text uses them too |

mod error;
mod fit;
mod parse;
mod ports;
mod print;
pub mod scan;
mod table;
mod tunnel;
pub mod value;

pub use error::{Problem, TextError};
pub use fit::Misfit;
pub(crate) use parse::parse_attribute;
pub use parse::{ParsedFlow, parse_flow, parse_ufid};
pub use ports::{DpPorts, PortNumbers, PortTable, Unnamed};
pub(crate) use print::Commas;
pub use print::KeyText;
pub use table::Attrs;
pub(crate) use tunnel::{bytes, print_bytes};

#[cfg(test)]
mod tests;
