//! Connections that several threads track, enter, end and look at.

use std::sync::Arc;

use dp_core::base::{Duration, Instant, Zone};
use dp_core::conntrack::{Conntrack, CtState};
use races::{datagram, model, prepared, track};
use shuttle::thread;

const NOW: Instant = Instant::from_millis(1_000_000);

fn listed(tracker: &Conntrack, now: Instant) -> usize {
    let mut count = 0;
    tracker.dump(None, now, |_| count += 1);
    count
}

/// What the table says of itself adds up: each connection is counted and listed once, and has its
/// entries.
fn assert_sound(tracker: &Conntrack, now: Instant) {
    assert_eq!(listed(tracker, now), tracker.connections() as usize);
    assert_eq!(tracker.occupancy().sum::<usize>(), tracker.connections() as usize);
}

#[test]
fn one_connection_begun_by_two_threads_is_one() {
    model(400, || {
        let tracker = Arc::new(Conntrack::new(1));
        let threads = [(1, 2), (2, 1)].map(|(from, to)| {
            let (tracker, mut burst) = (Arc::clone(&tracker), datagram(from, to));
            thread::spawn(move || track(&tracker, &mut burst, 1, NOW))
        });
        let states = threads.map(|thread| thread.join().unwrap());
        assert_eq!(tracker.connections(), 1);
        assert!(states.iter().any(|state| state.contains(CtState::NEW)), "{states:?}");
        assert_sound(&tracker, NOW);
        let state = track(&tracker, &mut datagram(2, 1), 1, NOW);
        assert!(!state.contains(CtState::NEW), "{state:?}");
    });
}

#[test]
fn connections_begin_and_end_beside_each_other() {
    model(300, || {
        let tracker = Arc::new(Conntrack::new(2));
        track(&tracker, &mut datagram(1, 9), 1, NOW);
        let later = NOW.after(Duration::from_secs(3600));
        let begins = [2, 3].map(|from| {
            let (tracker, mut burst) = (Arc::clone(&tracker), datagram(from, 9));
            thread::spawn(move || track(&tracker, &mut burst, 1, later))
        });
        let sweeps = thread::spawn({
            let tracker = Arc::clone(&tracker);
            move || while !tracker.sweep(later, 64) {}
        });
        let flushes = thread::spawn({
            let tracker = Arc::clone(&tracker);
            move || tracker.flush(Some(Zone(2)), later)
        });
        for thread in begins {
            assert!(thread.join().unwrap().contains(CtState::NEW));
        }
        sweeps.join().unwrap();
        assert_eq!(flushes.join().unwrap(), 0, "nobody's zone");
        let later = later.after(Duration::from_secs(25));
        while !tracker.sweep(later, 64) {}
        assert_eq!(tracker.connections(), 2, "the first has run out");
        assert_sound(&tracker, later);
    });
}

#[test]
fn a_flush_beside_packets_leaves_a_sound_table() {
    model(300, || {
        let tracker = Arc::new(Conntrack::new(3));
        track(&tracker, &mut datagram(1, 2), 1, NOW);
        let talks = [(2, 1), (1, 2), (3, 4)].map(|(from, to)| {
            let (tracker, mut burst) = (Arc::clone(&tracker), datagram(from, to));
            thread::spawn(move || track(&tracker, &mut burst, 1, NOW))
        });
        tracker.flush(None, NOW);
        for thread in talks {
            thread.join().unwrap();
        }
        assert_sound(&tracker, NOW);
        tracker.flush(None, NOW);
        assert_eq!(tracker.connections(), 0);
        assert_sound(&tracker, NOW);
    });
}

#[test]
fn a_zone_never_has_more_than_its_limit() {
    model(300, || {
        let tracker = Arc::new(Conntrack::new(4));
        tracker.set_zone_limit(Zone(1), Some(1));
        let threads = [1, 2].map(|from| {
            let (tracker, mut burst) = (Arc::clone(&tracker), datagram(from, 9));
            thread::spawn(move || track(&tracker, &mut burst, 1, NOW))
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(tracker.connections() <= 1);
        assert_eq!(tracker.zone_limit(Zone(1)).count, tracker.connections());
        assert_sound(&tracker, NOW);
    });
}

#[test]
fn there_are_never_more_connections_than_the_limit() {
    model(300, || {
        let tracker = Arc::new(Conntrack::new(5));
        tracker.set_max_connections(1);
        let threads = [1, 2].map(|from| {
            let (tracker, mut burst) = (Arc::clone(&tracker), datagram(from, 9));
            thread::spawn(move || track(&tracker, &mut burst, 1, NOW))
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(tracker.connections() <= 1);
        assert_sound(&tracker, NOW);
    });
}

/// Shards that are about to be too full, and the connections in them.
fn crowded() -> (Arc<Conntrack>, u32) {
    const MANY: u32 = 10_600;
    let tracker = Conntrack::new(6);
    for from in 0..MANY {
        track(&tracker, &mut datagram(from, 77 << 8), 1, NOW);
    }
    (Arc::new(tracker), MANY)
}

#[test]
fn who_is_connected_stays_so_while_shards_grow() {
    prepared(12, crowded, |(tracker, many)| {
        let (tracker, many) = (Arc::clone(tracker), *many);
        let bytes = tracker.memory();
        let grows = [0, 1].map(|part| {
            let tracker = Arc::clone(&tracker);
            let mut bursts: Vec<_> =
                (0..60).map(|number| datagram(many + 2 * number + part, 77 << 8)).collect();
            thread::spawn(move || {
                for burst in &mut bursts {
                    assert!(track(&tracker, burst, 1, NOW).contains(CtState::NEW));
                }
            })
        });
        for from in (0..many).step_by(97) {
            let state = track(&tracker, &mut datagram(77 << 8, from), 1, NOW);
            assert!(state.contains(CtState::EST | CtState::RPL), "{from}: {state:?}");
        }
        for thread in grows {
            thread.join().unwrap();
        }
        assert!(tracker.memory() > bytes, "no shard has grown");
        assert_eq!(tracker.connections(), many + 120);
        assert_sound(&tracker, NOW);
    });
}
