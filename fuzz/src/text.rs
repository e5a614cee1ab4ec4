//! Text that people and other programs write: parsing never panics, and what is accepted prints
//! to something that parses to the same value.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use dp_core::base::MacAddr;

/// Ethernet addresses.
pub fn mac_text(data: &[u8]) {
    round_trip::<MacAddr>(data);
}

/// Parses `data`; an accepted value must survive being printed and parsed again.
fn round_trip<T: FromStr + Display + PartialEq + Debug>(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(value) = text.parse::<T>() else { return };
    let printed = value.to_string();
    assert_eq!(printed.parse::<T>().ok().as_ref(), Some(&value), "{text:?} printed as {printed:?}");
}
