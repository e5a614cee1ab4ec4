//! The command line, read as the C library's `getopt_long` reads it.
//!
//! Long names may be shortened as long as they are unambiguous, options and arguments may be mixed,
//! and `-v` takes a value only when it is attached. Scripts rely on all three, and on the texts of
//! the errors, which is why the usual parser crate is not used here: it has no attached-only values.

use thiserror::Error;

/// Whether the dummy datapath and ports exist, and what they replace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DummyMode {
    /// There are none.
    #[default]
    Off,
    /// They exist beside the real ones.
    Beside,
    /// They replace the kernel's datapath and ports: `--enable-dummy=system`.
    System,
    /// They replace all: `--enable-dummy=override`.
    Override,
}

impl DummyMode {
    /// Whether a datapath of this type is a dummy.
    pub(crate) fn pretends(self, kind: &str) -> bool {
        match self {
            Self::Off => false,
            Self::Beside => kind == "dummy",
            Self::System => matches!(kind, "dummy" | "system"),
            Self::Override => matches!(kind, "dummy" | "system" | "netdev"),
        }
    }
}

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) remote: Option<String>,
    /// `Some(None)`: at its usual place.
    pub(crate) pidfile: Option<Option<String>>,
    pub(crate) overwrite_pidfile: bool,
    pub(crate) log_file: Option<Option<String>>,
    pub(crate) syslog_method: Option<String>,
    pub(crate) syslog_target: Option<String>,
    pub(crate) verbosity: Vec<Option<String>>,
    pub(crate) detach: bool,
    pub(crate) monitor: bool,
    pub(crate) no_chdir: bool,
    pub(crate) user: Option<String>,
    pub(crate) unixctl: Option<String>,
    pub(crate) mlockall: bool,
    pub(crate) no_self_confinement: bool,
    pub(crate) hw_rawio_access: bool,
    pub(crate) dummy: DummyMode,
    pub(crate) disable_system: bool,
    pub(crate) disable_system_route: bool,
    pub(crate) dummy_numa: Option<String>,
    pub(crate) private_key: Option<String>,
    pub(crate) certificate: Option<String>,
    pub(crate) ca_cert: Option<String>,
    pub(crate) bootstrap_ca_cert: Option<String>,
    pub(crate) peer_ca_cert: Option<String>,
    pub(crate) ssl_protocols: Option<String>,
    pub(crate) ssl_ciphers: Option<String>,
    pub(crate) ssl_ciphersuites: Option<String>,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Request {
    /// Run the daemon.
    Run(Box<Options>),
    /// Say what the options are.
    Help,
    /// Say which version this is.
    Version,
}

/// Why the command line makes no sense; the texts are the C library's.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum UsageError {
    #[error("unrecognized option '{0}'")]
    Unrecognized(String),
    #[error("option '{0}' is ambiguous; possibilities:{1}")]
    Ambiguous(String, String),
    #[error("invalid option -- '{0}'")]
    Invalid(char),
    #[error("option '{0}' requires an argument")]
    Argument(String),
    #[error("option requires an argument -- '{0}'")]
    ShortArgument(char),
    #[error("option '{0}' doesn't allow an argument")]
    NoArgument(String),
    #[error("database socket is only non-option argument; use --help for usage")]
    TooMany,
    #[error("Using --dpdk to configure DPDK is not supported.")]
    Dpdk,
    #[error("invalid argument to --enable-dummy: {0}")]
    Dummy(String),
}

/// Whether an option has a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    None,
    Optional,
    Required,
}

