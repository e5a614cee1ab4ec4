//! Exports of real ports: packet threads sample, the kernel's interfaces have the numbers.

use anyhow::{Context, Result, ensure};
use testkit::netns::{Namespace, veth_pair};
use testkit::reference::{BRIDGE, Setup};

use super::collector::{Collector, complaints};
use super::decode::{Sflow, ipfix};
use super::vsctl;

/// The kernel's number of an interface.
fn ifindex(namespace: &Namespace, name: &str) -> Result<u32> {
    let text = namespace.ip(&["-o", "link", "show", name])?;
    let (number, _) = text.split_once(':').context("a number")?;
    Ok(number.trim().parse()?)
}

#[test]
fn packet_threads_sample_their_share_of_real_traffic() -> Result<()> {
    let (here, a, b) =
        (Namespace::new("exp-sw")?, Namespace::new("exp-a")?, Namespace::new("exp-b")?);
    veth_pair((&here, "e1"), (&a, "eth0"))?;
    veth_pair((&here, "e2"), (&b, "eth0"))?;
    here.ip(&["link", "set", "lo", "up"])?;
    a.address("eth0", "10.0.0.1/24")?;
    b.address("eth0", "10.0.0.2/24")?;
    let switch = Setup::within(&here).daemon(testkit::daemon::built()?).start()?;
    vsctl(&switch, "add-port br0 e1 -- add-port br0 e2")?;
    switch.add_flow(BRIDGE, "actions=normal")?;
    let (sflow, flows) = here.within(|| (Collector::new(), Collector::new()))?;
    let (sflow, flows) = (sflow?, flows?);
    // The agent's address is that of the device by which the collector is reached.
    let rows = format!(
        "-- --id=@s create sFlow {} sampling=4 polling=1 -- --id=@i create IPFIX {} sampling=1 \
         cache_active_timeout=1 cache_max_flows=100 -- set Bridge br0 sflow=@s ipfix=@i",
        sflow.target()?,
        flows.target()?
    );
    vsctl(&switch, &rows)?;
    a.exec(&["ping", "-q", "-f", "-c", "400", "10.0.0.2"])?;
    // Two seconds in which counters are told and flows end.
    a.exec(&["ping", "-q", "-c", "3", "-i", "1", "10.0.0.2"])?;
    let (samples, records) = (sflow.take()?, flows.take()?);

    let numbers = [ifindex(&here, "e1")?, ifindex(&here, "e2")?];
    let (mut sampled, mut told) = (0, [0_u32; 2]);
    let mut known = Vec::new();
    for datagram in &samples {
        let datagram = Sflow::read(datagram)?;
        known.push(datagram.without(&[1004, 1005, 2203, 2207]));
        for sample in &datagram.samples {
            if sample.kind == 1 {
                let ends = (sample.head.get(4), sample.head.get(5));
                let (Some(input), Some(output)) = ends else { continue };
                sampled += u32::from(numbers.contains(input) && numbers.contains(output));
            } else if let Some(words) = sample.words(1) {
                for (number, told) in numbers.iter().zip(&mut told) {
                    if words.first() == Some(number) {
                        // The kernel says of such a link that it is duplex at ten gigabits a second.
                        let speed = words.get(2..5).context("speed and duplex")?;
                        ensure!(speed == [2, 1_410_065_408, 1], "{speed:?}");
                        *told = (*told).max(words.get(8).copied().unwrap_or(0));
                    }
                }
            }
        }
    }
    // One in four of eight hundred packets, give or take a lot.
    ensure!((120..=290).contains(&sampled), "{sampled} samples");
    ensure!(told.iter().all(|packets| *packets >= 400), "{told:?} packets are told of");
    assert_eq!(complaints(&known, 6343, &[])?, [] as [&str; 0]);

    // Each packet is told where it comes in and where it leaves.
    let mut packets = 0;
    for record in ipfix(&records)? {
        let find = |wanted: u32| record.iter().find(|(number, _)| *number == wanted);
        if let (Some((_, protocol)), Some((_, delta))) = (find(4), find(2)) {
            packets += if protocol == "01" { u64::from_str_radix(delta, 16)? } else { 0 };
        }
    }
    ensure!((1600..=1612).contains(&packets), "{packets} packets are told of");
    let options = ["-o", "cflow.max_template_fields:100"];
    assert_eq!(complaints(&records, 4739, &options)?, [] as [&str; 0]);
    Ok(())
}
