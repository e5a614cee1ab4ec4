//! Connection tracking: which connection a packet belongs to, and what it is to that connection.
//!
//! ```text
//!   packets ─► inspect ─► hash, prefetch ─► look up ──► known: tcp │ others   ─► state bits,
//!      ▲                                       │                                 mark, label,
//!      │ fragments wait                        └──► new: commit? ─► nat ─► enter  original tuple
//! ```
//!
//! The tracker is shared by all packet threads. An established connection costs one look-up, no
//! lock, and writes nothing but its own life time and how far its ends have come. Connections are
//! entered and removed under locks of 1/256 of the table.
//!
//! | room | what |
//! |---|---|
//! | `key`, `inspect`, `plain` | what names a connection; what a packet says, and whether it is fit |
//! | `record`, `table`, `zones`, `count` | what is kept of a connection, how it is found, whose it is, how many there are |
//! | `track` | what a packet is to its connection |
//! | `enter` | connections begin and end; limits; expiry in slices |
//! | `tcp`, `timeout` | the states of TCP; how long connections live |
//! | `nat`, `rewrite` | which addresses and ports; writing them into packets |
//! | `expect`, `follow`, `shift`, [`ftp`] | connections that others announce |
//! | [`fragments`] | datagrams in pieces |
//! | [`skip`] | which packets need not be tracked |
//! | [`events`] | telling others what happens to connections |
//! | [`dump`], [`text`] | connections as values, and as text |
//!
//! # Invariants
//!
//! * A connection is found under the tuples of both its directions or under none.
//! * Counts of zones and of the whole are those of the records that are live.
//! * Time comes with the call; nothing here reads a clock or makes a thread.

mod count;
pub mod dump;
mod enter;
pub mod events;
mod expect;
mod follow;
pub mod fragments;
pub mod ftp;
mod inspect;
mod key;
mod nat;
mod plain;
mod record;
mod refusal;
mod rewrite;
mod shift;
pub mod skip;
mod table;
mod tcp;
pub mod text;
mod timeout;
mod track;
mod zones;

pub use expect::Expected;
pub use fragments::{Family, Fragments};
pub use key::{Rest, Tuple};
pub use refusal::Refusals;
pub use tcp::{Scale, TcpState};
pub use timeout::{Life, TimeoutPolicy};
pub use track::Tracked;
pub use zones::ZoneLimit;

use count::Count;
use expect::Expectations;
use key::Secret;
use record::Extra;
use table::Table;
use timeout::Timeouts;
use zones::Zones;

use crate::base::{Duration, Instant, Zone};
use crate::sync::{Locked, Segments, Word32, Word64};

bitflags::bitflags! {
    /// What a packet is to its connection: `ct_state`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CtState: u8 {
        /// It begins one.
        const NEW = 0x01;
        /// It belongs to one.
        const EST = 0x02;
        /// It has to do with one: an ICMP error, or a connection that another has announced.
        const REL = 0x04;
        /// It goes against its first direction.
        const RPL = 0x08;
        /// It cannot be tracked, or does not fit its connection.
        const INV = 0x10;
        /// It has been through the tracker.
        const TRK = 0x20;
        /// Its source has been translated.
        const SNAT = 0x40;
        /// Its destination has been translated.
        const DNAT = 0x80;
    }
}

/// How many connections there may be, unless said otherwise.
pub const DEFAULT_MAX_CONNECTIONS: u32 = 3_000_000;
/// How long a sweep over all connections takes, unless said otherwise.
pub const DEFAULT_SWEEP_INTERVAL: Duration = Duration::from_secs(20);

/// What the tracker counts: by any thread, seldom.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that have run out.
    pub expired: Word64,
    /// Connections that made room for new ones.
    pub evicted: Word64,
    /// Connections not entered because there are too many.
    pub full: Word64,
    /// Connections not entered because their zone has too many.
    pub zone_full: Word64,
    /// Connections not entered because no address and port was free.
    pub nat_exhausted: Word64,
    /// Packets with a wrong checksum of the network header.
    pub l3_checksum_errors: Word64,
    /// Packets with a wrong checksum of the transport header.
    pub l4_checksum_errors: Word64,
}

impl Counters {
    /// Every counter with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("conntrack_expired", &self.expired),
            ("conntrack_evicted", &self.evicted),
            ("conntrack_full", &self.full),
            ("conntrack_zone_full", &self.zone_full),
            ("conntrack_nat_exhausted", &self.nat_exhausted),
            ("conntrack_l3csum_err", &self.l3_checksum_errors),
            ("conntrack_l4csum_err", &self.l4_checksum_errors),
        ]
        .map(|(name, counter)| (name, counter.get()))
        .into_iter()
    }
}

/// The connections of a datapath.
#[derive(Debug)]
pub struct Conntrack {
    secret: Secret,
    table: Table,
    zones: Zones,
    timeouts: Timeouts,
    extras: Segments<Extra>,
    spare_extras: Locked<enter::SpareExtras>,
    /// Connections now.
    count: Count,
    /// Connections at most.
    max: Word32,
    /// Whether TCP's sequence numbers are *not* checked.
    lax: Word32,
    /// Whether packets are dropped whose connection is not entered because of a bound.
    drops_unentered: Word32,
    /// Nanoseconds in which a sweep visits every record.
    sweep_interval: Word64,
    sweep: Locked<enter::Sweep>,
    /// Where the search for connections to make room with goes on.
    hand: Word32,
    counters: Counters,
    fragments: Fragments,
    expectations: Expectations,
    listener: events::Listener,
}

