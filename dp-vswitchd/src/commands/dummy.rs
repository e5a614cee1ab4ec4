//! `netdev-dummy/*`: dummy ports in a script's hands. Without `--enable-dummy` there are none.

use std::sync::Arc;

use dp_netdev::port::dummy::Hand;

use crate::daemon::DummyMode;
use crate::switch::Switch;
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    if switch.dummy == DummyMode::Off {
        return;
    }
    let own = Arc::clone(switch);
    let usage = "name [--qid queue_id] packet|flow [--len packet_len]";
    registry.register("netdev-dummy/receive", usage, 2, 20, move |request| {
        receive(&own, request.arguments())
    });
    let own = Arc::clone(switch);
    registry.register("netdev-dummy/set-admin-state", "[netdev] up|down", 1, 2, move |request| {
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
        let hands = match name {
            Some(name) => vec![hand(&own, name)?],
            None => all(&own),
        };
        hands.iter().for_each(|hand| hand.set_admin(up));
        own.touch();
        Ok("OK")
    });
}

/// The dummy port of this name.
fn hand(switch: &Switch, name: &str) -> Result<Hand, String> {
    let found = switch.datapaths().iter().find_map(|datapath| datapath.hand(name));
    found.ok_or_else(|| "Unknown Dummy Interface".to_owned())
}

fn all(switch: &Switch) -> Vec<Hand> {
    let datapaths = switch.datapaths();
    let hands = datapaths.iter().flat_map(|datapath| {
        datapath.ports().values().filter_map(|port| port.hand.clone()).collect::<Vec<_>>()
    });
    hands.collect()
}

fn receive(switch: &Switch, arguments: &[String]) -> Result<(), String> {
    let mut words = arguments.iter();
    let name = words.next().map(String::as_str).unwrap_or_default();
    let datapath = switch.datapaths().into_iter().find(|it| it.hand(name).is_some());
    let datapath = datapath.ok_or("no such dummy netdev")?;
    let hand = datapath.hand(name).ok_or("no such dummy netdev")?;
    let mut packets = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--qid" => {
                let number = words.next().and_then(|it| it.parse::<u32>().ok());
                if number != Some(0) {
                    return Err("Invalid queue id".to_owned());
                }
            }
            text => packets.push(parse_hex(text)?),
        }
    }
    for packet in packets {
        hand.inject(&packet);
        datapath.drive(switch.now());
    }
    Ok(())
}

/// Octets of a packet, in hexadecimal digits.
fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let octets: Option<Vec<u8>> = match digits.len() % 2 {
        0 => digits.chunks(2).map(octet).collect(),
        _ => None,
    };
    match octets {
        Some(octets) if octets.len() >= ETHERNET_HEADER => Ok(octets),
        Some(_) => Err("Packet is too short".to_owned()),
        None => Err(format!("{text}: not a packet in hexadecimal digits")),
    }
}

const ETHERNET_HEADER: usize = 14;
