//! What a packet is to its connection.
//!
//! A burst goes through in three rounds, so that memory is asked for before it is needed: inspect
//! and hash all, fetch the records, then one after another. Packets of one connection in one burst
//! see each other's effects, in their order.

use super::enter::{Fresh, Refused};
use super::events::Events;
use super::follow::Control;
use super::fragments::{self, Held};
use super::inspect::{self, Seen, TCP, Unfit};
use super::key::{self, Tuple, Words};
use super::record::{Found, Record, Status, words};
use super::refusal::{Refusal, Refusals};
use super::tcp::{self, End, TcpState, Verdict};
use super::timeout::{DEFAULT_POLICY, Life};
use super::{Conntrack, CtState, rewrite, shift};
use crate::action::Ct;
use crate::action::ct::{Helper, NatEnd, NatTarget};
use crate::base::{Instant, PortNo};
use crate::packet::{Burst, CtAddrs, CtMeta, Packet, Slots};

/// Packets that go through together: enough to fetch memory for one while others are worked on.
const ROUND: usize = 16;

/// A packet between the steps of a round.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    slot: usize,
    /// Whether it can be tracked; what was seen means nothing otherwise.
    fit: Result<(), Unfit>,
    seen: Seen,
    hash: u64,
    /// The record that the hash most likely leads to.
    likely: Option<u32>,
}

/// What has become of a packet.
#[derive(Clone, Copy, Debug)]
struct Outcome<'a> {
    state: CtState,
    /// The connection, if it has one.
    found: Option<(Found, &'a Record)>,
}

/// What a connection is asked for beside the table: how a call works.
#[derive(Clone, Copy, Debug)]
struct Call<'a> {
    ct: &'a Ct,
    policy: u32,
    strict: bool,
    now: Instant,
}

/// What has become of a burst.
#[derive(Debug, Default)]
pub struct Tracked {
    /// Packets that must be dropped: their connection could not be entered.
    pub refused: Refusals,
    /// Pieces of datagrams that are whole now: they go on as the others do.
    pub released: Vec<Burst>,
    /// Pieces that have waited too long and are gone.
    pub expired: u64,
}

impl Tracked {
    fn release(&mut self, pieces: Vec<Packet>) {
        for mut piece in pieces {
            loop {
                if self.released.last().is_none_or(Burst::is_full) {
                    self.released.push(Burst::default());
                }
                let Some(burst) = self.released.last_mut() else { break };
                match burst.push(piece) {
                    Ok(()) => break,
                    Err(back) => piece = back,
                }
            }
        }
    }
}

impl Outcome<'_> {
    const fn of(state: CtState) -> Self {
        Self { state, found: None }
    }
}

impl Conntrack {
    /// Runs the packets in `slots` through the tracker. `entry` is the port of entry of packets in
    /// their first pass.
    pub fn run(
        &self,
        burst: &mut Burst,
        slots: Slots,
        ct: &Ct,
        entry: Option<PortNo>,
        now: Instant,
    ) -> Tracked {
        self.run_here(burst, slots, ct, entry, now)
    }

    /// The same, to be compiled with what its caller is compiled for.
    #[inline(always)]
    pub(crate) fn run_here(
        &self,
        burst: &mut Burst,
        slots: Slots,
        ct: &Ct,
        entry: Option<PortNo>,
        now: Instant,
    ) -> Tracked {
        let policy = match &ct.timeout {
            Some(name) => self.timeouts.named(name),
            None => self.zones.known(ct.zone).map_or(DEFAULT_POLICY, |zone| zone.policy.get()),
        };
        let call = Call { ct, policy, strict: self.checks_sequence(), now };
        let mut out = Tracked::default();
        let mut left = slots;
        while !left.is_empty() {
            left = self.round(burst, left, entry, &call, &mut out);
        }
        out
    }

