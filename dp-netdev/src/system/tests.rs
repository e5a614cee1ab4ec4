use super::{Doorbell, Netif, pin_to_cpu, wait};
use dp_core::base::Duration;
use std::time::Instant;

#[test]
fn loopback_is_an_interface() {
    let lo = Netif::open("lo").unwrap();
    assert_eq!(lo.index(), 1);
    assert!(lo.exists());
    let state = lo.state().unwrap();
    assert!(state.is_ethernet() && state.mac.is_zero() && state.mtu >= 1500);
}

#[test]
fn names_that_name_nothing_say_so() {
    for name in ["", "nosuch0", "a-name-beyond-fifteen", "lo\0x"] {
        let error = Netif::open(name).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV), "{name:?}");
    }
}

#[test]
fn a_doorbell_ends_the_waiting() {
    let bell = Doorbell::new().unwrap();
    let mut scratch = Vec::new();
    let start = Instant::now();
    wait([bell.fd()], Duration::from_millis(20), &mut scratch);
    assert!(start.elapsed() >= Duration::from_millis(20));
    bell.ring();
    bell.ring();
    wait([bell.fd()], Duration::from_secs(60), &mut scratch);
    bell.clear();
    let start = Instant::now();
    wait([bell.fd()], Duration::from_millis(20), &mut scratch);
    assert!(start.elapsed() >= Duration::from_millis(20), "one look clears all rings");
    std::thread::scope(|scope| {
        scope.spawn(|| bell.ring());
        wait([bell.fd()], Duration::from_secs(60), &mut scratch);
    });
}

#[test]
fn a_thread_stays_where_it_is_put() {
    std::thread::spawn(|| {
        pin_to_cpu(0).unwrap();
        let allowed = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = allowed.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap();
        assert_eq!(line.split_whitespace().nth(1), Some("0"));
        for nowhere in [1023, 1024, usize::MAX] {
            assert!(pin_to_cpu(nowhere).is_err());
        }
    })
    .join()
    .unwrap();
}
