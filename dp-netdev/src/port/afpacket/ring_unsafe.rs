//! The mapped receive ring of a packet socket (TPACKET_V3, packet(7) and the kernel's
//! `packet_mmap` document).
//!
//! The ring consists of blocks. A block belongs to the kernel until its status word says otherwise;
//! then it is ours, with all frames in it, until we write the word back. Frames in a block are
//! chained by offsets.
//!
//! # Invariants
//!
//! 1. `map` covers `blocks * BLOCK` bytes as long as the ring lives.
//! 2. Bytes of a block are read only between an acquiring load of its status word that says "user"
//!    and the releasing store that gives it back; frames handed out borrow the ring meanwhile.
//! 3. Every offset that the kernel wrote is compared with the block before it is followed: a wrong
//!    one ends the block, nothing else.
#![expect(unsafe_code, reason = "a ring in memory that the kernel writes to")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::Options;
use super::socket_unsafe::{bind, open};
use crate::offload::vnet;
use crate::system::{get_option, set_option};

/// Bytes of a block: room for the largest frame (64 KiB and headers), four times.
const BLOCK: usize = 256 * 1024;
/// The kernel wants a frame size that divides the block; with version 3 it means nothing else.
const FRAME: u32 = 2048;
/// Milliseconds after which the kernel hands over a block that is not full.
const RETIRE_MILLIS: u32 = 1;

/// Offsets in a block's header (`struct tpacket_block_desc`).
const STATUS: usize = 8;
const COUNT: usize = 12;
const FIRST: usize = 16;

/// Offset of the sender's address in a frame's header; the packet type is in it.
const ADDRESS: usize = size_of::<libc::tpacket3_hdr>();
const PACKET_TYPE: usize = ADDRESS + 10;
const _: () = assert!(ADDRESS == 48);

/// A receive ring and its socket.
#[derive(Debug)]
pub(super) struct Ring {
    fd: OwnedFd,
    map: MmapRaw,
    blocks: usize,
    /// The block to be looked at.
    block: usize,
    /// Frames not yet read in that block, if it is ours.
    left: Option<u32>,
    /// Offset of the next of them in the block.
    next: usize,
}

/// A frame in the ring.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// Its bytes, as far as the kernel kept them.
    pub(super) bytes: &'a [u8],
    /// What the kernel says of it.
    pub(super) facts: Facts,
}

/// What the kernel says of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// How long it was.
    pub(super) len: usize,
    /// What is left to be done for it.
    pub(super) vnet: [u8; vnet::LEN],
    /// The tag that the kernel took off: Ethertype and TCI.
    pub(super) tag: Option<(u16, u16)>,
    /// Whether it was sent, not received, by this machine.
    pub(super) outgoing: bool,
    /// Where its bytes are in the block.
    start: usize,
    end: usize,
}

impl Ring {
    /// Opens a ring on an interface; from now on it fills. On failure says what was being done.
    pub(super) fn open(ifindex: u32, options: &Options) -> Result<Self, (&'static str, io::Error)> {
        let fd = open().map_err(|error| ("open packet socket", error))?;
        let set = |name, value: i32, step| {
            set_option(&fd, libc::SOL_PACKET, name, value).map_err(|error| (step, error))
        };
        let version = libc::tpacket_versions::TPACKET_V3 as i32;
        set(libc::PACKET_VERSION, version, "ask for TPACKET_V3")?;
        set(libc::PACKET_IGNORE_OUTGOING, 1, "ignore outgoing frames")?;
        let blocks = (options.ring_bytes / BLOCK).clamp(4, 1 << 14);
        let count = u32::try_from(blocks).unwrap_or(4);
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK as u32,
            tp_block_nr: count,
            tp_frame_size: FRAME,
            tp_frame_nr: count * (BLOCK as u32 / FRAME),
            tp_retire_blk_tov: RETIRE_MILLIS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set_option(&fd, libc::SOL_PACKET, libc::PACKET_RX_RING, request)
            .map_err(|error| ("make receive ring", error))?;
        let map = MmapOptions::new()
            .len(blocks * BLOCK)
            .map_raw(&fd)
            .map_err(|error| ("map receive ring", error))?;
        if options.promiscuous {
            let membership = libc::packet_mreq {
                mr_ifindex: i32::try_from(ifindex).unwrap_or(0),
                mr_type: u16::try_from(libc::PACKET_MR_PROMISC).unwrap_or(0),
                mr_alen: 0,
                mr_address: [0; 8],
            };
            set_option(&fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, membership)
                .map_err(|error| ("set promiscuous mode", error))?;
        }
        let all = u16::try_from(libc::ETH_P_ALL).unwrap_or(0);
        bind(&fd, ifindex, all).map_err(|error| ("bind packet socket", error))?;
        Ok(Self { fd, map, blocks, block: 0, left: None, next: 0 })
    }

