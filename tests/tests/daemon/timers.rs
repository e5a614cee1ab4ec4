//! How long controllers and managers may be silent, when they are called again, and what their rows
//! say of that meanwhile. Controllers are shown under a clock that the test holds; a manager's
//! connection goes by the real one, with the shortest times there are.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference, Setup};

/// The only row of a table: its value of `column`.
fn get(switch: &Reference, table: &str, column: &str) -> Option<String> {
    let text = switch.vsctl(&["--if-exists", "get", table, ".", column]).ok()?;
    Some(text.trim().trim_matches('"').to_owned())
}

/// Waits until the row says so.
fn until(switch: &Reference, table: &str, column: &str, wanted: &str) -> Result<()> {
    let mut last = None;
    let said = patience::wait(LIMIT, || {
        last = get(switch, table, column);
        (last.as_deref() == Some(wanted)).then_some(())
    });
    said.with_context(|| format!("{table} {column} is {last:?}, not {wanted}"))
}

/// A call that comes.
fn call(listener: &TcpListener) -> Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let (stream, _) = patience::wait(LIMIT, || listener.accept().ok()).context("no call")?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Types of the OpenFlow messages that have come within a moment.
fn types(stream: &mut impl std::io::Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    // Until nothing comes any more, or the end.
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            bytes.extend(END);
            break;
        }
        bytes.extend(buffer.iter().take(count));
    }
    let (mut out, mut rest) = (Vec::new(), bytes.as_slice());
    while let [_, kind, high, low, ..] = *rest {
        out.push(kind);
        let length = usize::from(u16::from_be_bytes([high, low])).max(4);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(out)
}

fn warp(switch: &Reference, millis: u64) -> Result<()> {
    let millis = Duration::from_millis(millis);
    Ok(switch.time_warp(millis, Some(Duration::from_millis(500)))?)
}

#[test]
fn controllers_are_probed_given_up_and_called_again_as_their_rows_say() -> Result<()> {
    let switch = Reference::start_ours()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let target = format!("tcp:{}", listener.local_addr()?);
    switch.time_stop()?;
    // Six seconds of silence; at most four between attempts.
    let words = ["--", "set", "Controller", ".", "inactivity_probe=6000", "max_backoff=4000"];
    switch.vsctl(&[&["set-controller", BRIDGE, &target][..], &words].concat())?;
    let mut stream = call(&listener)?;
    // Whoever has not said hello is no controller yet.
    until(&switch, "Controller", "status:state", "CONNECTING")?;
    ensure!(get(&switch, "Controller", "is_connected").as_deref() == Some("false"));
    stream.write_all(HELLO)?;
    until(&switch, "Controller", "status:state", "ACTIVE")?;
    until(&switch, "Controller", "is_connected", "true")?;
    stream.set_read_timeout(Some(MOMENT))?;
    types(&mut stream)?;
    warp(&switch, 5_500)?;
    ensure!(!types(&mut stream)?.contains(&ECHO_REQUEST), "asked before it was silent");
    warp(&switch, 1_000)?;
    ensure!(types(&mut stream)?.contains(&ECHO_REQUEST), "not asked");
    until(&switch, "Controller", "status:state", "IDLE")?;
    stream.write_all(ECHO_REPLY)?;
    until(&switch, "Controller", "status:state", "ACTIVE")?;
    warp(&switch, 6_500)?;
    ensure!(types(&mut stream)?.contains(&ECHO_REQUEST), "not asked again");
    drop(listener);
    warp(&switch, 6_500)?;
    ensure!(types(&mut stream)?.contains(&END[1]), "not given up");
    until(&switch, "Controller", "is_connected", "false")?;
    until(&switch, "Controller", "status:last_error", "Connection refused")?;
    until(&switch, "Controller", "status:state", "BACKOFF")?;
    let seconds = get(&switch, "Controller", "status:sec_since_connect").context("no time")?;
    let seconds: u64 = seconds.parse()?;
    ensure!((19..=21).contains(&seconds), "{seconds} seconds since it came");
    ensure!(get(&switch, "Controller", "status:sec_since_disconnect").is_some());
    let log = std::fs::read_to_string(switch.folder().join("ovs-vswitchd.log"))?;
    let told = format!("{BRIDGE}<->{target}: no response to inactivity probe after 6 seconds");
    ensure!(log.contains(&told), "{log}");
    // It lasted, so attempts begin at a second, and double to four.
    warp(&switch, 20_000)?;
    let log = std::fs::read_to_string(switch.folder().join("ovs-vswitchd.log"))?;
    let refused = log.matches("connection failed (Connection refused)").count();
    ensure!((5..=8).contains(&refused), "{refused} attempts in 20 seconds");
    ensure!(log.contains("waiting 2 seconds before reconnect"), "{log}");
    ensure!(!log.contains("waiting 8 seconds before reconnect"), "longer than was said");
    Ok(())
}

