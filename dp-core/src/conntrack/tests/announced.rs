//! FTP and TFTP: what is announced is expected, rewritten where needed, and related.

use super::frames::{ACK, PSH, SYN, Tcp, datagram, ip, is_sound, tcp, udp};
use super::{A, A6, B, B6, Lab, commit, found, look, names, target, with_nat};
use crate::action::ct::{Helper, NatEnd};
use crate::action::{Ct, Masked};
use crate::conntrack::text;

fn ftp(ct: Ct) -> Ct {
    Ct { helper: Some(Helper::Ftp), ..ct }
}

fn segment(src: &str, dst: &str, sport: u16, dport: u16, tcp: &Tcp) -> Vec<u8> {
    datagram(ip(src), ip(dst), 6, tcp.body(sport, dport))
}

fn data(seq: u32, ack: u32, text: &str) -> Tcp {
    Tcp { payload: text.as_bytes().to_vec(), window: 8000, ..tcp(PSH | ACK, seq, ack) }
}

/// Opens a control connection: the client's address and port, the server's as the client and as the
/// server itself have them.
fn open(lab: &mut Lab, ct: &Ct, client: [&str; 2], server: [&str; 2]) {
    let [own, seen] = client;
    let [vip, real] = server;
    lab.through(&segment(own, vip, 100, 21, &tcp(SYN, 1000, 0)), ct).expect("goes on");
    let window = Tcp { window: 8000, ..tcp(SYN | ACK, 5000, 1001) };
    let answer = segment(real, seen, 21, 100, &window);
    assert!(lab.state(&answer, &with_nat(look(1))).starts_with("est|rpl"));
    let last = segment(own, vip, 100, 21, &data(1001, 5001, ""));
    assert!(lab.state(&last, &with_nat(look(1))).starts_with("est"));
}

fn expected(lab: &Lab) -> String {
    text::expected(&lab.tracker, None, lab.now)
}

#[test]
fn an_announced_connection_is_related_and_inherits() {
    let mut lab = Lab::new();
    let marked = Ct { mark: Some(Masked { value: 5, mask: u32::MAX }), ..ftp(commit(1)) };
    open(&mut lab, &marked, [A, A], [B, B]);
    let port = segment(A, B, 100, 21, &data(1001, 5001, "PORT 10,0,0,1,78,32\r\n"));
    let (_, out) = lab.through(&port, &with_nat(look(1))).expect("goes on");
    assert_eq!(out, port);
    assert_eq!(
        expected(&lab),
        "tcp,orig=(src=10.0.0.2,dst=10.0.0.1,sport=0,dport=20000),zone=1,mark=5,\
         parent=(src=10.0.0.1,dst=10.0.0.2,sport=100,dport=21)\n"
    );
    let syn = segment(B, A, 20, 20000, &tcp(SYN, 1, 0));
    assert_eq!(lab.state(&syn, &look(1)), "new|rel");
    let (meta, _) = lab.through(&syn, &with_nat(commit(1))).expect("goes on");
    assert_eq!((names(meta.state).as_str(), meta.mark), ("new|rel|dnat", 5));
    assert_eq!(meta.tp_dst, 21, "the parent's tuple");
    let answer = segment(A, B, 20000, 20, &tcp(SYN | ACK, 1, 2));
    assert_eq!(lab.state(&answer, &look(1)), "est|rel|rpl");
    let dump = lab.dump(true, false);
    assert!(dump.contains(",helper=ftp\n"), "{dump}");
    assert!(dump.contains(",parent=(src=10.0.0.1,dst=10.0.0.2,sport=100,dport=21)\n"), "{dump}");
    // The passive way, and the end of both with the control connection.
    let pasv = "227 Entering Passive Mode (10,0,0,2,80,1).\r\n";
    lab.through(&segment(B, A, 21, 100, &data(5001, 1022, pasv)), &look(1)).expect("goes on");
    assert_eq!(expected(&lab).lines().count(), 2);
    assert_eq!(lab.state(&segment(A, B, 999, 20481, &tcp(SYN, 1, 0)), &look(1)), "new|rel");
    lab.tracker.flush(None, lab.now);
    assert_eq!(expected(&lab), "");
    assert_eq!(lab.state(&syn, &look(1)), "new");
}

