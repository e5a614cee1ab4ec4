use super::Capture;
use crate::pcapfile::{Mapped, Records, Writer, WriterOptions};
use crate::port::dummy::Dummy;
use crate::port::{Port, QueueCount};
use dp_core::base::Instant;
use dp_core::packet::Burst;

#[test]
fn both_directions_are_recorded_in_order() {
    let path = std::env::temp_dir().join(format!("dp-capture-{}.pcap", std::process::id()));
    let writer = Writer::create(&path, WriterOptions::default()).unwrap();
    let dummy = Dummy::new("p1");
    let hand = dummy.hand();
    let mut port = Capture::new(Box::new(dummy), writer);
    let watch = port.watch();
    assert_eq!((port.name(), port.kind()), ("p1", "dummy"));
    let mut queues = port.queues(QueueCount::ONE).unwrap();
    assert!(hand.inject(&[1; 60]) && hand.inject(&[2; 60]));
    let mut burst = Burst::default();
    queues.rx[0].receive(&mut burst, Instant(0)).unwrap();
    assert!(hand.inject(&[3; 60]));
    // What was in the burst before is not recorded again.
    queues.rx[0].receive(&mut burst, Instant(1)).unwrap();
    assert_eq!(burst.len(), 3);
    drop(burst.take(1));
    queues.tx[0].transmit(&mut burst, Instant(2));
    queues.tx[0].flush().unwrap();
    assert!(watch.error().is_none());

    let file = Mapped::open(&path).unwrap();
    let mut records = Records::start(file.bytes()).unwrap();
    let mut seen = Vec::new();
    while let Some(record) = records.next(file.bytes()).unwrap() {
        seen.push(record.frame[0]);
    }
    assert_eq!(seen, [1, 2, 3, 1, 3]);
    std::fs::remove_file(&path).unwrap();
}
