//! `netdev-dummy/*` and `dpif-dummy/*`: dummy ports in a script's hands. Without `--enable-dummy`
//! there are none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use dp_core::base::PortNo;
use dp_core::flow::compose::compose;
use dp_core::flow::text::{DpPorts, parse_flow};
use dp_netdev::port::dummy::Hand;

use crate::daemon::DummyMode;
use crate::switch::{Datapath, Switch};
use crate::unixctl::{CommandRegistry, Request};

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    if switch.dummy == DummyMode::Off {
        return;
    }
    let own = Arc::clone(switch);
    let usage = "name [--qid queue_id] packet|flow [--len packet_len]";
    registry.register("netdev-dummy/receive", usage, 2, usize::MAX, move |request| {
        receive(&own, request.arguments())
    });
    let own = Arc::clone(switch);
    registry.register("netdev-dummy/set-admin-state", "[netdev] up|down", 1, 2, move |request| {
        set_admin_state(&own, request)
    });
    let own = Arc::clone(switch);
    registry.register(
        "netdev-dummy/ip4addr",
        "[netdev] ipaddr/mask-prefix-len",
        2,
        2,
        move |request| {
            hand(&own, request.argument(0))?;
            let (ip, prefix) =
                parse_address::<Ipv4Addr>(request.argument(1), 32).ok_or("Invalid parameters")?;
            own.add_address(request.argument(0), IpAddr::V4(ip), prefix);
            Ok::<_, String>("OK")
        },
    );
    let own = Arc::clone(switch);
    registry.register("netdev-dummy/ip6addr", "[netdev] ip6addr", 2, 2, move |request| {
        hand(&own, request.argument(0))?;
        let text = request.argument(1);
        let (ip, prefix) = parse_address::<Ipv6Addr>(text, 128)
            .ok_or_else(|| format!("{text}: invalid IPv6 address"))?;
        own.add_address(request.argument(0), IpAddr::V6(ip), prefix);
        Ok::<_, String>("OK")
    });
    let own = Arc::clone(switch);
    registry.register("netdev-dummy/conn-state", "[netdev]", 0, 1, move |request| {
        let states = own.wire_states();
        Ok::<_, String>(match request.arguments().first() {
            Some(name) => format!("{name}: {}\n", states.get(name).unwrap_or(&"unknown")),
            None => states.iter().map(|(name, state)| format!("{name}: {state}\n")).collect(),
        })
    });
    let own = Arc::clone(switch);
    let usage = "dp port new-number";
    registry.register("dpif-dummy/change-port-number", usage, 3, 3, move |request| {
        change_number(&own, request)
    });
}

/// The dummy port of this name.
fn hand(switch: &Switch, name: &str) -> Result<Hand, String> {
    let found = switch.datapaths().iter().find_map(|datapath| datapath.hand(name));
    found.ok_or_else(|| "Unknown Dummy Interface".to_owned())
}

fn set_admin_state(switch: &Switch, request: &Request<'_>) -> Result<&'static str, String> {
    let (name, state) = match request.arguments() {
        [name, state] => (Some(name), state.as_str()),
        [state] => (None, state.as_str()),
        _ => (None, ""),
    };
    let up = match state.to_ascii_lowercase().as_str() {
        "up" => true,
        "down" => false,
        _ => return Err("Invalid Admin State".to_owned()),
    };
    let hands: Vec<Hand> = match name {
        Some(name) => vec![hand(switch, name)?],
        None => {
            let of = |it: &Arc<Datapath>| {
                it.ports().values().filter_map(|port| port.hand.clone()).collect::<Vec<_>>()
            };
            switch.datapaths().iter().flat_map(of).collect()
        }
    };
    hands.iter().for_each(|hand| hand.set_admin(up));
    switch.touch();
    Ok("OK")
}

/// An address with or without the length of its network's prefix.
fn parse_address<T: std::str::FromStr>(text: &str, longest: u8) -> Option<(T, u8)> {
    match text.split_once('/') {
        None => Some((text.parse().ok()?, longest)),
        Some((ip, prefix)) => {
            let prefix = prefix.parse().ok().filter(|it| *it <= longest)?;
            Some((ip.parse().ok()?, prefix))
        }
    }
}

fn receive(switch: &Switch, arguments: &[String]) -> Result<(), String> {
    let mut words = arguments.iter().peekable();
    let name = words.next().map(String::as_str).unwrap_or_default();
    let datapath = switch.datapaths().into_iter().find(|it| it.hand(name).is_some());
    let datapath = datapath.ok_or("no such dummy netdev")?;
    let hand = datapath.hand(name).ok_or("no such dummy netdev")?;
    let ports = datapath.port_table();
    let mut queue = 0;
    if words.peek().is_some_and(|word| *word == "--qid") {
        words.next();
        let text = words.next().ok_or("too few parameters, try again")?;
        let known = text.parse::<usize>().ok().filter(|queue| *queue < hand.queues());
        queue = known.ok_or("bad rx queue id.")?;
    }
    let mut packets = Vec::new();
    while let Some(text) = words.next() {
        if let Some(octets) = parse_hex(text) {
            packets.push(octets);
            continue;
        }
        let mut length = None;
        if words.peek().is_some_and(|word| *word == "--len") {
            words.next();
            let text = words.next().ok_or("too few parameters, try again")?;
            length = Some(text.parse().map_err(|_| format!("Invalid packet length ({text})"))?);
        }
        packets.push(frame_of(text, length, &ports)?);
    }
    for packet in packets {
        hand.inject_to(queue, &packet);
        datapath.drive(switch.now());
    }
    Ok(())
}

/// The frame that a datapath flow describes.
fn frame_of(text: &str, length: Option<usize>, ports: &dyn DpPorts) -> Result<Vec<u8>, String> {
    let flow =
        parse_flow(text, ports).map_err(|error| format!("syntax error at {}", error.rest(text)))?;
    compose(&flow.key, length).map_err(|error| error.to_string())
}

/// Octets of a packet, in hexadecimal digits; `None` if it is something else.
fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let octets: Option<Vec<u8>> = match digits.len() % 2 {
        0 => digits.chunks(2).map(octet).collect(),
        _ => None,
    };
    octets.filter(|octets| octets.len() >= ETHERNET_HEADER)
}

fn change_number(switch: &Switch, request: &Request<'_>) -> Result<(), &'static str> {
    let datapath = switch
        .datapaths()
        .into_iter()
        .find(|it| it.dummy && it.name == request.argument(0))
        .ok_or("unknown datapath or not a dummy")?;
    let number = request.argument(2).parse().map_err(|_| "bad port number")?;
    let name = request.argument(1);
    let old = datapath.ports().iter().find(|(_, it)| it.name == name).map(|(old, _)| *old);
    let old = old.ok_or("unknown port")?;
    if number == 0 {
        return Err("bad port number");
    }
    if datapath.ports().contains_key(&PortNo(number)) {
        return Err("port number already in use");
    }
    switch.renumber(&datapath, old, PortNo(number)).map_err(|()| "port cannot be renumbered")
}

const ETHERNET_HEADER: usize = 14;
