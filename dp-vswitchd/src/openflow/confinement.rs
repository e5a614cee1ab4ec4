//! Which sockets of the file system a `Controller` row may name.
//!
//! Whoever can write to the database is not thereby allowed to have this process, which may be root,
//! make files or speak to any socket of the machine. Unless `--no-self-confinement` says that
//! something else confines it, a bridge listens at `punix:RUNDIR/BRIDGE.*` and calls at
//! `unix:RUNDIR/…` and nowhere else. A path that leads out of the folder by `..` is elsewhere.

use std::path::{Component, Path};

/// Whether a controller may be there.
pub(super) fn permits(target: &str, bridge: &str, folder: &Path) -> bool {
    let climbs = |file: &str| Path::new(file).components().any(|it| it == Component::ParentDir);
    if let Some(file) = target.strip_prefix("punix:") {
        let start = format!("{}.", folder.join(bridge).display());
        let rest = file.strip_prefix(&start);
        return rest.is_some_and(|rest| !rest.contains('/')) && !climbs(file);
    }
    if let Some(file) = target.strip_prefix("unix:") {
        return folder.join(file).starts_with(folder) && !climbs(file);
    }
    true
}

/// Says that there is none, and what there may be.
pub(super) fn complain(target: &str, bridge: &str, folder: &Path) {
    let folder = folder.display();
    let folder = folder.to_string();
    let folder = folder.trim_end_matches('/');
    let otherwise = format!(
        "or connect to \"unix:{folder}/{bridge}.mgmt\" (which is always available without special \
         configuration)."
    );
    if target.starts_with("punix:") {
        log::error!(
            target: "bridge",
            "bridge {bridge}: Not adding Unix domain socket controller \"{target}\" due to \
             possibility of overwriting local files. Instead, specify path in permitted format \
             \"punix:{folder}/{bridge}.*\" {otherwise}"
        );
    } else {
        log::error!(
            target: "bridge",
            "bridge {bridge}: Not connecting to socket controller \"{target}\" due to possibility \
             for remote exploit.  Instead, specify socket in permitted directory \
             \"unix:{folder}/\" {otherwise}"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::permits;

    #[test]
    fn controllers_have_sockets_of_the_run_folder_and_no_others() {
        for (target, good) in [
            ("tcp:127.0.0.1:6653", true),
            ("pssl:", true),
            ("unix:/run/x/any", true),
            ("unix:any", true),
            ("unix:/run/x/deep/er", true),
            ("unix:/run/other", false),
            ("unix:/run/x/../other", false),
            ("unix:../other", false),
            ("punix:/run/x/br0.controller", true),
            ("punix:/run/x/br0.", true),
            ("punix:/run/x/br1.controller", false),
            ("punix:/run/x/any", false),
            ("punix:br0.controller", false),
            ("punix:/run/x/br0./../../other", false),
        ] {
            assert_eq!(permits(target, "br0", Path::new("/run/x/")), good, "{target}");
        }
    }
}
