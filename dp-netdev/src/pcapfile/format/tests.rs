use super::{MAX_RECORD, Records, Resolution, file_header, record_header};
use crate::pcapfile::CaptureError;
use proptest::prelude::*;

/// A capture of the given frames, in either byte order.
fn capture(resolution: Resolution, swapped: bool, frames: &[(u64, &[u8])]) -> Vec<u8> {
    let mut file = file_header(resolution, 65_535).to_vec();
    let mut records = Vec::new();
    for (nanos, frame) in frames {
        let len = u32::try_from(frame.len()).unwrap();
        records.push((record_header(resolution, *nanos, len, len), frame));
    }
    let swap = |bytes: &mut [u8], width: usize| {
        for word in bytes.chunks_mut(width) {
            word.reverse();
        }
    };
    if swapped {
        swap(&mut file[..4], 4);
        swap(&mut file[4..8], 2);
        swap(&mut file[8..], 4);
    }
    for (mut header, frame) in records {
        if swapped {
            swap(&mut header, 4);
        }
        file.extend_from_slice(&header);
        file.extend_from_slice(frame);
    }
    file
}

/// A record's time and frame.
type Owned = (u64, Vec<u8>);

/// All records; or how many there are before the damage.
fn read_all(file: &[u8]) -> Result<Vec<Owned>, (usize, CaptureError)> {
    let mut records = Records::start(file).map_err(|error| (0, error))?;
    let mut all = Vec::new();
    loop {
        match records.next(file) {
            Ok(Some(record)) => all.push((record.nanos, record.frame.to_vec())),
            Ok(None) => return Ok(all),
            Err(error) => return Err((all.len(), error)),
        }
    }
}

const FRAMES: &[(u64, &[u8])] =
    &[(1_700_000_000_123_456_000, &[1; 60]), (1_700_000_001_000_001_000, &[2; 1]), (5_000, &[])];

#[test]
fn all_four_forms_read_the_same() {
    let expected: Vec<_> = FRAMES.iter().map(|(nanos, frame)| (*nanos, frame.to_vec())).collect();
    for resolution in [Resolution::Micros, Resolution::Nanos] {
        for swapped in [false, true] {
            let file = capture(resolution, swapped, FRAMES);
            assert_eq!(read_all(&file).unwrap(), expected, "{resolution:?} {swapped}");
        }
    }
}

#[test]
fn a_cut_names_the_record_and_what_is_missing() {
    let file = capture(Resolution::Nanos, false, &FRAMES[..2]);
    let cut = |by: usize| read_all(&file[..file.len() - by]).unwrap_err();
    assert_eq!(cut(1), (1, CaptureError::Truncated { record: 2, missing: 1 }));
    assert_eq!(cut(2), (1, CaptureError::Truncated { record: 2, missing: 1 }), "inside the header");
    assert_eq!(cut(17 + 10), (0, CaptureError::Truncated { record: 1, missing: 10 }));
    assert_eq!(
        CaptureError::Truncated { record: 2, missing: 1 }.to_string(),
        "truncated in record 2: 1 bytes missing at the end of the file"
    );
}

#[test]
fn what_is_no_capture_is_called_what_it_is() {
    let start = |file: &[u8]| Records::start(file).unwrap_err();
    assert_eq!(start(b""), CaptureError::NoHeader { bytes: 0 });
    assert_eq!(start(b"PK\x03\x04"), CaptureError::NoHeader { bytes: 4 });
    assert_eq!(start(&[b'x'; 40]), CaptureError::NotPcap { magic: 0x7878_7878 });
    let mut pcapng = vec![0x0a, 0x0d, 0x0d, 0x0a, 0x1c, 0, 0, 0];
    assert_eq!(start(&pcapng), CaptureError::Pcapng);
    pcapng.resize(64, 0);
    assert_eq!(start(&pcapng), CaptureError::Pcapng);

    let mut file = capture(Resolution::Micros, true, FRAMES);
    file[23] = 113;
    assert_eq!(start(&file), CaptureError::LinkType { link_type: 113 });
    file[5] = 9;
    assert_eq!(start(&file), CaptureError::Version { major: 9, minor: 4 });
}

#[test]
fn an_impossible_length_is_damage() {
    let mut file = capture(Resolution::Nanos, false, FRAMES);
    file[24 + 8..24 + 12].copy_from_slice(&(MAX_RECORD + 1).to_ne_bytes());
    let expected = CaptureError::Length { record: 1, offset: 24, len: MAX_RECORD + 1 };
    assert_eq!(read_all(&file).unwrap_err(), (0, expected));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(file: Vec<u8>, frames: u8, cut: u16, at: u16, byte: u8) {
        let _ = read_all(&file);
        let payload = [7; 90];
        let frames: Vec<(u64, &[u8])> = (0..frames % 8).map(|n| (u64::from(n), &payload[..])).collect();
        let mut file = capture(Resolution::Nanos, byte & 1 != 0, &frames);
        let len = file.len();
        file[usize::from(at) % len] = byte;
        file.truncate(len.saturating_sub(usize::from(cut % 100)));
        if let Ok(all) = read_all(&file) {
            prop_assert!(all.iter().map(|(_, frame)| frame.len() + 16).sum::<usize>() <= file.len());
        }
    }
}
