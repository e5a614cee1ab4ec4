//! The main loop: one thread that serves everything that is not a packet.
//!
//! Whatever takes part is a [`Task`]. A turn asks all of them what they wait for, sleeps until one
//! of those things happens, and runs them:
//!
//! ```text
//! ask every task what it wants → sleep until a descriptor, a time or a waker → run every task
//!      ▲                                                                             │
//!      └─────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Tasks say anew each turn what they want, instead of keeping a registration in step with their
//! state: there is nothing to cancel, nothing to go stale when a descriptor's number is used again,
//! and no edge to miss. That costs one `ppoll` over some tens of descriptors a turn, in a thread
//! that sees no packets. Protocols themselves are state machines without I/O; a task moves bytes
//! between one and its socket.
//!
//! # Invariants
//!
//! * A task never blocks; one that takes long is reported by its turn's length.
//! * A task may be run without anything having happened for it.

mod clock;
mod pace;
mod poll_unsafe;
mod waker;

#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    fmt, io,
    os::fd::{AsFd, AsRawFd, RawFd},
    rc::Rc,
    time::Duration,
};

pub use clock::Clock;
use dp_core::base::Instant;
use pace::Pace;
pub use waker::Waker;

/// Something that takes part in the main loop.
pub trait Task {
    /// What it is called in messages about the loop.
    fn name(&self) -> &'static str;

    /// Does what can be done now, without blocking.
    fn run(&mut self, turn: &Turn<'_>);

    /// Says what to wake up for. Called when all tasks have run, so that what one of them left for
    /// another is seen.
    fn wait(&mut self, wants: &mut Wants);
}

/// A task that others hold a handle to as well; they must not use it from within its own `run`.
impl<T: Task> Task for Rc<RefCell<T>> {
    fn name(&self) -> &'static str {
        self.try_borrow().map_or("busy", |task| task.name())
    }

    fn run(&mut self, turn: &Turn<'_>) {
        self.borrow_mut().run(turn);
    }

    fn wait(&mut self, wants: &mut Wants) {
        self.borrow_mut().wait(wants);
    }
}

/// One turn of the loop, as its tasks see it.
#[derive(Debug)]
pub struct Turn<'a> {
    now: Instant,
    ready: &'a [RawFd],
}

impl Turn<'_> {
    /// The time by the switch's clock at the start of the turn.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Whether the wait before this turn ended with news from that descriptor: data, room, an error
    /// or the peer's leaving.
    #[must_use]
    pub fn is_ready(&self, fd: &impl AsFd) -> bool {
        self.ready.binary_search(&fd.as_fd().as_raw_fd()).is_ok()
    }
}

/// What the tasks wait for.
#[derive(Default)]
pub struct Wants {
    fds: Vec<libc::pollfd>,
    /// For each descriptor the place of the task that wants it.
    owners: Vec<usize>,
    owner: usize,
    until: Option<Instant>,
    at_most: Option<Duration>,
}

impl Wants {
    /// Wakes up when there is something to read, or a connection to accept.
    pub fn read(&mut self, fd: &impl AsFd) {
        self.add(fd, libc::POLLIN);
    }

    /// Wakes up when there is room to write.
    pub fn write(&mut self, fd: &impl AsFd) {
        self.add(fd, libc::POLLOUT);
    }

    /// Wakes up when there is something to read or room to write.
    pub fn read_or_write(&mut self, fd: &impl AsFd) {
        self.add(fd, libc::POLLIN | libc::POLLOUT);
    }

    /// Wakes up when the peer has gone.
    pub fn hang_up(&mut self, fd: &impl AsFd) {
        self.add(fd, 0);
    }

    /// Wakes up at a time by the switch's clock.
    pub fn at(&mut self, time: Instant) {
        self.until = Some(self.until.map_or(time, |until| until.min(time)));
    }

    /// Wakes up after that long by the system's clock, also while the switch's stands still.
    pub fn real(&mut self, within: Duration) {
        self.at_most = Some(self.at_most.map_or(within, |at_most| at_most.min(within)));
    }

    /// Does not sleep.
    pub fn immediately(&mut self) {
        self.real(Duration::ZERO);
    }