const LONG: &[(&str, Value)] = &[
    ("bootstrap-ca-cert", Value::Required),
    ("ca-cert", Value::Required),
    ("certificate", Value::Required),
    ("detach", Value::None),
    ("disable-system", Value::None),
    ("disable-system-route", Value::None),
    ("dpdk", Value::Optional),
    ("dummy-numa", Value::Required),
    ("enable-dummy", Value::Optional),
    ("help", Value::None),
    ("hw-rawio-access", Value::None),
    ("log-file", Value::Optional),
    ("mlockall", Value::None),
    ("monitor", Value::None),
    ("no-chdir", Value::None),
    ("no-self-confinement", Value::None),
    ("overwrite-pidfile", Value::None),
    ("peer-ca-cert", Value::Required),
    ("pidfile", Value::Optional),
    ("private-key", Value::Required),
    ("ssl-ciphers", Value::Required),
    ("ssl-ciphersuites", Value::Required),
    ("ssl-protocols", Value::Required),
    ("syslog-method", Value::Required),
    ("syslog-target", Value::Required),
    ("unixctl", Value::Required),
    ("user", Value::Required),
    ("verbose", Value::Optional),
    ("version", Value::None),
];

impl Options {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    ///
    /// [`UsageError`].
    pub(crate) fn parse(words: &[String]) -> Result<Request, UsageError> {
        let mut options = Self::default();
        let mut plain = Vec::new();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                plain.extend(rest.by_ref().cloned());
            } else if let Some(long) = word.strip_prefix("--") {
                let (name, attached) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                };
                let (name, kind) = long_option(name, word)?;
                let value = match (kind, attached) {
                    (Value::None, Some(_)) => {
                        return Err(UsageError::NoArgument(format!("--{name}")));
                    }
                    (Value::Required, None) => {
                        let next = rest.next().cloned();
                        Some(next.ok_or_else(|| UsageError::Argument(format!("--{name}")))?)
                    }
                    (_, attached) => attached,
                };
                if let Some(request) = options.take(name, value)? {
                    return Ok(request);
                }
            } else if word.len() > 1 && word.starts_with('-') {
                if let Some(request) = options.shorts(word, &mut rest)? {
                    return Ok(request);
                }
            } else {
                plain.push(word.clone());
            }
        }
        if plain.len() > 1 {
            return Err(UsageError::TooMany);
        }
        options.remote = plain.pop();
        Ok(Request::Run(Box::new(options)))
    }

    /// A word of short options.
    fn shorts(
        &mut self,
        word: &str,
        rest: &mut std::slice::Iter<'_, String>,
    ) -> Result<Option<Request>, UsageError> {
        let mut letters = word.chars().skip(1);
        while let Some(letter) = letters.next() {
            let (name, kind) = match letter {
                'h' => ("help", Value::None),
                'V' => ("version", Value::None),
                'v' => ("verbose", Value::Optional),
                'p' => ("private-key", Value::Required),
                'c' => ("certificate", Value::Required),
                'C' => ("ca-cert", Value::Required),
                other => return Err(UsageError::Invalid(other)),
            };
            let attached: String = match kind {
                Value::None => String::new(),
                _ => letters.by_ref().collect(),
            };
            let value = match kind {
                Value::None => None,
                _ if !attached.is_empty() => Some(attached),
                Value::Optional => None,
                Value::Required => {
                    Some(rest.next().cloned().ok_or(UsageError::ShortArgument(letter))?)
                }
            };
            if let Some(request) = self.take(name, value)? {
                return Ok(Some(request));
            }
        }
        Ok(None)
    }

    /// Notes one option.
    fn take(&mut self, name: &str, value: Option<String>) -> Result<Option<Request>, UsageError> {
        match name {
            "help" => return Ok(Some(Request::Help)),
            "version" => return Ok(Some(Request::Version)),
            "verbose" => self.verbosity.push(value),
            "pidfile" => self.pidfile = Some(value),
            "log-file" => self.log_file = Some(value),
            "overwrite-pidfile" => self.overwrite_pidfile = true,
            "syslog-method" => self.syslog_method = value,
            "syslog-target" => self.syslog_target = value,
            "detach" => self.detach = true,
            "monitor" => self.monitor = true,
            "no-chdir" => self.no_chdir = true,
            "user" => self.user = value,
            "unixctl" => self.unixctl = value,
            "mlockall" => self.mlockall = true,
            "no-self-confinement" => self.no_self_confinement = true,
            "hw-rawio-access" => self.hw_rawio_access = true,
            // It is configured through the database.
            "dpdk" => return Err(UsageError::Dpdk),
            "disable-system" => self.disable_system = true,
            "disable-system-route" => self.disable_system_route = true,
            "dummy-numa" => self.dummy_numa = value,
            "private-key" => self.private_key = value,
            "certificate" => self.certificate = value,
            "ca-cert" => self.ca_cert = value,
            "bootstrap-ca-cert" => self.bootstrap_ca_cert = value,
            "peer-ca-cert" => self.peer_ca_cert = value,
            "ssl-protocols" => self.ssl_protocols = value,
            "ssl-ciphers" => self.ssl_ciphers = value,
            "ssl-ciphersuites" => self.ssl_ciphersuites = value,
            "enable-dummy" => {
                self.dummy = match value.as_deref() {
                    None => DummyMode::Beside,
                    Some("system") => DummyMode::System,
                    Some("override") => DummyMode::Override,
                    Some(other) => return Err(UsageError::Dummy(other.to_owned())),
                };
            }
            // Every name of the table is above.
            _ => {}
        }
        Ok(None)
    }
}

