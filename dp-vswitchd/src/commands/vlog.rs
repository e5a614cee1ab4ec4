//! `vlog/*`: what is logged, and where to.

use std::sync::Arc;

use crate::log::{Module, ReopenError, Spec};
use crate::switch::Switch;
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let vlog = switch.vlog;
    let usage = "{spec | PATTERN:destination:pattern}";
    registry.register("vlog/set", usage, 0, usize::MAX, move |request| {
        for text in request.arguments() {
            vlog.set(Spec::parse(text)?);
        }
        Ok::<_, crate::log::SpecError>(())
    });
    registry.register("vlog/list", "", 0, 0, move |_| Ok::<_, String>(vlog.list()));
    registry
        .register("vlog/list-pattern", "", 0, 0, move |_| Ok::<_, String>(vlog.list_patterns()));
    registry.register("vlog/reopen", "", 0, 0, move |_| match vlog.reopen_file() {
        Ok(()) => Ok(()),
        Err(ReopenError::NotConfigured) => Err("Logfile not configured, reopen failed".to_owned()),
        Err(other) => Err(other.to_string()),
    });
    registry.register("vlog/close", "", 0, 0, move |_| {
        vlog.close_file();
        Ok::<_, String>(())
    });
    for (name, enabled) in [("vlog/enable-rate-limit", true), ("vlog/disable-rate-limit", false)] {
        registry.register(name, "[module]...", 0, usize::MAX, move |request| {
            if request.arguments().is_empty() {
                vlog.set_rate_limiting(None, enabled);
            }
            for name in request.arguments() {
                let module = if name.eq_ignore_ascii_case("any") {
                    None
                } else {
                    Some(Module::parse(name).ok_or("unknown module")?)
                };
                vlog.set_rate_limiting(module, enabled);
            }
            Ok::<_, &str>(())
        });
    }
}
