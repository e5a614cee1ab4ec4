//! The server, spoken to through its socket while the test turns the loop.

use std::{
    cell::RefCell,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::folder::Folder;

use super::{CommandRegistry, Reply, Responder, Server};
use crate::event_loop::{Clock, EventLoop};

/// A server with a few commands, and the loop it runs in.
struct Bench {
    path: PathBuf,
    event_loop: EventLoop,
    waiting: Rc<RefCell<Vec<Responder>>>,
    _folder: Folder,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = Folder::new(&format!("unixctl-{name}")).unwrap();
        let path = folder.join("ctl");
        let mut event_loop = EventLoop::new(Clock::new()).unwrap();
        let waiting = Rc::new(RefCell::new(Vec::new()));
        let mut commands = CommandRegistry::new();
        commands.register("echo", "[WORD]...", 0, 3, |request| {
            Ok::<_, String>(request.arguments().join(" "))
        });
        commands.register("fail", "", 0, 0, |_| Err::<(), _>("it did not work"));
        commands.register("big", "BYTES", 1, 1, |request| {
            request.argument(0).parse().map(|size| "x".repeat(size))
        });
        commands.register("both", "", 0, 0, |request| {
            Ok::<_, String>(match request.format() {
                super::Format::Text => Reply::from("text"),
                super::Format::Json => Reply::Json(json!({"a": 1})),
            })
        });
        let later = Rc::clone(&waiting);
        commands.register_deferred("later", "", 0, 0, move |_, responder| {
            later.borrow_mut().push(responder);
        });
        let waker = event_loop.waker();
        event_loop.add(Server::new(Some(&path), commands, waker).unwrap());
        Self { path, event_loop, waiting, _folder: folder }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }

    /// Turns the loop until the stream has given `count` complete replies.
    fn replies(&mut self, stream: &mut UnixStream, count: usize) -> Vec<Value> {
        let mut bytes = Vec::new();
        self.until(|| {
            let _ = stream.read_to_end(&mut bytes);
            let texts = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>();
            let replies: Vec<Value> = texts.map_while(Result::ok).collect();
            (replies.len() >= count).then_some(replies)
        })
    }

    /// Turns the loop until `done` gives something.
    fn until<T>(&mut self, mut done: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        // Keeps the loop from sleeping while the test looks at other things.
        while start.elapsed() < Duration::from_secs(20) {
            if let Some(found) = done() {
                return found;
            }
            self.event_loop.waker().wake();
            self.event_loop.turn().unwrap();
        }
        panic!("nothing after twenty seconds");
    }

    /// Turns the loop until the server has closed the stream.
    fn closed(&mut self, stream: &mut UnixStream) {
        self.until(|| {
            let mut buffer = [0; 1024];
            match stream.read(&mut buffer) {
                Ok(0) => Some(()),
                Ok(_) => None,
                Err(error) => (error.kind() != std::io::ErrorKind::WouldBlock).then_some(()),
            }
        });
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        let mut stream = self.connect();
        stream.write_all(&request(method, params)).unwrap();
        self.replies(&mut stream, 1).remove(0)
    }
}

fn request(method: &str, params: &Value) -> Vec<u8> {
    json!({"id": 0, "method": method, "params": params}).to_string().into_bytes()
}

#[test]
fn commands_answer_or_fail_in_the_words_of_the_reference() {
    let mut bench = Bench::new("words");
    for (method, params, member, wanted) in [
        ("echo", json!(["a", "b"]), "result", "a b\n"),
        ("echo", json!([]), "result", ""),
        ("fail", json!([]), "error", "it did not work\n"),
        ("fail", json!(["x"]), "error", "\"fail\" command takes at most 0 arguments\n"),
        ("big", json!([]), "error", "\"big\" command requires at least 1 arguments\n"),
        ("big", json!(["x"]), "error", "invalid digit found in string\n"),
        ("echo", json!(["x", 1]), "error", "\"echo\" command has non-string argument\n"),
        (
            "nosuch",
            json!([]),
            "error",
            "\"nosuch\" is not a valid command (use \"list-commands\" to see a list of valid commands)\n",
        ),
        (
            "list-commands",
            json!([]),
            "result",
            "The available commands are:\n  big                     BYTES\n  both                    \n  \
             echo                    [WORD]...\n  fail                    \n  later                   \n  \
             list-commands           \n  set-options             [--format text|json]\n",
        ),
    ] {
        let reply = bench.ask(method, &params);
        assert_eq!(reply[member], wanted, "{method} {params}");
    }
}

