use super::{Role, Tap};
use crate::port::{Change, OpenError, Port, PortError, QueueCount, Queues, RxEnd};
use crate::system::Clock;
use dp_core::packet::{Burst, Offloads, Packet, Pool};
use std::time::{Duration, Instant};
use testkit::netns::Namespace;

const SOON: Duration = Duration::from_secs(10);

fn up(host: &Namespace, name: &str, role: Role) -> (Tap, Queues) {
    host.within(|| {
        let mut tap = Tap::open(name, role).unwrap();
        tap.configure(Change::AdminUp(true)).unwrap();
        let queues = tap.queues(QueueCount::ONE).unwrap();
        (tap, queues)
    })
    .unwrap()
}

/// Receives until a packet comes that `wanted` accepts.
fn await_packet(queues: &mut Queues, wanted: impl Fn(&Packet) -> bool) -> Packet {
    let (start, clock) = (Instant::now(), Clock::start());
    let mut burst = Burst::default();
    loop {
        queues.rx[0].receive(&mut burst, clock.now()).unwrap();
        if let Some(packet) = burst.drain().find(&wanted) {
            return packet;
        }
        assert!(start.elapsed() < SOON, "the packet does not come");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn send(queues: &mut Queues, bytes: &[u8]) -> crate::port::Sent {
    let mut packet = Pool::for_len(bytes.len()).unwrap().alloc().unwrap();
    packet.append(bytes.len()).unwrap().copy_from_slice(bytes);
    let mut burst = Burst::default();
    burst.push(packet).unwrap();
    queues.tx[0].transmit(&mut burst, Clock::start().now())
}

fn frame(len: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5]);
    frame
}

#[test]
fn frames_of_all_sizes_come_and_go() {
    let host = Namespace::quiet("tap").unwrap();
    let (mut tap, mut queues) = up(&host, "tap0", Role::Tap);
    assert_eq!((tap.name(), tap.kind()), ("tap0", "tap"));
    tap.configure(Change::Mtu(9000)).unwrap();
    let socket = host.frames("tap0").unwrap();
    for len in [60, 1514, 2048, 2049, 9014] {
        socket.send(&frame(len)).unwrap();
        let got = await_packet(&mut queues, |packet| packet.data()[12..14] == [0x88, 0xb5]);
        assert_eq!(got.data(), frame(len));
        assert_eq!(send(&mut queues, &frame(len)).bytes, len as u64);
        let got = socket.receive_matching(SOON, |got| got[12..14] == [0x88, 0xb5]).unwrap();
        assert_eq!(got.unwrap(), frame(len));
    }
}

#[test]
fn the_stack_behind_it_leaves_checksums_and_segments_to_us() {
    let host = Namespace::quiet("tapcsum").unwrap();
    let (_tap, mut queues) = up(&host, "br0", Role::Internal);
    host.address("br0", "10.8.0.1/24").unwrap();
    host.ip(&["neighbour", "add", "10.8.0.2", "lladdr", "02:00:00:00:00:02", "dev", "br0"])
        .unwrap();
    let _client = host
        .within(|| {
            let socket = std::net::UdpSocket::bind("10.8.0.1:0").unwrap();
            socket.send_to(&[1; 500], "10.8.0.2:7").unwrap();
            socket
        })
        .unwrap();
    let udp = await_packet(&mut queues, |packet| packet.data()[12..14] == [8, 0]);
    assert!(udp.meta().offloads.contains(Offloads::L4_CSUM_PARTIAL));
    let mut sound = udp.copy().unwrap();
    crate::offload::complete_checksum(&mut sound);
    assert_ne!(sound.data()[40..42], udp.data()[40..42]);
    assert_eq!(sound.len(), 14 + 28 + 500);
}

#[test]
fn an_interface_that_goes_ends_the_queue() {
    let host = Namespace::quiet("tapgone").unwrap();
    let (tap, mut queues) = up(&host, "tap0", Role::Tap);
    assert!(tap.status().up());
    let mut burst = Burst::default();
    let clock = Clock::start();
    queues.rx[0].receive(&mut burst, clock.now()).unwrap();
    host.ip(&["link", "delete", "tap0"]).unwrap();
    let end = queues.rx[0].receive(&mut burst, clock.now());
    assert!(matches!(end, Err(RxEnd::Failed(PortError::Removed { .. }))), "{end:?}");
    assert_eq!(send(&mut queues, &frame(60)).failed, 1);
    assert!(!tap.status().up());
}

#[test]
fn dropping_the_port_removes_the_interface() {
    let host = Namespace::quiet("tapdrop").unwrap();
    for _ in 0..200 {
        drop(up(&host, "tap0", Role::Tap));
        // A child that another test is starting may hold the old descriptor for a moment.
        let gone = || host.within(|| crate::system::Netif::open("tap0").is_err()).unwrap();
        let end = Instant::now() + Duration::from_secs(2);
        while !gone() {
            assert!(Instant::now() < end, "the interface stays");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn what_cannot_be_made_says_why() {
    let host = Namespace::quiet("tapbad").unwrap();
    let open = |name: &str| host.within(|| Tap::open(name, Role::Tap)).unwrap().unwrap_err();
    for name in ["", "tap%d", "a-name-beyond-fifteen", "x\0y", "lo"] {
        let error = open(name);
        assert!(matches!(error, OpenError::System { step: "make interface", .. }), "{error}");
    }
    let _held = up(&host, "tap0", Role::Tap);
    assert_eq!(
        open("tap0").to_string(),
        "tap0: make interface: Device or resource busy (os error 16)"
    );
}

#[test]
fn an_interface_that_is_down_is_tried_again_in_a_moment() {
    use dp_core::base::{Duration, Instant};
    let lab = Namespace::quiet("tapdown").unwrap();
    let mut port = lab.within(|| Tap::open("tap0", Role::Tap)).unwrap().unwrap();
    let mut queues = port.queues(QueueCount::ONE).unwrap();
    lab.ip(&["link", "set", "tap0", "down"]).unwrap();
    let mut send = |now: Instant| {
        let mut burst = Burst::default();
        for _ in 0..3 {
            let mut packet = Pool::standard().alloc().unwrap();
            packet.append(60).unwrap().fill(0xff);
            burst.push(packet).unwrap();
        }
        let sent = queues.tx[0].transmit(&mut burst, now);
        (sent.packets, sent.failed)
    };
    let start = Instant::from_millis(1000);
    assert_eq!(send(start), (0, 3));
    lab.ip(&["link", "set", "tap0", "up"]).unwrap();
    assert_eq!(send(start.after(Duration::from_micros(500))), (0, 3), "not tried yet");
    assert_eq!(send(start.after(Duration::from_millis(1))), (3, 0));
}
