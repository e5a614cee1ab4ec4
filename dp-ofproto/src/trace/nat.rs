//! What `ct(nat)` would make of a packet, for a trace: nobody asks the connection tracker, so a new
//! connection is taken to get the first address and the first port that it may have.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use dp_core::flow::FlowKey;
use dp_core::flow::layout::{self, Place};

use crate::action::{Nat, NatAddresses, NatKind};

/// Rewrites the flow, and says how it was and how it is.
pub(super) fn simulate(nat: &Nat, flow: &mut FlowKey, out: &mut String) {
    let before = ends(nat, flow);
    if let Some(kind) = nat.kind {
        let (v4, v6, port) = match kind {
            NatKind::Src => (layout::IPV4_SRC, layout::IPV6_SRC, layout::TP_SRC),
            NatKind::Dst => (layout::IPV4_DST, layout::IPV6_DST, layout::TP_DST),
        };
        match nat.addresses {
            Some(NatAddresses::V4 { min, .. }) => flow.store(v4, u128::from(min.to_bits())),
            Some(NatAddresses::V6 { min, .. }) => flow.store(v6, min.to_bits()),
            None => {}
        }
        if let Some((min, _)) = nat.ports {
            flow.store(port, u128::from(min));
        }
    }
    let after = ends(nat, flow);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "\nReplacing src/dst IP/ports to simulate NAT:\n Initial flow: {before}\n Modified flow: {after}"
    );
}

/// Both ends of a connection, of the family that it is translated in; nothing if it is not.
fn ends(nat: &Nat, flow: &FlowKey) -> String {
    let port = |place| flow.load(place);
    let ports = (port(layout::TP_SRC), port(layout::TP_DST));
    match nat.addresses {
        Some(NatAddresses::V4 { .. }) => {
            let ip = |place: Place| Ipv4Addr::from_bits(u32::try_from(port(place)).unwrap_or(0));
            let (src, dst) = (ip(layout::IPV4_SRC), ip(layout::IPV4_DST));
            format!("nw_src={src},tp_src={},nw_dst={dst},tp_dst={}", ports.0, ports.1)
        }
        Some(NatAddresses::V6 { .. }) => {
            let ip = |place: Place| Ipv6Addr::from_bits(port(place));
            let (src, dst) = (ip(layout::IPV6_SRC), ip(layout::IPV6_DST));
            format!("ipv6_src=[{src}],tp_src={},ipv6_dst=[{dst}],tp_dst={}", ports.0, ports.1)
        }
        None => String::new(),
    }
}
