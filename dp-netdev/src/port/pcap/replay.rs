//! Replaying a capture.

use std::path::{Path, PathBuf};

use dp_core::base::Instant;
use dp_core::packet::{Burst, Pool};

use crate::pcapfile::{FileError, Mapped, Records};
use crate::port::{Lost, OpenError, RxEnd, RxQueue, Wake};

/// When the frames of a replay are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As soon as somebody asks.
    #[default]
    Full,
    /// As far apart as they were captured. The first one is due at the first call; a round that
    /// follows begins with the time of the last frame of the one before.
    Own,
}

/// How often a capture is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// Once.
    #[default]
    Once,
    /// So many times in all.
    Times(u64),
    /// Until the port is closed.
    Forever,
}

/// The receive queue of a replay.
#[derive(Debug)]
pub struct Replay {
    path: PathBuf,
    file: Mapped,
    records: Records,
    schedule: Schedule,
}

/// When records are due, and how many rounds are left.
#[derive(Debug)]
struct Schedule {
    pace: Pace,
    rounds_left: Option<u64>,
    /// Capture time of the first record.
    first: u64,
    /// Capture time of the record delivered last.
    last: u64,
    /// When the first record of this round is due; unknown before the first call.
    start: Option<Instant>,
    /// When the next record is due, if that is known and in the future.
    due: Option<Instant>,
}

impl Schedule {
    /// Whether a record captured at `nanos` is due; remembers when it will be, if not.
    fn is_due(&mut self, nanos: u64, now: Instant) -> bool {
        if self.pace == Pace::Full {
            return true;
        }
        let due = self.due_at(nanos, now);
        let ripe = due <= now;
        self.due = (!ripe).then_some(due);
        ripe
    }

    /// A capture whose times run backwards is replayed in its order, without waiting.
    fn due_at(&mut self, nanos: u64, now: Instant) -> Instant {
        let start = *self.start.get_or_insert(now);
        Instant(start.0.saturating_add(nanos.saturating_sub(self.first)))
    }

    /// Begins the next round; `false` (and no change) when there is none.
    fn next_round(&mut self, now: Instant) -> bool {
        if self.rounds_left.is_some_and(|left| left <= 1) {
            return false;
        }
        if let Some(rounds) = &mut self.rounds_left {
            *rounds -= 1;
        }
        self.start = Some(self.due_at(self.last, now));
        true
    }
}

impl Replay {
    /// Opens a capture.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or is no Ethernet capture.
    pub fn open(path: &Path, pace: Pace, repeat: Repeat) -> Result<Self, OpenError> {
        let file =
            Mapped::open(path).map_err(|source| FileError::Io { path: path.to_owned(), source })?;
        let records = Records::start(file.bytes())
            .map_err(|source| FileError::Capture { path: path.to_owned(), source })?;
        let rounds_left = match repeat {
            Repeat::Once => Some(1),
            Repeat::Times(rounds) => Some(rounds),
            Repeat::Forever => None,
        };
        // Damage in the first record is told when it is replayed.
        let mut probe = records;
        let first = probe.next(file.bytes()).ok().flatten().map_or(0, |record| record.nanos);
        let schedule = Schedule { pace, rounds_left, first, last: first, start: None, due: None };
        Ok(Self { path: path.to_owned(), file, records, schedule })
    }

    /// The end, for the caller; stays the end.
    fn ended(&mut self, end: RxEnd) -> Result<Lost, RxEnd> {
        self.schedule.rounds_left = Some(0);
        Err(end)
    }
}

impl RxQueue for Replay {
    fn receive(&mut self, burst: &mut Burst, now: Instant) -> Result<Lost, RxEnd> {
        let before = burst.len();
        let mut lost = Lost::NONE;
        if self.schedule.rounds_left == Some(0) {
            return Err(RxEnd::Finished);
        }
        while !burst.is_full() {
            let quiet = burst.len() == before && lost == Lost::NONE;
            // Read from a copy of the place: a record that is not due yet is read again.
            let mut next = self.records;
            let record = match next.next(self.file.bytes()) {
                Ok(Some(record)) => record,
                Ok(None) => {
                    // A round without a frame to deliver must not lead straight to the next.
                    let fruitless = next.count() == 0 || (burst.len() == before && !quiet);
                    if !fruitless && self.schedule.next_round(now) {
                        self.records.rewind();
                        continue;
                    }
                    // What was delivered or lost is told first, the end by the next call.
                    return if quiet { self.ended(RxEnd::Finished) } else { Ok(lost) };
                }
                Err(source) if quiet => {
                    let error = FileError::Capture { path: self.path.clone(), source };
                    return self.ended(RxEnd::Failed(error.into()));
                }
                Err(_) => return Ok(lost),
            };
            if !self.schedule.is_due(record.nanos, now) {
                break;
            }
            let len = record.frame.len();
            if let Some(pool) = Pool::for_len(len) {
                // A replay can wait for buffers; nothing is lost.
                let Some(mut packet) = pool.alloc() else { break };
                if let Some(room) = packet.append(len) {
                    room.copy_from_slice(record.frame);
                }
                // There is room: the loop's condition.
                drop(burst.push(packet));
            } else {
                lost.oversize += 1;
            }
            self.schedule.last = record.nanos;
            self.records = next;
        }
        Ok(lost)
    }

    fn wake(&self) -> Wake {
        Wake { readable: None, at: self.schedule.due }
    }
}
