//! The switch under test without ports and threads: frames in, frames out, at a time of the test's
//! choosing.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use dp_core::base::{Instant, OfPort, PortNo};
use dp_core::boundary::Datapath;
use dp_core::execute::TxBatches;
use dp_core::packet::{Burst, Pool};
use dp_core::pipeline::{Malformed, Pipeline, Settings};
use dp_ofproto::bridge::{Bridge, BridgePort, PortMap, VlanMode};
use dp_ofproto::learn::MacTableConfig;
use dp_ofproto::revalidate::{Revalidator, RevalidatorConfig};
use dp_ofproto::table::{Command, FlowMod, TablesConfig};
use dp_ofproto::text::{NumbersOnly, parse_file};
use dp_ofproto::upcall::Ofproto;

use crate::Stepped;

/// How a switch under test is set up.
#[derive(Clone, Debug)]
pub struct SwitchConfig {
    /// Its ports, numbered from 1 in this order.
    pub ports: Vec<VlanMode>,
    /// What becomes of malformed packets.
    pub malformed: Malformed,
    /// Whether addresses move with every packet.
    pub always_move: bool,
}

/// A bridge, a pipeline, and revalidation between packets.
pub struct Switch {
    /// The bridge.
    pub bridge: Arc<Bridge>,
    ofproto: Arc<Ofproto>,
    datapath: Stepped,
    revalidator: Revalidator,
    out: TxBatches,
    ports: Vec<OfPort>,
    now: Instant,
}

impl Switch {
    /// A switch with one bridge.
    ///
    /// # Errors
    ///
    /// If the ports make no sense.
    pub fn new(config: &SwitchConfig) -> Result<Self> {
        let macs = MacTableConfig { always_move: config.always_move, ..Default::default() };
        let bridge = Arc::new(Bridge::new("br0", TablesConfig::default(), macs));
        let numbers: Vec<u16> = (1..).take(config.ports.len()).collect();
        let ports = config.ports.iter().zip(&numbers).map(|(vlan, &n)| {
            BridgePort::new(OfPort(n), PortNo(n.into()), format!("p{n}")).with_vlan(vlan.clone())
        });
        bridge.set_ports(PortMap::new(ports)?);
        let ofproto = Arc::new(Ofproto::new([Arc::clone(&bridge)]));
        let revalidator = Revalidator::new(Arc::clone(&ofproto), RevalidatorConfig::default());
        let settings =
            Settings { emc_insert_inv_prob: 1, malformed: config.malformed, ..Settings::default() };
        let mut out = TxBatches::default();
        for &n in &numbers {
            anyhow::ensure!(out.add_port(PortNo(n.into())));
        }
        Ok(Self {
            bridge,
            ofproto,
            datapath: Stepped::new(Pipeline::new(settings)),
            revalidator,
            out,
            ports: numbers.into_iter().map(OfPort).collect(),
            now: Instant::from_millis(1_000_000),
        })
    }

    /// Replaces all flows by these lines.
    ///
    /// # Errors
    ///
    /// The first line that is wrong or is refused.
    pub fn set_flows(&mut self, flows: &str) -> Result<()> {
        let mods = parse_file("flows", flows, &NumbersOnly)?;
        let all = FlowMod { command: Command::Delete, ..FlowMod::delete(None, Default::default()) };
        self.bridge.tables().apply(&all, self.now)?;
        for (flow_mod, line) in mods.iter().zip(flows.lines().filter(|line| !line.is_empty())) {
            self.bridge.tables().apply(flow_mod, self.now).with_context(|| line.to_owned())?;
        }
        self.revalidate();
        Ok(())
    }

    /// Forgets all learned addresses.
    pub fn flush_macs(&mut self) {
        self.bridge.macs().flush();
        self.revalidate();
    }

    /// What leaves when this frame comes in by a port; megaflows are true to the tables again
    /// afterwards.
    ///
    /// # Errors
    ///
    /// If no buffer can be had.
    pub fn receive(&mut self, port: u16, frame: &[u8]) -> Result<BTreeMap<u16, Vec<Vec<u8>>>> {
        let mut packet = Pool::for_len(frame.len()).and_then(Pool::alloc).context("no buffer")?;
        packet.append(frame.len()).context("no room")?.copy_from_slice(frame);
        let mut burst = Burst::default();
        drop(burst.push(packet));
        self.now.0 += 1_000_000;
        let port = PortNo(port.into());
        let Self { datapath, ofproto, out, now, .. } = self;
        datapath.lock().process(port, &mut burst, *now, &**ofproto, out);
        let mut left = BTreeMap::<u16, Vec<Vec<u8>>>::new();
        out.flush(|port, burst| {
            let frames = burst.drain().map(|packet| packet.data().to_vec());
            left.entry(u16::try_from(port.0).unwrap_or(u16::MAX)).or_default().extend(frames);
        });
        self.revalidate();
        Ok(left)
    }

    /// Its slow path.
    #[must_use]
    pub fn ofproto(&self) -> &Ofproto {
        &self.ofproto
    }

    /// Its ports.
    #[must_use]
    pub fn ports(&self) -> &[OfPort] {
        &self.ports
    }

    /// Megaflows installed now.
    #[must_use]
    pub fn megaflows(&self) -> usize {
        self.datapath.flow_count()
    }

    fn revalidate(&mut self) {
        while self.revalidator.due(self.now) {
            self.revalidator.run(&self.datapath, self.now);
        }
    }
}
