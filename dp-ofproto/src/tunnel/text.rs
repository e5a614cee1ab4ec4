//! Tunnels as the `tnl/*` and `ofproto/list-tunnels` commands show them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use dp_core::action::tunnel::Kind;
use dp_core::base::PortNo;
use dp_core::tunnel::Ends;

use super::config::{Setting, TunnelConfig};
use super::ports::TunnelPort;
use super::switch::Tunnels;

fn address(setting: Option<&Setting<IpAddr>>) -> String {
    match setting {
        None => "::".into(),
        Some(Setting::Fixed(address)) => address.to_string(),
        Some(Setting::Flow) => "flow".into(),
    }
}

fn key(setting: Option<&Setting<u64>>) -> String {
    match setting {
        None | Some(Setting::Fixed(0)) => "0".into(),
        Some(Setting::Fixed(key)) => format!("{key:#x}"),
        Some(Setting::Flow) => "flow".into(),
    }
}

/// `ofproto/list-tunnels`.
#[must_use]
pub fn list_tunnels(tunnels: &Tunnels) -> String {
    let mut out = String::new();
    for port in tunnels.ports().list() {
        tunnel(&mut out, port);
    }
    out
}

fn tunnel(out: &mut String, port: &TunnelPort) {
    let TunnelPort { location, datapath_port: number, config } = port;
    let number = number.0;
    let _ = write!(
        out,
        "port {number}: {} ({}: {}->{}, key={}, {}, dp port={number}",
        location.port.name,
        config.kind_name,
        address(config.local.as_ref()),
        address(Some(&config.remote)),
        key(config.in_key.as_ref()),
        config.packet_types.name(),
    );
    if config.out_key != config.in_key {
        let out_key = config.out_key.as_ref().map_or("none".into(), |it| key(Some(it)));
        let _ = write!(out, ", out_key={out_key}");
    }
    match config.ttl {
        None => out.push_str(", ttl=inherit"),
        Some(ttl) => {
            let _ = write!(out, ", ttl={ttl}");
        }
    }
    match config.tos {
        None => out.push_str(", tos=inherit"),
        Some(0) => {}
        Some(tos) => {
            let _ = write!(out, ", tos={tos:#x}");
        }
    }
    if !config.dont_fragment {
        out.push_str(", df=false");
    }
    if let Some(checksum) = config.checksum {
        let _ = write!(out, ", csum={checksum}");
    }
    out.push_str(")\n");
}

/// What the datapath's port of a kind listens to.
fn listens(config: &TunnelConfig) -> Vec<(u8, u16)> {
    match config.kind {
        Kind::Gre | Kind::Ip6Gre | Kind::Erspan | Kind::Ip6Erspan => vec![(47, 0)],
        Kind::Srv6 => vec![(4, 0), (41, 0)],
        Kind::Vxlan | Kind::Geneve | Kind::Gtpu | Kind::Bareudp => vec![(17, config.dst_port)],
        Kind::Stt => vec![(6, config.dst_port)],
        Kind::Lisp => Vec::new(),
    }
}

/// The first line of `tnl/ports/show`.
pub const HEADING: &str = "Listening ports:\n";

/// The lines of `tnl/ports/show [-v]` behind its first.
#[must_use]
pub fn ports_show(tunnels: &Tunnels, verbose: bool) -> String {
    let mut out = String::new();
    let ports = tunnels.ports();
    // The datapath's ports with how many tunnels each serves.
    let mut listening: BTreeMap<PortNo, (&TunnelPort, usize)> = BTreeMap::new();
    for port in ports.list() {
        listening.entry(port.datapath_port).or_insert((port, 0)).1 += 1;
    }
    for (number, (port, users)) in listening {
        let name = port.config.system_name();
        for (protocol, udp) in listens(&port.config) {
            if verbose {
                listening_at(&mut out, &name, number, (protocol, udp), tunnels);
            } else {
                let _ = writeln!(out, "{name} ({number}) ref_cnt={users}");
            }
        }
    }
    out
}

/// The packets that one of the datapath's ports takes: a line for each address of a device.
fn listening_at(
    out: &mut String,
    name: &str,
    number: PortNo,
    (protocol, udp): (u8, u16),
    tunnels: &Tunnels,
) {
    for device in tunnels.devices().values() {
        for address in &device.addresses {
            let (ethertype, ip) = match address {
                IpAddr::V4(_) => ("0x0800", "ipv4"),
                IpAddr::V6(_) => ("0x86dd", "ipv6"),
            };
            let takes = tunnels.ports().listening(address.is_ipv6(), protocol, udp);
            if takes != Some(number) {
                continue;
            }
            let _ = write!(
                out,
                "{name} ({number}) : eth(dst={}),eth_type({ethertype}),\
                 {ip}(dst={address},proto={protocol},frag=no)",
                device.mac
            );
            match protocol {
                6 => {
                    let _ = write!(out, ",tcp(dst={udp})");
                }
                17 => {
                    let _ = write!(out, ",udp(dst={udp})");
                }
                _ => {}
            }
            out.push('\n');
        }
    }
}

/// `tnl/egress_port_range [MIN MAX]`.
///
/// # Errors
///
/// The text of the refusal.
pub fn egress_port_range(ends: &mut Ends, arguments: &[&str]) -> Result<String, String> {
    let [low, high] = arguments else {
        let (low, high) = ends.source_ports();
        return Ok(format!("Tunnel UDP source port range: {low}-{high}\n"));
    };
    let bound = |text: &str, name: &str| {
        text.parse::<u16>().ok().filter(|&port| port > 0).ok_or_else(|| format!("Invalid {name}."))
    };
    ends.set_source_ports(bound(low, "min")?, bound(high, "max")?);
    Ok("OK".into())
}
