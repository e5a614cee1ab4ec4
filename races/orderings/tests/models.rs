//! One model for each thing of `dp_core::sync`.

use std::sync::Arc;

use loom::thread;

use orderings::sync::machine::{AtomicBool, Ordering};
use orderings::sync::{
    Alarm, Bound, Counter, FreeList, Locked, Published, Sequence, SharedCell, SharedCounter, Stamp,
    Word32, Word64,
};

/// Runs two threads beside this one; all three have what is shared.
fn three<T: Send + Sync + 'static>(
    shared: T,
    one: impl Fn(&T) + Send + 'static,
    two: impl Fn(&T) + Send + 'static,
    here: impl Fn(&T),
) -> Arc<T> {
    let shared = Arc::new(shared);
    let threads = [
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || one(&shared)
        }),
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || two(&shared)
        }),
    ];
    here(&shared);
    for thread in threads {
        thread.join().unwrap();
    }
    shared
}

#[test]
fn a_bound_is_never_exceeded_and_what_is_left_is_given() {
    loom::model(|| {
        let taken = |got: &SharedCounter, bound: &Bound, count: usize| {
            if bound.take(count) {
                got.add(count as u64);
            }
        };
        let shared = three(
            (Bound::new(3), SharedCounter::new(0)),
            move |(bound, got)| taken(got, bound, 2),
            move |(bound, got)| taken(got, bound, 2),
            |(bound, _)| assert!(bound.taken() <= 3),
        );
        assert_eq!((shared.0.taken(), shared.1.get()), (2, 2), "one of the two");
        shared.0.give_back(2);
        assert_eq!(shared.0.taken(), 0);
    });
}

#[test]
fn a_counter_with_one_writer_only_grows() {
    loom::model(|| {
        let read_twice = |counter: &Counter| {
            let first = counter.get();
            assert!(counter.get() >= first);
        };
        let counter = three(
            Counter::new(0),
            |counter| {
                counter.add(2);
                counter.add(3);
            },
            read_twice,
            read_twice,
        );
        assert_eq!(counter.get(), 5);
    });
}

#[test]
fn no_addition_to_a_shared_counter_is_lost() {
    loom::model(|| {
        let add = |counter: &SharedCounter| counter.add(3);
        assert_eq!(three(SharedCounter::new(0), add, add, add).get(), 9);
    });
}

#[test]
fn no_step_of_a_cell_is_lost() {
    loom::model(|| {
        let step = |cell: &SharedCell| cell.update(|old| (old * 2 + 1, ()));
        assert_eq!(three(SharedCell::new(0), step, step, |_| ()).get(), 3);
    });
}

#[test]
fn a_sequence_gives_no_number_twice() {
    loom::model(|| {
        let take =
            |(sequence, sum): &(Sequence, SharedCounter)| sum.add(1 << (8 * sequence.take()));
        let shared = three((Sequence::new(), SharedCounter::new(0)), take, take, take);
        assert_eq!(shared.1.get(), 0x01_01_01);
    });
}

