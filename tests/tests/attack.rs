//! A tuple space explosion on one port, and what the others notice of it: nothing.
//!
//! An access list of three rules, each on another field, and one for a station, with a wildcard behind
//! them. The stranger at
//! port 1 sends packets that leave the rules at every combination of bits (CVE-2019-25076), from ever new
//! addresses, so that masks and then megaflows go up to their limits. Port 2 has connections that talk
//! now and then, and new ones.

use anyhow::{Result, ensure};
use dp_core::pipeline::Malformed;
use dp_ofproto::bridge::VlanMode;
use dp_tests::{Switch, SwitchConfig};
use testkit::seed::{Rng, Seeded};

const LIST: &str = "priority=9,udp,nw_src=11.0.0.1,actions=drop\n\
                    priority=8,udp,tp_src=12345,actions=drop\n\
                    priority=7,udp,tp_dst=53,actions=output:2\n\
                    priority=2,dl_src=02:00:00:00:00:99,actions=drop\n\
                    priority=1,actions=output:3\n";
const STRANGER: u16 = 1;
const NEIGHBOUR: u16 = 2;
const LIMIT: usize = 800;

fn udp(src: u32, from: u16, to: u16) -> Vec<u8> {
    let mut frame = vec![0x50, 0x54, 0, 0, 0, 0x0a, 0x50, 0x54, 0, 0, 0, 9, 8, 0];
    frame.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(src.to_be_bytes());
    frame.extend([10, 0, 0, 2]);
    frame.extend(from.to_be_bytes());
    frame.extend(to.to_be_bytes());
    frame.extend([0, 26, 0, 0]);
    frame.resize(60, 0);
    frame
}

/// The next packet of the attack: each value leaves its rule's at a bit, and is random below it.
fn hostile(rng: &mut Rng) -> Vec<u8> {
    let mut leave = |value: u64, bits: u64| {
        let bit = rng.below(bits);
        value ^ 1 << bit ^ rng.below(1 << bit)
    };
    let (src, from, to) = (leave(0x0b00_0001, 32), leave(12345, 16), leave(53, 16));
    udp(src as u32, from as u16, to as u16)
}

/// A packet of one of the neighbour's connections.
fn harmless(number: u32) -> Vec<u8> {
    let mut frame = udp(0x0a01_0001, 4000, 4001);
    // The rule for a station tells stations apart, so each has a megaflow of its own.
    if let Some(src) = frame.get_mut(8..12) {
        src.copy_from_slice(&number.to_be_bytes());
    }
    frame
}

struct Attack {
    switch: Switch,
    rng: Seeded,
}

impl Attack {
    fn new() -> Result<Self> {
        let ports = vec![VlanMode::default(); 3];
        let malformed = Malformed::Drop;
        let mut switch = Switch::new(&SwitchConfig { ports, malformed, always_move: true })?;
        switch.set_flows(LIST)?;
        switch.ofproto().set_flow_limit(LIMIT);
        Ok(Self { switch, rng: Seeded::new(0xa77a_c4ed) })
    }

    /// That many hostile packets, a millisecond each.
    fn rage(&mut self, packets: usize) -> Result<()> {
        for _ in 0..packets {
            let frame = hostile(&mut self.rng);
            self.switch.receive(STRANGER, &frame)?;
        }
        Ok(())
    }

    /// Whether a packet of the neighbour's is answered by a megaflow; it leaves in any case.
    fn is_known(&mut self, number: u32) -> Result<bool> {
        let before = self.switch.ofproto().counters().answered();
        let left = self.switch.receive(NEIGHBOUR, &harmless(number))?;
        ensure!(left.contains_key(&3), "connection {number} is not served");
        Ok(self.switch.ofproto().counters().answered() == before)
    }
}

#[test]
fn an_attack_on_one_port_leaves_the_others_flows_alone() -> Result<()> {
    let mut attack = Attack::new()?;
    // Connections that the access list tells apart: megaflows of their own.
    let established = 0..50;
    for number in established.clone() {
        attack.is_known(number)?;
    }
    let mut new = established.end;
    for (turn, number) in established.cycle().take(400).enumerate() {
        attack.rage(10)?;
        ensure!(attack.is_known(number)?, "connection {number} was forgotten");
        // 40 new ones a second: of the reserve, there are 50 a second at least.
        if turn % 2 == 0 && new < 200 {
            ensure!(!attack.is_known(new)?, "it is new");
            ensure!(attack.is_known(new)?, "connection {new} got no megaflow");
            new += 1;
        }
        let flows = attack.switch.megaflows();
        ensure!(flows <= LIMIT, "{flows} megaflows");
    }
    let over = attack.switch.ofproto().counters().over_limit();
    ensure!(over > 500, "the attack has not filled the table: {over} answers beside it");
    Ok(())
}

#[test]
fn who_has_less_than_a_share_gets_it_back_by_an_eighth_of_the_table_every_two_rounds() -> Result<()>
{
    let mut attack = Attack::new()?;
    attack.rage(2_000)?;
    let taken = attack.switch.megaflows();
    ensure!(taken <= LIMIT - LIMIT / 8 && taken > LIMIT / 2, "{taken} megaflows");
    // More at once than the reserve holds, and less than a share.
    let mut waiting: Vec<u32> = (0..250).collect();
    let mut passed = 0;
    while !waiting.is_empty() {
        let mut still = Vec::new();
        for number in waiting {
            attack.rage(1)?;
            if !attack.is_known(number)? {
                still.push(number);
            }
            passed += 2;
        }
        waiting = still;
        // A hundred at once, a hundred after two rounds of half a second, the rest after two more; and who
        // waits asks again.
        ensure!(passed <= 4 * 500 + 500, "{} still have no megaflow", waiting.len());
    }
    ensure!(attack.switch.megaflows() <= LIMIT, "{} megaflows", attack.switch.megaflows());
    Ok(())
}
