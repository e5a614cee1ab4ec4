//! Datagrams in pieces.
//!
//! Only a datagram's first piece has ports, and no piece can be judged alone. Pieces wait here until
//! the datagram is whole; then the whole is tracked, and the pieces go on, each with what was found:
//! they keep their sizes, so that path MTU discovery and the other end see what was sent.
//!
//! ```text
//!   piece ─► fits? ─► list of (addresses, id, protocol, zone) ─► whole? ─► tracked ─► all pieces
//!              │                       │
//!           invalid            over after 15 s: dropped
//! ```
//!
//! A piece that overlaps another, is smaller than allowed and not the last, or reaches beyond the end
//! is invalid and goes on as such (RFC 5722, RFC 1858). Everything is bounded: pieces in all, pieces
//! of one datagram, and the time they wait.
//!
//! # Threads
//!
//! One lock for all lists: whoever sends fragments pays for it, others never come here.

use core::fmt::Write as _;
use core::net::IpAddr;
use std::collections::{HashMap, VecDeque};

use super::inspect::{Datagram, Unfit, datagram};
use crate::base::{Duration, Instant, PortNo, RecircId, Zone};
use crate::packet::{Offloads, Packet, Pool};
use crate::sync::{Locked, Word32, Word64};
use crate::wire::checksum::checksum;

/// How long pieces wait for the rest.
const PATIENCE: Duration = Duration::from_secs(15);
/// Pieces of one datagram: as many as the least allowed size makes of the largest datagram, and some.
const MAX_PIECES: usize = 192;
/// Pieces in all, unless said otherwise, and at most.
const DEFAULT_MAX: u32 = 1000;
const UPPER_MAX: u32 = 5000;
/// The least that the least size may be set to.
const LEAST_MIN: u32 = 400;
const MAX_DATAGRAM: usize = 0xffff;

/// An IP version, where fragments are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Figures and counters of one family.
#[derive(Debug)]
struct Figures {
    off: Word32,
    min: Word32,
    accepted: Word64,
    completed: Word64,
    expired: Word64,
    small: Word64,
    overlapped: Word64,
    purged: Word64,
}

impl Figures {
    const fn new(min: u32) -> Self {
        Self {
            off: Word32::new(0),
            min: Word32::new(min),
            accepted: Word64::new(0),
            completed: Word64::new(0),
            expired: Word64::new(0),
            small: Word64::new(0),
            overlapped: Word64::new(0),
            purged: Word64::new(0),
        }
    }
}

/// Which datagram a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    proto: u8,
    zone: Zone,
    pass: RecircId,
}

#[derive(Debug)]
struct Piece {
    from: usize,
    to: usize,
    packet: Packet,
}

/// The pieces of one datagram, by their places.
#[derive(Debug, Default)]
struct List {
    pieces: Vec<Piece>,
    /// Where the datagram ends, once its last piece is here.
    end: Option<usize>,
    born: Instant,
}

#[derive(Debug, Default)]
struct Lists {
    lists: HashMap<Key, List>,
    /// Lists in the order of their birth; some may be gone.
    births: VecDeque<(Instant, Key)>,
}

/// What has become of a piece.
#[derive(Debug)]
pub(super) enum Held {
    /// It waits.
    Waits,
    /// It is invalid.
    Refused(Packet),
    /// With it the datagram is whole: the datagram, and its pieces in order.
    Whole(Packet, Vec<Packet>),
}

/// All datagrams that are in pieces.
#[derive(Debug)]
pub struct Fragments {
    lists: Locked<Lists>,
    held: Word32,
    max: Word32,
    v4: Figures,
    v6: Figures,
}

impl Default for Fragments {
    fn default() -> Self {
        Self {
            lists: Locked::default(),
            held: Word32::new(0),
            max: Word32::new(DEFAULT_MAX),
            v4: Figures::new(1200),
            v6: Figures::new(1280),
        }
    }
}

