//! What the kernel counts of a link.

use std::io;

use super::message::{GET_LINK, Message, NEW_LINK, attributes, messages, word};
use super::socket_unsafe::Socket;

/// `IFLA_STATS64`.
const STATS64: u16 = 23;
/// Bytes of `struct ifinfomsg`.
const FIXED: usize = 16;

/// A link's counters (`struct rtnl_link_stats64`), from the host's side: what it receives and sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Faulty when received.
    pub rx_errors: u64,
    /// Faults in sending.
    pub tx_errors: u64,
    /// Dropped on receipt.
    pub rx_dropped: u64,
    /// Dropped instead of sent.
    pub tx_dropped: u64,
    /// Multicast frames received.
    pub multicast: u64,
    /// Collisions.
    pub collisions: u64,
    /// Overruns of the receiver.
    pub rx_over_errors: u64,
    /// Checksums that were wrong.
    pub rx_crc_errors: u64,
    /// Misaligned frames.
    pub rx_frame_errors: u64,
    /// Missed by the receiver.
    pub rx_missed_errors: u64,
}

impl LinkCounters {
    /// The same from the other end of the link: what the host drops on sending is dropped there on
    /// receipt. What else the host's receiver counts says nothing of the other's.
    #[must_use]
    pub const fn of_other_end(&self) -> Self {
        Self {
            rx_errors: self.tx_errors,
            tx_errors: self.rx_errors,
            rx_dropped: self.tx_dropped,
            tx_dropped: self.rx_dropped,
            multicast: 0,
            collisions: self.collisions,
            rx_over_errors: 0,
            rx_crc_errors: 0,
            rx_frame_errors: 0,
            rx_missed_errors: 0,
        }
    }
}

/// What the kernel has counted of the link of this number in the calling thread's namespace.
///
/// # Errors
///
/// `ENODEV` if there is no such link; the system's.
pub fn link_counters(ifindex: u32) -> io::Result<LinkCounters> {
    let mut socket = Socket::asking()?;
    socket.send(&request(ifindex))?;
    while let Some(buffer) = socket.receive()? {
        for message in messages(&buffer) {
            match message {
                Message::Of(NEW_LINK, content) if word(content, 4) == Some(ifindex) => {
                    return counters(content).ok_or_else(|| io::ErrorKind::InvalidData.into());
                }
                Message::Refused(code) => {
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                _ => {}
            }
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// A request for one link.
fn request(ifindex: u32) -> Vec<u8> {
    let mut out = super::message::dump(GET_LINK, FIXED, 1);
    // A request that is no dump.
    if let Some(flags) = out.get_mut(6..8) {
        flags.copy_from_slice(&1u16.to_ne_bytes());
    }
    let at = out.len() - FIXED + 4;
    if let Some(index) = out.get_mut(at..at + 4) {
        index.copy_from_slice(&ifindex.to_ne_bytes());
    }
    out
}

fn counters(content: &[u8]) -> Option<LinkCounters> {
    let (_, value) = attributes(content.get(FIXED..)?).find(|(kind, _)| *kind == STATS64)?;
    let number = |at: usize| Some(u64::from_ne_bytes(*value.get(at * 8..)?.first_chunk()?));
    Some(LinkCounters {
        rx_errors: number(4)?,
        tx_errors: number(5)?,
        rx_dropped: number(6)?,
        tx_dropped: number(7)?,
        multicast: number(8)?,
        collisions: number(9)?,
        rx_over_errors: number(11)?,
        rx_crc_errors: number(12)?,
        rx_frame_errors: number(13)?,
        rx_missed_errors: number(15)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_a_link_s_attributes_and_from_no_shorter_ones() {
        let mut content = vec![0; FIXED];
        let numbers: Vec<u8> = (0..25u64).flat_map(|at| (at + 100).to_ne_bytes()).collect();
        content.extend(u16::try_from(numbers.len() + 4).unwrap().to_ne_bytes());
        content.extend(STATS64.to_ne_bytes());
        let whole = [content.clone(), numbers].concat();
        let found = counters(&whole).unwrap();
        assert_eq!((found.rx_errors, found.collisions, found.rx_missed_errors), (104, 109, 115));
        let other = found.of_other_end();
        assert_eq!((other.rx_errors, other.tx_errors), (found.tx_errors, found.rx_errors));
        assert_eq!((other.rx_dropped, other.tx_dropped), (found.tx_dropped, found.rx_dropped));
        assert_eq!((other.collisions, other.rx_missed_errors), (109, 0));
        for length in 0..whole.len() {
            assert_eq!(counters(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn the_loopback_is_counted_and_what_is_not_there_is_not() {
        assert!(link_counters(1).is_ok());
        let missing = link_counters(0x7fff_fff0).unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENODEV));
    }
}
