//! TCP as packet scripts: what is sent, what `ct_state` it has, and what the ends are at afterwards.
//!
//! `scripts.txt` holds one script after another. A line is a segment, from the first side (`>`) or
//! from the other (`<`), and behind `=>` what the reference made of it when it was given the same:
//! state bits, the states of both ends, and the life time in seconds; `-` where there is no
//! connection. `bad` is a wrong checksum, `0` no flags. A new connection is committed when the first
//! side sends. `wait` is time that passes, in seconds. The first scripts tell the stories of the
//! kernel's own tests of its tracker; `tests/tests/conntrack/segments.rs` plays all of them to the
//! installed reference.

use super::frames::{self, ACK, FIN, PSH, RST, SYN, Tcp};
use super::{A, B, Lab, commit, look};
use crate::conntrack::TcpState;

fn flags(text: &str) -> u8 {
    text.chars()
        .map(|letter| match letter {
            'S' => SYN,
            'A' => ACK,
            'F' => FIN,
            'R' => RST,
            'P' => PSH,
            'U' => 0x20,
            'E' => 0x40,
            'W' => 0x80,
            '0' => 0,
            other => panic!("flag {other}"),
        })
        .fold(0, |all, flag| all | flag)
}

fn segment(words: &[&str]) -> Tcp {
    let value = |key: &str| {
        let word = words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        word.map(|word| word.parse::<u32>().expect("a number"))
    };
    Tcp {
        flags: flags(words[1]),
        seq: value("seq").unwrap_or(0),
        ack: value("ack").unwrap_or(0),
        window: value("win").unwrap_or(1000) as u16,
        scale: value("ws").map(|bits| bits as u8),
        payload: vec![b'x'; value("len").unwrap_or(0) as usize],
    }
}

/// State bits, states and life time after a segment.
fn play(lab: &mut Lab, words: &[&str]) -> String {
    let tcp = segment(words);
    let mut frame = if words[0] == ">" {
        frames::datagram(frames::ip(A), frames::ip(B), 6, tcp.body(100, 200))
    } else {
        frames::datagram(frames::ip(B), frames::ip(A), 6, tcp.body(200, 100))
    };
    if words.contains(&"bad") {
        frame[50] ^= 1;
    }
    let state = lab.state(&frame, &look(1));
    if state == "new" && words[0] == ">" {
        lab.state(&frame, &commit(1));
    }
    let mut out = format!("{state} -");
    lab.tracker.dump(None, lab.now, |entry| {
        let [orig, reply] = entry.tcp.expect("TCP").map(|end| end.state.name());
        out = format!("{state} {orig} {reply} {}", entry.timeout);
    });
    out
}

#[test]
fn segments_mean_what_they_mean_to_the_reference() {
    let mut lab = Lab::new();
    let (mut title, mut wrong) = ("", Vec::new());
    for line in include_str!("scripts.txt").lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("# ") {
            title = name;
            lab.tracker.flush(None, lab.now);
            lab.tracker.set_checks_sequence(!name.ends_with("(unchecked)"));
            continue;
        }
        if let Some(seconds) = line.strip_prefix("wait ") {
            lab.wait(seconds.parse().expect("seconds"));
            continue;
        }
        let (sent, expected) = line.split_once(" => ").expect("an arrow");
        let words: Vec<&str> = sent.split_whitespace().collect();
        let found = play(&mut lab, &words);
        if found != expected {
            wrong.push(format!("{title}: {sent}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn states_have_names_and_an_order() {
    assert!(TcpState::ALL.is_sorted());
    assert_eq!(TcpState::FinWait2.short_name(), "TIME_WAIT");
}
