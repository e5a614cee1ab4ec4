//! The arguments of a trace.
//!
//! ```text
//!   [DATAPATH] DATAPATH-FLOW [OPTIONS] [-generate | PACKET]
//!   BRIDGE BRIDGE-FLOW       [OPTIONS] [-generate | PACKET]
//! ```

use std::fmt::Write as _;
use std::sync::Arc;

use dp_core::base::{OfPort, PortNo};
use dp_core::boundary::UpcallError;
use dp_core::flow::compose::compose;
use dp_core::flow::text::{DpPorts, parse_flow};
use dp_core::flow::{Extractor, FieldId, FlowKey, VlanLimit, layout};
use dp_core::packet::Metadata;

use super::in_port_of;
use super::tree::{BridgeNames, Numbered};
use crate::action::Action;
use crate::bridge::{Bridge, BridgePort};
use crate::text::{parse_actions, parse_exact};
use crate::translate::hooks::Location;
use crate::translate::{View, World};

/// What is to be traced.
#[derive(Debug)]
pub(super) struct Traced {
    pub(super) location: Location,
    /// The packet's datapath key.
    pub(super) key: FlowKey,
    /// The in-port that was named, whether there is such a port or not.
    pub(super) in_port: Option<OfPort>,
    /// A packet, given or made: what is learned from it is learned.
    pub(super) frame: Option<Vec<u8>>,
    pub(super) actions: Option<Vec<Action>>,
    pub(super) names: bool,
    /// The states that connections have, in the order in which they are asked for.
    pub(super) ct_next: Vec<u8>,
}

#[derive(Debug, Default)]
struct Options {
    names: bool,
    generate: bool,
    consistent: bool,
    ct_next: Vec<u8>,
    l7: Option<Vec<u8>>,
    l7_len: Option<usize>,
}

pub(super) fn parse(
    world: &World,
    ports: &dyn DpPorts,
    arguments: &[&str],
    packet_out: bool,
) -> Result<Traced, String> {
    let mut options = Options::default();
    let mut rest = options.take(arguments, packet_out)?;
    let actions = match packet_out {
        true => Some(rest.pop().ok_or("actions are missing")?),
        false => None,
    };
    if options.consistent && !options.ct_next.is_empty() {
        return Err("Use --consistent or --ct-next, not both".to_owned());
    }
    let mut frame = None;
    let takes_packet = !options.generate && rest.len() > 1;
    if takes_packet && let Some(bytes) = rest.last().and_then(|last| hex(last)) {
        if bytes.len() < ETH_LEN {
            return Err("Packet data too short for Ethernet".to_owned());
        }
        rest.pop();
        frame = Some(bytes);
    }
    let mut traced = match rest[..] {
        [flow] => start(world, ports, None, flow)?,
        [name, flow] => start(world, ports, Some(name), flow)?,
        // What stands behind a flow must be a packet.
        [_, _, _] if frame.is_none() && !options.generate => {
            return Err("Trailing garbage in packet data".to_owned());
        }
        [_, _, _, ..] => return Err("too many arguments".to_owned()),
        [] => return Err("must specify bridge or datapath flow".to_owned()),
    };
    if let Some(bytes) = &frame {
        traced.key = with_headers(&traced.key, bytes, world.features.vlan_limit);
    }
    if options.generate {
        let len = options.l7_len.or(options.l7.as_ref().map(Vec::len));
        frame = Some(compose(&traced.key, len).map_err(|error| error.to_string())?);
    }
    traced.frame = frame;
    traced.names = options.names;
    traced.ct_next = options.ct_next;
    if let Some(text) = actions {
        let view = View::of(&traced.location.bridge);
        let parsed = parse_actions(text, &Numbered(BridgeNames(&view)));
        traced.actions = Some(parsed.map_err(|error| format!("Bad actions syntax: {error}"))?);
    }
    Ok(traced)
}

/// What is wrong with a flow that can be a datapath's alone.
fn no_datapath_flow(flow: &str, ports: &dyn DpPorts) -> String {
    let error = parse_flow(flow, ports).err().filter(|_| flow.contains('('));
    let rest = error.as_ref().map_or(flow, |error| error.rest(flow));
    let mut out = format!("syntax error at {rest} (or the bridge name was omitted)");
    if let Some(error) = error {
        let _ = write!(out, "\n{error}");
    }
    out
}

