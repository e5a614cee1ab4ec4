//! The shortest way: a burst of plain packets by a port whose flows are simple, and whose actions are
//! one output each.
//!
//! Nothing needs their keys. A glance at each frame says whether it is in order and of which family;
//! with that and the port the flow is known, and the packets are moved to where they go. It is all of
//! the burst or nothing, so that packets of one flow keep their order.

use super::flow::Plan;
use super::group::bytes;
use super::{Parser, Pipeline, Turn};
use crate::base::PortNo;
use crate::execute::TxBatches;
use crate::flow::extract::{Pass, glance};
use crate::packet::{Burst, Slots};

/// Packets that go one way.
#[derive(Clone, Copy, Default)]
struct Way {
    slots: Slots,
    tcp_flags: u16,
    /// Their flow.
    flow: u32,
    to: PortNo,
}

impl Pipeline {
    /// Sends the whole burst on where that can be done without keys; `false`, and no change, if not.
    #[inline(always)]
    pub(super) fn glance(
        &mut self,
        burst: &mut Burst,
        turn: &Turn<'_>,
        out: &mut TxBatches,
    ) -> bool {
        let Pass::First(port) = turn.pass else { return false };
        if matches!(self.settings.parser, Parser::Autovalidate(_))
            || !self.megaflows.is_simple(port)
        {
            return false;
        }
        let Some(ways) = families(burst).and_then(|ways| self.ways(port, ways)) else {
            return false;
        };
        self.counters.simple_hits.add(burst.len() as u64);
        let mut exits = exits!(self, out);
        for way in ways.iter().filter(|way| !way.slots.is_empty()) {
            let Some(flow) = self.megaflows.flows().at(way.flow) else { continue };
            let all = way.slots.len() == burst.len();
            let bytes = if all { turn.bytes } else { bytes(burst, way.slots) };
            flow.stats().credit(way.slots.len() as u64, bytes, way.tcp_flags, turn.now);
            exits.output(way.to, burst, way.slots);
        }
        true
    }

    /// The families' flows, and where they send; the second is empty where both have one. `None` if a
    /// flow is not known, or does something else.
    #[inline(always)]
    fn ways(&self, port: PortNo, mut ways: [Way; 2]) -> Option<[Way; 2]> {
        let flows = self.megaflows.flows();
        for (way, eth_type) in ways.iter_mut().zip([0x0800, 0x86dd]) {
            if way.slots.is_empty() {
                continue;
            }
            way.flow = self.simple.of_plain(port, eth_type, flows)?;
            let Plan::Output(to) = flows.at(way.flow)?.plan() else { return None };
            way.to = to;
        }
        let [four, six] = &mut ways;
        if !four.slots.is_empty() && four.flow == six.flow {
            four.slots = four.slots.or(six.slots);
            four.tcp_flags |= six.tcp_flags;
            six.slots = Slots::NONE;
        }
        Some(ways)
    }
}

/// The packets of IPv4 and of IPv6; `None` unless all are plain.
#[inline(always)]
fn families(burst: &Burst) -> Option<[Way; 2]> {
    let (mut four, mut six) = (Way::default(), Way::default());
    for slot in Slots::first(burst.len()).iter() {
        if let Some(ahead) = burst.get(slot + 4) {
            ahead.prefetch();
        }
        let glanced = glance(burst.get(slot)?.data())?;
        let way = if glanced.v6 { &mut six } else { &mut four };
        way.slots.insert(slot);
        way.tcp_flags |= glanced.tcp_flags;
    }
    Some([four, six])
}
