//! Connection tracking as its users meet it.
//!
//! * `random`: the same packets through the same flows in the installed reference and in ours;
//! * `shapes`: the same for what random packets seldom are;
//! * `segments`: TCP scripts, played to the installed reference;
//! * `commands`: what newer releases answer to commands, replayed against ours;
//! * `skip`: what our daemon need not track;
//! * `live`, `transfers`: hosts in namespaces with the kernel's own stack and real clients and servers on both
//!   sides of our daemon.

mod commands;
mod hosts;
mod live;
mod random;
mod segments;
mod shapes;
mod skip;
mod transfers;
