//! Text that people and other programs write: parsing never panics, and what is accepted prints
//! to something that parses to the same value.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use dp_core::base::MacAddr;
use dp_ofproto::table::Command;
use dp_ofproto::text::{MatchText, NumbersOnly, parse_flow as parse_flow_mod, parse_match};

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

/// OpenFlow's matches and actions: what is read, printed and read again is the same.
pub fn openflow_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let names = &NumbersOnly;
    if let Ok(actions) = dp_ofproto::text::parse_actions(text, names) {
        let printed = dp_ofproto::text::ActionsText { actions: &actions, names }.to_string();
        let again = dp_ofproto::text::parse_actions(&printed, names);
        assert_eq!(again, Ok(actions), "{text:?} printed as {printed:?}");
    }
    if let Ok(matching) = parse_match(text, names) {
        let printed = MatchText { matching: &matching, names }.to_string();
        let again = parse_match(&printed, names);
        assert_eq!(again, Ok(matching), "{text:?} printed as {printed:?}");
    }
    let _ = parse_flow_mod(text, Command::Add, names);
}
