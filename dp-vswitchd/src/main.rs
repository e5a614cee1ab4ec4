//! The program: everything is in the library, so that tests and other programs can have it.

use std::process::ExitCode;

fn main() -> ExitCode {
    dp_vswitchd::daemon::main()
}
