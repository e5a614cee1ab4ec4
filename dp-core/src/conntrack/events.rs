//! What happens to connections, for whoever wants to be told: a log of translations, a firewall's
//! mirror of the table, a billing system.
//!
//! An [`EventSink`] is called on the thread where it happens, after the table's locks are free, with the
//! connection as it is then (of one that ends: as it was last). Where nobody listens an event costs one
//! look at a word that no packet changes.
//!
//! Two masks say what is told: that of the listener, and that of the `ct` action which entered the
//! connection ([`Ct::event_mask`](crate::action::Ct::event_mask), all unless set). The bits are those
//! of the kernel's `IPCT_*` events.

use std::fmt;
use std::sync::Arc;

use super::Conntrack;
use super::dump::Entry;
use super::record::Record;
use crate::base::Instant;
use crate::sync::{Locked, Word32};

bitflags::bitflags! {
    /// Kinds of events.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Events: u32 {
        /// A connection has been entered.
        const NEW = 1 << 0;
        /// One that another connection announced has been entered.
        const RELATED = 1 << 1;
        /// A connection has ended: over, flushed, replaced, or made room.
        const DESTROY = 1 << 2;
        /// The first packet has come back.
        const REPLY = 1 << 3;
        /// Its mark has changed.
        const MARK = 1 << 7;
        /// Its label has changed.
        const LABEL = 1 << 10;
    }
}

/// Who is told.
pub trait EventSink: Send + Sync {
    /// `event` is one kind; it has just happened to this connection. Packets wait meanwhile.
    fn event(&self, event: Events, connection: &Entry);
}

/// Who listens, and to what.
#[derive(Default)]
pub(super) struct Listener {
    wanted: Word32,
    sink: Locked<Option<Arc<dyn EventSink>>>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({:?})", Events::from_bits_retain(self.wanted.get()))
    }
}

impl Conntrack {
    /// Tells `sink` of events of these kinds from now on; nobody of any with `None`. A thread that is
    /// about to tell of one may still tell the sink before.
    pub fn listen(&self, sink: Option<Arc<dyn EventSink>>, kinds: Events) {
        let wanted = sink.as_ref().map_or(0, |_| kinds.bits());
        *self.listener.sink.lock() = sink;
        self.listener.wanted.set(wanted);
    }

    /// Whether somebody is to be told of this about a connection.
    #[inline(always)]
    pub(super) fn is_told(&self, event: Events, record: &Record) -> bool {
        let wanted = self.listener.wanted.get() & event.bits();
        wanted != 0 && record.events.get() & wanted != 0
    }

    /// Tells of a connection that is there.
    #[inline(always)]
    pub(super) fn tell(&self, event: Events, record: &Record, now: Instant) {
        if self.is_told(event, record) {
            self.tell_last(event, self.last(record, now));
        }
    }

    /// A connection as it is now.
    #[cold]
    pub(super) fn last(&self, record: &Record, now: Instant) -> Option<Entry> {
        self.value(record, now).map(|(_, entry)| entry)
    }

    /// Tells of a connection that was there.
    #[cold]
    pub(super) fn tell_last(&self, event: Events, connection: Option<Entry>) {
        let sink = self.listener.sink.lock().clone();
        if let (Some(sink), Some(connection)) = (sink, connection) {
            sink.event(event, &connection);
        }
    }
}
