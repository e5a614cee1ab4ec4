use dp_core::base::{Duration, Instant};
use dp_core::flow::{FieldId, FlowKey, layout};

use super::{Config, DOMAINS, Exporter, FINISHED, INTERVAL, Interface, Sample};

fn config(active_timeout: u64, max_flows: usize) -> Config {
    Config {
        active_timeout: Duration::from_secs(active_timeout),
        max_flows,
        stats_interval: INTERVAL,
        template_interval: INTERVAL,
        virtual_point: None,
        tunnels: true,
    }
}

const UNIX: Duration = Duration::from_millis(1_700_000_000_250);

fn at(millis: u64) -> Instant {
    Instant::from_millis(1000 + millis)
}

fn exporter(config: Config) -> Exporter {
    Exporter::new(config, at(0), UNIX)
}

fn run(exporter: &mut Exporter, millis: u64) -> Vec<Vec<u8>> {
    exporter.run(at(millis), UNIX + Duration::from_millis(millis))
}

fn udp(src: u16) -> FlowKey {
    let mut key = FlowKey::EMPTY;
    for (field, value) in [
        (FieldId::EthSrc, 0x0200_0000_0001),
        (FieldId::EthDst, 0x0200_0000_0002),
        (FieldId::EthType, 0x0800),
        (FieldId::NwProto, 17),
        (FieldId::UdpSrc, u128::from(src)),
    ] {
        key.set(field, value);
    }
    key
}

fn sample(key: &FlowKey) -> Sample<'_> {
    Sample {
        domain: 1,
        point: 2,
        key,
        frame: &[0; 60],
        input: Interface { ifindex: 7, name: "p1" },
        output: None,
        tunnel: None,
        dropped: false,
    }
}

/// The sets of a message: number and contents; with its domain and sequence.
fn sets(message: &[u8]) -> (u32, u32, Vec<(u16, &[u8])>) {
    let half = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let word = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
    assert_eq!((half(0), usize::from(half(2))), (10, message.len()));
    let mut at = 16;
    let mut found = Vec::new();
    while at < message.len() {
        let len = usize::from(half(at + 2));
        found.push((half(at), &message[at + 4..at + len]));
        at += len;
    }
    assert_eq!(at, message.len());
    (word(12), word(8), found)
}

/// Numbers of the sets of data records of flows.
fn data(messages: &[Vec<u8>]) -> Vec<(u32, u32, u16)> {
    let mut found = Vec::new();
    for message in messages {
        let (domain, sequence, sets) = sets(message);
        let data = sets.iter().filter(|(set, _)| *set >= 256 && *set != super::template::OPTIONS);
        found.extend(data.map(|(set, _)| (domain, sequence, *set)));
    }
    found
}

fn templates(messages: &[Vec<u8>]) -> usize {
    messages.iter().filter(|it| sets(it).2.iter().any(|(set, _)| *set == 2)).count()
}

#[test]
fn without_a_cache_each_packet_is_a_record() {
    let mut exporter = exporter(config(0, 0));
    let key = udp(1);
    exporter.sample(&sample(&key), at(10));
    exporter.sample(&sample(&key), at(20));
    assert_eq!(exporter.wake(at(20)), Some(at(20)));
    let sent = run(&mut exporter, 30);
    assert!(templates(&sent) > 1, "templates come first");
    // The record of the exporter itself is the first.
    assert_eq!(data(&sent), [(1, 1, 284), (1, 1, 284)]);
    let stats = exporter.stats();
    assert_eq!((stats.total_flows, stats.packets, stats.ipv4_packets), (2, 2, 2));
    assert!(run(&mut exporter, 40).is_empty());
}

#[test]
fn a_cache_adds_up_until_the_active_timeout() {
    let mut exporter = exporter(config(10, 100));
    let key = udp(1);
    for second in 0..10 {
        exporter.sample(&sample(&key), at(second * 1000));
        assert!(run(&mut exporter, second * 1000 + 1).is_empty());
    }
    assert_eq!(exporter.stats().current_flows, 1);
    assert_eq!(exporter.wake(at(5)), Some(at(10_000)));
    assert!(data(&run(&mut exporter, 9_999)).is_empty());
    let sent = run(&mut exporter, 10_000);
    assert_eq!(data(&sent).len(), 1);
    let (_, _, sets) = sets(sent.last().unwrap());
    // Point, direction, addresses, type, length, interface with two texts, IP, ports: 65 bytes.
    let record = sets[0].1;
    let start = 4 + 1 + 12 + 2 + 1 + 8 + 3 + 1 + 6 + 8 + 4;
    let word = |at: usize| u32::from_be_bytes(record[at..at + 4].try_into().unwrap());
    // The message is of the next full second: 10.25 s after the first packet is 10.75 s before it.
    assert_eq!((word(start), word(start + 4)), (10_750_000, 1_750_000));
    let long = |at: usize| u64::from_be_bytes(record[at..at + 8].try_into().unwrap());
    assert_eq!(long(start + 8 + 16), 10, "packets");
    assert_eq!(record[start + 8 + 13 * 8], super::ACTIVE_TIMEOUT);
    assert_eq!(exporter.stats().current_flows, 0);
}

