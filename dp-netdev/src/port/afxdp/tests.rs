//! AF_XDP over virtual interfaces, in the modes that these can.

use std::time::{Duration, Instant};

use dp_core::packet::{Burst, Packet, Pool};
use testkit::netns::{Namespace, veth_pair};

use super::{AfXdp, Mode, Options};
use crate::port::{OpenError, Port, PortError, QueueCount, Queues, RxEnd};
use crate::system::Clock;

const SOON: Duration = Duration::from_secs(10);

struct Lab {
    switch: Namespace,
    host: Namespace,
}

impl Lab {
    fn new(hint: &str) -> Self {
        let lab = Self {
            switch: Namespace::quiet(&format!("{hint}-sw")).unwrap(),
            host: Namespace::quiet(&format!("{hint}-h")).unwrap(),
        };
        veth_pair((&lab.switch, "sw0"), (&lab.host, "eth0")).unwrap();
        lab
    }

    fn open(&self, mode: Mode) -> Result<AfXdp, OpenError> {
        self.open_with(Options { mode, ..Options::default() })
    }

    fn open_with(&self, options: Options) -> Result<AfXdp, OpenError> {
        self.switch.within(|| AfXdp::open("sw0", options)).unwrap()
    }

    /// Whether a program is attached to the interface.
    fn is_attached(&self) -> bool {
        self.switch.exec(&["ip", "link", "show", "sw0"]).unwrap().contains("xdp")
    }
}

fn frame(len: usize, mark: u8) -> Vec<u8> {
    let mut frame = vec![mark; len];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5]);
    frame
}

fn packet(bytes: &[u8]) -> Packet {
    let mut packet = Pool::standard().alloc().unwrap();
    packet.append(bytes.len()).unwrap().copy_from_slice(bytes);
    packet
}

fn receive(queues: &mut Queues, clock: &Clock) -> Vec<u8> {
    let start = Instant::now();
    loop {
        let mut burst = Burst::default();
        queues.rx[0].receive(&mut burst, clock.now()).unwrap();
        if let Some(packet) = burst.iter().next() {
            assert_eq!(burst.len(), 1);
            return packet.data().to_vec();
        }
        assert!(start.elapsed() < SOON, "nothing came");
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn frames_come_and_go_unchanged_in_every_mode() {
    for mode in [Mode::Best, Mode::Native, Mode::Generic] {
        let lab = Lab::new("xdp");
        let clock = Clock::start();
        let mut port = lab.open(mode).unwrap();
        if mode == Mode::Best {
            assert_ne!(port.mode(), Mode::Best, "one was chosen");
        } else {
            assert_eq!(port.mode(), mode);
        }
        let mut queues = port.queues(QueueCount::ONE).unwrap();
        let host = lab.host.frames("eth0").unwrap();
        for len in [60, 61, 1000, 1514] {
            host.send(&frame(len, 7)).unwrap();
            assert_eq!(receive(&mut queues, &clock), frame(len, 7));
            let mut tagged = frame(len.min(1500), 9);
            tagged.splice(12..12, [0x81, 0, 0x60, 42]);
            let mut burst = Burst::default();
            burst.push(packet(&tagged)).unwrap();
            let sent = queues.tx[0].transmit(&mut burst, clock.now());
            assert_eq!((sent.packets, sent.dropped()), (1, 0));
            let is_ours = |got: &[u8]| got.last() == Some(&9);
            assert!(host.receive_matching(SOON, is_ours).unwrap().is_some(), "{mode:?} {len}");
        }
        // Far more than there are frames: they go around.
        for round in 0..6000_u32 {
            let mark = u8::try_from(round % 200).unwrap();
            host.send(&frame(60, mark)).unwrap();
            assert_eq!(receive(&mut queues, &clock), frame(60, mark));
        }
    }
}

#[test]
fn the_program_goes_with_the_port() {
    let lab = Lab::new("link");
    for _ in 0..20 {
        let mut port = lab.open(Mode::Best).unwrap();
        assert!(lab.is_attached());
        let queues = port.queues(QueueCount::ONE).unwrap();
        drop(port);
        drop(queues);
        // The kernel lets go of it in its own time, a moment later.
        let start = Instant::now();
        while lab.is_attached() {
            assert!(start.elapsed() < SOON, "still attached");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn what_cannot_be_opened_says_why() {
    let lab = Lab::new("xdpno");
    let text = |options| lab.open_with(options).unwrap_err().to_string();
    let options = Options::default();
    let said = text(Options { queues: 64, ..options });
    assert_eq!(said, "sw0: option n_rxq: '64' is not a number of queues that the interface has");
    let missing = lab.switch.within(|| AfXdp::open("sw9", options)).unwrap().unwrap_err();
    assert!(matches!(missing, OpenError::NoInterface { .. }));
    let first = lab.open(Mode::Native).unwrap();
    let second = lab.open(Mode::Native).unwrap_err().to_string();
    assert!(second.starts_with("sw0: "), "{second}");
    drop(first);
}

#[test]
fn an_interface_that_goes_ends_the_queue() {
    let lab = Lab::new("xdpend");
    let clock = Clock::start();
    let mut queues = lab.open(Mode::Best).unwrap().queues(QueueCount::ONE).unwrap();
    lab.switch.ip(&["link", "delete", "sw0"]).unwrap();
    let start = Instant::now();
    loop {
        let mut burst = Burst::default();
        match queues.rx[0].receive(&mut burst, clock.now()) {
            Err(RxEnd::Failed(PortError::Removed { name })) => break assert_eq!(name, "sw0"),
            other => assert!(start.elapsed() < SOON, "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut burst = Burst::default();
    burst.push(packet(&frame(60, 1))).unwrap();
    let later = clock.now().after(Duration::from_secs(1));
    assert_eq!(queues.tx[0].transmit(&mut burst, later).failed, 1);
}
