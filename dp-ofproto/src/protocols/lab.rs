//! The laboratory of both spanning trees' tests: bridges with wires between their ports, in a time of
//! their own.

use dp_core::base::{Duration, Instant, OfPort};

/// Both ends of a wire: bridge and port.
pub(super) type Wire = [(usize, u16); 2];

/// One wire, another beside it.
pub(super) const TWO: [Wire; 2] = [[(0, 1), (1, 1)], [(0, 2), (1, 2)]];

/// A ring of three.
pub(super) const RING: [Wire; 3] = [[(0, 1), (1, 1)], [(1, 2), (2, 1)], [(2, 2), (0, 2)]];

/// Wirings of so many bridges: parallel wires, rings, a full mesh, a ring with a bar.
pub(super) const WIRINGS: &[(usize, &[Wire])] = &[
    (2, &[[(0, 1), (1, 1)], [(0, 2), (1, 2)], [(0, 3), (1, 3)]]),
    (3, &RING),
    (3, &[[(0, 1), (1, 1)], [(1, 2), (2, 1)], [(2, 2), (0, 2)], [(0, 3), (2, 3)]]),
    (
        4,
        &[
            [(0, 1), (1, 1)],
            [(1, 2), (2, 1)],
            [(2, 2), (3, 1)],
            [(3, 2), (0, 2)],
            [(0, 3), (2, 3)],
            [(1, 3), (3, 3)],
        ],
    ),
    (
        5,
        &[[(4, 1), (3, 1)], [(3, 2), (2, 1)], [(2, 2), (1, 1)], [(1, 2), (0, 1)], [(0, 2), (4, 2)]],
    ),
    (
        6,
        &[
            [(0, 1), (1, 1)],
            [(1, 2), (2, 1)],
            [(2, 2), (3, 1)],
            [(3, 2), (4, 1)],
            [(4, 2), (5, 1)],
            [(5, 2), (0, 2)],
            [(1, 3), (4, 3)],
        ],
    ),
];

/// A bridge that speaks a tree protocol.
pub(super) trait Speaker {
    /// A port of it, whose link is up.
    fn plug(&mut self, ofport: OfPort, now: Instant);
    /// That port goes.
    fn unplug(&mut self, ofport: OfPort, now: Instant);
    /// Lets time pass.
    fn pass(&mut self, now: Instant);
    /// Frames to send.
    fn frames(&mut self) -> Vec<(OfPort, Vec<u8>)>;
    /// What follows the length of a frame comes in.
    fn hear(&mut self, ofport: OfPort, llc: &[u8], now: Instant);
    /// Whether a port carries packets.
    fn carries(&self, ofport: OfPort) -> bool;
    /// Whether addresses are to be forgotten; asked once.
    fn flushes(&mut self) -> bool;
}

/// The laboratory.
pub(super) struct Lab<B> {
    pub(super) now: Instant,
    pub(super) bridges: Vec<B>,
    pub(super) wires: Vec<Wire>,
}

impl<B: Speaker> Lab<B> {
    /// Bridges wired together, made at the laboratory's first instant.
    pub(super) fn wired(bridges: impl FnOnce(Instant) -> Vec<B>, wires: &[Wire]) -> Self {
        let now = Instant::from_millis(10_000);
        let mut bridges = bridges(now);
        for (at, number) in wires.iter().flatten() {
            bridges[*at].plug(OfPort(*number), now);
        }
        Self { now, bridges, wires: wires.to_vec() }
    }

    /// Lets so many milliseconds pass.
    pub(super) fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 100 {
            self.now = self.now.after(Duration::from_millis(100));
            for bridge in &mut self.bridges {
                bridge.pass(self.now);
            }
            // What is heard may make somebody speak.
            for _ in 0..20 {
                self.deliver();
            }
        }
    }

    fn deliver(&mut self) {
        for at in 0..self.bridges.len() {
            for (from, frame) in self.bridges[at].frames() {
                let ends = self.wires.iter().flat_map(|[a, b]| [(*a, *b), (*b, *a)]);
                let there: Vec<_> =
                    ends.filter(|(a, _)| *a == (at, from.0)).map(|(_, b)| b).collect();
                for (bridge, to) in there {
                    self.bridges[bridge].hear(OfPort(to), &frame[14..], self.now);
                }
            }
        }
    }

    /// Wires that carry packets.
    pub(super) fn forwarding(&self) -> usize {
        let both = |wire: &&Wire| {
            wire.iter().all(|(at, number)| self.bridges[*at].carries(OfPort(*number)))
        };
        self.wires.iter().filter(both).count()
    }

    /// Asks everybody about addresses, to no purpose.
    pub(super) fn forget_flushes(&mut self) {
        for bridge in &mut self.bridges {
            bridge.flushes();
        }
    }

    /// Takes a wire away, and the ports at its ends.
    pub(super) fn cut(&mut self, wire: usize) {
        for (at, number) in self.wires.remove(wire) {
            self.bridges[at].unplug(OfPort(number), self.now);
        }
    }
}
