//! Clients without sockets.

use serde_json::{Value, json};

use super::{ClientId, Engine};
use crate::ovsdb::file::Standalone;
use crate::ovsdb::json_rpc::Message;
use crate::ovsdb::open_vswitch;

struct Server {
    engine: Engine,
    folder: std::path::PathBuf,
    next: u64,
}

impl Server {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("dp-odb-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Standalone::create(&folder.join("db"), &open_vswitch::schema().unwrap()).unwrap();
        let (mut engine, damage) = Engine::open(&folder.join("db")).unwrap();
        assert_eq!(damage, None);
        for client in 1..4 {
            engine.connected(ClientId(client));
        }
        Self { engine, folder, next: 0 }
    }

    /// Asks, and gives the reply; what others hear meanwhile comes with it.
    fn ask(&mut self, client: u64, method: &str, params: Value) -> (Value, Vec<(u64, Value)>) {
        self.next += 1;
        let params = params.as_array().unwrap().clone();
        let request = Message::Request { method: method.into(), params, id: json!(self.next) };
        self.engine.take(ClientId(client), request, 0);
        let mut reply = Value::Null;
        let mut rest = Vec::new();
        for (to, message) in self.engine.take_messages() {
            match message {
                Message::Reply { result, id } if id == json!(self.next) => reply = result,
                Message::Error { error, id } if id == json!(self.next) => {
                    reply = json!({"failed": error});
                }
                other => rest.push((to.0, other.into_json())),
            }
        }
        (reply, rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn every_dialect_hears_of_a_change_before_its_reply() {
    let mut server = Server::new("dialects");
    let insert = json!(["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row": {}}]);
    let (reply, _) = server.ask(1, "transact", insert);
    let uuid = reply[0]["uuid"][1].as_str().unwrap().to_owned();
    let columns = json!(["next_cfg", "cur_cfg"]);
    let plain = json!(["Open_vSwitch", "m1", {"Open_vSwitch": {"columns": columns}}]);
    let (reply, _) = server.ask(1, "monitor", plain.clone());
    assert_eq!(reply["Open_vSwitch"][&uuid]["new"], json!({"cur_cfg": 0, "next_cfg": 0}));
    assert_eq!(server.ask(1, "monitor", plain).0["failed"]["details"], "duplicate monitor ID");
    let condition = json!([["next_cfg", "==", 0]]);
    let conditional = json!(["Open_vSwitch", "m2", {"Open_vSwitch":
        [{"columns": ["next_cfg"], "where": condition}]}]);
    let (reply, _) = server.ask(2, "monitor_cond", conditional);
    assert_eq!(reply["Open_vSwitch"][&uuid], json!({"initial": {}}));
    let zero = "00000000-0000-0000-0000-000000000000";
    let since = json!(["Open_vSwitch", "m3", {"Open_vSwitch": [{"columns": ["next_cfg"]}]}, zero]);
    let (reply, _) = server.ask(3, "monitor_cond_since", since);
    assert_eq!(reply[0], json!(false));
    let change = json!(["Open_vSwitch",
        {"op": "update", "table": "Open_vSwitch", "where": [], "row": {"next_cfg": 5}}]);
    let (reply, heard) = server.ask(1, "transact", change);
    assert_eq!(reply, json!([{"count": 1}]));
    let of = |client: u64| &heard.iter().find(|(to, _)| *to == client).unwrap().1["params"];
    assert_eq!(of(1)[1]["Open_vSwitch"][&uuid]["old"], json!({"next_cfg": 0}));
    assert_eq!(of(2)[1]["Open_vSwitch"][&uuid], json!({"delete": null}));
    assert_eq!(of(3)[2]["Open_vSwitch"][&uuid], json!({"modify": {"next_cfg": 5}}));
    let last = of(3)[1].clone();
    let again = json!(["m2", "m2", {"Open_vSwitch": [{"where": [["next_cfg", "==", 5]]}]}]);
    let (reply, heard) = server.ask(2, "monitor_cond_change", again);
    assert_eq!(reply, json!({}));
    assert_eq!(heard[0].1["params"][1]["Open_vSwitch"][&uuid], json!({"insert": {"next_cfg": 5}}));
    // Who comes back hears what he has missed, and no more.
    server.engine.disconnected(ClientId(3));
    server.engine.connected(ClientId(3));
    let change = json!(["Open_vSwitch",
        {"op": "update", "table": "Open_vSwitch", "where": [], "row": {"next_cfg": 6}}]);
    server.ask(1, "transact", change);
    let since = json!(["Open_vSwitch", "m3", {"Open_vSwitch": [{"columns": ["next_cfg"]}]}, last]);
    let (reply, _) = server.ask(3, "monitor_cond_since", since);
    assert_eq!(reply[0], json!(true));
    assert_eq!(reply[2]["Open_vSwitch"][&uuid], json!({"modify": {"next_cfg": 6}}));
    assert_eq!(server.ask(2, "monitor_cancel", json!(["m2"])).0, json!({}));
    assert_eq!(server.ask(2, "monitor_cancel", json!(["m2"])).0["failed"], "unknown monitor");
}

#[test]
fn a_wait_is_over_when_it_comes_true_or_its_time_has_passed() {
    let mut server = Server::new("wait");
    let insert = json!(["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row": {}}]);
    server.ask(1, "transact", insert);
    let wait = |value: i64, timeout: i64| {
        json!(["Open_vSwitch", {"op": "wait", "table": "Open_vSwitch", "where": [], "until": "==",
            "columns": ["cur_cfg"], "rows": [{"cur_cfg": value}], "timeout": timeout}])
    };
    assert_eq!(server.ask(2, "transact", wait(7, 5_000)), (Value::Null, vec![]));
    let change = json!(["Open_vSwitch",
        {"op": "update", "table": "Open_vSwitch", "where": [], "row": {"cur_cfg": 7}}]);
    let (_, heard) = server.ask(1, "transact", change);
    assert_eq!(heard.iter().filter(|(to, _)| *to == 2).count(), 1);
    assert_eq!(server.ask(2, "transact", wait(8, 100)), (Value::Null, vec![]));
    assert_eq!(server.engine.deadline(), Some(100));
    server.engine.tick(101);
    let messages = server.engine.take_messages();
    let text = format!("{:?}", messages[0].1);
    assert!(text.contains("timed out"), "{text}");
    // A client that gives up, or goes, leaves nothing behind.
    server.ask(2, "transact", wait(9, 1_000_000));
    let cancel =
        Message::Notification { method: "cancel".into(), params: vec![json!(server.next)] };
    server.engine.take(ClientId(2), cancel, 0);
    assert_eq!(server.engine.deadline(), None);
}

#[test]
fn what_was_acknowledged_is_in_the_file() {
    let mut server = Server::new("durable");
    let insert = json!(["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row":
        {"external_ids": ["map", [["k", "v"]]]}}]);
    server.ask(1, "transact", insert);
    let path = server.folder.join("db");
    let copy = server.folder.join("copy");
    std::fs::copy(&path, &copy).unwrap();
    let (engine, damage) = Engine::open(&copy).unwrap();
    assert_eq!(damage, None);
    assert_eq!(engine.database().unwrap().rows("Open_vSwitch").count(), 1);
}