    /// The next few packets; returns those that are left.
    #[inline(always)]
    fn round(
        &self,
        burst: &mut Burst,
        slots: Slots,
        entry: Option<PortNo>,
        call: &Call<'_>,
        out: &mut Tracked,
    ) -> Slots {
        const EMPTY: Waiting =
            Waiting { slot: 0, fit: Err(Unfit::NotIp), seen: Seen::EMPTY, hash: 0, likely: None };
        let mut waiting = [EMPTY; ROUND];
        let mut left = slots;
        let mut count = 0;
        for (slot, place) in slots.iter().zip(&mut waiting) {
            left.remove(slot);
            count += 1;
            place.slot = slot;
            let Some(packet) = burst.get(slot) else { continue };
            place.fit = inspect::inspect(packet, call.ct.zone, &mut place.seen);
            if place.fit.is_ok() {
                place.hash = self.secret.hash(&place.seen.words);
                self.table.prefetch(place.hash);
            }
        }
        let waiting = waiting.get_mut(..count).unwrap_or_default();
        for place in &mut *waiting {
            if place.fit.is_ok() {
                place.likely = self.table.likely(place.hash, place.seen.proto() == TCP);
            }
        }
        for place in waiting {
            let Some(packet) = burst.get_mut(place.slot) else { continue };
            if place.fit.is_err_and(fragments::is_piece) {
                self.piece(burst, place.slot, entry, call, out);
            } else if let Err(refusal) = self.one(packet, place, call) {
                out.refused.insert(place.slot, refusal);
            }
        }
        left
    }

    /// A piece of a datagram.
    #[cold]
    fn piece(
        &self,
        burst: &mut Burst,
        slot: usize,
        entry: Option<PortNo>,
        call: &Call<'_>,
        out: &mut Tracked,
    ) {
        out.expired += self.fragments.expire(call.now);
        let Some(packet) = burst.take(slot) else { return };
        match self.fragments.hold(packet, call.ct.zone, entry, call.now) {
            Held::Waits => {}
            Held::Refused(mut packet) => {
                self.unfit(&mut packet, Unfit::Fragment, call);
                burst.put_back(slot, packet);
            }
            Held::Whole(mut whole, mut pieces) => {
                let mut seen = Seen::EMPTY;
                let fit = inspect::inspect(&whole, call.ct.zone, &mut seen);
                let hash = self.secret.hash(&seen.words);
                let waiting = Waiting { slot, fit, seen, hash, likely: None };
                if let Err(refusal) = self.one(&mut whole, &waiting, call) {
                    out.refused.add_pieces(pieces.len(), refusal);
                    return;
                }
                let Some(found) = whole.ct().copied() else { return };
                let state = CtState::from_bits_retain(found.state);
                for piece in &mut pieces {
                    if state.intersects(CtState::SNAT | CtState::DNAT)
                        && fragments::rewrite(piece, &whole).is_none()
                    {
                        continue;
                    }
                    piece.set_ct(found);
                }
                out.release(pieces);
            }
        }
    }

