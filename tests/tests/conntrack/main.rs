//! Connection tracking as its users meet it.
//!
//! * `random`: the same packets through the same flows in the installed reference and in ours;
//! * `commands`: what newer releases answer to commands, replayed against ours;
//! * `live`: hosts in namespaces with the kernel's own stack and real clients and servers on both
//!   sides of our daemon.

mod commands;
mod hosts;
mod live;
mod random;
mod transfers;
