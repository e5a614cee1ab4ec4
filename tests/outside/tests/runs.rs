//! The switch of the outside crate forwards what its port generates.

#[test]
fn the_switch_forwards() {
    let program = env!("CARGO_BIN_EXE_outside");
    assert!(std::process::Command::new(program).status().unwrap().success());
}