impl Fragments {
    const fn figures(&self, family: Family) -> &Figures {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// Switches reassembly of a family on or off. What waits when it is switched off is dropped.
    pub fn set_enabled(&self, family: Family, enabled: bool) {
        let figures = self.figures(family);
        figures.off.set(u32::from(!enabled));
        if enabled {
            return;
        }
        let mut lists = self.lists.lock();
        lists.lists.retain(|key, list| {
            let goes = family_of(key.src) == family;
            if goes {
                let pieces = list.pieces.len();
                figures.purged.add(pieces as u64);
                self.held.sub(u32::try_from(pieces).unwrap_or(0));
            }
            !goes
        });
    }

    /// Sets the least size of a piece that is not the last. `false`: too small.
    #[must_use]
    pub fn set_min(&self, family: Family, min: u32) -> bool {
        let allowed = min >= LEAST_MIN;
        if allowed {
            self.figures(family).min.set(min);
        }
        allowed
    }

    /// Sets how many pieces may wait. `false`: too many.
    #[must_use]
    pub fn set_max(&self, max: u32) -> bool {
        let allowed = max <= UPPER_MAX;
        if allowed {
            self.max.set(max);
        }
        allowed
    }

    /// Pieces that wait.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.held.get()
    }

    /// Drops what has waited too long; returns how many pieces.
    pub fn expire(&self, now: Instant) -> u64 {
        if self.held.get() == 0 {
            return 0;
        }
        let mut lists = self.lists.lock();
        let mut dropped = 0;
        while let Some(&(born, key)) = lists.births.front() {
            if now.since(born) < PATIENCE {
                break;
            }
            lists.births.pop_front();
            if lists.lists.get(&key).is_some_and(|list| list.born == born)
                && let Some(list) = lists.lists.remove(&key)
            {
                let pieces = list.pieces.len();
                self.figures(family_of(key.src)).expired.add(pieces as u64);
                self.held.sub(u32::try_from(pieces).unwrap_or(0));
                dropped += pieces as u64;
            }
        }
        dropped
    }

    /// Takes a piece. `entry` is the port of entry of a packet in its first pass.
    pub(super) fn hold(
        &self,
        mut packet: Packet,
        zone: Zone,
        entry: Option<PortNo>,
        now: Instant,
    ) -> Held {
        let Ok(found) = datagram(&packet) else { return Held::Refused(packet) };
        let figures = self.figures(family_of(found.src));
        let Some((offset, more)) = found.fragment.filter(|_| figures.off.get() == 0) else {
            return Held::Refused(packet);
        };
        let start = payload_start(&found);
        let len = found.end.saturating_sub(start);
        let (from, to) = (usize::from(offset), usize::from(offset) + len);
        let whole_len = found.end - found.l3;
        let fits = found.end <= packet.len()
            && len != 0
            && to <= MAX_DATAGRAM
            && (!more || len.is_multiple_of(8));
        if !fits {
            return Held::Refused(packet);
        }
        if more && whole_len < figures.min.get() as usize {
            figures.small.add(1);
            return Held::Refused(packet);
        }
        if let Some(port) = entry {
            let meta = packet.meta_mut();
            (meta.in_port, meta.recirc_id, meta.passes) = (port, RecircId(0), 0);
        }
        let proto = match family_of(found.src) {
            Family::V4 => found.proto,
            Family::V6 => packet.data().get(found.fragment_at).copied().unwrap_or(0),
        };
        let pass = packet.meta().recirc_id;
        let key = Key { src: found.src, dst: found.dst, id: found.id, proto, zone, pass };
        let mut lists = self.lists.lock();
        let list = lists.lists.get(&key);
        if !list.is_none_or(|list| list.has_room_for(from, to, more)) {
            figures.overlapped.add(1);
            return Held::Refused(packet);
        }
        let many = list.is_some_and(|list| list.pieces.len() >= MAX_PIECES);
        if many || !self.held.take_one(self.max.get()) {
            return Held::Refused(packet);
        }
        figures.accepted.add(1);
        if list.is_none() {
            lists.births.push_back((now, key));
            lists.lists.insert(key, List { born: now, ..List::default() });
        }
        let Some(list) = lists.lists.get_mut(&key) else { return Held::Waits };
        list.add(Piece { from, to, packet }, more);
        if !list.is_whole() {
            return Held::Waits;
        }
        let Some(list) = lists.lists.remove(&key) else { return Held::Waits };
        drop(lists);
        let pieces = list.pieces.len();
        self.held.sub(u32::try_from(pieces).unwrap_or(0));
        figures.completed.add(pieces as u64);
        let whole = join(&list);
        let mut pieces: Vec<Packet> = list.pieces.into_iter().map(|piece| piece.packet).collect();
        match whole {
            Some(whole) => Held::Whole(whole, pieces),
            // No buffer: the last one is refused and the others are gone.
            None => pieces.pop().map_or(Held::Waits, Held::Refused),
        }
    }

