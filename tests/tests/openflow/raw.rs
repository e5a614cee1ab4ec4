//! OpenFlow as octets: a peer that says exactly what it is told to say.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::reference::{BRIDGE, Reference};

/// A connection to a bridge.
pub(crate) struct Peer {
    stream: UnixStream,
    version: u8,
    xid: u32,
}

impl Peer {
    /// Connects to the bridge and agrees on a version.
    pub(crate) fn connect(switch: &Reference, version: u8) -> Result<Self> {
        let path = switch.folder().join(format!("{BRIDGE}.mgmt"));
        let stream = UnixStream::connect(&path).with_context(|| format!("{}", path.display()))?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut peer = Self { stream, version, xid: 100 };
        // The bitmap says this version and no other.
        let bitmap = (1u32 << version).to_be_bytes();
        peer.send(HELLO, &[&[0, 1, 0, 8], &bitmap[..]].concat())?;
        let hello = peer.next()?;
        ensure!(hello.get(1) == Some(&HELLO), "{hello:?}");
        Ok(peer)
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, ty: u8, body: &[u8]) -> Result<()> {
        self.xid += 1;
        let len = u16::try_from(8 + body.len())?;
        let mut message = vec![self.version, ty];
        message.extend(len.to_be_bytes());
        message.extend(self.xid.to_be_bytes());
        message.extend(body);
        self.stream.write_all(&message)?;
        Ok(())
    }

    /// The transaction of the next message.
    pub(crate) fn next_xid(&self) -> u32 {
        self.xid + 1
    }

    /// Everything that has come until the switch has done what it was asked so far.
    pub(crate) fn received(&mut self) -> Result<Vec<Vec<u8>>> {
        self.send(ECHO_REQUEST, &[])?;
        let mut messages = Vec::new();
        loop {
            let message = self.next()?;
            match message.get(1) {
                Some(&ECHO_REPLY) => return Ok(messages),
                Some(&ECHO_REQUEST) => self.send(ECHO_REPLY, &[])?,
                _ => messages.push(message),
            }
        }
    }

    fn next(&mut self) -> Result<Vec<u8>> {
        let mut message = vec![0; 8];
        self.stream.read_exact(&mut message)?;
        let len = usize::from(u16::from_be_bytes([message[2], message[3]]));
        message.resize(len.max(8), 0);
        self.stream.read_exact(&mut message[8..])?;
        Ok(message)
    }
}

/// Octets from text.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
    digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(*pair.last().unwrap_or(&0))).collect()
}

const HELLO: u8 = 0;
const ECHO_REQUEST: u8 = 2;
const ECHO_REPLY: u8 = 3;
const LIMIT: Duration = Duration::from_secs(30);
