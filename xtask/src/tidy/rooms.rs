//! Who may import whom inside each library: the table that `tidy` enforces.
//!
//! A *room* is a module below a crate's root. Rooms stand in levels, lowest first; a room imports
//! only rooms of lower levels, so data goes down the page and siblings are strangers. A room that
//! is missing here is a finding, so the table is complete by construction: adding a room means
//! saying where it stands.

/// The levels of one library.
pub(crate) struct Library {
    /// Folder of the package.
    pub(crate) package: &'static str,
    /// Lowest level first.
    pub(crate) levels: &'static [&'static [&'static str]],
    /// Rooms whose own files are levelled too: siblings there are strangers as well.
    pub(crate) inner: &'static [Inner],
}

/// The levels inside one room.
pub(crate) struct Inner {
    pub(crate) room: &'static str,
    /// Lowest level first. The room's own file (`room/mod.rs`) stands beside all of them.
    pub(crate) levels: &'static [&'static [&'static str]],
}

/// The libraries in the order they stand on each other.
pub(crate) const LIBRARIES: &[Library] = &[
    Library {
        package: "dp-core",
        levels: &[
            &["sync"],
            &["base"],
            &["wire", "packet"],
            &["flow", "offload"],
            &["action"],
            &["lookup", "conntrack", "meter", "bond", "tunnel", "route"],
            &["boundary"],
            &["execute"],
            &["pipeline"],
        ],
        inner: &[],
    },
    Library {
        package: "dp-netdev",
        levels: &[
            &["netlink", "offload", "pcapfile", "system"],
            &["port"],
            &["table", "upcall", "qos"],
            &["pmd"],
            &["datapath"],
        ],
        // Drivers never import each other; decorators wrap any port through its trait.
        inner: &[Inner {
            room: "port",
            levels: &[
                &["error"],
                &["afpacket", "afxdp", "dpdk", "dummy", "pcap", "ring", "shared", "tap"],
                &["capture", "delay", "fault"],
                &["spec"],
            ],
        }],
    },
    Library {
        package: "dp-ofproto",
        levels: &[
            &["matching", "tlv"],
            &["action"],
            &["group", "meter"],
            &["table", "learn", "protocols"],
            &["text", "bridge", "bond", "openflow"],
            &["translate"],
            &["trace", "upcall", "services", "export"],
            &["revalidate", "tunnel"],
            &["session", "gateway"],
        ],
        inner: &[],
    },
];
