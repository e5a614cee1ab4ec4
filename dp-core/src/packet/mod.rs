//! Packets: a thin handle to a buffer with headroom, pools of buffers, bursts.
//!
//! ```text
//!   Packet (8 bytes) ──► Header (2 cache lines, and a side) ──► room: │ headroom │ frame │ tailroom │
//! ```
//!
//! A packet is owned by whoever holds its handle; dropping the handle gives the buffer back to
//! whom it belongs, be it a [`Pool`] of ours or a driver's. A driver whose buffers have a private
//! area (a DPDK mbuf) puts the [`Header`] there, so a frame is never copied between receive and
//! transmit.
//!
//! | room | what |
//! |---|---|
//! | [`Packet`] | the handle: bytes, push and pull at the front, metadata |
//! | [`Metadata`] | what travels with a packet between passes |
//! | [`CtMeta`], [`TunnelMeta`] | what few packets carry besides, in the side of the header |
//! | [`Pool`] | buffers of three sizes in our own memory, cached by thread |
//! | [`Burst`] | up to 32 packets in slots, and which slots are live |

mod buffer_unsafe;
mod burst;
mod headroom;
mod metadata;
mod pool_unsafe;
mod side;

pub use buffer_unsafe::{BufferOwner, Header, Packet};
pub use burst::{BURST, Burst, Slots};
pub use metadata::{Known, Metadata, Offloads};
pub use pool_unsafe::{HEADROOM, Pool};
pub use side::{CtAddrs, CtMeta, TUNNEL_OPTIONS, TunnelMeta};
