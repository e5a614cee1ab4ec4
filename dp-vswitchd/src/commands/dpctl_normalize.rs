//! `dpctl/normalize-actions`: what a list of actions sends by the tags and labels it is sent with.
//!
//! Two lists that differ in the order in which they push, pop and send come out the same if the same
//! frames leave: scripts and tests compare them by this. Pushed and popped tags and labels are left
//! out of the lists; what happens in between is printed behind the stack of tags and labels that
//! the packet has then.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use dp_core::action::Action;
use dp_core::action::text::{ActionsText, parse_actions};
use dp_core::base::PortNo;
use dp_core::flow::text::{KeyText, PortTable, Unnamed, parse_flow};
use dp_core::flow::{FieldId, FlowKey, layout};

use super::dpctl::{Failure, Options};
use crate::switch::Switch;
use crate::unixctl::{CommandRegistry, Request};

/// Registers the command.
pub(super) fn register(registry: &mut CommandRegistry, _switch: &Arc<Switch>) {
    registry.register("dpctl/normalize-actions", "actions", 2, usize::MAX, normalize);
}

/// The tags and labels of a packet, outermost first: their Ethertypes and contents.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Stack {
    tags: Vec<(u16, u16)>,
    labels: Vec<u32>,
}

impl Stack {
    fn of(key: &FlowKey) -> Self {
        let tag = |tpid, tci| {
            let [tpid, tci] = [tpid, tci].map(|place| number(key, place));
            (tci & u32::from(layout::VLAN_PRESENT) != 0).then_some((short(tpid), short(tci)))
        };
        let tags = [(layout::VLAN_TPID, layout::VLAN_TCI), (layout::VLAN_TPID1, layout::VLAN_TCI1)];
        let mpls = matches!(key.get(FieldId::EthType), 0x8847 | 0x8848);
        let labels = [layout::MPLS0, layout::MPLS1, layout::MPLS2].map(|it| number(key, it));
        Self {
            tags: tags.into_iter().map_while(|(tpid, tci)| tag(tpid, tci)).collect(),
            labels: if mpls {
                labels.into_iter().filter(|lse| *lse != 0).collect()
            } else {
                vec![]
            },
        }
    }

    /// Follows an action; `false` if it does not change the stack.
    fn follow(&mut self, action: &Action) -> bool {
        match *action {
            Action::PushVlan { tpid, tci } => self.tags.insert(0, (tpid, tci)),
            Action::PopVlan => drop(self.tags.drain(..self.tags.len().min(1))),
            Action::PushMpls { lse, .. } => self.labels.insert(0, lse),
            Action::PopMpls { .. } => drop(self.labels.drain(..self.labels.len().min(1))),
            _ => return false,
        }
        true
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for &(tpid, tci) in &self.tags {
            text += "vlan(";
            if tpid != 0x8100 {
                // Writing to a string cannot fail, here and below.
                let _ = write!(text, "tpid=0x{tpid:04x},");
            }
            let _ = write!(text, "vid={},pcp={}", tci & 0xfff, tci >> 13);
            text += "): ";
        }
        if self.tags.is_empty() {
            text += "no vlan: ";
        }
        for lse in &self.labels {
            let (label, tc, ttl) = (lse >> 12, lse >> 9 & 7, lse & 0xff);
            let _ = write!(text, "mpls(label={label},tc={tc},ttl={ttl}): ");
        }
        if self.labels.is_empty() {
            text += "no mpls: ";
        }
        text
    }
}

fn number(key: &FlowKey, place: layout::Place) -> u32 {
    u32::try_from(key.load(place)).unwrap_or(u32::MAX)
}

fn short(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// Ports that are sent to one after another, in ascending order: the frames are the same.
fn sort_outputs(actions: &mut [Action]) {
    for run in actions.chunk_by_mut(|a, b| port(a).is_some() && port(b).is_some()) {
        run.sort_by_key(port);
    }
}

fn port(action: &Action) -> Option<PortNo> {
    match *action {
        Action::Output(port) => Some(port),
        _ => None,
    }
}

fn normalize(request: &Request<'_>) -> Result<String, Failure> {
    let (_, words) = Options::read(request);
    let [flow, actions, named @ ..] = words.as_slice() else {
        return Err(Failure::plain("too few arguments"));
    };
    let mut ports = Vec::new();
    for word in named {
        let parsed = word.split_once('=').and_then(|(name, n)| Some((name, n.parse().ok()?)));
        let (name, number) =
            parsed.ok_or_else(|| Failure::plain(&format!("{word}: expected NAME=NUMBER")))?;
        ports.push((PortNo(number), name));
    }
    let ports: PortTable = ports.into_iter().collect();
    let parsed = parse_flow(flow, &ports).map_err(|error| {
        let what = format!("odp_flow_key_from_string (syntax error at {})", error.rest(flow));
        Failure::of_text(&what, &error)
    })?;
    let numbers = Unnamed(&ports);
    // As it was given: keys are printed with a recirculation id otherwise.
    let given = KeyText::masked(&parsed.key, &parsed.mask, &numbers).to_string();
    let given = match given.strip_prefix("recirc_id(0),") {
        Some(rest) if !flow.contains("recirc_id(") => rest,
        _ => &given,
    };
    let mut text = format!("input flow: {given}\n");
    let words = actions.trim();
    let actions = parse_actions(actions, &ports).map_err(|error| {
        let failure = Failure::of_text("odp_actions_from_string", &error);
        Failure { text: std::mem::take(&mut text) + &failure.text }
    })?;
    let mut stack = Stack::of(&parsed.key);
    let mut lists: BTreeMap<Stack, Vec<Action>> = BTreeMap::new();
    for action in actions {
        if !stack.follow(&action) {
            lists.entry(stack.clone()).or_default().push(action);
        }
    }
    if words == "drop" {
        lists.insert(stack, Vec::new());
    }
    for (stack, actions) in &mut lists {
        sort_outputs(actions);
        let _ = write!(text, "{}{}", stack.text(), ActionsText::new(actions, &numbers));
    }
    Ok(text)
}
