//! A configuration written by operations of a transaction, as the tools write it.

use std::sync::Arc;

use serde_json::json;

use super::SwitchConfig;
use crate::ovsdb::database::Database;
use crate::ovsdb::open_vswitch;
use crate::ovsdb::transaction::{self, Context, Outcome};
use crate::ovsdb::uuid::UuidSource;

#[test]
fn rows_become_values_and_references_are_followed() {
    let schema = Arc::new(open_vswitch::schema().unwrap());
    let mut database = Database::new(schema);
    let mut uuids = UuidSource::counting(1);
    let operations = json!([
        {"op": "insert", "table": "Interface", "uuid-name": "i", "row":
            {"name": "p1", "type": "dummy", "options": ["map", [["pcap", "f"]]], "ofport_request": 7}},
        {"op": "insert", "table": "Port", "uuid-name": "p", "row":
            {"name": "p1", "interfaces": ["named-uuid", "i"], "tag": 5}},
        {"op": "insert", "table": "Mirror", "uuid-name": "m", "row":
            {"name": "m", "select_src_port": ["named-uuid", "p"], "output_port": ["named-uuid", "p"]}},
        {"op": "insert", "table": "Flow_Table", "uuid-name": "t", "row": {"flow_limit": 10}},
        {"op": "insert", "table": "Bridge", "uuid-name": "b", "row":
            {"name": "br0", "datapath_type": "dummy", "fail_mode": "secure",
             "ports": ["named-uuid", "p"], "mirrors": ["named-uuid", "m"],
             "flow_tables": ["map", [[3, ["named-uuid", "t"]]]]}},
        {"op": "insert", "table": "Open_vSwitch", "row":
            {"bridges": ["named-uuid", "b"], "next_cfg": 4,
             "other_config": ["map", [["vlan-limit", "0"]]]}},
    ]);
    let context = Context { owns_lock: &|_| true, waited_ms: 0, read_only: false };
    let operations = operations.as_array().unwrap();
    match transaction::execute(&database, operations, &context, &mut uuids) {
        Outcome::Done { commit: Some(commit), .. } => database.apply(&commit),
        other => panic!("{other:?}"),
    }
    let config = SwitchConfig::read(&database);
    assert_eq!((config.next_cfg, config.bridges.len()), (4, 1));
    assert_eq!(config.other_config.get("vlan-limit").map(String::as_str), Some("0"));
    let bridge = &config.bridges[0];
    assert_eq!((bridge.name.as_str(), bridge.fail_mode.as_deref()), ("br0", Some("secure")));
    assert_eq!(bridge.flow_tables[&3].flow_limit, Some(10));
    assert_eq!(bridge.mirrors[0].select_src, ["p1"]);
    assert_eq!(bridge.mirrors[0].output_port.as_deref(), Some("p1"));
    let port = &bridge.ports[0];
    assert_eq!(port.tag, Some(5));
    assert_eq!(port.interfaces[0].ofport_request, Some(7));
    assert_eq!(port.interfaces[0].options["pcap"], "f");
}
