use super::{Dummy, KEPT, WAITING};
use crate::pcapfile::{Mapped, Records};
use crate::port::{Change, Lost, Port, QueueCount, Queues, Sent};
use dp_core::base::{Instant, MacAddr};
use dp_core::packet::{Burst, Offloads, Packet, Pool};
use std::path::{Path, PathBuf};

const NOW: Instant = Instant(0);

fn packet(bytes: &[u8]) -> Packet {
    let mut packet = Pool::for_len(bytes.len()).unwrap().alloc().unwrap();
    packet.append(bytes.len()).unwrap().copy_from_slice(bytes);
    packet
}

fn receive(queues: &mut Queues) -> (usize, Lost) {
    let mut burst = Burst::default();
    let lost = queues.rx[0].receive(&mut burst, NOW).unwrap();
    (burst.len(), lost)
}

fn send(queues: &mut Queues, packet: Packet) -> Sent {
    let mut burst = Burst::default();
    burst.push(packet).unwrap();
    queues.tx[0].transmit(&mut burst, NOW)
}

#[test]
fn what_is_put_in_comes_in_and_what_goes_out_is_kept() {
    let mut port = Dummy::new("p");
    let hand = port.hand();
    let mut queues = port.queues(QueueCount::ONE).unwrap();
    assert!(hand.inject(&[7; 60]));
    assert_eq!(hand.waiting(), 1);
    assert_eq!(receive(&mut queues), (1, Lost::NONE));
    assert_eq!(send(&mut queues, packet(&[9; 61])).packets, 1);
    assert_eq!(hand.take_sent(), [vec![9; 61]]);
    assert_eq!(hand.take_sent(), [[0_u8; 0]; 0]);
}

#[test]
fn bounds_hold_and_losses_are_counted() {
    let mut port = Dummy::new("p");
    let hand = port.hand();
    let mut queues = port.queues(QueueCount::ONE).unwrap();
    for _ in 0..WAITING {
        assert!(hand.inject(&[0; 60]));
    }
    assert!(!hand.inject(&[0; 60]) && !hand.inject(&[0; 70_000]));
    let (count, lost) = receive(&mut queues);
    assert_eq!((count, lost.missed), (32, 1));
    for number in 0..KEPT + 5 {
        send(&mut queues, packet(&[u8::try_from(number % 256).unwrap(); 60]));
    }
    let kept = hand.take_sent();
    assert_eq!((kept.len(), kept[0][0]), (KEPT, 5), "the newest");
}

#[test]
fn mtu_and_link_decide_and_the_admin_state_is_told() {
    let mut port = Dummy::new("p");
    let hand = port.hand();
    let mut queues = port.queues(QueueCount::ONE).unwrap();
    assert_eq!(send(&mut queues, packet(&[0; 1515])).oversize, 1);
    let mut tagged = vec![0; 1518];
    tagged[12] = 0x81;
    assert_eq!(send(&mut queues, packet(&tagged)).packets, 1);
    port.configure(Change::Mtu(2000)).unwrap();
    for wrong in [0, 67, 65_536] {
        let error = port.configure(Change::Mtu(wrong)).unwrap_err().to_string();
        assert!(error.contains("an MTU from 68 to 65535"), "{error}");
    }
    port.configure(Change::Mac(MacAddr::new(2, 0, 0, 0, 0, 5))).unwrap();
    assert_eq!(send(&mut queues, packet(&[0; 1515])).packets, 1);
    hand.set_link(false);
    assert_eq!(send(&mut queues, packet(&[0; 60])).failed, 1);
    assert!(!hand.inject(&[0; 60]));
    hand.set_link(true);
    hand.set_admin(false);
    assert_eq!(send(&mut queues, packet(&[0; 60])).packets, 1, "it only says so");
    let status = port.status();
    assert_eq!((status.up(), status.mtu, status.mac.0[5]), (false, 2000, 5));
}

#[test]
fn large_frames_leave_in_segments() {
    let mut port = Dummy::new("p");
    let hand = port.hand();
    let mut queues = port.queues(QueueCount::ONE).unwrap();
    let mut bytes = vec![0; 14 + 20 + 20 + 4000];
    bytes[12..24].copy_from_slice(&[8, 0, 0x45, 0, 0x0f, 0xc8, 0, 0, 0, 0, 64, 6]);
    bytes[46] = 0x50;
    let mut large = packet(&bytes);
    large.meta_mut().offloads = Offloads::TSO | Offloads::L4_CSUM_PARTIAL;
    large.meta_mut().segment = 1400;
    assert_eq!(send(&mut queues, large).packets, 3);
    let lens: Vec<usize> = hand.take_sent().iter().map(Vec::len).collect();
    assert_eq!(lens, [1454, 1454, 54 + 1200]);
    let mut none = packet(&[0; 60]);
    none.meta_mut().offloads = Offloads::TSO;
    assert_eq!(send(&mut queues, none).failed, 1);
}

struct Temp(PathBuf);

impl Temp {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("dp-dummy-{}-{name}", std::process::id())))
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn count(path: &Path) -> usize {
    let file = Mapped::open(path).unwrap();
    let mut records = Records::start(file.bytes()).unwrap();
    while records.next(file.bytes()).unwrap().is_some() {}
    usize::try_from(records.count()).unwrap()
}

#[test]
fn captures_are_written_at_once_and_continued() {
    let (both, rx, tx) = (Temp::new("both"), Temp::new("rx"), Temp::new("tx"));
    for round in 1..=2 {
        let mut one = Dummy::new("p").capturing(&both.0).unwrap();
        let mut two = Dummy::new("q").capturing_rx(&rx.0).unwrap().capturing_tx(&tx.0).unwrap();
        let hands = [one.hand(), two.hand()];
        let mut queues = [&mut one, &mut two].map(|port| port.queues(QueueCount::ONE).unwrap());
        for (hand, queues) in hands.iter().zip(&mut queues) {
            assert!(hand.inject(&[1; 60]));
            receive(queues);
            send(queues, packet(&[2; 60]));
            send(queues, packet(&[3; 60]));
        }
        assert_eq!([count(&both.0), count(&rx.0), count(&tx.0)], [3, 1, 2].map(|n| n * round));
    }
}
