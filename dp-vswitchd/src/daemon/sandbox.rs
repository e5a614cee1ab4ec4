//! `dp-vswitchd sandbox [FOLDER]`: a throw-away switch in one command.
//!
//! The database is in the folder and served by the switch itself, ports are dummies, nothing needs a
//! privilege, and the process stays in the foreground. Without a folder one is made, and goes with
//! the switch.

use std::fs;
use std::path::{Path, PathBuf};

use super::options::{DummyMode, Options};
use super::paths::Paths;

/// What a sandbox is run with, and the folder that goes with it.
pub(super) struct Sandbox {
    pub(super) paths: Paths,
    pub(super) options: Options,
    folder: Option<PathBuf>,
}

impl Sandbox {
    /// A sandbox in this folder, or in a new one.
    pub(super) fn new(program: &str, folder: Option<&str>) -> std::io::Result<Self> {
        let (folder, own) = match folder {
            Some(folder) => (PathBuf::from(folder), false),
            None => {
                let name = format!("dp-sandbox-{}", std::process::id());
                (std::env::temp_dir().join(name), true)
            }
        };
        fs::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        let mut paths = Paths::from_environment(program);
        // The tools find a daemon by the name that they know.
        paths.program = "ovs-vswitchd".to_owned();
        paths.run.clone_from(&folder);
        paths.log.clone_from(&folder);
        let options = Options {
            remote: Some(format!("file:{}", folder.join("conf.db").display())),
            pidfile: Some(None),
            log_file: Some(None),
            verbosity: vec![Some("console:warn".to_owned())],
            no_chdir: true,
            dummy: DummyMode::Beside,
            disable_system: true,
            disable_system_route: true,
            ..Options::default()
        };
        Ok(Self { paths, options, folder: own.then_some(folder) })
    }

    /// How to talk to it.
    pub(super) fn greeting(&self) -> String {
        let folder = self.paths.run.display();
        format!(
            "The switch runs in {folder}; end it with Ctrl-C. In another shell:

  export OVS_RUNDIR={folder}
  ovs-vsctl add-br br0 -- set Bridge br0 datapath_type=dummy
  ovs-vsctl add-port br0 p1 -- set Interface p1 type=dummy
  ovs-vsctl show
  ovs-ofctl dump-flows br0
  ovs-appctl dpif/show
"
        )
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            remove(folder);
        }
    }
}

/// Removes a folder that this process has made; one that cannot be removed is only litter.
fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}

#[cfg(test)]
mod tests {
    use super::Sandbox;

    #[test]
    fn a_folder_of_its_own_goes_with_the_sandbox() {
        let sandbox = Sandbox::new("x", None).unwrap();
        let folder = sandbox.paths.run.clone();
        assert!(folder.is_dir());
        assert!(sandbox.greeting().contains(&folder.display().to_string()));
        drop(sandbox);
        assert!(!folder.exists());
    }
}
