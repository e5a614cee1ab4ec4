//! Frames that ask for a neighbour, answer and tell: ARP, neighbour solicitations and advertisements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dp_core::base::MacAddr;
use dp_core::wire::Protocol;
use dp_core::wire::checksum::Pseudo;

/// The frame by which a device with this MAC and address asks for the MAC of another. `None` where
/// the addresses are of different families.
#[must_use]
pub fn question(mac: MacAddr, source: IpAddr, target: IpAddr) -> Option<Vec<u8>> {
    match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            Some(arp(mac, MacAddr::BROADCAST, 1, (mac, source), (MacAddr::ZERO, target)))
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => Some(solicitation(mac, source, target)),
        _ => None,
    }
}

/// The frame by which a device tells all others that it has an address: gratuitous ARP or an
/// unsolicited advertisement.
#[must_use]
pub fn announcement(mac: MacAddr, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => {
            arp(mac, MacAddr::BROADCAST, 1, (mac, address), (MacAddr::ZERO, address))
        }
        IpAddr::V6(address) => {
            let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
            advertisement((mac, address), (MacAddr::new(0x33, 0x33, 0, 0, 0, 1), group), OVERRIDE)
        }
    }
}

/// The frame by which a device answers who asked for its address. `None` where the addresses are of
/// different families.
#[must_use]
pub fn answer(mac: MacAddr, address: IpAddr, asker: (MacAddr, IpAddr)) -> Option<Vec<u8>> {
    match (address, asker.1) {
        (IpAddr::V4(address), IpAddr::V4(to)) => {
            Some(arp(mac, asker.0, 2, (mac, address), (asker.0, to)))
        }
        (IpAddr::V6(address), IpAddr::V6(to)) => {
            Some(advertisement((mac, address), (asker.0, to), OVERRIDE | SOLICITED))
        }
        _ => None,
    }
}

/// An advertisement takes the place of what others have (RFC 4861 section 4.4).
const OVERRIDE: u8 = 0x20;
/// It answers a question.
const SOLICITED: u8 = 0x40;

fn arp(
    from: MacAddr,
    to: MacAddr,
    operation: u16,
    sender: (MacAddr, Ipv4Addr),
    target: (MacAddr, Ipv4Addr),
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend_from_slice(to.as_bytes());
    frame.extend_from_slice(from.as_bytes());
    frame.extend_from_slice(&[0x08, 0x06, 0, 1, 8, 0, 6, 4]);
    frame.extend_from_slice(&operation.to_be_bytes());
    frame.extend_from_slice(sender.0.as_bytes());
    frame.extend_from_slice(&sender.1.octets());
    frame.extend_from_slice(target.0.as_bytes());
    frame.extend_from_slice(&target.1.octets());
    frame
}

/// To the group of all nodes whose addresses end as the target's does (RFC 4291 section 2.7.1).
fn solicitation(mac: MacAddr, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = target.octets();
    let group =
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
    let to = MacAddr::new(0x33, 0x33, 0xff, a, b, c);
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&target.octets());
    message.extend_from_slice(&[1, 1]);
    message.extend_from_slice(mac.as_bytes());
    icmpv6((mac, source), (to, group), message)
}

fn advertisement(from: (MacAddr, Ipv6Addr), to: (MacAddr, Ipv6Addr), flags: u8) -> Vec<u8> {
    let mut message = vec![136, 0, 0, 0, flags, 0, 0, 0];
    message.extend_from_slice(&from.1.octets());
    message.extend_from_slice(&[2, 1]);
    message.extend_from_slice(from.0.as_bytes());
    icmpv6(from, to, message)
}

fn icmpv6(from: (MacAddr, Ipv6Addr), to: (MacAddr, Ipv6Addr), mut message: Vec<u8>) -> Vec<u8> {
    let pseudo = Pseudo::V6 { src: from.1, dst: to.1 };
    let sum = pseudo.sum(Protocol(58), message.len()).with(&message).finish();
    if let Some(place) = message.get_mut(2..4) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    let mut frame = Vec::with_capacity(54 + message.len());
    frame.extend_from_slice(to.0.as_bytes());
    frame.extend_from_slice(from.0.as_bytes());
    frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend_from_slice(&u16::try_from(message.len()).unwrap_or(0).to_be_bytes());
    frame.extend_from_slice(&[58, 255]);
    frame.extend_from_slice(&from.1.octets());
    frame.extend_from_slice(&to.1.octets());
    frame.extend_from_slice(&message);
    frame
}

#[cfg(test)]
mod tests {
    use super::{IpAddr, MacAddr, announcement, answer, question};

    const MAC: MacAddr = MacAddr::new(0xaa, 0x55, 0xaa, 0x55, 0, 0);

    fn hex(frame: &[u8]) -> String {
        frame.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn arp_asks_everybody() {
        let frame = question(MAC, ip("1.1.2.88"), ip("1.1.2.92")).expect("one family");
        let expected = "ffffffffffffaa55aa55000008060001080006040001aa55aa55000001010258\
                        0000000000000101025c";
        assert_eq!(hex(&frame), expected);
        assert_eq!(question(MAC, ip("::1"), ip("1.1.2.92")), None);
    }

    #[test]
    fn neighbour_discovery_asks_the_few() {
        let frame = question(MAC, ip("2001:cafe::88"), ip("2001:cafe::92")).expect("one family");
        let expected = "3333ff000092aa55aa55000086dd6000000000203aff\
                        2001cafe000000000000000000000088ff0200000000000000000001ff000092";
        assert!(hex(&frame).starts_with(expected), "{}", hex(&frame));
        assert_eq!(frame.len(), 54 + 32);
        let pseudo = dp_core::wire::checksum::Pseudo::V6 {
            src: "2001:cafe::88".parse().expect("an address"),
            dst: "ff02::1:ff00:92".parse().expect("an address"),
        };
        assert!(pseudo.sum(dp_core::wire::Protocol(58), 32).with(&frame[54..]).is_valid());
    }

    #[test]
    fn who_asked_is_answered_alone() {
        let asker = MacAddr::new(2, 0, 0, 0, 0, 9);
        let frame = answer(MAC, ip("1.1.2.88"), (asker, ip("1.1.2.92"))).expect("one family");
        let expected = "020000000009aa55aa55000008060001080006040002aa55aa55000001010258\
                        0200000000090101025c";
        assert_eq!(hex(&frame), expected);
        let frame = answer(MAC, ip("2001:cafe::88"), (asker, ip("2001:cafe::92")));
        let frame = frame.expect("one family");
        assert_eq!((hex(&frame[..6]), frame[54], frame[58]), ("020000000009".into(), 136, 0x60));
        assert_eq!(hex(&frame[62..]), "2001cafe0000000000000000000000880201aa55aa550000");
        let pseudo = dp_core::wire::checksum::Pseudo::V6 {
            src: "2001:cafe::88".parse().expect("an address"),
            dst: "2001:cafe::92".parse().expect("an address"),
        };
        assert!(pseudo.sum(dp_core::wire::Protocol(58), 32).with(&frame[54..]).is_valid());
        assert_eq!(answer(MAC, ip("::1"), (asker, ip("1.1.2.92"))), None);
    }

    #[test]
    fn announcements_tell_of_ones_own_address() {
        let frame = announcement(MAC, ip("1.1.2.88"));
        assert_eq!(frame[28..32], [1, 1, 2, 88]);
        assert_eq!(frame[38..42], [1, 1, 2, 88]);
        let frame = announcement(MAC, ip("2001:cafe::88"));
        assert_eq!((frame[54], frame[58]), (136, 0x20));
    }
}
