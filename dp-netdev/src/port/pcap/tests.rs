use super::{Pace, Pcap, Repeat, Replay};
use crate::pcapfile::{Mapped, Records, Writer, WriterOptions};
use crate::port::{Lost, OpenError, Port, QueueCount, RxEnd, RxQueue, Wake};
use dp_core::base::Instant;
use dp_core::packet::{Burst, Pool};
use std::path::{Path, PathBuf};

struct Temp(PathBuf);

impl Temp {
    /// A capture of frames of the given lengths, a millisecond apart; byte 0 counts them.
    fn capture(name: &str, lens: &[usize]) -> Self {
        let path = std::env::temp_dir().join(format!("dp-pcap-{}-{name}", std::process::id()));
        let mut writer = Writer::create(&path, WriterOptions::default()).unwrap();
        for (index, &len) in lens.iter().enumerate() {
            let mut frame = vec![0; len];
            if let Some(first) = frame.first_mut() {
                *first = u8::try_from(index % 256).unwrap();
            }
            writer.record(1_700_000_000_000_000_000 + index as u64 * 1_000_000, &frame).unwrap();
        }
        writer.close().unwrap();
        Self(path)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Receives at one moment until nothing comes; the first bytes and how it ended.
fn drain(replay: &mut Replay, now: Instant) -> (Vec<u8>, Lost, Option<RxEnd>) {
    let (mut bytes, mut all) = (Vec::new(), Lost::NONE);
    for _ in 0..1000 {
        let mut burst = Burst::default();
        match replay.receive(&mut burst, now) {
            Ok(lost) if burst.is_empty() && lost == Lost::NONE => return (bytes, all, None),
            Ok(lost) => all.add(lost),
            Err(end) => {
                assert!(burst.is_empty(), "the end comes alone");
                return (bytes, all, Some(end));
            }
        }
        bytes.extend(burst.iter().map(|packet| packet.data()[0]));
    }
    panic!("does not end");
}

#[test]
fn everything_once_then_the_end() {
    let file = Temp::capture("once", &[60; 70]);
    let mut replay = Replay::open(&file.0, Pace::Full, Repeat::Once).unwrap();
    let (bytes, lost, end) = drain(&mut replay, Instant(0));
    assert_eq!(bytes, (0..70).collect::<Vec<u8>>());
    assert_eq!(lost, Lost::NONE);
    assert!(matches!(end, Some(RxEnd::Finished)));
    assert!(
        matches!(drain(&mut replay, Instant(0)), (bytes, _, Some(RxEnd::Finished)) if bytes.is_empty())
    );
}

#[test]
fn rounds_follow_one_another_in_full_bursts() {
    let file = Temp::capture("times", &[60; 3]);
    let mut replay = Replay::open(&file.0, Pace::Full, Repeat::Times(3)).unwrap();
    assert_eq!(drain(&mut replay, Instant(0)).0, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    let mut forever = Replay::open(&file.0, Pace::Full, Repeat::Forever).unwrap();
    for _ in 0..100 {
        let mut burst = Burst::default();
        forever.receive(&mut burst, Instant(0)).unwrap();
        assert!(burst.is_full());
    }
}

#[test]
fn own_times_are_kept_over_rounds() {
    let file = Temp::capture("own", &[60; 3]);
    let mut replay = Replay::open(&file.0, Pace::Own, Repeat::Times(2)).unwrap();
    let start = Instant::from_millis(50);
    let at = |millis: u64| Instant::from_millis(50 + millis);
    assert!(matches!(drain(&mut replay, start), (bytes, _, None) if bytes == [0]));
    assert_eq!(replay.wake(), Wake::at(at(1)));
    assert!(
        matches!(drain(&mut replay, Instant(at(1).0 - 1)), (bytes, _, None) if bytes.is_empty())
    );
    assert!(matches!(drain(&mut replay, at(1)), (bytes, _, None) if bytes == [1]));
    // The second round begins with the last frame's time.
    assert!(matches!(drain(&mut replay, at(2)), (bytes, _, None) if bytes == [2, 0]));
    assert_eq!(replay.wake(), Wake::at(at(3)));
    let (bytes, _, end) = drain(&mut replay, at(100));
    assert_eq!(bytes, [1, 2]);
    assert!(matches!(end, Some(RxEnd::Finished)));
}

#[test]
fn a_cut_capture_delivers_what_is_whole_then_names_the_record() {
    let file = Temp::capture("cut", &[60; 40]);
    let whole = std::fs::read(&file.0).unwrap();
    std::fs::write(&file.0, &whole[..whole.len() - 5]).unwrap();
    let mut replay = Replay::open(&file.0, Pace::Full, Repeat::Forever).unwrap();
    let (bytes, _, end) = drain(&mut replay, Instant(0));
    assert_eq!(bytes.len(), 39);
    let Some(RxEnd::Failed(error)) = end else { panic!("{end:?}") };
    let expected = "truncated in record 40: 5 bytes missing at the end of the file";
    assert_eq!(error.to_string(), format!("{}: {expected}", file.0.display()));
}

#[test]
fn frames_beyond_any_buffer_are_counted() {
    let file = Temp::capture("huge", &[60, 70_000, 9000, 70_000]);
    let mut replay = Replay::open(&file.0, Pace::Full, Repeat::Times(2)).unwrap();
    let (bytes, lost, end) = drain(&mut replay, Instant(0));
    assert_eq!(bytes, [0, 2, 0, 2]);
    assert_eq!(lost, Lost { oversize: 4, ..Lost::NONE });
    assert!(matches!(end, Some(RxEnd::Finished)));

    let file = Temp::capture("all-huge", &[70_000]);
    let mut replay = Replay::open(&file.0, Pace::Full, Repeat::Forever).unwrap();
    let mut burst = Burst::default();
    for _ in 0..3 {
        assert!(replay.receive(&mut burst, Instant(0)).is_ok(), "returns, though nothing comes");
    }
}

#[test]
fn an_empty_capture_ends_at_once() {
    let file = Temp::capture("empty", &[]);
    let mut replay = Replay::open(&file.0, Pace::Full, Repeat::Forever).unwrap();
    assert!(matches!(drain(&mut replay, Instant(0)), (_, _, Some(RxEnd::Finished))));
}

#[test]
fn what_is_written_is_what_was_sent() {
    let source = Temp::capture("source", &[60, 1500, 14]);
    let target = Temp::capture("target", &[]);
    let mut port = Pcap::new("p0")
        .replaying(&source.0, Pace::Full, Repeat::Once)
        .unwrap()
        .writing(&target.0, WriterOptions::default())
        .unwrap();
    assert_eq!((port.name(), port.kind()), ("p0", "pcap"));
    let mut queues = port.queues(QueueCount::ONE).unwrap();
    assert!(matches!(port.queues(QueueCount::ONE), Err(OpenError::QueuesTaken { .. })));
    let mut burst = Burst::default();
    queues.rx[0].receive(&mut burst, Instant(0)).unwrap();
    let sent = queues.tx[0].transmit(&mut burst, Instant(0));
    assert_eq!((sent.packets, sent.bytes, sent.dropped()), (3, 1574, 0));
    drop(queues);
    assert_eq!(contents(&source.0), contents(&target.0));
}

fn contents(path: &Path) -> Vec<Vec<u8>> {
    let file = Mapped::open(path).unwrap();
    let mut records = Records::start(file.bytes()).unwrap();
    let mut all = Vec::new();
    while let Some(record) = records.next(file.bytes()).unwrap() {
        all.push(record.frame.to_vec());
    }
    all
}

#[test]
fn files_that_are_none_are_refused_by_name() {
    let open = |path: &str| Replay::open(Path::new(path), Pace::Full, Repeat::Once).unwrap_err();
    assert_eq!(
        open("/nowhere/x").to_string(),
        "/nowhere/x: No such file or directory (os error 2)"
    );
    assert_eq!(open("/dev/null").to_string(), "/dev/null: not a regular file");
    let file = Temp::capture("no-capture", &[]);
    std::fs::write(&file.0, "flows and such, no capture at all").unwrap();
    let message = open(file.0.to_str().unwrap()).to_string();
    assert!(message.ends_with("not a pcap capture: it begins with 0x666c6f77"), "{message}");
}

#[test]
fn an_exhausted_pool_delays_and_loses_nothing() {
    let file = Temp::capture("pool", &[60_000; 3]);
    let pool = Pool::for_len(60_000).unwrap();
    let mut held = Vec::new();
    while let Some(packet) = pool.alloc() {
        held.push(packet);
    }
    let mut replay = Replay::open(&file.0, Pace::Full, Repeat::Once).unwrap();
    assert!(
        matches!(drain(&mut replay, Instant(0)), (bytes, Lost::NONE, None) if bytes.is_empty())
    );
    drop(held);
    assert_eq!(drain(&mut replay, Instant(0)).0, [0, 1, 2]);
}

#[test]
fn a_capture_is_not_overwritten_while_it_is_replayed() {
    let file = Temp::capture("both", &[60; 3]);
    let port = Pcap::new("p").replaying(&file.0, Pace::Full, Repeat::Once).unwrap();
    let error = port.writing(&file.0, WriterOptions::default()).unwrap_err();
    let expected = format!("{}: the capture is being replayed", file.0.display());
    assert_eq!(error.to_string(), expected);
    assert_eq!(contents(&file.0).len(), 3);
    Pcap::new("p").writing(&file.0, WriterOptions::default()).unwrap();
    assert_eq!(contents(&file.0).len(), 0);
}
