//! The kernel's policy rules: which table is asked for which packets (`ip rule`).
//!
//! Only what a tunnel's outer packet has yet when its way is looked for can choose a table: its
//! source and its mark. Rules that look at more (a device, a destination, ports, a user) or that do
//! something else than ask a table apply to none of them and are left out.

use dp_core::route::{Family, Prefix, Rule, RuleSource};

use super::message::{address, attributes, word};

/// Bytes of the fixed part (`struct fib_rule_hdr`).
pub(super) const FIXED: usize = 12;
/// The action that asks a table.
const TO_TABLE: u8 = 1;
/// The rule is for all other packets.
const INVERT: u32 = 2;

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A rule that can apply.
    Rule(Rule),
    /// One that cannot.
    Other,
}

/// Reads a message about a rule. `None`: it is no whole one, or of another family than IP's.
pub(super) fn read(content: &[u8]) -> Option<Said> {
    let fixed: &[u8; FIXED] = content.first_chunk()?;
    let &[family, dst_len, src_len, tos, table, _, _, action, ..] = fixed;
    let family = match i32::from(family) {
        libc::AF_INET => Family::V4,
        libc::AF_INET6 => Family::V6,
        _ => return None,
    };
    let mut rule = Rule {
        priority: 0,
        from: None,
        invert: word(fixed, 8)? & INVERT != 0,
        mark: None,
        family,
        table: u32::from(table),
        made_by: RuleSource::Cached,
    };
    let (mut value, mut mask) = (None, None);
    let mut more = dst_len != 0 || tos != 0 || action != TO_TABLE;
    for (kind, content) in attributes(content.get(FIXED..)?) {
        match kind {
            2 => rule.from = Some(Prefix::new(address(content)?, src_len)),
            6 => rule.priority = word(content, 0)?,
            10 => value = word(content, 0),
            // As the kernel says that nothing is suppressed.
            14 => more |= word(content, 0)? != u32::MAX,
            15 => rule.table = word(content, 0)?,
            16 => mask = word(content, 0),
            // Destination, devices, where to go, users, protocol, ports, a device's own table.
            1 | 3 | 4 | 17 | 20 | 22 | 23 | 24 => more = true,
            19 => more |= content.first().is_some_and(|&on| on != 0),
            _ => {}
        }
    }
    if value.is_some() || mask.is_some() {
        rule.mark = Some((value.unwrap_or(0), mask.unwrap_or(u32::MAX)));
    }
    Some(if more { Said::Other } else { Said::Rule(rule) })
}

#[cfg(test)]
mod tests {
    use super::{Family, Rule, RuleSource, Said, read};

    /// A message: family, length of the source, action, flags, then attributes.
    fn message(family: u8, source_len: u8, action: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = vec![family, 0, source_len, 0, 100, 0, 0, action, 0, 0, 0, 0];
        for (kind, value) in attributes {
            let len = u16::try_from(value.len() + 4).expect("short");
            out.extend(len.to_ne_bytes());
            out.extend(kind.to_ne_bytes());
            out.extend_from_slice(value);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out
    }

    #[test]
    fn rules_by_source_and_mark_are_read_and_others_left_out() {
        let priority = 77_u32.to_ne_bytes();
        let (value, mask) = (5_u32.to_ne_bytes(), 0xff_u32.to_ne_bytes());
        let source: &[u8] = &[10, 1, 0, 0];
        let read_v4 =
            |len, action, attributes: &[(u16, &[u8])]| read(&message(2, len, action, attributes));
        let whole = read_v4(16, 1, &[(2, source), (6, &priority), (10, &value), (16, &mask)]);
        let expected = Rule {
            priority: 77,
            from: Some("10.1.0.0/16".parse().expect("a prefix")),
            invert: false,
            mark: Some((5, 0xff)),
            family: Family::V4,
            table: 100,
            made_by: RuleSource::Cached,
        };
        assert_eq!(whole, Some(Said::Rule(expected)));
        let large = 1_000_u32.to_ne_bytes();
        let Some(Said::Rule(rule)) = read_v4(0, 1, &[(15, &large)]) else { panic!("a rule") };
        assert_eq!((rule.table, rule.from, rule.mark), (1_000, None, None));
        for (what, action, more) in [
            ("prohibit", 8, (6, &priority[..])),
            ("a device", 1, (3, &b"eth0\0"[..])),
            ("a destination", 1, (1, source)),
            ("a protocol", 1, (22, &[6][..])),
            ("a suppressor", 1, (14, &[0, 0, 0, 0][..])),
        ] {
            assert_eq!(read_v4(0, action, &[more]), Some(Said::Other), "{what}");
        }
        assert_eq!(read(&message(7, 0, 1, &[])), None, "no family of IP");
        for len in 0..12 {
            assert_eq!(read(&message(2, 0, 1, &[])[..len]), None);
        }
    }
}
