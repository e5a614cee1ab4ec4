//! The little language of `-v` and `vlog/set`.
//!
//! ```text
//! [MODULE][:DESTINATION][:LEVEL]     in any order, separated by spaces, commas or colons
//! PATTERN:DESTINATION:pattern
//! FACILITY:facility
//! ```
//!
//! Case does not matter, and what is left out means *all*: all modules, all destinations, and for
//! the level the most verbose one. `any` is accepted as a word and says nothing.

use thiserror::Error;

use super::{Destination, Level, Module};

/// What a specification asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// Thresholds; `None` is for all.
    Levels {
        /// The module.
        module: Option<Module>,
        /// The destination.
        destination: Option<Destination>,
        /// The threshold.
        level: Level,
    },
    /// The pattern of a destination, or of all.
    Pattern {
        /// The destination.
        destination: Option<Destination>,
        /// The pattern.
        pattern: String,
    },
    /// The facility of messages to the system log: its number in RFC 5424 section 6.2.1.
    Facility(u8),
}

/// Why a specification is refused; the text is what an operator reads.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// A word that is none of the known ones.
    #[error("no destination, level, or module \"{0}\"")]
    Unknown(String),
    /// Two modules.
    #[error("cannot specify multiple modules")]
    Modules,
    /// Two destinations.
    #[error("cannot specify multiple destinations")]
    Destinations,
    /// Two levels.
    #[error("cannot specify multiple levels")]
    Levels,
    /// A pattern for nothing.
    #[error("missing destination")]
    MissingDestination,
    /// A pattern for an unknown destination.
    #[error("unknown destination \"{0}\"")]
    UnknownDestination(String),
    /// An unknown facility.
    #[error("invalid facility")]
    Facility,
}

impl Spec {
    /// Reads a specification.
    ///
    /// # Errors
    ///
    /// As [`SpecError`] says.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let (first, rest) = word(text);
        if first.eq_ignore_ascii_case("PATTERN") {
            return Self::parse_pattern(rest);
        }
        if first.eq_ignore_ascii_case("FACILITY") {
            let name = rest.trim_start_matches(SEPARATORS);
            return facility(name).map(Self::Facility).ok_or(SpecError::Facility);
        }
        Self::parse_levels(text)
    }

    fn parse_pattern(rest: &str) -> Result<Self, SpecError> {
        let (name, pattern) = word(rest);
        if name.is_empty() {
            return Err(SpecError::MissingDestination);
        }
        let destination = if name.eq_ignore_ascii_case("any") {
            None
        } else {
            let unknown = || SpecError::UnknownDestination(name.to_owned());
            Some(Destination::parse(name).ok_or_else(unknown)?)
        };
        Ok(Self::Pattern { destination, pattern: pattern.to_owned() })
    }

    fn parse_levels(text: &str) -> Result<Self, SpecError> {
        let (mut module, mut destination, mut level) = (None, None, None);
        for word in text.split(SEPARATORS).filter(|word| !word.is_empty()) {
            if word.eq_ignore_ascii_case("any") {
            } else if let Some(found) = Destination::parse(word) {
                once(&mut destination, found, SpecError::Destinations)?;
            } else if let Some(found) = Level::parse(word) {
                once(&mut level, found, SpecError::Levels)?;
            } else if let Some(found) = Module::parse(word) {
                once(&mut module, found, SpecError::Modules)?;
            } else {
                return Err(SpecError::Unknown(word.to_owned()));
            }
        }
        Ok(Self::Levels { module, destination, level: level.unwrap_or(Level::Dbg) })
    }
}

fn once<T>(place: &mut Option<T>, value: T, again: SpecError) -> Result<(), SpecError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(again),
    }
}

/// The first word, and what follows the one separator after it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(SEPARATORS);
    text.split_once(SEPARATORS).unwrap_or((text, ""))
}