#[test]
fn locks_and_unknown_things_are_answered() {
    let mut server = Server::new("locks");
    assert_eq!(server.ask(1, "lock", json!(["a"])).0, json!({"locked": true}));
    assert_eq!(server.ask(2, "lock", json!(["a"])).0, json!({"locked": false}));
    let (_, heard) = server.ask(1, "unlock", json!(["a"]));
    assert_eq!((heard[0].0, &heard[0].1["method"]), (2, &json!("locked")));
    assert_eq!(server.ask(1, "steal", json!(["a"])).0, json!({"locked": true}));
    assert_eq!(server.ask(1, "nosuch", json!([])).0["failed"], "unknown method");
    assert_eq!(server.ask(1, "list_dbs", json!([])).0, json!(["Open_vSwitch", "_Server"]));
    let (reply, _) = server.ask(1, "get_schema", json!(["nosuch"]));
    assert_eq!(reply["failed"]["error"], "unknown database");
    let select = json!(["_Server", {"op": "select", "table": "Database", "where": []}]);
    let (reply, _) = server.ask(1, "transact", select);
    assert_eq!(reply[0]["rows"].as_array().unwrap().len(), 2);
    let insert = json!(["_Server", {"op": "insert", "table": "Database", "row":
        {"model": "relay"}}]);
    let (reply, _) = server.ask(1, "transact", insert);
    assert!(reply[0].get("error").is_some(), "{reply}");
}
