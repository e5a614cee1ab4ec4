use super::{Ring, channel};
use crate::port::{Lost, OpenError, Port, QueueCount, RxEnd, RxQueue, TxQueue};
use dp_core::base::Instant;
use dp_core::packet::{Burst, Packet, Pool};

const NOW: Instant = Instant(0);

fn packet(bytes: &[u8]) -> Packet {
    let mut packet = Pool::standard().alloc().unwrap();
    packet.append(bytes.len()).unwrap().copy_from_slice(bytes);
    packet
}

fn batch(count: u8) -> Burst {
    let mut burst = Burst::default();
    for byte in 0..count {
        burst.push(packet(&[byte; 60])).unwrap();
    }
    burst
}

#[test]
fn handles_pass_in_order_and_the_excess_is_counted() {
    let (mut tx, mut rx) = channel(40);
    let mut burst = batch(32);
    let first = burst.get(0).unwrap().header_ptr();
    let sent = tx.transmit(&mut burst, NOW);
    assert_eq!((sent.packets, sent.bytes, sent.dropped()), (32, 32 * 60, 0));
    assert!(burst.is_empty());
    let sent = tx.transmit(&mut batch(32), NOW);
    assert_eq!((sent.packets, sent.queue_full), (8, 24));

    let mut got = Burst::default();
    assert_eq!(rx.receive(&mut got, NOW).unwrap(), Lost::NONE);
    assert_eq!(got.len(), 32);
    assert_eq!(got.get(0).unwrap().header_ptr(), first, "the buffer itself, no copy");
    for (slot, packet) in got.iter().enumerate() {
        assert_eq!(usize::from(packet.data()[0]), slot);
    }
    // A burst that is partly filled takes the rest.
    let mut part = batch(30);
    rx.receive(&mut part, NOW).unwrap();
    assert_eq!(part.len(), 32);
    assert_eq!(part.get(31).unwrap().data()[0], 1);
    rx.receive(&mut Burst::default(), NOW).unwrap();
}

#[test]
fn slots_that_were_taken_are_not_sent() {
    let (mut tx, mut rx) = channel(64);
    let mut burst = batch(4);
    drop(burst.take(1));
    assert_eq!(tx.transmit(&mut burst, NOW).packets, 3);
    let mut got = Burst::default();
    rx.receive(&mut got, NOW).unwrap();
    let bytes: Vec<u8> = got.iter().map(|packet| packet.data()[0]).collect();
    assert_eq!(bytes, [0, 2, 3]);
}

#[test]
fn the_end_comes_after_what_was_sent() {
    let (mut tx, mut rx) = channel(64);
    tx.transmit(&mut batch(3), NOW);
    drop(tx);
    let mut got = Burst::default();
    assert_eq!(rx.receive(&mut got, NOW).unwrap(), Lost::NONE);
    assert_eq!(got.len(), 3);
    assert!(matches!(rx.receive(&mut got, NOW), Err(RxEnd::Finished)));

    let (mut tx, rx) = channel(64);
    drop(rx);
    let sent = tx.transmit(&mut batch(5), NOW);
    assert_eq!((sent.packets, sent.failed), (0, 5));
}

#[test]
fn a_pair_is_joined_crosswise_queue_by_queue() {
    let (mut left, mut right) = Ring::pair_with("l", "r", 2, 16);
    assert_eq!((left.name(), right.name(), left.kind()), ("l", "r", "ring"));
    let mut l = left.queues(QueueCount::ONE).unwrap();
    let mut r = right.queues(QueueCount::ONE).unwrap();
    assert!(matches!(left.queues(QueueCount::ONE), Err(OpenError::QueuesTaken { .. })));
    assert_eq!((l.rx.len(), l.tx.len()), (2, 2));
    l.tx[1].transmit(&mut batch(2), NOW);
    r.tx[0].transmit(&mut batch(3), NOW);
    let mut counts = Vec::new();
    for queue in r.rx.iter_mut().chain(&mut l.rx) {
        let mut got = Burst::default();
        queue.receive(&mut got, NOW).unwrap();
        counts.push(got.len());
    }
    assert_eq!(counts, [0, 2, 3, 0]);
}

#[test]
fn packets_cross_threads_without_loss() {
    let (mut tx, mut rx) = channel(256);
    const COUNT: u32 = 100_000;
    let sender = std::thread::spawn(move || {
        let mut next = 0;
        while next < COUNT {
            let mut burst = Burst::default();
            let begin = next;
            while next < COUNT && !burst.is_full() {
                // The pool is bounded; the receiver gives buffers back.
                let Some(mut packet) = Pool::standard().alloc() else { break };
                packet.append(4).unwrap().copy_from_slice(&next.to_be_bytes());
                burst.push(packet).unwrap();
                next += 1;
            }
            let sent = tx.transmit(&mut burst, NOW);
            next = begin + sent.packets;
            std::thread::yield_now();
        }
    });
    let mut expected = 0_u32;
    let mut burst = Burst::default();
    while rx.receive(&mut burst, NOW).is_ok() {
        for packet in burst.drain() {
            assert_eq!(packet.data(), expected.to_be_bytes());
            expected += 1;
        }
    }
    sender.join().unwrap();
    assert_eq!(expected, COUNT);
}
