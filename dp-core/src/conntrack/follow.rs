//! Following control connections: what they announce is expected, and rewritten where addresses are
//! translated.
//!
//! The side that announces gives its own address. Behind a translation the other side must be told
//! the address that it can reach; the payload may get longer or shorter by that, and from then on
//! sequence numbers are shifted ([`super::shift`]).
//!
//! ```text
//!   sender  own ──── seen (as the other side knows it)          the other side: own', seen'
//!   announces own:p    ⇒ expected: own' → seen:p', translated to own:p; or its source to seen'
//! ```

use core::net::IpAddr;

use super::expect::{Expectation, Whom};
use super::inspect::{Seen, TCP, UDP};
use super::key::Tuple;
use super::record::{Found, Record, Status};
use super::{Conntrack, ftp, rewrite, shift};
use crate::action::ct::{NatChoice, NatEnd, NatTarget};
use crate::base::Instant;
use crate::packet::Packet;

/// Ports tried for an announcement whose own port is another's.
const PORTS_TRIED: u16 = 64;

/// A control connection and the direction of the packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Control<'a> {
    pub(super) record: &'a Record,
    pub(super) found: Found,
    pub(super) status: Status,
    pub(super) orig: Tuple,
    pub(super) reply: Tuple,
}

/// The addresses of both sides, as they are and as the other side knows them.
#[derive(Clone, Copy, Debug)]
struct Sides {
    own: IpAddr,
    seen: IpAddr,
    other_own: IpAddr,
    other_seen: IpAddr,
}

impl Control<'_> {
    fn sides(&self) -> Sides {
        let (orig, reply) = (&self.orig, &self.reply);
        if self.found.reply {
            Sides { own: reply.src, seen: orig.dst, other_own: orig.src, other_seen: reply.dst }
        } else {
            Sides { own: orig.src, seen: reply.dst, other_own: reply.src, other_seen: orig.dst }
        }
    }

    fn direction(&self) -> usize {
        usize::from(self.found.reply)
    }

    /// What the announced connection, which the other side opens, is translated to: its destination
    /// where the sender's address is translated, its source where the other side's is. Where neither
    /// is, the state that a `ct` with `nat` shows is still one of the two, as in the reference:
    /// addresses become what they are.
    fn translation(&self, sides: &Sides, port: u16) -> NatTarget {
        let other = sides.other_seen != sides.other_own;
        if sides.seen != sides.own || !other && !self.found.reply {
            nat(NatEnd::Dst, sides.own, Some(port))
        } else {
            nat(NatEnd::Src, sides.other_seen, None)
        }
    }
}

impl Conntrack {
    /// Looks into a packet of a control connection, whose headers have been translated already.
    #[cold]
    pub(super) fn follow(
        &self,
        packet: &mut Packet,
        seen: &mut Seen,
        control: &Control<'_>,
        now: Instant,
    ) {
        let proto = seen.proto();
        if control.status.contains(Status::FTP) && proto == TCP {
            self.follow_ftp(packet, seen, control, now);
        } else if control.status.contains(Status::TFTP) && proto == UDP && !control.found.reply {
            self.expect_transfer(control, now);
        }
    }

    /// A TFTP server (RFC 1350) may answer from any port. What the client has written is not looked at:
    /// whom it lets in is for the flows that name the helper to say, and the reference announces for
    /// every datagram too.
    fn expect_transfer(&self, control: &Control<'_>, now: Instant) {
        let sides = control.sides();
        let own_port = control.orig.rest.sport;
        let seen_port = control.reply.rest.dport;
        let nat = if seen_port == own_port {
            control.translation(&sides, own_port)
        } else {
            nat(NatEnd::Dst, sides.own, Some(own_port))
        };
        self.expect(control, &sides, UDP, seen_port, nat, now);
    }

    fn follow_ftp(
        &self,
        packet: &mut Packet,
        seen: &mut Seen,
        control: &Control<'_>,
        now: Instant,
    ) {
        let start = seen.l4 + usize::from(seen.segment.header);
        let payload = packet.data().get(start..seen.end).unwrap_or_default();
        let Some(said) = ftp::announcement(payload) else { return };
        let sides = control.sides();
        // Whoever names a third party is not helped (the bounce attack, RFC 2577).
        if said.address.is_some_and(|address| address != sides.own) {
            return;
        }
        let translated = sides.seen != sides.own;
        let mut port = said.port;
        for _ in 0..PORTS_TRIED {
            let nat = control.translation(&sides, said.port);
            if self.expect(control, &sides, TCP, port, nat, now) {
                break;
            }
            if !translated {
                return;
            }
            port = port.checked_add(1).unwrap_or(1024);
        }
        if !translated {
            return;
        }
        let Some(text) = said.written(sides.seen, port) else { return };
        let place = start + said.place.start..start + said.place.end;
        let before = place.len();
        if rewrite::replace(packet, seen, place, text.as_bytes()).is_none() {
            return;
        }
        let grown = i32::try_from(text.len()).unwrap_or(0) - i32::try_from(before).unwrap_or(0);
        if grown != 0
            && let Some(extra) = self.extra(control.record)
        {
            let _guard = control.record.lock.lock();
            if control.record.is_still(control.found.generation) {
                shift::grow(extra, control.direction(), seen.segment.seq, grown);
                control.record.set_status(control.found.generation, Status::SHIFTED);
            }
        }
    }

    fn expect(
        &self,
        control: &Control<'_>,
        sides: &Sides,
        proto: u8,
        port: u16,
        nat: NatTarget,
        now: Instant,
    ) -> bool {
        let whom = Whom {
            zone: control.orig.rest.zone,
            proto,
            src: sides.other_own,
            dst: sides.seen,
            dport: port,
        };
        let expectation = Expectation {
            parent: control.orig.words(),
            mark: control.record.mark.get(),
            label: control.record.label(),
            nat,
        };
        self.expectations.add(whom, expectation, now)
    }
}

fn nat(end: NatEnd, address: IpAddr, port: Option<u16>) -> NatTarget {
    NatTarget {
        end,
        addresses: Some((address, address)),
        ports: port.map(|port| (port, port)),
        persistent: false,
        choice: NatChoice::Default,
    }
}
