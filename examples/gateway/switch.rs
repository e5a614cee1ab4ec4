//! The switch: a bridge and a datapath, wired together.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use dp_core::base::{Instant, OfPort, PortNo};
use dp_core::pipeline::{Malformed, Settings};
use dp_netdev::port::Port;
use dp_netdev::{Config, Idle, Netdev, Running};
use dp_ofproto::action::Action;
use dp_ofproto::bridge::{Bridge, BridgeConfig, BridgePort, Limits, PortMap};
use dp_ofproto::learn::MacTableConfig;
use dp_ofproto::revalidate::{Revalidator, RevalidatorConfig};
use dp_ofproto::table::{FlowMod, Match, TablesConfig};
use dp_ofproto::text::{self, parse_file};
use dp_ofproto::upcall::Ofproto;

use crate::args::{Args, OnMalformed, PortArg, SINK};
use crate::scenario;
use crate::sink::Sink;

/// A bridge on a datapath.
pub(crate) struct Switch {
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) netdev: Arc<Netdev>,
    pub(crate) names: text::PortMap,
    revalidator: Revalidator,
    captures: HashSet<PortNo>,
}

impl Switch {
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let bridge = Bridge::new("gateway", TablesConfig::default(), MacTableConfig::default());
        let limits =
            Limits { depth: args.max_depth, resubmits: args.max_resubmits, ..Limits::default() };
        bridge.set_config(BridgeConfig { limits, ..BridgeConfig::default() });
        let bridge = Arc::new(bridge);
        let ofproto = Arc::new(Ofproto::new([Arc::clone(&bridge)]));
        let malformed = match args.malformed {
            OnMalformed::Drop => Malformed::Drop,
            OnMalformed::Forward => Malformed::Forward,
        };
        let pipeline = Settings { malformed, ..Settings::default() };
        let sink = Arc::clone(&ofproto);
        let netdev = Netdev::new(sink, Config { pipeline, ..Config::default() })?;
        let revalidator = Revalidator::new(ofproto, RevalidatorConfig::default());
        Ok(Self {
            bridge,
            netdev,
            names: text::PortMap::default(),
            revalidator,
            captures: HashSet::new(),
        })
    }

    /// Opens ports and gives them to the bridge. Ports that only send come first, so that no
    /// packet finds its way out closed.
    pub(crate) fn add_ports(&mut self, args: &[PortArg]) -> Result<()> {
        let mut map = Vec::new();
        let mut opened = Vec::new();
        for (arg, number) in args.iter().zip(1..) {
            let ofport = OfPort(arg.ofport.unwrap_or(number));
            let number = PortNo(ofport.0.into());
            let name = &arg.spec.name;
            opened.push((number, open(arg)?));
            if arg.replays() {
                self.captures.insert(number);
            }
            self.names.insert(ofport, name);
            let mut entry = BridgePort::new(ofport, number, name).with_vlan(arg.vlan.clone());
            entry.no_flood = arg.no_flood;
            map.push(entry);
        }
        self.bridge.set_ports(PortMap::new(map)?);
        opened.sort_by_key(|(number, _)| self.captures.contains(number));
        for (number, port) in opened {
            self.netdev.add_port(number, port)?;
        }
        Ok(())
    }

    /// Reads the flows: from a file, the bundled ones, or the one flow of a learning switch.
    pub(crate) fn load_flows(&self, file: Option<&Path>, bundled: bool) -> Result<()> {
        let flows = match file {
            None if !bundled => {
                vec![FlowMod::add(0, 0, Match::any(), vec![Action::output(OfPort::NORMAL)])]
            }
            None => parse_file(scenario::FLOWS_NAME, scenario::FLOWS, &self.names)?,
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
                parse_file(&name, &text, &self.names)?
            }
        };
        let mut edit = self.bridge.tables().edit();
        for (flow, line) in flows.iter().zip(1..) {
            edit.apply(flow, self.now()).with_context(|| format!("flow {line}"))?;
        }
        edit.commit();
        Ok(())
    }

    /// Starts the packet thread on its processor.
    pub(crate) fn start(&self, args: &Args) -> Result<Running> {
        let idle = if args.spin { Idle::Spin } else { Idle::Sleep };
        let last = std::thread::available_parallelism().map_or(1, usize::from) - 1;
        match (args.cpu, self.netdev.start(&[args.cpu.unwrap_or(last)], idle)) {
            (_, Ok(running)) => Ok(running),
            (Some(cpu), Err(error)) => bail!("processor {cpu}: {error}"),
            // The processors that are allowed need not be the first ones.
            (None, Err(_)) => Ok(self.netdev.start(&[], idle)?),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.netdev.clock().now()
    }

    /// Whether a port replays a capture.
    pub(crate) fn is_capture(&self, port: PortNo) -> bool {
        self.captures.contains(&port)
    }

    /// Keeps megaflows true to the tables, when it is time.
    pub(crate) fn revalidate(&mut self) {
        let now = self.now();
        if self.revalidator.due(now) {
            self.revalidator.run(&*self.netdev, now);
        }
    }

    /// Accounts for everything, when no packet moves any more.
    pub(crate) fn settle(&mut self) {
        let now = self.now();
        self.revalidator.run(&*self.netdev, now);
        self.netdev.turn(now);
        self.revalidator.run(&*self.netdev, now);
    }
}

fn open(arg: &PortArg) -> Result<Box<dyn Port>> {
    if arg.spec.kind != SINK {
        return Ok(arg.spec.open()?);
    }
    match arg.spec.options.keys().next() {
        None => Ok(Box::new(Sink::new(arg.spec.name.clone()))),
        Some(option) => bail!("{}: a sink has no option {option}", arg.spec.name),
    }
}
