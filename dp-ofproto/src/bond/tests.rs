use dp_core::base::{BondId, Duration, Instant, MacAddr, OfPort};

use super::{Admission, Bond, CommandError, Config, LacpState, Mode, hash_mac};
use crate::protocols::lacp::Negotiation;

const START: Instant = Instant(5_000_000_000);
const UNICAST: MacAddr = MacAddr::new(2, 0, 0, 0, 0, 9);
const P1: OfPort = OfPort(1);
const P2: OfPort = OfPort(2);

fn mac(number: u16) -> MacAddr {
    MacAddr::new(2, 0, 0, 0, 1, number as u8)
}

fn at(millis: u64) -> Instant {
    START.after(Duration::from_millis(millis))
}

/// A bond of two members whose links are up.
fn bond(config: Config) -> Bond {
    let mut bond = Bond::new("bond0", BondId(1), config, START);
    for number in 1..=2 {
        bond.put_member(OfPort(number), &format!("p{number}"), mac(number));
        bond.set_may_enable(OfPort(number), true);
    }
    bond.run(START);
    bond.run(at(10_000));
    bond
}

fn with(mode: Mode) -> Config {
    Config { mode, ..Config::default() }
}

#[test]
fn the_active_member_carries_all_and_a_backup_takes_over() {
    let mut bond = bond(with(Mode::ActiveBackup));
    assert_eq!(bond.choose(|| unreachable!()), Some(P1));
    assert_eq!(bond.admit(P1, UNICAST), Admission::Accept);
    assert_eq!(bond.admit(P2, UNICAST), Admission::Drop);
    assert!(bond.take_announcement());
    let before = bond.version();
    bond.set_may_enable(P1, false);
    bond.run(at(10_001));
    assert_eq!(bond.choose(|| unreachable!()), Some(P2));
    assert_ne!(bond.version(), before);
    assert!(bond.take_announcement());
    assert!(!bond.take_announcement(), "told once");
    bond.set_may_enable(P1, true);
    bond.run(at(10_002));
    assert_eq!(bond.choose(|| unreachable!()), Some(P2), "it stays where it works");
    bond.set_may_enable(P1, false);
    bond.set_may_enable(P2, false);
    bond.run(at(10_003));
    assert_eq!(bond.choose(|| unreachable!()), None);
    assert_eq!(bond.active_mac(), MacAddr::ZERO);
}

#[test]
fn the_primary_is_active_whenever_it_can_be() {
    let mut bond = bond(Config { primary: Some("p2".into()), ..Config::default() });
    assert_eq!(bond.active(), Some(P2));
    bond.set_may_enable(P2, false);
    bond.run(at(10_001));
    assert_eq!(bond.active(), Some(P1));
    bond.set_may_enable(P2, true);
    bond.run(at(10_002));
    assert_eq!(bond.active(), Some(P2));
}

#[test]
fn delays_are_kept_and_told() {
    let delays = Config {
        updelay: Duration::from_millis(100),
        downdelay: Duration::from_millis(50),
        ..Config::default()
    };
    let mut bond = bond(delays);
    bond.take_log();
    bond.set_may_enable(P1, false);
    bond.run(at(10_000));
    assert_eq!(bond.wake(), Some(at(10_050)));
    assert!(bond.show(at(10_010)).contains("  downdelay expires in 40 ms\n"));
    bond.run(at(10_049));
    assert_eq!(bond.active(), Some(P1));
    bond.run(at(10_050));
    assert_eq!(bond.active(), Some(P2));
    bond.set_may_enable(P1, true);
    bond.run(at(10_060));
    assert!(bond.show(at(10_070)).contains("member p1: disabled\n  updelay expires in 90 ms\n"));
    bond.set_may_enable(P1, false);
    bond.run(at(10_100));
    let log = bond.take_log();
    assert_eq!(
        log,
        [
            "member p1: link state down",
            "member p1: will be disabled if it stays down for 50 ms",
            "member p1: disabled",
            "bond bond0: active member is now p2",
            "member p1: link state up",
            "member p1: will be enabled if it stays up for 100 ms",
            "member p1: link state down",
            "member p1: will not be enabled",
        ]
    );
}

#[test]
fn with_no_other_member_the_first_comes_up_at_once() {
    let slow = Config { updelay: Duration::from_secs(9), ..Config::default() };
    let mut bond = Bond::new("b", BondId(1), slow, START);
    bond.put_member(P1, "p1", mac(1));
    bond.set_may_enable(P1, true);
    bond.run(START);
    assert_eq!(bond.active(), Some(P1));
}

#[test]
fn source_balancing_deals_out_and_takes_multicast_from_one_member() {
    let mut bond = bond(with(Mode::BalanceSlb));
    let members: Vec<_> = (0..256).map(|hash| bond.choose(|| hash).unwrap()).collect();
    assert_eq!(members.iter().filter(|&&member| member == P1).count(), 128);
    let again: Vec<_> = (0..256).map(|hash| bond.choose(|| hash + 256).unwrap()).collect();
    assert_eq!(members, again, "eight bits decide, and a share stays");
    assert_eq!(bond.admit(P1, MacAddr::BROADCAST), Admission::DropIfMoved);
    assert_eq!(bond.admit(P2, MacAddr::BROADCAST), Admission::Drop);
    assert_eq!(bond.admit(P2, UNICAST), Admission::DropIfMoved);
    bond.configure(Config { all_active: true, ..with(Mode::BalanceSlb) }, START);
    assert_eq!(bond.admit(P2, MacAddr::BROADCAST), Admission::DropIfMoved);
    bond.set_may_enable(P1, false);
    bond.run(at(10_001));
    assert!((0..256).all(|hash| bond.choose(|| hash) == Some(P2)));
}

