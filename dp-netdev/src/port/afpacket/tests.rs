use super::{AfPacket, Options};
use crate::port::{Change, OpenError, Port, PortError, QueueCount, Queues, RxEnd, Sent};
use crate::system::Clock;
use dp_core::packet::{Burst, Offloads, Packet, Pool};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::netns::{Namespace, veth_pair};

const SOON: Duration = Duration::from_secs(10);

/// A switch namespace with ports `sw0`, `sw1`, each joined to `eth0` of a host.
struct Lab {
    switch: Namespace,
    hosts: [Namespace; 2],
}

impl Lab {
    fn new(hint: &str) -> Self {
        let lab = Self {
            switch: Namespace::quiet(&format!("{hint}-sw")).unwrap(),
            hosts: [0, 1].map(|n| Namespace::quiet(&format!("{hint}-h{n}")).unwrap()),
        };
        for (host, port) in lab.hosts.iter().zip(["sw0", "sw1"]) {
            veth_pair((&lab.switch, port), (host, "eth0")).unwrap();
        }
        lab
    }

    fn open(&self, name: &str) -> AfPacket {
        self.switch.within(|| AfPacket::open(name, Options::default())).unwrap().unwrap()
    }

    fn queues(&self, name: &str) -> Queues {
        let mut port = self.open(name);
        self.switch.within(|| port.queues(QueueCount::ONE)).unwrap().unwrap()
    }
}

/// Receives until `count` packets are there; panics if they do not come.
fn receive(queues: &mut Queues, clock: &Clock, count: usize) -> Vec<Packet> {
    let (mut all, start) = (Vec::new(), Instant::now());
    let mut burst = Burst::default();
    while all.len() < count {
        queues.rx[0].receive(&mut burst, clock.now()).unwrap();
        all.extend(burst.drain());
        assert!(start.elapsed() < SOON, "{} of {count} packets came", all.len());
        if burst.is_empty() {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    all
}

fn packet(bytes: &[u8]) -> Packet {
    let mut packet = Pool::for_len(bytes.len()).unwrap().alloc().unwrap();
    packet.append(bytes.len()).unwrap().copy_from_slice(bytes);
    packet
}

fn send(queues: &mut Queues, frames: &[&[u8]]) -> Sent {
    let mut burst = Burst::default();
    for frame in frames {
        burst.push(packet(frame)).unwrap();
    }
    queues.tx[0].transmit(&mut burst, dp_core::base::Instant(0))
}

/// A frame that no stack answers, of an experimental Ethertype.
fn frame(len: usize, mark: u8) -> Vec<u8> {
    let mut frame = vec![mark; len];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5]);
    frame
}

#[test]
fn frames_come_and_go_unchanged() {
    let lab = Lab::new("afp");
    let clock = Clock::start();
    let mut queues = lab.queues("sw0");
    let host = lab.hosts[0].frames("eth0").unwrap();
    for len in [14, 60, 61, 1514] {
        host.send(&frame(len, 7)).unwrap();
        let got = receive(&mut queues, &clock, 1);
        assert_eq!(got[0].data(), frame(len, 7));
        assert!(got[0].meta().offloads.is_empty());
        assert_eq!(send(&mut queues, &[&frame(len, 9)]).bytes, len as u64);
        let got = host.receive_matching(SOON, |got| got[12..14] == [0x88, 0xb5]).unwrap().unwrap();
        assert_eq!(got, frame(len, 9));
    }
    // What we sent has not come in: the next frame is the host's.
    host.send(&frame(60, 1)).unwrap();
    assert_eq!(receive(&mut queues, &clock, 1)[0].data(), frame(60, 1));
}

#[test]
fn tags_that_the_kernel_took_off_are_back() {
    let lab = Lab::new("tag");
    let clock = Clock::start();
    let mut queues = lab.queues("sw0");
    let host = lab.hosts[0].frames("eth0").unwrap();
    for tags in [&[0x81, 0, 0x60, 42][..], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8][..]] {
        let mut tagged = frame(60, 3);
        tagged.splice(12..12, tags.iter().copied());
        host.send(&tagged).unwrap();
        assert_eq!(receive(&mut queues, &clock, 1)[0].data(), tagged);
        assert_eq!(send(&mut queues, &[&tagged]).packets, 1);
    }
}

