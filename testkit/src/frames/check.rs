//! Whether a frame is right in itself: checksums, and lengths that agree.

use super::{Header, Kind, dissect};
use crate::packets::{crc32c, internet_sum};

/// Everything that is wrong within `frame`, in words; nothing if it is sound.
///
/// Checked are the IPv4 header checksum, the checksums of UDP, TCP, SCTP, ICMP and ICMPv6 (not in
/// fragments, whose sums cover more than one frame), and that no length field claims more than is
/// there. What tunnels carry is checked as well.
#[must_use]
pub fn faults(frame: &[u8]) -> Vec<String> {
    let dissection = dissect(frame);
    let mut faults = Vec::new();
    let mut network: Option<Network<'_>> = None;
    for header in &dissection.headers {
        let octets = |from: usize, to: usize| frame.get(from..to).unwrap_or_default();
        let start = header.range.start;
        let own = octets(start, header.range.end);
        let body = octets(start, header.end);
        match header.kind {
            Kind::Ipv4 => {
                if folded(internet_sum(0, own)) != 0xffff {
                    faults.push(format!("ipv4.checksum of the header at {start} is wrong"));
                }
                let fragment = number(octets(start + 6, start + 8)) & 0x3fff != 0;
                claim(
                    &mut faults,
                    "ipv4.total_length",
                    header,
                    number(octets(start + 2, start + 4)),
                );
                let addresses = octets(start + 12, start + 20);
                network = Some(Network { addresses, segment: None, fragment, v6: false });
            }
            Kind::Ipv6 => {
                let length = 40 + number(octets(start + 4, start + 6));
                claim(&mut faults, "ipv6.payload_length", header, length);
                let addresses = octets(start + 8, start + 40);
                network = Some(Network { addresses, segment: None, fragment: false, v6: true });
            }
            Kind::Extension(44) => {
                let fragment = number(octets(start + 2, start + 4)) & 0xfff9 != 0;
                if let Some(network) = network.as_mut() {
                    network.fragment |= fragment;
                }
            }
            // Segment routing: the first entry of the list is the last stop.
            Kind::Extension(43) if own.get(2) == Some(&4) && own.get(3) != Some(&0) => {
                if let Some(network) = network.as_mut() {
                    network.segment = own.get(8..24);
                }
            }
            Kind::Udp => {
                let length = number(octets(start + 4, start + 6));
                let whole = network.as_ref().is_none_or(|network| !network.fragment);
                if whole {
                    claim(&mut faults, "udp.length", header, length);
                }
                let absent = octets(start + 6, start + 8) == [0, 0];
                match &network {
                    Some(network) if absent && network.v6 && !network.fragment => {
                        // RFC 6935 allows it to tunnels alone.
                        if !matches!(number(octets(start + 2, start + 4)), 4789 | 6081) {
                            faults.push("udp.checksum is absent over IPv6".to_owned());
                        }
                    }
                    _ if absent => {}
                    network => pseudo(&mut faults, "udp", network.as_ref(), 17, body),
                }
            }
            Kind::Tcp => pseudo(&mut faults, "tcp", network.as_ref(), 6, body),
            Kind::Icmpv6 => pseudo(&mut faults, "icmpv6", network.as_ref(), 58, body),
            Kind::Icmp => {
                let whole = network.as_ref().is_none_or(|network| !network.fragment);
                if whole && folded(internet_sum(0, body)) != 0xffff {
                    faults.push("icmp.checksum is wrong".to_owned());
                }
            }
            Kind::Sctp => {
                let whole = network.as_ref().is_none_or(|network| !network.fragment);
                if whole && !sctp_sum_is_right(body) {
                    faults.push("sctp.checksum is wrong".to_owned());
                }
            }
            _ => {}
        }
    }
    faults
}

/// Fails the test unless every frame is right in itself.
///
/// # Panics
///
/// If one is not, naming its faults.
#[track_caller]
#[expect(clippy::panic, reason = "an assertion")]
pub fn assert_sound<F: AsRef<[u8]>>(frames: &[F]) {
    for (at, frame) in frames.iter().enumerate() {
        let frame = frame.as_ref();
        let faults = faults(frame);
        if !faults.is_empty() {
            panic!("frame {at} ({}): {}", dissect(frame), faults.join("; "));
        }
    }
}

/// The network layer around a transport header.
struct Network<'a> {
    /// Source and destination as they stand in the header.
    addresses: &'a [u8],
    /// The last stop, where a routing header is still under way.
    segment: Option<&'a [u8]>,
    fragment: bool,
    v6: bool,
}

impl Network<'_> {
    fn sum(&self, protocol: u8, length: usize) -> u32 {
        let sum = match self.segment {
            Some(last) => {
                let src = self.addresses.get(..16).unwrap_or_default();
                internet_sum(internet_sum(0, src), last)
            }
            None => internet_sum(0, self.addresses),
        };
        internet_sum(sum + u32::from(protocol), &(length as u32).to_be_bytes())
    }
}

fn pseudo(
    faults: &mut Vec<String>,
    name: &str,
    network: Option<&Network<'_>>,
    protocol: u8,
    body: &[u8],
) {
    let Some(network) = network.filter(|network| !network.fragment) else { return };
    if folded(internet_sum(network.sum(protocol, body.len()), body)) != 0xffff {
        faults.push(format!("{name}.checksum is wrong"));
    }
}

fn claim(faults: &mut Vec<String>, name: &str, header: &Header, length: usize) {
    let there = header.end - header.range.start;
    if length != there {
        faults.push(format!("{name} claims {length} octets where {there} are"));
    }
}

fn sctp_sum_is_right(body: &[u8]) -> bool {
    let mut zeroed = body.to_vec();
    let Some(field) = zeroed.get_mut(8..12) else { return false };
    field.fill(0);
    body.get(8..12) == Some(&crc32c(&zeroed).to_le_bytes())
}

fn number(octets: &[u8]) -> usize {
    octets.iter().fold(0, |number, octet| number << 8 | usize::from(*octet))
}

fn folded(sum: u32) -> u32 {
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16)
}
