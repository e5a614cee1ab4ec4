//! The logger as a whole, with a file and datagram sockets as witnesses.

use std::{fs, net::UdpSocket, os::unix::net::UnixDatagram, path::Path, time::Duration};

use log::Log;

use super::{Level, Spec, Vlog};
use testkit::folder::Folder;

/// A folder of this test's own.
fn folder(name: &str) -> Folder {
    Folder::new(&format!("log-{name}")).unwrap()
}

/// A logger that writes nowhere but to a file, in a pattern without what differs from run to run.
fn logger_to(file: &Path) -> Vlog {
    let vlog = Vlog::new("prog", "null").unwrap();
    vlog.set(Spec::parse("console:off").unwrap());
    vlog.set(Spec::parse("PATTERN:file:%c|%p|%m").unwrap());
    // Not through `open_file`, which tells the facade's logger: these tests install none.
    vlog.output().file.open(file).unwrap();
    vlog.file_open.store(true, std::sync::atomic::Ordering::Relaxed);
    vlog
}

fn say(vlog: &Vlog, target: &str, level: log::Level, text: &str) {
    let arguments = format_args!("{text}");
    vlog.log(&log::Record::builder().target(target).level(level).args(arguments).build());
}

#[test]
fn thresholds_are_by_module_and_destination() {
    let folder = folder("thresholds");
    let file = folder.join("log");
    let vlog = logger_to(&file);
    say(&vlog, "bridge", log::Level::Info, "one");
    say(&vlog, "bridge", log::Level::Debug, "below the threshold");
    vlog.set(Spec::parse("bridge:file:dbg").unwrap());
    say(&vlog, "bridge", log::Level::Debug, "two");
    say(&vlog, "bond", log::Level::Debug, "another module");
    vlog.set(Spec::parse("any:file:off").unwrap());
    say(&vlog, "bridge", log::Level::Error, "silenced");
    vlog.set(Spec::parse("file:emer").unwrap());
    vlog.emergency("the end");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "bridge|INFO|one\nbridge|DBG|two\nvswitchd|EMER|the end\n"
    );
}

#[test]
fn a_noisy_place_is_limited_until_limits_are_switched_off() {
    let folder = folder("limits");
    let file = folder.join("log");
    let vlog = logger_to(&file);
    let noisy = |text: &str| {
        let values =
            [("rate", log::kv::Value::from(1_u64)), ("burst", log::kv::Value::from(2_u64))];
        let arguments = format_args!("{text}");
        vlog.log(
            &log::Record::builder()
                .target("jsonrpc")
                .level(log::Level::Warn)
                .file(Some("a.rs"))
                .line(Some(1))
                .key_values(&values)
                .args(arguments)
                .build(),
        );
    };
    (0..10).for_each(|number| noisy(&number.to_string()));
    vlog.set_rate_limiting(super::Module::parse("jsonrpc"), false);
    noisy("unlimited");
    assert!(vlog.list().contains("INFO    (rate limiting disabled)\n"));
    vlog.set_rate_limiting(None, true);
    noisy("limited again");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "jsonrpc|WARN|0\njsonrpc|WARN|1\njsonrpc|WARN|unlimited\n"
    );
}

#[test]
fn a_file_that_was_moved_away_is_replaced_on_reopening() {
    let folder = folder("reopen");
    let (file, moved) = (folder.join("log"), folder.join("log.1"));
    let vlog = logger_to(&file);
    say(&vlog, "bridge", log::Level::Info, "old");
    fs::rename(&file, &moved).unwrap();
    say(&vlog, "bridge", log::Level::Info, "still old");
    vlog.reopen_file().unwrap();
    say(&vlog, "bridge", log::Level::Info, "new");
    vlog.close_file();
    say(&vlog, "bridge", log::Level::Info, "nowhere");
    assert_eq!(fs::read_to_string(&moved).unwrap(), "bridge|INFO|old\nbridge|INFO|still old\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), "bridge|INFO|new\n");
}

#[test]
fn a_file_that_was_never_opened_cannot_be_reopened() {
    let vlog = Vlog::new("prog", "null").unwrap();
    let error = vlog.reopen_file().unwrap_err();
    assert_eq!(error.to_string(), "Logging to file not configured");
    assert!(vlog.open_file(Path::new("/nonexistent/log")).is_err());
    assert_eq!(vlog.reopen_file().unwrap_err().to_string(), "No such file or directory");
}

#[test]
fn each_line_to_the_system_log_is_a_datagram() {
    let folder = folder("syslog");
    let path = folder.join("socket");
    let receiver = UnixDatagram::bind(&path).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let vlog = Vlog::new("prog", &format!("unix:{}", path.display())).unwrap();
    vlog.set(Spec::parse("console:off").unwrap());
    vlog.set(Spec::parse("PATTERN:syslog:%p a%nb %m").unwrap());
    say(&vlog, "bridge", log::Level::Info, "text");
    vlog.set(Spec::parse("FACILITY:mail").unwrap());
    say(&vlog, "bridge", log::Level::Warn, "more");
    let mut buffer = [0; 100];
    for wanted in ["<29>INFO a", "<29>b text", "<20>WARN a", "<20>b more"] {
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(String::from_utf8_lossy(&buffer[..length]), wanted);
    }
}

#[test]
fn a_receiver_that_comes_later_is_found() {
    let folder = folder("late");
    let path = folder.join("socket");
    let vlog = Vlog::new("prog", &format!("unix:{}", path.display())).unwrap();
    vlog.set(Spec::parse("console:off").unwrap());
    say(&vlog, "bridge", log::Level::Info, "lost");
    let receiver = UnixDatagram::bind(&path).unwrap();
    receiver.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut buffer = [0; 100];
    let found = (0..100).any(|_| {
        say(&vlog, "bridge", log::Level::Info, "found");
        receiver.recv(&mut buffer).is_ok()
    });
    assert!(found, "the socket is connected again within a second or so");
}

#[test]
fn a_target_in_the_network_gets_the_format_of_rfc_5424() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let vlog = Vlog::new("prog", "null").unwrap();
    vlog.set(Spec::parse("console:off").unwrap());
    vlog.set_syslog_target(&receiver.local_addr().unwrap().to_string());
    say(&vlog, "bridge", log::Level::Info, "text");
    let mut buffer = [0; 200];
    let length = receiver.recv(&mut buffer).unwrap();
    let line = String::from_utf8_lossy(&buffer[..length]);
    assert!(line.starts_with("<133>1 20"), "{line}");
    let end = format!(" prog {} bridge - \u{feff}text", std::process::id());
    assert!(line.ends_with(&end), "{line}");
}

#[test]
fn tables_are_laid_out_as_the_reference_does() {
    let vlog = Vlog::new("prog", "libc").unwrap();
    vlog.set(Spec::parse("bfd:console:emer").unwrap());
    vlog.set_levels(super::Module::parse("ofproto_dpif_mirror"), None, Level::Off);
    vlog.set(Spec::parse("PATTERN:file:x").unwrap());
    let list = vlog.list();
    assert!(list.starts_with(
        "                 console    syslog    file\n                 -------    ------    ------\n\
         backtrace         INFO       INFO       INFO\nbfd               EMER       INFO       INFO\n"
    ));
    assert!(list.contains("\nofproto_dpif_mirror   OFF        OFF        OFF\n"));
    assert_eq!(
        vlog.list_patterns(),
        "         prefix                            format\n         ------                            ------\n\
         SYSLOG   <%B> %D{%h %e %T} %E %A:          ovs|%05N|%c%T|%p|%m\n\
         CONSOLE  none                              %D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m\n\
         FILE     none                              x\n"
    );
}
