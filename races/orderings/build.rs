//! Builds this crate with `dp_core::sync` made of loom's atomics.

fn main() {
    println!("cargo:rustc-check-cfg=cfg(dp_stepped, dp_loom)");
    println!("cargo:rustc-cfg=dp_loom");
    println!("cargo:rerun-if-changed=build.rs");
}
