//! OpenFlow messages of a peer that may say anything.

use dp_ofproto::openflow::actions::{decode_list, encode_list, instructions};
use dp_ofproto::openflow::matches::flow::{self, Unknown};
use dp_ofproto::openflow::packet::{PacketOut, Resume};
use dp_ofproto::openflow::wire::Cursor;
use dp_ofproto::openflow::{
    Version, ct_flush, flow_mod, flow_stats, group_mod, meter, monitor, multipart, port, table,
};

/// The first byte chooses version and kind, the rest is the body. What is read is written and read
/// again: the same.
pub fn openflow_messages(data: &[u8]) {
    let Some((&choice, body)) = data.split_first() else { return };
    let Some(version) = Version::ALL.get(usize::from(choice % 6)) else { return };
    match choice / 6 {
        0 => actions(body, *version),
        1 => rules(body, *version),
        2 => matches(body, *version),
        3 => flow_mods(body, *version),
        4 => groups(body, *version),
        _ => others(body, *version),
    }
}

fn actions(body: &[u8], version: Version) {
    let Ok(read) = decode_list(Cursor::new(body), version) else { return };
    let mut written = Vec::new();
    encode_list(&mut written, &read, version);
    let again = decode_list(Cursor::new(&written), version);
    assert!(again.is_ok(), "{again:?} for {read:?} as {written:02x?}");
    let again = again.unwrap_or_default();
    let mut twice = Vec::new();
    encode_list(&mut twice, &again, version);
    assert_eq!(written, twice, "{read:?} and {again:?}");
}

fn rules(body: &[u8], version: Version) {
    let Ok(read) = instructions::decode_rule(Cursor::new(body), version) else { return };
    let mut written = Vec::new();
    instructions::encode_rule(&mut written, &read, version);
    let again = instructions::decode_rule(Cursor::new(&written), version);
    assert!(again.is_ok(), "{again:?} for {read:?} as {written:02x?}");
}

fn matches(body: &[u8], version: Version) {
    let Ok(read) = flow::decode(Cursor::new(body), Unknown::Refuse) else { return };
    let mut written = Vec::new();
    flow::encode(&mut written, &read.matching, version);
    let again = flow::decode(Cursor::new(&written), Unknown::Refuse);
    let same = again.as_ref().is_ok_and(|again| again.matching == read.matching);
    assert!(same, "{again:?} for {read:?} as {written:02x?}");
}

fn flow_mods(body: &[u8], version: Version) {
    let read = match version {
        Version::V10 => flow_mod::decode10(body, true),
        _ => flow_mod::decode11(body, version),
    };
    let _ = flow_mod::decode_nicira(body, true, version);
    let Ok(read) = read else { return };
    let mut written = Vec::new();
    match version {
        Version::V10 => flow_mod::encode10(&mut written, &read, true),
        _ => flow_mod::encode11(&mut written, &read, version),
    }
    let again = match version {
        Version::V10 => flow_mod::decode10(&written, true),
        _ => flow_mod::decode11(&written, version),
    };
    assert!(again.is_ok(), "{again:?} for {read:?} as {written:02x?}");
}

fn groups(body: &[u8], version: Version) {
    let Ok(read) = group_mod::decode(version, body) else { return };
    let mut written = Vec::new();
    group_mod::encode(&mut written, &read, version);
    let again = group_mod::decode(version, &written);
    assert!(again.is_ok(), "{again:?} for {read:?} as {written:02x?}");
}

/// Whatever they are, they are read or refused.
fn others(body: &[u8], version: Version) {
    let _ = PacketOut::decode(version, body);
    let _ = Resume::decode(body);
    let _ = ct_flush::CtFlush::decode(body);
    let _ = flow_stats::FlowStatsRequest::decode10(body);
    let _ = flow_stats::FlowStatsRequest::decode_nicira(body);
    let _ = flow_stats::FlowStatsRequest::decode11(body, version);
    let _ = meter::MeterMod::decode(body);
    let _ = multipart::decode(version, body);
    let _ = port::PortMod::decode(version, body);
    let _ = table::TableMod::decode(version, body);
    for dialect in [monitor::Dialect::Nicira, monitor::Dialect::Standard] {
        let _ = monitor::MonitorRequest::decode_all(version, dialect, body);
    }
}
