//! Packets that come to the end of a tunnel and lie, headers that are none, metadata that point
//! anywhere: nothing is read or written outside the packet, and what comes out is no larger than what
//! came in.

use dp_core::action::TunnelPush;
use dp_core::action::tunnel::Kind;
use dp_core::base::{DropReason, Instant, PortNo};
use dp_core::packet::{Offloads, Packet, Pool};
use dp_core::tunnel::{Ends, Flavour, pop, push};

use crate::bytes::Bytes;

const NOW: Instant = Instant::from_millis(1_000);
const KINDS: [Kind; 11] = [
    Kind::Gre,
    Kind::Ip6Gre,
    Kind::Erspan,
    Kind::Ip6Erspan,
    Kind::Vxlan,
    Kind::Geneve,
    Kind::Gtpu,
    Kind::Srv6,
    Kind::Bareudp,
    Kind::Lisp,
    Kind::Stt,
];

fn kind(bytes: &mut Bytes<'_>) -> Kind {
    KINDS.get(usize::from(bytes.below(11))).copied().unwrap_or(Kind::Gre)
}

/// A packet that is the rest of the input; its metadata say what the input says.
fn packet(mut bytes: Bytes<'_>) -> Option<Packet> {
    let (l3, l4) = (bytes.byte(), bytes.byte());
    let offloads = Offloads::from_bits_truncate(bytes.byte());
    let outermost = [0, 0, 0x1_0800, 0x1_86dd, 0x1_8847][usize::from(bytes.below(5))];
    let frame = bytes.rest();
    let mut packet = Pool::for_len(frame.len()).and_then(Pool::alloc)?;
    packet.append(frame.len())?.copy_from_slice(frame);
    let meta = packet.meta_mut();
    (meta.l3, meta.l4, meta.offloads) = (l3.into(), l4.into(), offloads);
    meta.set_outermost(outermost);
    Some(packet)
}

/// Out of a tunnel of any kind, and into another with headers that may be none.
pub fn tunnel(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let flavour = match bytes.below(5) {
        0 => Flavour::Plain,
        1 => Flavour::GroupPolicy,
        2 => Flavour::Gpe,
        3 => Flavour::Payload(0x0800),
        _ => Flavour::Payload(0x8847),
    };
    let (ends_here, goes_into) = (kind(&mut bytes), kind(&mut bytes));
    let mut ends = Ends::default();
    ends.set(PortNo(1), ends_here, flavour);
    ends.set(PortNo(2), goes_into, flavour);
    let size = usize::from(bytes.byte());
    let header: Box<[u8]> = (0..size).map(|_| bytes.byte()).collect();
    let Some(mut packet) = packet(bytes) else { return };
    let before = packet.len();
    let l3 = usize::from(packet.meta().l3);
    let receiver = ends.receiver(PortNo(1), packet.data(), l3);
    assert!(receiver.is_some_and(|(port, _)| port == PortNo(1) || port == PortNo(2)));
    let Some((_, end)) = receiver else { return };
    match pop(&mut packet, end) {
        Ok(()) => {
            assert!(packet.len() <= before && !packet.data().is_empty());
            let options = packet.tunnel().map(|tunnel| tunnel.options_len);
            assert!(options.is_some_and(|len| len % 4 == 0 && len <= 252));
            // The inner packet is another: nothing of what was known of the outer one holds.
            assert!(packet.meta().offloads.is_empty());
        }
        Err(reason) => assert!(matches!(
            reason,
            DropReason::TunnelPopError
                | DropReason::TunnelPopTruncated
                | DropReason::TunnelPopChecksum
                | DropReason::TunnelPopOptions
        )),
    }
    let inside = packet.len();
    let push_into =
        TunnelPush { tunnel_port: PortNo(2), out_port: PortNo(3), kind: goes_into, header };
    match push(&mut packet, &push_into, &ends, 0x1234_5678, NOW) {
        Ok(()) => assert_eq!(packet.len(), inside + push_into.header.len()),
        Err(reason) => assert_eq!(reason, DropReason::TunnelPushError),
    }
}
