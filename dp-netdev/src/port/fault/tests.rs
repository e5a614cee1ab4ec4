use super::{Fault, Faults};
use crate::port::ring::Ring;
use crate::port::{Port, QueueCount, Queues, Sent};
use dp_core::base::Instant;
use dp_core::packet::{Burst, Pool};
use std::sync::atomic::Ordering;

const NOW: Instant = Instant(0);

fn setup(rx: Faults, tx: Faults, seed: u64) -> (Fault, Queues, Queues) {
    let (near, mut far) = Ring::pair_with("a", "b", 1, 1 << 14);
    let mut fault = Fault::new(Box::new(near), rx, tx, seed);
    let near = fault.queues(QueueCount::ONE).unwrap();
    let far = far.queues(QueueCount::ONE).unwrap();
    (fault, near, far)
}

/// Sends `count` numbered frames; what the queue says of them.
fn send(queues: &mut Queues, count: u32) -> Sent {
    let mut sent = Sent::default();
    let mut burst = Burst::default();
    for number in 0..count {
        let mut packet = Pool::standard().alloc().unwrap();
        packet.append(64).unwrap().fill(0);
        packet.data_mut()[..4].copy_from_slice(&number.to_be_bytes());
        burst.push(packet).unwrap();
        if burst.is_full() {
            sent.add(queues.tx[0].transmit(&mut burst, NOW));
        }
    }
    sent.add(queues.tx[0].transmit(&mut burst, NOW));
    sent
}

fn receive(queues: &mut Queues) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut burst = Burst::default();
    loop {
        queues.rx[0].receive(&mut burst, NOW).unwrap();
        if burst.is_empty() {
            return all;
        }
        all.extend(burst.drain().map(|packet| packet.data().to_vec()));
    }
}

#[test]
fn without_faults_nothing_changes() {
    let (fault, mut near, mut far) = setup(Faults::default(), Faults::default(), 1);
    assert_eq!(send(&mut near, 100).packets, 100);
    assert_eq!(receive(&mut far).len(), 100);
    send(&mut far, 100);
    assert_eq!(receive(&mut near).len(), 100);
    assert_eq!(fault.counts().lost.load(Ordering::Relaxed), 0);
}

#[test]
fn faults_come_at_their_rates_both_ways() {
    let faults = Faults { loss: 100_000, duplicate: 50_000, corrupt: 20_000 };
    for outward in [false, true] {
        let none = Faults::default();
        let (rx, tx) = if outward { (none, faults) } else { (faults, none) };
        let (fault, mut near, mut far) = setup(rx, tx, 7);
        let got = if outward {
            let sent = send(&mut near, 10_000);
            let doubled = fault.counts().duplicated.load(Ordering::Relaxed);
            assert_eq!(
                u64::from(sent.packets),
                10_000 + doubled,
                "what is lost on the wire was sent"
            );
            receive(&mut far)
        } else {
            send(&mut far, 10_000);
            receive(&mut near)
        };
        let counts = fault.counts();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let (lost, doubled) = (count(&counts.lost), count(&counts.duplicated));
        assert_eq!(got.len() as u64, 10_000 - lost + doubled);
        assert!((900..1100).contains(&lost), "{lost}");
        assert!((380..520).contains(&doubled), "{doubled}");
        let damaged =
            got.iter().filter(|frame| frame[4..].iter().any(|&byte| byte != 0)).count() as u64;
        let corrupted = count(&counts.corrupted);
        assert!((140..220).contains(&corrupted), "{corrupted}");
        assert!(damaged <= corrupted && damaged > corrupted / 2);
    }
}

#[test]
fn the_same_seed_does_the_same() {
    let faults = Faults { loss: 300_000, duplicate: 300_000, corrupt: 300_000 };
    let run = |seed| {
        let (_fault, mut near, mut far) = setup(faults, faults, seed);
        send(&mut near, 500);
        send(&mut far, 500);
        (receive(&mut far), receive(&mut near))
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
