//! Where the packet threads and the slow path meet: plain data and two traits.
//!
//! ```text
//!     packet thread (dp-netdev)                      slow path (dp-ofproto)
//!        │  miss ── UpcallSink::upcall ──────────────►  translate
//!        │  ◄──────────────── Verdict { actions, mask, install }
//!        │  Datapath::flow_dump / flow_put / flow_del / execute ◄── revalidate, control
//! ```
//!
//! Neither side knows the other's types; a custom switch wires any two implementations together.

mod datapath;
mod upcall;

pub use datapath::{
    Datapath, DatapathError, FlowDump, FlowPut, FlowStats, FlowStatsSnapshot, PortInfo, PortStats,
    PutMode,
};
pub use upcall::{Upcall, UpcallError, UpcallSink, Verdict};