    /// Wakes up when a descriptor that is known by its number only has something to read.
    pub fn read_number(&mut self, fd: RawFd) {
        self.fds.push(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        self.owners.push(self.owner);
    }

    fn add(&mut self, fd: &impl AsFd, events: libc::c_short) {
        self.fds.push(libc::pollfd { fd: fd.as_fd().as_raw_fd(), events, revents: 0 });
        self.owners.push(self.owner);
    }

    fn clear(&mut self) {
        self.fds.clear();
        self.owners.clear();
        self.until = None;
        self.at_most = None;
    }

    /// How long to sleep; `None` is until something happens.
    fn timeout(&self, clock: &Clock) -> Option<Duration> {
        let until = match self.until {
            // A clock that stands still reaches no later time by waiting.
            Some(until) if !clock.is_stopped() || until <= clock.now() => {
                Some(until.since(clock.now()))
            }
            _ => None,
        };
        match (until, self.at_most) {
            (Some(until), Some(at_most)) => Some(until.min(at_most)),
            (one, other) => one.or(other),
        }
    }
}

/// The loop and its tasks.
pub struct EventLoop {
    clock: Clock,
    waker: Waker,
    tasks: Vec<Box<dyn Task>>,
    wants: Wants,
    ready: Vec<RawFd>,
    pace: Pace,
    /// Whether a task was added that has never run.
    fresh: bool,
}

impl EventLoop {
    /// A loop without tasks.
    ///
    /// # Errors
    ///
    /// The system is out of descriptors.
    pub fn new(clock: Clock) -> io::Result<Self> {
        Ok(Self {
            clock,
            waker: Waker::new()?,
            tasks: Vec::new(),
            wants: Wants::default(),
            ready: Vec::new(),
            pace: Pace::default(),
            fresh: false,
        })
    }

    /// Adds a task. Tasks run in the order they were added.
    pub fn add(&mut self, task: impl Task + 'static) {
        self.tasks.push(Box::new(task));
        self.fresh = true;
    }

    /// A handle that wakes this loop from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The clock that the tasks see.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sleeps until there is something to do, and runs every task once. The first turn after a task
    /// was added does not sleep.
    ///
    /// # Errors
    ///
    /// The system cannot wait on so many descriptors.
    pub fn turn(&mut self) -> io::Result<()> {
        self.wants.clear();
        for (place, task) in self.tasks.iter_mut().enumerate() {
            self.wants.owner = place;
            task.wait(&mut self.wants);
        }
        if std::mem::take(&mut self.fresh) {
            self.wants.immediately();
        }
        self.wants.owner = usize::MAX;
        self.wants.read(&self.waker);
        self.sleep()?;
        self.pace.begin();
        let turn = Turn { now: self.clock.now(), ready: &self.ready };
        for task in &mut self.tasks {
            task.run(&turn);
        }
        self.pace.end();
        Ok(())
    }

    fn sleep(&mut self) -> io::Result<()> {
        let timeout = self.wants.timeout(&self.clock);
        poll_unsafe::poll(&mut self.wants.fds, timeout)?;
        self.waker.reset()?;
        self.ready.clear();
        let news = self.wants.fds.iter().filter(|fd| fd.revents != 0).map(|fd| fd.fd);
        self.ready.extend(news);
        self.ready.sort_unstable();
        self.tell_why(timeout);
        Ok(())
    }

    /// Says in the log what ended the sleep, for those who look for a loop that spins.
    fn tell_why(&self, timeout: Option<Duration>) {
        if !log::log_enabled!(target: "poll_loop", log::Level::Debug) {
            return;
        }
        let mut found = false;
        for (fd, owner) in self.wants.fds.iter().zip(&self.wants.owners) {
            if fd.revents != 0 {
                found = true;
                let who = self.tasks.get(*owner).map_or("another thread", |task| task.name());
                let events = events(fd.revents);
                log::debug!(target: "poll_loop", "wakeup due to {events} on fd {} ({who})", fd.fd);
            }
        }
        if let (false, Some(timeout)) = (found, timeout) {
            let millis = timeout.as_millis();
            log::debug!(target: "poll_loop", "wakeup due to {millis}-ms timeout");
        }
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.tasks.iter().map(|task| task.name());
        f.debug_struct("EventLoop").field("tasks", &names.collect::<Vec<_>>()).finish()
    }
}

/// The events' names, each in brackets.
fn events(revents: libc::c_short) -> String {
    let names = [
        (libc::POLLIN, "[POLLIN]"),
        (libc::POLLOUT, "[POLLOUT]"),
        (libc::POLLERR, "[POLLERR]"),
        (libc::POLLHUP, "[POLLHUP]"),
        (libc::POLLNVAL, "[POLLNVAL]"),
    ];
    names.iter().filter(|(bit, _)| revents & bit != 0).map(|(_, name)| *name).collect()
}
