//! What DPDK needs before it starts: huge pages, processors, and no real devices.

use std::{fs, path::Path, thread};

use super::ReferenceError;

/// Makes sure that the pages of one instance are free.
///
/// The setting is the machine's. It is raised and left so, since another test may live on the pages
/// by the time this one ends.
pub(super) fn reserve_memory() -> Result<(), ReferenceError> {
    let pages = Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB");
    let read = |name: &str| -> Result<u64, ReferenceError> {
        let path = pages.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => {
                text.trim().parse().map_err(|_| ReferenceError::Answer { text: text.clone() })
            }
            Err(source) => Err(ReferenceError::File { path, source }),
        }
    };
    let free = read("free_hugepages")?;
    if free < PAGES {
        let path = pages.join("nr_hugepages");
        let wanted = read("nr_hugepages")? + PAGES - free;
        fs::write(&path, wanted.to_string())
            .map_err(|source| ReferenceError::File { path, source })?;
    }
    match read("free_hugepages")? {
        free if free < PAGES => Err(ReferenceError::HugePages { wanted: PAGES, free }),
        _ => Ok(()),
    }
}

/// Settings of the `Open_vSwitch` table: the first processor for the main thread, the second for
/// polling if there is one, memory of its own that leaves no files.
pub(super) fn settings() -> Vec<String> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let polling = if processors > 1 { "0x2" } else { "0x1" };
    vec![
        "other_config:dpdk-init=true".into(),
        "other_config:dpdk-lcore-mask=0x1".into(),
        format!("other_config:pmd-cpu-mask={polling}"),
        format!("other_config:dpdk-socket-mem={}", PAGES * 2),
        "other_config:dpdk-extra=--no-pci --in-memory".into(),
    ]
}

/// Pages of two MiB for one instance, with room for the default number of buffers.
const PAGES: u64 = 256;
