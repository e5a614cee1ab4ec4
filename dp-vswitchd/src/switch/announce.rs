//! Addresses that tunnels leave from, told to the links anew when their MAC changes.
//!
//! Whoever sends to such an address has its MAC in a table, for minutes. When the bridge that has it
//! gets another MAC, the switch says so: gratuitous ARP or an unsolicited neighbour advertisement,
//! through the tables of that bridge as though its own port had sent it. An interface with
//! `external_ids:vendor=kube-ovn` announces nothing: whoever made it does so himself. An address
//! that is new is not announced; its owner, the kernel mostly, asks for others before it is asked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use dp_core::base::OfPort;
use dp_ofproto::gateway::{Announced, Announcements};
use dp_ofproto::tunnel::Device;

use super::bridge::RunningBridge;

/// What has been announced, and what is to be.
#[derive(Debug, Default)]
pub(super) struct Moves(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By bridge.
    known: BTreeMap<String, Announcements>,
    due: Vec<(String, Announced)>,
    /// Moves that were announced, and those that were left to others.
    announced: u64,
    left_out: u64,
}

impl Moves {
    /// Looks at the addresses of a bridge's own port.
    pub(super) fn look_at(&self, bridge: &RunningBridge, device: &Device) {
        let external_ids = {
            let state = bridge.state();
            let local = state.interfaces.get(&bridge.name);
            local.map(|local| local.config.external_ids.clone()).unwrap_or_default()
        };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state.known.entry(bridge.name.clone()).or_default();
        let (mut moved, mut left_out) = (Vec::new(), 0);
        for &address in &device.addresses {
            let (was_there, before) = (known.knows(address), known.left_out());
            let announced = known.update(address, device.mac, &external_ids, OfPort::LOCAL);
            moved.extend(announced.filter(|_| was_there));
            if was_there && known.left_out() != before {
                left_out += 1;
                log::debug!(
                    target: "bridge",
                    "bridge {}: {address} is at {} now, which is left to others to announce",
                    bridge.name, device.mac
                );
            }
        }
        known.retain(|address: &IpAddr| device.addresses.contains(address));
        state.left_out += left_out;
        state.announced += moved.len() as u64;
        state.due.extend(moved.into_iter().map(|announced| (bridge.name.clone(), announced)));
    }

    /// How many moves were announced, and how many were left to others.
    pub(super) fn counts(&self) -> (u64, u64) {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.announced, state.left_out)
    }

    /// What is to be sent, by bridge.
    pub(super) fn take_due(&self) -> Vec<(String, Announced)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).due)
    }
}
