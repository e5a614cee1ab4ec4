//! Datagrams in pieces: which wait, which go on, and with what.

use super::frames::{datagram, ip, is_sound, packet, udp, udp_body};
use super::{A, A6, B, B6, Lab, commit, found, look, names, target, with_nat};
use crate::action::ct::NatEnd;
use crate::conntrack::Family;
use crate::wire::checksum::checksum;

/// Cuts a frame into pieces of at most `size` bytes of payload.
fn cut(frame: &[u8], size: usize, id: u16) -> Vec<Vec<u8>> {
    let v6 = frame[12] == 0x86;
    let start = if v6 { 54 } else { 34 };
    let payload = &frame[start..];
    let mut out = Vec::new();
    for (n, part) in payload.chunks(size).enumerate() {
        let offset = u16::try_from(n * size).expect("short");
        let more = (n + 1) * size < payload.len();
        let mut piece = frame[..start].to_vec();
        if v6 {
            let len = u16::try_from(part.len() + 8).expect("short");
            piece[18..20].copy_from_slice(&len.to_be_bytes());
            let proto = core::mem::replace(&mut piece[20], 44);
            piece.extend([proto, 0]);
            piece.extend((offset | u16::from(more)).to_be_bytes());
            piece.extend([0, 0]);
            piece.extend(id.to_be_bytes());
        } else {
            let len = u16::try_from(part.len() + 20).expect("short");
            piece[16..18].copy_from_slice(&len.to_be_bytes());
            piece[18..20].copy_from_slice(&id.to_be_bytes());
            let word = (offset / 8) | if more { 0x2000 } else { 0 };
            piece[20..22].copy_from_slice(&word.to_be_bytes());
            piece[24..26].fill(0);
            let sum = checksum(&piece[14..34]);
            piece[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        piece.extend(part);
        out.push(piece);
    }
    out
}

/// Puts pieces together again.
fn join(pieces: &[Vec<u8>], v6: bool) -> Vec<u8> {
    let start = if v6 { 62 } else { 34 };
    let mut body = Vec::new();
    for piece in pieces {
        body.extend(&piece[start..]);
    }
    let first = &pieces[0];
    let mut frame = first[..12].to_vec();
    if v6 {
        let address = |at: usize| <[u8; 16]>::try_from(&first[at..at + 16]).expect("16").into();
        frame.extend(packet(address(22), address(38), first[54], &body));
    } else {
        let address = |at: usize| <[u8; 4]>::try_from(&first[at..at + 4]).expect("4").into();
        frame.extend(packet(address(26), address(30), first[23], &body));
    }
    frame
}

fn figure(lab: &Lab, name: &str) -> u64 {
    let status = lab.tracker.fragments().status(false);
    let line = status.lines().find(|line| line.trim().starts_with(name)).expect("a line");
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

#[test]
fn pieces_wait_and_go_on_together_in_their_order() {
    for (a, b, v6) in [(A, B, false), (A6, B6, true)] {
        let mut lab = Lab::new();
        let whole = udp(a, b, 5, 6, &[7; 3000]);
        let pieces = cut(&whole, 1400, 77);
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            for (nth, &at) in order.iter().enumerate() {
                assert!(lab.through(&pieces[at], &commit(1)).is_none(), "it waits");
                assert_eq!(lab.released.is_empty(), nth < 2);
            }
            let out: Vec<Vec<u8>> = lab.released.iter().map(|it| it.data().to_vec()).collect();
            assert_eq!(out, pieces);
            assert!(lab.released.iter().all(|it| names(found(it).state) == "new"));
            lab.released.clear();
        }
        assert_eq!(lab.tracker.connections(), 1);
        assert_eq!(lab.tracker.fragments().held(), 0);
        let name = if v6 { "v6 frags completed" } else { "v4 frags completed" };
        assert_eq!(figure(&lab, name), 9);
    }
}

#[test]
fn the_translation_of_a_datagram_reaches_all_its_pieces() {
    for (a, b, new, v6) in [(A, B, "10.0.0.200", false), (A6, B6, "fc00::200", true)] {
        let mut lab = Lab::new();
        let snat = target(NatEnd::Src, new, new, Some((99, 99)));
        for piece in cut(&udp(a, b, 5, 6, &[7; 3000]), 1400, 77) {
            assert!(lab.through(&piece, &snat).is_none());
        }
        let out: Vec<Vec<u8>> = lab.released.drain(..).map(|it| it.data().to_vec()).collect();
        let joined = join(&out, v6);
        assert_eq!(joined, udp(new, b, 99, 6, &[7; 3000]));
        assert!(is_sound(&joined));
        for piece in cut(&udp(b, new, 6, 99, &[8; 3000]), 1400, 78) {
            assert!(lab.through(&piece, &with_nat(look(1))).is_none());
        }
        let out: Vec<Vec<u8>> = lab.released.drain(..).map(|it| it.data().to_vec()).collect();
        assert_eq!(join(&out, v6), udp(b, a, 6, 5, &[8; 3000]));
    }
}

#[test]
fn what_overlaps_or_is_too_small_is_invalid() {
    let mut lab = Lab::new();
    let pieces = cut(&udp(A, B, 5, 6, &[7; 3000]), 1400, 77);
    let shifted = {
        let mut piece = pieces[1].clone();
        piece[21] -= 4;
        piece[24..26].fill(0);
        let sum = checksum(&piece[14..34]);
        piece[24..26].copy_from_slice(&sum.to_be_bytes());
        piece
    };
    assert!(lab.through(&pieces[0], &look(1)).is_none());
    assert_eq!(lab.state(&pieces[0], &look(1)), "inv", "the same again");
    assert_eq!(lab.state(&shifted, &look(1)), "inv");
    assert!(lab.through(&pieces[1], &look(1)).is_none());
    assert!(lab.through(&pieces[2], &look(1)).is_none());
    assert_eq!(lab.released.len(), 3);
    assert_eq!(figure(&lab, "v4 frags overlapped"), 2);
    let small = cut(&udp(A, B, 5, 6, &[7; 1500]), 800, 78);
    assert_eq!(lab.state(&small[0], &look(1)), "inv");
    assert_eq!(figure(&lab, "v4 frags too small"), 1);
    assert!(lab.through(&small[1], &look(1)).is_none(), "the last may be of any size");
    assert!(lab.tracker.fragments().set_min(Family::V4, 400));
    assert!(!lab.tracker.fragments().set_min(Family::V4, 399));
    assert!(lab.through(&small[0], &look(1)).is_none());
    assert_eq!(lab.released.len(), 5);
    let wrong = {
        let mut frame = udp(A, B, 5, 6, &[7; 3000]);
        frame[40] ^= 1;
        cut(&frame, 1400, 79)
    };
    lab.released.clear();
    for piece in &wrong {
        lab.through(piece, &commit(1));
    }
    assert!(lab.released.iter().all(|it| names(found(it).state) == "inv"));
    assert_eq!((lab.released.len(), lab.tracker.connections()), (3, 0));
}

/// Pieces that were let go of were kept in memory there.
#[test]
fn cve_2021_3905_pieces_are_bounded_and_do_not_wait_for_ever() {
    let mut lab = Lab::new();
    let fragments = || Lab::new().tracker.fragments().held();
    assert_eq!(fragments(), 0);
    assert!(lab.tracker.fragments().set_max(5) && !lab.tracker.fragments().set_max(5001));
    for id in 0..10 {
        let pieces = cut(&udp(A, B, 5, 6, &[7; 3000]), 1400, id);
        assert_eq!(lab.through(&pieces[0], &look(1)).is_none(), id < 5);
    }
    assert_eq!(lab.tracker.fragments().held(), 5);
    let list = lab.tracker.fragments().status(true);
    assert!(list.ends_with("(src=10.0.0.1,dst=10.0.0.2,recirc_id=0,ip_id=4,dl_type=0x800,zone=1,nw_proto=17,num_fragments=1,state=first frag)\n"), "{list}");
    lab.wait(15);
    assert_eq!(lab.tracker.fragments().expire(lab.now), 5);
    assert_eq!(lab.tracker.fragments().held(), 0);
    assert_eq!(figure(&lab, "v4 frags expired"), 5);
    let pieces = cut(&udp(A, B, 5, 6, &[7; 3000]), 1400, 9);
    lab.through(&pieces[0], &look(1));
    lab.wait(16);
    lab.through(&cut(&udp(A, B, 5, 6, &[7; 3000]), 1400, 10)[0], &look(1));
    assert_eq!(lab.expired, 1);
    lab.tracker.fragments().set_enabled(Family::V4, false);
    assert_eq!(lab.tracker.fragments().held(), 0);
    assert_eq!(figure(&lab, "v4 frags purged"), 1);
    assert_eq!(lab.state(&pieces[0], &look(1)), "inv");
    lab.tracker.fragments().set_enabled(Family::V4, true);
    assert!(lab.through(&pieces[0], &look(1)).is_none());
}

#[test]
fn a_single_piece_that_claims_too_much_is_invalid() {
    let mut lab = Lab::new();
    // The end of the largest datagram lies beyond 65,535 bytes.
    let mut frame = datagram(ip(A), ip(B), 17, udp_body(5, 6, &[1; 1400]));
    frame[20..22].copy_from_slice(&(0x1fff_u16).to_be_bytes());
    frame[24..26].fill(0);
    let sum = checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(lab.state(&frame, &look(1)), "inv");
}
