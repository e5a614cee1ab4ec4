//! `ofproto/trace`: what the flow tables make of a packet, and why (`ovs-vswitchd(8)`).
//!
//! | room | what |
//! |---|---|
//! | [`trace`], [`trace_packet_out`] | the commands |
//! | `nat` | what address translation makes of a packet that comes back |
//! | `request` | their arguments |
//! | `tree` | what happened, as lines |
//! | `flow` | flows as lines |

mod flow;
mod nat;
mod request;
mod tree;

use std::collections::VecDeque;
use std::fmt::Write as _;

use dp_core::action::SlowReasons;
use dp_core::action::text::ActionsText as DpActionsText;
use dp_core::base::{Instant, OfPort};
use dp_core::flow::text::{DpPorts, PortNumbers};
use dp_core::flow::{FieldId, FlowKey, layout};

use self::flow::{flow_text, megaflow_text};
use self::request::Traced;
use self::tree::{BridgeNames, Return, Tree};
use crate::text::{NumbersOnly, PortNames};
use crate::translate::hooks::Location;
use crate::translate::recirc::RecircRef;
use crate::translate::{Effect, RecircKind, Request, Translation, View, World, translate_request};

/// Answers `ofproto/trace` with these arguments. `ports` knows the datapath's ports by name.
///
/// # Errors
///
/// What is wrong with the arguments, as it is to be printed.
pub fn trace(
    world: &World,
    ports: &dyn DpPorts,
    arguments: &[&str],
    now: Instant,
) -> Result<String, String> {
    let traced = request::parse(world, ports, arguments, false)?;
    Ok(run(world, ports, &traced, now))
}

/// Answers `ofproto/trace-packet-out`: the last argument is a list of actions.
///
/// # Errors
///
/// What is wrong with the arguments, as it is to be printed.
pub fn trace_packet_out(
    world: &World,
    ports: &dyn DpPorts,
    arguments: &[&str],
    now: Instant,
) -> Result<String, String> {
    let traced = request::parse(world, ports, arguments, true)?;
    Ok(run(world, ports, &traced, now))
}

/// The flow of a packet that has come in, and what becomes of it, told like a trace: for
/// [`crate::upcall::Ofproto::set_account`].
#[must_use]
pub fn account(
    world: &World,
    location: &Location,
    key: &FlowKey,
    now: Instant,
) -> (String, String) {
    let traced = request::of_packet(location.clone(), key.clone());
    let mut flow = key.clone();
    flow.store(layout::IN_PORT, u128::from(location.port.ofport.0));
    (flow_text(&flow, &NumbersOnly), run(world, &PortNumbers, &traced, now))
}

/// The state that a connection is taken to have where nothing is said: tracked and new.
const DEFAULT_STATE: u8 = 0x20 | 0x01;
const RULER: &str =
    "===============================================================================";

fn run(world: &World, ports: &dyn DpPorts, traced: &Traced, now: Instant) -> String {
    let mut out = String::new();
    let mut states = traced.ct_next.iter();
    let mut returns = VecDeque::new();
    let mut key = traced.key.clone();
    let mut location = traced.location.clone();
    let mut first = true;
    let mut held = Vec::new();
    let mut passes = 0_u16;
    // A loop through the datapath ends somewhere.
    for _ in 0..MAX_PASSES {
        let pass = Pass { world, ports, traced, now, first };
        let more = pass.run(&location, &key, &mut out, &mut held);
        returns.extend(more.into_iter().map(|back| (passes + 1, back)));
        first = false;
        let Some((nth, back)) = next(&mut returns, world.features.recirculations, &mut out) else {
            break;
        };
        passes = nth;
        key = back.flow;
        key.store(layout::RECIRC_ID, u128::from(back.id.0));
        // Writing to a string cannot fail.
        let _ = write!(out, "\n\n{RULER}\nrecirc({:#x})", back.id.0);
        if let RecircKind::Conntrack { zone, nat } = back.kind {
            let said = states.next();
            let state = said.copied().unwrap_or(DEFAULT_STATE);
            key.store(layout::CT_STATE, u128::from(state));
            key.store(layout::CT_ZONE, u128::from(zone));
            let names = request::state_names(state, said.is_none());
            let _ = match said {
                Some(_) => write!(out, " - resume conntrack with ct_state={names}"),
                None => write!(
                    out,
                    " - resume conntrack with default ct_state={names} (use --ct-next to customize)"
                ),
            };
            if let Some(nat) = nat {
                nat::simulate(&nat, &mut key, &mut out);
            }
        }
        let _ = write!(out, "\n{RULER}\n\n");
        if let Some(recirc) = world.recirc.find(back.id) {
            let frozen = recirc.frozen();
            let port = frozen.bridge.ports().get(frozen.in_port).cloned();
            let port = port.unwrap_or_else(|| request::stand_in(frozen.in_port));
            location = Location { bridge: frozen.bridge.clone(), port };
        }
    }
    // What was frozen stays for a moment: whoever asks may go on with its number.
    out
}

