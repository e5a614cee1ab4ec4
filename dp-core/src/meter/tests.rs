use super::{Band, BandStats, Lengths, Meter, MeterConfig, MeterError, MeterTable, MeterUnit};
use crate::base::{Duration, Instant, MeterId};
use crate::packet::{BURST, Slots};

fn meter(unit: MeterUnit, bands: &[(u32, Option<u32>)]) -> Meter {
    let bands = bands.iter().map(|&(rate, burst)| Band { rate, burst }).collect();
    Meter::new(MeterConfig { unit, bands }, START)
}

const START: Instant = Instant::from_millis(1000);

fn at(millis: u64) -> Instant {
    START.after(Duration::from_millis(millis))
}

fn dropped(meter: &Meter, packets: usize, len: u32, now: Instant) -> usize {
    let lengths: Lengths = [len; BURST];
    meter.charge(Slots::first(packets), &lengths, now).len()
}

#[test]
fn a_bucket_begins_full_and_fills_to_its_burst() {
    let meter = meter(MeterUnit::Packets, &[(10, Some(3))]);
    assert_eq!(dropped(&meter, 5, 60, at(0)), 2);
    assert_eq!(dropped(&meter, 2, 60, at(100)), 1);
    assert_eq!(dropped(&meter, 1, 60, at(199)), 1);
    assert_eq!(dropped(&meter, 1, 60, at(200)), 0);
    // However long it waits, no more than the burst.
    assert_eq!(dropped(&meter, 10, 60, at(60_000)), 7);
    let stats = meter.stats();
    assert_eq!((stats.packets, stats.bytes, stats.created), (19, 1140, START));
    assert_eq!(stats.bands, [BandStats { packets: 11, bytes: 660 }]);
}

#[test]
fn without_a_burst_what_comes_in_a_second_may_pass_at_once() {
    let meter = meter(MeterUnit::Packets, &[(7, None)]);
    assert_eq!(dropped(&meter, 32, 60, at(5000)), 25);
    assert_eq!(dropped(&meter, 32, 60, at(6000)), 25);
}

#[test]
fn kilobits_count_the_bits_of_frames_and_let_smaller_ones_pass() {
    // 8 kbit a second: 1,000 bytes.
    let meter = meter(MeterUnit::Kilobits, &[(8, Some(8))]);
    let mut lengths: Lengths = [0; BURST];
    for (place, len) in lengths.iter_mut().zip([600, 600, 400, 1]) {
        *place = len;
    }
    let now = at(1000);
    let slots = Slots::first(4);
    // The second does not fit, the third does, to the last bit.
    assert_eq!(meter.charge(slots, &lengths, now), Slots(0b1010));
    assert_eq!(dropped(&meter, 1, 1, at(1001)), 0);
}

#[test]
fn the_band_with_the_highest_rate_counts_what_exceeds_several() {
    let meter = meter(MeterUnit::Packets, &[(1, Some(1)), (4, Some(4)), (4, Some(2))]);
    assert_eq!(dropped(&meter, 10, 100, at(10_000)), 9);
    let packets: Vec<u64> = meter.stats().bands.iter().map(|band| band.packets).collect();
    // Six exceed both fast bands: the first of them counts those; the rest only the slow ones.
    assert_eq!(packets, [1, 6, 2]);
    assert_eq!(meter.stats().bands[1].bytes, 600);
}

#[test]
fn threads_together_get_what_one_would() {
    let meter = meter(MeterUnit::Packets, &[(1_000_000, Some(5000))]);
    let passed: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..400).map(|_| 32 - dropped(&meter, 32, 64, at(1000))).sum::<usize>()
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    assert_eq!(passed, 5000);
    assert_eq!(meter.stats().packets, 4 * 400 * 32);
    assert_eq!(meter.stats().bands[0].packets, 4 * 400 * 32 - 5000);
}

/// The same by adding tokens every millisecond: what a bucket is, slowly.
#[test]
fn over_time_as_much_passes_as_comes_in() {
    let (rate, burst) = (33_u64, 5_u64);
    let meter = meter(MeterUnit::Packets, &[(33, Some(5))]);
    let (mut tokens, mut state) = (burst * 1000, 1u64);
    for millis in 1..20_000 {
        tokens = (tokens + rate).min(burst * 1000);
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let packets = (state >> 60) as usize % 3;
        let pass = packets.min((tokens / 1000) as usize);
        tokens -= pass as u64 * 1000;
        assert_eq!(packets - dropped(&meter, packets, 64, at(millis)), pass, "at {millis}");
    }
}

#[test]
fn a_snapshot_shares_the_meters_and_bad_ones_are_refused() {
    let mut table = MeterTable::default();
    let config = |bands| MeterConfig { unit: MeterUnit::Packets, bands };
    let band = Band { rate: 5, burst: None };
    let id = MeterId(3);
    table.set(id, config(vec![band]), START).unwrap();
    let snapshot = table.snapshot();
    assert_eq!(dropped(snapshot.get(id).unwrap(), 2, 60, at(1000)), 0);
    assert_eq!(table.get(id).unwrap().stats().packets, 2);
    assert!(snapshot.get(MeterId(2)).is_none() && snapshot.get(MeterId(4)).is_none());
    for (id, bands, error) in [
        (MeterId(u32::MAX), vec![band], MeterError::Id),
        (MeterId(1), vec![], MeterError::Bands),
        (MeterId(1), vec![band; 9], MeterError::Bands),
        (MeterId(1), vec![Band { rate: 0, burst: None }], MeterError::Rate),
    ] {
        assert_eq!(table.set(id, config(bands), START), Err(error));
    }
    assert_eq!(table.remove(id).map(|stats| stats.packets), Some(2));
    assert_eq!(table.remove(id), None);
    // A thread that still has the old snapshot goes on with the meter.
    assert!(snapshot.get(id).is_some() && table.snapshot().get(id).is_none());
}