impl Conntrack {
    /// No connections. `seed` keys the hashes: from a source of randomness in production.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            secret: Secret::new(seed),
            table: Table::default(),
            zones: Zones::default(),
            timeouts: Timeouts::default(),
            extras: Segments::default(),
            spare_extras: Locked::default(),
            count: Count::default(),
            max: Word32::new(DEFAULT_MAX_CONNECTIONS),
            lax: Word32::new(0),
            drops_unentered: Word32::new(0),
            sweep_interval: Word64::new(
                u64::try_from(DEFAULT_SWEEP_INTERVAL.as_nanos()).unwrap_or(u64::MAX),
            ),
            sweep: Locked::default(),
            hand: Word32::new(0),
            counters: Counters::default(),
            fragments: Fragments::default(),
            expectations: Expectations::default(),
            listener: events::Listener::default(),
        }
    }

    /// Datagrams in pieces.
    #[must_use]
    pub const fn fragments(&self) -> &Fragments {
        &self.fragments
    }

    /// What it counts.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Connections that have begun.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.table.begun()
    }

    /// Connections now.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.count.get()
    }

    /// Connections at most.
    #[must_use]
    pub fn max_connections(&self) -> u32 {
        self.max.get()
    }

    /// Sets how many connections there may be. Those beyond it stay until they end.
    pub fn set_max_connections(&self, max: u32) {
        self.max.set(max);
    }

    /// Whether TCP's sequence numbers are checked.
    #[must_use]
    pub fn checks_sequence(&self) -> bool {
        self.lax.get() == 0
    }

    /// Sets whether TCP's sequence numbers are checked.
    pub fn set_checks_sequence(&self, checked: bool) {
        self.lax.set(u32::from(!checked));
    }

    /// Whether a packet is dropped whose connection is to be entered and cannot be, because there are too
    /// many or its zone has too many.
    #[must_use]
    pub fn drops_unentered(&self) -> bool {
        self.drops_unentered.get() != 0
    }

    /// Sets whether such packets are dropped, as the kernel's tracker does, rather than going on as new
    /// ones, as they do at first and at the reference.
    pub fn set_drops_unentered(&self, dropped: bool) {
        self.drops_unentered.set(u32::from(dropped));
    }

    /// In what time a sweep visits every connection.
    #[must_use]
    pub fn sweep_interval(&self) -> Duration {
        Duration::from_nanos(self.sweep_interval.get())
    }

    /// Sets in what time a sweep visits every connection.
    pub fn set_sweep_interval(&self, interval: Duration) {
        self.sweep_interval.set(u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many connections a zone without a limit of its own may have; 0: any number.
    #[must_use]
    pub fn default_zone_limit(&self) -> u32 {
        self.zones.default_limit()
    }

    /// Sets that; 0 takes the limit away.
    pub fn set_default_zone_limit(&self, limit: u32) {
        self.zones.set_default_limit(limit);
    }

    /// Gives a zone a limit of its own (0: any number), or with `None` the default again.
    pub fn set_zone_limit(&self, zone: Zone, limit: Option<u32>) {
        self.zones.set_limit(zone, limit);
    }

    /// The limit that holds for a zone, and what the zone has.
    #[must_use]
    pub fn zone_limit(&self, zone: Zone) -> ZoneLimit {
        self.zones.limit(zone)
    }

    /// Zones with limits of their own, ascending.
    pub fn zone_limits(&self) -> impl Iterator<Item = ZoneLimit> + '_ {
        self.zones.limits()
    }

    /// Sets how long connections live for which no policy is named.
    pub fn set_default_timeouts(&self, policy: &TimeoutPolicy) {
        self.timeouts.set_default(policy);
    }

    /// Adds or replaces the timeout policy of a name; with `None` its connections go by the default.
    /// It holds for a connection from its next packet on.
    pub fn set_timeouts(&self, name: &str, policy: Option<TimeoutPolicy>) {
        self.timeouts.set(name, policy);
    }

    /// Sets how long a zone's connections live for which no policy is named; `None`: as by default.
    pub fn set_zone_timeouts(&self, zone: Zone, policy: Option<TimeoutPolicy>) {
        let Some(state) = self.zones.get(zone) else { return };
        let name = format!("zone {}", zone.0);
        let number = if policy.is_some() { self.timeouts.add(&name) } else { 0 };
        self.timeouts.set(&name, policy);
        state.policy.set(number);
    }

    /// How many connections each bucket of the table holds.
    pub fn occupancy(&self) -> impl Iterator<Item = usize> + '_ {
        self.table.occupancy()
    }

    /// Bytes of memory that the table takes now: records that were ever in use, and buckets.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.table.end() as usize * size_of::<record::Record>() + self.table.bucket_bytes()
    }

    /// Whether a connection of this time has ended by `now`.
    const fn is_over(expires: u64, now: Instant) -> bool {
        expires <= now.0
    }
}

#[cfg(test)]
mod tests;
