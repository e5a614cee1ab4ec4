//! Writes the laboratory's sample packets into the corpora of the targets that take frames or
//! headers.
//!
//! Run it after samples were added: `cargo run -p dp-fuzz --example seeds`. Files of the corpus
//! that are no sample (what fuzzing found) are left alone.

use std::fs;
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    for sample in testkit::packets::samples::all() {
        let frame = sample.frame.as_slice();
        write("flow_extract", &sample.name, frame)?;
        // The header behind Ethernet's, and the one behind a plain IPv4 header.
        write("wire_headers", &sample.name, frame.get(14..).unwrap_or(frame))?;
        if sample.name.starts_with("ipv4-") {
            let name = format!("{}-l4", sample.name);
            write("wire_headers", &name, frame.get(34..).unwrap_or(frame))?;
        }
    }
    Ok(())
}

fn write(target: &str, name: &str, input: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), input)
}
