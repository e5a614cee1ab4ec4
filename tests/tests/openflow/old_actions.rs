//! Actions of OpenFlow 1.1 in messages of later versions, and which matches actions need: as with the
//! reference.

use anyhow::Result;
use testkit::reference::{BRIDGE, Reference};

use crate::raw::{Peer, hex};

/// The matches: fields as on the wire.
const MATCHES: &[&str] = &[
    "",
    "80000a02 0800",
    "80000a02 0800 80001401 06",
    "80000a02 0800 80001401 84",
    "80000a02 0800 80001401 01",
    "80000a02 86dd",
    "80000a02 86dd 80001401 11",
    "80000a02 8847",
    "80000c02 1005",
    "80000a02 0806",
];

/// The actions: type, length, body.
const ACTIONS: &[&str] = &[
    "0001 0008 00050000",
    "0002 0008 03000000",
    "0003 0010 505400000001 000000000000",
    "0004 0010 505400000001 000000000000",
    "0005 0008 0a000001",
    "0006 0008 0a000002",
    "0007 0008 20000000",
    "0008 0008 02000000",
    "0009 0008 00500000",
    "000a 0008 00510000",
    "000d 0008 00000064",
    "000e 0008 03000000",
    "000f 0008 40000000",
    "0010 0008 00000000",
    "0014 0008 08000000",
    "0017 0008 40000000",
    "0018 0008 00000000",
    // A field that is none.
    "0019 0008 00000000",
    // Values that do not fit.
    "0002 0008 08000000",
    "0007 0008 21000000",
];

const FLOW_MOD: u8 = 14;
const ERROR: u8 = 1;

/// Adds a flow for each match and action, applied and written. Returns what each attempt came to.
fn run(switch: &Reference) -> Result<(Vec<Vec<u8>>, Vec<String>)> {
    let versions = "protocols=OpenFlow10,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15";
    switch.vsctl(&["set", "Bridge", BRIDGE, versions])?;
    let (mut errors, mut flows) = (Vec::new(), Vec::new());
    for version in [3, 4, 5, 6] {
        let mut peer = Peer::connect(switch, version)?;
        let mut priority = 0u16;
        for fields in MATCHES.iter().map(|text| hex(text)) {
            for (instruction, action) in
                ACTIONS.iter().flat_map(|text| [(4u16, hex(text)), (3, hex(text))])
            {
                priority += 1;
                // Cookie and its mask, table 0, add; timeouts; no buffer, any port and group.
                let mut body = vec![0; 22];
                body.extend(priority.to_be_bytes());
                body.extend([0xff; 12]);
                body.extend([0; 4]);
                let len = u16::try_from(4 + fields.len())?;
                body.extend([1u16.to_be_bytes(), len.to_be_bytes()].concat());
                body.extend(&fields);
                body.resize(body.len() + (8 - usize::from(len) % 8) % 8, 0);
                let len = u16::try_from(8 + action.len())?;
                body.extend([instruction.to_be_bytes(), len.to_be_bytes()].concat());
                body.extend([0; 4]);
                body.extend(&action);
                peer.send(FLOW_MOD, &body)?;
            }
            let told = peer.received()?.into_iter().filter(|it| it.get(1) == Some(&ERROR));
            // Which message it was, and what is wrong with it.
            errors.extend(told.map(|it| it[4..12].to_vec()));
        }
        let dump = switch.ofctl(&["--no-stats", "--no-names", "--sort", "dump-flows", BRIDGE])?;
        flows.extend(dump.lines().map(str::to_owned));
        switch.ofctl(&["del-flows", BRIDGE])?;
    }
    Ok((errors, flows))
}

#[test]
fn old_actions_are_taken_and_need_the_same_matches() -> Result<()> {
    let (theirs, own) = (run(&Reference::start()?)?, run(&Reference::start_ours()?)?);
    assert_eq!(theirs.0, own.0);
    assert_eq!(theirs.1, own.1);
    assert!(own.1.iter().any(|it| it.contains("mod_nw_src:10.0.0.1")), "{:?}", own.1);
    assert!(own.1.len() > 500 && own.0.len() > 500, "{} and {}", own.1.len(), own.0.len());
    Ok(())
}
