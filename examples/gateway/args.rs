//! The command line: which ports, which flows, for how long.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};

use dp_netdev::port::{OpenError, PortSpec};
use dp_ofproto::bridge::{VlanMode, VlanSet};

/// Forwards packets between ports as a flow file says, shows progress, and ends with tables.
///
/// Without arguments it runs the bundled scenario: a gateway that replays a capture of mixed
/// traffic over and over for some seconds. That needs no privileges.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    /// A port; may be given many times. They get the OpenFlow numbers 1, 2, …
    ///
    ///   NAME             a network interface
    ///   pcap:FILE        replays a capture; options tx=FILE (writes one too), repeat=N|forever,
    ///                    pace=full|own, resolution=micro|nano
    ///   pcap:,tx=FILE    writes a capture only
    ///   tap:NAME         a new tap device
    ///   sink:NAME        counts what is sent to it
    ///
    /// For all kinds: name=NAME, ofport=N, tag=VLAN, trunks=VLAN+VLAN…, flood=off
    #[arg(long = "port", value_name = "SPEC", verbatim_doc_comment)]
    pub(crate) ports: Vec<PortArg>,

    /// Flows, one a line, as ovs-ofctl writes them. Without it the switch learns and floods.
    #[arg(long, value_name = "FILE")]
    pub(crate) flows: Option<PathBuf>,

    /// Stops after so many seconds. Otherwise it stops when all captures have been replayed, or
    /// at Ctrl-C.
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<f64>,

    /// Bundled scenario: replays the capture so often, instead of for three seconds.
    #[arg(long, value_name = "N", conflicts_with = "ports")]
    pub(crate) repeat: Option<u64>,

    /// Bundled scenario: writes what leaves by each port to a capture in this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "ports")]
    pub(crate) out: Option<PathBuf>,

    /// Is the gateway node that a file describes, until Ctrl-C: pods, peers, uplinks, services.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ports", "flows", "repeat", "out"])]
    pub(crate) node: Option<PathBuf>,

    /// What becomes of packets that contradict themselves.
    #[arg(long, value_enum, default_value_t = OnMalformed::Drop)]
    pub(crate) malformed: OnMalformed,

    /// How deep resubmits may nest.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) max_depth: u32,

    /// How many resubmits one packet may take in all.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) max_resubmits: u32,

    /// The processor that the packet thread stays on; by default the last one that is allowed.
    #[arg(long, value_name = "N")]
    pub(crate) cpu: Option<usize>,

    /// Keeps the packet thread asking instead of letting it sleep when nothing happens.
    #[arg(long)]
    pub(crate) spin: bool,

    /// Lists the flows with their counts at the end.
    #[arg(long)]
    pub(crate) show_flows: bool,
}

/// What becomes of malformed packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnMalformed {
    /// Dropped, each kind under its own reason.
    Drop,
    /// Forwarded on what could be parsed.
    Forward,
}

/// The kind of port that the example itself has.
pub(crate) const SINK: &str = "sink";

/// One port: what to open, and what the bridge makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortArg {
    /// What to open.
    pub(crate) spec: PortSpec,
    /// Its OpenFlow number, if it is to have a certain one.
    pub(crate) ofport: Option<u16>,
    /// What it makes of VLANs under NORMAL.
    pub(crate) vlan: VlanMode,
    /// Whether it is left out of flooding.
    pub(crate) no_flood: bool,
}

/// What is wrong with a port's description.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortArgError {
    #[error(transparent)]
    Spec(#[from] OpenError),
    #[error("{option}={value}: expected {expected}")]
    Value { option: &'static str, value: String, expected: &'static str },
}

impl PortArg {
    /// A port of which the bridge knows nothing special.
    pub(crate) fn new(spec: PortSpec) -> Self {
        Self { spec, ofport: None, vlan: VlanMode::default(), no_flood: false }
    }

    /// Whether it replays a capture.
    pub(crate) fn replays(&self) -> bool {
        self.spec.kind == "pcap" && self.spec.options.contains_key("rx")
    }

    /// Takes an option of the bridge's out of the port's.
    fn take<T>(
        &mut self,
        option: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, PortArgError> {
        let Some(value) = self.spec.options.remove(option) else { return Ok(None) };
        read(&value).map(Some).ok_or(PortArgError::Value { option, value, expected })
    }
}

impl FromStr for PortArg {
    type Err = PortArgError;

    fn from_str(text: &str) -> Result<Self, PortArgError> {
        let mut arg = Self::new(PortSpec::parse(text)?);
        let number = |text: &str| text.parse().ok().filter(|number| (1..0xff00).contains(number));
        arg.ofport = arg.take("ofport", "a number from 1 to 65279", number)?;
        let tag = arg.take("tag", "a VLAN, 0 to 4095", vid)?;
        let list = |text: &str| text.split('+').map(vid).collect::<Option<VlanSet>>();
        let trunks = arg.take("trunks", "VLANs, 0 to 4095, with + between them", list)?;
        arg.vlan = match (tag, trunks) {
            (None, None) => VlanMode::default(),
            (Some(tag), None) => VlanMode::Access(tag),
            (None, Some(trunks)) => VlanMode::Trunk(trunks),
            (Some(tag), Some(trunks)) => VlanMode::NativeUntagged { tag, trunks },
        };
        let off = |text: &str| match text {
            "off" => Some(true),
            "on" => Some(false),
            _ => None,
        };
        arg.no_flood = arg.take("flood", "on or off", off)?.unwrap_or(false);
        Ok(arg)
    }
}

fn vid(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&vid| vid <= 4095)
}

#[cfg(test)]
mod tests {
    use super::{Args, PortArg};
    use clap::CommandFactory;
    use dp_ofproto::bridge::VlanMode;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_the_bridge_is_told_is_taken_out_and_the_rest_is_the_ports() {
        let arg: PortArg = "pcap:in.pcap,name=lan,tx=o.pcap,ofport=7,flood=off".parse().unwrap();
        assert_eq!((arg.spec.name.as_str(), arg.ofport, arg.no_flood), ("lan", Some(7), true));
        let options: Vec<&str> = arg.spec.options.keys().map(String::as_str).collect();
        assert_eq!(options, ["rx", "tx"]);
        assert!(arg.replays());
        let arg: PortArg = "veth0,tag=10".parse().unwrap();
        assert_eq!((arg.vlan.clone(), arg.replays()), (VlanMode::Access(10), false));
        let arg: PortArg = "tap:t0,trunks=1+2".parse().unwrap();
        assert!(arg.vlan.carries(2, 0) && !arg.vlan.carries(3, 0));
        let arg: PortArg = "veth0,tag=5,trunks=1+2".parse().unwrap();
        assert!(matches!(arg.vlan, VlanMode::NativeUntagged { tag: 5, .. }));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("veth0,ofport=0", "1 to 65279"),
            ("veth0,tag=4096", "0 to 4095"),
            ("veth0,trunks=1+x", "with + between them"),
            ("veth0,flood=maybe", "on or off"),
            ("tap:", "an interface"),
            ("veth0,word", "option=value"),
        ] {
            let error = text.parse::<PortArg>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