    /// What `dpctl/ipf-get-status` prints; `lists`: with what waits.
    #[must_use]
    pub fn status(&self, lists: bool) -> String {
        let on = |figures: &Figures| u8::from(figures.off.get() == 0);
        let mut out = format!(
            "        Fragmentation Module Status\n        ---------------------------\n        \
             v4 enabled: {}\n        v6 enabled: {}\n        max num frags (v4/v6): {}\n        \
             num frag: {}\n",
            on(&self.v4),
            on(&self.v6),
            self.max.get(),
            self.held.get()
        );
        for (name, figures) in [("v4", &self.v4), ("v6", &self.v6)] {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "        min {name} frag size: {}", figures.min.get());
            let counters = [
                ("accepted", &figures.accepted),
                ("completed", &figures.completed),
                ("expired", &figures.expired),
                ("too small", &figures.small),
                ("overlapped", &figures.overlapped),
                ("purged", &figures.purged),
            ];
            for (what, counter) in counters {
                let _ = writeln!(out, "        {name} frags {what}: {}", counter.get());
            }
        }
        if lists {
            self.print_lists(&mut out);
        }
        out
    }

    fn print_lists(&self, out: &mut String) {
        out.push_str("\n        Fragment Lists:\n\n");
        let lists = self.lists.lock();
        let mut all: Vec<_> = lists.lists.iter().collect();
        all.sort_unstable_by_key(|(key, _)| **key);
        for (key, list) in all {
            let first = list.pieces.first().is_some_and(|piece| piece.from == 0);
            let state = match (first, list.end.is_some()) {
                (false, false) => "open frag",
                (true, false) => "first frag",
                (false, true) => "last frag",
                (true, true) => "first/last frag",
            };
            let eth_type = if key.src.is_ipv6() { "0x86dd" } else { "0x800" };
            let Key { src, dst, id, proto, zone, pass } = key;
            let _ = writeln!(
                out,
                "(src={src},dst={dst},recirc_id={},ip_id={id},dl_type={eth_type},zone={},\
                 nw_proto={proto},num_fragments={},state={state})",
                pass.0,
                zone.0,
                list.pieces.len()
            );
        }
    }
}

impl List {
    fn position(&self, from: usize) -> usize {
        self.pieces.partition_point(|piece| piece.from < from)
    }

    /// Whether a piece overlaps none that is here, nor contradicts the end.
    fn has_room_for(&self, from: usize, to: usize, more: bool) -> bool {
        let at = self.position(from);
        let before = at.checked_sub(1).and_then(|at| self.pieces.get(at));
        let after = self.pieces.get(at);
        let beyond = match self.end {
            Some(end) => to > end || (!more && to != end),
            None => !more && self.pieces.last().is_some_and(|last| last.to > to),
        };
        !beyond
            && before.is_none_or(|piece| piece.to <= from)
            && after.is_none_or(|piece| piece.from >= to)
    }

    fn add(&mut self, piece: Piece, more: bool) {
        if !more {
            self.end = Some(piece.to);
        }
        let at = self.position(piece.from);
        self.pieces.insert(at, piece);
    }

