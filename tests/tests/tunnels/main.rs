//! Tunnels as their users see them: the daemon beside the reference on the same commands and
//! packets; two hosts with our switch; the kernel's own VXLAN at the other end.

mod beside;
mod commands;
mod guard;
mod live;
mod marks;
mod matrix;
mod options;
mod random;
mod routed;
mod vxlan;
mod waiting;
