//! Packets made byte by byte, without the code under test.

pub(super) fn eth(ty: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(ty.to_be_bytes());
    frame.extend(payload);
    frame
}

pub(super) fn tagged(tpid: u16, tci: u16, ty: u16, payload: &[u8]) -> Vec<u8> {
    let mut tag = tci.to_be_bytes().to_vec();
    tag.extend(ty.to_be_bytes());
    tag.extend(payload);
    eth(tpid, &tag)
}

/// 10.0.0.1 to 10.0.0.2, DSCP 46, ECN 1, TTL 61.
pub(super) fn ipv4(proto: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0xb9];
    packet.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    packet.extend([0x12, 0x34, 0, 0, 61, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(payload);
    packet
}

/// fd00::1 to fd00::2, DSCP 46, ECN 1, label 0xbeef5, hop limit 61.
pub(super) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x6b, 0x9b, 0xee, 0xf5];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([next, 61]);
    for last in [1, 2] {
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(payload);
    packet
}

pub(super) fn udp(src: u16, dst: u16, body: &[u8]) -> Vec<u8> {
    let mut packet = src.to_be_bytes().to_vec();
    packet.extend(dst.to_be_bytes());
    packet.extend(u16::try_from(8 + body.len()).unwrap().to_be_bytes());
    packet.extend([0xcc, 0xcc]);
    packet.extend(body);
    packet
}

pub(super) fn tcp(src: u16, dst: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut packet = src.to_be_bytes().to_vec();
    packet.extend(dst.to_be_bytes());
    packet.extend([1, 2, 3, 4, 5, 6, 7, 8]);
    packet.extend((0x5000 | flags & 0x0fff).to_be_bytes());
    packet.extend([0xff, 0xff, 0xcc, 0xcc, 0, 0]);
    packet.extend(body);
    packet
}

/// A solicitation for fd00::9 with a source link-layer address.
pub(super) fn icmpv6_ns() -> Vec<u8> {
    let mut packet = vec![135, 0, 0xcc, 0xcc, 0, 0, 0, 0];
    packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    packet.extend([1, 1, 2, 0, 0, 0, 0, 7]);
    packet
}
