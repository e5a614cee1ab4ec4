//! TCP: which segments fit a connection, and what they make of it.
//!
//! The rules are those of a filter in the middle ("Real Stateful TCP Packet Filtering", van Rooij
//! 2000): of each end it remembers the end of what it has sent (`low`), the end of what the other
//! lets it send (`high`) and the largest window it has offered. A segment fits when
//!
//! 1. its end is not beyond `high`,
//! 2. its start is not further back than the other end's window,
//! 3. what it acknowledges is neither far ahead of nor far behind what the other end has sent,
//! 4. a reset stands exactly at `low`, give or take one (RFC 5961's blind resets do not).
//!
//! Of a connection that is picked up in mid-stream the scale of the windows is unknown; the largest
//! is assumed. While one end has been silent so far, or both have finished, segments near the window
//! are let through.
//!
//! States are an end's own: the connection's is their combination ([`Life`]).

use super::inspect::{ACK, FIN, RST, SYN, Segment};
use super::record::TcpWords;
use super::timeout::Life;

/// What one end is at. Ordered: an end moves up only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TcpState {
    /// It has sent nothing.
    #[default]
    Closed = 0,
    /// It has sent, and nothing of it is acknowledged.
    SynSent = 2,
    /// What it has sent is acknowledged.
    Established = 4,
    /// It has sent FIN.
    Closing = 7,
    /// Its FIN is acknowledged.
    FinWait2 = 9,
    /// The connection was reset.
    TimeWait = 10,
}

impl TcpState {
    /// Every state, in their order.
    pub const ALL: &[Self] = &[
        Self::Closed,
        Self::SynSent,
        Self::Established,
        Self::Closing,
        Self::FinWait2,
        Self::TimeWait,
    ];

    /// Its name in dumps.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::SynSent => "SYN_SENT",
            Self::Established => "ESTABLISHED",
            Self::Closing => "CLOSING",
            Self::FinWait2 => "FIN_WAIT_2",
            Self::TimeWait => "TIME_WAIT",
        }
    }

    /// The name of a connection one end of which is at this, in short dumps.
    #[must_use]
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::FinWait2 => "TIME_WAIT",
            other => other.name(),
        }
    }

    const fn from_bits(bits: u32) -> Self {
        match bits {
            2 => Self::SynSent,
            4 => Self::Established,
            7 => Self::Closing,
            9 => Self::FinWait2,
            10 => Self::TimeWait,
            _ => Self::Closed,
        }
    }
}

/// How an end scales its window (RFC 7323).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Not at all.
    #[default]
    None,
    /// By so many bits.
    Bits(u8),
    /// Its SYN was not seen.
    Unknown,
}

impl Scale {
    const fn bits(self) -> u8 {
        match self {
            Self::Bits(bits) => bits,
            Self::None | Self::Unknown => 0,
        }
    }
}

/// One end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// End of what it has sent.
    pub(super) low: u32,
    /// End of what it may send.
    pub(super) high: u32,
    /// Largest window it has offered, as sent.
    pub(super) window: u16,
    pub(super) scale: Scale,
    pub(super) state: TcpState,
    /// Some of what it has sent is not acknowledged. Kept where a policy asks ([`watch`]).
    pub(super) unacked: bool,
    /// How many times it has sent the same again, at most [`AGAIN`]. Kept where a policy asks.
    pub(super) again: u8,
}

/// How many times an end says the same until its connection is taken for stuck.
pub(super) const AGAIN: u8 = 3;

/// What a segment means for its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It belongs to it.
    Valid,
    /// It belongs to it, and the connection is as new as it was: a SYN again.
    ValidNew,
    /// It does not fit.
    Invalid,
    /// It opens another connection between the same ends; this one is over.
    New,
}

/// How far an acknowledgment may be off.
const MAX_ACK_WINDOW: u32 = 0xffff + 1500;
/// The scale assumed where it is unknown.
const MAX_SCALE: u8 = 14;

/// `a >= b` on the circle of sequence numbers.
#[inline(always)]
const fn geq(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) >= 0
}