/// The number of a facility in RFC 5424 section 6.2.1.
fn facility(name: &str) -> Option<u8> {
    let named = FACILITIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    named.map(|(_, number)| *number)
}

const SEPARATORS: &[char] = &[' ', ',', ':'];

/// The facility of messages to the local system log, unless another is set.
pub(super) const DAEMON: u8 = 3;

/// The facility of messages to `--syslog-target`, unless another is set.
pub(super) const LOCAL0: u8 = 16;

#[rustfmt::skip]
const FACILITIES: [(&str, u8); 23] = [
    ("kern", 0), ("user", 1), ("mail", 2), ("daemon", DAEMON), ("auth", 4), ("syslog", 5),
    ("lpr", 6), ("news", 7), ("uucp", 8), ("clock", 9), ("ftp", 11), ("ntp", 12), ("audit", 13),
    ("alert", 14), ("clock2", 15), ("local0", LOCAL0), ("local1", 17), ("local2", 18),
    ("local3", 19), ("local4", 20), ("local5", 21), ("local6", 22), ("local7", 23),
];

#[cfg(test)]
mod tests {
    use super::{Destination, Level, Module, Spec, SpecError};

    fn levels(
        module: Option<&str>,
        destination: Option<Destination>,
        level: Level,
    ) -> Result<Spec, SpecError> {
        Ok(Spec::Levels { module: module.and_then(Module::parse), destination, level })
    }

    #[test]
    fn words_come_in_any_order_case_and_separation() {
        let wanted = levels(Some("bridge"), Some(Destination::File), Level::Warn);
        for text in ["bridge:file:warn", "WARN,Bridge FILE", "::file, any:warn bridge,"] {
            assert_eq!(Spec::parse(text), wanted, "{text}");
        }
        assert_eq!(Spec::parse(""), levels(None, None, Level::Dbg));
        assert_eq!(
            Spec::parse("any:any:console"),
            levels(None, Some(Destination::Console), Level::Dbg)
        );
        assert_eq!(Spec::parse("syslog"), levels(None, Some(Destination::Syslog), Level::Dbg));
    }

    #[test]
    fn mistakes_are_told_as_the_reference_tells_them() {
        for (text, error) in [
            ("foo", "no destination, level, or module \"foo\""),
            ("bridge:PATTERN:console:x", "no destination, level, or module \"PATTERN\""),
            ("bridge:reconnect", "cannot specify multiple modules"),
            ("dbg:warn", "cannot specify multiple levels"),
            ("console:file", "cannot specify multiple destinations"),
            ("PATTERN", "missing destination"),
            ("pattern::", "missing destination"),
            ("PATTERN:foo:x", "unknown destination \"foo\""),
            ("FACILITY", "invalid facility"),
            ("FACILITY:xx", "invalid facility"),
            ("FACILITY:local2:x", "invalid facility"),
        ] {
            assert_eq!(
                Spec::parse(text).map_err(|e| e.to_string()),
                Err(error.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_pattern_is_all_that_follows_its_destination() {
        let pattern = |destination, pattern: &str| {
            Ok(Spec::Pattern { destination, pattern: pattern.to_owned() })
        };
        assert_eq!(Spec::parse("PATTERN:console"), pattern(Some(Destination::Console), ""));
        assert_eq!(Spec::parse(" PATTERN console x y"), pattern(Some(Destination::Console), "x y"));
        assert_eq!(Spec::parse("PATTERN:Syslog:  x "), pattern(Some(Destination::Syslog), "  x "));
        assert_eq!(Spec::parse("pattern,ANY,a,b:%m"), pattern(None, "a,b:%m"));
    }

    #[test]
    fn facilities_have_the_numbers_of_the_rfc() {
        for (name, number) in [("kern", 0), ("daemon", 3), ("local0", 16), ("LOCAL7", 23)] {
            assert_eq!(Spec::parse(&format!("FACILITY:{name}")), Ok(Spec::Facility(number)));
        }
    }
}
