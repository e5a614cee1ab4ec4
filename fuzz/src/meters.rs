//! Meters against buckets that are counted the slow way.

use dp_core::base::{Duration, Instant};
use dp_core::meter::{Band, Lengths, Meter, MeterConfig, MeterUnit};
use dp_core::packet::{BURST, Slots};

use crate::bytes::Bytes;

/// Rates that a second is a whole number of the bucket's parts for, so that both ways of counting
/// are exact.
const RATES: [u32; 8] = [1, 2, 5, 10, 64, 100, 1000, 20_000];

/// A bucket that is filled token by token: in billionths of a token.
struct Bucket {
    level: u128,
    burst: u128,
    rate: u128,
}

/// Any bursts of packets at any times, through meters of up to eight bands.
pub fn meter(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let unit = if bytes.below(2) == 0 { MeterUnit::Packets } else { MeterUnit::Kilobits };
    let scale: u128 = if unit == MeterUnit::Packets { 1 } else { 1000 };
    let mut bands = Vec::new();
    for _ in 0..=bytes.below(8) {
        let rate = RATES[usize::from(bytes.below(8))];
        let burst = Some(u32::from(bytes.short())).filter(|&burst| burst != 0);
        bands.push(Band { rate, burst });
    }
    let mut model: Vec<Bucket> = bands
        .iter()
        .map(|band| {
            let burst = u128::from(band.burst.unwrap_or(band.rate)) * scale * 1_000_000_000;
            Bucket { level: burst, burst, rate: u128::from(band.rate) * scale }
        })
        .collect();
    let mut now = Instant::from_millis(1000);
    let meter = Meter::new(MeterConfig { unit, bands: bands.clone() }, now);
    let (mut packets, mut dropped) = (0, 0);
    while !bytes.is_empty() {
        let step = u64::from(bytes.short()) * 50_000;
        now = now.after(Duration::from_nanos(step));
        let count = usize::from(bytes.below(32)) + 1;
        let mut lengths: Lengths = [0; BURST];
        for len in lengths.iter_mut().take(count) {
            *len = u32::from(bytes.byte()) * 6;
        }
        let mut expected = Slots::NONE;
        for bucket in &mut model {
            bucket.level = (bucket.level + u128::from(step) * bucket.rate).min(bucket.burst);
            for (slot, &len) in lengths.iter().enumerate().take(count) {
                let tokens = if unit == MeterUnit::Packets { 1 } else { u128::from(len) * 8 };
                match bucket.level.checked_sub(tokens * 1_000_000_000) {
                    Some(level) => bucket.level = level,
                    None => expected.insert(slot),
                }
            }
        }
        assert_eq!(meter.charge(Slots::first(count), &lengths, now), expected);
        packets += count as u64;
        dropped += expected.len() as u64;
    }
    let stats = meter.stats();
    assert_eq!(stats.packets, packets);
    assert_eq!(stats.bands.iter().map(|band| band.packets).sum::<u64>(), dropped);
}