    /// What becomes readable when a block is handed over.
    pub(super) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Takes what has gone wrong with the socket since the last time.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        match get_option(&self.fd, libc::SOL_SOCKET, libc::SO_ERROR, 0) {
            Ok(0) => None,
            Ok(errno) => Some(io::Error::from_raw_os_error(errno)),
            Err(error) => Some(error),
        }
    }

    /// How many frames the kernel has dropped since the last time because the ring was full.
    pub(super) fn take_drops(&self) -> u32 {
        let none = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        get_option(&self.fd, libc::SOL_PACKET, libc::PACKET_STATISTICS, none)
            .map_or(0, |stats| stats.tp_drops)
    }

    /// The next frame, if one is there. A block is given back when the frame after its last is
    /// asked for.
    pub(super) fn next(&mut self) -> Option<Frame<'_>> {
        loop {
            let left = match self.left {
                Some(left) => left,
                None => self.take_block()?,
            };
            if left == 0 {
                self.give_back();
                continue;
            }
            self.left = Some(left - 1);
            let at = self.next;
            match self.hop(at) {
                Some(next) => self.next = next,
                // The last frame of a block points nowhere.
                None => self.left = Some(0),
            }
            match self.facts(at) {
                Some(facts) => {
                    let bytes = self.bytes().get(facts.start..facts.end)?;
                    return Some(Frame { bytes, facts });
                }
                None => self.left = Some(0),
            }
        }
    }

    /// Takes over the next block if the kernel has filled it; says how many frames it has.
    fn take_block(&mut self) -> Option<u32> {
        if self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let count = self.u32_at(COUNT).unwrap_or(0);
        self.next = self.u32_at(FIRST).unwrap_or(0) as usize;
        self.left = Some(count);
        Some(count)
    }

    /// Gives the block back to the kernel and goes on to the next.
    fn give_back(&mut self) {
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.left = None;
        self.block = (self.block + 1) % self.blocks;
    }

    /// The status word of the current block.
    fn status(&self) -> &AtomicU32 {
        let at = self.block * BLOCK + STATUS;
        // SAFETY: invariant 1: inside the mapping.
        let word = unsafe { self.map.as_mut_ptr().add(at) };
        // SAFETY: aligned to 4 (blocks are aligned to pages), valid as long as `self`, and written
        // by the kernel and by us as one word only.
        unsafe { AtomicU32::from_ptr(word.cast()) }
    }

    /// The bytes of the current block behind its status word. Only while the block is ours.
    fn bytes(&self) -> &[u8] {
        let at = self.block * BLOCK;
        // SAFETY: invariant 1: inside the mapping.
        let start = unsafe { self.map.as_ptr().add(at) };
        // SAFETY: `BLOCK` bytes inside the mapping that nobody writes while the block is ours
        // (invariant 2): the kernel not, because the status word says so, and we not, because
        // `give_back` needs `&mut self`.
        unsafe { std::slice::from_raw_parts(start, BLOCK) }
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(*self.bytes().get(at..)?.first_chunk()?))
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        Some(u16::from_ne_bytes(*self.bytes().get(at..)?.first_chunk()?))
    }

    /// Where the frame behind the one at `at` begins.
    fn hop(&self, at: usize) -> Option<usize> {
        let distance = self.u32_at(at)? as usize;
        (distance != 0).then_some(at + distance)
    }

    /// What the header at `at` (`struct tpacket3_hdr`) says. `None` if it contradicts the block.
    fn facts(&self, at: usize) -> Option<Facts> {
        let bytes = self.bytes();
        let kept = self.u32_at(at + 12)? as usize;
        let len = self.u32_at(at + 16)? as usize;
        let status = self.u32_at(at + 20)?;
        let start = at + usize::from(self.u16_at(at + 24)?);
        let tci = u16::try_from(self.u32_at(at + 32)? & 0xffff).unwrap_or(0);
        let tpid = match self.u16_at(at + 36)? {
            tpid if status & libc::TP_STATUS_VLAN_TPID_VALID != 0 => tpid,
            _ => 0x8100,
        };
        let end = start + kept;
        (end <= bytes.len()).then_some(Facts {
            len,
            vnet: *bytes.get(start.checked_sub(vnet::LEN)?..)?.first_chunk()?,
            tag: (status & libc::TP_STATUS_VLAN_VALID != 0).then_some((tpid, tci)),
            outgoing: *bytes.get(at + PACKET_TYPE)? == libc::PACKET_OUTGOING,
            start,
            end,
        })
    }
}
