use super::Delay;
use crate::port::dummy::Dummy;
use crate::port::ring::Ring;
use crate::port::{Lost, Port, QueueCount, Queues, RxEnd, Wake};
use dp_core::base::{Duration, Instant};
use dp_core::packet::Burst;

const MS: Duration = Duration::from_millis(1);

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn receive(queues: &mut Queues, now: Instant) -> (Vec<u8>, Lost) {
    let mut burst = Burst::default();
    let lost = queues.rx[0].receive(&mut burst, now).unwrap();
    (burst.iter().map(|packet| packet.data()[0]).collect(), lost)
}

#[test]
fn packets_come_out_after_the_delay_in_order() {
    let dummy = Dummy::new("d");
    let hand = dummy.hand();
    let mut queues = Delay::new(Box::new(dummy), 10 * MS, 100).queues(QueueCount::ONE).unwrap();
    assert!(hand.inject(&[1; 60]));
    assert_eq!(receive(&mut queues, at(5)).0, []);
    assert!(hand.inject(&[2; 60]));
    assert_eq!(receive(&mut queues, at(7)).0, []);
    assert_eq!(receive(&mut queues, Instant(at(15).0 - 1)).0, []);
    assert_eq!(receive(&mut queues, at(15)).0, [1]);
    assert_eq!(receive(&mut queues, at(90)).0, [2]);
}

#[test]
fn what_is_beyond_the_bound_is_missed() {
    let dummy = Dummy::new("d");
    let hand = dummy.hand();
    let mut queues = Delay::new(Box::new(dummy), MS, 2).queues(QueueCount::ONE).unwrap();
    for byte in 0..5 {
        assert!(hand.inject(&[byte; 60]));
    }
    assert_eq!(receive(&mut queues, at(0)), (vec![], Lost { missed: 3, ..Lost::NONE }));
    assert_eq!(receive(&mut queues, at(1)), (vec![0, 1], Lost::NONE));
}

#[test]
fn the_end_waits_for_what_waits() {
    let (near, far) = Ring::pair("a", "b");
    let mut queues = Delay::new(Box::new(near), MS, 10).queues(QueueCount::ONE).unwrap();
    let mut far = { far }.queues(QueueCount::ONE).unwrap();
    let mut burst = Burst::default();
    let mut packet = dp_core::packet::Pool::standard().alloc().unwrap();
    packet.append(60).unwrap().fill(9);
    burst.push(packet).unwrap();
    far.tx[0].transmit(&mut burst, at(0));
    drop(far);
    assert_eq!(receive(&mut queues, at(0)).0, []);
    assert_eq!(receive(&mut queues, at(0)).0, []);
    assert_eq!(queues.rx[0].wake(), Wake::at(at(1)));
    assert_eq!(receive(&mut queues, at(1)).0, [9]);
    assert!(matches!(queues.rx[0].receive(&mut burst, at(1)), Err(RxEnd::Finished)));
}
