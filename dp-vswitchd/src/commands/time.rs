//! `time/stop` and `time/warp`: the clock in a test's hands. Without `--enable-dummy` there are
//! none.

use std::sync::Arc;
use std::time::Duration;

use crate::daemon::DummyMode;
use crate::switch::Switch;
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    if switch.dummy == DummyMode::Off {
        return;
    }
    let own = Arc::clone(switch);
    registry.register("time/stop", "", 0, 0, move |_| {
        own.clock.stop();
        Ok::<_, String>(())
    });
    let own = Arc::clone(switch);
    registry.register_deferred(
        "time/warp",
        "[large_msecs] msecs",
        1,
        2,
        move |request, responder| {
            let numbers: Option<Vec<u64>> =
                request.arguments().iter().map(|it| it.parse().ok().filter(|it| *it > 0)).collect();
            match numbers.as_deref() {
                Some([by]) => {
                    own.clock.warp(Duration::from_millis(*by));
                    responder.answer(Ok("warped"));
                }
                Some([total, step]) => {
                    let millis = Duration::from_millis;
                    own.begin_warp(millis(*total), millis(*step), responder);
                }
                _ => responder.answer::<String>(Err("invalid MSECS".to_owned())),
            }
        },
    );
}
