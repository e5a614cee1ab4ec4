//! The log: lines of `TIME|NUMBER|MODULE|LEVEL|text` to the system log, the console and a file.
//!
//! Each module has a threshold for each destination, each destination a pattern, and operators
//! change all of them while the switch runs (`-v`, `vlog/set`). Libraries know nothing of this:
//! they log through the `log` facade, with the module's name as target and, where a peer could make
//! them noisy, a limit (see `rate`). This is the logger behind the facade.
//!
//! ```text
//! log::warn!(target: "bridge", …) → threshold of the module → limit of the place → pattern → write
//! ```
//!
//! # Threads
//!
//! Any thread may log. Thresholds are read without a lock; formatting and writing happen under one,
//! so that lines of several threads do not mix. A thread's messages have numbers of their own.
//!
//! # Cost
//!
//! A message below the threshold costs a search for the module's name and one load. One that is
//! written costs a system call for each destination; nothing in the packet path logs.

mod calendar_unsafe;
mod file;
mod level;
mod module;
mod pattern;
mod rate;
mod spec;
mod syslog;

#[cfg(test)]
mod tests;

use std::{
    cell::Cell,
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread,
    time::{Instant, SystemTime},
};

use file::LogFile;
pub use file::ReopenError;
pub use level::{Destination, Level};
pub use module::Module;
use pattern::Message;
use rate::{Limit, Limits, Verdict};
pub use spec::{Spec, SpecError};
pub use syslog::SyslogMethodError;
use syslog::{Syslog, UdpSender};

/// The logger.
#[derive(Debug)]
pub struct Vlog {
    program: String,
    host: String,
    started: Instant,
    modules: Vec<Thresholds>,
    /// Whether a file is open: no message needs formatting for one that is not.
    file_open: AtomicBool,
    output: Mutex<Output>,
    subprogram: Mutex<String>,
}

/// What messages of one module need to be.
#[derive(Debug)]
struct Thresholds {
    levels: [AtomicU8; Destination::COUNT],
    unlimited: AtomicBool,
}

impl Thresholds {
    fn level(&self, destination: Destination) -> Level {
        let level = self.levels.get(destination as usize);
        Level::from_number(level.map_or(0, |level| level.load(Ordering::Relaxed)))
    }
}

/// What is used while a line is written.
#[derive(Debug)]
struct Output {
    patterns: [String; Destination::COUNT],
    facility: Option<u8>,
    syslog: Syslog,
    target: Option<UdpSender>,
    file: LogFile,
    limits: Limits,
}

/// The time of day, to the millisecond.
#[must_use]
pub fn time_of_day() -> String {
    calendar_unsafe::local(SystemTime::now(), "%H:%M:%S.###")
}

impl Vlog {
    /// A logger for a program of that name, which is part of what goes to the system log in the
    /// given way (`--syslog-method`).
    ///
    /// # Errors
    ///
    /// There is no such way.
    pub fn new(program: &str, syslog_method: &str) -> Result<Self, SyslogMethodError> {
        let thresholds = || Thresholds {
            levels: Destination::ALL.map(|it| AtomicU8::new(it.default_level() as u8)),
            unlimited: AtomicBool::new(false),
        };
        Ok(Self {
            program: program.to_owned(),
            host: nix::unistd::gethostname()
                .map_or_else(|_| "localhost".to_owned(), |host| host.to_string_lossy().into()),
            started: Instant::now(),
            modules: Module::all().map(|_| thresholds()).collect(),
            file_open: AtomicBool::new(false),
            output: Mutex::new(Output {
                patterns: Destination::ALL.map(|it| it.default_pattern().to_owned()),
                facility: None,
                syslog: Syslog::parse(syslog_method)?,
                target: None,
                file: LogFile::default(),
                limits: Limits::default(),
            }),
            subprogram: Mutex::new(String::new()),
        })
    }

