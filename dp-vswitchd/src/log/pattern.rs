//! The shape of a log line: `%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m`.
//!
//! A pattern is copied to the log except for escapes: `%`, optional flags (`-` justifies left, `0`
//! pads with zeros), an optional least width, and a letter, some with an argument in braces. What
//! the letters mean is [`Escape::expand`]'s business. A pattern cannot be wrong: an unknown letter
//! stands for itself, as the tools of the field have it.

use std::{
    iter::Peekable,
    str::Chars,
    time::{Duration, SystemTime},
};

use super::{Level, Module, calendar_unsafe};

/// What there is to say about one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    /// The program that logs.
    pub(super) program: &'a str,
    /// The host's name.
    pub(super) host: &'a str,
    /// The process.
    pub(super) pid: u32,
    /// The thread or process within the program; empty for the primary one.
    pub(super) subprogram: &'a str,
    /// The module.
    pub(super) module: Module,
    /// The severity.
    pub(super) level: Level,
    /// The syslog facility's number.
    pub(super) facility: u8,
    /// The number of the message among those of its thread, from 1.
    pub(super) number: u32,
    /// When it was logged.
    pub(super) time: SystemTime,
    /// How long after the start of the program.
    pub(super) uptime: Duration,
    /// The text.
    pub(super) text: &'a str,
}

impl Message<'_> {
    /// The number of RFC 5424 section 6.2.1.
    pub(super) fn priority(&self) -> u8 {
        (self.facility << 3) | self.level.syslog_severity()
    }

    /// The message in the given pattern.
    pub(super) fn format(&self, pattern: &str) -> String {
        let mut line = String::with_capacity(pattern.len() + self.text.len() + 32);
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            if c != '%' {
                line.push(c);
            } else if rest.peek().is_none() {
                line.push('%');
            } else {
                let escape = Escape::parse(&mut rest);
                escape.append(&escape.expand(self), &mut line);
            }
        }
        line
    }
}

/// One escape, as written.
#[derive(Debug)]
struct Escape {
    left: bool,
    zeros: bool,
    width: usize,
    letter: char,
    argument: Option<String>,
}

impl Escape {
    /// What follows a `%`.
    fn parse(rest: &mut Peekable<Chars<'_>>) -> Self {
        let left = rest.next_if_eq(&'-').is_some();
        let zeros = rest.next_if_eq(&'0').is_some();
        let mut width = 0_usize;
        while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
            rest.next();
            width = (width * 10 + digit as usize).min(WIDEST);
        }
        let letter = rest.next().unwrap_or('%');
        let takes_argument = matches!(letter, 'd' | 'D');
        let argument = (takes_argument && rest.next_if_eq(&'{').is_some())
            .then(|| rest.by_ref().take_while(|c| *c != '}').collect());
        Self { left, zeros, width, letter, argument }
    }

    /// What the escape stands for.
    fn expand(&self, message: &Message<'_>) -> String {
        let format = || self.argument.as_deref().unwrap_or("%Y-%m-%d %H:%M:%S.###");
        match self.letter {
            'A' => message.program.to_owned(),
            'B' => message.priority().to_string(),
            'c' => message.module.name().to_owned(),
            'd' => calendar_unsafe::local(message.time, format()),
            'D' => calendar_unsafe::utc(message.time, format()),
            'E' => message.host.to_owned(),
            'm' => message.text.to_owned(),
            'N' => message.number.to_string(),
            'n' => "\n".to_owned(),
            'p' => message.level.to_string(),
            'P' => message.pid.to_string(),
            'r' => message.uptime.as_millis().to_string(),
            't' if message.subprogram.is_empty() => "main".to_owned(),
            't' => message.subprogram.to_owned(),
            'T' if message.subprogram.is_empty() => String::new(),
            'T' => format!("({})", message.subprogram),
            other => other.to_string(),
        }
    }

    /// Adds the expansion, padded to the width.
    fn append(&self, text: &str, line: &mut String) {
        let missing = self.width.saturating_sub(text.chars().count());
        let padding = std::iter::repeat_n(if self.zeros { '0' } else { ' ' }, missing);
        if self.left {
            line.push_str(text);
            line.extend(padding);
        } else {
            line.extend(padding);
            line.push_str(text);
        }
    }
}

/// No field is padded to more than this: a width is an operator's input.
const WIDEST: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::{Duration, Level, Message, Module, SystemTime};

    fn message() -> Message<'static> {
        Message {
            program: "ovs-vswitchd",
            host: "vm",
            pid: 1681,
            subprogram: "",
            module: Module::of_target("jsonrpc"),
            level: Level::Warn,
            facility: 16,
            number: 17,
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_426_130_135),
            uptime: Duration::from_millis(13_404),
            text: "hello",
        }
    }

    #[test]
    fn every_escape_expands_as_the_reference_has_it() {
        let line = message().format(
            "%-10c|%10p|%010N|%5m|%P|%E|%A|%B|%t|%T|%r|%%|%D|%D{%Y.##x#}|%q|%|%10%|%n|%3|x",
        );
        assert_eq!(
            line,
            "jsonrpc   |      WARN|0000000017|hello|1681|vm|ovs-vswitchd|132|main||13404|%|\
             2026-11-23 09:28:50.135|2026.13x1|q||         %|\n|  |x"
        );
    }

    #[test]
    fn flags_and_a_format_without_an_end_are_read_as_the_reference_does() {
        let line = message().format("%-|%-c|%00c|%-0c|%05p|%-05pX|%D{%H|%m");
        assert_eq!(line, "|jsonrpc|jsonrpc|jsonrpc|0WARN|WARN0X|09|11");
    }

    #[test]
    fn the_default_patterns_make_the_usual_lines() {
        let with_thread = Message { subprogram: "monitor", ..message() };
        assert_eq!(
            with_thread.format(super::super::Destination::File.default_pattern()),
            "2026-11-23T09:28:50.135Z|00017|jsonrpc(monitor)|WARN|hello"
        );
        assert_eq!(
            message().format(super::super::Destination::Syslog.default_pattern()),
            "ovs|00017|jsonrpc|WARN|hello"
        );
    }

    #[test]
    fn no_pattern_is_wrong() {
        for pattern in ["", "%", "%-", "%0", "%-0", "%99999999999999999999c", "%d{", "%d{}", "é%é"]
        {
            assert!(message().format(pattern).len() < 4_000, "{pattern}");
        }
        assert_eq!(message().format("abc%"), "abc%");
    }
}
