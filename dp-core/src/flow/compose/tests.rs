use super::{ComposeError, compose};
use crate::flow::text::{PortNumbers, parse_flow};
use crate::flow::{Extractor, FlowKey, VlanLimit, layout};
use crate::packet::Metadata;

const VECTORS: &str = include_str!("vectors.txt");

fn key(text: &str) -> FlowKey {
    parse_flow(text, &PortNumbers).unwrap_or_else(|error| panic!("{text}: {error}")).key
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn frames_are_those_of_the_reference_byte_for_byte() {
    let mut count = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [text, len, frame] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("three words: {line}");
        };
        assert_eq!(hex(&compose(&key(text), len.parse().ok()).unwrap()), frame, "{text} {len}");
        count += 1;
    }
    assert!(count > 60);
}

#[test]
fn what_was_composed_is_extracted_again() {
    for line in VECTORS.lines().filter(|line| line.contains(" - ")) {
        let text = line.split(' ').next().unwrap();
        // There are no fragment headers for IPv6, no addresses in ARP but for two operations, no
        // bottom of a stack that has none, and always an Ethernet header.
        let v6_fragment = text.contains("0x86dd") && !text.contains("frag=no");
        let odd = ["op=3", "packet_type", "bos=0)", "icmpv6(type=135,code=0)"];
        let lossy = odd.iter().any(|word| text.contains(word)) && !text.contains("sll");
        if v6_fragment || lossy || !text.contains("eth_type") {
            continue;
        }
        let key = key(text);
        let frame = compose(&key, None).unwrap();
        let meta = Metadata { in_port: key.in_port(), ..Metadata::default() };
        let (found, malformed) = Extractor::portable(VlanLimit::Two).frame(&frame, &meta);
        assert_eq!(malformed, None, "{text}");
        for (name, place) in layout::ALL.iter().filter(|(_, place)| place.lane() < 2) {
            assert_eq!(found.load(*place), key.load(*place), "{name} of {text}");
        }
    }
}

#[test]
fn lengths_that_no_frame_can_have_are_refused() {
    let udp = key("eth(),eth_type(0x86dd),ipv6(src=::1,dst=::2,proto=17,frag=no),udp(src=1,dst=2)");
    assert_eq!(compose(&udp, Some(59)), Err(ComposeError::TooSmall));
    assert_eq!(compose(&udp, Some(61)), Err(ComposeError::TooSmall));
    assert_eq!(compose(&udp, Some(62)).map(|frame| frame.len()), Ok(62));
    assert_eq!(compose(&udp, Some(65_535)).map(|frame| frame.len()), Ok(65_535));
    assert_eq!(compose(&udp, Some(65_536)), Err(ComposeError::TooLarge));
    assert_eq!(ComposeError::TooSmall.to_string(), "too small packet len");
}