    /// Makes this the logger of the process. There can be one, so it stays for ever.
    ///
    /// # Errors
    ///
    /// The process has another already.
    pub fn install(self) -> Result<&'static Self, log::SetLoggerError> {
        let logger: &'static Self = Box::leak(Box::new(self));
        log::set_logger(logger)?;
        logger.announce_thresholds();
        Ok(logger)
    }

    /// Does what a specification asks for.
    pub fn set(&self, spec: Spec) {
        match spec {
            Spec::Levels { module, destination, level } => {
                self.set_levels(module, destination, level);
            }
            Spec::Pattern { destination, pattern } => {
                let mut output = self.output();
                for it in
                    Destination::ALL.into_iter().filter(|it| destination.is_none_or(|d| d == *it))
                {
                    if let Some(place) = output.patterns.get_mut(it as usize) {
                        place.clone_from(&pattern);
                    }
                }
            }
            Spec::Facility(number) => self.output().facility = Some(number),
        }
    }

    /// Sets thresholds: of a module or all, at a destination or all.
    pub fn set_levels(
        &self,
        module: Option<Module>,
        destination: Option<Destination>,
        level: Level,
    ) {
        for (at, thresholds) in self.modules.iter().enumerate() {
            if module.is_some_and(|module| module.index() != at) {
                continue;
            }
            for it in Destination::ALL.into_iter().filter(|it| destination.is_none_or(|d| d == *it))
            {
                if let Some(place) = thresholds.levels.get(it as usize) {
                    place.store(level as u8, Ordering::Relaxed);
                }
            }
        }
        self.announce_thresholds();
    }

    /// Has limits obeyed or not: those of a module, or all.
    pub fn set_rate_limiting(&self, module: Option<Module>, enabled: bool) {
        for (at, thresholds) in self.modules.iter().enumerate() {
            if module.is_none_or(|module| module.index() == at) {
                thresholds.unlimited.store(!enabled, Ordering::Relaxed);
            }
        }
    }

    /// Sends messages to the system log in another way.
    ///
    /// # Errors
    ///
    /// There is no such way.
    pub fn set_syslog_method(&self, method: &str) -> Result<(), SyslogMethodError> {
        self.output().syslog = Syslog::parse(method)?;
        Ok(())
    }

    /// Sends messages to a receiver in the network besides (`--syslog-target`). What is wrong with
    /// the address is logged, and no reason to stop.
    pub fn set_syslog_target(&self, target: &str) {
        match syslog::parse_target(target) {
            Ok(address) => {
                self.output().target = UdpSender::new(address);
                log::warn!(
                    target: "vlog",
                    "--syslog-target flag is deprecated, use --syslog-method instead"
                );
            }
            Err(error) => log::error!(target: "socket_util", "{error}"),
        }
    }

    /// Opens a file to log to, in place of the one that may be open.
    ///
    /// # Errors
    ///
    /// The file could not be opened; that has been logged.
    pub fn open_file(&self, path: &Path) -> io::Result<()> {
        self.close_file();
        let opened = self.output().file.open(path);
        match &opened {
            Ok(()) => {
                self.file_open.store(true, Ordering::Relaxed);
                log::info!(target: "vlog", "opened log file {}", path.display());
            }
            Err(error) => {
                let why = crate::errno::text(error);
                log::warn!(
                    target: "vlog",
                    "failed to open {} for logging: {why}", path.display()
                );
            }
        }
        opened
    }

    /// Closes the file, if one is open.
    pub fn close_file(&self) {
        if self.file_open.load(Ordering::Relaxed) {
            log::info!(target: "vlog", "closing log file");
            self.file_open.store(false, Ordering::Relaxed);
            self.output().file.close();
        }
    }

    /// Opens the file anew, so that it may have been moved away.
    ///
    /// # Errors
    ///
    /// There was none, or it cannot be opened.
    pub fn reopen_file(&self) -> Result<(), ReopenError> {
        let path = self.output().file.path().ok_or(ReopenError::NotConfigured)?;
        self.open_file(&path).map_err(ReopenError::Open)
    }

    /// Gives the log file to a user and a group, before the process becomes them.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn give_file(&self, user: u32, group: u32) -> io::Result<()> {
        self.output().file.give(user, group)
    }

    /// Names the primary thread of this process, for processes that are not the daemon itself.
    pub fn set_subprogram(&self, name: &str) {
        name.clone_into(&mut self.subprogram.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes the message of a process that is about to end.
    pub fn emergency(&self, text: &str) {
        self.write(Module::MAIN, Level::Emer, text);
    }

    /// The table of `vlog/list`.
    #[must_use]
    pub fn list(&self) -> String {
        let mut table = String::from(
            "                 console    syslog    file\n                 -------    ------    ------\n",
        );
        for (module, thresholds) in Module::all().zip(&self.modules) {
            let level = |destination| thresholds.level(destination).name();
            let limits = if thresholds.unlimited.load(Ordering::Relaxed) {
                "    (rate limiting disabled)"
            } else {
                ""
            };
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(
                table,
                "{:<16}  {:>4}       {:>4}       {:>4}{limits}",
                module.name(),
                level(Destination::Console),
                level(Destination::Syslog),
                level(Destination::File),
            );
        }
        table
    }

    /// The table of `vlog/list-pattern`.
    #[must_use]
    pub fn list_patterns(&self) -> String {
        let mut table = String::from(
            "         prefix                            format\n         ------                            ------\n",
        );
        let output = self.output();
        for (destination, pattern) in Destination::ALL.into_iter().zip(&output.patterns) {
            let prefix = match destination {
                Destination::Syslog => output.syslog.prefix(),
                Destination::Console | Destination::File => "none",
            };
            let _ = writeln!(table, "{:<7}  {prefix:<32}  {pattern}", destination.name());
        }
        table
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the facade how verbose the most verbose module is.
    fn announce_thresholds(&self) {
        let levels = self.modules.iter().flat_map(|it| Destination::ALL.map(|d| it.level(d)));
        log::set_max_level(levels.max().unwrap_or(Level::Off).filter());
    }

    /// Whether a message goes anywhere.
    fn wanted(&self, module: Module, level: Level) -> bool {
        Destination::ALL.into_iter().any(|destination| self.goes_to(module, level, destination))
    }

    fn goes_to(&self, module: Module, level: Level, destination: Destination) -> bool {
        let open = destination != Destination::File || self.file_open.load(Ordering::Relaxed);
        let threshold = self.modules.get(module.index()).map(|it| it.level(destination));
        open && threshold.is_some_and(|threshold| level <= threshold)
    }

    fn write(&self, module: Module, level: Level, text: &str) {
        let subprogram = self.subprogram();
        let mut guard = self.output();
        let output = &mut *guard;
        let mut message = Message {
            program: &self.program,
            host: &self.host,
            pid: std::process::id(),
            subprogram: &subprogram,
            module,
            level,
            facility: output.facility.unwrap_or(spec::DAEMON),
            number: NUMBER.with(|number| number.replace(number.get().wrapping_add(1))),
            time: SystemTime::now(),
            uptime: self.started.elapsed(),
            text,
        };
        let [syslog_pattern, console_pattern, file_pattern] = &output.patterns;
        if self.goes_to(module, level, Destination::Console) {
            let line = message.format(console_pattern) + "\n";
            // There is nowhere to complain about a console that is gone.
            let _ = io::stderr().write_all(line.as_bytes());
        }
        if self.goes_to(module, level, Destination::File) {
            output.file.write(&(message.format(file_pattern) + "\n"));
        }
        if self.goes_to(module, level, Destination::Syslog) {
            output.syslog.send(&message, &message.format(syslog_pattern));
            if let Some(target) = &output.target {
                message.facility = output.facility.unwrap_or(spec::LOCAL0);
                target.send(message.format(TARGET_PATTERN).as_bytes());
            }
        }
    }

    /// What the current thread is called in the log: nothing for the primary thread of the daemon.
    fn subprogram(&self) -> String {
        match thread::current().name() {
            Some("main") => self.subprogram.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Some(name) => name.to_owned(),
            None => "thread".to_owned(),
        }
    }
}

impl log::Log for Vlog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        Level::of(metadata.level())
            .is_some_and(|level| self.wanted(Module::of_target(metadata.target()), level))
    }

    fn log(&self, record: &log::Record<'_>) {
        let Some(level) = Level::of(record.level()) else { return };
        let module = Module::of_target(record.target());
        if !self.wanted(module, level) {
            return;
        }
        let unlimited =
            self.modules.get(module.index()).is_some_and(|it| it.unlimited.load(Ordering::Relaxed));
        if !unlimited && let Some(limit) = Limit::of(record) {
            let file = record.file().unwrap_or_else(|| record.target()).to_owned();
            let place = (file, record.line().unwrap_or_default());
            let verdict = self.output().limits.ask(place, limit, Instant::now());
            match verdict {
                Verdict::Drop => return,
                Verdict::Pass(None) => {}
                Verdict::Pass(Some(withheld)) => self.write(module, level, &withheld.text()),
            }
        }
        self.write(module, level, &record.args().to_string());
    }

    fn flush(&self) {
        // Nothing is held back.
    }
}

thread_local! {
    /// The number of the thread's next message.
    static NUMBER: Cell<u32> = const { Cell::new(1) };
}

/// How messages go to `--syslog-target`: RFC 5424, whatever the pattern for the system log.
const TARGET_PATTERN: &str = "<%B>1 %D{%Y-%m-%dT%H:%M:%S.###Z} %E %A %P %c - \u{feff}%m";
