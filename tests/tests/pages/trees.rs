//! Spanning trees whose ports' numbers are set by hand.

use anyhow::{Result, ensure};
use testkit::reference::BRIDGE;

use super::{both, emptied, vsctl};

#[test]
fn a_port_with_a_wrong_number_takes_no_part_and_the_others_do() -> Result<()> {
    let told = both(|switch| {
        emptied(switch, 3)?;
        vsctl(switch, &format!("set bridge {BRIDGE} other-config:hwaddr=aa:66:aa:66:00:00"))?;
        vsctl(switch, &format!("set bridge {BRIDGE} stp_enable=true"))?;
        let mut all = Vec::new();
        let mut set = |what: &str| -> Result<()> {
            vsctl(switch, what)?;
            // Where there is no tree, that is the answer.
            let text = switch.appctl(&["stp/show", BRIDGE]).unwrap_or_default();
            let mut ports: Vec<_> = text
                .lines()
                .filter(|line| line.trim_start().starts_with('p'))
                .map(str::to_owned)
                .collect();
            ports.sort_unstable();
            all.push(format!("{what}: {ports:#?}"));
            Ok(())
        };
        set("set port p1 other_config:stp-port-num=300")?;
        for n in 2..=3 {
            set(&format!("set port p{n} other_config:stp-port-num={n}"))?;
        }
        for number in ["0", "255", "256"] {
            set(&format!("set port p1 other_config:stp-port-num={number}"))?;
        }
        set("remove port p1 other_config stp-port-num")?;
        set("set port p1 other_config:stp-port-num=7")?;
        Ok(all)
    })?;
    ensure!(told[0].matches("designated").count() == 2, "two take part: {}", told[0]);
    Ok(())
}
