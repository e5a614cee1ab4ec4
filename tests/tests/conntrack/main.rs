//! Connection tracking as its users meet it.
//!
//! * `random`: the same packets through the same flows in the installed reference and in ours;
//! * `mixed`: the same for flows drawn at random, each run other ones;
//! * `ranges`: hosts that share addresses and ports, beside the newer reference;
//! * `shapes`, `announced`: the same for what random packets seldom are;
//! * `segments`: TCP scripts, played to the installed reference;
//! * `commands`: what newer releases answer to commands, replayed against ours;
//! * `skip`: what our daemon need not track;
//! * `live`, `flood`, `transfers`: hosts in namespaces with the kernel's own stack and real clients and servers on both
//!   sides of our daemon.

mod announced;
mod commands;
mod flood;
mod hosts;
mod live;
mod mixed;
mod random;
mod ranges;
mod segments;
mod shapes;
mod skip;
mod transfers;
