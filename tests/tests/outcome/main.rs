//! Every action of OpenFlow, in tables drawn by chance: the daemon and the reference take and refuse the
//! same flows, and of the same packets the same bytes leave by the same ports.
//!
//! Some tables are the same every time, some are new. `DP_OUTCOME_ROUNDS` says how many new ones, and
//! `DP_OUTCOME_SEED` draws again what was drawn before:
//!
//! ```sh
//! DP_OUTCOME_ROUNDS=200 cargo test -p dp-tests --test outcome     # 10,000 packets and more
//! ```

mod draw;

use anyhow::{Context, Result, ensure};
use dp_tests::rules;
use testkit::packets::samples;
use testkit::reference::{BRIDGE, Reference, Setup};
use testkit::seed::{Rng, asked, fresh};

use self::draw::{PORTS, TABLES, Tables};

/// Packets of a table, each of which comes twice: once by translation, once by the megaflow.
const PACKETS: usize = 25;

struct Pair([Reference; 2]);

impl Pair {
    fn start() -> Result<Self> {
        let ours = Setup::newer()?.daemon(testkit::daemon::built()?).start()?;
        let pair = Self([Reference::start_newer()?, ours]);
        for switch in &pair.0 {
            switch.vsctl(&["set", "Bridge", BRIDGE, "fail_mode=secure"])?;
            for n in 1..=PORTS {
                switch.add_dummy_port(&format!("p{n}"), u16::try_from(n)?)?;
            }
        }
        Ok(pair)
    }

    /// What a switch says to words of `ovs-ofctl`: nothing, or why it refuses.
    fn refusal(switch: &Reference, words: &[&str]) -> Option<String> {
        let error = switch.ofctl(&[&["-O", "OpenFlow15"][..], words].concat()).err()?;
        let text = error.to_string();
        let line = text.lines().find(|line| line.contains("OFP") || line.contains("ovs-ofctl:"));
        Some(line.unwrap_or(&text).to_owned())
    }

    /// Sets the tables of both, as far as the reference takes them. Gives what it took.
    fn set(&self, tables: &Tables) -> Result<Vec<String>> {
        for switch in &self.0 {
            for words in [["del-flows", BRIDGE], ["del-groups", BRIDGE]] {
                switch.ofctl(&[&["-O", "OpenFlow15"][..], &words].concat())?;
            }
        }
        let mut taken = Vec::new();
        let groups = tables.groups.iter().map(|group| ("add-group", group));
        let flows = tables.flows.iter().map(|flow| ("add-flow", flow));
        for (verb, line) in groups.chain(flows) {
            let [theirs, own] =
                self.0.each_ref().map(|switch| Self::refusal(switch, &[verb, BRIDGE, line]));
            ensure!(theirs == own, "{verb} {line}\n  reference: {theirs:?}\n  ours:      {own:?}");
            if theirs.is_none() {
                taken.push(line.clone());
            }
        }
        for switch in &self.0 {
            switch.appctl(&["dpctl/flush-conntrack"])?;
            switch.appctl(&["revalidator/purge"])?;
        }
        Ok(taken)
    }

    /// Gives both the same frame, twice. Where tables `learn`, what is learned from one is in force for
    /// the next.
    fn give(&self, port: u64, frame: &[u8], learn: bool) -> Result<()> {
        for (switch, name) in self.0.iter().zip(["reference", "ours"]) {
            for _ in 0..2 {
                let given = switch.receive_frame(&format!("p{port}"), frame);
                let purged = || switch.appctl(&["revalidator/purge"]).map(drop);
                given.and_then(|()| if learn { purged() } else { Ok(()) }).with_context(|| {
                    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("{name}, p{port} {hex}")
                })?;
            }
        }
        Ok(())
    }

    /// Frames that have left by each port, of either switch.
    fn sent(&self) -> Result<[Vec<Vec<Vec<u8>>>; 2]> {
        let of = |switch: &Reference| -> Result<Vec<Vec<Vec<u8>>>> {
            (1..=PORTS).map(|n| Ok(switch.sent(&format!("p{n}"))?)).collect()
        };
        Ok([of(&self.0[0])?, of(&self.0[1])?])
    }
}

/// What the switches have done so far: flows taken, frames sent.
#[derive(Default)]
struct Tally {
    flows: usize,
    refused: usize,
    frames: usize,
}