#[test]
fn a_connection_may_ask_for_json() {
    let mut bench = Bench::new("json");
    let mut stream = bench.connect();
    for (method, params) in [
        ("both", json!([])),
        ("set-options", json!(["--format", "json"])),
        ("both", json!([])),
        ("echo", json!(["x"])),
        ("fail", json!([])),
        ("list-commands", json!([])),
        ("set-options", json!(["--format=text"])),
        ("both", json!([])),
    ] {
        stream.write_all(&request(method, &params)).unwrap();
    }
    let replies = bench.replies(&mut stream, 8);
    let plain = |text: &str| json!({"reply-format": "plain", "reply": text});
    assert_eq!(replies[0]["result"], "text\n");
    assert_eq!(replies[1]["result"], plain(""));
    assert_eq!(replies[2]["result"], json!({"a": 1}));
    assert_eq!(replies[3]["result"], plain("x"));
    assert_eq!(replies[4]["error"], "it did not work");
    assert_eq!(replies[5]["result"]["echo"], "[WORD]...");
    assert_eq!(replies[6]["result"], "");
    assert_eq!(replies[7]["result"], "text\n");
}

#[test]
fn a_deferred_command_answers_from_another_thread_and_only_its_connection_waits() {
    let mut bench = Bench::new("later");
    let (mut slow, mut given_up) = (bench.connect(), bench.connect());
    slow.write_all(&request("later", &json!([]))).unwrap();
    slow.write_all(&request("echo", &json!(["after"]))).unwrap();
    given_up.write_all(&request("later", &json!([]))).unwrap();
    let waiting = Rc::clone(&bench.waiting);
    bench.until(|| (waiting.borrow().len() == 2).then_some(()));
    assert_eq!(bench.ask("echo", &json!(["meanwhile"]))["result"], "meanwhile\n");
    let responders = waiting.take();
    let mut responders = responders.into_iter();
    let first = responders.next().unwrap();
    thread::spawn(move || first.answer(Ok("now"))).join().unwrap();
    drop(responders);
    let replies = bench.replies(&mut slow, 2);
    assert_eq!(
        (&replies[0]["result"], &replies[1]["result"]),
        (&json!("now\n"), &json!("after\n"))
    );
    let reply = bench.replies(&mut given_up, 1).remove(0);
    assert_eq!(reply["error"], "the command was given up\n");
}

#[test]
fn a_peer_that_leaves_while_its_command_runs_is_forgotten() {
    let mut bench = Bench::new("leaves");
    let mut stream = bench.connect();
    stream.write_all(&request("later", &json!([]))).unwrap();
    let waiting = Rc::clone(&bench.waiting);
    bench.until(|| (waiting.borrow().len() == 1).then_some(()));
    drop(stream);
    for _ in 0..5 {
        bench.event_loop.waker().wake();
        bench.event_loop.turn().unwrap();
    }
    waiting.borrow_mut().remove(0).answer(Ok("too late"));
    assert_eq!(bench.ask("echo", &json!(["alive"]))["result"], "alive\n");
}

#[test]
fn rubbish_costs_its_connection_only() {
    let mut bench = Bench::new("rubbish");
    let mut bystander = bench.connect();
    let nest = "{\"a\":".repeat(100);
    for rubbish in ["[[[[", "5", "{\"id\":0,,}", "{\"id\":0}", nest.as_str()] {
        let mut stream = bench.connect();
        stream.write_all(rubbish.as_bytes()).unwrap();
        bench.closed(&mut stream);
    }
    bystander.write_all(&request("echo", &json!(["alive"]))).unwrap();
    assert_eq!(bench.replies(&mut bystander, 1)[0]["result"], "alive\n");
}

#[test]
fn a_message_without_an_end_is_cut_off_at_the_limit() {
    let mut bench = Bench::new("endless");
    let mut stream = bench.connect();
    let piece = vec![b'a'; 1 << 20];
    stream.write_all(b"{\"").unwrap();
    let mut written = 0_usize;
    bench.until(|| match stream.write(&piece) {
        Ok(count) => {
            written += count;
            None
        }
        Err(error) => (error.kind() != std::io::ErrorKind::WouldBlock).then_some(()),
    });
    assert!(written < 2 * super::splitter::LONGEST, "{written}");
}

#[test]
fn a_big_reply_goes_to_a_slow_reader_in_pieces() {
    let mut bench = Bench::new("big");
    let size = 3_000_000;
    let reply = bench.ask("big", &json!([size.to_string()]));
    assert_eq!(reply["result"].as_str().unwrap().len(), size + 1);
}

#[test]
fn many_requests_on_one_connection_are_answered_in_order() {
    let mut bench = Bench::new("order");
    let mut stream = bench.connect();
    let count = 500;
    let requests = (0..count).map(|number| request("echo", &json!([number.to_string()])));
    stream.write_all(&requests.collect::<Vec<_>>().concat()).unwrap();
    let replies = bench.replies(&mut stream, count);
    for (number, reply) in replies.iter().enumerate() {
        assert_eq!(reply["result"], format!("{number}\n"));
    }
}

#[test]
fn idle_connections_make_room_for_new_ones() {
    let mut bench = Bench::new("many");
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(bench.connect());
        bench.event_loop.waker().wake();
        bench.event_loop.turn().unwrap();
    }
    assert_eq!(bench.ask("echo", &json!(["in"]))["result"], "in\n");
    bench.closed(&mut idle[0]);
    let newest = idle.last_mut().unwrap();
    newest.write_all(&request("echo", &json!(["still here"]))).unwrap();
    assert_eq!(bench.replies(newest, 1)[0]["result"], "still here\n");
}
