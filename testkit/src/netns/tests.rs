use std::{net::TcpListener, process::Stdio, time::Duration};

use super::*;
use crate::{
    frames::assert_frames_eq,
    packets::{Packet, Vlan, samples},
};

const SOON: Duration = Duration::from_secs(5);

fn pair() -> (Namespace, Namespace) {
    let (a, b) = (Namespace::quiet("a").unwrap(), Namespace::quiet("b").unwrap());
    veth_pair((&a, "eth0"), (&b, "eth0")).unwrap();
    (a, b)
}

#[test]
fn a_namespace_goes_with_its_guard() {
    let namespace = Namespace::new("gone").unwrap();
    let (name, path) = (namespace.name().to_owned(), namespace.path());
    assert!(path.exists());
    let others = Namespace::new("gone").unwrap();
    assert_ne!(others.name(), name);
    drop(namespace);
    assert!(!path.exists());
}

#[test]
fn hosts_reach_each_other_at_once_in_both_families() {
    let (a, b) = (Namespace::new("a").unwrap(), Namespace::new("b").unwrap());
    veth_pair((&a, "eth0"), (&b, "eth0")).unwrap();
    a.mac("eth0", "50:54:00:00:00:01").unwrap();
    for (namespace, host) in [(&a, 1), (&b, 2)] {
        namespace.address("eth0", &format!("10.0.0.{host}/24")).unwrap();
        namespace.address("eth0", &format!("fd00::{host}/64")).unwrap();
    }
    packages::ensure(&["iputils-ping"]).unwrap();
    for address in ["10.0.0.2", "fd00::2"] {
        let said = a.exec(&["ping", "-c", "1", "-W", "5", address]).unwrap();
        assert!(said.contains("1 received"), "{said}");
    }
    assert!(a.ip(&["link", "show", "eth0"]).unwrap().contains("50:54:00:00:00:01"));
    let offload = a.exec(&["ethtool", "--show-offload", "eth0"]).unwrap();
    assert!(offload.contains("tx-checksumming: off"), "{offload}");
}

#[test]
fn frames_cross_as_they_are_tags_included() {
    let (a, b) = pair();
    let (from, to) = (a.frames("eth0").unwrap(), b.frames("eth0").unwrap());
    let mut sent: Vec<Vec<u8>> = samples::all().into_iter().map(|sample| sample.frame).collect();
    let tag = Vlan { pcp: 7, dei: true, ..Vlan::new(0) };
    sent.push(Packet::ethernet([2; 6], [4; 6]).layer(tag).payload([9; 46]).build());
    for frame in &sent {
        from.send(frame).unwrap();
    }
    let got = to.receive_up_to(sent.len(), SOON).unwrap();
    assert_frames_eq(&sent, &got);
    // The sender does not hear itself, and nobody else spoke.
    assert_eq!(from.receive(Duration::from_millis(20)).unwrap(), None);
    assert_eq!(to.receive(Duration::from_millis(20)).unwrap(), None);
}

#[test]
fn a_wanted_frame_is_found_among_others() {
    let (a, b) = pair();
    let (from, to) = (a.frames("eth0").unwrap(), b.frames("eth0").unwrap());
    for name in ["ipv4-udp", "arp-request", "ipv6-udp"] {
        from.send(&samples::named(name).unwrap()).unwrap();
    }
    let arp = to.receive_matching(SOON, |frame| frame[12..14] == [8, 6]).unwrap();
    assert_eq!(arp, samples::named("arp-request"));
    let next = to.receive(SOON).unwrap();
    assert_eq!(next, samples::named("ipv6-udp"));
}

#[test]
fn a_thread_enters_and_returns() {
    let outside = fs::read_link("/proc/thread-self/ns/net").unwrap();
    let namespace = Namespace::new("enter").unwrap();
    let entered = namespace.enter().unwrap();
    let inside = fs::read_link("/proc/thread-self/ns/net").unwrap();
    assert_ne!(outside, inside);
    // A socket opened inside stays inside.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    drop(entered);
    assert_eq!(fs::read_link("/proc/thread-self/ns/net").unwrap(), outside);
    let port = listener.local_addr().unwrap().port();
    let connect = move || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(namespace.within(connect).unwrap());
    assert!(!connect());
}

#[test]
fn a_panic_inside_is_passed_on() {
    let namespace = Namespace::new("panic").unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        namespace.within(|| std::panic::resume_unwind(Box::new("inside")))
    }));
    assert_eq!(result.unwrap_err().downcast_ref(), Some(&"inside"));
}

#[test]
fn a_program_runs_inside_and_ends_with_its_guard() {
    let namespace = Namespace::new("spawn").unwrap();
    let guarded = namespace.spawn(&["sleep", "60"]).unwrap();
    let of_child = PathBuf::from(format!("/proc/{}/ns/net", guarded.id()));
    let inside = namespace.within(|| fs::read_link("/proc/thread-self/ns/net")).unwrap().unwrap();
    patience::eventually("the child enters", SOON, || {
        (fs::read_link(&of_child).unwrap() == inside).then_some(())
    });
    drop(guarded);
    assert!(!of_child.exists());
    let mut piped = namespace.command("cat");
    let output = piped.arg("/proc/net/dev").stdout(Stdio::piped()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().matches("lo:").count(), 1);
}

#[test]
fn errors_say_what_failed() {
    let namespace = Namespace::new("errors").unwrap();
    let error = namespace.address("eth7", "10.0.0.1/24").unwrap_err().to_string();
    assert!(error.contains("eth7"), "{error}");
    let error = namespace.frames("eth7").unwrap_err().to_string();
    assert!(error.contains("frames on eth7 of dp-errors-"), "{error}");
    let error = namespace.set("net/no/such/parameter", "1").unwrap_err().to_string();
    assert!(error.starts_with("/proc/sys/net/no/such/parameter: "), "{error}");
    let error = namespace.exec(&["cat", "/no/such/file"]).unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}
