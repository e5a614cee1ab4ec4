use dp_core::base::{Duration, Instant};

use super::{Cache, Config, FLOWS, FlowId, RECORDS, output};

fn cache(timeout: Option<u64>) -> Cache {
    let config = Config {
        engine_type: 3,
        engine_id: 7,
        add_id_to_interface: false,
        active_timeout: timeout.map(Duration::from_secs),
    };
    Cache::new(config, Instant::from_millis(1000))
}

fn flow(number: u32) -> FlowId {
    FlowId {
        input: 1,
        src: number.into(),
        dst: [192, 168, 0, 2].into(),
        protocol: 6,
        tos: 0,
        src_port: 1,
        dst_port: 2,
    }
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(1000 + millis)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Source, output, packets, bytes, first and last of each record, by their datagrams' numbers.
fn records(datagrams: &[Vec<u8>]) -> Vec<(u32, Vec<[u32; 6]>)> {
    let record = |bytes: &[u8]| {
        let out = word(bytes, 12) & 0xffff;
        [word(bytes, 0), out, word(bytes, 16), word(bytes, 20), word(bytes, 24), word(bytes, 28)]
    };
    datagrams
        .iter()
        .map(|bytes| {
            assert_eq!(bytes[..2], [0, 5]);
            assert_eq!(bytes.len(), 24 + 48 * usize::from(bytes[3]));
            (word(bytes, 16), bytes[24..].chunks(48).map(record).collect())
        })
        .collect()
}

#[test]
fn an_active_flow_is_told_at_its_timeout_and_an_idle_one_ends() {
    let mut cache = cache(Some(10));
    let unix = Duration::from_secs(5);
    cache.credit(flow(1), 2, (3, 300, 0x12), at(0));
    cache.credit(flow(1), 2, (1, 100, 0), at(4000));
    for millis in (0..=10_000).step_by(500) {
        assert_eq!(cache.run(at(millis), unix), Vec::<Vec<u8>>::new(), "{millis}");
    }
    let told = records(&cache.run(at(11_000), unix));
    assert_eq!(told, [(0, vec![[1, 2, 4, 400, 0, 4000]])]);
    cache.credit(flow(1), 2, (1, 60, 0), at(12_000));
    for millis in (11_500..=21_000).step_by(500) {
        assert!(cache.run(at(millis), unix).is_empty(), "{millis}");
    }
    let told = records(&cache.run(at(22_500), unix));
    assert_eq!(told, [(1, vec![[1, 2, 1, 60, 12_000, 12_000]])]);
    // Nothing came since: there is nothing to tell, and it is forgotten.
    assert_eq!(cache.len(), 1);
    assert!(cache.run(at(40_000), unix).is_empty());
    assert!(cache.is_empty());
}

#[test]
fn without_a_timeout_flows_are_told_when_they_end() {
    let mut cache = cache(None);
    cache.credit(flow(1), 2, (1, 60, 0), at(0));
    assert!(cache.run(at(10_000_000), Duration::ZERO).is_empty());
    assert_eq!(cache.wake(at(0)), None);
    cache.end(flow(1));
    assert_eq!(cache.wake(at(5)), Some(at(5)));
    assert_eq!(records(&cache.run(at(10_000_001), Duration::ZERO)).len(), 1);
}

#[test]
fn a_flow_that_goes_another_way_is_told_as_it_was() {
    let mut cache = cache(Some(600));
    cache.credit(flow(1), 2, (1, 60, 0), at(0));
    cache.credit(flow(1), output::DROP, (2, 120, 0), at(500));
    let told = records(&cache.run(at(600), Duration::ZERO));
    assert_eq!(told, [(0, vec![[1, 2, 1, 60, 0, 0]])]);
    cache.end(flow(1));
    let told = records(&cache.run(at(700), Duration::ZERO));
    assert_eq!(told, [(1, vec![[1, u32::from(output::DROP), 2, 120, 500, 500]])]);
}

#[test]
fn datagrams_have_thirty_records_and_count_them() {
    let mut cache = cache(Some(600));
    for number in 0..65 {
        cache.credit(flow(number), 2, (1, 60, 0), at(0));
        cache.end(flow(number));
    }
    let told = records(&cache.run(at(1), Duration::ZERO));
    let heads: Vec<_> = told.iter().map(|(number, records)| (*number, records.len())).collect();
    assert_eq!(heads, [(0, 30), (30, 30), (60, 5)]);
}

#[test]
fn counters_beyond_32_bits_go_into_several_records() {
    let mut cache = cache(Some(600));
    let bytes = 10_000_000_000;
    cache.credit(flow(1), 2, (10_000_000, bytes, 0), at(0));
    cache.end(flow(1));
    let told = records(&cache.run(at(1), Duration::ZERO)).remove(0).1;
    let sum = |at: usize| told.iter().map(|record| u64::from(record[at])).sum::<u64>();
    assert_eq!((sum(2), sum(3)), (10_000_000, bytes));
    assert_eq!(told.len(), 3);
}

#[test]
fn flows_and_records_are_bounded() {
    let mut cache = cache(None);
    for number in 0..u32::try_from(FLOWS * 4).unwrap() {
        cache.credit(flow(number), 2, (1, 60, 0), at(0));
    }
    assert!(cache.len() <= FLOWS);
    let told: usize =
        records(&cache.run(at(1), Duration::ZERO)).iter().map(|(_, it)| it.len()).sum();
    assert!(told <= RECORDS);
    assert!(cache.take_lost() > 0 && cache.take_lost() == 0);
}

#[test]
fn the_engine_is_part_of_interface_numbers_where_that_is_wished() {
    let mut cache = cache(Some(600));
    cache.config.add_id_to_interface = true;
    cache.credit(flow(1), output::FLOOD, (1, 60, 0), at(0));
    cache.end(flow(1));
    let sent = cache.run(at(1), Duration::ZERO);
    assert_eq!(sent[0][24 + 12..24 + 16], [0x0e, 0x01, 0x0f, 0xff]);
    assert_eq!(sent[0][20..22], [3, 7]);
}
