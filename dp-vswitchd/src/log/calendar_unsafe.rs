//! Dates in log lines, by the C library's `strftime`.
//!
//! Operators write `strftime` formats into patterns, so the C library's own is what gives them what
//! they expect, time zones included; a crate would bring another dialect of the same letters.

#![expect(unsafe_code, reason = "the C library's calendar has no safe interface")]

use std::{
    ffi::CString,
    mem::MaybeUninit,
    time::{SystemTime, UNIX_EPOCH},
};

/// `time` in the local time zone, in a format of `strftime` in which each `#` is a digit of the
/// fraction of the second; digits after the third are zero.
pub(super) fn local(time: SystemTime, format: &str) -> String {
    write(time, format, |seconds, broken_down| {
        // SAFETY: `seconds` is readable and `broken_down` writable for the call, and nothing else
        // is required of either.
        unsafe { libc::localtime_r(seconds, broken_down) }
    })
}

/// The same in universal time.
pub(super) fn utc(time: SystemTime, format: &str) -> String {
    write(time, format, |seconds, broken_down| {
        // SAFETY: as in `local`.
        unsafe { libc::gmtime_r(seconds, broken_down) }
    })
}

fn write(
    time: SystemTime,
    format: &str,
    break_down: impl FnOnce(*const libc::time_t, *mut libc::tm) -> *mut libc::tm,
) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let Ok(seconds) = libc::time_t::try_from(since.as_secs()) else { return String::new() };
    let Ok(format) = CString::new(format) else { return String::new() };
    let mut broken_down = MaybeUninit::<libc::tm>::zeroed();
    if break_down(&raw const seconds, broken_down.as_mut_ptr()).is_null() {
        return String::new();
    }
    // SAFETY: the call succeeded and so filled it; before that it was zeroed, which is a valid
    // `tm` (integers, and a null pointer for the zone's name).
    let broken_down = unsafe { broken_down.assume_init() };
    let mut text = vec![0_u8; LONGEST];
    // SAFETY: `text` has room for as many bytes as it is said to have, `format` ends with a zero,
    // and the zone's name in `broken_down` is null or the C library's own.
    let written = unsafe {
        libc::strftime(
            text.as_mut_ptr().cast(),
            text.len(),
            format.as_ptr(),
            &raw const broken_down,
        )
    };
    text.truncate(written);
    with_fraction(&String::from_utf8_lossy(&text), since.subsec_millis())
}

/// Replaces each run of `#` by as many digits of the fraction.
fn with_fraction(text: &str, millis: u32) -> String {
    let digits = format!("{millis:03}").into_bytes();
    let mut place = 0;
    let mut replaced = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '#' {
            replaced.push(digits.get(place).copied().map_or('0', char::from));
            place += 1;
        } else {
            replaced.push(c);
            place = 0;
        }
    }
    replaced
}

/// A date longer than this comes out empty.
const LONGEST: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_date_is_written_as_strftime_does_with_digits_for_the_fraction() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_426_130_135);
        assert_eq!(super::utc(time, "%Y-%m-%dT%H:%M:%S.###Z"), "2026-11-23T09:28:50.135Z");
        assert_eq!(super::utc(time, "%h %e %T"), "Nov 23 09:28:50");
        assert_eq!(super::utc(time, "#|#####"), "1|13500");
        assert_eq!(super::utc(time, ""), "");
        assert_eq!(super::utc(time, "nul\0"), "");
        assert!(!super::local(time, "%d").is_empty());
    }
}
