//! The pure core of the dp virtual switch datapath: packets, flow keys, caches, actions, pipeline.

pub mod base;
