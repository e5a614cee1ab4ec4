//! FTP's announcements of data connections (RFC 959, RFC 2428): read and written.
//!
//! ```text
//!   PORT 10,0,0,1,78,32          227 Entering Passive Mode (10,0,0,2,80,1).
//!   EPRT |2|fc00::1|20000|       229 Entering Extended Passive Mode (|||20481|)
//! ```
//!
//! Pure functions over bytes that strangers wrote: nothing is believed before it is read to its end,
//! lengths are `usize`, and what does not look exactly like this is no announcement.

use core::net::{IpAddr, Ipv4Addr};
use core::ops::Range;

/// How an announcement is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Six numbers: `PORT` and 227.
    Numbers,
    /// Protocol, address and port between delimiters: `EPRT`.
    Extended,
    /// A port between delimiters: 229.
    PortOnly,
}

/// A data connection that one side says the other may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Where to; `None` is the address of the side that says so.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// How it is written.
    pub form: Form,
    /// Where in the payload.
    pub place: Range<usize>,
    /// What stands between the parts of an extended form.
    pub delimiter: u8,
}

/// How far into a payload is looked: a line.
const LINE: usize = 512;

/// The announcement in a payload, if it begins with one.
#[must_use]
pub fn announcement(payload: &[u8]) -> Option<Announcement> {
    let line = payload.get(..LINE.min(payload.len()))?;
    let verb: [u8; 4] = *line.first_chunk()?;
    let space = *line.get(4)?;
    match verb.map(|byte| byte.to_ascii_uppercase()) {
        [b'P', b'O', b'R', b'T'] if space == b' ' => numbers(line, skip_spaces(line, 5)),
        [b'E', b'P', b'R', b'T'] if space == b' ' => extended(line, skip_spaces(line, 5)),
        [b'2', b'2', b'7', _] => (4..line.len()).find_map(|at| {
            let starts = line.get(at).is_some_and(u8::is_ascii_digit)
                && !line.get(at - 1).is_some_and(u8::is_ascii_digit);
            if starts { numbers(line, at) } else { None }
        }),
        [b'2', b'2', b'9', _] => {
            let open = line.iter().position(|&byte| byte == b'(')?;
            port_only(line, open + 1)
        }
        _ => None,
    }
}

fn skip_spaces(line: &[u8], from: usize) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|&&byte| byte == b' ').count()
}

/// A decimal number of at most `digits` digits, and where it ends. Something must follow it.
fn number(line: &[u8], from: usize, digits: usize) -> Option<(u32, usize)> {
    let rest = line.get(from..)?;
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if len == 0 || len > digits || len == rest.len() {
        return None;
    }
    let value = rest.iter().take(len).fold(0, |all, digit| all * 10 + u32::from(digit - b'0'));
    Some((value, from + len))
}

fn numbers(line: &[u8], from: usize) -> Option<Announcement> {
    let mut at = from;
    let mut bytes = [0u8; 6];
    for (nth, byte) in bytes.iter_mut().enumerate() {
        if nth != 0 {
            if *line.get(at)? != b',' {
                return None;
            }
            at += 1;
        }
        let (value, end) = number(line, at, 3)?;
        *byte = u8::try_from(value).ok()?;
        at = end;
    }
    let [a, b, c, d, high, low] = bytes;
    let port = u16::from_be_bytes([high, low]);
    if port == 0 || *line.get(at)? == b',' {
        return None;
    }
    let address = Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)));
    Some(Announcement { address, port, form: Form::Numbers, place: from..at, delimiter: b',' })
}

/// A character that may stand between the parts of an extended form.
fn delimiter(line: &[u8], at: usize) -> Option<u8> {
    line.get(at).copied().filter(|byte| (33..=126).contains(byte) && !byte.is_ascii_alphanumeric())
}

fn extended(line: &[u8], from: usize) -> Option<Announcement> {
    let bar = delimiter(line, from)?;
    let (family, at) = number(line, from + 1, 1)?;
    if *line.get(at)? != bar {
        return None;
    }
    let rest = line.get(at + 1..)?;
    let len = rest.iter().position(|&byte| byte == bar)?;
    let address: IpAddr = core::str::from_utf8(rest.get(..len)?).ok()?.parse().ok()?;
    let fits = match address {
        IpAddr::V4(_) => family == 1,
        IpAddr::V6(_) => family == 2,
    };
    let (port, end) = port_between(line, at + 1 + len, bar)?;
    let out = Announcement {
        address: Some(address),
        port,
        form: Form::Extended,
        place: from..end,
        delimiter: bar,
    };
    fits.then_some(out)
}

fn port_only(line: &[u8], from: usize) -> Option<Announcement> {
    let bar = delimiter(line, from)?;
    if line.get(from + 1) != Some(&bar) {
        return None;
    }
    let (port, end) = port_between(line, from + 2, bar)?;
    (line.get(end) == Some(&b')')).then_some(Announcement {
        address: None,
        port,
        form: Form::PortOnly,
        place: from..end,
        delimiter: bar,
    })
}

