//! Actions that show packets to somebody: `controller(…)`, `sample(…)`.

use dp_core::base::OfPort;

use super::Subfield;

/// Why a controller gets a packet (OpenFlow 1.3 section A.4.1, 1.4 section 7.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PacketInReason {
    /// No rule matched.
    NoMatch,
    /// An action said so.
    #[default]
    Action,
    /// The TTL is used up.
    InvalidTtl,
    /// The action set said so.
    ActionSet,
    /// A group's bucket said so.
    Group,
    /// A packet-out said so.
    PacketOut,
    /// A table-miss rule said so; older versions see `NoMatch`.
    ExplicitMiss,
    /// A table-miss in a switch that is told so by its configuration; older versions see `NoMatch`.
    ImplicitMiss,
}

impl PacketInReason {
    /// The number, on the wire as far as it is known there, and the name in text of each.
    pub const ALL: [(Self, u8, &'static str); 8] = [
        (Self::NoMatch, 0, "no_match"),
        (Self::Action, 1, "action"),
        (Self::InvalidTtl, 2, "invalid_ttl"),
        (Self::ActionSet, 3, "action_set"),
        (Self::Group, 4, "group"),
        (Self::PacketOut, 5, "packet_out"),
        (Self::ExplicitMiss, 6, "explicit_miss"),
        (Self::ImplicitMiss, 7, "implicit_miss"),
    ];

    /// What text calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|row| row.0 == self).map_or("action", |row| row.2)
    }

    /// Its number.
    #[must_use]
    pub fn wire(self) -> u8 {
        Self::ALL.iter().find(|row| row.0 == self).map_or(1, |row| row.1)
    }
}

/// `controller(…)`: to controllers with this id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Controller {
    /// Bytes of the packet that they get.
    pub max_len: u16,
    /// The reason that they are told.
    pub reason: PacketInReason,
    /// Which controllers.
    pub id: u16,
    /// Bytes that come along.
    pub userdata: Box<[u8]>,
    /// The packet waits until the controller lets it go on.
    pub pause: bool,
    /// The OpenFlow meter that limits it.
    pub meter: Option<u32>,
    /// It was written as `controller2`, whatever it says: print it so.
    pub extended: bool,
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            max_len: u16::MAX,
            reason: PacketInReason::Action,
            id: 0,
            userdata: Box::default(),
            pause: false,
            meter: None,
            extended: false,
        }
    }
}

/// A number of a `sample`: as it stands, or in a subfield of 32 bits at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SampleNumber {
    /// This.
    Value(u32),
    /// What the packet has there.
    Field(Subfield),
}

impl Default for SampleNumber {
    fn default() -> Self {
        Self::Value(0)
    }
}

/// Which way a sampled packet goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SampleDirection {
    /// Not said.
    #[default]
    Default,
    /// In.
    Ingress,
    /// Out.
    Egress,
}

/// `sample(…)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sample {
    /// So many of 65,535 packets, at least 1.
    pub probability: u16,
    /// Where samples go.
    pub collector_set: u32,
    /// Observation domain.
    pub obs_domain: SampleNumber,
    /// Observation point.
    pub obs_point: SampleNumber,
    /// The port that is reported as sampled.
    pub sampling_port: OfPort,
    /// Which way the packet goes.
    pub direction: SampleDirection,
}

/// Meters that no rule names: all that goes one way passes through them.
pub mod meter_id {
    /// What goes to the slow path.
    pub const SLOWPATH: u32 = 0xffff_fffd;
    /// What goes to controllers, unless the action names a meter.
    pub const CONTROLLER: u32 = 0xffff_fffe;
}
