//! The system's words for its errors, without the number that Rust adds.
//!
//! Log lines and replies of this switch are read by programs that know the C library's texts, such
//! as `No such file or directory`.

use std::io;

use nix::errno::Errno;

/// The text of an error: the system's if it is one of the system's.
#[must_use]
pub fn text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    #[test]
    fn the_text_is_that_of_the_c_library() {
        assert_eq!(super::text(&io::Error::from_raw_os_error(2)), "No such file or directory");
        assert_eq!(super::text(&io::Error::other("of our own")), "of our own");
    }
}
