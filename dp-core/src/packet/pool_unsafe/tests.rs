//! Buffers: their room, their way back, across threads.

use super::{HEADROOM, Pool};
use crate::packet::{Burst, Slots};

#[test]
fn a_fresh_packet_is_empty_with_headroom_and_full_data_room() {
    for len in [60, 2048, 2049, 9000, 65_535] {
        let pool = Pool::for_len(len).unwrap();
        let mut packet = pool.alloc().unwrap();
        assert_eq!((packet.len(), packet.headroom()), (0, HEADROOM as usize));
        packet.append(len).unwrap().fill(0xa5);
        assert!(packet.data().iter().all(|&byte| byte == 0xa5));
        assert!(packet.append(packet.tailroom() + 1).is_none());
    }
    assert!(Pool::for_len(1 << 20).is_none());
}

#[test]
fn push_pull_append_truncate_keep_the_bytes_between() {
    let mut packet = Pool::standard().alloc().unwrap();
    packet.append(4).unwrap().copy_from_slice(b"body");
    packet.push_front(3).unwrap().copy_from_slice(b"hd:");
    assert_eq!(packet.data(), b"hd:body");
    assert!(packet.pull_front(3));
    assert!(!packet.pull_front(5));
    packet.truncate(2);
    packet.truncate(9);
    assert_eq!(packet.data(), b"bo");
    assert!(packet.push_front(packet.headroom() + 1).is_none());
    assert_eq!(packet.data(), b"bo");
}

#[test]
fn a_copy_is_the_same_and_apart() {
    let mut packet = Pool::standard().alloc().unwrap();
    packet.append(60).unwrap().fill(7);
    packet.meta_mut().pkt_mark = 9;
    let mut copy = packet.copy().unwrap();
    assert_eq!((copy.data(), copy.meta()), (packet.data(), packet.meta()));
    copy.data_mut().fill(8);
    assert!(packet.data().iter().all(|&byte| byte == 7));
}

#[test]
fn buffers_come_back_from_other_threads_and_are_used_again() {
    let pool = Pool::for_len(9000).unwrap();
    for _ in 0..50 {
        let packets: Vec<_> = (0..200).map(|_| pool.alloc().unwrap()).collect();
        std::thread::spawn(move || drop(packets)).join().unwrap();
    }
    assert!(pool.total() <= 2048, "{}", pool.total());
}

#[test]
fn a_burst_fills_drains_and_knows_its_live_slots() {
    let mut burst = Burst::default();
    assert_eq!(Pool::standard().fill(&mut burst, 40), 32);
    assert!(burst.is_full() && burst.push(Pool::standard().alloc().unwrap()).is_err());
    assert!(burst.take(3).is_some() && burst.take(3).is_none());
    let mut expected = Slots::first(32);
    expected.remove(3);
    assert_eq!(burst.live(), expected);
    assert_eq!(burst.drain().count(), 31);
    assert!(burst.is_empty() && burst.live().is_empty());
}
