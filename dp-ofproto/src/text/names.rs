//! Port names in flow text.
//!
//! The reserved ports have fixed names, in any case; the others' names are the bridge's, so
//! whoever parses or prints brings them along.

use std::borrow::Cow;
use std::collections::HashMap;

use dp_core::base::OfPort;

/// Knows the ports of a bridge by name.
pub trait PortNames {
    /// The port of this name.
    fn port(&self, name: &str) -> Option<OfPort>;
    /// The name of this port; `None`: it is printed as a number.
    fn name(&self, port: OfPort) -> Option<&str>;
}

/// No names: ports are numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NumbersOnly;

impl PortNames for NumbersOnly {
    fn port(&self, _name: &str) -> Option<OfPort> {
        None
    }

    fn name(&self, _port: OfPort) -> Option<&str> {
        None
    }
}

/// Names held in a map.
#[derive(Clone, Debug, Default)]
pub struct PortMap {
    ports: HashMap<String, OfPort>,
    names: HashMap<OfPort, String>,
}

impl PortMap {
    /// Adds a port, or replaces the one with this name or number.
    pub fn insert(&mut self, port: OfPort, name: &str) {
        if let Some(old) = self.ports.insert(name.to_owned(), port) {
            self.names.remove(&old);
        }
        if let Some(old) = self.names.insert(port, name.to_owned()) {
            self.ports.remove(&old);
            self.ports.insert(name.to_owned(), port);
        }
    }
}

impl<S: AsRef<str>> FromIterator<(OfPort, S)> for PortMap {
    fn from_iter<I: IntoIterator<Item = (OfPort, S)>>(ports: I) -> Self {
        let mut map = Self::default();
        for (port, name) in ports {
            map.insert(port, name.as_ref());
        }
        map
    }
}

impl PortNames for PortMap {
    fn port(&self, name: &str) -> Option<OfPort> {
        self.ports.get(name).copied()
    }

    fn name(&self, port: OfPort) -> Option<&str> {
        self.names.get(&port).map(String::as_str)
    }
}

/// Reads a port: a reserved name in any case, a number, or a name, which may stand in quotes.
pub(super) fn parse_port(text: &str, names: &dyn PortNames) -> Option<OfPort> {
    if let Some((port, _)) =
        OfPort::RESERVED.iter().find(|(_, name)| name.eq_ignore_ascii_case(text))
    {
        return Some(*port);
    }
    if text.eq_ignore_ascii_case("none") {
        return Some(OfPort::NONE);
    }
    if text.starts_with(|c: char| c.is_ascii_digit())
        && let Ok(number) = text.parse::<u32>()
    {
        return u16::try_from(number).ok().map(OfPort).or(OfPort::from_wire32(number));
    }
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    names.port(bare)
}

/// A port as text: its reserved name, its name, or its number.
pub(super) fn port_text<'a>(port: OfPort, names: &'a dyn PortNames) -> Cow<'a, str> {
    if let Some((_, name)) = OfPort::RESERVED.iter().find(|(reserved, _)| *reserved == port) {
        return Cow::Borrowed(name);
    }
    match names.name(port) {
        Some(name) if is_plain(name) => Cow::Borrowed(name),
        Some(name) => Cow::Owned(format!("\"{name}\"")),
        None => Cow::Owned(port.0.to_string()),
    }
}

/// Whether a name cannot be taken for anything else.
fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !OfPort::RESERVED.iter().any(|(_, reserved)| reserved.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use dp_core::base::OfPort;

    use super::{NumbersOnly, PortMap, parse_port, port_text};

    #[test]
    fn ports_by_number_name_and_reserved_name() {
        let names: PortMap =
            [(OfPort(3), "eth0"), (OfPort(4), "4x"), (OfPort(5), "local")].into_iter().collect();
        for (text, port) in [
            ("3", OfPort(3)),
            ("eth0", OfPort(3)),
            ("\"4x\"", OfPort(4)),
            ("local", OfPort::LOCAL),
            ("In_Port", OfPort::IN_PORT),
            ("none", OfPort::NONE),
            ("65534", OfPort::LOCAL),
            ("4294967294", OfPort::LOCAL),
        ] {
            assert_eq!(parse_port(text, &names), Some(port), "{text}");
        }
        for text in ["", "70000", "eth1", "-1", "0x5"] {
            assert_eq!(parse_port(text, &names), None, "{text}");
        }
        assert_eq!(port_text(OfPort(3), &names), "eth0");
        assert_eq!(port_text(OfPort(4), &names), "\"4x\"");
        assert_eq!(port_text(OfPort(5), &names), "\"local\"");
        assert_eq!(port_text(OfPort(3), &NumbersOnly), "3");
        assert_eq!(port_text(OfPort::LOCAL, &names), "LOCAL");
    }

    #[test]
    fn a_renamed_port_has_one_name() {
        let mut names = PortMap::default();
        names.insert(OfPort(1), "a");
        names.insert(OfPort(1), "b");
        assert_eq!((parse_port("a", &names), parse_port("b", &names)), (None, Some(OfPort(1))));
        names.insert(OfPort(2), "b");
        assert_eq!(port_text(OfPort(1), &names), "1");
    }
}
