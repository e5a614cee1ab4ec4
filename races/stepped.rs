//! Builds a crate with `dp_core::sync` made of steps.

fn main() {
    println!("cargo:rustc-check-cfg=cfg(dp_stepped, dp_loom)");
    println!("cargo:rustc-cfg=dp_stepped");
    println!("cargo:rerun-if-changed=../stepped.rs");
}