/// Where a trace begins: what a flow looks like says whether it is a datapath's or a bridge's.
fn start(
    world: &World,
    ports: &dyn DpPorts,
    name: Option<&str>,
    flow: &str,
) -> Result<Traced, String> {
    let bridge = name.and_then(|name| world.bridge(name));
    let is_datapath = |name: &str| name.contains('@') || name.starts_with("ovs-");
    if !flow.trim().is_empty() && parse_flow(flow, ports).is_ok() {
        return match name {
            Some(name) if !is_datapath(name) => Err("Cannot find the datapath".to_owned()),
            _ => by_datapath(world, ports, flow),
        };
    }
    match (bridge, name) {
        (Some(bridge), _) => by_bridge(bridge, flow),
        (None, Some(name)) => Err(format!("{name}: unknown bridge")),
        (None, None) => Err(no_datapath_flow(flow, ports)),
    }
}

impl Options {
    /// Takes the options out; returns what is left.
    fn take<'a>(
        &mut self,
        arguments: &[&'a str],
        packet_out: bool,
    ) -> Result<Vec<&'a str>, String> {
        let mut rest = Vec::new();
        let mut words = arguments.iter().copied();
        while let Some(word) = words.next() {
            match word {
                "-generate" | "--generate" => self.generate = true,
                "--names" => self.names = true,
                "--no-names" => self.names = false,
                "-consistent" | "--consistent" if packet_out => self.consistent = true,
                "--ct-next" => {
                    let flags = words.next().ok_or("Missing argument for option --ct-next")?;
                    self.ct_next.push(state(flags)?);
                }
                "--l7" => {
                    let payload = words.next().ok_or("Missing argument for option --l7")?;
                    let bytes = hex(payload).ok_or("Fail to parse L7 payload")?;
                    self.l7 = Some(bytes);
                }
                "--l7-len" => {
                    let len = words.next().ok_or("Missing argument for option --l7-len")?;
                    let len = len.parse().ok().filter(|&len: &usize| len <= 64_000);
                    self.l7_len =
                        Some(len.ok_or("Length of L7 payload must be between 0 and 64000")?);
                }
                word if word.starts_with('-') => return Err(format!("{word}: unknown option")),
                word => rest.push(word),
            }
        }
        Ok(rest)
    }
}

/// A flow as flow tables match it.
fn by_bridge(bridge: &Arc<Bridge>, text: &str) -> Result<Traced, String> {
    let view = View::of(bridge);
    let parsed = parse_exact(text, &Numbered(BridgeNames(&view)));
    let matching = parsed.map_err(|error| format!("Bad openflow flow syntax: {text}: {error}"))?;
    let (mut key, mask) = matching.expand();
    for (tci, tpid) in
        [(layout::VLAN_TCI, layout::VLAN_TPID), (layout::VLAN_TCI1, layout::VLAN_TPID1)]
    {
        if key.load(tci) & u128::from(layout::VLAN_PRESENT) != 0 && key.load(tpid) == 0 {
            key.store(tpid, 0x8100);
        }
    }
    // A packet without an Ethernet header is of the type that its own says.
    let packet_type = key.load(layout::PACKET_TYPE);
    if packet_type >> 16 == 1 {
        key.store(layout::ETH_TYPE, packet_type & 0xffff);
    }
    let named = mask.get(FieldId::InPort) != 0;
    let ofport = if named { in_port_of(&key) } else { OfPort::NONE };
    let port = bridge.ports().get(ofport).cloned();
    let port = port.unwrap_or_else(|| stand_in(ofport));
    key.store(layout::IN_PORT, u128::from(port.port.0));
    let location = Location { bridge: Arc::clone(bridge), port };
    Ok(traced(location, key, Some(ofport)))
}

