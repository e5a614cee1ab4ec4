//! What is written back of interfaces is what the reference writes: on veth, tap, internal, patch and
//! tunnel ports, in a namespace of their own.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::netns::{Namespace, veth_pair};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference, Setup};

const NAMES: [&str; 6] = [BRIDGE, "v0", "i0", "t0", "pa", "g0"];

/// A switch with a port of each kind.
fn start(ours: bool) -> Result<(Reference, [Namespace; 2])> {
    let (own, other) = (Namespace::quiet("columns")?, Namespace::quiet("columns-peer")?);
    veth_pair((&own, "v0"), (&other, "eth0"))?;
    let setup = Setup::within(&own);
    let switch = if ours { setup.daemon(testkit::daemon::built()?) } else { setup }.start()?;
    let words = "add-port br0 v0 -- add-port br0 i0 -- set Interface i0 type=internal -- add-port br0 \
                 t0 -- set Interface t0 type=tap -- add-port br0 pa -- set Interface pa type=patch \
                 options:peer=pb -- add-port br0 g0 -- set Interface g0 type=geneve \
                 options:remote_ip=192.0.2.1";
    switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    Ok((switch, [own, other]))
}

fn get(switch: &Reference, name: &str, column: &str) -> Result<String> {
    Ok(switch.vsctl(&["get", "Interface", name, column])?.trim().to_owned())
}

/// The keys of a map.
fn keys(text: &str) -> BTreeSet<String> {
    let inside = text.trim_start_matches('{').trim_end_matches('}');
    inside.split(", ").filter_map(|pair| Some(pair.split_once('=')?.0.to_owned())).collect()
}

#[test]
fn interfaces_are_described_as_the_reference_describes_them() -> Result<()> {
    let (reference, _theirs) = start(false)?;
    let (ours, own) = start(true)?;
    let both = [&reference, &ours];
    // Statistics come with the first interval.
    for switch in both {
        let counted = || {
            let text = get(switch, "v0", "statistics").ok()?;
            text.contains("rx_packets").then_some(())
        };
        patience::eventually("statistics", LIMIT, counted);
    }
    for name in NAMES {
        let columns =
            ["admin_state", "link_state", "link_speed", "duplex", "mtu", "error", "link_resets"];
        for column in columns {
            // Each writes when it gets round to it.
            patience::wait(LIMIT, || {
                let [theirs, own] = both.map(|it| get(it, name, column).ok());
                (own == theirs).then_some(())
            });
            let [theirs, own] = both.map(|it| get(it, name, column));
            let (theirs, own) = (theirs?, own?);
            // That a patch port is without its peer the reference has once not said at all.
            if (name, column) == ("pa", "error") && theirs == "[]" {
                assert!(own.contains("No usable peer 'pb' exists"), "{own}");
                continue;
            }
            assert_eq!(own, theirs, "{name}: {column}");
        }
        let [theirs, own] = both.map(|it| get(it, name, "statistics"));
        assert_eq!(keys(&own?), keys(&theirs?), "{name}: statistics");
        let [theirs, own] = both.map(|it| get(it, name, "mac_in_use").map(|mac| mac.len()));
        assert_eq!(own?, theirs?, "{name}: mac_in_use");
    }
    for name in [BRIDGE, "v0", "i0", "t0"] {
        let [theirs, own] = both.map(|it| get(it, name, "status"));
        let name_of = |text: &str| {
            text.split("driver_name=")
                .nth(1)
                .and_then(|it| it.split([',', '}']).next().map(str::to_owned))
        };
        let (theirs, own) = (theirs?, own?);
        assert_eq!(keys(&own), keys(&theirs), "{name}: status");
        assert_eq!(name_of(&own), name_of(&theirs), "{name}: driver");
    }
    // What controllers see of a link.
    for (version, line) in [("OpenFlow10", "10GB-FD COPPER"), ("OpenFlow15", "10GB-FD COPPER")] {
        let text = ours.ofctl(&["-O", version, "dump-ports-desc", BRIDGE])?;
        ensure!(text.matches(line).count() == 4, "{text}");
    }
    let text = ours.ofctl(&["dump-ports", BRIDGE, "v0"])?;
    ensure!(text.contains("errs=0, frame=0, over=0, crc=0"), "{text}");
    // A link that goes and comes back.
    let resets = || get(&ours, "v0", "link_resets").ok()?.parse::<u32>().ok();
    let before = resets();
    own[1].ip(&["link", "set", "eth0", "down"])?;
    patience::eventually("a reset", LIMIT, || (resets() > before).then_some(()));
    assert_eq!(get(&ours, "v0", "link_state")?, "down");
    own[1].ip(&["link", "set", "eth0", "up"])?;
    let up = || (get(&ours, "v0", "link_state").ok()? == "up").then_some(());
    patience::eventually("the link", LIMIT, up);
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(30);
