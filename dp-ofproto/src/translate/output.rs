//! Output: to a port, to a reserved port, to many.

use std::sync::Arc;

use dp_core::base::OfPort;

use super::Context;
use crate::bridge::BridgePort;

impl Context<'_> {
    pub(super) fn output(&mut self, to: OfPort) {
        match to {
            OfPort::IN_PORT => {
                let port = self.in_port();
                self.output_to(port);
            }
            OfPort::NORMAL => self.normal(),
            OfPort::FLOOD => self.flood(false),
            OfPort::ALL => self.flood(true),
            OfPort::TABLE => self.resubmit(None, Some(0)),
            OfPort::CONTROLLER => self.note("no controller is connected"),
            OfPort::NONE => {}
            port if port == self.in_port() => self.note("skipping output to input port"),
            port => self.output_to(port),
        }
    }

    /// To an ordinary port, the input port included.
    fn output_to(&mut self, ofport: OfPort) {
        match self.port(ofport).map(Arc::clone) {
            Some(port) => self.output_port(&port),
            None => self.note("nonexistent output port"),
        }
    }

    pub(super) fn output_port(&mut self, port: &BridgePort) {
        if port.no_forward {
            self.note("the port does not forward, skipping output");
        } else {
            self.emit_output(port.port);
        }
    }

    /// To every port but the input; without `all`, only to those that take part in flooding.
    fn flood(&mut self, all: bool) {
        let in_port = self.in_port();
        let ports = Arc::clone(&self.view.ports);
        for port in ports.iter().filter(|port| port.ofport != in_port && (all || !port.no_flood)) {
            self.output_port(port);
        }
    }
}
