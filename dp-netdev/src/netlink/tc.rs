//! Queueing disciplines of the kernel: what leaves by an interface waits there.
//!
//! ```text
//!   Discipline ── requests() ──► one message after the other ──► kernel: done, or an error number
//!                                   delete what is there, make the qdisc, make its classes
//! ```
//!
//! A [`Discipline`] is a value; putting one in place removes the one before, whoever made it.
//! Numbers are as the reference's users know them: classes are 1:(queue + 1) below 1:fffe, the
//! default queue is class 1:1.
//!
//! The rate tables of old are not sent: kernels since 3.9 reckon without.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;

use super::message::{Message, attributes, messages, word};
use super::socket_unsafe::Socket;

const NEW_QDISC: u16 = 36;
const DEL_QDISC: u16 = 37;
const NEW_CLASS: u16 = 40;
const GET_CLASS: u16 = 42;
const REQUEST_ACK: u16 = 0x5;
const CREATE: u16 = 0x400;
const REPLACE: u16 = 0x100;
const EXCLUSIVE: u16 = 0x200;
const DUMP: u16 = 0x300;

const ROOT: u32 = 0xffff_ffff;
const HANDLE: u32 = 0x1_0000;
const ROOT_CLASS: u32 = 0x1_fffe;
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const STATS2: u16 = 7;
/// Bytes of the fixed part of these messages.
const FIXED: usize = 20;
/// Queues have numbers below this: class numbers above are taken.
pub const QUEUES: u32 = 61_440;
/// The slowest rate of a class, in bytes a second.
const LEAST_RATE: u64 = 1500;
/// The kernel counts time in 64 nanoseconds.
const TICK_NANOS: u64 = 64;

/// What a class may have; rates in bits a second, 0 where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// What it is guaranteed.
    pub min_rate: u64,
    /// What it may have at most.
    pub max_rate: u64,
    /// How much it may save up, in bits.
    pub burst: u64,
    /// The smaller, the sooner it gets what is left over.
    pub priority: u32,
}

/// A class as it is put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Bytes a second.
    pub min_rate: u64,
    /// Bytes a second.
    pub max_rate: u64,
    /// Bytes.
    pub burst: u64,
    /// As [`Class::priority`].
    pub priority: u32,
}

impl Class {
    /// With all that is not said filled in, below a root of `max_rate` bits a second, on an
    /// interface of this MTU.
    #[must_use]
    pub fn resolve(&self, max_rate: u64, mtu: u32) -> Resolved {
        let min_rate = (self.min_rate / 8).max(LEAST_RATE);
        let most = if self.max_rate == 0 { max_rate } else { self.max_rate };
        // A large frame, and what comes between two of the kernel's looks at the clock.
        let least = min_rate / 1000 + u64::from(mtu) + 64;
        Resolved {
            min_rate,
            max_rate: (most / 8).max(min_rate),
            burst: (self.burst / 8).max(least),
            priority: self.priority,
        }
    }
}

/// A queueing discipline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// `linux-htb`.
    Htb {
        /// Bits a second.
        max_rate: u64,
        /// By queue; there is a queue 0 in any case.
        classes: BTreeMap<u32, Class>,
    },
    /// `linux-hfsc`.
    Hfsc {
        /// Bits a second.
        max_rate: u64,
        /// By queue; there is a queue 0 in any case.
        classes: BTreeMap<u32, Class>,
    },
    /// `linux-sfq`.
    Sfq {
        /// Seconds.
        perturb: u32,
        /// Bytes.
        quantum: u32,
    },
    /// `linux-codel`.
    Codel {
        /// Microseconds.
        target: u32,
        /// Packets.
        limit: u32,
        /// Microseconds.
        interval: u32,
    },
    /// `linux-fq_codel`.
    FqCodel {
        /// Microseconds.
        target: u32,
        /// Packets.
        limit: u32,
        /// Microseconds.
        interval: u32,
        /// How many queues.
        flows: u32,
        /// Bytes.
        quantum: u32,
    },
    /// `linux-netem`.
    Netem {
        /// Microseconds.
        latency: u32,
        /// Packets.
        limit: u32,
        /// Per cent.
        loss: u32,
        /// Microseconds.
        jitter: u32,
    },
}

