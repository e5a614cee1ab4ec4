//! What each fuzz target does with its input.
//!
//! The bodies live here and not in the libFuzzer programs (`targets/*.rs`, one line each), so that
//! the tests replay the corpus on the stable compiler: an input that once crashed lies in
//! `corpus/TARGET` and is tried by every `cargo test` from then on.
//!
//! To add a target: a function here with its row in [`TARGETS`], a file `targets/NAME.rs`, its
//! `[[bin]]` in `Cargo.toml`, and at least one input in `corpus/NAME`.

mod actions;
mod bytes;
mod conntrack;
mod datapath_text;
mod frame;
mod lldp;
mod meters;
mod openflow;
mod protocols;
mod tables;
mod text;
mod tunnel;
mod wire;

pub use actions::action_execution;
pub use conntrack::{ct_announcements, ct_errors, ct_fragments, ct_sequence};
pub use datapath_text::{datapath_action_text, datapath_key_text};
pub use frame::flow_extract;
pub use lldp::lldp;
pub use meters::meter;
pub use openflow::openflow_messages;
pub use protocols::{bfd_packets, bridge_units, cfm_messages, lacp_units, multicast_messages};
pub use tables::flow_masks;
pub use text::{mac_text, openflow_text};
pub use tunnel::tunnel;
pub use wire::wire_headers;

/// What a target does with one input; it panics when something is wrong.
pub type Body = fn(&[u8]);

/// Name and body of every target.
pub const TARGETS: &[(&str, Body)] = &[
    ("action_execution", action_execution),
    ("bfd_packets", bfd_packets),
    ("bridge_units", bridge_units),
    ("cfm_messages", cfm_messages),
    ("ct_announcements", ct_announcements),
    ("ct_errors", ct_errors),
    ("ct_fragments", ct_fragments),
    ("ct_sequence", ct_sequence),
    ("datapath_action_text", datapath_action_text),
    ("datapath_key_text", datapath_key_text),
    ("flow_extract", flow_extract),
    ("flow_masks", flow_masks),
    ("lacp_units", lacp_units),
    ("lldp", lldp),
    ("mac_text", mac_text),
    ("meter", meter),
    ("multicast_messages", multicast_messages),
    ("openflow_messages", openflow_messages),
    ("openflow_text", openflow_text),
    ("tunnel", tunnel),
    ("wire_headers", wire_headers),
];
