//! Listeners hear what happens to connections.

use std::sync::{Arc, Mutex};

use super::super::dump::Entry;
use super::super::events::{EventSink, Events};
use super::frames::udp;
use super::{A, B, Lab, commit, look};
use crate::action::{Ct, Masked};
use crate::base::Duration;

/// Keeps what it is told, a word and a zone each.
#[derive(Default)]
struct Heard(Mutex<Vec<(Events, u16, u32)>>);

impl EventSink for Heard {
    fn event(&self, event: Events, connection: &Entry) {
        let zone = connection.orig.rest.zone.0;
        self.0.lock().unwrap().push((event, zone, connection.mark));
    }
}

impl Heard {
    fn take(&self) -> Vec<(Events, u16, u32)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[test]
fn listeners_hear_what_happens_to_connections_and_nothing_else() {
    let mut lab = Lab::new();
    let heard = Arc::new(Heard::default());
    lab.tracker.listen(Some(heard.clone()), Events::all());
    let (there, back) = (udp(A, B, 1, 2, b"x"), udp(B, A, 2, 1, b"x"));
    lab.state(&there, &look(5));
    assert_eq!(heard.take(), [], "not committed");
    lab.state(&there, &commit(5));
    lab.state(&there, &look(5));
    assert_eq!(heard.take(), [(Events::NEW, 5, 0)]);
    lab.state(&back, &look(5));
    lab.state(&back, &look(5));
    assert_eq!(heard.take(), [(Events::REPLY, 5, 0)]);
    let mark = |value: u32| Ct {
        mark: Some(Masked { value, mask: u32::MAX }),
        label: Some(Masked { value: 9, mask: u128::MAX }),
        ..commit(5)
    };
    lab.state(&there, &mark(7));
    lab.state(&there, &mark(7));
    lab.state(&there, &mark(8));
    let told = [(Events::MARK, 5, 7), (Events::LABEL, 5, 7), (Events::MARK, 5, 8)];
    assert_eq!(heard.take(), told, "what is as it was is no change");
    // The action that enters a connection says what is told of it.
    lab.state(&there, &Ct { event_mask: Some(Events::DESTROY.bits()), ..commit(6) });
    lab.state(&there, &Ct { event_mask: Some(0), ..commit(7) });
    lab.state(&back, &look(6));
    assert_eq!(heard.take(), []);
    assert_eq!(lab.tracker.flush(None, lab.now), 3);
    assert_eq!(heard.take(), [(Events::DESTROY, 5, 8), (Events::DESTROY, 6, 0)]);
    // The listener says what it wants; nobody hears nothing.
    lab.tracker.listen(Some(heard.clone()), Events::DESTROY);
    lab.state(&there, &commit(5));
    lab.tracker.flush(None, lab.now);
    assert_eq!(heard.take(), [(Events::DESTROY, 5, 0)]);
    lab.tracker.listen(None, Events::all());
    lab.state(&there, &commit(5));
    assert_eq!(heard.take(), []);
}

#[test]
fn a_connection_that_expires_or_is_forced_anew_ends_for_listeners_too() {
    let mut lab = Lab::new();
    let heard = Arc::new(Heard::default());
    lab.tracker.listen(Some(heard.clone()), Events::NEW | Events::DESTROY);
    let (there, back) = (udp(A, B, 1, 2, b"x"), udp(B, A, 2, 1, b"x"));
    lab.state(&there, &commit(1));
    lab.state(&back, &Ct { force: true, ..commit(1) });
    let all = [Events::NEW, Events::DESTROY, Events::NEW].map(|event| (event, 1, 0));
    assert_eq!(heard.take(), all);
    lab.now = lab.now.after(Duration::from_secs(3600));
    while !lab.tracker.sweep(lab.now, 64) {}
    assert_eq!(heard.take(), [(Events::DESTROY, 1, 0)]);
}
