use std::path::Path;

use super::*;

const LONG: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn is_running(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_child_ends_with_its_guard() {
    let guarded = Guarded::spawn(Command::new("sleep").arg("60")).unwrap();
    let pid = guarded.id();
    assert!(is_running(pid));
    drop(guarded);
    assert!(!is_running(pid));
}

#[test]
fn a_child_ends_though_the_test_panics() {
    let (tell, told) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let guarded = Guarded::spawn(Command::new("sleep").arg("60")).unwrap();
        tell.send(guarded.id()).unwrap();
        std::panic::resume_unwind(Box::new("as a failed test does"));
    })
    .join();
    assert!(panicked.is_err());
    assert!(!is_running(told.recv().unwrap()));
}

#[test]
fn terminate_lets_it_end_politely_and_kills_what_will_not() {
    let mut polite = Guarded::spawn(
        shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done")
            .stdout(Stdio::piped()),
    )
    .unwrap();
    let mut ready = [0; 5];
    io::Read::read_exact(&mut polite.take_stdout().unwrap(), &mut ready).unwrap();
    assert_eq!(polite.terminate(LONG).unwrap().code(), Some(7));

    let mut deaf = Guarded::spawn(
        shell("trap '' TERM; echo ready; while :; do sleep 0.01; done").stdout(Stdio::piped()),
    )
    .unwrap();
    io::Read::read_exact(&mut deaf.take_stdout().unwrap(), &mut ready).unwrap();
    let error = deaf.terminate(Duration::from_millis(100)).unwrap_err();
    assert!(matches!(error, ProcessError::Late { .. }), "{error}");
    assert!(!is_running(deaf.id()));
}

#[test]
fn waiting_has_a_limit() {
    let mut slow = Guarded::spawn(Command::new("sleep").arg("60")).unwrap();
    let error = slow.wait(Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.to_string(), "sleep 60: still running after 20ms");
    let mut quick = Guarded::spawn(&mut shell("exit 3")).unwrap();
    assert_eq!(quick.wait(LONG).unwrap().code(), Some(3));
}

#[test]
fn a_failed_command_tells_its_last_words() {
    assert_eq!(run(&mut shell("echo fine")).unwrap(), "fine\n");
    let error = run(&mut shell("echo so >&2; exit 2")).unwrap_err();
    assert_eq!(error.to_string(), "sh -c echo so >&2; exit 2: exit status: 2: so");
    let error = run(&mut Command::new("/no/such/program")).unwrap_err();
    assert!(matches!(error, ProcessError::Start { .. }), "{error}");
}