#[test]
fn a_batch_is_sent_in_order_and_what_is_too_large_counted() {
    let lab = Lab::new("batch");
    let mut queues = lab.queues("sw0");
    let host = lab.hosts[0].frames("eth0").unwrap();
    let frames: Vec<Vec<u8>> =
        (0..10).map(|n| frame(if n == 4 || n == 9 { 1600 } else { 100 }, n)).collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let sent = send(&mut queues, &frames);
    assert_eq!(sent, Sent { packets: 8, oversize: 2, bytes: 800, ..Sent::default() });
    let got = host.receive_up_to(8, SOON).unwrap();
    let marks: Vec<u8> = got.iter().map(|frame| frame[20]).collect();
    assert_eq!(marks, [0, 1, 2, 3, 5, 6, 7, 8]);
}

/// Forwards between two ports until told to stop; what was sent, and whether frames that wait to
/// be cut were among it.
fn forward(mut ports: [Queues; 2], stop: &AtomicBool) -> (Sent, bool) {
    let clock = Clock::start();
    let mut burst = Burst::default();
    let (mut sent, mut large) = (Sent::default(), false);
    while !stop.load(Ordering::Relaxed) {
        let mut idle = true;
        for from in [0, 1] {
            ports[from].rx[0].receive(&mut burst, clock.now()).unwrap();
            idle &= burst.is_empty();
            large |= burst.iter().any(|packet| packet.meta().offloads.contains(Offloads::TSO));
            sent.add(ports[1 - from].tx[0].transmit(&mut burst, clock.now()));
        }
        if idle {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
    (sent, large)
}

/// The number behind `name` in the kernel's statistics of a namespace.
fn statistic(host: &Namespace, file: &str, group: &str, name: &str) -> u64 {
    let text = host.within(|| std::fs::read_to_string(file)).unwrap().unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split_whitespace().position(|word| word == name).unwrap();
    values.split_whitespace().nth(at).unwrap().parse().unwrap()
}

#[test]
fn tcp_at_full_segment_size_arrives_sound() {
    let lab = Lab::new("tcp");
    for (host, address) in lab.hosts.iter().zip(["10.9.0.1/24", "10.9.0.2/24"]) {
        host.address("eth0", address).unwrap();
        host.exec(&["ethtool", "--offload", "eth0", "tx", "on"]).unwrap();
    }
    testkit::packages::ensure(&["iperf3"]).unwrap();
    let _server = lab.hosts[1].spawn(&["iperf3", "--server"]).unwrap();
    let ports = ["sw0", "sw1"].map(|name| lab.queues(name));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let switch = scope.spawn(|| forward(ports, &stop));
        let client = ["iperf3", "--client", "10.9.0.2", "--bytes", "40M", "--json"];
        let start = Instant::now();
        let report = loop {
            match lab.hosts[0].exec(&client) {
                // The server may not listen yet.
                Err(error) if start.elapsed() > SOON => panic!("{error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
                Ok(report) => break report,
            }
        };
        stop.store(true, Ordering::Relaxed);
        let (sent, large) = switch.join().unwrap();
        assert!(report.contains("\"sum_received\""), "{report}");
        assert!(large, "frames beyond the MTU came and went");
        assert!(sent.bytes > 40_000_000 && sent.oversize == 0, "{sent:?}");
    });
    for host in &lab.hosts {
        assert_eq!(statistic(host, "/proc/self/net/snmp", "Tcp:", "InCsumErrors"), 0);
        assert_eq!(statistic(host, "/proc/self/net/snmp", "Ip:", "InHdrErrors"), 0);
    }
}

#[test]
fn an_interface_that_goes_ends_its_queue_once() {
    let lab = Lab::new("gone");
    let clock = Clock::start();
    let mut port = lab.open("sw0");
    let mut queues = port.queues(QueueCount::ONE).unwrap();
    assert!(port.status().up());
    let host = lab.hosts[0].frames("eth0").unwrap();
    host.send(&frame(60, 1)).unwrap();
    receive(&mut queues, &clock, 1);

    // Down is no end.
    port.configure(Change::AdminUp(false)).unwrap();
    assert!(!port.status().up());
    for _ in 0..20 {
        queues.rx[0].receive(&mut Burst::default(), clock.now()).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(send(&mut queues, &[&frame(60, 1), &frame(60, 1)]).failed, 2);
    port.configure(Change::AdminUp(true)).unwrap();
    lab.switch.await_link("sw0").unwrap();
    lab.hosts[0].await_link("eth0").unwrap();
    host.send(&frame(60, 2)).unwrap();
    assert_eq!(receive(&mut queues, &clock, 1)[0].data(), frame(60, 2));

    lab.switch.ip(&["link", "delete", "sw0"]).unwrap();
    let end = end(&mut queues, &clock);
    let RxEnd::Failed(error @ PortError::Removed { .. }) = end else { panic!("{end:?}") };
    assert_eq!(error.to_string(), "sw0: network interface removed");
    assert!(!port.status().up());
    assert_eq!(send(&mut queues, &[&frame(60, 1)]).failed, 1);
}

/// Receives until the queue ends.
fn end(queues: &mut Queues, clock: &Clock) -> RxEnd {
    let start = Instant::now();
    loop {
        match queues.rx[0].receive(&mut Burst::default(), clock.now()) {
            Ok(_) => assert!(start.elapsed() < SOON),
            Err(end) => return end,
        }
    }
}

/// The kernel says that an interface goes down before it goes, and nothing more.
#[test]
fn an_interface_that_was_seen_going_down_before_it_goes_ends_its_queue() {
    let lab = Lab::new("down-gone");
    let clock = Clock::start();
    let mut port = lab.open("sw0");
    let mut queues = port.queues(QueueCount::ONE).unwrap();
    lab.switch.ip(&["link", "set", "sw0", "down"]).unwrap();
    for _ in 0..20 {
        queues.rx[0].receive(&mut Burst::default(), clock.now()).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    lab.switch.ip(&["link", "delete", "sw0"]).unwrap();
    let end = end(&mut queues, &clock);
    assert!(matches!(end, RxEnd::Failed(PortError::Removed { .. })), "{end:?}");
}

#[test]
fn mtu_and_address_are_read_and_set() {
    let lab = Lab::new("mtu");
    let mut port = lab.open("sw0");
    port.configure(Change::Mtu(9000)).unwrap();
    let mac = dp_core::base::MacAddr::new(2, 3, 4, 5, 6, 7);
    port.configure(Change::Mac(mac)).unwrap();
    let status = port.status();
    assert_eq!((status.mtu, status.mac), (9000, mac));
    assert!(matches!(port.configure(Change::Mtu(10)), Err(OpenError::System { .. })));
}

#[test]
fn a_ring_that_overflows_counts_what_it_lost() {
    let lab = Lab::new("drops");
    let mut port = lab
        .switch
        .within(|| AfPacket::open("sw0", Options { ring_bytes: 0, ..Options::default() }))
        .unwrap()
        .unwrap();
    let mut queues = port.queues(QueueCount::ONE).unwrap();
    let host = lab.hosts[0].frames("eth0").unwrap();
    // Four blocks of 256 KiB hold about 670 frames of this size.
    const SENT: u64 = 1000;
    for _ in 0..SENT {
        host.send(&frame(1500, 5)).unwrap();
    }
    let clock = Clock::start();
    let (mut came, mut missed) = (0, 0);
    let start = Instant::now();
    while came + missed < SENT && start.elapsed() < SOON {
        let mut burst = Burst::default();
        missed += u64::from(queues.rx[0].receive(&mut burst, clock.now()).unwrap().missed);
        came += burst.len() as u64;
    }
    assert_eq!(came + missed, SENT);
    assert!(missed > 200, "{missed}");
}

#[test]
fn what_cannot_be_opened_says_why() {
    let error = AfPacket::open("nosuch0", Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "nosuch0: no such network interface");
    let lab = Namespace::quiet("tun").unwrap();
    lab.ip(&["tuntap", "add", "tun0", "mode", "tun"]).unwrap();
    let error = lab.within(|| AfPacket::open("tun0", Options::default())).unwrap().unwrap_err();
    assert!(matches!(error, OpenError::NotEthernet { arp_type: 65534, .. }), "{error}");
}

#[test]
fn nothing_is_left_open() {
    let lab = Lab::new("leak");
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let within = || {
        let before = open();
        for _ in 0..100 {
            let mut port = AfPacket::open("sw0", Options::default()).unwrap();
            let queues = port.queues(QueueCount { rx: 1, tx: 3 }).unwrap();
            assert_eq!(queues.tx.len(), 3);
        }
        (before, open())
    };
    // Other tests open and close descriptors meanwhile.
    let (before, after) = lab.switch.within(within).unwrap();
    assert!(after < before + 60, "{before} descriptors before, {after} after");
}
