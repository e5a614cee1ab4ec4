//! Actions that choose by a hash of the packet: `multipath`, `bundle`, `bundle_load`.

use dp_core::base::OfPort;

use super::Subfield;

/// What a hash covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HashFields {
    /// Source MAC.
    #[default]
    EthSrc,
    /// Ethernet, VLAN, IP and ports, both directions alike.
    SymmetricL4,
    /// IP and ports of TCP and SCTP, both directions alike; MACs otherwise nothing.
    SymmetricL3L4,
    /// The same with UDP's ports.
    SymmetricL3L4Udp,
    /// IP source.
    NwSrc,
    /// IP destination.
    NwDst,
    /// IP source and destination, both directions alike.
    SymmetricL3,
}

impl HashFields {
    /// The number on the wire, and the name in text, of each.
    pub const ALL: [(Self, u16, &'static str); 7] = [
        (Self::EthSrc, 0, "eth_src"),
        (Self::SymmetricL4, 1, "symmetric_l4"),
        (Self::SymmetricL3L4, 2, "symmetric_l3l4"),
        (Self::SymmetricL3L4Udp, 3, "symmetric_l3l4+udp"),
        (Self::NwSrc, 4, "nw_src"),
        (Self::NwDst, 5, "nw_dst"),
        (Self::SymmetricL3, 6, "symmetric_l3"),
    ];
}

/// How `multipath` makes a link's number of a hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MultipathAlgorithm {
    /// Remainder of a division.
    #[default]
    ModuloN,
    /// The range of hashes is cut into equal parts.
    HashThreshold,
    /// Highest random weight: least disturbed when links come and go.
    Hrw,
    /// Iterative hashing: it needs an argument.
    IterHash,
}

impl MultipathAlgorithm {
    /// The number on the wire, and the name in text, of each.
    pub const ALL: [(Self, u16, &'static str); 4] = [
        (Self::ModuloN, 0, "modulo_n"),
        (Self::HashThreshold, 1, "hash_threshold"),
        (Self::Hrw, 2, "hrw"),
        (Self::IterHash, 3, "iter_hash"),
    ];
}

/// `multipath(…)`: writes the number of a link that a hash chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Multipath {
    /// What the hash covers.
    pub fields: HashFields,
    /// Where the hash starts.
    pub basis: u16,
    /// How a number is made of it.
    pub algorithm: MultipathAlgorithm,
    /// The largest number: links minus one.
    pub max_link: u16,
    /// The algorithm's argument.
    pub arg: u32,
    /// Where the number is written.
    pub dst: Subfield,
}

/// How `bundle` chooses among its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BundleAlgorithm {
    /// The first that is up.
    #[default]
    ActiveBackup,
    /// Highest random weight among those that are up.
    Hrw,
}

impl BundleAlgorithm {
    /// The number on the wire, and the name in text, of each.
    pub const ALL: [(Self, u16, &'static str); 2] =
        [(Self::ActiveBackup, 0, "active_backup"), (Self::Hrw, 1, "hrw")];
}

/// `bundle(…)` and `bundle_load(…)`: chooses a port that is up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bundle {
    /// How.
    pub algorithm: BundleAlgorithm,
    /// What the hash covers.
    pub fields: HashFields,
    /// Where the hash starts.
    pub basis: u16,
    /// The ports.
    pub members: Box<[OfPort]>,
    /// Where the port's number is written; `None`: the packet is sent there.
    pub dst: Option<Subfield>,
}
