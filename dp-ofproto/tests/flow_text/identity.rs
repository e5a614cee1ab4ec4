//! Whatever is printed is read as what it was: matches over the whole field table, actions of all
//! kinds, whole flows.

use dp_core::base::OfPort;
use dp_core::flow::{FIELDS, FieldId};
use dp_ofproto::matching::Match;
use dp_ofproto::table::{Command, FlowMod, RuleFlags};
use dp_ofproto::text::{
    ActionsText, FlowModText, MatchText, NumbersOnly, PortMap, PortNames, parse_actions,
    parse_flow, parse_match,
};

use crate::random::{For, Random, Spelling, random_actions, random_match};

const CASES: usize = 5_000;

#[test]
fn matches_are_read_as_they_were_printed() {
    let mut random = Random(1);
    let mut seen = vec![false; FIELDS.len()];
    for _ in 0..CASES {
        let matching = random_match(&mut random, For::Identity);
        assert_eq!(matching.validate(), Ok(()));
        for (field, seen) in FIELDS.iter().zip(&mut seen) {
            *seen |= matching.field(field.id).1 != 0;
        }
        let text = MatchText { matching: &matching, names: &NumbersOnly }.to_string();
        match parse_match(&text, &NumbersOnly) {
            Ok(read) => assert_eq!(read, matching, "{text}"),
            Err(error) => panic!("{error}\n  in {text}"),
        }
    }
    let unseen: Vec<_> =
        FIELDS.iter().zip(seen).filter(|(_, seen)| !seen).map(|(field, _)| field.name).collect();
    assert!(unseen.is_empty(), "no match tried {unseen:?}");
}

#[test]
fn each_field_alone_is_read_as_it_was_printed() {
    for field in FIELDS {
        let mut random = Random(field.id as u64);
        let mut tried = 0;
        // With whatever else a random match says, so that prerequisites are met.
        for _ in 0..200_000 {
            let around = random_match(&mut random, For::Identity);
            let (value, mask) = around.field(field.id);
            if mask == 0 {
                continue;
            }
            let text = MatchText { matching: &around, names: &NumbersOnly }.to_string();
            let read = parse_match(&text, &NumbersOnly).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(read.field(field.id), (value, mask), "{text}");
            tried += 1;
            if tried == 10 {
                break;
            }
        }
        assert_eq!(tried, 10, "{}", field.name);
    }
}

#[test]
fn actions_are_read_as_they_were_printed() {
    let mut random = Random(2);
    let names: PortMap =
        [(OfPort(1), "p1"), (OfPort(7), "br-int"), (OfPort(9), "9 lives")].into_iter().collect();
    for case in 0..CASES {
        let matching = random_match(&mut random, For::Identity);
        let actions = random_actions(&mut random, &matching, Spelling::All);
        let names: &dyn PortNames = if case % 2 == 0 { &NumbersOnly } else { &names };
        let text = ActionsText { actions: &actions, names }.to_string();
        match parse_actions(&text, names) {
            Ok(read) => assert_eq!(read, actions, "{text}"),
            Err(error) => panic!("{error}\n  in {text}"),
        }
    }
}

#[test]
fn flows_are_read_as_they_were_printed() {
    let mut random = Random(3);
    let commands = [
        Command::Add,
        Command::Modify,
        Command::ModifyStrict,
        Command::Delete,
        Command::DeleteStrict,
    ];
    for case in 0..CASES {
        let matching = random_match(&mut random, For::Identity);
        let command = commands[case % commands.len()];
        let deletes = matches!(command, Command::Delete | Command::DeleteStrict);
        let actions = match deletes {
            true => Vec::new(),
            false => random_actions(&mut random, &matching, Spelling::All),
        };
        let mut small = || u16::try_from(random.below(3)).unwrap();
        let mut flow = FlowMod {
            command,
            matching,
            actions,
            idle_timeout: small(),
            hard_timeout: small(),
            importance: small(),
            flags: RuleFlags {
                check_overlap: small() == 0,
                send_flow_removed: small() == 0,
                reset_counts: small() == 0,
                no_packet_counts: small() == 0,
                no_byte_counts: small() == 0,
            },
            ..FlowMod::default()
        };
        if command != Command::Add {
            flow.cookie = u64::from(small());
            flow.cookie_mask = u64::from(small());
            flow.out_port = Some(OfPort(small())).filter(|port| port.0 != 0);
            if flow.cookie_mask == 0 {
                flow.cookie = 0;
            }
        }
        if !deletes {
            flow.new_cookie = Some(u64::from(small()));
        }
        if command != Command::Delete {
            flow.priority = small();
        }
        let text = FlowModText { flow_mod: &flow, names: &NumbersOnly }.to_string();
        match parse_flow(&text, command, &NumbersOnly) {
            Ok(read) => assert_eq!(read, flow, "{text}"),
            Err(error) => panic!("{error}\n  in {text}"),
        }
    }
}

#[test]
fn names_on_the_wire_are_names_of_fields_too() {
    for field in FIELDS {
        for oxm in field.oxm {
            assert_eq!(FieldId::by_oxm_name(oxm.name), Some(field.id));
        }
    }
    let by_wire = parse_match("NXM_OF_IN_PORT=1,NXM_NX_REG3=4/0xf", &NumbersOnly).unwrap();
    let by_name = Match::build().exact(FieldId::InPort, 1).masked(FieldId::Reg3, 4, 0xf).finish();
    assert_eq!(by_wire, by_name);
}