#[test]
fn tools_of_a_bridge_are_probed_after_a_minute() -> Result<()> {
    let switch = Reference::start_ours()?;
    let mut tool = UnixStream::connect(switch.folder().join(format!("{BRIDGE}.mgmt")))?;
    tool.write_all(HELLO)?;
    tool.set_read_timeout(Some(MOMENT))?;
    types(&mut tool)?;
    switch.time_stop()?;
    warp(&switch, 59_000)?;
    ensure!(!types(&mut tool)?.contains(&ECHO_REQUEST), "asked before a minute");
    warp(&switch, 2_000)?;
    ensure!(types(&mut tool)?.contains(&ECHO_REQUEST), "not asked");
    warp(&switch, 61_000)?;
    ensure!(types(&mut tool)?.contains(&END[1]), "not given up");
    Ok(())
}

#[test]
fn managers_are_probed_given_up_and_called_again_as_their_rows_say() -> Result<()> {
    let switch = Setup::embedded()?.start()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    drop(listener);
    let words = ["--", "set", "Manager", ".", "inactivity_probe=1000", "max_backoff=1000"];
    switch.vsctl(&[&["set-manager", &format!("tcp:{address}")][..], &words].concat())?;
    until(&switch, "Manager", "status:last_error", "Connection refused")?;
    until(&switch, "Manager", "status:state", "BACKOFF")?;
    // It is called once a second, however often that was in vain.
    std::thread::sleep(Duration::from_secs(2));
    let listener = TcpListener::bind(address)?;
    let began = std::time::Instant::now();
    let mut stream = call(&listener)?;
    ensure!(began.elapsed() < Duration::from_millis(2_500), "{:?}", began.elapsed());
    stream.write_all(
        br#"{"method":"lock","params":["x"],"id":1}{"method":"lock","params":["y"],"id":2}"#,
    )?;
    until(&switch, "Manager", "is_connected", "true")?;
    until(&switch, "Manager", "status:locks_held", "x y")?;
    let mut thief = UnixStream::connect(switch.folder().join("db.sock"))?;
    thief.write_all(br#"{"method":"steal","params":["x"],"id":1}"#)?;
    until(&switch, "Manager", "status:locks_waiting", "x")?;
    until(&switch, "Manager", "status:locks_held", "y")?;
    ensure!(get(&switch, "Manager", "status:sec_since_connect").is_some());
    // A second of silence, a probe, another second: the end.
    drop(listener);
    until(&switch, "Manager", "is_connected", "false")?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard)?;
    ensure!(heard.contains("\"echo\""), "{heard}");
    ensure!(get(&switch, "Manager", "status:sec_since_disconnect").is_some());
    let log = std::fs::read_to_string(switch.folder().join("ovs-vswitchd.log"))?;
    ensure!(log.contains("no response to inactivity probe after 1 seconds"), "{log}");

    // Places to be called at: how many call, and where.
    switch.vsctl(&["set-manager", "ptcp:0:127.0.0.1"])?;
    let port = || get(&switch, "Manager", "status:bound_port").filter(|it| !it.is_empty());
    let port: u16 = patience::wait(LIMIT, port).context("no port is told")?.parse()?;
    let first = TcpStream::connect(("127.0.0.1", port))?;
    until(&switch, "Manager", "is_connected", "true")?;
    ensure!(get(&switch, "Manager", "status:n_connections").is_none_or(|it| it.is_empty()));
    let second = TcpStream::connect(("127.0.0.1", port))?;
    until(&switch, "Manager", "status:n_connections", "2")?;
    drop((first, second));
    until(&switch, "Manager", "is_connected", "false")
}

const HELLO: &[u8] = &[4, 0, 0, 8, 0, 0, 0, 1];
const ECHO_REPLY: &[u8] = &[4, 3, 0, 8, 0, 0, 0, 1];
const ECHO_REQUEST: u8 = 2;
/// What stands for the end of the connection among messages.
const END: [u8; 4] = [0, 255, 0, 4];
const MOMENT: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(20);
