//! Frames from the wire: whatever their length fields claim, extraction stays inside the frame,
//! and the vector kernels give the portable parser's answer.

use dp_core::base::PortNo;
use dp_core::flow::extract::{Extractor, Malformed, Parser, Pass, VlanLimit};
use dp_core::flow::{BurstKeys, FieldId, FlowKey};
use dp_core::packet::{Burst, Metadata, Packet, Pool, Slots};

const PORT: PortNo = PortNo(7);

/// What stands in the buffer behind a frame: nothing of it may show in the key.
const BEYOND: [u8; 96] = [0xa5; 96];

/// One frame whole, cut in half and padded, through both ways of extraction.
pub fn flow_extract(frame: &[u8]) {
    let half = &frame[..frame.len() / 2];
    let padded = [frame, &[0; 18]].concat();
    for limit in [VlanLimit::One, VlanLimit::Two] {
        let portable = Extractor::portable(limit);
        let fast: Vec<_> = Parser::available().map(|it| Extractor::with(limit, it)).collect();
        let answers = [frame, half, &padded].map(|f| judged(&fast, &portable, f));
        if let [Some((key, None)), _, padded] = answers
            && matches!(key.get(FieldId::EthType), 0x0800 | 0x86dd)
        {
            assert_eq!(padded, Some((key, None)), "padding changed the key");
        }
    }
}

/// The portable parser's answer for `frame`, to which the fast ways agreed; `None` where the frame
/// has no key or fits no buffer.
fn judged(
    fast: &[Extractor],
    portable: &Extractor,
    frame: &[u8],
) -> Option<(FlowKey, Option<Malformed>)> {
    let mut burst = Burst::default();
    burst.push(packet(frame)?).ok()?;
    let meta = Metadata { in_port: PORT, ..Metadata::default() };
    // An exact copy, so that the address sanitizer sees a read behind its end.
    let exact = frame.to_vec();
    let (key, why) = portable.frame(&exact, &meta);
    let has_key = why != Some(Malformed::TooShort);
    for fast in fast {
        let mut keys = BurstKeys::default();
        let out = fast.burst(&mut burst, Slots::first(1), Pass::First(PORT), &mut keys);
        assert_eq!((!out.malformed.is_empty()).then_some(out.why[0]), why);
        assert_eq!(!out.parsed.is_empty(), has_key);
        if has_key {
            assert_eq!(keys.key(0), key);
        }
    }
    has_key.then_some((key, why))
}

/// A packet with this frame, and noise behind it.
fn packet(frame: &[u8]) -> Option<Packet> {
    let with_noise = [frame, &BEYOND].concat();
    let mut packet = Pool::for_len(with_noise.len())?.alloc()?;
    packet.append(with_noise.len())?.copy_from_slice(&with_noise);
    packet.truncate(frame.len());
    Some(packet)
}
