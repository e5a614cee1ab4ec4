//! Rules that no controller made: in-band control and fail-open, as the reference has them.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

/// The lines of `bridge/dump-flows` without durations, in order, without the reference's internal
/// table, which says in rules what translation does here.
fn rules(switch: &Reference) -> Result<Vec<String>> {
    let text = switch.appctl(&["bridge/dump-flows", BRIDGE])?;
    let kept = text.lines().filter(|line| !line.contains("table_id=254"));
    let mut lines: Vec<_> = kept
        .map(|line| {
            let words = line.split(' ').filter(|word| !word.starts_with("duration="));
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    lines.sort();
    Ok(lines)
}

/// Waits until both have the same rules, `enough` of them.
fn agree(both: [&Reference; 2], what: &str, enough: usize) -> Result<()> {
    let mut last = None;
    let same = patience::wait(LIMIT, || {
        let rules = both.map(|switch| rules(switch).ok());
        let [theirs, ours] = &rules;
        let same = theirs == ours && ours.as_ref().is_some_and(|it| it.len() >= enough);
        last = Some(rules);
        same.then_some(())
    });
    ensure!(same.is_some(), "{what}: {last:#?}");
    Ok(())
}

#[test]
fn controllers_and_managers_are_reached_in_band_unless_that_is_off() -> Result<()> {
    let (reference, ours) = (Reference::start()?, Reference::start_ours()?);
    let both = [&reference, &ours];
    let set = |words: &str| -> Result<()> {
        let words: Vec<&str> = words.split(' ').collect();
        both.iter().try_for_each(|it| it.vsctl(&words).map(drop))?;
        Ok(())
    };
    set(&format!("set Bridge {BRIDGE} fail_mode=secure other_config:hwaddr=aa:55:aa:55:00:00"))?;
    for switch in both {
        switch.add_dummy_port("p1", 1)?;
        // Goes with the first controller that comes.
        switch.add_flow(BRIDGE, "table=3,priority=70,tcp,tp_dst=5,actions=output:1")?;
    }
    agree(both, "none", 1)?;
    set(&format!("set-controller {BRIDGE} tcp:127.0.0.9:6653 tcp:127.0.0.8"))?;
    agree(both, "two controllers", 11)?;
    // No flow-mod reaches them, and none of them is in what controllers are told.
    for switch in both {
        switch.ofctl(&["del-flows", BRIDGE])?;
        let told = switch.ofctl(&["dump-flows", BRIDGE])?;
        ensure!(!told.contains("1800"), "{told}");
    }
    agree(both, "after deletion", 11)?;
    let dhcp = "in_port=1,udp,nw_dst=255.255.255.255,udp_src=67,udp_dst=68";
    let asked = "in_port=1,tcp,nw_src=127.0.0.9,nw_dst=192.168.0.1,tcp_src=6653,tcp_dst=7";
    for flow in [dhcp, asked] {
        let texts = both.map(|it| it.trace(BRIDGE, flow));
        let [theirs, own] = texts;
        assert_eq!(theirs?, own?);
    }
    set(&format!("set Bridge {BRIDGE} other_config:in-band-queue=3"))?;
    agree(both, "a queue", 11)?;
    set("set-manager tcp:127.0.0.7:6640")?;
    agree(both, "a manager", 15)?;
    set(&format!("del-controller {BRIDGE}"))?;
    agree(both, "the manager alone", 7)?;
    set(&format!(
        "set-controller {BRIDGE} tcp:127.0.0.9:6653 -- set Bridge {BRIDGE} other_config:disable-in-band=true"
    ))?;
    agree(both, "disabled", 0)?;
    ensure!(rules(&ours)?.is_empty());
    Ok(())
}

#[test]
fn a_bridge_without_its_controllers_becomes_a_plain_switch_if_it_may() -> Result<()> {
    let (reference, ours) = (Reference::start()?, Reference::start_ours()?);
    let both = [&reference, &ours];
    for switch in both {
        switch.time_stop()?;
        let words = format!(
            "set-fail-mode {BRIDGE} standalone -- set Bridge {BRIDGE} other_config:disable-in-band=true \
             -- set-controller {BRIDGE} tcp:127.0.0.9:9"
        );
        switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
        switch.add_flow(BRIDGE, "priority=9,arp,actions=drop")?;
    }
    agree(both, "waiting", 1)?;
    for switch in both {
        switch.time_warp(Duration::from_secs(20), Some(Duration::from_millis(500)))?;
    }
    // The flows are gone, and one rule switches everything.
    agree(both, "failed open", 1)?;
    ensure!(rules(&ours)?.iter().all(|it| it.contains("priority=15790320,actions=NORMAL")));
    for switch in both {
        switch.vsctl(&["set-fail-mode", BRIDGE, "secure"])?;
        switch.time_warp(Duration::from_secs(2), Some(Duration::from_millis(500)))?;
    }
    agree(both, "secure", 0)?;
    ensure!(rules(&ours)?.is_empty());
    Ok(())
}

#[test]
fn flows_go_with_the_controllers_that_a_bridge_calls_and_not_with_those_that_call() -> Result<()> {
    let (reference, ours) = (Reference::start()?, Reference::start_ours()?);
    let both = [&reference, &ours];
    let off = format!("set Bridge {BRIDGE} fail_mode=standalone other_config:disable-in-band=true");
    let passive = format!("set-controller {BRIDGE} ptcp:0:127.0.0.1");
    let active = format!("set-controller {BRIDGE} ptcp:0:127.0.0.1 tcp:127.0.0.9:9");
    let (secure, standalone) =
        (format!("set-fail-mode {BRIDGE} secure"), format!("set-fail-mode {BRIDGE} standalone"));
    let none = format!("del-controller {BRIDGE}");
    // What is set, and how many rules there are then; a flow is added after each.
    let steps = [
        (&off, 1),
        (&passive, 2),
        (&active, 0),
        (&secure, 1),
        (&standalone, 1),
        (&passive, 1),
        (&secure, 0),
        (&none, 1),
        (&standalone, 1),
    ];
    for (n, (words, count)) in steps.into_iter().enumerate() {
        for switch in both {
            switch.vsctl(&words.split(' ').collect::<Vec<_>>())?;
        }
        let come = patience::wait(LIMIT, || {
            let counts = both.map(|switch| rules(switch).ok().map(|rules| rules.len()));
            (counts == [Some(count), Some(count)]).then_some(())
        });
        let shown = both.map(|switch| rules(switch).ok());
        ensure!(come.is_some() && shown[0] == shown[1], "{n}: {words}: {count}: {shown:#?}");
        for switch in both {
            switch.add_flow(BRIDGE, &format!("priority=7,dl_type={},actions=drop", 0x1000))?;
        }
    }
    Ok(())
}

#[test]
fn a_controller_that_comes_and_goes_does_not_keep_a_bridge_from_failing_open() -> Result<()> {
    let switch = Reference::start_ours()?;
    let path = switch.folder().join("fickle");
    let listener = std::os::unix::net::UnixListener::bind(&path)?;
    // Says hello and hangs up, as long as the switch calls.
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = std::io::Write::write_all(&mut stream, &[1, 0, 0, 8, 0, 0, 0, 1]);
        }
    });
    switch.time_stop()?;
    let target = format!("unix:{}", path.display());
    let off = "other_config:disable-in-band=true";
    let words = ["set-fail-mode", BRIDGE, "standalone", "--", "set", "Bridge", BRIDGE, off];
    switch.vsctl(&[&words[..], &["--", "set-controller", BRIDGE, &target]].concat())?;
    switch.add_flow(BRIDGE, "priority=9,arp,actions=drop")?;
    let open = |switch: &Reference| {
        rules(switch).is_ok_and(|it| it.iter().any(|line| line.contains("priority=15790320")))
    };
    let opened = patience::wait(LIMIT, || {
        switch.time_warp(Duration::from_secs(1), None).ok()?;
        open(&switch).then_some(())
    });
    ensure!(opened.is_some(), "{:?}\n{}", rules(&switch), switch.log_tail());
    // It calls again, and that changes nothing.
    for _ in 0..20 {
        switch.time_warp(Duration::from_secs(1), None)?;
        ensure!(open(&switch), "{}", switch.log_tail());
    }
    let log = std::fs::read_to_string(switch.folder().join("ovs-vswitchd.log"))?;
    assert_eq!(log.matches("failing open").count(), 1, "{log}");
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(10);
