//! Waiting with a bound.
//!
//! Other programs answer when they answer. A fixed sleep is too long on most days and too short on
//! one; asking again until an answer or a limit comes is neither.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Asks every few milliseconds until there is an answer; nothing if the limit comes first.
///
/// The question is asked at least once.
pub fn wait<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// As [`wait`], but fails the test at the limit.
///
/// # Panics
///
/// If no answer comes, naming what was waited for.
#[track_caller]
#[expect(clippy::panic, reason = "an assertion")]
pub fn eventually<T>(what: &str, limit: Duration, ask: impl FnMut() -> Option<T>) -> T {
    match wait(limit, ask) {
        Some(answer) => answer,
        None => panic!("{what}: not within {limit:?}"),
    }
}

const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_asked_until_it_is_answered() {
        let mut asked = 0;
        let answer = wait(Duration::from_secs(10), || {
            asked += 1;
            (asked == 3).then_some("yes")
        });
        assert_eq!((answer, asked), (Some("yes"), 3));
        assert_eq!(wait(Duration::ZERO, || Some(1)), Some(1));
        assert_eq!(wait(Duration::ZERO, || None::<u8>), None);
    }

    #[test]
    #[should_panic(expected = "the sun: not within 1ms")]
    fn a_limit_fails_the_test_by_name() {
        eventually("the sun", Duration::from_millis(1), || None::<()>);
    }
}
