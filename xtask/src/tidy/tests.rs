//! The repository itself is tidy.

use std::path::Path;

#[test]
fn the_repository_is_tidy() {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository");
    let tree = super::Tree::of_repository(root).expect("the repository is readable");
    let findings = super::check(&tree).findings;
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "untidy:\n{}", lines.join("\n"));
}
