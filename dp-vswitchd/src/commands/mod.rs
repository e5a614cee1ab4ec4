//! The commands of the control socket, one family a room.
//!
//! A room exposes `register(&mut CommandRegistry, &Arc<Switch>)` and is named in [`register_all`].
//! Its handlers own a clone of the [`Switch`] and find there what they are about: bridges by name
//! ([`Switch::bridge`]), datapaths ([`Switch::datapath`]), the clock ([`Switch::now`]). What a command
//! prints is made where the data is, in the libraries; a room here reads arguments and puts texts
//! together.
//!
//! Commands run in the main loop's thread, between turns of the switch: whoever changes something
//! that packets depend on lets [`Datapath::drive`](crate::switch::Datapath::drive) follow, or leaves
//! it to the turn that comes next.

mod autoattach;
mod bond;
mod bridge;
mod conntrack;
pub(crate) mod coverage;
pub(crate) mod daemon;
mod dpctl;
mod dpctl_flow;
mod dpctl_normalize;
mod dpdk;
mod dpif;
mod dummy;
mod fdb;
mod features;
mod ofproto;
mod pmd;
mod qos;
mod route;
mod time;
mod trees;
mod tunnel;
mod upcall;
mod vlog;
mod watch;

use std::sync::Arc;

use crate::switch::Switch;
use crate::unixctl::CommandRegistry;

/// Registers all commands.
pub(crate) fn register_all(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    autoattach::register(registry, switch);
    bond::register(registry, switch);
    bridge::register(registry, switch);
    qos::register(registry, switch);
    conntrack::register(registry, switch);
    coverage::register(registry, switch);
    daemon::register(registry, switch);
    dpctl::register(registry, switch);
    dpctl_flow::register(registry, switch);
    dpctl_normalize::register(registry, switch);
    dpdk::register(registry, switch);
    dpif::register(registry, switch);
    dummy::register(registry, switch);
    fdb::register(registry, switch);
    features::register(registry, switch);
    pmd::register(registry, switch);
    route::register(registry, switch);
    ofproto::register(registry, switch);
    time::register(registry, switch);
    trees::register(registry, switch);
    tunnel::register(registry, switch);
    upcall::register(registry, switch);
    vlog::register(registry, switch);
    watch::register(registry, switch);
    // The last: it lists what is there.
    dpctl::register_list(registry);
}
