//! LLDP on the ports of bridges.

use dp_core::base::{Instant, OfPort};

use super::{Outgoing, Services, State, Turn, frame};
use crate::bridge::{Bridge, BridgePort};
use crate::protocols::lldp;

impl Services {
    /// Configures LLDP on the ports of a bridge; ports that are not named speak none.
    pub fn set_lldp(&self, bridge: &str, ports: Vec<(OfPort, lldp::Config)>, now: Instant) {
        let mut state = self.state();
        let mut changed = false;
        state.lldp.retain(|(of, port), _| {
            let stays = of != bridge || ports.iter().any(|(wanted, _)| wanted == port);
            changed |= !stays;
            stays
        });
        for (port, config) in ports {
            match state.lldp.get_mut(&(bridge.to_owned(), port)) {
                Some(agent) if *agent.config() == config => {}
                Some(agent) => agent.configure(config),
                None => {
                    let agent = lldp::Agent::new(config, now);
                    state.lldp.insert((bridge.to_owned(), port), agent);
                    changed = true;
                }
            }
        }
        if changed {
            self.move_on();
        }
    }

    /// LLDP of every port that speaks it, by name.
    pub fn each_lldp(&self, mut with: impl FnMut(&lldp::Agent)) {
        let state = self.state();
        let mut agents: Vec<_> = state.lldp.values().collect();
        agents.sort_by_key(|agent| &agent.config().name);
        agents.into_iter().for_each(&mut with);
    }
}

impl State {
    /// Whether LLDP's frames are for this port's own.
    pub(super) fn speaks_lldp(&self, bridge: &Bridge, port: &BridgePort) -> bool {
        !self.lldp.is_empty() && self.lldp.contains_key(&(bridge.name().to_owned(), port.ofport))
    }

    pub(super) fn receive_lldp(
        &mut self,
        bridge: &Bridge,
        port: &BridgePort,
        frame: &[u8],
        now: Instant,
    ) {
        let Some(agent) = self.lldp.get_mut(&(bridge.name().to_owned(), port.ofport)) else {
            return;
        };
        let Some(payload) = frame::ether_payload(frame) else { return };
        if let Err(error) = agent.receive(payload, now) {
            log::warn!(
                target: "lldp", rate = 1, burst = 1;
                "discarding a frame received on {}: {error}", port.name
            );
        }
    }

    pub(super) fn run_lldp(&mut self, now: Instant, turn: &mut Turn) {
        for ((bridge, ofport), agent) in &mut self.lldp {
            match agent.run(now) {
                Ok(Some(frame)) => turn.outgoing.push(Outgoing {
                    bridge: bridge.clone(),
                    ofport: *ofport,
                    frame,
                    oam: false,
                }),
                Ok(None) => {}
                Err(error) => log::warn!(
                    target: "lldp", rate = 1, burst = 1;
                    "{}: nothing can be sent: {error}", agent.config().name
                ),
            }
        }
    }
}
