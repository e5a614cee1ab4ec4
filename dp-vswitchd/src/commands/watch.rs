//! `bfd/*` and `cfm/*`.

use std::sync::Arc;

use crate::switch::Switch;
use crate::unixctl::CommandRegistry;

/// Registers the families.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("bfd/show", "[interface]", 0, 1, move |request| {
        let name = request.arguments().first().map(String::as_str);
        let mut text = String::new();
        let now = own.now();
        let found = own.services.each_bfd(name, |session| {
            if name.is_none() {
                text += &format!("---- {} ----\n", session.name());
            }
            text += &session.show(now);
        });
        if found == 0 && name.is_some() { Err("no such bfd object") } else { Ok(text) }
    });
    let own = Arc::clone(switch);
    let usage = "[interface] normal|false|true";
    registry.register("bfd/set-forwarding", usage, 1, 2, move |request| {
        let (name, wish) = name_and_wish(request.arguments());
        let forced = match wish {
            "normal" => None,
            "true" => Some(true),
            "false" => Some(false),
            _ => return Err("unknown fault string"),
        };
        let found = own.services.each_bfd(name, |session| session.set_forwarding(forced));
        if found == 0 && name.is_some() {
            return Err("no such BFD object");
        }
        own.touch();
        Ok("OK\n")
    });
    let own = Arc::clone(switch);
    registry.register("cfm/show", "[interface]", 0, 1, move |request| {
        let name = request.arguments().first().map(String::as_str);
        let mut text = String::new();
        let now = own.now();
        let found = own.services.each_cfm(name, |point| {
            text += &format!("---- {} ----\n{}", point.name(), point.show(now));
        });
        if found == 0 && name.is_some() { Err("no such CFM object") } else { Ok(text) }
    });
    let own = Arc::clone(switch);
    registry.register("cfm/set-fault", usage, 1, 2, move |request| {
        let (name, wish) = name_and_wish(request.arguments());
        let overridden = match wish {
            "normal" => None,
            "true" => Some(true),
            "false" => Some(false),
            _ => return Err("unknown fault string"),
        };
        let found = own.services.each_cfm(name, |point| point.set_fault(overridden));
        if found == 0 && name.is_some() {
            return Err("no such CFM object");
        }
        own.touch();
        Ok("OK\n")
    });
}

/// An interface and a word, or the word alone.
fn name_and_wish(arguments: &[String]) -> (Option<&str>, &str) {
    match arguments {
        [name, wish, ..] => (Some(name), wish),
        [wish] => (None, wish),
        [] => (None, ""),
    }
}
