//! The process: from the command line to the main loop, and to a clean end.
//!
//! ```text
//!   options → log → fork → pid file → user → control socket, switch → loop → end
//! ```
//!
//! The starter of a daemon in the background waits until the first configuration is in force.

mod capabilities_unsafe;
mod detach;
mod detach_unsafe;
mod options;
mod paths;
mod pidfile;
pub(crate) mod readiness;
mod sandbox;
mod signals;
pub(crate) mod usage;
mod user;

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use detach::Detached;
pub(crate) use options::{DummyMode, Options};
pub(crate) use paths::Paths;

use dp_netdev::system::Topology;

use crate::commands;
use crate::event_loop::{Clock, EventLoop};
use crate::log::{Level, Spec, Vlog};
use crate::metrics::Metrics;
use crate::net::tls::{self, TlsSettings};
use crate::net::{Local, Remote};
use crate::openflow::OpenFlow;
use crate::ovsdb::client::Client;
use crate::ovsdb::client::link::Link;
use crate::ovsdb::file::Standalone;
use crate::ovsdb::open_vswitch;
use crate::ovsdb::server::Engine;
use crate::ovsdb::server::task::{ServerTask, first_row};
use crate::switch::Switch;
use crate::switch::main_task::MainTask;
use crate::switch::pulse::Pulse;
use crate::unixctl::{CommandRegistry, Server};
use options::Request;
use pidfile::PidFile;
use sandbox::Sandbox;
use signals::Signals;

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}")]
    Usage(#[from] options::UsageError),
    #[error("{0}")]
    PidFile(#[from] pidfile::PidFileError),
    #[error("{0}")]
    Log(String),
    #[error("{what} failed ({why})")]
    System { what: String, why: String },
    #[error("{0}")]
    Remote(#[from] crate::net::RemoteError),
    #[error("{0}")]
    User(#[from] user::UserError),
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    #[error("{0}")]
    Database(String),
    #[error("--dummy-numa={0}: expected the NUMA node of each core, separated by commas")]
    DummyNuma(String),
}

fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> StartError {
    let what = what.into();
    move |error| StartError::System { what, why: crate::errno::text(&error) }
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let mut words = env::args_os().map(|word| word.to_string_lossy().into_owned());
    let first = words.next().unwrap_or_default();
    let name = Path::new(&first).file_name().map(|it| it.to_string_lossy().into_owned());
    let program = name.unwrap_or_else(|| "dp-vswitchd".to_owned());
    let words: Vec<String> = words.collect();
    match run(&program, &words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(program: &str, words: &[String]) -> Result<ExitCode, StartError> {
    match words {
        [first] if first == "sandbox" => return run_sandbox(program, None),
        [first, folder] if first == "sandbox" => return run_sandbox(program, Some(folder)),
        _ => {}
    }
    let mut paths = Paths::from_environment(program);
    let options = match Options::parse(words)? {
        Request::Run(options) => options,
        Request::Version => {
            println!("{}", usage::version(program));
            return Ok(ExitCode::SUCCESS);
        }
        Request::Help => {
            print!("{}", usage::help(&paths));
            return Ok(ExitCode::SUCCESS);
        }
    };
    refuse_unsupported(&options)?;
    paths.confined = !options.no_self_confinement;
    tls::set_usual(tls_settings(&options));
    let vlog = start_log(&paths, &options)?;
    let remotes = remotes(&paths, &options)?;
    let detached = detach::detach(options.detach, options.monitor, options.no_chdir)
        .map_err(system("fork"))?;
    let pidfile = match &options.pidfile {
        Some(file) => {
            let path = paths.pidfile(file.as_deref());
            Some(PidFile::create(&path, options.overwrite_pidfile)?)
        }
        None => None,
    };
    if let Some(user) = &options.user {
        user::become_user(user, options.hw_rawio_access, vlog)?;
    }
    if options.mlockall {
        lock_memory();
    }
    serve(&paths, &options, vlog, remotes, detached)?;
    drop(pidfile);
    Ok(ExitCode::SUCCESS)
}

/// A throw-away switch in the foreground.
fn run_sandbox(program: &str, folder: Option<&str>) -> Result<ExitCode, StartError> {
    let sandbox = Sandbox::new(program, folder).map_err(system("sandbox"))?;
    let vlog = start_log(&sandbox.paths, &sandbox.options)?;
    let remotes = remotes(&sandbox.paths, &sandbox.options)?;
    let pidfile = PidFile::create(&sandbox.paths.pidfile(None), false)?;
    print!("{}", sandbox.greeting());
    serve(&sandbox.paths, &sandbox.options, vlog, remotes, Detached::default())?;
    drop(pidfile);
    Ok(ExitCode::SUCCESS)
}

/// Options that ask for what this switch does not do.
fn refuse_unsupported(options: &Options) -> Result<(), StartError> {
    if options.monitor && !options.detach {
        return Err(StartError::Unsupported("--monitor without --detach"));
    }
    Ok(())
}

/// The files for TLS that the command line names, relative to where the daemon was started.
fn tls_settings(options: &Options) -> TlsSettings {
    let file = |text: &Option<String>| {
        let text = text.as_ref()?;
        if text == "none" {
            return Some(text.into());
        }
        Some(std::path::absolute(text).unwrap_or_else(|_| text.into()))
    };
    // Service units name the files of the database where there is no row of it.
    let file = |text: &Option<String>| file(text).filter(|path| !path.as_os_str().is_empty());
    TlsSettings {
        private_key: file(&options.private_key),
        certificate: file(&options.certificate),
        ca_cert: file(&options.bootstrap_ca_cert).or_else(|| file(&options.ca_cert)),
        bootstrap: options.bootstrap_ca_cert.is_some(),
        peer_ca_cert: file(&options.peer_ca_cert),
        protocols: options.ssl_protocols.clone(),
        ciphers: options.ssl_ciphers.clone(),
        ciphersuites: options.ssl_ciphersuites.clone(),
    }
}

fn start_log(paths: &Paths, options: &Options) -> Result<&'static Vlog, StartError> {
    let method = options.syslog_method.as_deref().unwrap_or("libc");
    let vlog = Vlog::new(&paths.program, method).map_err(|it| StartError::Log(it.to_string()))?;
    for spec in &options.verbosity {
        match spec {
            None => vlog.set_levels(None, None, Level::Dbg),
            Some(text) => match Spec::parse(text) {
                Ok(spec) => vlog.set(spec),
                Err(error) => {
                    return Err(StartError::Log(format!("processing \"{text}\": {error}")));
                }
            },
        }
    }
    let vlog = vlog.install().map_err(|it| StartError::Log(it.to_string()))?;
    if let Some(target) = &options.syslog_target {
        vlog.set_syslog_target(target);
    }
    if let Some(file) = &options.log_file {
        // What is wrong with it has been logged, and the daemon runs without.
        let _ = vlog.open_file(&paths.log_file(file.as_deref()));
    }
    Ok(vlog)
}

/// The database servers to connect to: our own, if the database is a file.
fn remotes(paths: &Paths, options: &Options) -> Result<Vec<Remote>, StartError> {
    let usual = format!("unix:{}", paths.in_run_folder("db.sock").display());
    let remote = options.remote.as_deref().filter(|it| !it.starts_with(FILE));
    let text = remote.unwrap_or(&usual);
    let parse = |it: &str| Remote::parse(it.trim(), OVSDB_PORT, &paths.in_run_folder(""));
    Ok(text.split(',').map(parse).collect::<Result<_, _>>()?)
}

/// The server of the database in a file, if that is how the database was named.
fn own_server(paths: &Paths, options: &Options) -> Result<Option<ServerTask>, StartError> {
    let Some(file) = options.remote.as_deref().and_then(|it| it.strip_prefix(FILE)) else {
        return Ok(None);
    };
    let failed = |error: &dyn std::fmt::Display| StartError::Database(error.to_string());
    let path = paths.start.join(file);
    if !path.exists() {
        let schema = open_vswitch::schema().map_err(|error| failed(&error))?;
        Standalone::create(&path, &schema).map_err(|error| failed(&error))?;
    }
    let (mut engine, damage) = Engine::open(&path).map_err(|error| failed(&error))?;
    if let Some(damage) = damage {
        log::warn!(target: "ovsdb_error", "{damage}");
    }
    if engine.database().is_some_and(|it| it.rows("Open_vSwitch").next().is_none()) {
        engine.execute(&first_row(), 0).map_err(|error| failed(&error))?;
    }
    let place = Local::Unix(paths.in_run_folder("db.sock"));
    let server = ServerTask::new(engine, std::slice::from_ref(&place), paths.in_run_folder(""));
    server.map(Some).map_err(system(format!("{place}: listen")))
}

fn lock_memory() {
    use nix::sys::mman::{MlockAllFlags, mlockall};
    if let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
        log::error!(target: "vswitchd", "mlockall failed: {}", error.desc());
    }
}

/// The processors there are, or those that a script invents.
fn topology(options: &Options) -> Result<Topology, StartError> {
    let topology = match &options.dummy_numa {
        None => Topology::discover(),
        Some(text) => {
            Topology::invented(text).ok_or_else(|| StartError::DummyNuma(text.clone()))?
        }
    };
    let nodes = topology.nodes();
    for (node, cpus) in &nodes {
        let count = cpus.len();
        log::info!(target: "ovs_numa", "Discovered {count} CPU cores on NUMA node {node}");
    }
    let (nodes, count) = (nodes.len(), topology.cpus().count());
    log::info!(target: "ovs_numa", "Discovered {nodes} NUMA nodes and {count} CPU cores");
    Ok(topology)
}

/// The main loop, from its making to its end.
fn serve(
    paths: &Paths,
    options: &Options,
    vlog: &'static Vlog,
    remotes: Vec<Remote>,
    detached: Detached,
) -> Result<(), StartError> {
    let clock = Clock::new();
    let mut main_loop = EventLoop::new(clock.clone()).map_err(system("eventfd"))?;
    let waker = main_loop.waker();
    let topology = topology(options)?;
    let dummy = options.dummy;
    let switch = Switch::new(paths.clone(), clock, vlog, dummy, topology, waker.clone());
    if !options.disable_system_route {
        switch.underlay.follow_kernel();
    }
    let pulse = match dummy {
        DummyMode::Off => Some(Pulse::start(&switch).map_err(system("pulse"))?),
        _ => None,
    };
    let mut registry = CommandRegistry::new();
    commands::register_all(&mut registry, &switch);
    let socket = paths.control_socket(options.unixctl.as_deref());
    let server = Server::new(socket.as_deref(), registry, waker).map_err(|error| {
        let path = socket.as_deref().map(|it| it.display().to_string()).unwrap_or_default();
        system(format!("{path}: bind"))(error)
    })?;
    let server = std::rc::Rc::new(std::cell::RefCell::new(server));
    let signals = Signals::new(Arc::clone(&switch)).map_err(system("signalfd"))?;
    let stopping = signals.stopping();
    let link = Link::new(remotes, Client::new("Open_vSwitch", "ovs_vswitchd"));
    main_loop.add(signals);
    main_loop.add(std::rc::Rc::clone(&server));
    if let Some(database) = own_server(paths, options)? {
        // There is one at most.
        let _ = switch.server_census.set(database.census());
        main_loop.add(database);
    }
    main_loop.add(Metrics::new(Arc::clone(&switch)));
    main_loop.add(MainTask::new(Arc::clone(&switch), link, detached));
    // Behind the configuration: a bridge that the database says is there can be spoken to.
    main_loop.add(OpenFlow::new(Arc::clone(&switch)));
    while !switch.is_ending() && !stopping.get() {
        main_loop.turn().map_err(system("ppoll"))?;
    }
    readiness::tell(readiness::Standing::Stopping);
    drop(pulse);
    switch.end();
    server.borrow_mut().drain(LAST_WORDS);
    Ok(())
}

/// How a database that this process serves itself is named.
const FILE: &str = "file:";
/// The port of database servers.
const OVSDB_PORT: u16 = 6640;
/// How long the last answer may take on its way.
const LAST_WORDS: Duration = Duration::from_secs(2);
