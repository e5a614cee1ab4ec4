//! What happened during a translation, as a tree, and its lines.
//!
//! ```text
//! bridge("br0")
//! -------------
//!  0. ip,in_port=1, priority 32768          a part that is the last one stands where its parent does,
//!     resubmit(,1)                          one that others follow is moved in
//!      1. No match.
//!             drop
//!     output:3
//! ```

use std::fmt::{Arguments, Write as _};

use dp_core::base::{OfPort, RecircId};
use dp_core::flow::FlowKey;

use crate::action::{Action, Ct};
use crate::table::Rule;
use crate::text::{ActionsText, MatchText, NumbersOnly, PortNames};
use crate::translate::{Part, RecircKind, Recorder, View, Weight};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Root,
    Bridge,
    /// Has children; stands in line with its parent if it is the last.
    Part,
    Bucket,
    Action,
    Note(Weight),
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    text: String,
    children: Vec<Self>,
}

/// A packet that will come back.
#[derive(Clone, Debug)]
pub(super) struct Return {
    pub(super) kind: RecircKind,
    pub(super) id: RecircId,
    pub(super) flow: FlowKey,
}

/// Records a translation.
pub(super) struct Tree {
    /// Parts that are open, outermost first.
    open: Vec<Node>,
    /// The bridges that are open, outermost first.
    views: Vec<View>,
    names: bool,
    pub(super) returns: Vec<Return>,
}

/// The names of a bridge's ports.
pub(super) struct BridgeNames<'a>(pub(super) &'a View);

impl PortNames for BridgeNames<'_> {
    fn port(&self, name: &str) -> Option<OfPort> {
        self.0.ports.by_name(name).map(|port| port.ofport)
    }

    fn name(&self, port: OfPort) -> Option<&str> {
        self.0.ports.get(port).map(|port| port.name.as_str())
    }
}

/// Reads names, prints numbers.
pub(super) struct Numbered<'a>(pub(super) BridgeNames<'a>);

impl PortNames for Numbered<'_> {
    fn port(&self, name: &str) -> Option<OfPort> {
        self.0.port(name)
    }

    fn name(&self, _port: OfPort) -> Option<&str> {
        None
    }
}

impl Tree {
    pub(super) fn new(names: bool) -> Self {
        let root = Node { kind: Kind::Root, text: String::new(), children: Vec::new() };
        Self { open: vec![root], views: Vec::new(), names, returns: Vec::new() }
    }

    fn put(&mut self, kind: Kind, text: String) {
        if let Some(parent) = self.open.last_mut() {
            parent.children.push(Node { kind, text, children: Vec::new() });
        }
    }

    fn with_names<T>(&self, print: impl FnOnce(&dyn PortNames) -> T) -> T {
        match self.views.last().filter(|_| self.names) {
            Some(view) => print(&BridgeNames(view)),
            None => print(&NumbersOnly),
        }
    }

    fn rule_text(&self, table: u8, rule: Option<&Rule>) -> String {
        let mut text = format!("{table:2}. ");
        let Some(rule) = rule else {
            text.push_str("No match.");
            return text;
        };
        self.with_names(|names| {
            let matching = rule.matching();
            if !matching.is_any() {
                // Writing to a string cannot fail.
                let _ = write!(text, "{}, ", MatchText { matching, names });
            }
            let _ = write!(text, "priority {}", rule.priority());
        });
        if rule.cookie() != 0 {
            let _ = write!(text, ", cookie {:#x}", rule.cookie());
        }
        text
    }

    /// The lines.
    pub(super) fn print(&self, out: &mut String) {
        if let Some(root) = self.open.first() {
            print(&root.children, 0, out);
        }
    }
}

fn print(nodes: &[Node], level: usize, out: &mut String) {
    for (at, node) in nodes.iter().enumerate() {
        let inside = at + 1 < nodes.len()
            || matches!(node.kind, Kind::Action | Kind::Note(_) | Kind::Bucket);
        let moved = usize::from(inside);
        let indent = (level + moved) * 4;
        // Writing to a string cannot fail.
        let _ = match node.kind {
            Kind::Bridge => {
                let dashes = "-".repeat(node.text.len());
                writeln!(out, "\n{:indent$}{}\n{:indent$}{dashes}", "", node.text, "")
            }
            Kind::Note(Weight::Detail) => writeln!(out, "{:indent$} -> {}", "", node.text),
            Kind::Note(Weight::Warning) => writeln!(out, "{:indent$} >> {}", "", node.text),
            Kind::Note(Weight::Error) => {
                writeln!(out, "{:indent$} >>>> {} <<<<", "", node.text)
            }
            _ => writeln!(out, "{:indent$}{}", "", node.text),
        };
        print(&node.children, level + 2 * moved, out);
    }
}

impl Recorder for Tree {
    fn enter(&mut self, part: Part<'_>) {
        let (kind, text) = match part {
            Part::Bridge(view) => {
                self.views.push(view.clone());
                (Kind::Bridge, format!("bridge(\"{}\")", view.bridge.name()))
            }
            Part::Table { table, rule } => (Kind::Part, self.rule_text(table, rule)),
            Part::Fragment(table) => (
                Kind::Part,
                format!(
                    "{table:2}. Packets are IP fragments and the fragment handling mode is \"drop\"."
                ),
            ),
            Part::Thaw => (Kind::Part, "thaw".to_owned()),
            Part::Bucket(id) => (Kind::Bucket, format!("bucket {id}")),
            Part::ActionSet => (Kind::Part, "--. Executing action set:".to_owned()),
        };
        self.open.push(Node { kind, text, children: Vec::new() });
    }

    fn leave(&mut self) {
        if self.open.len() > 1
            && let Some(node) = self.open.pop()
        {
            if node.kind == Kind::Bridge {
                self.views.pop();
            }
            if let Some(parent) = self.open.last_mut() {
                parent.children.push(node);
            }
        }
    }

    fn action(&mut self, action: &Action) {
        let text = self.with_names(|names| {
            let actions = std::slice::from_ref(action);
            ActionsText { actions, names }.to_string()
        });
        // An address translation stands inside the list of a `ct`.
        let text = match action {
            Action::Ct(ct) if ct.is_nat_alone() => text
                .strip_prefix("ct(")
                .and_then(|rest| rest.strip_suffix(')'))
                .map_or(text.clone(), str::to_owned),
            _ => text,
        };
        self.put(Kind::Action, text);
    }

    fn nothing(&mut self) {
        self.put(Kind::Action, "drop".to_owned());
    }

    fn note(&mut self, weight: Weight, text: Arguments<'_>) {
        self.put(Kind::Note(weight), text.to_string());
    }

    fn line(&mut self, text: Arguments<'_>) {
        self.put(Kind::Part, text.to_string());
    }

    fn recirculates(&mut self, kind: RecircKind, id: RecircId, flow: &FlowKey) {
        self.returns.push(Return { kind, id, flow: flow.clone() });
    }
}

impl Ct {
    /// What stands for a `nat` inside the list of a `ct`.
    fn is_nat_alone(&self) -> bool {
        self.nat.is_some() && *self == Self { nat: self.nat, ..Self::default() }
    }
}