/// A flow as the datapath sees it.
fn by_datapath(world: &World, ports: &dyn DpPorts, text: &str) -> Result<Traced, String> {
    let parsed = parse_flow(text, ports);
    let key = parsed.map_err(|error| format!("Bad datapath flow syntax: {error}"))?.key;
    let in_port = key.in_port();
    let (location, _) = world.find(&key).map_err(|error| match error {
        UpcallError::NoTunnel => "no OpenFlow tunnel port for this packet".to_owned(),
        UpcallError::NoRecircContext => {
            format!("no recirculation data for recirc_id {:#x}", key.recirc_id().0)
        }
        _ => format!("no OpenFlow port for datapath port {in_port}"),
    })?;
    Ok(traced(location, key, None))
}

/// A packet as the datapath knows it.
pub(super) fn of_packet(location: Location, key: FlowKey) -> Traced {
    traced(location, key, None)
}

fn traced(location: Location, key: FlowKey, in_port: Option<OfPort>) -> Traced {
    Traced { location, key, in_port, frame: None, actions: None, names: false, ct_next: Vec::new() }
}

/// What stands for a port that a bridge does not have.
pub(super) fn stand_in(ofport: OfPort) -> Arc<BridgePort> {
    Arc::new(BridgePort::new(ofport, PortNo::NONE, ofport.to_string()))
}

/// A key with the headers of a frame and the metadata that was given. What a packet is to the tables
/// depends on how deep the datapath looks.
fn with_headers(given: &FlowKey, frame: &[u8], vlan_limit: VlanLimit) -> FlowKey {
    let (mut key, _) = Extractor::new(vlan_limit).frame(frame, &Metadata::default());
    for &(_, place) in layout::ALL {
        let ours = place.lane() >= 2 || METADATA.contains(&place);
        if ours && given.load(place) != 0 {
            key.store(place, given.load(place));
        }
    }
    for lane in dp_core::flow::PACKET_LANES..dp_core::flow::LANES {
        if !given.lane(lane).is_zero() {
            *key.lane_mut(lane) = *given.lane(lane);
        }
    }
    key.wide_mut().clone_from(given.wide());
    key.store(layout::IN_PORT, given.load(layout::IN_PORT));
    key
}

const ETH_LEN: usize = 14;
const METADATA: [layout::Place; 6] = [
    layout::RECIRC_ID,
    layout::DP_HASH,
    layout::CT_MARK,
    layout::CT_ZONE,
    layout::CT_STATE,
    layout::CT_NW_PROTO,
];

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b' ' | b'.' | b':')).collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect()
}

/// The bits of a connection's state, by name.
const STATES: [(&str, u8); 8] = [
    ("new", 0x01),
    ("est", 0x02),
    ("rel", 0x04),
    ("rpl", 0x08),
    ("inv", 0x10),
    ("trk", 0x20),
    ("snat", 0x40),
    ("dnat", 0x80),
];

fn state(text: &str) -> Result<u8, String> {
    let mut bits = 0;
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        let known = STATES.iter().find(|row| row.0 == word);
        bits |= known.ok_or_else(|| format!("{word}: unknown connection tracking state flag"))?.1;
    }
    match contradiction(bits) {
        Some(why) => Err(format!("{}: invalid connection state: {why}", state_names(bits, false))),
        None => Ok(bits),
    }
}

/// Why no connection can be in this state.
fn contradiction(bits: u8) -> Option<&'static str> {
    let has = |name: &str| STATES.iter().any(|row| row.0 == name && bits & row.1 != 0);
    let alone = bits & !0x30 == 0;
    match () {
        () if bits != 0 && !has("trk") => Some("If \"trk\" is unset, no other flags are set"),
        () if has("inv") && !alone => Some("when \"inv\" is set, only \"trk\" may also be set"),
        () if has("new") && has("est") => Some("\"new\" and \"est\" are mutually exclusive"),
        () if has("new") && has("rpl") => Some("\"new\" and \"rpy\" are mutually exclusive"),
        () => None,
    }
}

/// The names of the bits in their order, but of those that nobody said.
pub(super) fn state_names(bits: u8, default: bool) -> String {
    if default {
        return "trk|new".to_owned();
    }
    if bits == 0 {
        return "0".to_owned();
    }
    let names: Vec<&str> = STATES.iter().filter(|row| bits & row.1 != 0).map(|row| row.0).collect();
    names.join("|")
}
