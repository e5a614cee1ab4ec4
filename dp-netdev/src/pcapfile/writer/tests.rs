use super::{GATHER, Writer, WriterOptions};
use crate::pcapfile::{CaptureError, FileError, Mapped, Records, Resolution};
use std::path::{Path, PathBuf};

/// A file name that goes with the test.
struct Temp(PathBuf);

impl Temp {
    fn new(name: &str) -> Self {
        let file = format!("dp-writer-{}-{name}.pcap", std::process::id());
        Self(std::env::temp_dir().join(file))
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn frames(path: &Path) -> Result<Vec<(u64, Vec<u8>)>, CaptureError> {
    let file = Mapped::open(path).unwrap();
    let mut records = Records::start(file.bytes())?;
    let mut all = Vec::new();
    while let Some(record) = records.next(file.bytes())? {
        all.push((record.nanos, record.frame.to_vec()));
    }
    Ok(all)
}

#[test]
fn what_was_written_is_read_again() {
    let file = Temp::new("again");
    for resolution in [Resolution::Micros, Resolution::Nanos] {
        let options = WriterOptions { resolution, ..WriterOptions::default() };
        let mut writer = Writer::create(&file.0, options).unwrap();
        writer.record(1_000, &[1; 60]).unwrap();
        writer.record(2_000_003_000, &[2; 9000]).unwrap();
        writer.close().unwrap();
        assert_eq!(
            frames(&file.0).unwrap(),
            [(1_000, vec![1; 60]), (2_000_003_000, vec![2; 9000])]
        );
    }
}

#[test]
fn the_file_is_whole_at_any_moment() {
    let file = Temp::new("whole");
    let mut writer = Writer::create(&file.0, WriterOptions::default()).unwrap();
    let mut seen = 0;
    for number in 0..3_000_u64 {
        writer.record(number, &[7; 1000]).unwrap();
        if number % 37 != 0 {
            continue;
        }
        let there = frames(&file.0).unwrap().len();
        assert!(there >= seen && there as u64 <= number + 1);
        seen = there;
    }
    assert!(seen > 0 && GATHER < 3_000 * 1000, "some was written before the end");
    drop(writer);
    assert_eq!(frames(&file.0).unwrap().len(), 3_000);
}

#[test]
fn appending_goes_on_where_the_capture_ends() {
    let file = Temp::new("append");
    let micros = WriterOptions { resolution: Resolution::Micros, ..WriterOptions::default() };
    Writer::create(&file.0, micros).unwrap().record(1_000, &[1; 60]).unwrap();
    let append = WriterOptions { append: true, unbuffered: true, ..WriterOptions::default() };
    let mut writer = Writer::create(&file.0, append).unwrap();
    writer.record(5_000, &[2; 60]).unwrap();
    assert_eq!(frames(&file.0).unwrap(), [(1_000, vec![1; 60]), (5_000, vec![2; 60])]);
    drop(writer);

    let damaged = std::fs::read(&file.0).unwrap();
    std::fs::write(&file.0, &damaged[..damaged.len() - 1]).unwrap();
    let error = Writer::create(&file.0, append).unwrap_err();
    assert!(matches!(error, FileError::Capture { source: CaptureError::Truncated { .. }, .. }));
    std::fs::write(&file.0, [0; 30]).unwrap();
    let error = Writer::create(&file.0, append).unwrap_err();
    assert!(matches!(error, FileError::Capture { source: CaptureError::NotPcap { .. }, .. }));
}

#[test]
fn a_full_disk_leaves_whole_records() {
    // The device refuses every write with "no space left".
    let error = Writer::create(Path::new("/dev/full"), WriterOptions::default()).unwrap_err();
    assert!(matches!(&error, FileError::Io { source, .. } if source.raw_os_error() == Some(28)));

    let file = Temp::new("full");
    let mut writer = Writer::create(&file.0, WriterOptions::default()).unwrap();
    writer.record(1, &[1; 60]).unwrap();
    writer.flush().unwrap();
    // Exchange the file for one that takes nothing.
    let good = std::mem::replace(&mut writer.file, std::fs::File::create("/dev/full").unwrap());
    writer.record(2, &[2; 60]).unwrap();
    assert!(writer.flush().is_err());
    assert!(writer.record(3, &[3; 60]).is_ok(), "gathered");
    assert!(writer.flush().is_err(), "an error stays");
    drop((writer, good));
    assert_eq!(frames(&file.0).unwrap(), [(1, vec![1; 60])]);
}

#[test]
fn a_file_that_cannot_be_made_is_named() {
    let error = Writer::create(Path::new("/nowhere/x.pcap"), WriterOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "/nowhere/x.pcap: No such file or directory (os error 2)");
}
