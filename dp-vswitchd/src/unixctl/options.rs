//! `set-options`: how one connection wants its replies.

use thiserror::Error;

/// The form of replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text for an operator.
    #[default]
    Text,
    /// Values for a program.
    Json,
}

/// Why options are refused, in the words of the C library's reader of options.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum OptionsError {
    #[error("unrecognized option '{0}'")]
    Unrecognized(String),
    #[error("invalid option -- '{0}'")]
    Invalid(char),
    #[error("option '{0}' requires an argument")]
    Argument(String),
    #[error("option format has invalid value {0}")]
    Format(String),
}

/// What the arguments of `set-options` make of `format`.
pub(super) fn set(mut format: Format, arguments: &[String]) -> Result<Format, OptionsError> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            break;
        }
        let (name, attached) = if let Some(long) = argument.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            if name.is_empty() || !"format".starts_with(name) {
                return Err(OptionsError::Unrecognized(argument.clone()));
            }
            ("--format", value)
        } else if let Some(short) = argument.strip_prefix('-') {
            let Some(letter) = short.chars().next() else { continue };
            if letter != 'f' {
                return Err(OptionsError::Invalid(letter));
            }
            ("-f", short.strip_prefix('f').filter(|value| !value.is_empty()))
        } else {
            // Words that are no options are nothing to this command.
            continue;
        };
        let value = attached
            .or_else(|| rest.next().map(String::as_str))
            .ok_or_else(|| OptionsError::Argument(name.to_owned()))?;
        format = match value {
            "text" => Format::Text,
            "json" => Format::Json,
            other => return Err(OptionsError::Format(other.to_owned())),
        };
    }
    Ok(format)
}

#[cfg(test)]
mod tests {
    use super::{Format, set};

    #[test]
    fn options_are_read_as_the_reference_reads_them() {
        for (words, answer) in [
            ("", "Text"),
            ("x", "Text"),
            ("--", "Text"),
            ("-- --format=json", "Text"),
            ("--format json", "Json"),
            ("--format=json", "Json"),
            ("--for json", "Json"),
            ("-f json", "Json"),
            ("-fjson", "Json"),
            ("x --format=json", "Json"),
            ("--foo bar", "unrecognized option '--foo'"),
            ("-x", "invalid option -- 'x'"),
            ("--format", "option '--format' requires an argument"),
            ("-f", "option '-f' requires an argument"),
            ("--format xml", "option format has invalid value xml"),
        ] {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            let found = set(Format::Text, &words)
                .map_or_else(|error| error.to_string(), |format| format!("{format:?}"));
            assert_eq!(found, answer, "{words:?}");
        }
    }
}