#[test]
fn the_announced_address_is_the_one_that_the_other_side_can_reach() {
    let public = "10.0.0.240";
    let mut lab = Lab::new();
    open(&mut lab, &ftp(target(NatEnd::Src, public, public, None)), [A, public], [B, B]);
    let nat = with_nat(look(1));
    let port = segment(A, B, 100, 21, &data(1001, 5001, "PORT 10,0,0,1,78,32\r\n"));
    for _ in 0..2 {
        // Said again, it is the same again.
        let (_, out) = lab.through(&port, &nat).expect("goes on");
        let changed = data(1001, 5001, "PORT 10,0,0,240,78,32\r\n");
        assert_eq!(out, segment(public, B, 100, 21, &changed));
        assert!(is_sound(&out));
    }
    // 21 bytes were sent, 23 arrived.
    let (_, out) =
        lab.through(&segment(B, public, 21, 100, &data(5001, 1024, "")), &nat).expect("goes on");
    assert_eq!(out, segment(B, A, 21, 100, &data(5001, 1022, "")));
    let (meta, out) =
        lab.through(&segment(A, B, 100, 21, &data(1022, 5001, "LIST\r\n")), &nat).expect("on");
    assert_eq!(names(meta.state), "est|snat");
    assert_eq!(out, segment(public, B, 100, 21, &data(1024, 5001, "LIST\r\n")));
    // The server's connection comes to the client.
    let syn = segment(B, public, 20, 20000, &tcp(SYN, 1, 0));
    let (meta, out) = lab.through(&syn, &with_nat(commit(1))).expect("goes on");
    assert_eq!(names(meta.state), "new|rel|dnat");
    assert_eq!(out, segment(B, A, 20, 20000, &tcp(SYN, 1, 0)));
    let answer = segment(A, B, 20000, 20, &tcp(SYN | ACK, 1, 2));
    let (_, out) = lab.through(&answer, &nat).expect("goes on");
    assert_eq!(out, segment(public, B, 20000, 20, &tcp(SYN | ACK, 1, 2)));
}

#[test]
fn a_server_behind_an_address_announces_that_address() {
    for (a, vip, real, said, told) in [
        (
            A,
            "10.0.0.9",
            "10.0.0.50",
            "227 Entering Passive Mode (10,0,0,50,80,1).\r\n",
            "227 Entering Passive Mode (10,0,0,9,80,1).\r\n",
        ),
        (A6, B6, "fc00::50", "229 Extended (|||20481|)\r\n", "229 Extended (|||20481|)\r\n"),
    ] {
        let mut lab = Lab::new();
        open(&mut lab, &ftp(target(NatEnd::Dst, real, real, None)), [a, a], [vip, real]);
        let nat = with_nat(look(1));
        let (_, out) = lab
            .through(&segment(real, a, 21, 100, &data(5001, 1001, said)), &nat)
            .expect("goes on");
        assert_eq!(out, segment(vip, a, 21, 100, &data(5001, 1001, told)));
        let acked = 5001 + told.len() as u32;
        let (_, out) =
            lab.through(&segment(a, vip, 100, 21, &data(1001, acked, "")), &nat).expect("goes on");
        let real_ack = 5001 + said.len() as u32;
        assert_eq!(out, segment(a, real, 100, 21, &data(1001, real_ack, "")));
        let syn = segment(a, vip, 999, 20481, &tcp(SYN, 1, 0));
        let (meta, out) = lab.through(&syn, &with_nat(commit(1))).expect("goes on");
        assert_eq!(names(meta.state), "new|rel|dnat");
        assert_eq!(out, segment(a, real, 999, 20481, &tcp(SYN, 1, 0)));
    }
}

#[test]
fn an_ipv6_client_behind_an_address_is_rewritten_too() {
    let public = "fc00::1:2:3:240";
    let mut lab = Lab::new();
    open(&mut lab, &ftp(target(NatEnd::Src, public, public, None)), [A6, public], [B6, B6]);
    let nat = with_nat(look(1));
    let said = segment(A6, B6, 100, 21, &data(1001, 5001, "EPRT |2|fc00::1|20000|\r\n"));
    let (_, out) = lab.through(&said, &nat).expect("goes on");
    let told = data(1001, 5001, "EPRT |2|fc00::1:2:3:240|20000|\r\n");
    assert_eq!(out, segment(public, B6, 100, 21, &told));
    assert!(is_sound(&out));
}

#[test]
fn nobody_opens_the_way_to_a_third_party() {
    let mut lab = Lab::new();
    open(&mut lab, &ftp(commit(1)), [A, A], [B, B]);
    let port = segment(A, B, 100, 21, &data(1001, 5001, "PORT 10,0,0,77,78,32\r\n"));
    lab.through(&port, &look(1)).expect("goes on");
    assert_eq!(expected(&lab), "");
    // Without a helper nothing is read.
    let mut lab = Lab::new();
    open(&mut lab, &commit(1), [A, A], [B, B]);
    lab.through(&port, &look(1)).expect("goes on");
    assert_eq!(expected(&lab), "");
}

