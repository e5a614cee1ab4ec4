//! The bundled scenario: a gateway, five ports, a capture of mixed traffic.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use dp_netdev::port::PortSpec;

use crate::args::{Args, PortArg, SINK};

/// Its flows; the ports' names stand in them.
pub(crate) const FLOWS: &str = include_str!("scenario/gateway.flows");
/// What the flow file is called in messages.
pub(crate) const FLOWS_NAME: &str = "examples/gateway/scenario/gateway.flows";
/// Where packets come in, then where they go out.
const NAMES: [&str; 5] = ["lan", "uplink", "tenant", "carrier", "monitor"];
/// How long it runs unless it is told how often.
pub(crate) const SECONDS: f64 = 3.0;

/// Its ports, as though they had been given on the command line.
pub(crate) fn ports(args: &Args) -> Result<Vec<PortArg>> {
    let capture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("gateway/scenario/mixed.pcap");
    ensure!(capture.exists(), "{}: the bundled capture is not there", capture.display());
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let repeat = args.repeat.map_or("forever".to_owned(), |times| times.to_string());
    let port = |name: &&str| {
        let out = args.out.as_ref().map(|folder| folder.join(format!("{name}.pcap")));
        let replays = *name == NAMES[0];
        let kind = if replays || out.is_some() { "pcap" } else { SINK };
        let mut spec = PortSpec::new(kind, name);
        if replays {
            spec = spec.with("rx", &capture.to_string_lossy()).with("repeat", &repeat);
        }
        if let Some(out) = out {
            spec = spec.with("tx", &out.to_string_lossy());
        }
        PortArg::new(spec)
    };
    Ok(NAMES.iter().map(port).collect())
}
