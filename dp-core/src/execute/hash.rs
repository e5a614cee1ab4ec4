//! The hash that later passes match, and that bonds choose a member by.

use super::bytes::read;
use super::transport::{ETH_TYPE_IPV4, ETH_TYPE_IPV6, SCTP, TCP, UDP, network, transport};
use crate::action::HashAlgorithm;
use crate::base::hash_words;
use crate::packet::{Offloads, Packet};

/// Computes the hash of a packet and notes it.
pub(super) fn hash(packet: &mut Packet, algorithm: HashAlgorithm, basis: u32) {
    let hash = match algorithm {
        HashAlgorithm::L4 => l4_hash(packet, basis),
        HashAlgorithm::SymL4 => finish(tuple(packet, true), basis),
    };
    packet.meta_mut().set_hash(hash);
}

/// A hash of addresses, protocol and ports; the device's where it has computed one. Never 0.
pub(super) fn l4_hash(packet: &Packet, basis: u32) -> u32 {
    let meta = packet.meta();
    if meta.offloads.contains(Offloads::RSS_VALID) {
        return finish([u64::from(meta.rss_hash), 0, 0, 0, 0], basis);
    }
    finish(tuple(packet, false), basis)
}

fn finish(words: [u64; 5], basis: u32) -> u32 {
    ((hash_words(&words, u64::from(basis)) >> 32) as u32).max(1)
}

/// Addresses, protocol and ports as words; with `symmetric` the smaller end comes first.
fn tuple(packet: &Packet, symmetric: bool) -> [u64; 5] {
    let frame = packet.data();
    let Some((eth_type, l3)) = network(packet) else { return [0; 5] };
    let (mut src, mut dst) = match eth_type {
        ETH_TYPE_IPV4 => {
            let address =
                |at| read(frame, at).map_or(0, |bytes| u128::from(u32::from_be_bytes(bytes)));
            (address(l3 + 12), address(l3 + 16))
        }
        ETH_TYPE_IPV6 => {
            let address = |at| read(frame, at).map_or(0, u128::from_be_bytes);
            (address(l3 + 8), address(l3 + 24))
        }
        _ => {
            // What is not IP is told apart by its Ethernet addresses.
            let address = |at| {
                let bytes: [u8; 6] = read(frame, at).unwrap_or_default();
                bytes.iter().fold(0, |sum, &byte| sum << 8 | u128::from(byte))
            };
            (address(6), address(0))
        }
    };
    let (mut proto, mut ports) = (0, [0u16; 2]);
    if let Some(header) = transport(packet) {
        proto = header.proto;
        if matches!(proto, TCP | UDP | SCTP)
            && let Some([a, b, c, d]) = read(frame, header.l4)
        {
            ports = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
        }
    } else if eth_type == ETH_TYPE_IPV4 {
        proto = read(frame, l3 + 9).map_or(0, |[proto]| proto);
    }
    if symmetric && (dst, ports[1]) < (src, ports[0]) {
        (src, dst) = (dst, src);
        ports.swap(0, 1);
    }
    let halves = |address: u128| [(address >> 64) as u64, (address & u128::from(u64::MAX)) as u64];
    let ([a, b], [c, d]) = (halves(src), halves(dst));
    let last = u64::from(eth_type) << 40
        | u64::from(proto) << 32
        | u64::from(ports[0]) << 16
        | u64::from(ports[1]);
    [a, b, c, d, last]
}
