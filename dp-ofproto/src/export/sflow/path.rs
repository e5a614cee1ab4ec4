//! What the steps behind a sample do to the packet that collectors want to know: the tunnel that it
//! leaves by, and the MPLS labels that it leaves with.

use std::net::Ipv4Addr;

use dp_core::action::tunnel::Kind;
use dp_core::action::{Action, Set, TunnelPush};
use dp_core::flow::{FlowKey, layout};
use smallvec::SmallVec;

/// A tunnel over IPv4, as a sample tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelPath {
    /// The IP protocol of the outer header.
    pub protocol: u8,
    /// Outer source.
    pub src: Ipv4Addr,
    /// Outer destination.
    pub dst: Ipv4Addr,
    /// Outer transport source port; 0 where the datapath chooses it by packet.
    pub src_port: u16,
    /// Outer transport destination port.
    pub dst_port: u16,
    /// Outer tos.
    pub tos: u8,
    /// The network's number in the tunnel header.
    pub vni: Option<u32>,
}

/// Labels at most: more than that and nothing is said of them.
const LABELS: usize = 16;

/// What becomes of a packet behind the sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// The tunnel that it leaves by, if it is exactly one.
    pub tunnel: Option<TunnelPath>,
    /// Its labels when it leaves, the outermost first; empty where they are as they came.
    pub labels: SmallVec<[u32; 4]>,
}

/// Follows the steps.
#[derive(Default)]
struct Follower {
    tunnels: usize,
    path: Path,
    /// The labels that the packet came with count from the first change on.
    touched: bool,
    confused: bool,
}

impl Path {
    /// What these steps do to a packet with this key.
    #[must_use]
    pub fn of(actions: &[Action], key: &FlowKey) -> Self {
        let mut follower = Follower::default();
        follower.follow(actions, key, 0);
        let Follower { tunnels, mut path, confused, .. } = follower;
        if tunnels != 1 {
            path.tunnel = None;
        }
        if confused {
            path.labels.clear();
        }
        path
    }
}

impl Follower {
    fn follow(&mut self, actions: &[Action], key: &FlowKey, depth: u8) {
        for action in actions {
            match action {
                Action::TunnelPush(push) => self.enter(push),
                Action::Set(Set::Tunnel(to)) => {
                    self.tunnels += 1;
                    self.path.tunnel = (!to.dst.is_unspecified()).then(|| TunnelPath {
                        protocol: 0,
                        src: to.src,
                        dst: to.dst,
                        src_port: to.tp_src,
                        dst_port: to.tp_dst,
                        tos: to.tos,
                        vni: vni(to.id),
                    });
                }
                Action::Clone(list) if depth < 4 => self.follow(list, key, depth + 1),
                Action::PushMpls { lse, .. } | Action::AddMpls { lse, .. } => {
                    self.take_labels(key);
                    if self.path.labels.len() < LABELS {
                        self.path.labels.insert(0, *lse);
                    } else {
                        self.confused = true;
                    }
                }
                Action::PopMpls { .. } => {
                    self.take_labels(key);
                    if self.path.labels.is_empty() {
                        self.confused = true;
                    } else {
                        self.path.labels.remove(0);
                    }
                }
                Action::Set(Set::Mpls(to)) => {
                    self.take_labels(key);
                    if let Some(top) = self.path.labels.first_mut() {
                        *top = *top & !to.mask | to.value & to.mask;
                    }
                }
                _ => {}
            }
        }
    }

    fn enter(&mut self, push: &TunnelPush) {
        self.tunnels += 1;
        self.path.tunnel = outer(push);
    }

    /// The labels that the packet came with, the first time that they matter.
    fn take_labels(&mut self, key: &FlowKey) {
        if std::mem::replace(&mut self.touched, true) || !matches!(key.eth_type(), 0x8847 | 0x8848)
        {
            return;
        }
        for place in [layout::MPLS0, layout::MPLS1, layout::MPLS2] {
            let lse = u32::try_from(key.load(place)).unwrap_or(0);
            self.path.labels.push(lse);
            if lse & 0x100 != 0 {
                break;
            }
        }
    }
}

fn vni(id: u64) -> Option<u32> {
    u32::try_from(id).ok()
}

/// What the headers of a tunnel say, where they are IPv4's.
fn outer(push: &TunnelPush) -> Option<TunnelPath> {
    let ip = push.header.get(14..)?;
    let head = ip.first_chunk::<20>()?;
    if head[0] >> 4 != 4 {
        return None;
    }
    let behind = ip.get(usize::from(head[0] & 0xf) * 4..)?;
    let four = |at: usize| Some(u32::from_be_bytes(*behind.get(at..)?.first_chunk()?));
    let udp = head[9] == 17;
    let port = |at: usize| {
        let two = behind.get(at..).and_then(<[u8]>::first_chunk);
        if udp { two.map_or(0, |two| u16::from_be_bytes(*two)) } else { 0 }
    };
    let vni = match push.kind {
        Kind::Vxlan | Kind::Geneve => four(12).map(|word| word >> 8),
        Kind::Gre => gre_key(behind),
        Kind::Gtpu => four(12),
        _ => None,
    };
    Some(TunnelPath {
        protocol: head[9],
        src: Ipv4Addr::from(*head.get(12..)?.first_chunk::<4>()?),
        dst: Ipv4Addr::from(*head.get(16..)?.first_chunk::<4>()?),
        src_port: port(0),
        dst_port: port(2),
        tos: head[1],
        vni,
    })
}

/// The key of a GRE header (RFC 2890), which stands behind its checksum, if it has one.
fn gre_key(header: &[u8]) -> Option<u32> {
    let flags = *header.first()?;
    let at = if flags & 0x80 != 0 { 8 } else { 4 };
    let key = header.get(at..)?.first_chunk().filter(|_| flags & 0x20 != 0)?;
    Some(u32::from_be_bytes(*key))
}

/// The tunnel that a packet came out of, by the protocol of the port's tunnels.
#[must_use]
pub fn ingress(key: &FlowKey, protocol: u8) -> Option<TunnelPath> {
    let word = |place| u32::try_from(key.load(place)).unwrap_or(0);
    let half = |place| u16::try_from(key.load(place)).unwrap_or(0);
    let dst = word(layout::TUN_DST);
    (dst != 0).then(|| TunnelPath {
        protocol,
        src: word(layout::TUN_SRC).into(),
        dst: dst.into(),
        src_port: half(layout::TUN_TP_SRC),
        dst_port: half(layout::TUN_TP_DST),
        tos: u8::try_from(key.load(layout::TUN_TOS)).unwrap_or(0),
        vni: vni(u64::try_from(key.load(layout::TUN_ID)).unwrap_or(u64::MAX)),
    })
}