#[test]
fn a_tftp_server_answers_from_any_port() {
    let public = "10.0.0.240";
    let mut lab = Lab::new();
    let ct = Ct { helper: Some(Helper::Tftp), ..target(NatEnd::Src, public, public, None) };
    lab.through(&udp(A, B, 777, 69, b"\0\x01file\0octet\0"), &ct).expect("goes on");
    assert_eq!(
        expected(&lab),
        "udp,orig=(src=10.0.0.2,dst=10.0.0.240,sport=0,dport=777),zone=1,\
         parent=(src=10.0.0.1,dst=10.0.0.2,sport=777,dport=69)\n"
    );
    let block = udp(B, public, 5555, 777, b"\0\x03\0\x01xx");
    let (meta, out) = lab.through(&block, &with_nat(commit(1))).expect("goes on");
    assert_eq!(names(meta.state), "new|rel|dnat");
    assert_eq!(out, udp(B, A, 5555, 777, b"\0\x03\0\x01xx"));
    let (_, out) =
        lab.through(&udp(A, B, 777, 5555, b"\0\x04\0\x01"), &with_nat(look(1))).expect("goes on");
    assert_eq!(out, udp(public, B, 777, 5555, b"\0\x04\0\x01"));
    lab.wait(301);
    assert_eq!(expected(&lab), "");
}

#[test]
fn a_rewritten_payload_has_room_or_stays_as_it_is() {
    let public = "100.100.100.100";
    let mut lab = Lab::new();
    open(&mut lab, &ftp(target(NatEnd::Src, public, public, None)), ["1.1.1.1", public], [B, B]);
    // A frame that fills its buffer cannot grow.
    let mut said = data(1001, 5001, "PORT 1,1,1,1,78,32\r\n");
    said.payload.resize(1960, b'x');
    let packet = Lab::packet(&segment("1.1.1.1", B, 100, 21, &said));
    let room = packet.tailroom();
    let out = lab.again(packet, &with_nat(look(1))).expect("goes on");
    let grown = out.len() - (14 + 20 + 20 + 1960);
    assert!(grown == 8 && room >= 8 || grown == 0 && room < 8, "{grown} of {room}");
    assert!(is_sound(out.data()));
    assert_eq!(names(found(&out).state), "est|snat");
}

/// How much follows an announcement was once kept in eight bits, and what moved wrote past its end.
#[test]
fn cve_2026_34956_what_follows_an_announcement_may_be_longer_than_a_byte_counts() {
    for (own, public) in [("1.1.1.1", "100.100.100.100"), ("100.100.100.100", "1.1.1.1")] {
        let numbers = |address: &str| format!("PORT {},78,32\r\n", address.replace('.', ","));
        for rest in [0, 1, 200, 230, 235, 236, 237, 240, 255, 256, 257, 300, 511, 512, 513, 1300] {
            let mut lab = Lab::new();
            open(&mut lab, &ftp(target(NatEnd::Src, public, public, None)), [own, public], [B, B]);
            let tail: String = (0..rest).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
            let said = data(1001, 5001, &(numbers(own) + &tail));
            let packet = Lab::packet(&segment(own, B, 100, 21, &said));
            assert!(packet.tailroom() >= 8, "{rest}: the test means packets that can grow");
            let out = lab.again(packet, &with_nat(look(1))).expect("goes on");
            let told = data(1001, 5001, &(numbers(public) + &tail));
            assert_eq!(out.data(), segment(public, B, 100, 21, &told), "{rest} bytes follow");
            assert!(is_sound(out.data()));
        }
    }
}

#[test]
fn what_is_announced_has_the_mark_that_the_announcing_packet_sets() {
    let label = 0x1234_5678_9abc_def0_u128 << 64;
    for marks_first in [false, true] {
        let mut lab = Lab::new();
        let first = Masked { value: 1, mask: u32::MAX };
        let opening = Ct { mark: marks_first.then_some(first), ..ftp(commit(1)) };
        open(&mut lab, &opening, [A, A], [B, B]);
        let port = segment(A, B, 100, 21, &data(1001, 5001, "PORT 10,0,0,1,78,32\r\n"));
        let marking = Ct {
            mark: Some(Masked { value: 0x70, mask: 0xf0 }),
            label: Some(Masked { value: label, mask: u128::MAX }),
            ..commit(1)
        };
        lab.through(&port, &marking).expect("goes on");
        let mark = 0x70 | u32::from(marks_first);
        let said = expected(&lab);
        assert!(said.contains(&format!(",mark={mark},")), "{said}");
        // The data connection begins with both, and keeps them when the parent's change.
        let other = Ct { mark: Some(Masked { value: 9, mask: u32::MAX }), ..commit(1) };
        lab.through(&segment(A, B, 100, 21, &data(1022, 5001, "")), &other).expect("goes on");
        let syn = segment(B, A, 20, 20000, &tcp(SYN, 1, 0));
        let (meta, _) = lab.through(&syn, &commit(1)).expect("goes on");
        assert_eq!((names(meta.state).as_str(), meta.mark), ("new|rel", mark));
        assert_eq!(meta.label, label);
    }
}
