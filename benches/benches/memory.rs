//! Prints what megaflows and caches take of memory: bytes as they were asked for, the slack of growing
//! tables included.
//!
//! `cargo bench -p dp-benches --bench memory`.

use std::sync::Arc;

use dp_benches::allocations_unsafe::{Counting, held};
use dp_core::action::{Action, ActionList};
use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{FlowPut, PutMode};
use dp_core::flow::{FieldId, FlowKey, FlowMask};
use dp_core::pipeline::{Pipeline, Settings};

const FLOWS: u32 = 200_000;
const NOW: Instant = Instant::from_millis(1);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Installs flows that differ in one field; returns the bytes that one took.
fn flows(field: FieldId, shared: bool) -> usize {
    let mut pipeline = Pipeline::new(Settings::default());
    let mut mask = FlowMask::EMPTY;
    mask.unwildcard(FieldId::EthType);
    mask.unwildcard(field);
    let same = ActionList::from([Action::Output(PortNo(2))]);
    let before = held();
    let count = dp_benches::scaled(FLOWS);
    for number in 0..count {
        let mut key = FlowKey::EMPTY;
        key.set(FieldId::InPort, 1);
        key.set(FieldId::EthType, 0x86dd);
        key.set(field, number.into());
        let actions =
            if shared { Arc::clone(&same) } else { ActionList::from([Action::Output(PortNo(2))]) };
        let mode = PutMode::Create;
        let put = FlowPut { key, mask: mask.clone(), actions, mode, zero_stats: false, now: NOW };
        assert!(pipeline.put(&put).is_ok());
    }
    let taken = held() - before;
    drop(pipeline);
    taken / count as usize
}

/// Bytes that a cache takes whose switch is thrown.
fn cache(settings: &Settings) -> usize {
    let before = held();
    let pipeline = Pipeline::new(settings.clone());
    let taken = held() - before;
    drop(pipeline);
    taken
}

fn main() {
    let count = dp_benches::scaled(FLOWS);
    println!("bytes a megaflow, {count} flows, list of one action for each:");
    println!("{:8}  IPv4, one lane", flows(FieldId::Ipv4Src, false));
    println!("{:8}  IPv6, two lanes", flows(FieldId::Ipv6Src, false));
    println!("{:8}  IPv4, actions shared", flows(FieldId::Ipv4Src, true));
    let plain = cache(&Settings::default());
    let smc = cache(&Settings { smc: true, ..Settings::default() });
    println!("KiB a thread without flows:");
    println!("{:8}  with the exact-match cache of 8,192 entries", plain / 1024);
    println!("{:8}  with the signature match cache of 2^20 as well", smc / 1024);
}