    /// One packet. An error: it must not go on.
    #[inline(always)]
    fn one(&self, packet: &mut Packet, waiting: &Waiting, call: &Call<'_>) -> Result<(), Refusal> {
        if let Err(unfit) = waiting.fit {
            self.unfit(packet, unfit, call);
            return Ok(());
        }
        let seen = &waiting.seen;
        let found = match self.likely(waiting) {
            Some(found) => Some(found),
            None => self.look_further(packet, waiting, call),
        };
        let outcome = match found {
            Some((found, record)) if self.is_usable(&found, record, call) => {
                self.known(packet, seen, (found, record), call)
            }
            _ => None,
        };
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => self.unknown(packet, seen, call)?,
        };
        self.note(packet, seen, outcome, call);
        Ok(())
    }

    /// The connection that the packet's hash led to, if it is the packet's.
    #[inline(always)]
    fn likely(&self, waiting: &Waiting) -> Option<(Found, &Record)> {
        let index = waiting.likely?;
        let record = self.table.record(index)?;
        let found = self.is_of(index, record, &waiting.seen.words)?;
        Some((found, record))
    }

    /// The same, wherever it may be.
    #[inline(never)]
    fn look_further(
        &self,
        packet: &Packet,
        waiting: &Waiting,
        call: &Call<'_>,
    ) -> Option<(Found, &Record)> {
        let Waiting { seen, hash, .. } = waiting;
        self.find(*hash, &seen.words).or_else(|| self.known_by_answer(packet, seen, *hash, call))
    }

    /// A packet that cannot be tracked.
    #[cold]
    fn unfit(&self, packet: &mut Packet, unfit: Unfit, call: &Call<'_>) {
        match unfit {
            Unfit::L3Checksum => {
                self.counters.l3_checksum_errors.add(1);
            }
            Unfit::L4Checksum => {
                self.counters.l4_checksum_errors.add(1);
            }
            Unfit::NotIp | Unfit::Header | Unfit::Fragment => {}
        }
        packet.set_ct(CtMeta {
            zone: call.ct.zone.0,
            state: (CtState::INV | CtState::TRK).bits(),
            ..CtMeta::default()
        });
    }

    /// The connection of a packet that an earlier pass in this zone has translated: its tuple is now
    /// what the other side answers to.
    #[cold]
    fn known_by_answer(
        &self,
        packet: &Packet,
        seen: &Seen,
        hash: u64,
        call: &Call<'_>,
    ) -> Option<(Found, &Record)> {
        let before = packet.ct()?;
        let state = CtState::from_bits_retain(before.state);
        if !state.intersects(CtState::SNAT | CtState::DNAT) || before.zone != call.ct.zone.0 {
            return None;
        }
        let (mut found, record) = self.find(hash, &key::reversed(&seen.words))?;
        found.reply = !found.reply;
        Some((found, record))
    }

    /// Whether a connection that was found is one: not over, and not to be forced anew.
    #[inline(always)]
    fn is_usable(&self, found: &Found, record: &Record, call: &Call<'_>) -> bool {
        if self.ends_if_over(found, record, call.now) {
            return false;
        }
        if call.ct.force && found.reply {
            self.end(found.index, found.generation, call.now);
            return false;
        }
        true
    }

    /// Whether a connection's time is over; then it is ended.
    #[inline(always)]
    fn ends_if_over(&self, found: &Found, record: &Record, now: Instant) -> bool {
        let over = record.is_expired(now);
        if over && self.end(found.index, found.generation, now) {
            self.counters.expired.add(1);
        }
        over
    }

    /// A packet of a connection. `None`: the connection is over, and the packet begins another.
    #[inline(always)]
    fn known<'a>(
        &self,
        packet: &mut Packet,
        seen: &Seen,
        (found, record): (Found, &'a Record),
        call: &Call<'_>,
    ) -> Option<Outcome<'a>> {
        let (_, status) = record.status();
        let direction = if found.reply { CtState::RPL } else { CtState::empty() };
        let mut state =
            if status.contains(Status::EXPECTED) { CtState::REL } else { CtState::empty() };
        if seen.related {
            state = CtState::REL | direction;
        } else {
            let verdict = if seen.proto() == TCP {
                self.tcp(packet, seen, &found, (record, status), call)
            } else {
                self.other(seen, &found, record, status, call)
            };
            match verdict {
                Verdict::Valid => state |= CtState::EST | direction,
                Verdict::ValidNew => state |= CtState::NEW,
                Verdict::Invalid => state = CtState::INV,
                Verdict::New => {
                    self.end(found.index, found.generation, call.now);
                    return None;
                }
            }
        }
        if !record.is_still(found.generation) {
            return None;
        }
        if found.reply
            && !status.contains(Status::REPLIED)
            && record.status().1.contains(Status::REPLIED)
        {
            self.tell(Events::REPLY, record, call.now);
        }
        let natted = status.intersects(Status::SRC_NAT | Status::DST_NAT);
        let mut written = false;
        if natted && call.ct.nat.is_some() {
            let done;
            (done, written) = self.translate(packet, seen, &found, record, status);
            state |= done;
        }
        let controls = status.intersects(Status::FTP | Status::TFTP | Status::SHIFTED);
        let fits = !seen.related && !state.contains(CtState::INV);
        if controls && fits && (written || !natted) {
            if call.ct.commit {
                self.set_marks(record, found.generation, call);
            }
            self.control(packet, seen, found, record, call);
        }
        Some(Outcome { state, found: Some((found, record)) })
    }

    /// A TCP segment of a connection.
    #[inline(always)]
    fn tcp(
        &self,
        packet: &Packet,
        seen: &Seen,
        found: &Found,
        (record, status): (&Record, Status),
        call: &Call<'_>,
    ) -> Verdict {
        let mut segment = seen.segment;
        if status.contains(Status::SHIFTED)
            && let Some(extra) = self.extra(record)
        {
            segment = shift::as_sent(extra, usize::from(found.reply), &segment);
        }
        let [one, two] = &record.tcp;
        let (from_words, to_words) = if found.reply { (two, one) } else { (one, two) };
        let (mut from, mut to) = (End::load(from_words), End::load(to_words));
        let watched = self.timeouts.watches(policy_of(record, status));
        if call.strict && !watched && tcp::flows(&segment, &mut from, &mut to) {
            from.store(from_words);
            to.store(to_words);
            self.prolong((record, status), Life::TcpEstablished, call.now);
            return Verdict::Valid;
        }
        let _guard = record.lock.lock();
        if !record.is_still(found.generation) {
            return Verdict::New;
        }
        let (mut from, mut to) = (End::load(from_words), End::load(to_words));
        let header = packet.data().get(seen.l4..seen.end).unwrap_or_default();
        let before = from.low;
        let verdict = tcp::update(&segment, header, &mut from, &mut to, call.strict);
        let life = match verdict {
            Verdict::Valid => {
                if found.reply {
                    record.set_status(found.generation, Status::REPLIED);
                }
                tcp::life(from.state, to.state)
            }
            Verdict::ValidNew if to.state == TcpState::SynSent => Life::TcpSynSent2,
            Verdict::ValidNew => Life::TcpFirst,
            Verdict::Invalid | Verdict::New => return verdict,
        };
        if watched {
            tcp::watch(&segment, before, &mut from, &mut to);
            let parts = tcp::strains(&from, &to);
            let expiry = self.timeouts.shortened(policy_of(record, status), life, parts, call.now);
            record.expires.set(expiry);
        } else {
            self.prolong((record, status), life, call.now);
        }
        from.store(from_words);
        to.store(to_words);
        verdict
    }

    /// A packet of a connection whose protocol has no states of its own.
    #[inline(always)]
    fn other(
        &self,
        seen: &Seen,
        found: &Found,
        record: &Record,
        status: Status,
        call: &Call<'_>,
    ) -> Verdict {
        let replied = found.reply || status.contains(Status::REPLIED);
        if found.reply && !status.contains(Status::REPLIED) {
            record.set_status(found.generation, Status::REPLIED);
        }
        let icmp = key::is_icmp(seen.proto());
        let life = match (icmp, replied) {
            (true, true) => Life::IcmpReply,
            (true, false) => Life::IcmpFirst,
            (false, true) => Life::UdpMultiple,
            (false, false) => Life::UdpSingle,
        };
        self.prolong((record, status), life, call.now);
        if replied { Verdict::Valid } else { Verdict::ValidNew }
    }

    /// Lets a connection live as long as its state says from now on.
    #[inline(always)]
    fn prolong(&self, (record, status): (&Record, Status), life: Life, now: Instant) {
        let expiry = self.timeouts.expiry(policy_of(record, status), life, now);
        if record.expires.get() != expiry {
            record.expires.set(expiry);
        }
    }

    /// Writes the other side's view of the connection into a packet; returns what was done.
    #[cold]
    fn translate(
        &self,
        packet: &mut Packet,
        seen: &Seen,
        found: &Found,
        record: &Record,
        status: Status,
    ) -> (CtState, bool) {
        let zone = key::zone(&seen.words);
        let done = CtState::SNAT | CtState::DNAT;
        if let Some(before) = packet.ct().filter(|before| before.zone == zone.0) {
            let before = CtState::from_bits_retain(before.state).intersection(done);
            if !before.is_empty() {
                // An earlier pass has.
                return (before, false);
            }
        }
        let (original, reply) = self.tuples(record, status);
        let (from, to) =
            if found.reply { (reply, original.reversed()) } else { (original, reply.reversed()) };
        let written = if seen.related {
            rewrite::translate_error(packet, seen, &from, &to)
        } else {
            rewrite::translate(packet, seen, &from, &to)
        };
        if written.is_none() {
            return (CtState::empty(), false);
        }
        let mut state = CtState::empty();
        let (snat, dnat) = if found.reply {
            (Status::DST_NAT, Status::SRC_NAT)
        } else {
            (Status::SRC_NAT, Status::DST_NAT)
        };
        state.set(CtState::SNAT, status.contains(snat));
        state.set(CtState::DNAT, status.contains(dnat));
        (state, true)
    }

    /// The tuples of both directions.
    fn tuples(&self, record: &Record, status: Status) -> (Tuple, Tuple) {
        let original = Tuple::from_words(&record.words());
        let reply = match self.extra(record) {
            Some(extra) if status.contains(Status::TWO_KEYS) => {
                Tuple::from_words(&words(&extra.reply))
            }
            _ => original.reversed(),
        };
        (original, reply)
    }

    /// A packet of a connection that announces others, or whose numbers are shifted.
    #[cold]
    fn control(
        &self,
        packet: &mut Packet,
        seen: &Seen,
        found: Found,
        record: &Record,
        call: &Call<'_>,
    ) {
        let (_, status) = record.status();
        let (orig, reply) = self.tuples(record, status);
        let mut now_seen = *seen;
        self.follow(
            packet,
            &mut now_seen,
            &Control { record, found, status, orig, reply },
            call.now,
        );
        let (_, status) = record.status();
        if let Some(extra) = self.extra(record).filter(|_| status.contains(Status::SHIFTED)) {
            let direction = usize::from(found.reply);
            let seq = shift::shifted(extra, direction, seen.segment.seq);
            let back = |number| shift::unshifted(extra, direction ^ 1, number);
            // A header that was whole a moment ago is whole.
            let _ = rewrite::renumber(packet, &now_seen, seq, back);
        }
    }

    /// A packet of no connection. An error: it must not go on.
    #[cold]
    fn unknown(
        &self,
        packet: &mut Packet,
        seen: &Seen,
        call: &Call<'_>,
    ) -> Result<Outcome<'_>, Refusal> {
        if seen.related || !begins(seen) {
            return Ok(Outcome::of(CtState::INV));
        }
        let mut outcome = Outcome::of(CtState::NEW);
        let tuple = seen.tuple();
        let expected = self.expectations.find(&tuple, call.now);
        outcome.state.set(CtState::REL, expected.is_some());
        if !call.ct.commit {
            return Ok(outcome);
        }
        let header = packet.data().get(seen.l4..seen.end).unwrap_or_default();
        let ends = (seen.proto() == TCP).then(|| tcp::begin(&seen.segment, header));
        let life = match ends {
            Some(_) => Life::TcpFirst,
            None if tuple.is_icmp() => Life::IcmpFirst,
            None => Life::UdpFirst,
        };
        let mut fresh = Fresh {
            tuple: seen.words,
            reply: None,
            status: Status::empty(),
            mark: 0,
            label: 0,
            policy: call.policy,
            ends,
            life,
            parent: None,
            events: call.ct.event_mask.unwrap_or(u32::MAX),
        };
        match call.ct.helper {
            Some(Helper::Ftp) => fresh.status |= Status::FTP,
            Some(Helper::Tftp) => fresh.status |= Status::TFTP,
            None => {}
        }
        let mut target = call.ct.nat.as_ref().and_then(|nat| nat.to.as_ref());
        let mut also = call.ct.nat.as_ref().and_then(|nat| nat.also.as_ref());
        if let Some(expected) = &expected {
            fresh.status |= Status::EXPECTED;
            fresh.parent = Some(expected.parent);
            (fresh.mark, fresh.label) = (expected.mark, expected.label);
            if call.ct.nat.is_some() {
                (target, also) = (Some(&expected.nat), None);
            }
        }
        // What it announces at once inherits them.
        (fresh.mark, fresh.label) = marked(call.ct, fresh.mark, fresh.label);
        match self.enter_translated(&mut fresh, &tuple, [target, also], call.now) {
            Ok(found) => {
                if let Some(record) = self.table.record(found.index) {
                    outcome.found = Some((found, record));
                    let (_, status) = record.status();
                    if status.intersects(Status::SRC_NAT | Status::DST_NAT) {
                        let (done, _) = self.translate(packet, seen, &found, record, status);
                        outcome.state |= done;
                    }
                    if status.intersects(Status::FTP | Status::TFTP) {
                        self.control(packet, seen, found, record, call);
                    }
                }
                Ok(outcome)
            }
            Err(Refused::Known(found)) => {
                let known = self
                    .table
                    .record(found.index)
                    .and_then(|record| self.known(packet, seen, (found, record), call));
                Ok(known.unwrap_or(outcome))
            }
            Err(Refused::Full) if self.drops_unentered() => Err(Refusal::TableFull),
            Err(Refused::ZoneFull) if self.drops_unentered() => Err(Refusal::ZoneFull),
            Err(Refused::Full | Refused::ZoneFull) => Ok(outcome),
            Err(Refused::Taken) => {
                self.counters.nat_exhausted.add(1);
                Err(Refusal::NoTranslation)
            }
        }
    }

    /// Enters a connection, with the first translation that is free.
    fn enter_translated(
        &self,
        fresh: &mut Fresh,
        tuple: &Tuple,
        targets: [Option<&NatTarget>; 2],
        now: Instant,
    ) -> Result<Found, Refused> {
        for target in targets.into_iter().flatten() {
            fresh.status |= match target.end {
                NatEnd::Src => Status::SRC_NAT,
                NatEnd::Dst => Status::DST_NAT,
            };
        }
        match targets {
            [None, _] => self.enter(fresh, now),
            [Some(one), None] => self.enter_first(fresh, self.candidates(tuple, one, now), now),
            [Some(one), Some(two)] => {
                let (src, dst) = if one.end == NatEnd::Src { (one, two) } else { (two, one) };
                self.enter_first(fresh, self.candidates_of_both(tuple, src, dst, now), now)
            }
        }
    }

    /// Enters a connection under the first of these replies that is nobody's.
    fn enter_first(
        &self,
        fresh: &mut Fresh,
        replies: impl Iterator<Item = Tuple>,
        now: Instant,
    ) -> Result<Found, Refused> {
        for reply in replies {
            let reply = reply.words();
            let known = self.find(self.secret.hash(&reply), &reply);
            if known.is_some_and(|(found, record)| !self.ends_if_over(&found, record, now)) {
                continue;
            }
            fresh.reply = Some(reply);
            match self.enter(fresh, now) {
                Err(Refused::Taken) => {}
                other => return other,
            }
        }
        Err(Refused::Taken)
    }

    /// Changes the connection as the action says, and notes in the packet what was found.
    #[inline(always)]
    fn note(&self, packet: &mut Packet, seen: &Seen, outcome: Outcome<'_>, call: &Call<'_>) {
        let state = outcome.state | CtState::TRK;
        let mut meta = CtMeta { zone: call.ct.zone.0, state: state.bits(), ..CtMeta::default() };
        if let Some((found, record)) = outcome.found {
            if call.ct.commit {
                self.set_marks(record, found.generation, call);
            }
            meta.mark = record.mark.get();
            let (_, status) = record.status();
            if status.contains(Status::LABELLED) {
                meta.label = record.label();
            }
            set_original(&mut meta, &self.parent(record).unwrap_or_else(|| record.words()));
        } else if state.contains(CtState::NEW) {
            set_original(&mut meta, &seen.words);
        }
        packet.set_ct(meta);
    }

    /// The tuple of the connection that announced this one.
    #[inline(always)]
    fn parent(&self, record: &Record) -> Option<Words> {
        if record.extra.get() == 0 {
            return None;
        }
        let parent = words(&self.extra(record)?.parent);
        (parent != [0; 5]).then_some(parent)
    }

    fn set_marks(&self, record: &Record, generation: u32, call: &Call<'_>) {
        let ct = call.ct;
        if ct.mark.is_none() && ct.label.is_none() {
            return;
        }
        let guard = record.lock.lock();
        if !record.is_still(generation) {
            return;
        }
        let (mark, label) = (record.mark.get(), record.label());
        let mut changed = Events::empty();
        if let Some(set) = ct.mark {
            record.mark.set(mark & !set.mask | set.value & set.mask);
            changed.set(Events::MARK, record.mark.get() != mark);
        }
        if let Some(set) = ct.label {
            record.set_label(label & !set.mask | set.value & set.mask);
            record.set_status(generation, Status::LABELLED);
            changed.set(Events::LABEL, record.label() != label);
        }
        drop(guard);
        for event in changed {
            self.tell(event, record, call.now);
        }
    }
}

