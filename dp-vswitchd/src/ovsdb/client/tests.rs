//! A server played by hand.

use serde_json::{Value, json};

use super::{Client, Committed, Lock};
use crate::ovsdb::json_rpc::{Limits, Session};
use crate::ovsdb::open_vswitch;

/// What the client has sent.
fn sent(session: &mut Session) -> Vec<Value> {
    let mut out = Vec::new();
    while let Some(bytes) = session.output().map(<[u8]>::to_vec) {
        session.wrote(bytes.len());
        out.push(serde_json::from_slice(&bytes).unwrap());
    }
    out
}

fn give(client: &mut Client, session: &mut Session, message: Value) {
    session.receive(message.to_string().as_bytes(), 0);
    while let Some(message) = session.next_message().unwrap() {
        client.take(session, message).unwrap();
    }
}

fn name_of(client: &Client, uuid: &str) -> Option<String> {
    let replica = client.replica().unwrap();
    let at = replica.schema().table_index("Bridge").unwrap();
    let column = replica.schema().tables[at].column_index("name").unwrap();
    let row = replica.row(at, crate::ovsdb::uuid::Uuid::parse(uuid).unwrap())?;
    row.get(column).as_scalar()?.as_str().map(str::to_owned)
}

#[test]
fn a_replica_follows_its_server_and_goes_on_where_it_was() {
    let mut client = Client::new("Open_vSwitch", "ovs_vswitchd");
    let mut session = Session::new(Limits::CLIENT, 0, 0);
    client.connected(&mut session);
    let asked = sent(&mut session);
    assert_eq!(asked[0]["method"], "get_schema");
    assert_eq!(asked[1]["method"], "lock");
    let schema = open_vswitch::json().unwrap();
    give(&mut client, &mut session, json!({"id": 1, "result": schema, "error": null}));
    give(
        &mut client,
        &mut session,
        json!({"id": "lock", "result": {"locked": true}, "error": null}),
    );
    assert_eq!(client.lock(), Lock::Held);
    let asked = sent(&mut session);
    assert_eq!(asked[0]["method"], "monitor_cond_since");
    assert_eq!(asked[0]["params"][3], "00000000-0000-0000-0000-000000000000");
    let uuid = "11111111-1111-4111-8111-111111111111";
    let txn = "22222222-2222-4222-8222-222222222222";
    let first = json!({"Bridge": {uuid: {"initial": {"name": "br0"}}}});
    give(&mut client, &mut session, json!({"id": 2, "result": [false, txn, first], "error": null}));
    assert_eq!(name_of(&client, uuid).as_deref(), Some("br0"));
    client.transact(&mut session, vec![json!({"op": "comment", "comment": "x"})]);
    assert!(!client.is_free());
    let asked = sent(&mut session);
    assert_eq!(asked[0]["params"][1]["op"], "assert");
    let change = json!({"Bridge": {uuid: {"modify": {"other_config": ["map", [["a", "b"]]]}}}});
    give(
        &mut client,
        &mut session,
        json!({"id": null, "method": "update3", "params": ["all", txn, change]}),
    );
    give(&mut client, &mut session, json!({"id": 3, "result": [{}, {}], "error": null}));
    assert_eq!(client.take_results(), [Committed::Yes]);
    client.transact(&mut session, Vec::new());
    client.disconnected();
    assert_eq!(client.take_results(), [Committed::Lost]);
    let mut session = Session::new(Limits::CLIENT, 0, 0);
    client.connected(&mut session);
    sent(&mut session);
    let schema = open_vswitch::json().unwrap();
    give(&mut client, &mut session, json!({"id": 5, "result": schema, "error": null}));
    assert_eq!(sent(&mut session)[0]["params"][3], txn);
    let gone = json!({"Bridge": {uuid: {"delete": null}}});
    give(&mut client, &mut session, json!({"id": 6, "result": [true, txn, gone], "error": null}));
    assert_eq!(name_of(&client, uuid), None);
}

#[test]
fn an_old_server_and_a_held_lock_are_understood() {
    let mut client = Client::new("Open_vSwitch", "ovs_vswitchd");
    let mut session = Session::new(Limits::CLIENT, 0, 0);
    client.connected(&mut session);
    let schema = open_vswitch::json().unwrap();
    give(&mut client, &mut session, json!({"id": 1, "result": schema, "error": null}));
    give(
        &mut client,
        &mut session,
        json!({"id": "lock", "result": {"locked": false}, "error": null}),
    );
    assert_eq!(client.lock(), Lock::Contended);
    sent(&mut session);
    give(&mut client, &mut session, json!({"id": 2, "result": null, "error": "unknown method"}));
    assert_eq!(sent(&mut session)[0]["method"], "monitor_cond");
    give(&mut client, &mut session, json!({"id": 3, "result": {}, "error": null}));
    assert!(client.is_free());
    give(&mut client, &mut session, json!({"id": null, "method": "locked", "params": ["x"]}));
    assert_eq!(client.lock(), Lock::Held);
    client.transact(&mut session, Vec::new());
    let refused = json!([{"error": "not owner", "details": "lock"}]);
    give(&mut client, &mut session, json!({"id": 4, "result": refused, "error": null}));
    assert_eq!(client.take_results(), [Committed::No("not owner: lock".into())]);
}