    fn is_whole(&self) -> bool {
        // They do not overlap and lie below the end: as many bytes as it has means all of them.
        let bytes: usize = self.pieces.iter().map(|piece| piece.to - piece.from).sum();
        self.end == Some(bytes)
    }
}

fn family_of(address: IpAddr) -> Family {
    if address.is_ipv6() { Family::V6 } else { Family::V4 }
}

/// Where the part of a datagram begins that was cut into pieces.
fn payload_start(found: &Datagram) -> usize {
    match family_of(found.src) {
        Family::V4 => found.l4,
        Family::V6 => found.fragment_at + 8,
    }
}

/// The whole datagram, with the first piece's headers.
fn join(list: &List) -> Option<Packet> {
    let first = &list.pieces.first()?.packet;
    let found = datagram(first).ok()?;
    let start = payload_start(&found);
    let len = start + list.end?;
    let mut whole = Pool::for_len(len)?.alloc()?;
    let out = whole.append(len)?;
    out.get_mut(..start)?.copy_from_slice(first.data().get(..start)?);
    for piece in &list.pieces {
        let found = datagram(&piece.packet).ok()?;
        let bytes = piece.packet.data().get(payload_start(&found)..found.end)?;
        out.get_mut(start + piece.from..start + piece.to)?.copy_from_slice(bytes);
    }
    let l3 = found.l3;
    let mut put = |at: usize, value: u16| -> Option<()> {
        *out.get_mut(at..)?.first_chunk_mut()? = value.to_be_bytes();
        Some(())
    };
    match family_of(found.src) {
        Family::V4 => {
            put(l3 + 2, u16::try_from(len - l3).ok()?)?;
            put(l3 + 6, 0)?;
            put(l3 + 10, 0)?;
            let sum = checksum(out.get(l3..start)?);
            *out.get_mut(l3 + 10..)?.first_chunk_mut()? = sum.to_be_bytes();
        }
        Family::V6 => {
            put(l3 + 4, u16::try_from(len - l3 - 40).ok()?)?;
            put(found.fragment_at + 2, 0)?;
        }
    }
    *whole.meta_mut() = *first.meta();
    whole.meta_mut().offloads = Offloads::empty();
    if let Some(ct) = first.ct() {
        whole.set_ct(*ct);
    }
    Some(whole)
}

/// Lets a piece have the addresses, and the first piece the ports and checksum, that the whole has
/// been given. `None`: it does not look like a piece of it.
pub(super) fn rewrite(piece: &mut Packet, whole: &Packet) -> Option<()> {
    let (mine, all) = (datagram(piece).ok()?, datagram(whole).ok()?);
    let partial_l4 = all.end.saturating_sub(all.l4).min(mine.end.saturating_sub(mine.l4));
    let first = mine.fragment.is_some_and(|(offset, _)| offset == 0);
    let addresses = match family_of(mine.src) {
        Family::V4 => (12, 8),
        Family::V6 => (8, 32),
    };
    let (at, len) = addresses;
    let from = whole.data().get(all.l3 + at..all.l3 + at + len)?;
    piece.data_mut().get_mut(mine.l3 + at..mine.l3 + at + len)?.copy_from_slice(from);
    if family_of(mine.src) == Family::V4 {
        let header = piece.data_mut().get_mut(mine.l3..mine.l4)?;
        header.get_mut(10..12)?.fill(0);
        let sum = checksum(header);
        header.get_mut(10..12)?.copy_from_slice(&sum.to_be_bytes());
    }
    if first {
        // Ports, identifiers and checksums stand in the first 20 bytes of every protocol.
        let len = partial_l4.min(20);
        let from = whole.data().get(all.l4..all.l4 + len)?;
        piece.data_mut().get_mut(mine.l4..mine.l4 + len)?.copy_from_slice(from);
    }
    Some(())
}

/// Whether a packet is a piece of a datagram.
pub(super) const fn is_piece(unfit: Unfit) -> bool {
    matches!(unfit, Unfit::Fragment)
}
