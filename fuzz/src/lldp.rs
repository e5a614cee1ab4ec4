//! LLDP: whatever comes is taken or refused, within bounds, and can be shown and sent back.

use dp_core::base::{Instant, MacAddr};
use dp_ofproto::protocols::lldp::frame::decode;
use dp_ofproto::protocols::lldp::{Agent, Config};

/// Takes the input as what stands behind an Ethernet header.
pub fn lldp(data: &[u8]) {
    let mut unknown = 0;
    if let Ok(pdu) = decode(data, &mut unknown) {
        // What is read can be written, unless it has become longer, and reads the same then.
        if let Ok(frame) = pdu.encode(MacAddr::ZERO) {
            let mut none = 0;
            let again = decode(frame.get(14..).unwrap_or_default(), &mut none);
            assert_eq!(none, 0, "what was not known is not written");
            let again = again.map(|it| (it.chassis, it.element));
            assert_eq!(again, Ok((pdu.chassis, pdu.element)));
        }
    }
    let config = Config {
        name: "p1".to_owned(),
        mac: MacAddr::ZERO,
        system_name: None,
        system_description: "fuzz".to_owned(),
        mappings: [(100, 5)].into(),
    };
    let mut agent = Agent::new(config, Instant::default());
    for chunk in [data, data.get(1..).unwrap_or(data)] {
        let _ = agent.receive(chunk, Instant::default());
    }
    let stats = *agent.stats();
    assert!(stats.rx_discarded <= stats.rx && stats.inserts <= 2);
    let _ = (agent.show_status(), agent.show_isid(), agent.show_statistics());
    assert!(agent.run(Instant::from_millis(100_000_000)).is_ok());
    assert_eq!(agent.neighbours().count(), 0, "the longest time is 65535 seconds");
}