#[inline(always)]
const fn gt(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

impl End {
    #[inline(always)]
    pub(super) fn load(words: &TcpWords) -> Self {
        let rest = words.rest.get();
        let [scale, state, w0, w1] = rest.to_le_bytes();
        Self {
            low: words.low.get(),
            high: words.high.get(),
            window: u16::from_le_bytes([w0, w1]),
            scale: match scale {
                0x80 => Scale::Unknown,
                bits if bits & 0x40 != 0 => Scale::Bits(bits & 15),
                _ => Scale::None,
            },
            state: TcpState::from_bits((state & 0x0f).into()),
            unacked: state & 0x10 != 0,
            again: state >> 5 & 3,
        }
    }

    #[inline(always)]
    pub(super) fn store(&self, words: &TcpWords) {
        let scale = match self.scale {
            Scale::None => 0,
            Scale::Bits(bits) => 0x40 | bits & 15,
            Scale::Unknown => 0x80,
        };
        let [w0, w1] = self.window.to_le_bytes();
        let state = self.state as u8 | u8::from(self.unacked) << 4 | (self.again & 3) << 5;
        let rest = u32::from_le_bytes([scale, state, w0, w1]);
        // What has not changed is not written: the line may be another processor's.
        if words.low.get() != self.low {
            words.low.set(self.low);
        }
        if words.high.get() != self.high {
            words.high.set(self.high);
        }
        if words.rest.get() != rest {
            words.rest.set(rest);
        }
    }
}

/// Whether any end would send this set of flags: SYN alone or with ACK; RST alone, or with ACK and
/// perhaps FIN; otherwise ACK with anything but those.
const fn are_possible(flags: u8) -> bool {
    match flags & (SYN | RST | FIN | ACK) {
        SYN | RST | ACK => true,
        other => other == SYN | ACK || other & !FIN == RST | ACK || other == FIN | ACK,
    }
}

/// Whether a segment may open a connection: a SYN, or anything of a connection in mid-stream.
pub(super) const fn opens(segment: &Segment) -> bool {
    are_possible(segment.flags) && segment.flags & (SYN | ACK) != SYN | ACK
}

/// The ends after the first segment, sender first.
pub(super) fn begin(segment: &Segment, header: &[u8]) -> [End; 2] {
    let mut high = segment.seq.wrapping_add(segment.len).wrapping_add(1);
    let mut from = End {
        low: segment.seq,
        window: segment.window.max(1),
        state: TcpState::SynSent,
        ..End::default()
    };
    let mut to = End { high: 1, window: 1, state: TcpState::Closed, ..End::default() };
    if segment.flags & SYN != 0 {
        high = high.wrapping_add(1);
        from.scale = scale_of(segment, header);
        if let Scale::Bits(bits) = from.scale {
            // The window of a SYN is not scaled: rounded up to what later ones can say.
            let unit = 1u32 << bits;
            let rounded = (u32::from(from.window) + unit - 1) >> bits;
            from.window = u16::try_from(rounded).unwrap_or(u16::MAX);
        }
    } else {
        (from.scale, to.scale) = (Scale::Unknown, Scale::Unknown);
    }
    if segment.flags & FIN != 0 {
        high = high.wrapping_add(1);
    }
    from.high = high;
    [from, to]
}

/// The window scale option of a SYN.
fn scale_of(segment: &Segment, header: &[u8]) -> Scale {
    let mut options = header.get(20..usize::from(segment.header)).unwrap_or_default();
    loop {
        options = match *options {
            [1, ref rest @ ..] => rest,
            [3, 3, bits, ..] => return Scale::Bits(bits.min(MAX_SCALE)),
            [0, ..] | [] | [_] => return Scale::None,
            [_, len, ..] => match options.get(usize::from(len).max(2)..) {
                Some(rest) => rest,
                None => return Scale::None,
            },
        };
    }
}

/// The shifts to apply to the windows of the sender and of the other end.
#[inline(always)]
const fn shifts(from: &End, to: &End, flags: u8) -> (u8, u8) {
    if flags & SYN != 0 {
        return (0, 0);
    }
    match (from.scale, to.scale) {
        (Scale::Unknown, _) | (_, Scale::Unknown) => (MAX_SCALE, MAX_SCALE),
        (Scale::Bits(from), Scale::Bits(to)) => (from, to),
        _ => (0, 0),
    }
}

/// Whether a segment is one of the many that change nothing but how far each end has come: both ends
/// established, no flag but ACK and PSH, inside the windows. Then the ends are as they should be
/// stored.
#[inline(always)]
pub(super) fn flows(segment: &Segment, from: &mut End, to: &mut End) -> bool {
    const PSH: u8 = 8;
    if segment.flags & !PSH != ACK
        || from.state != TcpState::Established
        || to.state != TcpState::Established
    {
        return false;
    }
    let (from_shift, to_shift) = shifts(from, to, segment.flags);
    let end = segment.seq.wrapping_add(segment.len);
    let (seq, end) = if segment.len == 0 { (from.low, from.low) } else { (segment.seq, end) };
    let fits = geq(from.high, end)
        && geq(seq, from.low.wrapping_sub(u32::from(to.window) << to_shift))
        && acknowledges(to.low, segment.ack, from_shift);
    if !fits {
        return false;
    }
    advance(segment, from, to, end, segment.ack, from_shift);
    true
}

/// Whether an acknowledgment is neither far ahead nor far behind.
#[inline(always)]
const fn acknowledges(sent: u32, ack: u32, shift: u8) -> bool {
    let skew = sent.wrapping_sub(ack) as i32 as i64;
    skew >= -(MAX_ACK_WINDOW as i64) && skew <= (MAX_ACK_WINDOW as i64) << shift
}

/// Notes how far the ends have come.
#[inline(always)]
fn advance(segment: &Segment, from: &mut End, to: &mut End, end: u32, ack: u32, shift: u8) {
    from.window = from.window.max(segment.window);
    if gt(end, from.low) {
        from.low = end;
    }
    let window = u32::from(segment.window) << shift;
    if geq(ack.wrapping_add(window), to.high) {
        to.high = ack.wrapping_add(window.max(1));
    }
}

/// Applies a segment to its connection. `strict`: sequence numbers are checked.
pub(super) fn update(
    segment: &Segment,
    header: &[u8],
    from: &mut End,
    to: &mut End,
    strict: bool,
) -> Verdict {
    use TcpState::{Closed, Closing, Established, FinWait2, SynSent, TimeWait};
    let flags = segment.flags;
    if !are_possible(flags) {
        return Verdict::Invalid;
    }
    if flags & (SYN | ACK) == SYN {
        if from.state >= FinWait2 && to.state >= FinWait2 {
            (from.state, to.state) = (Closed, Closed);
            return Verdict::New;
        }
        if from.state <= SynSent {
            // The first, or again; what it says now counts.
            let [fresh, _] = begin(segment, header);
            // What the other end has let it send already stays.
            let (let_go, unknown) = (from.high != 1, from.scale == Scale::Unknown);
            let high = if let_go && gt(from.high, fresh.high) { from.high } else { fresh.high };
            let scale = if unknown { Scale::Unknown } else { fresh.scale };
            *from = End { high, scale, ..fresh };
            return Verdict::ValidNew;
        }
    }
    let (from_shift, to_shift) = shifts(from, to, flags);
    let mut seq = segment.seq;
    let mut end = seq.wrapping_add(segment.len);
    if flags & SYN != 0 {
        end = end.wrapping_add(1);
    }
    if flags & FIN != 0 {
        end = end.wrapping_add(1);
    }
    let mut first = false;
    if from.state < SynSent {
        // Its first segment.
        if flags & SYN != 0 && matches!(to.scale, Scale::Bits(_)) {
            match scale_of(segment, header) {
                Scale::Bits(bits) => {
                    from.scale = Scale::Bits(bits);
                    // The other end's first window, taken as it was sent until now.
                    let window = u32::from(to.window) << to.scale.bits();
                    to.window = u16::try_from(window.min(0xffff)).unwrap_or(u16::MAX);
                    let unit = 1u32 << to.scale.bits();
                    let rounded = (u32::from(to.window) + unit - 1) >> to.scale.bits();
                    to.window = u16::try_from(rounded).unwrap_or(u16::MAX).max(1);
                }
                Scale::None | Scale::Unknown => to.scale = Scale::None,
            }
        }
        first = true;
        from.low = seq;
        from.state = SynSent;
        let high = end.wrapping_add((u32::from(to.window) << to_shift).max(1));
        if from.high == 1 || geq(high, from.high) {
            from.high = high;
        }
        from.window = from.window.max(segment.window);
    }
    let ack = if flags & ACK == 0
        || (segment.ack == 0 && flags & (RST | ACK) == RST | ACK)
        || to.state < SynSent
    {
        to.low
    } else {
        segment.ack
    };
    if seq == end {
        // Without data its number says nothing.
        (seq, end) = (from.low, from.low);
    }
    let resets = flags & RST == 0
        || segment.seq == from.low
        || segment.seq == from.low.wrapping_add(1)
        || segment.seq == from.low.wrapping_sub(1);
    let fits = geq(from.high, end)
        && geq(seq, from.low.wrapping_sub(u32::from(to.window) << to_shift))
        && (first || acknowledges(to.low, ack, from_shift))
        && resets;
    let lenient = to.state < SynSent || to.state >= FinWait2 || from.state >= FinWait2;
    let near = geq(from.high.wrapping_add(MAX_ACK_WINDOW), end)
        && geq(seq, from.low.wrapping_sub(MAX_ACK_WINDOW));
    if fits || !strict {
        advance(segment, from, to, end, ack, from_shift);
        if flags & FIN != 0 && from.state < Closing {
            from.state = Closing;
        }
        if flags & ACK != 0 {
            match to.state {
                SynSent => to.state = Established,
                Closing => to.state = FinWait2,
                _ => {}
            }
        }
        if flags & RST != 0 {
            (from.state, to.state) = (TimeWait, TimeWait);
        }
    } else if lenient && near {
        advance(segment, from, to, end, ack, from_shift);
        if flags & FIN != 0 && from.state < Closing {
            from.state = Closing;
        }
        if flags & RST != 0 {
            (from.state, to.state) = (TimeWait, TimeWait);
        }
    } else {
        return Verdict::Invalid;
    }
    Verdict::Valid
}

/// What two ends together make the connection's life.
pub(super) fn life(one: TcpState, two: TcpState) -> Life {
    use TcpState::{Closing, Established, FinWait2};
    if one == FinWait2 && two == FinWait2 {
        Life::TcpDone
    } else if one >= FinWait2 && two >= FinWait2 {
        Life::TcpClosed
    } else if one >= Closing && two >= Closing {
        Life::TcpLastAck
    } else if one < Established || two < Established {
        Life::TcpOpening
    } else if one >= FinWait2 || two >= FinWait2 {
        Life::TcpCloseWait
    } else if one >= Closing || two >= Closing {
        Life::TcpClosing
    } else {
        Life::TcpEstablished
    }
}

/// Notes of a segment that fits whether the ends know of each other's; `before` is how far its sender
/// had come.
pub(super) fn watch(segment: &Segment, before: u32, from: &mut End, to: &mut End) {
    if gt(from.low, before) {
        (from.unacked, from.again) = (true, 0);
    } else if segment.len != 0 {
        from.again = (from.again + 1).min(AGAIN);
    }
    if segment.flags & ACK != 0 && geq(segment.ack, to.low) {
        (to.unacked, to.again) = (false, 0);
    }
}

/// What shortens a connection's life beside its state.
pub(super) fn strains(from: &End, to: &End) -> impl Iterator<Item = Life> {
    let stuck = from.again.max(to.again) >= AGAIN;
    let unacked = from.unacked || to.unacked;
    stuck.then_some(Life::TcpRetransmit).into_iter().chain(unacked.then_some(Life::TcpUnack))
}
