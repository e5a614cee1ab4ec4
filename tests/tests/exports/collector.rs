//! A collector on loopback, and tshark as judge of what it gets.

use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::folder::Folder;

/// A collector.
pub(crate) struct Collector(UdpSocket);

impl Collector {
    /// One that listens.
    pub(crate) fn new() -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(Self(socket))
    }

    /// Where it listens, as a column of the database has it.
    pub(crate) fn target(&self) -> Result<String> {
        Ok(format!("targets=\"{}\"", self.0.local_addr()?))
    }

    /// What has come; waits until nothing more comes, and ten seconds for the first datagram.
    pub(crate) fn take(&self) -> Result<Vec<Vec<u8>>> {
        let mut got = Vec::new();
        let mut buffer = vec![0; 65_536];
        for _ in 0..100 {
            while let Ok(len) = self.0.recv(&mut buffer) {
                got.push(buffer.get(..len).context("a length")?.to_vec());
            }
            if !got.is_empty() {
                break;
            }
        }
        Ok(got)
    }

    /// What has come by now.
    pub(crate) fn drain(&self) -> Result<Vec<Vec<u8>>> {
        self.0.set_nonblocking(true)?;
        let got = self.take();
        self.0.set_nonblocking(false)?;
        got
    }
}

/// What tshark makes of datagrams to this UDP port.
pub(crate) fn tshark(datagrams: &[Vec<u8>], port: u16, options: &[&str]) -> Result<String> {
    testkit::packages::ensure(&["tshark"])?;
    let folder = Folder::new("collected")?;
    let path = folder.join("datagrams.pcap");
    fs::write(&path, capture(datagrams, port)?)?;
    let mut command = Command::new("tshark");
    command.arg("-r").arg(&path).args(options).env("HOME", folder.path());
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// What tshark complains of, line by line.
pub(crate) fn complaints(
    datagrams: &[Vec<u8>],
    port: u16,
    options: &[&str],
) -> Result<Vec<String>> {
    let text = tshark(datagrams, port, &[&["-V"], options].concat())?;
    let bad =
        ["Malformed", "Severity level", "no template found", "Unknown enterprise", "Unreassembled"];
    let is_bad = |line: &&str| bad.iter().any(|word| line.contains(word));
    Ok(text.lines().filter(is_bad).map(|line| line.trim().to_owned()).collect())
}

/// A capture of raw IP packets.
fn capture(datagrams: &[Vec<u8>], port: u16) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    out.extend_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    for half in [2_u16, 4, 0, 0, 0, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    for word in [65_535_u32, 101] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for (second, datagram) in (0_u32..).zip(datagrams) {
        let udp = u16::try_from(8 + datagram.len())?;
        let len = u32::from(udp) + 20;
        for word in [second, 0, len, len] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&[0x45, 0]);
        out.extend_from_slice(&u16::try_from(len)?.to_be_bytes());
        out.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        for half in [40_000, port, udp, 0] {
            out.extend_from_slice(&half.to_be_bytes());
        }
        out.extend_from_slice(datagram);
    }
    Ok(out)
}
