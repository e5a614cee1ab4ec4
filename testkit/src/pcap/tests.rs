use std::time::Duration;

use super::*;

fn three() -> Vec<Record> {
    (0u8..3)
        .map(|n| {
            let at = Duration::new(1_700_000_000 + u64::from(n), 123_456_000 + u32::from(n) * 1000);
            Record::new(at, vec![n; 60 + usize::from(n)])
        })
        .collect()
}

fn encode(format: Format, records: &[Record]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), format).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn every_order_and_resolution_reads_back() {
    for order in [ByteOrder::Little, ByteOrder::Big] {
        for resolution in [Resolution::Micro, Resolution::Nano] {
            let format = Format { order, resolution, ..Format::default() };
            let octets = encode(format, &three());
            assert_eq!(Reader::new(&octets[..]).unwrap().format(), format);
            let (records, tear) = parse(&octets);
            assert!(tear.is_none());
            assert_eq!(records, three());
        }
    }
}

#[test]
fn the_four_magics_are_the_published_ones() {
    let magic = |order, resolution| {
        encode(Format { order, resolution, ..Format::default() }, &[])[..4].to_vec()
    };
    assert_eq!(magic(ByteOrder::Little, Resolution::Micro), [0xd4, 0xc3, 0xb2, 0xa1]);
    assert_eq!(magic(ByteOrder::Big, Resolution::Micro), [0xa1, 0xb2, 0xc3, 0xd4]);
    assert_eq!(magic(ByteOrder::Little, Resolution::Nano), [0x4d, 0x3c, 0xb2, 0xa1]);
    assert_eq!(magic(ByteOrder::Big, Resolution::Nano), [0xa1, 0xb2, 0x3c, 0x4d]);
}

#[test]
fn nanoseconds_survive_only_the_nanosecond_format() {
    let record = Record::new(Duration::new(5, 123_456_789), vec![1, 2, 3]);
    let nano = Format { resolution: Resolution::Nano, ..Format::default() };
    assert_eq!(parse(&encode(nano, std::slice::from_ref(&record))).0[0], record);
    let (cut, _) = parse(&encode(Format::default(), &[record]));
    assert_eq!(cut[0].at, Duration::new(5, 123_456_000));
}

#[test]
fn a_cut_packet_keeps_its_original_length() {
    let record = Record { at: Duration::ZERO, original_len: 1514, frame: vec![7; 96] };
    let (records, tear) = parse(&encode(Format::default(), std::slice::from_ref(&record)));
    assert!(tear.is_none());
    assert_eq!(records, [record]);
}

#[test]
fn a_tear_anywhere_gives_the_records_before_it_and_names_the_torn_one() {
    let octets = encode(Format::default(), &three());
    let ends = [24, 24 + 16 + 60, 24 + 2 * 16 + 60 + 61, octets.len()];
    for cut in 0..=octets.len() {
        let (records, tear) = parse(&octets[..cut]);
        if cut < 24 {
            assert!(records.is_empty());
            assert!(
                matches!(tear, Some(PcapError::TornHeader { octets }) if octets == cut),
                "{cut}"
            );
            continue;
        }
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!(records, three()[..whole], "cut at {cut}");
        let rest = cut - ends[whole];
        match tear {
            None => assert_eq!(rest, 0, "cut at {cut}"),
            Some(PcapError::TornRecord { record, octets, expected }) => {
                assert_eq!((record, octets), (whole, rest), "cut at {cut}");
                assert_eq!(expected, if rest < 16 { 16 } else { 16 + 60 + whole }, "cut at {cut}");
            }
            Some(other) => panic!("cut at {cut}: {other}"),
        }
    }
}

#[test]
fn the_reader_ends_after_its_error() {
    let octets = encode(Format::default(), &three());
    let mut reader = Reader::new(&octets[..octets.len() - 1]).unwrap();
    assert!(reader.next().unwrap().is_ok());
    assert!(reader.next().unwrap().is_ok());
    let error = reader.next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "capture is torn in record 2: 77 of 78 octets are there");
    assert!(reader.next().is_none());
}

#[test]
fn other_formats_are_refused_by_name() {
    let pcapng = [0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 0].repeat(4);
    let (records, error) = parse(&pcapng);
    assert!(records.is_empty());
    assert!(error.unwrap().to_string().contains("editcap -F pcap"));
}

#[test]
fn a_record_that_claims_gigabytes_is_refused() {
    let mut octets = encode(Format::default(), &three());
    octets[24 + 8..24 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let (records, error) = parse(&octets);
    assert!(records.is_empty());
    assert!(matches!(error, Some(PcapError::Oversized { record: 0, captured: 0xffff_ffff })));
}

#[test]
fn what_the_format_cannot_hold_is_not_written() {
    let mut writer = Writer::new(Vec::new(), Format::default()).unwrap();
    let late = Record::new(Duration::from_secs(1 << 32), vec![]);
    assert!(matches!(writer.write(&late), Err(PcapError::Time { record: 0, .. })));
    let big = Record::new(Duration::ZERO, vec![0; MAX_CAPTURED as usize + 1]);
    assert!(matches!(writer.write(&big), Err(PcapError::Oversized { record: 0, .. })));
    let (records, tear) = parse(&writer.finish().unwrap());
    assert!(records.is_empty() && tear.is_none());
}
