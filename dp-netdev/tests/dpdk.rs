//! Ports of libdpdk over its virtual devices, without hugepages and without a network card.
//!
//! libdpdk can be initialised once in a process: each test runs itself again in one of its own.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant as Wall};

use dp_core::action::{Action, Masked, Set};
use dp_core::base::{DropReason, Instant, PortNo};
use dp_core::boundary::{Datapath, PortStats, Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::flow::{FlowMask, layout};
use dp_core::packet::{Burst, Pool};
use dp_netdev::port::dpdk::{self, EalOptions, LogLevel, Report};
use dp_netdev::port::dummy::{Dummy, Hand};
use dp_netdev::port::{Change, OpenError, PortSpec, QueueCount};
use dp_netdev::qos::police::PolicerConfig;
use dp_netdev::qos::shaper::{QueueConfig, ShaperConfig};
use dp_netdev::qos::{EgressConfig, QosReport};
use dp_netdev::{Config, Idle, Netdev};
use testkit::packets::Packet as Frame;

/// Runs `body` in a process of its own, with libdpdk initialised there.
fn alone(name: &str, body: impl FnOnce()) {
    alone_with(name, "--no-huge --no-shconf --no-pci --no-telemetry -m 256", body);
}

fn alone_with(name: &str, extra: &str, body: impl FnOnce()) {
    if std::env::var("DP_DPDK_TEST").as_deref() == Ok(name) {
        dpdk::init(&EalOptions { extra: extra.into(), ..EalOptions::default() }).unwrap();
        return body();
    }
    again(name);
}

/// Runs the test of this name in a process of its own.
fn again(name: &str) {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env("DP_DPDK_TEST", name)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{name}: {text}");
}

fn spec(name: &str, devargs: &str) -> PortSpec {
    PortSpec::new("dpdk", name).with("dpdk-devargs", devargs)
}

/// Sends what comes in by port 1 out by port 2, and the other way.
struct Wire;

impl UpcallSink for Wire {
    fn upcall(&self, upcall: &Upcall<'_>, _now: Instant) -> Result<Verdict, UpcallError> {
        let mut mask = FlowMask::default();
        mask.unwildcard_place(layout::IN_PORT);
        let out = if upcall.key.in_port() == PortNo(1) { PortNo(2) } else { PortNo(1) };
        Ok(Verdict { actions: Arc::from([Action::Output(out)]), mask, install: true })
    }
}

fn switch() -> Arc<Netdev> {
    Netdev::new(Arc::new(Wire), Config::default()).unwrap()
}

fn add(netdev: &Netdev, number: u32, spec: &PortSpec) {
    netdev.add_port(PortNo(number), spec.open().unwrap()).unwrap();
}

fn stats(netdev: &Netdev, number: u32) -> PortStats {
    let ports = netdev.ports();
    ports.iter().find(|port| port.port == PortNo(number)).unwrap().stats
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Wall::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: not in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn in_use() -> u32 {
    dpdk::pools().iter().map(|pool| pool.in_use).sum()
}

fn frames(count: u16) -> Vec<Vec<u8>> {
    let frame = |n: u16| {
        Frame::ethernet("02:00:00:00:00:01", "02:00:00:00:00:02")
            .ipv4("10.0.0.1", "10.0.0.2")
            .udp(1000 + n, 80)
            .payload(vec![7; usize::from(n % 900)])
            .build_padded()
    };
    (0..count).map(frame).collect()
}

fn write_capture(path: &std::path::Path, frames: &[Vec<u8>]) {
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(65_535_u32.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    for frame in frames {
        let len = u32::try_from(frame.len()).unwrap().to_le_bytes();
        bytes.extend([0; 8]);
        bytes.extend(len);
        bytes.extend(len);
        bytes.extend(frame);
    }
    std::fs::write(path, bytes).unwrap();
}

fn read_capture(path: &std::path::Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = bytes.get(24..).unwrap_or_default();
    let mut frames = Vec::new();
    while let Some(len) = rest.get(8..12) {
        let len = u32::from_le_bytes(len.try_into().unwrap()) as usize;
        let Some(frame) = rest.get(16..16 + len) else { break };
        frames.push(frame.to_vec());
        rest = &rest[16 + len..];
    }
    frames
}

#[test]
fn a_capture_passes_unchanged_from_device_to_device() {
    alone("a_capture_passes_unchanged_from_device_to_device", || {
        let folder = testkit::folder::Folder::new("dpdk").unwrap();
        let (input, output) = (folder.path().join("in.pcap"), folder.path().join("out.pcap"));
        let sent = frames(500);
        write_capture(&input, &sent);
        let netdev = switch();
        add(&netdev, 2, &spec("out", &format!("net_pcap1,tx_pcap={}", output.display())));
        add(&netdev, 1, &spec("in", &format!("net_pcap0,rx_pcap={}", input.display())));
        let running = netdev.start(&[], Idle::Sleep).unwrap();
        until("500 packets sent", || stats(&netdev, 2).tx_packets == 500);
        running.stop();
        let received = stats(&netdev, 1);
        assert_eq!(received.rx_packets, 500);
        assert_eq!(received.rx_bytes, sent.iter().map(|frame| frame.len() as u64).sum::<u64>());
        netdev.remove_port(PortNo(1)).unwrap();
        netdev.remove_port(PortNo(2)).unwrap();
        testkit::frames::assert_frames_eq(&sent, &read_capture(&output));
        assert_eq!(in_use(), 0, "every buffer is back in its pool");
    });
}

#[test]
fn a_packet_stays_in_the_buffer_that_it_was_received_into() {
    alone("a_packet_stays_in_the_buffer_that_it_was_received_into", || {
        let mut port = spec("ring", "net_ring0").open().unwrap();
        let mut queues = port.queues(QueueCount::ONE).unwrap();
        let (mut rx, mut tx) = (queues.rx.remove(0), queues.tx.remove(0));
        let mut burst = Burst::default();
        for frame in frames(32) {
            let mut packet = Pool::standard().alloc().unwrap();
            packet.append(frame.len()).unwrap().copy_from_slice(&frame);
            burst.push(packet).unwrap();
        }
        assert_eq!(tx.transmit(&mut burst, Instant::default()).packets, 32);
        let round = |burst: &mut Burst| {
            rx.receive(burst, Instant::default()).unwrap();
            assert_eq!(burst.len(), 32);
            let places: Vec<_> = burst.iter().map(|packet| packet.header_ptr()).collect();
            let sent = tx.transmit(burst, Instant::default());
            assert_eq!((sent.packets, sent.dropped()), (32, 0));
            places
        };
        let mut round = round;
        let first = round(&mut burst);
        assert_eq!(first, round(&mut burst), "the ring gave back the very buffers");
        rx.receive(&mut burst, Instant::default()).unwrap();
        let there: Vec<Vec<u8>> = burst.iter().map(|packet| packet.data().to_vec()).collect();
        testkit::frames::assert_frames_eq(&frames(32), &there);
        let packet = burst.get_mut(0).unwrap();
        assert!(packet.push_front(50).is_some(), "headroom for a tunnel header");
        assert!(packet.pull_front(50));
        burst.clear();
        assert_eq!(in_use(), 0);
    });
}

#[test]
fn a_full_transmit_ring_is_counted_and_nothing_leaks() {
    alone("a_full_transmit_ring_is_counted_and_nothing_leaks", || {
        let mut port = spec("ring", "net_ring0").open().unwrap();
        let mut queues = port.queues(QueueCount::ONE).unwrap();
        let mut tx = queues.tx.remove(0);
        let (mut packets, mut full, mut bytes) = (0, 0, 0);
        for _ in 0..100 {
            let mut burst = Burst::default();
            for _ in 0..32 {
                let mut packet = Pool::standard().alloc().unwrap();
                packet.append(60).unwrap().fill(1);
                burst.push(packet).unwrap();
            }
            let sent = tx.transmit(&mut burst, Instant::default());
            packets += sent.packets;
            full += sent.queue_full;
            bytes += sent.bytes;
        }
        assert_eq!(packets + full, 3200);
        assert!(full > 0 && packets > 0);
        assert_eq!(bytes, u64::from(packets) * 60);
        drop((port, queues, tx));
        // The ring keeps what it holds: it is the device's memory, not ours. What was refused is back.
        assert!(in_use() <= packets, "{} in use, {packets} sent", in_use());
    });
}

#[test]
fn packets_of_other_ports_are_copied_and_large_ones_refused() {
    alone("packets_of_other_ports_are_copied_and_large_ones_refused", || {
        let folder = testkit::folder::Folder::new("dpdk").unwrap();
        let output = folder.path().join("out.pcap");
        let netdev = switch();
        let dummy = Dummy::new("in");
        let hand = dummy.hand();
        netdev.add_port(PortNo(1), Box::new(dummy)).unwrap();
        add(&netdev, 2, &spec("out", &format!("net_pcap1,tx_pcap={}", output.display())));
        let sent = frames(20);
        for frame in &sent {
            assert!(hand.inject(frame));
        }
        assert!(hand.inject(&vec![0x42; 1600]));
        for _ in 0..10 {
            netdev.turn(netdev.clock().now());
        }
        let out = stats(&netdev, 2);
        assert_eq!((out.tx_packets, out.tx_dropped), (20, 1));
        assert_eq!(netdev.totals().dropped(DropReason::TxOversize), 1);
        netdev.remove_port(PortNo(2)).unwrap();
        testkit::frames::assert_frames_eq(&sent, &read_capture(&output));
        assert_eq!(in_use(), 0);
    });
}

#[test]
fn wrong_devices_are_refused_with_words() {
    alone("wrong_devices_are_refused_with_words", || {
        let netdev = switch();
        let refusal = |spec: &PortSpec| {
            let opened = spec.open();
            let error = match opened {
                Ok(mut port) => port.queues(QueueCount::ONE).err(),
                Err(error) => Some(error),
            };
            error.expect("refused").to_string()
        };
        assert_eq!(
            refusal(&spec("p", "net_nothing1")),
            "Error attaching device 'net_nothing1' to DPDK"
        );
        assert_eq!(
            refusal(&spec("p", "0000:99:00.0")),
            "Error attaching device '0000:99:00.0' to DPDK"
        );
        assert_eq!(
            refusal(&PortSpec::new("dpdk", "p3")),
            "'p3' is missing 'options:dpdk-devargs'. The old 'dpdk<port_id>' names are not supported"
        );
        add(&netdev, 1, &spec("p1", "net_null1,no-rx=1"));
        assert_eq!(
            refusal(&spec("p4", "net_null1,no-rx=1")),
            "'p4' is trying to use device 'net_null1,no-rx=1' which is already in use by 'p1'"
        );
        assert!(refusal(&spec("p", "net_null2").with("n_rxq", "0")).contains("n_rxq"));
        assert!(
            refusal(&spec("p", "net_null2").with("n_rxq_desc", "100")).contains("power of two")
        );
        assert!(refusal(&spec("p", "net_pcap3,rx_pcap=/nowhere/x.pcap")).contains("net_pcap3"));
        assert!(refusal(&spec("p", "net_null2").with("rx_queues", "1")).contains("no option"));
        // More queues than it has: as many as it has.
        let mut port = spec("p5", "net_ring5").with("n_rxq", "4000").open().unwrap();
        let queues = port.queues(QueueCount { rx: 1, tx: 4000 }).unwrap();
        assert!(queues.rx.len() < 4000 && queues.tx.len() < 4000 && !queues.rx.is_empty());
        assert_eq!(netdev.port_named("p1"), Some(PortNo(1)), "the other port works on");
    });
}

#[test]
fn a_second_initialisation_is_refused() {
    alone("a_second_initialisation_is_refused", || {
        assert_eq!(dpdk::init(&EalOptions::default()), Err(dpdk::InitError::Twice));
        assert!(dpdk::version().unwrap().starts_with("DPDK "));
        assert!(!dpdk::take_log().is_empty());
    });
}

#[test]
fn a_failed_initialisation_says_why() {
    let name = "a_failed_initialisation_says_why";
    if std::env::var("DP_DPDK_TEST").as_deref() != Ok(name) {
        return again(name);
    }
    // More memory than any machine of ours has.
    let extra = "--no-pci --no-telemetry --socket-mem=9000000 --in-memory".to_owned();
    let error = dpdk::init(&EalOptions { extra, ..EalOptions::default() }).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("DPDK cannot be initialised: "), "{text}");
    assert!(text.contains('('), "the log's last words: {text}");
    assert!(!dpdk::is_running());
    let opened = spec("p", "net_null1").open();
    assert!(matches!(opened, Err(OpenError::NoDpdk { .. })));
}

#[test]
fn ports_come_and_go_under_traffic_without_a_leak() {
    alone("ports_come_and_go_under_traffic_without_a_leak", || {
        let netdev = switch();
        add(&netdev, 2, &spec("out", "net_null1,no-rx=1"));
        let running = netdev.start(&[], Idle::Spin).unwrap();
        // Initialising a device for the first time keeps memory for good; measure behind that.
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let mut before = (0, 0);
        for round in 0..300 {
            add(
                &netdev,
                1,
                &spec("in", "net_null0").with("n_rxq", if round % 2 == 0 { "1" } else { "2" }),
            );
            let had = stats(&netdev, 2).tx_packets;
            until("packets flow", || stats(&netdev, 2).tx_packets > had + 100);
            netdev.configure_port(PortNo(1), Change::Mtu(1400)).unwrap().unwrap();
            assert_eq!(netdev.port_status(PortNo(1)).unwrap().mtu, 1400);
            netdev.remove_port(PortNo(1)).unwrap();
            if round == 20 {
                before = (resident(), descriptors());
            }
        }
        running.stop();
        assert_eq!(in_use(), 0, "every buffer is back in its pool");
        let after = (resident(), descriptors());
        assert!(after.1 <= before.1, "descriptors: {before:?} then {after:?}");
        assert!(after.0 < before.0 + 8 * 1024, "KiB resident: {before:?} then {after:?}");
        assert_eq!(dpdk::pools().len(), 1);
    });
}

/// KiB of memory that the process has.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn an_exhausted_pool_stops_one_port_only() {
    alone_with(
        "an_exhausted_pool_stops_one_port_only",
        "--no-huge --no-shconf --no-pci --no-telemetry -m 64",
        || {
            let mut port = spec("null", "net_null0").open().unwrap();
            let mut queues = port.queues(QueueCount::ONE).unwrap();
            let mut rx = queues.rx.remove(0);
            let mut held = Vec::new();
            loop {
                let mut burst = Burst::default();
                rx.receive(&mut burst, Instant::default()).unwrap();
                if burst.is_empty() {
                    break;
                }
                held.extend(burst.drain());
            }
            assert!(held.len() >= 2048, "{} buffers", held.len());
            let mut other = spec("out", "net_null1,no-rx=1").open().unwrap();
            let mut tx = other.queues(QueueCount::ONE).unwrap().tx.remove(0);
            // Less than a burst is left, so not all of a foreign burst can be copied; one of ours is
            // sent as it is.
            let mut burst = Burst::default();
            assert_eq!(Pool::standard().fill(&mut burst, 32), 32);
            for slot in 0..32 {
                burst.get_mut(slot).unwrap().append(60).unwrap().fill(0);
            }
            let sent = tx.transmit(&mut burst, Instant::default());
            assert!(sent.no_buffer > 0 && sent.packets + sent.no_buffer == 32, "{sent:?}");
            burst.push(held.pop().unwrap()).unwrap();
            assert_eq!(tx.transmit(&mut burst, Instant::default()).packets, 1);
            drop(held);
            let mut burst = Burst::default();
            rx.receive(&mut burst, Instant::default()).unwrap();
            assert_eq!(burst.len(), 32, "receiving goes on");
            drop(burst);
            assert_eq!(in_use(), 0);
        },
    );
}

#[test]
fn libdpdk_tells_of_itself_and_gives_devices_up() {
    let extra = "--no-huge --no-shconf --no-pci --no-telemetry -m 128 --vdev=net_null7";
    alone_with("libdpdk_tells_of_itself_and_gives_devices_up", extra, || {
        let report = |what| dpdk::report(what).unwrap();
        assert!(report(Report::Heap).contains("Heap_size"));
        assert!(report(Report::Zones).contains("Zone 0"));
        assert!(report(Report::Processors).contains("lcore 0"));
        let level = || {
            let log = report(Report::Log);
            log.lines().find(|line| line.contains("lib.eal")).unwrap().to_owned()
        };
        assert!(dpdk::set_log(Some("lib.eal"), LogLevel::Debug) && level().contains("debug"));
        assert!(dpdk::set_log(Some("lib.*"), LogLevel::Error) && level().contains("error"));
        assert!(dpdk::set_log(None, LogLevel::Info));
        // A device that libdpdk was started with, as long as a port has it.
        let netdev = switch();
        add(&netdev, 1, &spec("p", "net_null7"));
        let refused = dpdk::detach("net_null7").unwrap_err().to_string();
        let expected = "Device 'net_null7' is being used by the following interfaces: p";
        assert_eq!(refused, expected);
        netdev.remove_port(PortNo(1)).unwrap();
        let refused = dpdk::detach("net_null7").unwrap_err().to_string();
        assert_eq!(refused, "Device 'net_null7' not found in DPDK", "it went with the port");
    });
}

#[test]
fn a_device_that_no_port_has_is_detached() {
    let extra = "--no-huge --no-shconf --no-pci --no-telemetry -m 128 --vdev=net_null7";
    alone_with("a_device_that_no_port_has_is_detached", extra, || {
        dpdk::detach("net_null7").unwrap();
        assert!(dpdk::detach("net_null7").is_err());
    });
}

#[test]
fn a_device_that_cannot_steer_works_without() {
    alone("a_device_that_cannot_steer_works_without", || {
        let netdev = switch();
        add(
            &netdev,
            1,
            &spec("p", "net_null0")
                .with("rx-steering", "rss+lacp")
                .with("n_rxq", "2")
                .with("rx-flow-ctrl", "true"),
        );
        let told: Vec<_> = netdev.take_notes().into_iter().filter(|note| note.warning).collect();
        let told = |end: &str| told.iter().any(|note| note.text.ends_with(end));
        assert!(told("p: Flow control is not supported."));
        assert!(told("the device cannot do rss+lacp, and does rss"));
        let shown = netdev.port_configuration(PortNo(1));
        assert!(shown.contains(&("rx-steering", "rss+lacp".to_owned())));
        assert!(!shown.iter().any(|(name, _)| *name == "rx-flow-ctrl"));
        let details = netdev.port_details(PortNo(1));
        let detail = |name| {
            let found = details.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(detail("rx-steering"), Some("unsupported"));
        assert_eq!(detail("n_rxq"), Some("2"));
        let running = netdev.start(&[], Idle::Spin).unwrap();
        until("packets", || stats(&netdev, 1).rx_packets > 1000);
        running.stop();
        let refused = |option: &str, value: &str| {
            let mut port = spec("q", "net_null1").with(option, value).open();
            match &mut port {
                Ok(port) => port.queues(QueueCount::ONE).err().unwrap().to_string(),
                Err(error) => error.to_string(),
            }
        };
        let expected = "q: option rx-steering: 'rss+lldp' is not rss, with +lacp and +bfd";
        assert!(refused("rx-steering", "rss+lldp").starts_with(expected));
        let lsc = refused("dpdk-lsc-interrupt", "true");
        assert!(lsc.contains("configure it"), "no such interrupt: {lsc}");
    });
}

#[test]
fn memif_joins_two_ports() {
    alone("memif_joins_two_ports", || {
        let folder = testkit::folder::Folder::new("memif").unwrap();
        let socket = folder.path().join("memif.sock");
        let device = |n: u8, role: &str| {
            format!("net_memif{n},role={role},id=0,socket={},socket-abstract=no", socket.display())
        };
        let netdev = switch();
        let dummy = Dummy::new("in");
        let hand = dummy.hand();
        netdev.add_port(PortNo(1), Box::new(dummy)).unwrap();
        add(&netdev, 2, &spec("server", &device(0, "server")));
        let other = switch();
        let end = Dummy::new("end");
        let far = end.hand();
        other.add_port(PortNo(1), Box::new(end)).unwrap();
        add(&other, 2, &spec("client", &device(1, "client")));
        until("the link", || {
            other.port_status(PortNo(2)).unwrap().link_up
                && netdev.port_status(PortNo(2)).unwrap().link_up
        });
        let sent = frames(100);
        for frame in &sent {
            // The client offers buffers when it is asked for packets.
            other.turn(other.clock().now());
            assert!(hand.inject(frame));
            netdev.turn(netdev.clock().now());
        }
        let mut there = Vec::new();
        until("100 frames", || {
            netdev.turn(netdev.clock().now());
            other.turn(other.clock().now());
            there.extend(far.take_sent());
            there.len() >= 100
        });
        testkit::frames::assert_frames_eq(&sent, &there);
    });
}

const GUEST: &str = "DP_DPDK_GUEST";

/// A guest: a program with a virtio device at the socket, which sends back what it receives.
struct Guest(std::process::Child);

impl Guest {
    fn start(test: &str, socket: &std::path::Path, queues: u32) -> Self {
        let program = std::env::current_exe().unwrap();
        let child = Command::new(program)
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env("DP_DPDK_TEST", test)
            .env(GUEST, format!("path={},server=1,queues={queues}", socket.display()))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// The guest's own life, in its process.
    fn live(device: &str, queues: &str) {
        let device = format!("net_virtio_user0,{device}");
        let mut port = spec("guest", &device).with("n_rxq", queues).open().unwrap();
        let mut queues = port.queues(QueueCount { rx: 8, tx: 8 }).unwrap();
        let now = Instant::default();
        // Whoever started it ends it; should it be left behind, it ends by itself.
        let start = Wall::now();
        while start.elapsed() < Duration::from_secs(60) {
            for (rx, tx) in queues.rx.iter_mut().zip(&mut queues.tx) {
                let mut burst = Burst::default();
                rx.receive(&mut burst, now).unwrap();
                tx.transmit(&mut burst, now);
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A test with guests at a socket of libdpdk's vhost library.
fn with_guests(name: &str, queues: &str, body: impl FnOnce()) {
    let extra = "--no-huge --no-shconf --no-pci --no-telemetry -m 256";
    alone_with(name, extra, || match std::env::var(GUEST) {
        Ok(device) => Guest::live(&device, queues),
        Err(_) => body(),
    });
}

/// Adds a port for frames from a hand, and one that waits for a guest at a socket.
fn add_hand_and_guest(netdev: &Netdev, socket: &std::path::Path) -> (Hand, PortSpec) {
    let dummy = Dummy::new("in");
    let hand = dummy.hand();
    netdev.add_port(PortNo(1), Box::new(dummy)).unwrap();
    let path = socket.to_str().unwrap();
    let port = PortSpec::new("dpdkvhostuserclient", "guest").with("vhost-server-path", path);
    add(netdev, 2, &port);
    (hand, port)
}

/// Waits until a guest that is there has filled its ring with buffers, and sends.
fn until_it_answers(netdev: &Netdev, hand: &Hand) {
    let probe = frames(1);
    let answered = || {
        assert!(hand.inject(&probe[0]));
        netdev.turn(netdev.clock().now());
        hand.take_sent().len()
    };
    until("an answer", || answered() > 0);
    // Those on their way come, or were lost before the first answer.
    until("quiet", || {
        std::thread::sleep(Duration::from_millis(20));
        netdev.turn(netdev.clock().now());
        hand.take_sent().is_empty()
    });
}

/// Puts frames in by a hand, in groups that fit into a guest's ring, until all have come back.
fn there_and_back(netdev: &Netdev, hand: &Hand, sent: &[Vec<u8>]) {
    let mut back = Vec::new();
    for (group, frames) in sent.chunks(32).enumerate() {
        for frame in frames {
            assert!(hand.inject(frame));
        }
        let wanted = group * 32 + frames.len();
        until("frames back from the guest", || {
            netdev.turn(netdev.clock().now());
            back.extend(hand.take_sent());
            back.len() >= wanted
        });
    }
    testkit::frames::assert_frames_eq(sent, &back);
}

#[test]
fn a_guest_comes_goes_and_comes_again() {
    let name = "a_guest_comes_goes_and_comes_again";
    with_guests(name, "1", || {
        let folder = testkit::folder::Folder::new("vhost").unwrap();
        let socket = folder.path().join("guest.sock");
        let netdev = switch();
        let (hand, port) = add_hand_and_guest(&netdev, &socket);
        let up = || netdev.port_status(PortNo(2)).unwrap().link_up;
        let detail = |name: &str| {
            let details = netdev.port_details(PortNo(2));
            details.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        assert!(!up());
        assert_eq!(detail("status").as_deref(), Some("disconnected"));
        for _ in 0..2 {
            let dropped = stats(&netdev, 2).tx_dropped;
            assert!(hand.inject(&frames(1)[0]));
            netdev.turn(netdev.clock().now());
            assert_eq!(stats(&netdev, 2).tx_dropped, dropped + 1, "nobody is there");
            let guest = Guest::start(name, &socket, 1);
            until("the guest", up);
            assert_eq!(detail("mode").as_deref(), Some("client"));
            assert_eq!(detail("num_of_vrings").as_deref(), Some("2"));
            until("its rings", || detail("vring_0_size").is_some_and(|size| size != "0"));
            until_it_answers(&netdev, &hand);
            there_and_back(&netdev, &hand, &frames(300));
            drop(guest);
            until("its end", || !up());
            // As it was killed, it has left its socket behind.
            std::fs::remove_file(&socket).unwrap();
        }
        netdev.remove_port(PortNo(2)).unwrap();
        assert_eq!(in_use(), 0, "every buffer is back in its pool");
        // The socket is free for another port.
        add(&netdev, 2, &port);
        let twice = port.open().err().unwrap().to_string();
        assert!(twice.contains("another port has it"), "{twice}");
    });
}

#[test]
fn a_guest_with_several_rings_is_served_by_one_thread() {
    let name = "a_guest_with_several_rings_is_served_by_one_thread";
    with_guests(name, "2", || {
        let folder = testkit::folder::Folder::new("vhost").unwrap();
        let socket = folder.path().join("guest.sock");
        let netdev = switch();
        let (hand, _) = add_hand_and_guest(&netdev, &socket);
        let _guest = Guest::start(name, &socket, 2);
        until("the guest", || netdev.port_status(PortNo(2)).unwrap().link_up);
        let rings = || {
            let details = netdev.port_details(PortNo(2));
            details.into_iter().find(|(key, _)| *key == "num_of_vrings").map(|(_, value)| value)
        };
        until("all rings", || rings().as_deref() == Some("4"));
        until_it_answers(&netdev, &hand);
        there_and_back(&netdev, &hand, &frames(64));
    });
}

#[test]
fn a_guest_that_takes_nothing_costs_its_own_packets_only() {
    let name = "a_guest_that_takes_nothing_costs_its_own_packets_only";
    if std::env::var(GUEST).is_ok() {
        // This guest sets its device up and never looks at it again.
        return with_guests(name, "1", || ());
    }
    with_guests(name, "1", || {
        let folder = testkit::folder::Folder::new("vhost").unwrap();
        let socket = folder.path().join("guest.sock");
        let path = socket.to_str().unwrap();
        let port = PortSpec::new("dpdkvhostuserclient", "slow")
            .with("vhost-server-path", path)
            .with("tx-retries-max", "4");
        let mut slow = port.open().unwrap();
        let mut queues = slow.queues(QueueCount::ONE).unwrap();
        let guest = Guest::start(name, &socket, 1);
        until("the guest", || slow.status().link_up);
        // Stopped, it holds its rings and frees no place in them.
        let pid = i32::try_from(guest.0.id()).unwrap();
        Command::new("kill").args(["-STOP", &pid.to_string()]).status().unwrap();
        let mut sent = dp_netdev::port::Sent::default();
        let frame = &frames(1)[0];
        for _ in 0..200 {
            let mut burst = Burst::default();
            for _ in 0..32 {
                let mut packet = Pool::for_len(frame.len()).unwrap().alloc().unwrap();
                packet.append(frame.len()).unwrap().copy_from_slice(frame);
                burst.push(packet).unwrap();
            }
            sent.add(queues.tx[0].transmit(&mut burst, Instant::default()));
        }
        assert_eq!(u64::from(sent.packets) + sent.dropped(), 6400);
        assert!(sent.queue_full > 5000, "its ring holds 256: {sent:?}");
        assert_eq!(sent.failed, 0);
        assert_eq!(in_use(), 0, "what was copied or refused is back in the pool");
    });
}

/// What leaves by port 2 of packets that all come in at once, in two queues: twice as much of the second.
struct Queued;

impl UpcallSink for Queued {
    fn upcall(&self, upcall: &Upcall<'_>, _now: Instant) -> Result<Verdict, UpcallError> {
        let mut mask = FlowMask::default();
        mask.unwildcard_place(layout::IN_PORT);
        if upcall.key.in_port() != PortNo(1) {
            return Ok(Verdict {
                actions: Arc::from([Action::Output(PortNo(1))]),
                mask,
                install: true,
            });
        }
        mask.unwildcard_place(layout::TP_SRC);
        let queue = u32::try_from(1 + upcall.key.load(layout::TP_SRC) % 2).unwrap();
        let queue = Set::SkbPriority(Masked { value: queue, mask: u32::MAX });
        let actions = Arc::from([Action::Set(queue), Action::Output(PortNo(2))]);
        Ok(Verdict { actions, mask, install: true })
    }
}

/// Bits a second of the two queues.
const RATES: [u64; 2] = [4_000_000, 8_000_000];

fn shaped() -> EgressConfig {
    let queue = |max_rate| QueueConfig { max_rate, ..QueueConfig::default() };
    let queues = [(1, queue(RATES[0])), (2, queue(RATES[1]))].into();
    EgressConfig::Shape(ShaperConfig { max_rate: 100_000_000, queues })
}

/// Bytes that the two queues have sent.
fn sent_by_queues(netdev: &Netdev) -> [u64; 2] {
    bytes_of_queues(&netdev.port_qos(PortNo(2)).unwrap())
}

fn bytes_of_queues(report: &QosReport) -> [u64; 2] {
    [1, 2].map(|number| report.queues.iter().find(|it| it.queue == number).map_or(0, |it| it.bytes))
}

/// That what left in a time is what the rates let through, with a fiftieth of a second saved up and
/// what a loaded machine may be late.
fn is_at_its_rates(sent: [u64; 2], took: Duration) {
    for (bytes, rate) in sent.into_iter().zip(RATES) {
        let most = took.as_secs_f64() * rate as f64 / 8.0;
        let part = bytes as f64 / most;
        assert!((0.6..1.2).contains(&part), "{bytes} bytes of {most} in {took:?}: {sent:?}");
    }
}

#[test]
fn queues_of_a_device_have_their_rates() {
    alone("queues_of_a_device_have_their_rates", || {
        let folder = testkit::folder::Folder::new("dpdk-qos").unwrap();
        let (input, output) = (folder.path().join("in.pcap"), folder.path().join("out.pcap"));
        write_capture(&input, &frames(200));
        let netdev = Netdev::new(Arc::new(Queued), Config::default()).unwrap();
        add(&netdev, 2, &spec("out", &format!("net_pcap1,tx_pcap={}", output.display())));
        let now = netdev.clock().now();
        assert!(netdev.set_port_qos(PortNo(2), PolicerConfig::default(), shaped(), now));
        let endless = format!("net_pcap0,rx_pcap={},infinite_rx=1", input.display());
        add(&netdev, 1, &spec("in", &endless));
        let running = netdev.start(&[], Idle::Sleep).unwrap();
        until("packets sent", || sent_by_queues(&netdev).iter().all(|bytes| *bytes > 0));
        let (start, before) = (Wall::now(), sent_by_queues(&netdev));
        std::thread::sleep(Duration::from_secs(2));
        let (took, after) = (start.elapsed(), sent_by_queues(&netdev));
        running.stop();
        is_at_its_rates([after[0] - before[0], after[1] - before[1]], took);
        let report = netdev.port_qos(PortNo(2)).unwrap();
        assert!(report.tx_overflow > 0, "what comes faster is dropped: {report:?}");
        netdev.remove_port(PortNo(1)).unwrap();
        netdev.remove_port(PortNo(2)).unwrap();
        // What the queues say is what the device got.
        let mut told = [0; 2];
        for frame in read_capture(&output) {
            let port = u16::from_be_bytes([frame[34], frame[35]]);
            told[usize::from(port % 2)] += frame.len() as u64;
        }
        let all = bytes_of_queues(&report);
        assert!(told[0] >= all[0] && told[1] >= all[1], "{told:?} {all:?}");
        assert_eq!(in_use(), 0, "every buffer is back in its pool");
    });
}

#[test]
fn queues_towards_a_guest_have_their_rates() {
    let name = "queues_towards_a_guest_have_their_rates";
    with_guests(name, "1", || {
        let folder = testkit::folder::Folder::new("vhost-qos").unwrap();
        let socket = folder.path().join("guest.sock");
        let netdev = Netdev::new(Arc::new(Queued), Config::default()).unwrap();
        let (hand, _) = add_hand_and_guest(&netdev, &socket);
        let guest = Guest::start(name, &socket, 1);
        until("the guest", || netdev.port_status(PortNo(2)).unwrap().link_up);
        until_it_answers(&netdev, &hand);
        let now = netdev.clock().now();
        assert!(netdev.set_port_qos(PortNo(2), PolicerConfig::default(), shaped(), now));
        // More than the rates let through, of both queues alike; what the guest gets comes back.
        let sent = frames(200);
        let (start, before, mut back) = (Wall::now(), sent_by_queues(&netdev), 0);
        while start.elapsed() < Duration::from_secs(2) {
            for frame in &sent {
                hand.inject(frame);
            }
            netdev.turn(netdev.clock().now());
            back += hand.take_sent().iter().map(|frame| frame.len() as u64).sum::<u64>();
        }
        let (took, after) = (start.elapsed(), sent_by_queues(&netdev));
        let sent = [after[0] - before[0], after[1] - before[1]];
        is_at_its_rates(sent, took);
        let (all, part) = (sent[0] + sent[1], back as f64 / (sent[0] + sent[1]) as f64);
        // A guest that gets no processor for a while loses some.
        assert!((0.3..1.1).contains(&part), "{back} of {all} bytes came back");
        drop(guest);
        netdev.remove_port(PortNo(2)).unwrap();
        assert_eq!(in_use(), 0, "every buffer is back in its pool");
    });
}
