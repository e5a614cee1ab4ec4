//! The pure core of the dp virtual switch datapath: packets, flow keys, caches, actions, pipeline.
//!
//! No I/O, no threads, no clock of its own, no allocation or logging per packet: bytes and values
//! in, bytes and values out. Levels import only levels below them:
//!
//! ```text
//!   pipeline
//!   execute
//!   boundary
//!   lookup   conntrack   meter   bond   route
//!   action
//!   flow     offload
//!   wire   packet
//!   base
//!   sync
//! ```

pub mod action;
pub mod base;
pub mod bond;
pub mod boundary;
pub mod conntrack;
pub mod execute;
pub mod flow;
pub mod lookup;
pub mod meter;
pub mod offload;
pub mod packet;
pub mod pipeline;
pub mod route;
pub mod sync;
pub mod tunnel;
pub mod wire;
