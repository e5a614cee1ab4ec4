//! Hashes that choose: links, ports and buckets.
//!
//! Which hash is used can be seen from outside (which bucket a flow takes), and two switches that
//! share traffic should choose alike; so these are the published functions that switches in use
//! choose by: Bob Jenkins' *lookup3* for `multipath` and `bundle`, Austin Appleby's *MurmurHash3*
//! (32 bits) for groups. Both are in the public domain.

use dp_core::flow::layout::VLAN_PRESENT;
use dp_core::flow::{FieldId, FlowKey, FlowMask, layout};

use crate::action::HashFields;

/// One 32-bit word of MurmurHash3, added to a state.
#[must_use]
pub const fn murmur_add(state: u32, word: u32) -> u32 {
    let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    (state ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

/// The end of MurmurHash3 over so many bytes.
#[must_use]
pub const fn murmur_finish(state: u32, bytes: u32) -> u32 {
    let mut hash = state ^ bytes;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// A hash of two words.
#[must_use]
pub const fn hash_two(a: u32, b: u32) -> u32 {
    murmur_finish(murmur_add(murmur_add(a, 0), b), 8)
}

/// A hash of bytes.
#[must_use]
pub fn hash_bytes(bytes: &[u8], basis: u32) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut state =
        words.iter().fold(basis, |state, word| murmur_add(state, u32::from_le_bytes(*word)));
    if !rest.is_empty() {
        let mut last = [0; 4];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        state = murmur_add(state, u32::from_le_bytes(last));
    }
    murmur_finish(state, u32::try_from(bytes.len()).unwrap_or(u32::MAX))
}

/// lookup3 of bytes.
#[must_use]
pub fn lookup3(bytes: &[u8], basis: u32) -> u32 {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let start = 0xdead_beef_u32.wrapping_add(length).wrapping_add(basis);
    let (mut a, mut b, mut c) = (start, start, start);
    let mut rest = bytes;
    let word = |bytes: &[u8], at: usize| {
        let mut word = [0; 4];
        word.iter_mut().zip(bytes.iter().skip(at)).for_each(|(to, from)| *to = *from);
        u32::from_le_bytes(word)
    };
    while rest.len() >= 12 {
        a = a.wrapping_add(word(rest, 0));
        b = b.wrapping_add(word(rest, 4));
        c = c.wrapping_add(word(rest, 8));
        (a, b, c) = lookup3_mix(a, b, c);
        rest = rest.get(12..).unwrap_or_default();
    }
    if rest.is_empty() {
        return c;
    }
    a = a.wrapping_add(word(rest, 0));
    b = b.wrapping_add(word(rest, 4));
    c = c.wrapping_add(word(rest, 8));
    for (x, y, shift) in
        [(2, 1, 14), (0, 2, 11), (1, 0, 25), (2, 1, 16), (0, 2, 4), (1, 0, 14), (2, 1, 24)]
    {
        let mut values = [a, b, c];
        values[x] = (values[x] ^ values[y]).wrapping_sub(values[y].rotate_left(shift));
        [a, b, c] = values;
    }
    c
}

const fn lookup3_mix(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    a = a.wrapping_sub(c) ^ c.rotate_left(4);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(6);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(8);
    b = b.wrapping_add(a);
    a = a.wrapping_sub(c) ^ c.rotate_left(16);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(19);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(4);
    b = b.wrapping_add(a);
    (a, b, c)
}

/// A hash of those parts of a flow, the same in both directions where the name says so.
#[must_use]
pub fn hash_flow(flow: &FlowKey, fields: HashFields, basis: u16) -> u32 {
    let basis = u32::from(basis);
    let bytes = |field: FieldId, len: usize| flow.get(field).to_be_bytes()[16 - len..].to_vec();
    match fields {
        HashFields::EthSrc => lookup3(&bytes(FieldId::EthSrc, 6), basis),
        HashFields::NwSrc if is_v4(flow) => lookup3(&bytes(FieldId::Ipv4Src, 4), basis),
        HashFields::NwSrc if is_v6(flow) => lookup3(&bytes(FieldId::Ipv6Src, 16), basis),
        HashFields::NwDst if is_v4(flow) => lookup3(&bytes(FieldId::Ipv4Dst, 4), basis),
        HashFields::NwDst if is_v6(flow) => lookup3(&bytes(FieldId::Ipv6Dst, 16), basis),
        HashFields::NwSrc | HashFields::NwDst => basis,
        HashFields::SymmetricL4 => symmetric_l4(flow, basis),
        HashFields::SymmetricL3L4 => symmetric_l3_l4(flow, basis, false),
        HashFields::SymmetricL3L4Udp => symmetric_l3_l4(flow, basis, true),
        HashFields::SymmetricL3 => symmetric_l3(flow, basis),
    }
}

fn is_v4(flow: &FlowKey) -> bool {
    flow.eth_type() == 0x0800
}

fn is_v6(flow: &FlowKey) -> bool {
    flow.eth_type() == 0x86dd
}

/// Ethernet, VLAN, Ethertype, addresses, protocol and ports; what has a direction is folded.
fn symmetric_l4(flow: &FlowKey, basis: u32) -> u32 {
    let mut bytes = [0u8; 36];
    let mut put = |at: usize, value: u128, len: usize| {
        if let Some(to) = bytes.get_mut(at..at + len) {
            to.copy_from_slice(&value.to_be_bytes()[16 - len..]);
        }
    };
    // Addresses (16), Ethertype, VLAN, ports (2 each), MACs (6), protocol.
    let fold = |a, b| flow.get(a) ^ flow.get(b);
    put(16, u128::from(flow.eth_type()), 2);
    let vlan = vids(flow);
    put(18, vlan, 2);
    put(22, fold(FieldId::EthSrc, FieldId::EthDst), 6);
    if is_v4(flow) {
        put(0, fold(FieldId::Ipv4Src, FieldId::Ipv4Dst), 4);
    } else if is_v6(flow) {
        put(0, fold(FieldId::Ipv6Src, FieldId::Ipv6Dst), 16);
    }
    if is_v4(flow) || is_v6(flow) {
        let proto = flow.nw_proto();
        put(28, u128::from(proto), 1);
        if matches!(proto, 6 | 132) {
            put(20, fold(FieldId::TcpSrc, FieldId::TcpDst), 2);
        }
    }
    lookup3(bytes.get(..32).unwrap_or_default(), basis)
}

/// Addresses and Ethertype; of what is not IP, the Ethertype alone.
fn symmetric_l3(flow: &FlowKey, basis: u32) -> u32 {
    let fold = |a, b| flow.get(a) ^ flow.get(b);
    let addresses = match (is_v4(flow), is_v6(flow)) {
        // As if the rest of a longer address were zero.
        (true, _) => fold(FieldId::Ipv4Src, FieldId::Ipv4Dst) << 96,
        (_, true) => fold(FieldId::Ipv6Src, FieldId::Ipv6Dst),
        _ => 0,
    };
    let mut bytes = [0; 20];
    if let Some((to, rest)) = bytes.split_first_chunk_mut::<16>() {
        *to = addresses.to_be_bytes();
        rest.iter_mut().zip(flow.eth_type().to_be_bytes()).for_each(|(to, byte)| *to = byte);
    }
    lookup3(&bytes, basis)
}

/// Addresses, protocol and ports; Ethernet's part of what is not IP.
fn symmetric_l3_l4(flow: &FlowKey, basis: u32, udp: bool) -> u32 {
    let mut state = basis;
    let proto = flow.nw_proto();
    let words = |value: u128, count: u32| {
        (0..count).map(move |at| {
            let word = u32::try_from(value >> (32 * (count - 1 - at)) & 0xffff_ffff).unwrap_or(0);
            word.swap_bytes()
        })
    };
    if is_v4(flow) {
        let fold = flow.get(FieldId::Ipv4Src) ^ flow.get(FieldId::Ipv4Dst);
        state = words(fold, 1).fold(state, murmur_add);
    } else if is_v6(flow) {
        let fold = flow.get(FieldId::Ipv6Src) ^ flow.get(FieldId::Ipv6Dst);
        state = words(fold, 4).fold(state, murmur_add);
    } else {
        return symmetric_l2(flow, basis);
    }
    state = murmur_add(state, u32::from(proto));
    if matches!(proto, 6 | 132) || udp && proto == 17 {
        let fold = flow.get(FieldId::TcpSrc) ^ flow.get(FieldId::TcpDst);
        let fold = u16::try_from(fold).unwrap_or(0).swap_bytes();
        state = murmur_add(state, u32::from(fold));
    }
    murmur_finish(state, basis)
}

/// Ethertype, VLAN and MACs.
fn symmetric_l2(flow: &FlowKey, basis: u32) -> u32 {
    let mut bytes = [0u8; 12];
    let vlan = vids(flow);
    let macs = flow.get(FieldId::EthSrc) ^ flow.get(FieldId::EthDst);
    let words = u128::from(flow.eth_type()) << 80 | vlan << 64 | macs << 16;
    if let Some(last) = words.to_be_bytes().last_chunk::<12>() {
        bytes = *last;
    }
    let (words, _) = bytes.as_chunks::<4>();
    let state =
        words.iter().fold(basis, |state, word| murmur_add(state, u32::from_le_bytes(*word)));
    murmur_finish(state, basis)
}

/// Makes count what [`hash_flow`] looks at.
pub fn unwildcard_hashed(wc: &mut FlowMask, flow: &FlowKey, fields: HashFields) {
    let v4 = is_v4(flow);
    let v6 = is_v6(flow);
    let mut all = |list: &[FieldId]| list.iter().for_each(|&field| wc.unwildcard(field));
    let sources: &[FieldId] = match (v4, v6) {
        (true, _) => &[FieldId::Ipv4Src, FieldId::Ipv4Dst],
        (_, true) => &[FieldId::Ipv6Src, FieldId::Ipv6Dst],
        _ => &[],
    };
    match fields {
        HashFields::EthSrc => all(&[FieldId::EthSrc]),
        HashFields::NwSrc => all(sources.get(..1).unwrap_or_default()),
        HashFields::NwDst => all(sources.get(1..).unwrap_or_default()),
        HashFields::SymmetricL3 => all(sources),
        HashFields::SymmetricL4 => {
            all(&[FieldId::EthSrc, FieldId::EthDst]);
            all(sources);
            tags_count(wc, flow);
            ports_count(wc, flow, false);
        }
        HashFields::SymmetricL3L4 | HashFields::SymmetricL3L4Udp if !(v4 || v6) => {
            all(&[FieldId::EthSrc, FieldId::EthDst]);
            tags_count(wc, flow);
        }
        HashFields::SymmetricL3L4 | HashFields::SymmetricL3L4Udp => {
            all(sources);
            ports_count(wc, flow, fields == HashFields::SymmetricL3L4Udp);
        }
    }
}

fn tags_count(wc: &mut FlowMask, flow: &FlowKey) {
    // Without an outer tag there is no inner one; whether there is one always counts.
    if flow.vlan_tci() & VLAN_PRESENT != 0 {
        for place in [layout::VLAN_TCI, layout::VLAN_TCI1] {
            wc.store(place, wc.load(place) | u128::from(VLAN_PRESENT | 0x0fff));
        }
    }
}

/// The VIDs of all tags, folded.
fn vids(flow: &FlowKey) -> u128 {
    let present = |place| {
        let tci = flow.load(place);
        if tci & u128::from(VLAN_PRESENT) == 0 { 0 } else { tci & 0x0fff }
    };
    match present(layout::VLAN_TCI) {
        _ if flow.vlan_tci() & VLAN_PRESENT == 0 => 0,
        outer => outer ^ present(layout::VLAN_TCI1),
    }
}

fn ports_count(wc: &mut FlowMask, flow: &FlowKey, udp: bool) {
    if is_v4(flow) || is_v6(flow) {
        wc.unwildcard(FieldId::NwProto);
        let proto = flow.nw_proto();
        if matches!(proto, 6 | 132) || udp && proto == 17 {
            wc.unwildcard_place(layout::TP_SRC);
            wc.unwildcard_place(layout::TP_DST);
        }
    }
}
