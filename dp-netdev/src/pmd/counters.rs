//! What packet threads count. Each counter has one writer; sums are made by whoever reads.

use dp_core::sync::Counter;

use crate::port::{Lost, Sent};

/// What came in by one receive queue.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct RxCounters {
    /// Packets received.
    pub packets: Counter,
    /// Their bytes.
    pub bytes: Counter,
    /// Packets lost at receipt, for any reason.
    pub lost: Counter,
}

impl RxCounters {
    pub(super) fn lose(&self, lost: Lost) {
        self.lost.add(lost.total());
    }
}

/// What one thread sent by one port.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct TxCounters {
    /// Packets sent.
    pub packets: Counter,
    /// Their bytes.
    pub bytes: Counter,
    /// Packets dropped, for any reason.
    pub dropped: Counter,
}

impl TxCounters {
    pub(super) fn credit(&self, sent: &Sent) {
        self.packets.add(u64::from(sent.packets));
        self.bytes.add(sent.bytes);
        self.dropped.add(sent.dropped());
    }
}

/// What one packet thread's loop did.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct LoopCounters {
    /// Turns.
    pub turns: Counter,
    /// Turns in which packets moved.
    pub busy: Counter,
    /// Times that the thread slept.
    pub naps: Counter,
}
