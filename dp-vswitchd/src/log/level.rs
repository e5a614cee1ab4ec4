//! How severe a message is, and where messages go.
//!
//! The names are those that `-v` and `vlog/set` take and `vlog/list` prints. The `log` facade has
//! no level for *emergency*: the only message of that kind is the last one of a dying process, and
//! [`super::Vlog::emergency`] writes it.

use std::fmt;

/// A severity, most severe first; also the threshold of a module at a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// As a threshold: no message at all.
    Off,
    /// A failure that ends the process.
    Emer,
    /// An operation of a high level, or a subsystem, failed.
    Err,
    /// An operation of a low level failed; those above it may recover.
    Warn,
    /// Useful to somebody who looks back at a problem.
    Info,
    /// Useful to somebody who knows the system intimately, and too much for all others.
    Dbg,
}

impl Level {
    /// All levels, most severe first.
    pub const ALL: [Self; 6] =
        [Self::Off, Self::Emer, Self::Err, Self::Warn, Self::Info, Self::Dbg];

    /// The level of that name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// The name as logs carry it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Emer => "EMER",
            Self::Err => "ERR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Dbg => "DBG",
        }
    }

    /// The severity of RFC 5424 section 6.2.1.
    pub(super) const fn syslog_severity(self) -> u8 {
        match self {
            Self::Off | Self::Emer => 1,
            Self::Err => 3,
            Self::Warn => 4,
            Self::Info => 5,
            Self::Dbg => 7,
        }
    }

    /// The level whose number is `number`; the least severe if there is none.
    pub(super) fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Dbg)
    }

    /// The most verbose level of the facade that this threshold lets pass.
    pub(super) const fn filter(self) -> log::LevelFilter {
        match self {
            Self::Off | Self::Emer => log::LevelFilter::Off,
            Self::Err => log::LevelFilter::Error,
            Self::Warn => log::LevelFilter::Warn,
            Self::Info => log::LevelFilter::Info,
            Self::Dbg => log::LevelFilter::Debug,
        }
    }

    /// The level that a message of the facade has; *trace* is not logged at all.
    pub(super) const fn of(level: log::Level) -> Option<Self> {
        match level {
            log::Level::Error => Some(Self::Err),
            log::Level::Warn => Some(Self::Warn),
            log::Level::Info => Some(Self::Info),
            log::Level::Debug => Some(Self::Dbg),
            log::Level::Trace => None,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where a message goes. The numbers index tables by destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Destination {
    /// The system log.
    Syslog,
    /// Standard error.
    Console,
    /// The file of `--log-file`.
    File,
}

impl Destination {
    /// How many there are.
    pub const COUNT: usize = 3;

    /// All of them, in the order of `vlog/list-pattern`.
    pub const ALL: [Self; Self::COUNT] = [Self::Syslog, Self::Console, Self::File];

    /// The destination of that name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|destination| destination.name().eq_ignore_ascii_case(name))
    }

    /// The name as `vlog/list-pattern` prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syslog => "SYSLOG",
            Self::Console => "CONSOLE",
            Self::File => "FILE",
        }
    }

    /// The pattern that messages are written in until somebody sets another.
    #[must_use]
    pub const fn default_pattern(self) -> &'static str {
        match self {
            Self::Syslog => "ovs|%05N|%c%T|%p|%m",
            Self::Console => "%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m",
            Self::File => "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m",
        }
    }

    /// What a module's messages need to be at least, until somebody sets something else.
    #[must_use]
    pub const fn default_level(self) -> Level {
        Level::Info
    }
}
