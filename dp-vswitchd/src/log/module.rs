//! The modules that messages belong to: the word after the number in a log line.
//!
//! Operators set levels by these names (`-vofproto_dpif:file:dbg`), and scripts look for them in
//! logs, so they are the field's and not ours. The list is closed: a name that is not here is a
//! mistake in a command, and [`Module::parse`] says so. All names that the tools of the field use
//! are here, also those of modules that have nothing to say in this switch, because a command that
//! silences such a module must not fail.
//!
//! A library logs with the name as target: `log::warn!(target: "bridge", "…")`.

use std::fmt;

/// One of the known modules.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Module(u8);

impl Module {
    /// The module that belongs to no part in particular.
    pub const MAIN: Self = Self::known("vswitchd");

    /// The module of the log itself.
    pub const VLOG: Self = Self::known("vlog");

    /// The module of that name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let at = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        u8::try_from(at).ok().map(Self)
    }

    /// The module that a message with this target belongs to.
    ///
    /// Targets are the names of modules. A crate that knows nothing of them has its path as target:
    /// its last part is taken if it is such a name; all else belongs to [`Self::MAIN`].
    #[must_use]
    pub fn of_target(target: &str) -> Self {
        let exact = |name: &str| {
            NAMES.binary_search(&name).ok().and_then(|at| u8::try_from(at).ok()).map(Self)
        };
        exact(target)
            .or_else(|| target.starts_with("rustls").then(|| exact("stream_ssl")).flatten())
            .or_else(|| exact(target.rsplit("::").next().unwrap_or(target)))
            .unwrap_or(Self::MAIN)
    }

    /// All modules, by name.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).take(NAMES.len()).map(Self)
    }

    /// The name as logs carry it.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(self.index()).copied().unwrap_or_default()
    }

    /// The place of the module in a table of [`Self::COUNT`] entries.
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    /// How many there are.
    pub const COUNT: usize = NAMES.len();

    /// The module of a name that is in the list; the compiler refuses any other.
    const fn known(name: &str) -> Self {
        let mut at = 0;
        while !same(NAMES[at], name) {
            at += 1;
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked below: fewer than 256")]
        Self(at as u8)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether two strings are the same, for constants.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    a.len() == b.len() && at == a.len()
}

/// Sorted, because messages are looked up by name.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "backtrace", "bfd", "bond", "bridge", "bundle", "bundles", "cfm", "collectors",
    "command_line", "connmgr", "conntrack", "conntrack_tp", "cooperative_multitasking",
    "coverage", "ct_dpif", "daemon", "daemon_unix", "dns_resolve", "dp_packet_gso", "dpdk",
    "dpif", "dpif_lookup_autovalidator", "dpif_lookup_generic", "dpif_mfex_extract_study",
    "dpif_netdev", "dpif_netdev_extract", "dpif_netdev_impl", "dpif_netdev_lookup",
    "dpif_netlink", "dpif_netlink_rtnl", "entropy", "fail_open", "fatal_signal", "flow", "hmap",
    "in_band", "ipf", "ipfix", "jsonrpc", "lacp", "lldp", "lldpd", "lldpd_structs", "lockfile",
    "memory", "meta_flow", "native_tnl", "netdev", "netdev_afxdp", "netdev_dpdk",
    "netdev_dummy", "netdev_linux", "netdev_offload", "netdev_offload_tc", "netdev_vport",
    "netflow", "netlink", "netlink_conntrack", "netlink_notifier", "netlink_socket", "nx_match",
    "odp_execute", "odp_execute_impl", "odp_util", "ofp_actions", "ofp_bundle",
    "ofp_connection", "ofp_ct", "ofp_errors", "ofp_flow", "ofp_group", "ofp_match", "ofp_meter",
    "ofp_monitor", "ofp_msgs", "ofp_packet", "ofp_port", "ofp_protocol", "ofp_queue",
    "ofp_table", "ofp_util", "ofproto", "ofproto_dpif", "ofproto_dpif_mirror",
    "ofproto_dpif_monitor", "ofproto_dpif_rid", "ofproto_dpif_upcall", "ofproto_dpif_xlate",
    "ofproto_xlate_cache", "ovs_lldp", "ovs_numa", "ovs_rcu", "ovs_replay", "ovs_router",
    "ovs_thread", "ovsdb_cs", "ovsdb_error", "ovsdb_idl", "ox_stat", "pcap", "pmd_perf",
    "poll_loop", "process", "rconn", "reconnect", "route_table", "rstp", "rstp_sm", "sflow",
    "sha1", "signals", "socket_util", "socket_util_unix", "stp", "stream", "stream_fd",
    "stream_replay", "stream_ssl", "stream_tcp", "stream_unix", "svec", "system_stats", "tc",
    "timeval", "tunnel", "unixctl", "userspace_tso", "util", "uuid", "vconn", "vconn_stream",
    "vlog", "vswitchd",
];

const _: () = assert!(NAMES.len() < 256, "a module's number is one byte");

#[cfg(test)]
mod tests {
    use super::{Module, NAMES};

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(NAMES.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_name_is_found_in_any_case() {
        for module in Module::all() {
            assert_eq!(Module::parse(&module.name().to_ascii_uppercase()), Some(module));
            assert_eq!(Module::of_target(module.name()), module);
        }
        assert_eq!(Module::parse("nosuch"), None);
    }

    #[test]
    fn targets_that_are_paths_find_their_module_or_the_main_one() {
        assert_eq!(Module::of_target("dp_ofproto::bridge").name(), "bridge");
        assert_eq!(Module::of_target("rustls::client::hs").name(), "stream_ssl");
        assert_eq!(Module::of_target("somebody::else"), Module::MAIN);
        assert_eq!(Module::MAIN.name(), "vswitchd");
        assert_eq!(Module::VLOG.name(), "vlog");
    }
}