/// What a class has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassStats {
    /// Packets sent.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets dropped.
    pub drops: u64,
}

impl Discipline {
    /// The kernel's name of it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Htb { .. } => "htb",
            Self::Hfsc { .. } => "hfsc",
            Self::Sfq { .. } => "sfq",
            Self::Codel { .. } => "codel",
            Self::FqCodel { .. } => "fq_codel",
            Self::Netem { .. } => "netem",
        }
    }

    /// Its classes, resolved, if it has any: the default queue's among them.
    #[must_use]
    pub fn classes(&self, mtu: u32) -> BTreeMap<u32, Resolved> {
        let (Self::Htb { max_rate, classes } | Self::Hfsc { max_rate, classes }) = self else {
            return BTreeMap::new();
        };
        let mut all = classes.clone();
        all.entry(0).or_default();
        all.retain(|queue, _| *queue < QUEUES);
        all.into_iter().map(|(queue, class)| (queue, class.resolve(*max_rate, mtu))).collect()
    }

    /// The messages that put it in place on an interface from which the one before is gone.
    fn requests(&self, ifindex: u32, mtu: u32) -> Vec<Request> {
        let mut qdisc = Request::new(NEW_QDISC, CREATE | EXCLUSIVE, ifindex, HANDLE, ROOT);
        qdisc.text(KIND, self.kind());
        qdisc.nest(OPTIONS, &self.options());
        let mut requests = vec![qdisc];
        let class = |handle, parent, options: &[u8]| {
            let mut class = Request::new(NEW_CLASS, CREATE, ifindex, handle, parent);
            class.text(KIND, self.kind());
            class.nest(OPTIONS, options);
            class
        };
        let all = |bits: u64| Resolved {
            min_rate: bits / 8,
            max_rate: bits / 8,
            burst: u64::from(mtu),
            priority: 0,
        };
        match self {
            Self::Htb { max_rate, .. } => {
                requests.push(class(ROOT_CLASS, HANDLE, &htb_class(&all(*max_rate))));
            }
            Self::Hfsc { max_rate, .. } => {
                requests.push(class(ROOT_CLASS, HANDLE, &hfsc_class(&all(*max_rate))));
            }
            _ => return requests,
        }
        for (queue, wish) in self.classes(mtu) {
            let htb = matches!(self, Self::Htb { .. });
            let options = if htb { htb_class(&wish) } else { hfsc_class(&wish) };
            requests.push(class(HANDLE | (queue + 1), ROOT_CLASS, &options));
        }
        requests
    }

    /// The options of the discipline itself.
    fn options(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut numbers = |values: &[(u16, u32)]| {
            for (kind, value) in values {
                attribute(&mut out, *kind, &value.to_ne_bytes());
            }
        };
        match *self {
            // Version 3, a quantum of a tenth of the rate, queue 0 for what belongs to none.
            Self::Htb { .. } => attribute(&mut out, 2, &words(&[3, 10, 1, 0, 0])),
            Self::Hfsc { .. } => out.extend_from_slice(&1_u16.to_ne_bytes()),
            Self::Sfq { perturb, quantum } => out = words(&[quantum, perturb, 0, 0, 0]),
            Self::Codel { target, limit, interval } => {
                numbers(&[(1, target), (2, limit), (3, interval)]);
            }
            Self::FqCodel { target, limit, interval, flows, quantum } => {
                numbers(&[(1, target), (2, limit), (3, interval), (5, flows), (6, quantum)]);
            }
            Self::Netem { latency, limit, loss, jitter } => {
                let part = u64::from(loss.min(100)) * u64::from(u32::MAX) / 100;
                let (latency, jitter) = (micros(latency), micros(jitter));
                out = words(&[latency, limit, narrow(part), 0, 0, jitter]);
            }
        }
        out
    }
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Microseconds in the kernel's ticks.
fn micros(value: u32) -> u32 {
    narrow(u64::from(value) * 1000 / TICK_NANOS)
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

/// The options of a class of HTB.
fn htb_class(class: &Resolved) -> Vec<u8> {
    // Rates are of Ethernet frames, of at least 60 bytes.
    let rate = |rate: u64| {
        let mut out = vec![0, 1, 0, 0, 0, 0];
        out.extend_from_slice(&60_u16.to_ne_bytes());
        out.extend_from_slice(&narrow(rate).to_ne_bytes());
        out
    };
    let time = |rate: u64| narrow(class.burst * 1_000_000_000 / TICK_NANOS / rate.max(1));
    let mut parms = Vec::new();
    for value in [rate(class.min_rate), rate(class.max_rate)] {
        parms.extend(value);
    }
    let quantum = narrow((class.min_rate / 10).clamp(1500, 200_000));
    let (buffer, cbuffer) = (time(class.min_rate), time(class.max_rate));
    parms.extend(words(&[buffer, cbuffer, quantum, 0, class.priority]));
    let mut out = Vec::new();
    attribute(&mut out, 1, &parms);
    for (kind, rate) in [(6, class.min_rate), (7, class.max_rate)] {
        if rate > u64::from(u32::MAX) {
            attribute(&mut out, kind, &rate.to_ne_bytes());
        }
    }
    out
}

/// The options of a class of HFSC: guaranteed, its share, and at most.
fn hfsc_class(class: &Resolved) -> Vec<u8> {
    let curve = |rate: u64| words(&[0, 0, narrow(rate)]);
    let mut out = Vec::new();
    attribute(&mut out, 1, &curve(class.min_rate));
    attribute(&mut out, 2, &curve(class.min_rate));
    attribute(&mut out, 3, &curve(class.max_rate));
    out
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let len = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// A message to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: u16, ifindex: u32, handle: u32, parent: u32) -> Self {
        let mut out = Vec::with_capacity(96);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(&(REQUEST_ACK | flags).to_ne_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend(words(&[0, ifindex, handle, parent, 0]));
        Self(out)
    }

    fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        attribute(&mut self.0, kind, &bytes);
    }

    fn nest(&mut self, kind: u16, value: &[u8]) {
        attribute(&mut self.0, kind, value);
    }

    /// The message with its length.
    fn finished(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        for (to, from) in self.0.iter_mut().zip(len.to_ne_bytes()) {
            *to = from;
        }
        self.0
    }
}

