//! A private folder that goes with its guard.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// An empty folder of a test's own, removed with all in it when dropped.
///
/// Its path is short, since the paths of sockets within it may not exceed 107 octets.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes a folder whose name contains `hint`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(hint: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // A process before this one with the same id may have been killed before it cleaned up.
        for _ in 0..100 {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("dp-{hint}-{}-{count}", process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_all_in_it() {
        let (one, two) = (Folder::new("test").unwrap(), Folder::new("test").unwrap());
        assert_ne!(one.path(), two.path());
        fs::write(one.join("file"), "text").unwrap();
        fs::create_dir(one.join("sub")).unwrap();
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists());
        assert!(two.path().exists());
    }
}