/// The option that `name` is, or begins.
fn long_option(name: &str, word: &str) -> Result<(&'static str, Value), UsageError> {
    if let Some(found) = LONG.iter().find(|(it, _)| *it == name) {
        return Ok(*found);
    }
    let found: Vec<_> = LONG.iter().filter(|(it, _)| it.starts_with(name)).collect();
    match found.as_slice() {
        [] => Err(UsageError::Unrecognized(word.split('=').next().unwrap_or(word).to_owned())),
        [one] => Ok(**one),
        several => {
            let names = several.iter().map(|(it, _)| format!(" '--{it}'")).collect();
            Err(UsageError::Ambiguous(word.to_owned(), names))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DummyMode, Options, Request, UsageError};

    fn parse(words: &str) -> Result<Request, UsageError> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    fn run(words: &str) -> Options {
        match parse(words) {
            Ok(Request::Run(options)) => *options,
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn options_of_a_service_unit_are_read() {
        let options =
            run("unix:/run/db.sock -vconsole:emer -vsyslog:err -vfile:info --mlockall --no-chdir \
             --log-file=/log --pidfile --detach --user openvswitch:hugetlbfs -v");
        assert_eq!(options.remote.as_deref(), Some("unix:/run/db.sock"));
        assert_eq!(options.verbosity.len(), 4);
        assert_eq!(options.verbosity.last(), Some(&None));
        assert_eq!(options.log_file, Some(Some("/log".to_owned())));
        assert_eq!(options.pidfile, Some(None));
        assert_eq!(options.user.as_deref(), Some("openvswitch:hugetlbfs"));
        assert!(options.detach && options.mlockall && options.no_chdir);
        assert_eq!(run("--enable-dummy=override").dummy, DummyMode::Override);
        assert_eq!(run("--enable-d").dummy, DummyMode::Beside);
    }

    #[test]
    fn mistakes_are_told_in_the_words_of_the_c_library() {
        for (words, text) in [
            ("--nosuch", "unrecognized option '--nosuch'"),
            ("--nosuch=1", "unrecognized option '--nosuch'"),
            ("-x", "invalid option -- 'x'"),
            ("--unixctl", "option '--unixctl' requires an argument"),
            ("-p", "option requires an argument -- 'p'"),
            ("--detach=1", "option '--detach' doesn't allow an argument"),
            ("--dpdk", "Using --dpdk to configure DPDK is not supported."),
            ("a b", "database socket is only non-option argument; use --help for usage"),
        ] {
            assert_eq!(parse(words).err().map(|it| it.to_string()).as_deref(), Some(text));
        }
        assert!(matches!(parse("--ssl"), Err(UsageError::Ambiguous(..))));
        assert!(run("--no-self-c").no_self_confinement && run("--hw-rawio-access").hw_rawio_access);
        assert!(matches!(parse("--version x y"), Ok(Request::Version)));
        assert!(matches!(parse("-h"), Ok(Request::Help)));
    }
}
