//! Service headers, and fields whose names are long on the wire.

use anyhow::{Result, ensure};
use testkit::reference::BRIDGE;

use super::{both, traced};

const MATCH: &str = "in_port=1,dl_type=0x894f,nsh_ttl=63,nsh_mdtype=1,nsh_spi=0x123456,nsh_si=255,\
                     nsh_c1=0x11223344";

#[test]
fn actions_on_fields_with_long_names_come_back_as_they_were_said() -> Result<()> {
    let lines = both(|switch| {
        let mut seen = Vec::new();
        for version in ["OpenFlow13", "OpenFlow15"] {
            let version = format!("-O{version}");
            for list in [
                "load:0x77->nsh_c3[8..15],2".to_owned(),
                "load:5->nsh_c1,load:3->nsh_flags[0..1],2".to_owned(),
                "set_field:0x2->nsh_flags,set_field:254->nsh_si,set_field:0x7700/0xff00->nsh_c3"
                    .to_owned(),
                "move:nsh_c1[0..15]->nsh_c2[16..31],push:nsh_c1,pop:nsh_c2,2".to_owned(),
                "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678),tlv(0x2000,20,0xfedcba9876543210),\
                 tlv(0x3000,30,0x11))),2"
                    .to_owned(),
            ] {
                let matched = if list.starts_with("encap") { "ip" } else { MATCH };
                switch.ofctl(&["del-flows", BRIDGE])?;
                let flow = format!("{matched},actions={list}");
                switch.ofctl(&[&version, "add-flow", BRIDGE, &flow])?;
                // The oldest version knows no encap.
                let older = if list.starts_with("encap") { &version } else { "-OOpenFlow10" };
                for read in [version.as_str(), older] {
                    let text = switch.ofctl(&[read, "--no-stats", "dump-flows", BRIDGE])?;
                    seen.extend(
                        text.lines().filter(|it| it.contains("actions")).map(str::to_owned),
                    );
                }
            }
        }
        Ok(seen)
    })?;
    ensure!(
        lines.iter().filter(|line| line.contains("tlv(0x3000,30,0x11)")).count() > 1,
        "{lines:#?}"
    );
    Ok(())
}

#[test]
fn a_service_header_is_written_with_what_was_looked_at() -> Result<()> {
    let lines = both(|switch| {
        switch.add_dummy_port("p1", 1)?;
        switch.add_dummy_port("p2", 2)?;
        let header = "nsh_flags=0,nsh_ttl=63,nsh_mdtype=1,nsh_np=3,nsh_spi=0x123456,nsh_si=255,\
                      nsh_c1=0x11223344,nsh_c2=0x55667788,nsh_c3=0x99aabbcc,nsh_c4=0xddeeff00";
        let mut seen = Vec::new();
        for list in [
            "set_field:0x2->nsh_flags,set_field:254->nsh_si,load:0x77->nsh_c3[8..15],2",
            "set_field:9->nsh_c2,2",
            "dec_nsh_ttl,2",
        ] {
            switch.ofctl(&["del-flows", BRIDGE])?;
            switch.ofctl(&[
                "-OOpenFlow13",
                "add-flow",
                BRIDGE,
                &format!("{MATCH},actions={list}"),
            ])?;
            let flow = format!("in_port=1,eth_type=0x894f,{header}");
            seen.push(traced(switch, BRIDGE, &flow)?);
        }
        Ok(seen)
    })?;
    ensure!(lines[0].contains("set(nsh(flags=2,ttl=63,"), "{lines:#?}");
    Ok(())
}