#[test]
fn a_reserve_neither_loses_nor_doubles_items() {
    loom::model(|| {
        let reserve = FreeList::new();
        reserve.put(&mut vec![1, 2], 0);
        let pass_on = |reserve: &FreeList<u32>| {
            let mut mine = Vec::new();
            reserve.take(&mut mine, 2);
            reserve.put(&mut mine, 0);
        };
        let reserve = three(reserve, pass_on, pass_on, |_| ());
        let mut all = Vec::new();
        reserve.take(&mut all, 9);
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}

#[test]
fn a_lock_lets_one_in_and_shows_what_the_other_did() {
    loom::model(|| {
        let add = |value: &Locked<u64>| *value.lock() += 1;
        assert_eq!(*three(Locked::new(0), add, add, |_| ()).lock(), 2);
    });
}

#[test]
fn a_word_taken_as_a_lock_lets_one_in_and_shows_what_the_other_did() {
    loom::model(|| {
        let add = |(lock, value): &(Word32, Word64)| {
            let _guard = lock.lock();
            value.set(value.get() + 1);
        };
        let shared = three((Word32::new(0), Word64::new(0)), add, add, |_| ());
        assert_eq!((shared.0.get(), shared.1.get()), (0, 2));
    });
}

#[test]
fn who_observes_a_word_sees_what_was_written_before_it() {
    loom::model(|| {
        let look = |(value, ready): &(Word64, Word32)| {
            if ready.observe() == 1 {
                assert_eq!(value.get(), 7);
            }
        };
        let write = |(value, ready): &(Word64, Word32)| {
            value.set(7);
            ready.publish(1);
        };
        three((Word64::new(0), Word32::new(0)), write, look, look);
    });
}

#[test]
fn places_are_taken_up_to_the_limit() {
    loom::model(|| {
        let take = |(places, got): &(Word32, SharedCounter)| {
            got.add(u64::from(places.take_one(1)));
        };
        let shared = three((Word32::new(0), SharedCounter::new(0)), take, take, |_| ());
        assert_eq!((shared.0.get(), shared.1.get()), (1, 1));
    });
}

#[test]
fn one_of_those_who_replace_a_word_does() {
    loom::model(|| {
        let replace = |(word, done): &(Word64, SharedCounter)| {
            done.add(u64::from(word.replace(0, 1)));
        };
        assert_eq!(
            three((Word64::new(0), SharedCounter::new(0)), replace, replace, |_| ()).1.get(),
            1
        );
    });
}

#[test]
fn a_reader_sees_published_values_in_order_and_the_last_in_the_end() {
    loom::model(|| {
        let published = Arc::new(Published::new(0));
        let mut reader = published.reader();
        let writer = thread::spawn({
            let published = Arc::clone(&published);
            move || (1..3).for_each(|value| published.publish(Arc::new(value)))
        });
        let first = *reader.get();
        assert!(*reader.get() >= first);
        writer.join().unwrap();
        assert_eq!(*reader.get(), 2);
    });
}

/// A record of two words under a stamp: what was read of it and is still of one generation was
/// written by that generation's owner.
#[test]
fn what_is_read_under_a_stamp_is_of_one_owner() {
    loom::model(|| {
        let record = (Stamp::default(), Word64::new(10), Word64::new(10));
        let first = record.0.begin(0);
        let read = |(stamp, a, b): &(Stamp, Word64, Word64)| {
            let (generation, bits) = stamp.read();
            let (a, b) = (a.get(), b.get());
            if bits & 1 != 0 && stamp.is_still(generation) {
                assert_eq!(a, b);
                assert_eq!(a == 10, generation == 1);
            }
        };
        let pass_on = move |(stamp, a, b): &(Stamp, Word64, Word64)| {
            assert!(stamp.end(first));
            a.set(20);
            b.set(20);
            stamp.begin(0);
        };
        three(record, pass_on, read, |_| ());
    });
}

#[test]
fn a_generation_ends_once_and_late_bits_are_lost() {
    loom::model(|| {
        let record = (Stamp::default(), SharedCounter::new(0));
        let first = record.0.begin(0);
        let end = move |(stamp, ends): &(Stamp, SharedCounter)| {
            ends.add(u64::from(stamp.end(first)));
        };
        let record = three(record, end, end, move |(stamp, _)| stamp.set_bits(first, 4));
        assert_eq!((record.0.read(), record.1.get()), ((first + 1, 0), 1));
    });
}

/// Either the sleeper sees the work, or who brought it rings.
#[test]
fn nobody_sleeps_beside_work() {
    loom::model(|| {
        let shared = Arc::new((Alarm::new(), AtomicBool::new(false)));
        let bringer = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                shared.1.store(true, Ordering::Relaxed);
                shared.0.is_to_ring()
            }
        });
        shared.0.about_to_sleep();
        let seen = shared.1.load(Ordering::Relaxed);
        let rung = bringer.join().unwrap();
        assert!(seen || rung);
    });
}
