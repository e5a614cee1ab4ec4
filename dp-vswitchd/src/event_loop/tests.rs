//! Turns of the loop, with tasks that write down what they see.

use std::{
    cell::RefCell,
    io::{Read, Write},
    os::unix::net::UnixStream,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{self, Duration},
};

use dp_core::base::Instant;

use super::{Clock, EventLoop, Task, Turn, Wants};

/// A task that waits for a time.
struct Alarm {
    at: Instant,
    rang: Rc<RefCell<Vec<Instant>>>,
}

impl Task for Alarm {
    fn name(&self) -> &'static str {
        "alarm"
    }

    fn run(&mut self, turn: &Turn<'_>) {
        if turn.now() >= self.at {
            self.rang.borrow_mut().push(turn.now());
        }
    }

    fn wait(&mut self, wants: &mut Wants) {
        wants.at(self.at);
    }
}

/// A task that reads.
struct Reader {
    socket: UnixStream,
    heard: Rc<RefCell<String>>,
}

impl Task for Reader {
    fn name(&self) -> &'static str {
        "reader"
    }

    fn run(&mut self, turn: &Turn<'_>) {
        if turn.is_ready(&self.socket) {
            let mut buffer = [0; 100];
            let length = self.socket.read(&mut buffer).unwrap();
            self.heard.borrow_mut().push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    }

    fn wait(&mut self, wants: &mut Wants) {
        wants.read(&self.socket);
    }
}

fn turn_until(event_loop: &mut EventLoop, done: impl Fn() -> bool) {
    for _ in 0..100 {
        if done() {
            return;
        }
        event_loop.turn().unwrap();
    }
    panic!("a hundred turns did not do");
}

#[test]
fn a_task_wakes_up_at_its_time() {
    let clock = Clock::new();
    let rang = Rc::new(RefCell::new(Vec::new()));
    let at = clock.now().after(Duration::from_millis(20));
    let mut event_loop = EventLoop::new(clock).unwrap();
    event_loop.add(Alarm { at, rang: Rc::clone(&rang) });
    let start = time::Instant::now();
    turn_until(&mut event_loop, || !rang.borrow().is_empty());
    assert!(start.elapsed() >= Duration::from_millis(19));
    assert!(rang.borrow()[0] >= at);
}

#[test]
fn a_task_hears_of_its_descriptor_alone() {
    let (mut speaker, socket) = UnixStream::pair().unwrap();
    let (_silent, other) = UnixStream::pair().unwrap();
    let heard = Rc::new(RefCell::new(String::new()));
    let nothing = Rc::new(RefCell::new(String::new()));
    let mut event_loop = EventLoop::new(Clock::new()).unwrap();
    // Its read would block for ever, were it run for another's news.
    event_loop.add(Reader { socket: other, heard: Rc::clone(&nothing) });
    event_loop.add(Reader { socket, heard: Rc::clone(&heard) });
    speaker.write_all(b"hello").unwrap();
    turn_until(&mut event_loop, || !heard.borrow().is_empty());
    assert_eq!((heard.borrow().as_str(), nothing.borrow().as_str()), ("hello", ""));
}

#[test]
fn a_stopped_clock_wakes_nobody_until_it_is_moved_by_hand() {
    let clock = Clock::new();
    clock.stop();
    let rang = Rc::new(RefCell::new(Vec::new()));
    let at = clock.now().after(Duration::from_millis(5));
    let mut event_loop = EventLoop::new(clock.clone()).unwrap();
    event_loop.add(Alarm { at, rang: Rc::clone(&rang) });
    let waker = event_loop.waker();
    let done = Arc::new(AtomicBool::new(false));
    let other = thread::spawn({
        let done = Arc::clone(&done);
        move || {
            while !done.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
                waker.wake();
            }
        }
    });
    let start = time::Instant::now();
    // The first does not sleep.
    (0..4).for_each(|_| event_loop.turn().unwrap());
    assert!(start.elapsed() >= Duration::from_millis(20), "it slept until it was woken");
    done.store(true, Ordering::Relaxed);
    other.join().unwrap();
    assert!(rang.borrow().is_empty());
    clock.warp(Duration::from_millis(5));
    event_loop.turn().unwrap();
    assert_eq!(rang.borrow().len(), 1);
}

#[test]
fn a_sleep_ends_with_the_earliest_of_what_was_asked_for() {
    let clock = Clock::new();
    let mut wants = Wants::default();
    assert_eq!(wants.timeout(&clock), None);
    wants.at(clock.now().after(Duration::from_secs(60)));
    wants.at(clock.now().after(Duration::from_secs(70)));
    assert!(wants.timeout(&clock).unwrap() > Duration::from_secs(50));
    assert!(wants.timeout(&clock).unwrap() <= Duration::from_secs(60));
    wants.real(Duration::from_secs(9));
    wants.real(Duration::from_secs(10));
    assert_eq!(wants.timeout(&clock), Some(Duration::from_secs(9)));
    wants.immediately();
    assert_eq!(wants.timeout(&clock), Some(Duration::ZERO));
}
