//! The protocol's own words, from several clients at once, to a server of the reference and to the
//! database in the daemon: whatever each of them hears is the same.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::patience;
use testkit::reference::{BRIDGE, Reference, Setup};

/// Clients by their letters.
struct Clients {
    socket: PathBuf,
    open: BTreeMap<String, UnixStream>,
}

impl Clients {
    fn new(folder: &Path) -> Self {
        Self { socket: folder.join("db.sock"), open: BTreeMap::new() }
    }

    fn send(&mut self, name: &str, text: &str) -> Result<()> {
        if !self.open.contains_key(name) {
            let stream = UnixStream::connect(&self.socket)?;
            stream.set_nonblocking(true)?;
            self.open.insert(name.to_owned(), stream);
        }
        let stream = self.open.get_mut(name).context("a client")?;
        Ok(stream.write_all(text.as_bytes())?)
    }

    /// What all of them have heard since the last call.
    ///
    /// The answer to `id` comes first; whatever a server says because of it is said before it answers
    /// an `echo` that was sent after that.
    fn heard(&mut self, asker: &str, id: Option<&str>) -> Result<Vec<String>> {
        let mut heard = Heard::default();
        let answered = |it: &Heard| id.is_none_or(|id| it.has(asker, id));
        heard.listen(&mut self.open, answered).with_context(|| format!("no answer to {id:?}"))?;
        for stream in self.open.values_mut() {
            // Who has been disconnected is found by reading.
            let _ = stream.write_all(br#"{"method":"echo","params":[],"id":"after"}"#);
        }
        let names: Vec<String> = self.open.keys().cloned().collect();
        let echoed = |it: &Heard| names.iter().all(|name| it.has(name, AFTER));
        heard.listen(&mut self.open, echoed).context("no answer to echo")?;
        let Heard { bytes, closed } = heard;
        let mut out = Vec::new();
        for (name, text) in bytes {
            for message in messages(&text).filter(|it| !is_about(it, AFTER)) {
                // Each has an order of its own for members, and a reply with an error need not say
                // that it has no result.
                let message = serde_json::from_str::<Value>(message)?.to_string();
                let message = message.replace(",\"result\":null}", "}");
                out.push(format!("{name} hears {}", without_uuids(&message)));
            }
        }
        for name in closed {
            self.open.remove(&name);
            out.push(format!("{name} is disconnected"));
        }
        Ok(out)
    }
}

/// What has come, and who has been disconnected.
#[derive(Default)]
struct Heard {
    bytes: BTreeMap<String, String>,
    closed: Vec<String>,
}

impl Heard {
    /// Whether an answer to this has come to a client, or nothing will any more.
    fn has(&self, name: &str, id: &str) -> bool {
        let text = self.bytes.get(name).map(String::as_str).unwrap_or_default();
        self.closed.iter().any(|it| it == name) || messages(text).any(|it| is_about(it, id))
    }

    fn listen(
        &mut self,
        open: &mut BTreeMap<String, UnixStream>,
        is_enough: impl Fn(&Self) -> bool,
    ) -> Option<()> {
        patience::wait(LIMIT, || {
            for (name, stream) in &mut *open {
                let mut buffer = [0; 4096];
                match stream.read(&mut buffer) {
                    Ok(0) if !self.closed.contains(name) => self.closed.push(name.clone()),
                    Ok(count) => {
                        let bytes = self.bytes.entry(name.clone()).or_default();
                        bytes.push_str(&String::from_utf8_lossy(&buffer[..count]));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) if !self.closed.contains(name) => self.closed.push(name.clone()),
                    Err(_) => {}
                }
            }
            is_enough(self).then_some(())
        })
    }
}

/// The messages of a text that are complete: JSON objects one after the other.
fn messages(text: &str) -> impl Iterator<Item = &str> {
    let (mut depth, mut quoted, mut escaped, mut start) = (0, false, false, 0);
    text.char_indices().filter_map(move |(at, it)| {
        match it {
            _ if std::mem::take(&mut escaped) => {}
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '{' if !quoted => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            '}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return text.get(start..=at);
                }
            }
            _ => {}
        }
        None
    })
}

/// Whether a message has this id.
fn is_about(message: &str, id: &str) -> bool {
    [",", "}"].iter().any(|end| message.contains(&format!("\"id\":{id}{end}")))
}

/// The text with a word in place of each UUID.
fn without_uuids(text: &str) -> String {
    let is_uuid = |text: &str| {
        text.len() == 36
            && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
            && text.matches('-').count() == 4
    };
    text.split('"').map(|it| if is_uuid(it) { "UUID" } else { it }).collect::<Vec<_>>().join("\"")
}

/// All that is heard while the script is spoken.
fn spoken(switch: &Reference) -> Result<Vec<(String, Vec<String>)>> {
    let mut clients = Clients::new(switch.folder());
    let mut out = Vec::new();
    for line in include_str!("../../scripts/protocol.txt").lines() {
        let Some((name, text)) = line.split_once(' ').filter(|it| it.0 != "#") else { continue };
        let waits = text.contains("\"wait\"") && !text.contains("\"timeout\"");
        match text {
            "close" => drop(clients.open.remove(name)),
            _ => clients.send(name, text)?,
        }
        let id = text.rsplit_once("\"id\":").map(|it| it.1.trim_end_matches('}'));
        let id = id.filter(|_| !waits);
        out.push((line.to_owned(), clients.heard(name, id).with_context(|| line.to_owned())?));
    }
    Ok(out)
}

#[test]
fn clients_hear_of_locks_monitors_and_conversions_what_a_server_tells_them() -> Result<()> {
    let (reference, ours) = (Reference::start()?, Setup::embedded()?.start()?);
    let (wanted, found) = (spoken(&reference)?, spoken(&ours)?);
    ensure!(wanted.len() > 70, "{}", wanted.len());
    for ((line, wanted), (_, found)) in wanted.iter().zip(&found) {
        ensure!(wanted == found, "$ {line}\nreference: {wanted:#?}\nours: {found:#?}");
    }
    // A switch whose database has become another goes on with what is there.
    let bridge = patience::wait(LIMIT, || ours.appctl(&["ofproto/list"]).ok());
    ensure!(bridge.is_some_and(|it| it.contains(BRIDGE) || it.is_empty()));
    Ok(())
}

/// The id of what is asked last.
const AFTER: &str = "\"after\"";
const LIMIT: Duration = Duration::from_secs(20);
