//! Dummy ports tied to others through a socket: `options:stream` and `options:pstream`.
//!
//! A frame on the wire is its length in two bytes, the higher first, and its octets. A passive port
//! sends to all who have connected to it. What a peer does not take is dropped beyond a bound, as a
//! full link would.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dp_netdev::port::dummy::Hand;

use super::Switch;
use crate::config::Settings;
use crate::event_loop::Wants;
use crate::net::{Connecting, Listener, Local, Remote, Stream};
use crate::ovsdb::json_rpc::Backoff;

/// All wires, by the port's name.
#[derive(Debug)]
pub(super) struct Wires {
    wires: BTreeMap<String, Wire>,
    started: Instant,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Wire {
    /// What it was made from.
    options: (Option<String>, Option<String>),
    hand: Hand,
    end: End,
    peers: Vec<Peer>,
}

#[derive(Debug)]
enum End {
    Passive(Listener),
    Active { remote: Remote, backoff: Backoff, connecting: Option<Connecting> },
}

#[derive(Debug)]
struct Peer {
    stream: Stream,
    inbox: Vec<u8>,
    outbox: VecDeque<Vec<u8>>,
    /// How much of the first frame has gone.
    gone: usize,
}

impl Default for Wires {
    fn default() -> Self {
        Self { wires: BTreeMap::new(), started: Instant::now(), buffer: vec![0; READ_AT_ONCE] }
    }
}

impl Wires {
    /// Makes wires what the interfaces' options say.
    pub(super) fn sync(&mut self, switch: &Switch) {
        let now = self.now();
        let mut wanted = BTreeMap::new();
        for bridge in switch.bridges() {
            for interface in bridge.state().interfaces.values() {
                let options = wire_options(&interface.config.options);
                let name = &interface.config.name;
                if options != (None, None)
                    && let Some(hand) = bridge.datapath.hand(name)
                {
                    wanted.insert(name.clone(), (options, hand));
                }
            }
        }
        self.wires.retain(|name, wire| {
            wanted
                .get(name)
                .is_some_and(|(options, hand)| *options == wire.options && hand.is_same(&wire.hand))
        });
        for (name, (options, hand)) in wanted {
            if self.wires.contains_key(&name) {
                continue;
            }
            let folder = switch.paths.in_run_folder("");
            if let Some(end) = End::new(&options, &folder, now) {
                // What was sent before there was a wire is on no wire.
                drop(hand.take_sent());
                self.wires.insert(name, Wire { options, hand, end, peers: Vec::new() });
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Brings in what has come.
    pub(super) fn receive(&mut self, switch: &Arc<Switch>) {
        let now = self.now();
        for wire in self.wires.values_mut() {
            wire.connect(now);
            let hand = &wire.hand;
            let before = wire.peers.len();
            wire.peers.retain_mut(|peer| peer.receive(hand, &mut self.buffer));
            if wire.peers.len() < before
                && let End::Active { backoff, .. } = &mut wire.end
            {
                backoff.disconnected(now);
            }
        }
        let states = self.wires.iter().filter_map(|(name, wire)| match &wire.end {
            End::Passive(_) => None,
            End::Active { .. } if wire.peers.is_empty() => Some((name.clone(), "disconnected")),
            End::Active { .. } => Some((name.clone(), "connected")),
        });
        switch.set_wire_states(states.collect());
    }

    /// Sends what ports have sent.
    pub(super) fn send(&mut self) {
        for wire in self.wires.values_mut() {
            for frame in wire.hand.take_sent() {
                let Ok(length) = u16::try_from(frame.len()) else { continue };
                let mut bytes = length.to_be_bytes().to_vec();
                bytes.extend_from_slice(&frame);
                for peer in wire.peers.iter_mut().filter(|peer| peer.outbox.len() < WAITING) {
                    peer.outbox.push_back(bytes.clone());
                }
            }
            wire.peers.iter_mut().for_each(Peer::flush);
        }
    }

    /// What to wake up for.
    pub(super) fn wait(&self, wants: &mut Wants) {
        let now = self.now();
        for wire in self.wires.values() {
            match &wire.end {
                End::Passive(listener) => wants.read(listener),
                End::Active { backoff, connecting, .. } => {
                    if let Some(connecting) = connecting {
                        connecting.wait(wants);
                    }
                    if let Some(at) = backoff.deadline() {
                        wants.real(Duration::from_millis(at.saturating_sub(now)));
                    }
                }
            }
            for peer in &wire.peers {
                peer.stream.wait(wants, true, !peer.outbox.is_empty());
            }
        }
    }
}

fn wire_options(options: &Settings) -> (Option<String>, Option<String>) {
    (options.get("stream").cloned(), options.get("pstream").cloned())
}

impl End {
    fn new(options: &(Option<String>, Option<String>), folder: &Path, now: u64) -> Option<Self> {
        let failed = |target: &str, why: &str| {
            log::warn!(target: "netdev_dummy", "{target}: open failed ({why})");
        };
        match options {
            (_, Some(target)) => match Local::parse(target, 0, folder) {
                Some(Ok(place)) => match place.listen() {
                    Ok(listener) => Some(Self::Passive(listener)),
                    Err(error) => {
                        failed(target, &crate::errno::text(&error));
                        None
                    }
                },
                Some(Err(_)) | None => {
                    failed(target, "Address family not supported by protocol");
                    None
                }
            },
            (Some(target), None) => match Remote::parse(target, 0, folder) {
                Ok(remote) => {
                    let backoff = Backoff::new(LONGEST_WAIT_MS, now);
                    Some(Self::Active { remote, backoff, connecting: None })
                }
                Err(_) => {
                    failed(target, "Address family not supported by protocol");
                    None
                }
            },
            (None, None) => None,
        }
    }
}

impl Wire {
    fn connect(&mut self, now: u64) {
        match &mut self.end {
            End::Passive(listener) => {
                while let Ok(Some((stream, _))) = listener.accept() {
                    if self.peers.len() < PEERS {
                        self.peers.push(Peer::new(stream));
                    }
                }
            }
            End::Active { remote, backoff, connecting } => {
                if backoff.due(now) {
                    backoff.connecting(now);
                    match remote.connect() {
                        Ok(begun) => *connecting = Some(begun),
                        Err(_) => backoff.disconnected(now),
                    }
                }
                match connecting.take().map(Connecting::finish) {
                    None => {}
                    Some(Ok(Ok(stream))) => {
                        backoff.connected(now);
                        self.peers = vec![Peer::new(stream)];
                    }
                    Some(Ok(Err(unfinished))) => *connecting = Some(unfinished),
                    Some(Err(_)) => backoff.disconnected(now),
                }
            }
        }
    }
}

impl Peer {
    fn new(stream: Stream) -> Self {
        Self { stream, inbox: Vec::new(), outbox: VecDeque::new(), gone: 0 }
    }

    /// Gives the port the frames that have come whole; whether the peer is still there.
    fn receive(&mut self, hand: &Hand, buffer: &mut [u8]) -> bool {
        let there = match self.stream.read(buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.inbox.extend_from_slice(buffer.get(..count).unwrap_or_default());
                true
            }
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
            }
        };
        let mut taken = 0;
        while let Some((high, low)) = self.inbox.get(taken).zip(self.inbox.get(taken + 1)) {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(frame) = self.inbox.get(taken + 2..taken + 2 + length) else { break };
            hand.inject(frame);
            taken += 2 + length;
        }
        self.inbox.drain(..taken);
        there
    }

    fn flush(&mut self) {
        while let Some(frame) = self.outbox.front() {
            match self.stream.write(frame.get(self.gone..).unwrap_or_default()) {
                Ok(count) => self.gone += count,
                // What is wrong with the connection is found by reading.
                Err(_) => return,
            }
            if self.gone >= frame.len() {
                self.outbox.pop_front();
                self.gone = 0;
            }
        }
    }
}

const READ_AT_ONCE: usize = 64 << 10;
/// Frames that wait for a peer at most.
const WAITING: usize = 1024;
/// Peers of a passive port at most.
const PEERS: usize = 64;
const LONGEST_WAIT_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use dp_core::base::Instant;
    use dp_core::packet::Burst;
    use dp_netdev::port::dummy::Dummy;
    use dp_netdev::port::{Port, QueueCount};

    use super::{Peer, Stream};

    #[test]
    fn frames_arrive_whole_however_they_were_cut() {
        use std::io::Write;
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut port = Dummy::new("p");
        let hand = port.hand();
        let mut queues = port.queues(QueueCount::ONE).unwrap();
        let mut peer = Peer::new(Stream::Unix(ours));
        let mut buffer = vec![0; 1 << 16];
        let frame = [7; 60];
        let mut wire = vec![0, 60];
        wire.extend_from_slice(&frame);
        for part in [&wire[..1], &wire[1..30], &wire[30..]] {
            theirs.write_all(part).unwrap();
            assert!(peer.receive(&hand, &mut buffer));
        }
        let mut burst = Burst::default();
        queues.rx[0].receive(&mut burst, Instant::from_millis(1)).unwrap();
        assert_eq!(
            burst.drain().map(|it| it.data().to_vec()).collect::<Vec<_>>(),
            [frame.to_vec()]
        );
        drop(theirs);
        assert!(!peer.receive(&hand, &mut buffer));
    }
}
