//! A controller that may get so many packets a second gets as many as of the reference, from the
//! same ports, in the same order.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

/// A controller of OpenFlow 1.0 that notes where the packets it gets came in.
#[derive(Clone, Default)]
struct Controller {
    ports: Arc<Mutex<Vec<u16>>>,
    /// The switch has answered.
    greeted: Arc<AtomicBool>,
    /// It has closed the connection.
    gone: Arc<AtomicBool>,
}

impl Controller {
    /// Waits for a call at a socket.
    fn listen(switch: &Reference) -> Result<Self> {
        let listener = UnixListener::bind(switch.folder().join("controller"))?;
        let controller = Self::default();
        let own = controller.clone();
        std::thread::spawn(move || {
            // Ends when the switch has gone.
            if let Ok((stream, _)) = listener.accept() {
                let _ = own.converse(stream);
            }
        });
        Ok(controller)
    }

    /// Calls a switch.
    fn call(port: u16) -> Result<Self> {
        let stream = patience::wait(LIMIT, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        let stream = stream.context("nobody listens")?;
        let controller = Self::default();
        let own = controller.clone();
        std::thread::spawn(move || {
            let _ = own.converse(stream);
            own.gone.store(true, Ordering::Release);
        });
        Ok(controller)
    }

    fn ports(&self) -> Vec<u16> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn converse(&self, mut stream: impl Read + Write) -> std::io::Result<()> {
        const HELLO: [u8; 8] = [1, 0, 0, 8, 0, 0, 0, 1];
        // Who calls is told of packets once it says how much of them it wants.
        const SET_CONFIG: [u8; 12] = [1, 9, 0, 12, 0, 0, 0, 3, 0, 0, 0, 128];
        const ECHO_REQUEST: [u8; 8] = [1, 2, 0, 8, 0, 0, 0, 2];
        stream.write_all(&HELLO)?;
        stream.write_all(&SET_CONFIG)?;
        stream.write_all(&ECHO_REQUEST)?;
        loop {
            let mut header = [0; 8];
            stream.read_exact(&mut header)?;
            let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let mut body = vec![0; len.saturating_sub(8)];
            stream.read_exact(&mut body)?;
            match header[1] {
                2 => {
                    header[1] = 3;
                    stream.write_all(&header)?;
                    stream.write_all(&body)?;
                }
                3 => self.greeted.store(true, Ordering::Release),
                // A packet: buffer, length, port.
                10 => {
                    let port = u16::from_be_bytes([body[6], body[7]]);
                    self.ports.lock().unwrap_or_else(PoisonError::into_inner).push(port);
                }
                _ => {}
            }
        }
    }
}

const PACKET: &str = "eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x1234)";

/// Sends packets into ports while time stands still, then lets it pass step by step. Returns what the
/// controller got in each step, and the counts of the column `status`.
fn run(switch: &Reference) -> Result<(Vec<Vec<u16>>, Vec<String>)> {
    let controller = Controller::listen(switch)?;
    for (name, number) in [("p1", 1), ("p2", 2), ("p3", 3)] {
        switch.add_dummy_port(name, number)?;
    }
    let target = format!("unix:{}", switch.folder().join("controller").display());
    let words = format!(
        "set-fail-mode {BRIDGE} secure -- --id=@c create Controller target=\"{target}\" \
         controller_rate_limit=900 controller_burst_limit=25 inactivity_probe=0 \
         -- set Bridge {BRIDGE} controller=@c"
    );
    switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    let connected =
        patience::wait(LIMIT, || controller.greeted.load(Ordering::Acquire).then_some(()));
    ensure!(connected.is_some(), "never connected: {}", switch.log_tail());
    // It stays connected under another limit.
    let uuid = switch.vsctl(&["--bare", "--columns=_uuid", "list", "Controller"])?;
    switch.vsctl(&["set", "Controller", uuid.trim(), "controller_rate_limit=100"])?;
    switch.ofctl(&["del-flows", BRIDGE])?;
    switch.add_flow(BRIDGE, "in_port=1,actions=controller")?;
    switch.add_flow(BRIDGE, "in_port=2,actions=controller")?;
    switch.time_stop()?;
    // What was not used meanwhile: 25 of these pass. Of the rest 25 wait.
    for (port, packets) in [("p1", 45), ("p2", 10), ("p3", 3)] {
        for _ in 0..packets {
            let number = &port[1..];
            switch.receive(port, &format!("in_port({number}),{PACKET}"))?;
        }
    }
    let mut steps = Vec::new();
    let mut taken = 0;
    // Packets that missed have a rate of their own.
    for (millis, all) in [(0, 28), (100, 38), (500, 53)] {
        if millis > 0 {
            switch.time_warp(Duration::from_millis(millis), Some(Duration::from_millis(100)))?;
        }
        let come = patience::wait(LIMIT, || (controller.ports().len() >= all).then_some(()));
        let ports = controller.ports();
        ensure!(come.is_some(), "{} of {all} packets: {}", ports.len(), switch.log_tail());
        steps.push(ports[taken..].to_vec());
        taken = ports.len();
    }
    // Counts are written every few seconds.
    let mut counts = Vec::new();
    let known = patience::wait(LIMIT, || {
        switch.time_warp(Duration::from_secs(5), None).ok()?;
        let text = switch.vsctl(&["--bare", "--columns=status", "list", "Controller"]).ok()?;
        let mut words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        words.retain(|word| word.starts_with("packet-in-"));
        words.sort();
        counts = words;
        counts.contains(&"packet-in-action-bypassed=25".to_owned()).then_some(())
    });
    ensure!(known.is_some(), "{counts:?}");
    Ok((steps, counts))
}

#[test]
fn a_controller_gets_packets_at_its_rate_and_ports_take_turns() -> Result<()> {
    let (theirs, own) = (run(&Reference::start()?)?, run(&Reference::start_ours()?)?);
    assert_eq!(theirs, own);
    // One after the other as long as both have some, though one had sent much more.
    let turns: Vec<u16> = own.0[1].iter().copied().take(8).collect();
    ensure!(turns == [1, 2, 1, 2, 1, 2, 1, 2] || turns == [2, 1, 2, 1, 2, 1, 2, 1], "{turns:?}");
    Ok(())
}

/// What a controller gets that calls the switch, and what becomes of it: packets at once and after
/// 100 ms, under the limit it found and under another, and whether it goes with its row.
fn run_called(switch: &Reference) -> Result<(Vec<usize>, bool)> {
    switch.add_dummy_port("p1", 1)?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let words = format!(
        "set-fail-mode {BRIDGE} secure -- --id=@c create Controller target=\"ptcp:{port}:127.0.0.1\" \
         controller_rate_limit=100 controller_burst_limit=25 -- set Bridge {BRIDGE} controller=@c"
    );
    switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    let controller = Controller::call(port)?;
    let greeted =
        || patience::wait(LIMIT, || controller.greeted.load(Ordering::Acquire).then_some(()));
    greeted().context("no answer")?;
    switch.add_flow(BRIDGE, "actions=controller")?;
    switch.time_stop()?;
    let mut counts = Vec::new();
    let mut come = |all: usize| {
        let come = patience::wait(LIMIT, || (controller.ports().len() >= all).then_some(()));
        counts.push(controller.ports().len());
        come.with_context(|| format!("{counts:?} of {all}: {}", switch.log_tail()))
    };
    let packets = |number| -> Result<()> {
        for _ in 0..number {
            switch.receive("p1", &format!("in_port(1),{PACKET}"))?;
        }
        Ok(())
    };
    packets(60)?;
    come(25)?;
    switch.time_warp(Duration::from_millis(100), Some(Duration::from_millis(50)))?;
    come(35)?;
    let uuid = switch.vsctl(&["--bare", "--columns=_uuid", "list", "Controller"])?;
    switch.vsctl(&["set", "Controller", uuid.trim(), "controller_rate_limit=1000"])?;
    switch.time_warp(Duration::from_millis(10), None)?;
    come(45)?;
    switch.vsctl(&["clear", "Bridge", BRIDGE, "controller"])?;
    let gone = patience::wait(LIMIT, || controller.gone.load(Ordering::Acquire).then_some(()));
    Ok((counts, gone.is_some()))
}

#[test]
fn a_controller_that_calls_is_paced_as_its_row_says_and_goes_with_it() -> Result<()> {
    let (theirs, own) = (run_called(&Reference::start()?)?, run_called(&Reference::start_ours()?)?);
    assert_eq!(theirs, own);
    assert_eq!(own, (vec![25, 35, 45], true));
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(20);