#[test]
fn transport_balancing_needs_a_partner_or_falls_back() {
    let mut bond = bond(with(Mode::BalanceTcp));
    assert_eq!(bond.choose(|| 1), None, "without LACP");
    assert_eq!(bond.admit(P1, UNICAST), Admission::Drop);
    bond.set_lacp(LacpState::On(Negotiation::Configured));
    assert_eq!(bond.choose(|| 1), None);
    assert_eq!(bond.admit(P1, UNICAST), Admission::Drop);
    bond.set_lacp(LacpState::On(Negotiation::Negotiated));
    assert!(bond.hashes_in_datapath());
    assert_eq!(bond.choose(|| 0), Some(P1));
    assert_eq!(bond.choose(|| 1), Some(P2));
    assert_eq!(bond.admit(P2, MacAddr::BROADCAST), Admission::Accept);
    bond.configure(Config { fallback_ab: true, ..with(Mode::BalanceTcp) }, START);
    bond.set_lacp(LacpState::On(Negotiation::Configured));
    assert_eq!(bond.choose(|| unreachable!()), Some(P1));
    assert_eq!(bond.admit(P2, UNICAST), Admission::Drop);
    assert!(!bond.hashes_in_datapath());
}

#[test]
fn load_is_evened_out_and_settles() {
    let mut bond = bond(with(Mode::BalanceSlb));
    for hash in 0..8 {
        bond.migrate(hash, "p1").unwrap();
        bond.account(hash, 1_000_000);
    }
    bond.run(at(20_000));
    let on =
        |bond: &mut Bond, member| (0..8).filter(|&h| bond.choose(|| h) == Some(member)).count();
    assert_eq!((on(&mut bond, P1), on(&mut bond, P2)), (4, 4));
    let version = bond.version();
    bond.run(at(30_000));
    assert_eq!(bond.version(), version, "nothing moves any more");
    assert!(bond.show(at(30_000)).contains("  hash 0: "), "the load is shown");
}

#[test]
fn one_heavy_flow_is_not_moved_about() {
    let mut bond = bond(with(Mode::BalanceSlb));
    bond.migrate(3, "p1").unwrap();
    bond.account(3, 50_000_000);
    bond.run(at(20_000));
    assert_eq!(bond.choose(|| 3), Some(P1));
}

#[test]
fn commands_do_what_they_say_or_why_not() {
    let mut bond = bond(with(Mode::BalanceSlb));
    assert_eq!(bond.activate("p2"), Ok(true));
    assert_eq!(bond.activate("p2"), Ok(false));
    assert_eq!(bond.activate("zz"), Err(CommandError::NoMember));
    bond.force("p1", false).unwrap();
    assert_eq!(bond.activate("p1"), Err(CommandError::ActivateDisabled));
    assert_eq!(bond.migrate(1, "p1"), Err(CommandError::MigrateToDisabled));
    assert_eq!(bond.migrate(1, "zz"), Err(CommandError::NoMember));
    bond.configure(with(Mode::ActiveBackup), START);
    assert_eq!(bond.migrate(1, "p2"), Err(CommandError::NotSlb));
    assert_eq!(bond.force("zz", true), Err(CommandError::NoMember));
}

#[test]
fn hashes_are_the_ones_that_operators_know() {
    let source = MacAddr::new(0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff);
    assert_eq!(hash_mac(source, 0, 0) & 0xff, 168);
    assert_eq!(hash_mac(source, 10, 5) & 0xff, 185);
}

#[test]
fn bonds_are_listed_with_their_members() {
    let bond = bond(with(Mode::ActiveBackup));
    assert_eq!(
        super::list([&bond]),
        "bond\ttype\trecircID\tmembers\nbond0\tactive-backup\t0\tp1, p2\n"
    );
    let text = bond.show(at(10_000));
    assert!(text.ends_with("\nmember p2: enabled\n  may_enable: true\n"), "{text}");
    assert!(text.contains("active member mac: 02:00:00:00:01:01(p1)\n"), "{text}");
}

#[test]
fn a_bond_of_one_member_works_and_moves_nothing() {
    for mode in [Mode::ActiveBackup, Mode::BalanceSlb] {
        let mut bond = bond(with(mode));
        bond.remove_member(P2);
        assert_eq!(bond.choose(|| 200), Some(P1));
        bond.account(7, 90_000_000);
        bond.run(at(40_000));
        assert_eq!((bond.choose(|| 7), bond.active()), (Some(P1), Some(P1)));
        bond.set_may_enable(P1, false);
        bond.run(at(40_001));
        assert_eq!(bond.choose(|| 7), None);
    }
}

#[test]
fn the_datapaths_table_is_asked_only_when_it_is_there() {
    let mut bond = bond(Config { lb_output: true, ..with(Mode::BalanceTcp) });
    assert!(bond.wants_table() && !bond.chooses_in_datapath());
    assert!(bond.assignments().iter().all(Option::is_none), "nobody to send to yet");
    bond.set_lacp(LacpState::On(Negotiation::Negotiated));
    let version = bond.version();
    bond.set_tabled(true);
    assert!(bond.chooses_in_datapath() && bond.version() != version);
    let members = bond.assignments();
    assert_eq!(members.iter().filter(|it| **it == Some(P1)).count(), 128);
    bond.configure(with(Mode::BalanceTcp), START);
    assert!(!bond.chooses_in_datapath());
}