/// The number of a connection's timeout policy; the default's is known without a look at the second
/// line.
#[inline(always)]
fn policy_of(record: &Record, status: Status) -> u32 {
    if status.contains(Status::POLICY) { record.policy.get() } else { DEFAULT_POLICY }
}

/// A mark and a label as the action changes them.
fn marked(ct: &Ct, mark: u32, label: u128) -> (u32, u128) {
    (
        ct.mark.map_or(mark, |it| mark & !it.mask | it.value & it.mask),
        ct.label.map_or(label, |it| label & !it.mask | it.value & it.mask),
    )
}

/// Whether a packet may begin a connection.
fn begins(seen: &Seen) -> bool {
    match seen.proto() {
        TCP => tcp::opens(&seen.segment),
        inspect::ICMP => matches!(seen.tuple().icmp_type(), 8 | 13 | 15),
        inspect::ICMPV6 => seen.tuple().icmp_type() == 128,
        _ => true,
    }
}

/// Writes the original direction into what a packet carries.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "fields are cut out of a word")]
fn set_original(meta: &mut CtMeta, words: &Words) {
    let rest = words[4];
    meta.proto = (rest >> 48) as u8;
    meta.addrs = match key::ends(words) {
        key::Ends::V4(src, dst) => CtAddrs::V4(src, dst),
        key::Ends::V6(src, dst) => CtAddrs::V6(src, dst),
    };
    let [sport, dport] = [rest as u16, (rest >> 16) as u16];
    (meta.tp_src, meta.tp_dst) = if matches!(meta.proto, inspect::ICMP | inspect::ICMPV6) {
        (dport >> 8, dport & 0xff)
    } else {
        (sport, dport)
    };
}
