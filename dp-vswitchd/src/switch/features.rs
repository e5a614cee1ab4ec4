//! What the datapath can do, in the words of the log, of the database and of `dpif/*-dp-features`.

use super::Datapath;

/// One thing that a datapath can or cannot do.
pub(crate) struct Feature {
    /// Its name in the database.
    pub(crate) name: &'static str,
    /// Its name for people; empty where only the database has it.
    pub(crate) title: &'static str,
    /// `true`, `false` or a number.
    pub(crate) value: &'static str,
}

const fn feature(name: &'static str, title: &'static str, value: &'static str) -> Feature {
    Feature { name, title, value }
}

/// All of them, in the order in which they are shown.
pub(crate) const FEATURES: &[Feature] = &[
    feature("masked_set_action", "Masked set action", "true"),
    feature("tnl_push_pop", "Tunnel push pop", "true"),
    feature("ufid", "Ufid", "true"),
    feature("trunc", "Truncate action", "true"),
    feature("clone", "Clone action", "true"),
    feature("sample_nesting", "Sample nesting", "10"),
    feature("ct_eventmask", "Conntrack eventmask", "true"),
    feature("ct_clear", "Conntrack clear", "true"),
    feature("max_hash_alg", "Max dp_hash algorithm", "1"),
    feature("check_pkt_len", "Check pkt length action", "true"),
    feature("ct_timeout", "Conntrack timeout policy", "true"),
    feature("explicit_drop_action", "Explicit Drop action", "true"),
    feature("lb_output_action", "Optimized Balance TCP mode", "true"),
    feature("ct_zero_snat", "Conntrack all-zero IP SNAT", "true"),
    feature("add_mpls", "MPLS Label add", "true"),
    feature("psample", "psample action", "false"),
    feature("max_vlan_headers", "Max VLAN headers", "1"),
    feature("max_mpls_depth", "Max MPLS depth", "3"),
    feature("recirc", "Recirc", "true"),
    feature("ct_state", "CT state", "true"),
    feature("ct_zone", "CT zone", "true"),
    feature("ct_mark", "CT mark", "true"),
    feature("ct_label", "CT label", "true"),
    feature("ct_state_nat", "CT state NAT", "true"),
    feature("ct_orig_tuple", "CT orig tuple", "true"),
    feature("ct_orig_tuple6", "CT orig tuple for IPv6", "true"),
    feature("nd_ext", "IPv6 ND Extension", "true"),
    feature("ct_flush", "", "true"),
];

/// What the database's `capabilities` tell: names and values. It says that samples may lie in each
/// other, not how deep.
pub(super) fn capabilities() -> impl Iterator<Item = (&'static str, &'static str)> {
    FEATURES.iter().map(|it| match it.name {
        "sample_nesting" => (it.name, "true"),
        name => (name, it.value),
    })
}

/// Says in the log what a new datapath can do, in the words that scripts look for.
pub(super) fn tell(datapath: &Datapath) {
    for what in [
        "Datapath supports recirculation",
        "VLAN header stack length probed as 1",
        "MPLS label stack length probed as 3",
        "Datapath supports truncate action",
        "Datapath supports unique flow ids",
        "Datapath supports clone action",
        "Max sample nesting level probed as 10",
        "Datapath supports eventmask in conntrack action",
        "Datapath supports ct_clear action",
        "Max dp_hash algorithm probed to be 1",
        "Datapath supports check_pkt_len action",
        "Datapath supports timeout policy in conntrack action",
        "Datapath supports explicit drop action",
        "Datapath supports ct_zero_snat",
        "Datapath supports add_mpls action",
        "Datapath does not support psample action",
        "Datapath supports ct_state",
        "Datapath supports ct_zone",
        "Datapath supports ct_mark",
        "Datapath supports ct_label",
        "Datapath supports ct_state_nat",
        "Datapath supports ct_orig_tuple",
        "Datapath supports ct_orig_tuple6",
        "Datapath supports IPv6 ND Extensions",
    ] {
        log::info!(target: "ofproto_dpif", "{datapath}: {what}");
    }
}
