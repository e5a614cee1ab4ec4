//! A switch with a port of its own, linked from outside, in at most 60 lines.

use std::error::Error;
use std::sync::Arc;

use dp_core::base::{Instant, OfPort, PortNo};
use dp_core::boundary::Datapath;
use dp_core::packet::{Burst, Pool};
use dp_netdev::port::dummy::Dummy;
use dp_netdev::port::{Lost, OpenError, Port, QueueCount, Queues, RxEnd, RxQueue};
use dp_netdev::{Config, Netdev};
use dp_ofproto::bridge::{Bridge, BridgePort, PortMap};
use dp_ofproto::revalidate::Revalidator;
use dp_ofproto::text::{NumbersOnly, parse_file};
use dp_ofproto::upcall::Ofproto;

/// A port of our own: delivers this many broadcast frames.
struct Generator(u32);

impl Port for Generator {
    fn name(&self) -> &str { "gen0" }
    fn kind(&self) -> &'static str { "generator" }
    fn queues(&mut self, _: QueueCount) -> Result<Queues, OpenError> {
        Ok(Queues { rx: vec![Box::new(Self(self.0))], tx: vec![] })
    }
}

impl RxQueue for Generator {
    fn receive(&mut self, burst: &mut Burst, _: Instant) -> Result<Lost, RxEnd> {
        if self.0 == 0 { return Err(RxEnd::Finished); }
        while self.0 > 0 && !burst.is_full() {
            let Some(mut packet) = Pool::standard().alloc() else { break };
            if let Some(room) = packet.append(60) { room.fill(0xff) }
            drop(burst.push(packet));
            self.0 -= 1;
        }
        Ok(Lost::NONE)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let bridge = Arc::new(Bridge::new("br0", Default::default(), Default::default()));
    let port = |n: u16, name| BridgePort::new(OfPort(n), PortNo(n.into()), name);
    bridge.set_ports(PortMap::new([port(1, "gen0"), port(2, "out")])?);
    for flow in parse_file("flows", "in_port=1,actions=mod_dl_dst:02:00:00:00:00:01,output:2", &NumbersOnly)? {
        bridge.tables().apply(&flow, Instant::default())?;
    }
    let ofproto = Arc::new(Ofproto::new([bridge]));
    let netdev = Netdev::new(ofproto.clone(), Config::default())?;
    let (out, mut revalidator) = (Dummy::new("out"), Revalidator::new(ofproto, Default::default()));
    let sent = out.hand();
    netdev.add_port(PortNo(2), Box::new(out))?;
    netdev.add_port(PortNo(1), Box::new(Generator(1000)))?;
    while netdev.turn(netdev.clock().now()) > 0 {}
    revalidator.run(&*netdev, netdev.clock().now());
    assert_eq!(netdev.ports()[1].stats.tx_packets, 1000);
    assert!(sent.take_sent().iter().all(|frame| frame[..6] == [2, 0, 0, 0, 0, 1]));
    Ok(())
}
