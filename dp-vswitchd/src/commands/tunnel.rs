//! `tnl/*` and `ofproto/list-tunnels`: tunnel ports, neighbours, source ports.

use std::sync::Arc;

use dp_ofproto::tunnel::text;

use crate::switch::Switch;
use crate::unixctl::{CommandRegistry, Request};

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("ofproto/list-tunnels", "", 0, 0, move |_| {
        let datapaths = own.datapaths();
        let all = datapaths.iter().map(|datapath| text::list_tunnels(&datapath.tunnels));
        Ok::<_, String>(all.collect::<String>())
    });
    let own = Arc::clone(switch);
    registry.register("tnl/ports/show", "-v", 0, 1, move |request| {
        let verbose = request.argument(0) == "-v";
        let mut out = text::HEADING.to_owned();
        for datapath in own.datapaths() {
            out.push_str(&text::ports_show(&datapath.tunnels, verbose));
        }
        Ok::<_, String>(out)
    });
    let own = Arc::clone(switch);
    registry.register("tnl/egress_port_range", "min max", 0, 2, move |request| {
        Ok::<_, String>(egress_port_range(&own, request))
    });
    // ARP was all there was once; scripts still say so.
    for family in ["neigh", "arp"] {
        neighbours(registry, switch, family);
    }
    let own = Arc::clone(switch);
    registry.register("tnl/neigh/retrans_time", "[MSECS]", 0, 1, move |request| {
        own.underlay.neighbours().retransmit_by_text(first(request))
    });
}

fn first<'a>(request: &Request<'a>) -> Option<&'a str> {
    Some(request.argument(0)).filter(|text| !text.is_empty())
}

/// With one bound, the other is kept, as the reference does.
fn egress_port_range(switch: &Switch, request: &Request<'_>) -> String {
    let arguments: Vec<&str> = request.arguments().iter().map(String::as_str).collect();
    let mut answer = None;
    for datapath in switch.datapaths() {
        let result = datapath.change_ends(|ends| text::egress_port_range(ends, &arguments));
        answer.get_or_insert(result);
    }
    match answer {
        Some(Ok(text) | Err(text)) => text,
        None => "Tunnel UDP source port range: 32768-61000\n".to_owned(),
    }
}

fn neighbours(registry: &mut CommandRegistry, switch: &Arc<Switch>, family: &str) {
    let own = Arc::clone(switch);
    registry.register(&format!("tnl/{family}/show"), "", 0, 0, move |_| {
        Ok::<_, String>(own.underlay.neighbours().show(own.now()))
    });
    let own = Arc::clone(switch);
    registry.register(&format!("tnl/{family}/set"), "BRIDGE IP MAC", 3, 3, move |request| {
        let [bridge, ip, mac] = [0, 1, 2].map(|place| request.argument(place));
        own.underlay.neighbours().set_by_text(bridge, ip, mac, own.now())
    });
    let own = Arc::clone(switch);
    registry.register(&format!("tnl/{family}/flush"), "", 0, 0, move |_| {
        Ok::<_, String>(own.underlay.neighbours().flush())
    });
    let own = Arc::clone(switch);
    registry.register(&format!("tnl/{family}/aging"), "[SECS]", 0, 1, move |request| {
        own.underlay.neighbours().ageing_by_text(first(request), own.now())
    });
}
