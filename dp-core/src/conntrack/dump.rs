//! Connections as values: for dumps, statistics, and flushes that name what goes.

use core::net::IpAddr;

use super::Conntrack;
use super::key::{Rest, Tuple};
use super::record::{Record, Status, words};
use super::tcp::{End, Scale, TcpState};
use crate::action::Masked;
use crate::action::ct::Helper;
use crate::base::{Instant, Zone};

/// A connection at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The first direction.
    pub orig: Tuple,
    /// The reply direction.
    pub reply: Tuple,
    /// Mark.
    pub mark: u32,
    /// Label.
    pub label: u128,
    /// Whole seconds that it lives if nothing more comes.
    pub timeout: u64,
    /// TCP: both ends, of the first direction and of the reply.
    pub tcp: Option<[TcpEnd; 2]>,
    /// Follows its protocol for connections that it announces.
    pub helper: Option<Helper>,
    /// The connection that announced it.
    pub parent: Option<Tuple>,
    /// A packet has come back.
    pub replied: bool,
}

/// One end of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpEnd {
    /// What it is at.
    pub state: TcpState,
    /// How it scales its window.
    pub scale: Scale,
}

impl Entry {
    /// The zone.
    #[must_use]
    pub const fn zone(&self) -> Zone {
        self.orig.rest.zone
    }
}

/// Parts of a tuple that must be as given; what is `None` may be anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TupleFilter {
    /// Source address.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: Option<IpAddr>,
    /// Protocol.
    pub proto: Option<u8>,
    /// Source port.
    pub sport: Option<u16>,
    /// Destination port.
    pub dport: Option<u16>,
    /// Identifier of ICMP.
    pub icmp_id: Option<u16>,
    /// Type of ICMP.
    pub icmp_type: Option<u8>,
    /// Code of ICMP.
    pub icmp_code: Option<u8>,
}

impl TupleFilter {
    /// Whether it lets every tuple through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The tuple, if every part of one is given; ICMP needs all three of its own.
    #[must_use]
    pub fn exact(&self, zone: Zone) -> Option<Tuple> {
        let (src, dst, proto) = (self.src?, self.dst?, self.proto?);
        let mut rest = Rest { proto, zone, ..Rest::default() };
        (rest.sport, rest.dport) = if matches!(proto, super::inspect::ICMP | super::inspect::ICMPV6)
        {
            (self.icmp_id?, u16::from_be_bytes([self.icmp_type?, self.icmp_code?]))
        } else {
            (self.sport?, self.dport?)
        };
        Some(Tuple { src, dst, rest })
    }

    /// Whether a tuple is as it says.
    #[must_use]
    pub fn matches(&self, tuple: &Tuple) -> bool {
        fn fits<T: PartialEq>(wanted: Option<T>, found: T) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        let Rest { proto, sport, dport, .. } = tuple.rest;
        let ends =
            fits(self.src, tuple.src) && fits(self.dst, tuple.dst) && fits(self.proto, proto);
        let icmp = || {
            fits(self.icmp_id, sport)
                && fits(self.icmp_type, tuple.icmp_type())
                && fits(self.icmp_code, tuple.icmp_code())
        };
        // Of ICMP a port is the identifier, or type and code.
        let ports = || fits(self.sport, sport) && fits(self.dport, dport);
        ends && ports() && (!tuple.is_icmp() || icmp())
    }
}

/// Which connections are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of this zone.
    pub zone: Option<Zone>,
    /// Those whose mark is so.
    pub mark: Option<Masked<u32>>,
    /// Those whose label is so.
    pub label: Option<Masked<u128>>,
    /// Those whose first direction is so.
    pub orig: TupleFilter,
    /// Those whose reply direction is so.
    pub reply: TupleFilter,
}

impl Filter {
    /// Whether only the zone counts.
    #[must_use]
    pub fn is_zone_only(&self) -> bool {
        self.mark.is_none() && self.label.is_none() && self.orig.is_empty() && self.reply.is_empty()
    }

    /// The one tuple that is meant, of either direction: where nothing else is said but a zone,
    /// which is zone 0 unless it is.
    #[must_use]
    pub fn exact(&self) -> Option<Tuple> {
        if self.mark.is_some() || self.label.is_some() || !self.reply.is_empty() {
            return None;
        }
        self.orig.exact(self.zone.unwrap_or_default())
    }

    /// Whether a connection is meant.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        self.zone.is_none_or(|zone| zone == entry.zone())
            && self.mark.is_none_or(|it| entry.mark & it.mask == it.value & it.mask)
            && self.label.is_none_or(|it| entry.label & it.mask == it.value & it.mask)
            && self.orig.matches(&entry.orig)
            && self.reply.matches(&entry.reply)
    }
}

impl Conntrack {
    /// Calls `each` for every connection that is not over, of a zone or of all.
    pub fn dump(&self, zone: Option<Zone>, now: Instant, mut each: impl FnMut(Entry)) {
        for index in 0..self.table.end() {
            let Some(record) = self.table.record(index) else { continue };
            if let Some((_, entry)) = self.entry(record, now)
                && zone.is_none_or(|zone| zone == entry.zone())
            {
                each(entry);
            }
        }
    }

    /// A record as a value; `None` if it is no connection, or over, or changing hands.
    fn entry(&self, record: &Record, now: Instant) -> Option<(u32, Entry)> {
        if record.is_expired(now) { None } else { self.value(record, now) }
    }

    /// The same, of one that is over too as long as nobody has ended it.
    pub(super) fn value(&self, record: &Record, now: Instant) -> Option<(u32, Entry)> {
        let (generation, status) = record.status();
        if !status.contains(Status::LIVE) {
            return None;
        }
        let orig = Tuple::from_words(&record.words());
        let extra = self.extra(record);
        let reply = match extra {
            Some(extra) if status.contains(Status::TWO_KEYS) => {
                Tuple::from_words(&words(&extra.reply))
            }
            _ => orig.reversed(),
        };
        let parent = extra.map(|extra| words(&extra.parent)).filter(|parent| *parent != [0; 5]);
        let tcp = (orig.rest.proto == super::inspect::TCP).then(|| {
            let [one, two] = &record.tcp;
            [End::load(one), End::load(two)]
                .map(|end| TcpEnd { state: end.state, scale: end.scale })
        });
        let helper = if status.contains(Status::FTP) {
            Some(Helper::Ftp)
        } else {
            status.contains(Status::TFTP).then_some(Helper::Tftp)
        };
        let entry = Entry {
            orig,
            reply,
            mark: record.mark.get(),
            label: record.label(),
            timeout: Instant(record.expires.get()).since(now).as_secs(),
            tcp,
            helper,
            parent: parent.map(|parent| Tuple::from_words(&parent)),
            replied: status.contains(Status::REPLIED),
        };
        record.is_still(generation).then_some((generation, entry))
    }

    /// Ends the connections that a filter means; returns how many.
    pub fn flush_matching(&self, filter: &Filter, now: Instant) -> usize {
        if filter.is_zone_only() {
            return self.flush(filter.zone, now);
        }
        if let Some(tuple) = filter.exact() {
            let words = tuple.words();
            let found = self.find(self.secret.hash(&words), &words);
            let ended = found.is_some_and(|(found, record)| {
                !record.is_expired(now) && self.end(found.index, found.generation, now)
            });
            return usize::from(ended);
        }
        (0..self.table.end())
            .filter(|&index| {
                let found = self.table.record(index).and_then(|record| self.entry(record, now));
                found.is_some_and(|(generation, entry)| {
                    filter.matches(&entry) && self.end(index, generation, now)
                })
            })
            .count()
    }
}