/// The packet that comes back next, and for which time; of those that come back too often, that the
/// datapath drops them.
fn next(
    returns: &mut VecDeque<(u16, Return)>,
    most: u8,
    out: &mut String,
) -> Option<(u16, Return)> {
    loop {
        let (nth, back) = returns.pop_front()?;
        if nth <= most.into() {
            return Some((nth, back));
        }
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "\n\n{RULER}\nrecirc({:#x}) - over {most} recirculations, the datapath drops the packet",
            back.id.0
        );
    }
}

/// Passes of all copies together: of a packet that forks each time it comes back there are many.
const MAX_PASSES: usize = 4096;

struct Pass<'a> {
    world: &'a World,
    ports: &'a dyn DpPorts,
    traced: &'a Traced,
    now: Instant,
    first: bool,
}

impl Pass<'_> {
    fn run(
        &self,
        location: &Location,
        key: &FlowKey,
        out: &mut String,
        held: &mut Vec<RecircRef>,
    ) -> Vec<Return> {
        let view = View::of(&location.bridge);
        let by_name = BridgeNames(&view);
        let names: &dyn PortNames = if self.traced.names { &by_name } else { &NumbersOnly };
        let mut flow = key.clone();
        flow.store(layout::IN_PORT, u128::from(location.port.ofport.0));
        if let Some(ofport) = self.traced.in_port.filter(|_| self.first) {
            flow.store(layout::IN_PORT, u128::from(ofport.0));
        }
        let mut request = Request::new(self.world, location.clone(), key);
        request.side_effects = self.traced.frame.is_some();
        request.now = self.now;
        if self.first {
            request.actions = self.traced.actions.as_deref();
        }
        let mut tree = Tree::new(self.traced.names);
        let made = translate_request(request, &mut tree);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "Flow: {}", flow_text(&flow, names));
        tree.print(out);
        out.push('\n');
        self.conclude(&flow, &made, names, out);
        self.have_effects(&made);
        held.extend(made.recircs);
        // What comes back with a hash or parsed anew cannot be told without the packet.
        tree.returns.retain(|back| matches!(back.kind, RecircKind::Conntrack { .. }));
        tree.returns
    }

    fn conclude(
        &self,
        flow: &FlowKey,
        made: &Translation,
        names: &dyn PortNames,
        out: &mut String,
    ) {
        let mut last = made.flow.clone();
        // An action set that sends somewhere is a change, though a line of its own has told it.
        let sends = last.get(FieldId::ActsetOutput) != u128::from(OfPort::UNSET.0);
        last.store(layout::ACTSET_OUTPUT, flow.load(layout::ACTSET_OUTPUT));
        let last_text = match last == *flow && !sends {
            true => "unchanged".to_owned(),
            false => flow_text(&last, names),
        };
        let mask = if made.error.is_some() { &made.full_mask } else { &made.mask };
        let datapath: &dyn DpPorts = if self.traced.names { self.ports } else { &PortNumbers };
        let actions = match made.error {
            Some(_) => "drop".to_owned(),
            None => DpActionsText::new(&made.actions, datapath).to_string(),
        };
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "Final flow: {last_text}\nMegaflow: {}\nDatapath actions: {actions}",
            megaflow_text(flow, mask, &made.full_mask, names)
        );
        if let Some(error) = made.error {
            let _ = write!(out, "\nTranslation failed ({error}), packet is dropped.");
        } else if !made.slow.is_empty() {
            out.push_str("\nThis flow is handled by the userspace slow path because it:");
            for (reason, text) in SLOW {
                if made.slow.contains(reason) {
                    let _ = write!(out, "\n  - {text}.");
                }
            }
        }
    }

    /// A packet that was given along is learned from.
    fn have_effects(&self, made: &Translation) {
        if self.traced.frame.is_none() {
            return;
        }
        for effect in &made.effects {
            if matches!(effect, Effect::Learn { .. } | Effect::MakeRule(_)) {
                effect.apply(&self.world.hooks, 1, 0, 0, self.now);
            }
        }
    }
}

const SLOW: [(SlowReasons, &str); 8] = [
    (SlowReasons::CFM, "Consists of CFM packets"),
    (SlowReasons::BFD, "Consists of BFD packets"),
    (SlowReasons::LACP, "Consists of LACP packets"),
    (SlowReasons::STP, "Consists of STP packets"),
    (SlowReasons::LLDP, "Consists of LLDP packets"),
    (SlowReasons::CONTROLLER, "Sends \"packet-in\" messages to the OpenFlow controller"),
    (SlowReasons::ACTION, "Uses action(s) not supported by datapath"),
    (SlowReasons::MATCH, "Needs more specific match than is supported by datapath"),
];

/// A port that is none of the bridge's is still the in-port of the flow.
fn in_port_of(key: &FlowKey) -> OfPort {
    OfPort(u16::try_from(key.get(FieldId::InPort)).unwrap_or(OfPort::NONE.0))
}