/// One set of tables and the packets for it.
fn round(
    pair: &Pair,
    seed: u64,
    before: &mut [usize; PORTS as usize],
    tally: &mut Tally,
) -> Result<()> {
    let mut rng = Rng::new(seed);
    let tables = draw::tables(&mut rng);
    let taken = pair.set(&tables)?;
    tally.flows += taken.len();
    tally.refused += tables.flows.len() + tables.groups.len() - taken.len();
    let tracks = taken.iter().any(|line| line.contains("ct("));
    let learn = taken.iter().any(|line| line.contains("learn("));
    let samples = samples::all();
    let mut given = Vec::new();
    for _ in 0..PACKETS {
        let frame = match rng.below(3) {
            0 => rng.pick(&samples).context("there are some")?.frame.clone(),
            1 => draw::packet(&mut rng),
            _ => rules::packet(&mut rng),
        };
        // The command takes nothing shorter. Into later pieces the reference writes fields that they do not
        // have, and forgets the checksum of a datagram that is whole in one, or goes by segments.
        if frame.len() < 14 || is_forgotten(&frame) {
            continue;
        }
        let port = 1 + rng.below(PORTS);
        pair.give(port, &frame, learn).with_context(|| taken.join("\n"))?;
        given.push((port, frame));
    }
    let [theirs, own] = pair.sent()?;
    for (at, (theirs, own)) in theirs.iter().zip(&own).enumerate() {
        let known = before[at];
        let fresh = |all: &[Vec<u8>]| {
            let mut all = all.get(known..).unwrap_or_default().to_vec();
            // What comes back from the tracker is sent at once there and after the rest here.
            if tracks {
                all.sort_unstable();
            }
            all
        };
        let (theirs, own) = (fresh(theirs), fresh(own));
        tally.frames += theirs.len();
        before[at] += theirs.len();
        if theirs == own {
            continue;
        }
        let alike = theirs.iter().zip(&own).take_while(|(one, other)| one == other).count();
        let hex = |frames: &[Vec<u8>]| {
            frames
                .get(alike)
                .map(|frame| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        };
        anyhow::bail!(
            "port {}, frame {alike} of {} and {}:\n  reference: {:?}\n  ours:      {:?}\n{}\n{}",
            at + 1,
            theirs.len(),
            own.len(),
            hex(&theirs),
            hex(&own),
            taken.join("\n"),
            blame(pair, &given)?
        );
    }
    Ok(())
}

/// Whether a datagram, tagged or not, is a piece of one: over IPv6 of any kind, over IPv4 not the first. Or
/// whether it has a routing header.
fn is_forgotten(frame: &[u8]) -> bool {
    (0..3).map(|tags| 14 + 4 * tags).any(|ip| {
        let at = |offset: usize| frame.get(ip + offset).copied().unwrap_or(0);
        match at(0) >> 4 {
            4 => at(6) & 0x1f != 0 || at(7) != 0,
            6 => matches!(at(6), 43 | 44),
            _ => false,
        }
    })
}

/// Which of the packets it was: what either switch makes of each, by itself.
fn blame(pair: &Pair, given: &[(u64, Vec<u8>)]) -> Result<String> {
    for (port, frame) in given {
        let before = pair.sent()?;
        pair.give(*port, frame, true)?;
        let after = pair.sent()?;
        let fresh = |which: usize| -> Vec<Vec<Vec<u8>>> {
            let both = after[which].iter().zip(&before[which]);
            let fresh = both.map(|(after, before)| {
                let mut fresh = after.get(before.len()..).unwrap_or_default().to_vec();
                fresh.sort_unstable();
                fresh
            });
            fresh.collect()
        };
        if fresh(0) != fresh(1) {
            let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
            let traces = pair
                .0
                .each_ref()
                .map(|switch| switch.trace_frame(BRIDGE, u16::try_from(*port).unwrap_or(1), frame));
            let [theirs, own] = traces;
            return Ok(format!("p{port} {hex}\n--- reference\n{}\n--- ours\n{}", theirs?, own?));
        }
    }
    Ok("no packet by itself".to_owned())
}

/// What follows a table that writes an action set which sends to port 4. Table 7 sends and exits.
const BESIDE_A_SET: &[&str] = &[
    "clone(output:3)",
    "clone(output:3),clear_actions",
    "clone(set_field:02:00:00:00:00:01->eth_dst,output:3),output:2",
    "clone(ct(commit),output:3)",
    "clone(ct(table=8))",
    "clone(exit),output:3",
    "clone(output:3,exit),output:2",
    "clone(resubmit(,7)),output:2",
    "resubmit(,7),output:2",
    "exit",
    "clone(write_actions(output:2))",
    "check_pkt_larger(100)->NXM_NX_REG0[0],output:3",
    "check_pkt_larger(100)->NXM_NX_REG0[0],clear_actions",
    "check_pkt_larger(100)->NXM_NX_REG0[0],write_actions(set_field:7->nw_ttl)",
    "check_pkt_larger(100)->NXM_NX_REG0[0],resubmit(,7),output:2",
    "check_pkt_larger(100)->NXM_NX_REG0[0],ct(table=8),output:3",
    "check_pkt_larger(100)->NXM_NX_REG0[0],resubmit(,8),output:2",
    "group:1,output:3",
];

/// Lists on copies of the packet have sets of their own; what was written before acts once, in the end.
#[test]
fn action_sets_act_once_whatever_branches_off_before() -> Result<()> {
    let pair = Pair::start()?;
    for actions in BESIDE_A_SET {
        let flows = [
            "table=0,ip,actions=write_actions(output:4),goto_table:3".to_owned(),
            format!("table=3,ip,actions={actions}"),
            "table=7,actions=set_field:02:00:00:00:00:05->eth_dst,output:3,exit".to_owned(),
            "table=8,ip,reg0=1,actions=output:3,write_actions(set_field:7->nw_ttl)".to_owned(),
            "table=8,ip,reg0=0,actions=set_field:9->nw_ttl,output:3".to_owned(),
        ];
        let group = "group_id=1,type=all,bucket=actions=exit,bucket=actions=output:2".to_owned();
        pair.set(&Tables { groups: vec![group], flows: flows.to_vec() })?;
        let [theirs, own] = pair.0.each_ref().map(|switch| -> Result<String> {
            let text = switch.trace(BRIDGE, "in_port=1,ip,nw_ttl=64")?;
            // The numbers of recirculation have no meaning.
            let numbers = |line: &str| line.split("recirc").next().unwrap_or_default().to_owned();
            Ok(text.lines().map(numbers).collect::<Vec<_>>().join("\n"))
        });
        let (theirs, own) = (theirs?, own?);
        ensure!(theirs == own, "{actions}\n--- reference\n{theirs}\n--- ours\n{own}");
    }
    Ok(())
}

/// What an action set can hold, and what neither switch takes into one.
#[test]
fn action_sets_take_what_the_references_take() -> Result<()> {
    let pair = Pair::start()?;
    let mut refused = 0;
    let (mut rng, mut actions) = (Rng::new(5), Vec::new());
    for _ in 0..25 {
        actions.push(draw::any(&mut rng));
    }
    let named = "controller(max_len=5);controller(max_len=5,pause);conjunction(1,1/2);exit;note:01;\
                 sample(probability=5,collector_set_id=1);fin_timeout(idle_timeout=5);\
                 clone(output:1);dec_ttl(1,2);encap(ethernet);decap();ct_clear;resubmit(,5);\
                 push:NXM_NX_REG0[];pop:NXM_NX_REG0[];pop_queue;set_tunnel:5;group:1";
    actions.extend(named.split(';').map(|it| it.trim().to_owned()));
    let group = "group_id=1,type=all,bucket=actions=output:1".to_owned();
    for action in actions {
        let flow = format!("tcp,actions=write_actions({action})");
        let taken = pair.set(&Tables { groups: vec![group.clone()], flows: vec![flow] })?;
        refused += usize::from(taken.len() == 1);
    }
    ensure!(refused > 9, "{refused}");
    Ok(())
}

#[test]
fn whatever_the_tables_say_the_same_bytes_leave_as_from_the_reference() -> Result<()> {
    let fresh = fresh("DP_OUTCOME_SEED");
    let rounds = asked("DP_OUTCOME_ROUNDS").unwrap_or(1);
    let mut pair = Pair::start()?;
    let (mut before, mut tally, mut ended) = ([0; PORTS as usize], Tally::default(), 0);
    let seeds = (0..6).chain((0..rounds).map(|nth| fresh.wrapping_add(nth << 32)));
    for seed in seeds {
        let outcome = round(&pair, seed, &mut before, &mut tally);
        let lives = |switch: &Reference| switch.appctl(&["version"]).is_ok();
        if outcome.is_err() && !lives(&pair.0[0]) && lives(&pair.0[1]) {
            // Some tables end the reference: there is nothing to compare.
            ended += 1;
            (pair, before) = (Pair::start()?, [0; PORTS as usize]);
            continue;
        }
        outcome.with_context(|| format!("DP_OUTCOME_SEED={fresh}, {seed}"))?;
    }
    ensure!(ended <= 1 + rounds / 4, "{ended} tables ended the reference");
    let Tally { flows, refused, frames } = tally;
    println!(
        "{flows} flows and groups taken, {refused} refused, {frames} frames left; {ended} tables ended \
         the reference"
    );
    ensure!(frames > 50 && flows > 6 * usize::try_from(TABLES)?, "{frames} frames, {flows} flows");
    Ok(())
}
