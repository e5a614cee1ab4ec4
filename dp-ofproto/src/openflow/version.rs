//! Versions of the protocol.

use std::fmt;

/// A version of OpenFlow, by its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Version {
    /// 1.0
    V10 = 1,
    /// 1.1
    V11 = 2,
    /// 1.2
    V12 = 3,
    /// 1.3
    V13 = 4,
    /// 1.4
    V14 = 5,
    /// 1.5
    V15 = 6,
}

impl Version {
    /// All of them, the oldest first.
    pub const ALL: [Self; 6] = [Self::V10, Self::V11, Self::V12, Self::V13, Self::V14, Self::V15];

    /// The version with this number on the wire.
    #[must_use]
    pub fn from_wire(wire: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|version| *version as u8 == wire)
    }

    /// The number after the dot.
    #[must_use]
    pub const fn minor(self) -> u8 {
        self as u8 - 1
    }

    /// The version that a configuration calls `OpenFlow13`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("OpenFlow")?;
        Self::ALL.into_iter().find(|version| {
            let minor = version.minor();
            name == format!("1{minor}") || name == format!("1.{minor}")
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenFlow1{}", self.minor())
    }
}

/// A set of versions, as a bridge's `protocols` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Versions(u8);

impl Versions {
    /// All versions.
    pub const ALL: Self = Self(0b0111_1110);
    /// None.
    pub const NONE: Self = Self(0);

    /// Adds a version.
    #[must_use]
    pub const fn with(self, version: Version) -> Self {
        Self(self.0 | 1 << version as u8)
    }

    /// Whether a version is in it.
    #[must_use]
    pub const fn has(self, version: Version) -> bool {
        self.0 >> version as u8 & 1 != 0
    }

    /// The newest one in it.
    #[must_use]
    pub fn newest(self) -> Option<Version> {
        Version::ALL.into_iter().rev().find(|version| self.has(*version))
    }

    /// As a hello's bitmap has it: bit *n* is wire version *n*.
    #[must_use]
    pub const fn bitmap(self) -> u32 {
        self.0 as u32
    }

    /// The known versions of a hello's bitmap.
    #[must_use]
    pub const fn from_bitmap(bitmap: u32) -> Self {
        Self((bitmap & Self::ALL.0 as u32) as u8)
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The versions, the oldest first.
    pub fn iter(self) -> impl Iterator<Item = Version> {
        Version::ALL.into_iter().filter(move |version| self.has(*version))
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self::ALL
    }
}

impl FromIterator<Version> for Versions {
    fn from_iter<I: IntoIterator<Item = Version>>(versions: I) -> Self {
        versions.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::{Version, Versions};

    #[test]
    fn versions_have_names_and_numbers() {
        assert_eq!(Version::by_name("OpenFlow13"), Some(Version::V13));
        assert_eq!(Version::by_name("OpenFlow1.5"), Some(Version::V15));
        assert_eq!(Version::by_name("OpenFlow16"), None);
        assert_eq!(Version::from_wire(6), Some(Version::V15));
        assert_eq!(Version::from_wire(7), None);
        let some: Versions = [Version::V10, Version::V14].into_iter().collect();
        assert_eq!((some.bitmap(), some.newest()), (0b10_0010, Some(Version::V14)));
        assert_eq!(Versions::from_bitmap(u32::MAX), Versions::ALL);
    }
}