#[test]
fn a_full_cache_tells_the_oldest_flow() {
    let mut exporter = exporter(config(1000, 2));
    for src in 1..=5 {
        exporter.sample(&sample(&udp(src)), at(u64::from(src)));
    }
    let stats = exporter.stats();
    assert_eq!((stats.total_flows, stats.current_flows), (5, 2));
    let sent = run(&mut exporter, 10);
    assert_eq!(data(&sent).len(), 3);
    exporter.end();
    assert_eq!(data(&run(&mut exporter, 20)).len(), 2);
}

#[test]
fn other_settings_end_all_flows_and_keep_what_was_counted() {
    let mut exporter = exporter(config(1000, 2));
    exporter.sample(&sample(&udp(1)), at(0));
    exporter.configure(config(1000, 2));
    assert_eq!(exporter.stats().current_flows, 1);
    exporter.configure(config(0, 0));
    let sent = run(&mut exporter, 1);
    assert_eq!(data(&sent).len(), 1);
    assert!(templates(&sent) > 0);
    assert_eq!((exporter.stats().packets, exporter.stats().current_flows), (1, 0));
}

#[test]
fn templates_and_statistics_come_at_their_intervals() {
    let mut wish = config(0, 0);
    wish.template_interval = Duration::from_secs(60);
    wish.stats_interval = Duration::from_secs(25);
    let mut exporter = exporter(wish);
    assert_eq!(exporter.wake(at(0)), None);
    exporter.sample(&sample(&udp(1)), at(0));
    let (mut template_times, mut stats_times) = (Vec::new(), Vec::new());
    for second in 0..=130 {
        let sent = run(&mut exporter, second * 1000);
        if templates(&sent) > 0 {
            template_times.push(second);
        }
        let own = sent.iter().any(|it| sets(it).2[0].0 == super::template::OPTIONS);
        if own {
            stats_times.push(second);
        }
    }
    assert_eq!(template_times, [0, 60, 120]);
    assert_eq!(stats_times, [0, 25, 50, 75, 100, 125]);
}

#[test]
fn sequences_count_the_records_of_a_domain() {
    let mut exporter = exporter(config(0, 0));
    let key = udp(1);
    for domain in [1, 9, 1] {
        exporter.sample(&Sample { domain, ..sample(&key) }, at(0));
    }
    let sent = data(&run(&mut exporter, 1));
    assert_eq!(sent, [(1, 1, 284), (9, 1, 284), (1, 2, 284)]);
}

#[test]
fn tunnels_are_told_where_that_is_wished() {
    for (tunnels, number) in [(true, 286), (false, 284)] {
        let mut exporter = exporter(Config { tunnels, ..config(0, 0) });
        let tunnel = Some(crate::export::Tunnel::Vxlan);
        exporter.sample(&Sample { tunnel, ..sample(&udp(1)) }, at(0));
        assert_eq!(data(&run(&mut exporter, 1)), [(1, 1, number)]);
    }
}

#[test]
fn records_and_domains_are_bounded() {
    let mut exporter = exporter(config(0, 0));
    for number in 0..u32::try_from(FINISHED).unwrap() + 100 {
        exporter.sample(&Sample { domain: number % 3, ..sample(&udp(1)) }, at(0));
    }
    assert_eq!(exporter.stats().lost_packets, 100);
    assert_eq!((exporter.take_lost(), exporter.take_lost()), (100, 0));
    assert_eq!(exporter.stats().lost_ipv4_packets, 100);
    assert_eq!(data(&run(&mut exporter, 1)).len(), FINISHED);
    for number in 0..u32::try_from(DOMAINS).unwrap() * 4 {
        exporter.sample(&Sample { domain: number, ..sample(&udp(1)) }, at(0));
        run(&mut exporter, u64::from(number));
    }
    assert_eq!(exporter.domains.len(), DOMAINS);
}

#[test]
fn any_frame_and_key_makes_a_record() {
    let mut exporter = exporter(config(0, 0));
    for len in 0..80 {
        let frame = vec![0xff; len];
        for (kind, proto) in [(0x0800, 6), (0x0800, 1), (0x86dd, 58), (0x86dd, 132), (0x0806, 1)] {
            let mut key = FlowKey::EMPTY;
            key.store(layout::ETH_TYPE, kind);
            key.store(layout::NW_PROTO, proto);
            key.store(layout::VLAN_TCI, if len % 2 == 0 { 0xffff } else { 0 });
            let tunnel = (len % 3 == 0).then_some(crate::export::Tunnel::Gre);
            let output = (len % 5 == 0).then_some(Interface { ifindex: 1, name: "x" });
            exporter.sample(&Sample { frame: &frame, tunnel, output, ..sample(&key) }, at(0));
        }
    }
    let sent = run(&mut exporter, 1);
    assert_eq!(data(&sent).len(), 400);
    assert!(sent.iter().all(|message| message.len() <= 1400));
}