/// A port between two delimiters, the first of them at `at`.
fn port_between(line: &[u8], at: usize, bar: u8) -> Option<(u16, usize)> {
    if *line.get(at)? != bar {
        return None;
    }
    let (port, end) = number(line, at + 1, 5)?;
    if *line.get(end)? != bar {
        return None;
    }
    let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
    Some((port, end + 1))
}

impl Announcement {
    /// The same announcement of another address and port, as it is written. `None`: the address
    /// cannot be written in this form.
    #[must_use]
    pub fn written(&self, address: IpAddr, port: u16) -> Option<String> {
        let bar = char::from(self.delimiter);
        match (self.form, address) {
            (Form::Numbers, IpAddr::V4(v4)) => {
                let [a, b, c, d] = v4.octets();
                let [high, low] = port.to_be_bytes();
                Some(format!("{a},{b},{c},{d},{high},{low}"))
            }
            (Form::Numbers, IpAddr::V6(_)) => None,
            (Form::Extended, address) => {
                let family = if address.is_ipv6() { 2 } else { 1 };
                Some(format!("{bar}{family}{bar}{address}{bar}{port}{bar}"))
            }
            (Form::PortOnly, _) => Some(format!("{bar}{bar}{bar}{port}{bar}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Option<String>, u16, &str)> {
        let found = announcement(text.as_bytes())?;
        Some((found.address.map(|it| it.to_string()), found.port, &text[found.place]))
    }

    fn v4(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn announcements_are_read() {
        let cases = [
            ("PORT 10,0,0,1,78,32\r\n", v4("10.0.0.1"), 20000, "10,0,0,1,78,32"),
            ("port  10,0,0,1,78,32\n", v4("10.0.0.1"), 20000, "10,0,0,1,78,32"),
            (
                "227 Entering Passive Mode (10,0,0,2,80,1).\r\n",
                v4("10.0.0.2"),
                20481,
                "10,0,0,2,80,1",
            ),
            ("227 =10,0,0,2,80,1\r\n", v4("10.0.0.2"), 20481, "10,0,0,2,80,1"),
            ("EPRT |1|10.0.0.1|20000|\r\n", v4("10.0.0.1"), 20000, "|1|10.0.0.1|20000|"),
            ("EPRT !2!fc00::1!20000!\r\n", v4("fc00::1"), 20000, "!2!fc00::1!20000!"),
            ("229 Entering Extended Passive Mode (|||20481|)\r\n", None, 20481, "|||20481|"),
        ];
        for (text, address, port, place) in cases {
            assert_eq!(read(text), Some((address, port, place)), "{text}");
        }
    }

    #[test]
    fn what_only_resembles_one_is_none() {
        for text in [
            "",
            "PORT",
            "PORT ",
            "PORT 10,0,0,1,78",
            "PORT 10,0,0,1,78,32",
            "PORT 10,0,0,1,78,3",
            "PORT 10,0,0,256,78,32\r\n",
            "PORT 10,0,0,1,0,0\r\n",
            "PORT 10,0,0,1,78,32,1\r\n",
            "PORT 10.0.0.1,78,32\r\n",
            "PORT 0010,0,0,1,78,32\r\n",
            "EPRT |1|fc00::1|20000|\r\n",
            "EPRT |3|10.0.0.1|20000|\r\n",
            "EPRT |1|10.0.0.1|65536|\r\n",
            "EPRT |1|10.0.0.1|20000",
            "EPRT 1110.0.0.1|20000|\r\n",
            "229 Entering Extended Passive Mode (||20481|)\r\n",
            "229 Entering Extended Passive Mode (|||20481|\r\n",
            "228 (10,0,0,2,80,1)\r\n",
            "LIST 227 (10,0,0,2,80,1)\r\n",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let address: IpAddr = "192.168.255.255".parse().expect("address");
        for text in ["PORT 1,2,3,4,5,6\r\n", "EPRT |1|1.2.3.4|5|\r\n", "229 x (|||5|)\r\n"] {
            let found = announcement(text.as_bytes()).expect("an announcement");
            let written = found.written(address, 65535).expect("can be written");
            let mut again = text.to_owned();
            again.replace_range(found.place.clone(), &written);
            let again = announcement(again.as_bytes()).expect("an announcement");
            assert_eq!((again.port, again.form), (65535, found.form));
            assert_eq!(again.address.is_some(), found.address.is_some());
        }
        let v6: IpAddr = "fc00::1".parse().expect("address");
        assert_eq!(announcement(b"PORT 1,2,3,4,5,6\r\n").and_then(|it| it.written(v6, 1)), None);
    }
}
