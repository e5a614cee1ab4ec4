//! The datapath's tunnel ports: one for each kind and transport port, shared by all tunnels of that
//! kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::outer;
use crate::action::tunnel::Kind;
use crate::base::PortNo;
use crate::sync::Sequence;

/// What the bits say that the kind alone leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// Nothing beyond the kind.
    #[default]
    Plain,
    /// VXLAN: reserved bits are a group policy.
    GroupPolicy,
    /// VXLAN: headers are sent with the generic protocol extension. Those that come in say so
    /// themselves.
    Gpe,
    /// Bareudp: what the payload is, an Ethertype. 0x0800 stands for both families of IP.
    Payload(u16),
}

/// A tunnel port.
#[derive(Clone, Debug)]
pub struct End {
    /// The kind of tunnels that end here.
    pub kind: Kind,
    /// How its header is read.
    pub flavour: Flavour,
    /// Sequence numbers of packets sent.
    pub sequence: Arc<Sequence>,
}

impl End {
    /// A tunnel port that has sent nothing yet.
    #[must_use]
    pub fn new(kind: Kind, flavour: Flavour) -> Self {
        Self { kind, flavour, sequence: Arc::default() }
    }
}

/// All tunnel ports, and what they have in common. Published as a whole when one comes or goes.
#[derive(Clone, Debug)]
pub struct Ends {
    ends: BTreeMap<PortNo, End>,
    source_ports: (u16, u16),
}

impl Default for Ends {
    fn default() -> Self {
        Self { ends: BTreeMap::new(), source_ports: (32_768, 61_000) }
    }
}

impl Ends {
    /// The tunnel port with this number.
    #[inline]
    #[must_use]
    pub fn get(&self, port: PortNo) -> Option<&End> {
        self.ends.get(&port)
    }

    /// The tunnel port that a packet for `port` is for. GRE and ERSPAN share an IP protocol, so the
    /// port that listens to it gets both; what GRE says that it carries tells them apart.
    #[must_use]
    pub fn receiver(&self, port: PortNo, frame: &[u8], l3: usize) -> Option<(PortNo, &End)> {
        let end = self.ends.get(&port)?;
        let erspan = match end.kind {
            Kind::Gre | Kind::Ip6Gre => false,
            Kind::Erspan | Kind::Ip6Erspan => true,
            _ => return Some((port, end)),
        };
        let Some((over_ipv6, carries_erspan)) = outer::carries_erspan(frame, l3) else {
            return Some((port, end));
        };
        if erspan == carries_erspan {
            return Some((port, end));
        }
        let wanted = match (carries_erspan, over_ipv6) {
            (false, false) => [Kind::Gre, Kind::Ip6Gre],
            (false, true) => [Kind::Ip6Gre, Kind::Gre],
            (true, false) => [Kind::Erspan, Kind::Ip6Erspan],
            (true, true) => [Kind::Ip6Erspan, Kind::Erspan],
        };
        let find = |kind| self.ends.iter().find(|(_, end)| end.kind == kind);
        let other = wanted.into_iter().find_map(find);
        Some(other.map_or((port, end), |(port, end)| (*port, end)))
    }

    /// Makes a port a tunnel port. One that is there keeps its sequence numbers if its kind is the
    /// same.
    pub fn set(&mut self, port: PortNo, kind: Kind, flavour: Flavour) {
        match self.ends.get_mut(&port) {
            Some(end) if end.kind == kind => end.flavour = flavour,
            _ => {
                self.ends.insert(port, End::new(kind, flavour));
            }
        }
    }

    /// The port is no tunnel port any more.
    pub fn remove(&mut self, port: PortNo) {
        self.ends.remove(&port);
    }

    /// The range of UDP source ports of packets sent into tunnels.
    #[must_use]
    pub const fn source_ports(&self) -> (u16, u16) {
        self.source_ports
    }

    /// Changes that range; the bounds may come in either order.
    pub fn set_source_ports(&mut self, a: u16, b: u16) {
        self.source_ports = (a.min(b), a.max(b));
    }

    /// The UDP source port for a flow with this hash: tells flows apart on the way.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "below the range's size")]
    pub fn source_port(&self, hash: u32) -> u16 {
        let (low, high) = self.source_ports;
        let size = u64::from(high - low) + 1;
        low + ((u64::from(hash) * size) >> 32) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::{Ends, Flavour, Kind, PortNo};

    #[test]
    fn source_ports_stay_in_their_range_and_use_all_of_it() {
        let mut ends = Ends::default();
        assert_eq!((ends.source_port(0), ends.source_port(u32::MAX)), (32_768, 61_000));
        ends.set_source_ports(7, 5);
        assert_eq!(ends.source_ports(), (5, 7));
        let seen: Vec<u16> =
            (0..3).map(|part| ends.source_port(part * (u32::MAX / 3) + 9)).collect();
        assert_eq!(seen, [5, 6, 7]);
        ends.set_source_ports(0, u16::MAX);
        assert_eq!((ends.source_port(0), ends.source_port(u32::MAX)), (0, u16::MAX));
    }

    #[test]
    fn a_port_of_the_same_kind_keeps_its_sequence() {
        let mut ends = Ends::default();
        ends.set(PortNo(3), Kind::Vxlan, Flavour::Plain);
        let taken = ends.get(PortNo(3)).map(|end| end.sequence.take());
        assert_eq!(taken, Some(0));
        ends.set(PortNo(3), Kind::Vxlan, Flavour::Gpe);
        assert_eq!(ends.get(PortNo(3)).map(|end| end.sequence.take()), Some(1));
        ends.set(PortNo(3), Kind::Gre, Flavour::Plain);
        assert_eq!(ends.get(PortNo(3)).map(|end| end.sequence.take()), Some(0));
        ends.remove(PortNo(3));
        assert!(ends.get(PortNo(3)).is_none());
    }
}
