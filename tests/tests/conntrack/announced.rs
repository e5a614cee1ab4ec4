//! Connections that FTP and TFTP announce, in the installed reference and in ours: the first packet of
//! each is related, translated and marked with the same state bits, with and without translations.

use anyhow::Result;
use testkit::packets::{Packet, Tcp, tcp_flags};

use super::random::{Pair, SHOW};

const CLIENT: &str = "10.0.0.1";
const SERVER: &str = "10.0.0.2";
const PUBLIC: &str = "10.0.0.240";
const SERVICE: &str = "10.0.0.50";

/// Who is who to whom: the client as the server knows it, and the server as the client knows it.
#[derive(Clone, Copy)]
struct Sides {
    nat: &'static str,
    public: &'static str,
    service: &'static str,
}

const ALL: [Sides; 3] = [
    Sides { nat: "", public: CLIENT, service: SERVER },
    Sides { nat: ",nat(src=10.0.0.240)", public: PUBLIC, service: SERVER },
    Sides { nat: ",nat(dst=10.0.0.2)", public: CLIENT, service: SERVICE },
];

impl Sides {
    fn ip(self, port: &str) -> Packet {
        let packet = Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02");
        match port {
            "p1" => packet.ipv4(CLIENT, self.service),
            _ => packet.ipv4(SERVER, self.public),
        }
    }

    /// Control connections of both helpers are new from the first side only.
    fn flows(self) -> String {
        let mut out = String::from("table=0,ip,actions=ct(table=1,zone=1,nat)\n");
        for (protocol, port, helper) in [("tcp", 21, "ftp"), ("udp", 69, "tftp")] {
            out += &format!(
                "table=1,priority=9,in_port=1,ct_state=+new-rel+trk,{protocol},tp_dst={port},\
                 actions=ct(commit,zone=1,alg={helper},table=2{})\n",
                self.nat
            );
        }
        out + "table=1,priority=8,ct_state=+new+rel+trk,ip,actions=ct(commit,zone=1,table=2,nat)\n\
               table=1,priority=1,ip,actions=goto_table:2\n"
            + &format!(
                "table=2,in_port=1,ip,actions={SHOW},2\ntable=2,in_port=2,ip,actions={SHOW},1\n"
            )
    }
}

/// Flags, sequence number and acknowledgment of a segment.
type Numbers = (u16, u32, u32);

const OPEN: Numbers = (tcp_flags::SYN, 1, 0);
const ANSWER: Numbers = (tcp_flags::SYN | tcp_flags::ACK, 1, 2);
const LAST: Numbers = (tcp_flags::ACK, 2, 2);

fn segment(
    pair: &Pair,
    sides: Sides,
    port: &str,
    ports: (u16, u16),
    (flags, sequence, acknowledgment): Numbers,
    payload: &str,
) -> Result<()> {
    let tcp = Tcp { flags, sequence, acknowledgment, window: 8000, ..Tcp::new(ports.0, ports.1) };
    pair.give(port, &sides.ip(port).layer(tcp).payload(payload).build())
}

#[test]
fn what_ftp_announces_has_the_same_state_bits() -> Result<()> {
    const DATA: u16 = tcp_flags::PSH | tcp_flags::ACK;
    for sides in ALL {
        for active in [true, false] {
            // Its dummy ports leave the reference no room for a longer address: what it would write
            // anew stays as it was there.
            let written = if active { sides.public != CLIENT } else { sides.service != SERVER };
            if written {
                continue;
            }
            let pair = Pair::start()?;
            pair.flows(&sides.flows())?;
            let give = |port: &str, ports, numbers, payload: &str| {
                segment(&pair, sides, port, ports, numbers, payload)
            };
            give("p1", (100, 21), (tcp_flags::SYN, 1000, 0), "")?;
            give("p2", (21, 100), (tcp_flags::SYN | tcp_flags::ACK, 5000, 1001), "")?;
            give("p1", (100, 21), (tcp_flags::ACK, 1001, 5001), "")?;
            if active {
                give("p1", (100, 21), (DATA, 1001, 5001), "PORT 10,0,0,1,78,32\r\n")?;
                give("p2", (20, 20000), OPEN, "")?;
                give("p1", (20000, 20), ANSWER, "")?;
                give("p2", (20, 20000), LAST, "")?;
            } else {
                let told = "227 Entering Passive Mode (10,0,0,2,80,1).\r\n";
                give("p2", (21, 100), (DATA, 5001, 1001), told)?;
                give("p1", (999, 20481), OPEN, "")?;
                give("p2", (20481, 999), ANSWER, "")?;
                give("p1", (999, 20481), LAST, "")?;
            }
            pair.agree()?;
        }
    }
    Ok(())
}

#[test]
fn whatever_a_tftp_client_sends_announces_the_answer() -> Result<()> {
    for sides in ALL {
        let pair = Pair::start()?;
        pair.flows(&sides.flows())?;
        let sent: [&[u8]; 7] = [
            b"\0\x01file\0octet\0",
            b"\0\x01file\0octet",
            b"\0\x02file\0",
            b"\0\x01",
            b"\0\x03\0\x01data",
            b"\0",
            b"",
        ];
        for (nth, payload) in sent.into_iter().enumerate() {
            let nth = u16::try_from(nth)?;
            pair.give("p1", &sides.ip("p1").udp(3000 + nth, 69).payload(payload).build())?;
            let block = sides.ip("p2").udp(4000 + nth, 3000 + nth).payload(b"\0\x03\0\x01data");
            pair.give("p2", &block.build())?;
            let answer = sides.ip("p1").udp(3000 + nth, 4000 + nth).payload(b"\0\x04\0\x01");
            pair.give("p1", &answer.build())?;
        }
        pair.agree()?;
    }
    Ok(())
}