/// The way to a kernel and back: a routing socket, or a recording of what one answered.
pub trait Exchange {
    /// Sends a message.
    ///
    /// # Errors
    ///
    /// The system's.
    fn send(&mut self, message: &[u8]) -> io::Result<()>;

    /// Messages that have come in answer; `None` if there are none any more.
    ///
    /// # Errors
    ///
    /// The system's.
    fn receive(&mut self) -> io::Result<Option<Vec<u8>>>;
}

impl Exchange for Socket {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        Self::send(self, message)
    }

    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        Self::receive(self)
    }
}

/// Asks the kernel to do something.
fn ask(kernel: &mut impl Exchange, request: Request) -> io::Result<()> {
    kernel.send(&request.finished())?;
    while let Some(buffer) = kernel.receive()? {
        for message in messages(&buffer) {
            match message {
                Message::Refused(0) => return Ok(()),
                Message::Refused(code) => {
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                _ => {}
            }
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Removes the discipline of an interface, whoever made it.
///
/// # Errors
///
/// The kernel's; that there was none is no error.
pub fn clear(ifindex: u32) -> io::Result<()> {
    clear_over(&mut Socket::asking()?, ifindex)
}

/// As [`clear`], over an exchange that is there.
///
/// # Errors
///
/// As [`clear`].
pub fn clear_over(kernel: &mut impl Exchange, ifindex: u32) -> io::Result<()> {
    let request = Request::new(DEL_QDISC, 0, ifindex, 0, ROOT);
    match ask(kernel, request) {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Puts a discipline in place of the one before. Where that fails there is none.
///
/// # Errors
///
/// The kernel's: `ENOENT` where it does not have this discipline.
pub fn put(ifindex: u32, mtu: u32, discipline: &Discipline) -> io::Result<()> {
    put_over(&mut Socket::asking()?, ifindex, mtu, discipline)
}

/// As [`put`], over an exchange that is there.
///
/// # Errors
///
/// As [`put`].
pub fn put_over(
    kernel: &mut impl Exchange,
    ifindex: u32,
    mtu: u32,
    discipline: &Discipline,
) -> io::Result<()> {
    clear_over(kernel, ifindex)?;
    for request in discipline.requests(ifindex, mtu) {
        if let Err(error) = ask(kernel, request) {
            // What is half in place goes; the first error is the one to tell.
            let _ = clear_over(kernel, ifindex);
            return Err(error);
        }
    }
    Ok(())
}

/// What the classes of an interface have done, by queue.
///
/// # Errors
///
/// The kernel's.
pub fn statistics(ifindex: u32) -> io::Result<BTreeMap<u32, ClassStats>> {
    let mut socket = Socket::asking()?;
    let mut request = Request::new(GET_CLASS, DUMP, ifindex, 0, 0);
    // A dump has no acknowledgement of its own.
    if let Some(flags) = request.0.get_mut(6..8) {
        flags.copy_from_slice(&(DUMP | 1).to_ne_bytes());
    }
    socket.send(&request.finished())?;
    let mut found = BTreeMap::new();
    while let Some(buffer) = socket.receive()? {
        for message in messages(&buffer) {
            match message {
                Message::Done => return Ok(found),
                Message::Refused(code) => {
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                Message::Of(NEW_CLASS, content) => found.extend(class_stats(content, ifindex)),
                Message::Of(..) => {}
            }
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// The queue and the counts of a class that a dump tells of; `None` for the root's.
fn class_stats(content: &[u8], ifindex: u32) -> Option<(u32, ClassStats)> {
    let handle = word(content, 8)?;
    let ours = word(content, 4)? == ifindex && handle & 0xffff_0000 == HANDLE;
    let queue = (handle & 0xffff).checked_sub(1).filter(|it| ours && *it < QUEUES)?;
    let mut stats = ClassStats::default();
    for (kind, value) in attributes(content.get(FIXED..)?) {
        if kind != STATS2 {
            continue;
        }
        for (kind, value) in attributes(value) {
            match kind {
                1 => {
                    stats.bytes = u64::from_ne_bytes(*value.first_chunk()?);
                    stats.packets = u64::from(word(value, 8)?);
                }
                3 => stats.drops = u64::from(word(value, 8)?),
                _ => {}
            }
        }
    }
    Some((queue, stats))
}

/// Changes the classes of HTB or HFSC in place: the root's rate and the queues. What waits in
/// classes that stay is not lost.
///
/// # Errors
///
/// The kernel's.
pub fn change(ifindex: u32, mtu: u32, old: &Discipline, new: &Discipline) -> io::Result<()> {
    change_over(&mut Socket::asking()?, ifindex, mtu, old, new)
}

/// As [`change`], over an exchange that is there.
///
/// # Errors
///
/// As [`change`].
pub fn change_over(
    kernel: &mut impl Exchange,
    ifindex: u32,
    mtu: u32,
    old: &Discipline,
    new: &Discipline,
) -> io::Result<()> {
    if old.kind() != new.kind() || new.classes(mtu).is_empty() {
        return put_over(kernel, ifindex, mtu, new);
    }
    for mut request in new.requests(ifindex, mtu).into_iter().skip(1) {
        if let Some(flags) = request.0.get_mut(6..8) {
            flags.copy_from_slice(&(REQUEST_ACK | CREATE | REPLACE).to_ne_bytes());
        }
        ask(kernel, request)?;
    }
    let wanted = new.classes(mtu);
    for queue in old.classes(mtu).into_keys().filter(|queue| !wanted.contains_key(queue)) {
        let handle = HANDLE | (queue + 1);
        ask(kernel, Request::new(DEL_CLASS, 0, ifindex, handle, ROOT_CLASS))?;
    }
    Ok(())
}

const DEL_CLASS: u16 = 41;
