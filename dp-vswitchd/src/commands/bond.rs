//! `bond/*` and `lacp/*`.

use std::sync::Arc;

use dp_core::base::MacAddr;
use dp_ofproto::bond;

use crate::switch::Switch;
use crate::unixctl::{CommandRegistry, Request};

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    register_shown(registry, switch);
    register_changes(registry, switch);
    register_lacp(registry, switch);
    register_tables(registry, switch);
    registry.register("bond/hash", "mac [vlan] [basis]", 1, 3, |request| {
        let mac: MacAddr = request.argument(0).parse().map_err(|_| "invalid mac")?;
        let number = |place| leading_number(request.arguments().get(place).map(String::as_str));
        let vlan = u16::try_from(number(1).ok_or("invalid vlan")?).map_err(|_| "invalid vlan")?;
        let basis = u32::try_from(number(2).ok_or("invalid basis")?).unwrap_or(0);
        Ok::<_, &str>((bond::hash_mac(mac, vlan, basis) & 0xff).to_string())
    });
}

/// The number that a text begins with, 0 if it is not there; `None`: no number.
fn leading_number(text: Option<&str>) -> Option<i64> {
    let Some(text) = text else { return Some(0) };
    let end = text
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_digit() || *at == 0 && *c == '-'))
        .map_or(text.len(), |(at, _)| at);
    text.get(..end)?.parse().ok()
}

fn register_shown(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("bond/list", "", 0, 0, move |_| {
        let mut lines = String::new();
        own.services.each_bond(|_, one| {
            let text = bond::list([&*one]);
            // Only the first brings its heading.
            let body = text.split_once('\n').map_or("", |(_, body)| body);
            lines += if lines.is_empty() { &text } else { body };
        });
        if lines.is_empty() {
            lines = bond::list([]);
        }
        Ok::<_, &str>(lines)
    });
    let own = Arc::clone(switch);
    registry.register("bond/show", "[port]", 0, 1, move |request| {
        let now = own.now();
        match request.arguments().first() {
            Some(name) => own
                .services
                .with_bond(name, |one| one.show(now))
                .map(|text| text + "\n")
                .ok_or("no such bond"),
            None => {
                let mut text = String::new();
                own.services.each_bond(|_, one| text += &(one.show(now) + "\n"));
                Ok(text)
            }
        }
    });
}

fn register_tables(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("dpif-netdev/bond-show", "[dp]", 0, 1, move |request| {
        let datapath = match request.arguments().first() {
            Some(name) => own.datapaths().into_iter().find(|it| it.name == *name),
            None => own.datapath(None).ok(),
        };
        let datapath = datapath.ok_or("please specify an existing datapath")?;
        let mut text = String::new();
        for (id, ports) in datapath.netdev.bond_assignments() {
            text += if text.is_empty() { "Bonds:\n" } else { "" };
            text += &format!("  bond-id {}:\n", id.0);
            for (bucket, port) in ports.iter().enumerate() {
                text += &format!("    bucket {bucket} - member {}\n", port.0);
            }
        }
        Ok::<_, &str>(text)
    });
}

fn register_changes(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("bond/migrate", "port hash member", 3, 3, move |request| {
        let [_, hash, member] = [0, 1, 2].map(|at| request.argument(at));
        let answer = own.services.with_bond(request.argument(0), |one| {
            if one.config().mode != bond::Mode::BalanceSlb {
                return Err(bond::CommandError::NotSlb.to_string());
            }
            let hash: u32 = hash.parse().map_err(|_| "bad hash".to_owned())?;
            one.migrate(hash, member).map_err(|error| error.to_string())
        });
        changed(&own, answer, "migrated")
    });
    for (name, alias) in [("bond/set-active-member", false), ("bond/set-active-slave", true)] {
        let own = Arc::clone(switch);
        let handler = move |request: &Request<'_>| {
            let member = request.argument(1);
            let mut word = "done";
            let answer = own.services.with_bond(request.argument(0), |one| {
                let moved = one.activate(member).map_err(|error| error.to_string())?;
                word = if moved { "done" } else { "no change" };
                Ok(())
            });
            changed(&own, answer, word)
        };
        register_maybe_alias(registry, name, alias, handler);
    }
    for (name, enable, alias) in [
        ("bond/enable-member", true, false),
        ("bond/disable-member", false, false),
        ("bond/enable-slave", true, true),
        ("bond/disable-slave", false, true),
    ] {
        let own = Arc::clone(switch);
        let handler = move |request: &Request<'_>| {
            let member = request.argument(1);
            let answer = own.services.with_bond(request.argument(0), |one| {
                one.force(member, enable).map_err(|error| error.to_string())
            });
            changed(&own, answer, if enable { "enabled" } else { "disabled" })
        };
        register_maybe_alias(registry, name, alias, handler);
    }
}

fn register_maybe_alias(
    registry: &mut CommandRegistry,
    name: &str,
    alias: bool,
    handler: impl FnMut(&Request<'_>) -> Result<String, String> + 'static,
) {
    if alias {
        registry.register_hidden(name, "port member", 2, 2, handler);
    } else {
        registry.register(name, "port member", 2, 2, handler);
    }
}

fn changed(
    switch: &Switch,
    answer: Option<Result<(), String>>,
    word: &'static str,
) -> Result<String, String> {
    answer.ok_or("no such bond")??;
    switch.touch();
    Ok(word.to_owned())
}

fn register_lacp(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    for (name, statistics) in [("lacp/show", false), ("lacp/show-stats", true)] {
        let own = Arc::clone(switch);
        registry.register(name, "[port]", 0, 1, move |request| {
            let port = request.arguments().first().map(String::as_str);
            let mut text = String::new();
            let found = own.services.each_lacp(port, |lacp| {
                text += &if statistics { lacp.show_stats() } else { lacp.show() };
            });
            if found == 0 && port.is_some() { Err("no such lacp object") } else { Ok(text) }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::leading_number;

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        assert_eq!(leading_number(None), Some(0));
        assert_eq!(leading_number(Some("50")), Some(50));
        assert_eq!(leading_number(Some("-1x")), Some(-1));
        assert_eq!(leading_number(Some("x")), None);
    }
}
