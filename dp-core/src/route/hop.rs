//! Next hops, and how several of them share the traffic of a route.

use core::net::IpAddr;
use std::sync::Arc;

use super::prefix::Family;
use super::table::{RouteError, is_neighbour};

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// The device or bridge that packets leave by.
    pub device: Arc<str>,
    /// The router that they go to; `None`: the destination itself is on the link.
    pub gateway: Option<IpAddr>,
    /// The address that packets of ours leave with.
    pub source: Option<IpAddr>,
    /// Its share among the next hops of a route; 0 counts as 1.
    pub weight: u16,
}

impl NextHop {
    /// A next hop of weight 1.
    #[must_use]
    pub fn new(device: &str, gateway: Option<IpAddr>) -> Self {
        Self { device: device.into(), gateway, source: None, weight: 1 }
    }

    /// Whether it leads to the same place, be its weight and source as they may.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.device == other.device && self.gateway == other.gateway
    }

    /// Checks that a route of this family can lead here. IPv4 routes may go through an IPv6
    /// neighbour (RFC 8950), not the other way round.
    pub(super) fn check(&self, family: Family) -> Result<(), RouteError> {
        let Some(gateway) = self.gateway else { return Ok(()) };
        if !is_neighbour(gateway) {
            return Err(RouteError::ImpossibleHop);
        }
        if family == Family::V6 && gateway.is_ipv4() {
            return Err(RouteError::Family);
        }
        Ok(())
    }
}

/// The next hop of a flow: the same for one hash as long as the next hops are the same.
#[must_use]
pub fn pick(hops: &[NextHop], hash: u32) -> Option<&NextHop> {
    if let [only] = hops {
        return Some(only);
    }
    let weight = |hop: &NextHop| u64::from(hop.weight.max(1));
    let total: u64 = hops.iter().map(weight).sum();
    let mut point = (u64::from(hash) * total) >> 32;
    hops.iter().find(|hop| {
        let share = weight(hop);
        let here = point < share;
        point = point.wrapping_sub(share);
        here
    })
}

#[cfg(test)]
mod tests {
    use super::{NextHop, pick};

    #[test]
    fn traffic_is_shared_by_weight() {
        let mut hops: Vec<NextHop> = ["a", "b", "c"].map(|name| NextHop::new(name, None)).into();
        hops[1].weight = 2;
        let mut count = [0_u32; 3];
        for hash in (0..4000_u32).map(|n| n.wrapping_mul(0x9e37_79b9)) {
            let hop = pick(&hops, hash).expect("there are some");
            count[hops.iter().position(|other| other == hop).expect("one of them")] += 1;
        }
        for (count, share) in count.into_iter().zip([1000, 2000, 1000]) {
            assert!(count.abs_diff(share) < 100, "{count} of {share}");
        }
        assert_eq!(pick(&[], 1), None);
        assert_eq!(pick(&hops, u32::MAX).map(|hop| &*hop.device), Some("c"));
    }
}
