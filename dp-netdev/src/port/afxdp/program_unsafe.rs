//! The XDP program: six instructions, a map of sockets, and the link that attaches it.

#![expect(unsafe_code, reason = "the bpf system call, and descriptors that it returns")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use super::Mode;

/// A loaded program with its map. Dropping it detaches and unloads it.
#[derive(Debug)]
pub(super) struct Program {
    map: OwnedFd,
    program: OwnedFd,
    link: Mutex<Option<OwnedFd>>,
}

/// Commands of the system call.
const MAP_CREATE: i64 = 0;
const MAP_UPDATE_ELEM: i64 = 2;
const PROG_LOAD: i64 = 5;
const LINK_CREATE: i64 = 28;

const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
const FLAG_SKB_MODE: u32 = 1 << 1;
const FLAG_DRV_MODE: u32 = 1 << 2;
const REDIRECT_MAP: i32 = 51;
const PASS: i32 = 2;

/// What each command reads; fields beyond those given are zero for the kernel.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

#[repr(C)]
struct MapUpdate {
    map: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_count: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kern_version: u32,
    flags: u32,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// One instruction.
#[repr(C)]
#[derive(Clone, Copy)]
struct Insn {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn insn(code: u8, registers: u8, offset: i16, immediate: i32) -> Insn {
    Insn { code, registers, offset, immediate }
}

impl Program {
    /// Loads the program, with room for as many sockets as there are queues.
    pub(super) fn load(queues: u32) -> io::Result<Self> {
        let create = MapCreate {
            map_type: MAP_TYPE_XSKMAP,
            key_size: 4,
            value_size: 4,
            max_entries: queues,
        };
        let map = descriptor(bpf(MAP_CREATE, &create)?);
        let insns = [
            // r2 = the frame's queue (rx_queue_index of the context in r1)
            insn(0x61, 0x12, 16, 0),
            // r1 = the map: one instruction of two slots
            insn(0x18, 0x11, 0, map.as_raw_fd()),
            insn(0, 0, 0, 0),
            // r3 = what to do where the map has no socket: pass it to the kernel
            insn(0xb7, 0x03, 0, PASS),
            // r0 = redirect_map(r1, r2, r3)
            insn(0x85, 0, 0, REDIRECT_MAP),
            // return r0
            insn(0x95, 0, 0, 0),
        ];
        let license = c"Apache-2.0";
        let load = ProgLoad {
            prog_type: PROG_TYPE_XDP,
            insn_count: insns.len() as u32,
            insns: insns.as_ptr() as u64,
            license: license.as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            kern_version: 0,
            flags: 0,
        };
        let program = descriptor(bpf(PROG_LOAD, &load)?);
        Ok(Self { map, program, link: Mutex::new(None) })
    }

    /// Lets frames of a queue go to a socket.
    pub(super) fn serve(&self, queue: u32, socket: RawFd) -> io::Result<()> {
        let update = MapUpdate {
            map: self.map.as_raw_fd().cast_unsigned(),
            _pad: 0,
            key: (&raw const queue) as u64,
            value: (&raw const socket) as u64,
            flags: 0,
        };
        bpf(MAP_UPDATE_ELEM, &update).map(|_| ())
    }

    /// Attaches it to an interface.
    pub(super) fn attach(&self, ifindex: u32, mode: Mode) -> io::Result<()> {
        let create = LinkCreate {
            program: self.program.as_raw_fd().cast_unsigned(),
            ifindex,
            attach_type: ATTACH_XDP,
            flags: if mode == Mode::Generic { FLAG_SKB_MODE } else { FLAG_DRV_MODE },
        };
        let link = descriptor(bpf(LINK_CREATE, &create)?);
        *self.link.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(link);
        Ok(())
    }
}

/// Asks the kernel; the structures above are what these commands read.
fn bpf<T>(command: i64, attribute: &T) -> io::Result<i64> {
    // SAFETY: the attribute is read only, of the size given; the pointers in it are of values that
    // live through the call, as long as the kernel reads them.
    let answer = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attribute), size_of::<T>())
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

fn descriptor(answer: i64) -> OwnedFd {
    let fd = RawFd::try_from(answer).unwrap_or(-1);
    // SAFETY: the kernel has just opened it for us, and nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
