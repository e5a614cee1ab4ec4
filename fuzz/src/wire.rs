//! Header views: what a view accepts can be read to its end, and a header that parses survives
//! being written over noise and parsed again.

use dp_core::wire::{arp, ethernet, ipv4, ipv6, mpls, tcp, udp, vlan};

/// Writes `$repr` over noise with room behind it, views the result and parses it again.
macro_rules! round_trip {
    ($protocol:ident, $data:expr) => {
        if let Ok(packet) = $protocol::Packet::new_checked($data)
            && let Ok(repr) = $protocol::Repr::parse(&packet)
        {
            // Lengths in the header may count the payload: leave as much room as there was.
            let mut noise = vec![0xa5; repr.buffer_len() + $data.len()];
            let mut written =
                $protocol::Packet::new_output(noise.as_mut_slice()).expect("there is room");
            repr.emit(&mut written).expect("what parsed can be written");
            let bytes = noise.as_slice();
            let again = $protocol::Packet::new_checked(bytes).expect("what was written is right");
            assert_eq!($protocol::Repr::parse(&again), Ok(repr));
        }
    };
}

/// Takes the input for each protocol's header in turn.
pub fn wire_headers(data: &[u8]) {
    round_trip!(ethernet, data);
    round_trip!(vlan, data);
    round_trip!(mpls, data);
    round_trip!(arp, data);
    round_trip!(ipv4, data);
    round_trip!(ipv6, data);
    round_trip!(tcp, data);
    round_trip!(udp, data);
    if let Ok(packet) = ipv4::Packet::new_checked(data) {
        packet.options().for_each(drop);
        assert!(packet.payload().len() <= data.len());
    }
    if let Ok(packet) = tcp::Packet::new_checked(data) {
        packet.options().for_each(drop);
        assert!(packet.payload().len() <= data.len());
    }
}
