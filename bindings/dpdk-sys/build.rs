//! Generates the bindings and compiles the shim, with the feature `dpdk`; nothing otherwise.

#![cfg_attr(
    feature = "dpdk",
    expect(clippy::expect_used, clippy::panic, reason = "how a build script fails")
)]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "dpdk")]
    found::build();
}

#[cfg(feature = "dpdk")]
mod found {
    use std::env;
    use std::path::PathBuf;
    use std::process::Command;

    /// The libraries that the shim and the bindings call. Drivers are plugins: EAL loads them.
    const LIBRARIES: &[&str] =
        &["rte_vhost", "rte_ethdev", "rte_mbuf", "rte_mempool", "rte_ring", "rte_eal", "rte_log"];

    /// What is bound: the rest of libdpdk's headers stays outside.
    const FUNCTIONS: &[&str] = &[
        "rte_eal_(init|cleanup)",
        "rte_version",
        "rte_strerror",
        "rte_thread_(register|unregister)",
        "rte_pktmbuf_pool_create",
        "rte_mempool_(free|obj_iter|avail_count|in_use_count|dump|list_dump)",
        "rte_dev_(probe|remove)",
        "rte_eth_dev_(info_get|start|stop|close|set_mtu|get_mtu|is_valid_port|socket_id)",
        "rte_eth_dev_(set_link_up|set_link_down|default_mac_addr_set)",
        "rte_eth_(rx|tx)_queue_setup",
        "rte_eth_(macaddr_get|stats_get|xstats_get|xstats_get_names|promiscuous_enable)",
        "rte_eth_allmulticast_enable",
        "rte_log_(set_level_pattern|set_global_level)",
        "rte_vhost_(enqueue_burst|dequeue_burst|get_vring_num|get_numa_node|rx_queue_count)",
        "dpdk_shim_.*",
    ];

    pub(super) fn build() {
        for file in ["src/shim.h", "src/shim.c"] {
            println!("cargo:rerun-if-changed={file}");
        }
        println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
        let flags = pkg_config("--cflags");
        let bindings = bindgen::Builder::default()
            .header("src/shim.h")
            .clang_args(&flags)
            .derive_debug(false)
            .layout_tests(false)
            .generate_comments(false)
            .default_enum_style(bindgen::EnumVariation::Consts)
            .prepend_enum_name(false)
            // A thread-local of C binds as an ordinary static and crashes.
            .blocklist_item("per_lcore_.*")
            .allowlist_var("rte_eth_fp_ops")
            .allowlist_type("dpdk_shim_.*");
        let bindings = FUNCTIONS.iter().fold(bindings, |all, name| all.allowlist_function(name));
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
        let bindings = bindings.generate().unwrap_or_else(|error| {
            panic!("libdpdk's headers cannot be bound (is libclang installed?): {error}")
        });
        bindings.write_to_file(out.join("bindings.rs")).expect("OUT_DIR can be written");

        let mut shim = cc::Build::new();
        shim.file("src/shim.c").opt_level(3).warnings(false);
        for flag in &flags {
            shim.flag(flag);
        }
        shim.compile("dpdk_shim");
        link(&pkg_config("--libs"));
    }

    fn link(flags: &[String]) {
        for flag in flags {
            if let Some(folder) = flag.strip_prefix("-L") {
                println!("cargo:rustc-link-search=native={folder}");
            } else if let Some(name) = flag.strip_prefix("-l")
                && LIBRARIES.contains(&name)
            {
                println!("cargo:rustc-link-lib=dylib={name}");
            }
        }
    }

    /// Every flag that `pkg-config` prints: also those that are neither folders nor definitions
    /// (`-include rte_config.h`, `-march=…`), without which inline functions have another layout.
    fn pkg_config(what: &str) -> Vec<String> {
        let tool = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
        let output = Command::new(tool).args([what, "libdpdk"]).output();
        let output = match output {
            Ok(output) if output.status.success() => output,
            Ok(output) => panic!(
                "libdpdk is not installed, or pkg-config cannot find it (Debian: apt-get install \
                 libdpdk-dev): {}",
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) => panic!("pkg-config cannot be run: {error}"),
        };
        let text = String::from_utf8(output.stdout).expect("pkg-config prints text");
        text.split_whitespace().map(str::to_owned).collect()
    }
}
