//! Ports and their queues.

use dp_core::base::OfPort;

use super::handle::Request;
use super::host::Host;
use crate::openflow::port::{PortDesc, PortMod};
use crate::openflow::queue::{self, QueueConfig, QueueRequest};
use crate::openflow::wire::Put;
use crate::openflow::{Code, Version};

/// Changes a port.
pub(super) fn port_mod(request: &mut Request<'_>) -> Result<(), Code> {
    let port_mod = PortMod::decode(request.version, request.body)?;
    request.may_change()?;
    let before = check(request.host, &port_mod)?;
    request.host.set_port(port_mod.port, port_mod.config, port_mod.mask)?;
    let config = before.config & !port_mod.mask | port_mod.config & port_mod.mask;
    request.events.port_configured(before, config);
    Ok(())
}

/// Whether there is the port that is meant.
pub(super) fn check(host: &dyn Host, port_mod: &PortMod) -> Result<PortDesc, Code> {
    let mut ports = host.ports().into_iter().map(|port| port.desc);
    let desc = ports.find(|port| port.port == port_mod.port).ok_or(Code::PmfcBadPort)?;
    match desc.hw_addr == port_mod.hw_addr {
        true => Ok(desc),
        false => Err(Code::PmfcBadHwAddr),
    }
}

/// Tells a port's queues, before OpenFlow 1.4.
pub(super) fn queue_config(request: &mut Request<'_>, reply: u8) -> Result<(), Code> {
    let asked = queue::decode_config_request(request.version, request.body)?;
    let version = request.version;
    let configs = queue_configs(request.host, asked)?;
    request.reply(reply, |out| {
        out.put_port(version, asked.port.unwrap_or(OfPort::NONE));
        out.zeros(if version == Version::V10 { 6 } else { 4 });
        for config in configs {
            config.encode(out, version);
        }
    });
    Ok(())
}

/// The queues that a request is about.
pub(super) fn queue_configs(
    host: &dyn Host,
    asked: QueueRequest,
) -> Result<Vec<QueueConfig>, Code> {
    let ports: Vec<_> = host
        .ports()
        .iter()
        .map(|port| port.desc.port)
        .filter(|port| asked.port.is_none_or(|it| it == *port))
        .collect();
    if ports.is_empty() && asked.port.is_some() {
        return Err(Code::QofcBadPort);
    }
    let mut configs = Vec::new();
    for port in ports {
        for queue in host.queues(port) {
            let number = queue.stats.queue;
            if asked.queue.is_none_or(|it| it == number) {
                let (min_rate, max_rate) = (queue.min_rate, queue.max_rate);
                configs.push(QueueConfig { port, queue: number, min_rate, max_rate });
            }
        }
    }
    match configs.is_empty() && asked.queue.is_some() {
        true => Err(Code::QofcBadQueue),
        false => Ok(configs),
    }
}
