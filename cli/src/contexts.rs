//! Clusters that a person uses from afar: one bundle each, in a directory of hers.
//!
//! ```text
//! ~/.config/weft/contexts/NAME.json   0600: a bundle, as `weft user create` writes it
//! ~/.config/weft/current              the name of the one that is used without saying so
//! ```

mod bundle;

pub(crate) use bundle::Bundle;
pub(crate) use bundle::BundleError;
pub(crate) use bundle::write_new;

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use weft_proto::Name;

/// Stands for the socket of this machine, so no context is called so.
pub(crate) const LOCAL: &str = "local";

/// Where contexts are kept.
#[derive(Clone, Debug)]
pub(crate) struct Contexts {
    dir: PathBuf,
}

/// A context that cannot be kept or found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    #[error("there is no directory for contexts: set HOME or WEFT_CONFIG")]
    NoDirectory,
    #[error(
        "there is no context {name}: \"weft context ls\" shows all, \"weft context import FILE\" adds one"
    )]
    Absent { name: Name },
    #[error(
        "there is a context {name} already: choose another --name, or remove that one first (weft context rm {name})"
    )]
    Taken { name: Name },
    #[error("a context cannot be called {LOCAL}: that is the socket of this machine; give --name")]
    Reserved,
    #[error("cannot use {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the bundle in {} cannot be used", path.display())]
    Bundle {
        path: PathBuf,
        #[source]
        source: BundleError,
    },
}

impl Contexts {
    /// Those in `dir`; it need not exist yet.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Contexts { dir }
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.dir.join("contexts").join(format!("{name}.json"))
    }

    fn current_path(&self) -> PathBuf {
        self.dir.join("current")
    }

    /// The one that is used without saying so, if one was chosen.
    pub(crate) fn current(&self) -> Result<Option<Name>, ContextError> {
        let path = self.current_path();
        match fs::read_to_string(&path) {
            // What no person can have written there on purpose is no choice.
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ContextError::File { path, source }),
        }
    }

    /// Chooses the one that is used without saying so; `None`: the socket.
    pub(crate) fn choose(&self, name: Option<&Name>) -> Result<(), ContextError> {
        let path = self.current_path();
        let chosen = match name {
            Some(name) if !self.path(name).exists() => {
                return Err(ContextError::Absent { name: name.clone() });
            }
            Some(name) => {
                self.prepare()?;
                replace(&path, name.as_str().as_bytes())
            }
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            },
        };
        chosen.map_err(|source| ContextError::File { path, source })
    }

    /// All of them, by name.
    pub(crate) fn names(&self) -> Result<Vec<Name>, ContextError> {
        let dir = self.dir.join("contexts");
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(|source| ContextError::File { path: dir, source })?,
        };
        let mut names: Vec<Name> = entries
            .filter_map(|entry| {
                let file = entry.ok()?.file_name();
                file.to_str()?.strip_suffix(".json")?.parse().ok()
            })
            .collect();
        names.sort();
        Ok(names)
    }

    /// One of them.
    pub(crate) fn load(&self, name: &Name) -> Result<Bundle, ContextError> {
        let path = self.path(name);
        if !path.exists() {
            return Err(ContextError::Absent { name: name.clone() });
        }
        read(&path)
    }

    /// Adds one.
    pub(crate) fn add(&self, name: &Name, bundle: &Bundle) -> Result<(), ContextError> {
        if name.as_str() == LOCAL {
            return Err(ContextError::Reserved);
        }
        if self.path(name).exists() {
            return Err(ContextError::Taken { name: name.clone() });
        }
        self.store(name, bundle)
    }

    /// Puts a bundle in the place of another, in one step.
    pub(crate) fn store(&self, name: &Name, bundle: &Bundle) -> Result<(), ContextError> {
        self.prepare()?;
        let path = self.path(name);
        let text = bundle.to_text();
        replace(&path, text.as_bytes()).map_err(|source| ContextError::File { path, source })
    }

    /// Forgets one.
    pub(crate) fn remove(&self, name: &Name) -> Result<(), ContextError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ContextError::Absent { name: name.clone() });
            }
            removed => removed.map_err(|source| ContextError::File { path, source })?,
        }
        if self.current()?.as_ref() == Some(name) {
            self.choose(None)?;
        }
        Ok(())
    }

    fn prepare(&self) -> Result<(), ContextError> {
        let dir = self.dir.join("contexts");
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir);
        made.map_err(|source| ContextError::File { path: dir, source })
    }
}

/// A bundle out of a file.
pub(crate) fn read(path: &Path) -> Result<Bundle, ContextError> {
    let text = fs::read_to_string(path).map_err(|source| ContextError::File {
        path: path.to_owned(),
        source,
    })?;
    let text = zeroize::Zeroizing::new(text);
    Bundle::from_text(&text).map_err(|source| ContextError::Bundle {
        path: path.to_owned(),
        source,
    })
}

/// Writes a whole new file beside the old one and puts it in its place. Only the owner reads it.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::bundle::tests::bundle;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn contexts_are_kept_chosen_and_forgotten_and_nobody_else_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let contexts = Contexts::new(dir.path().join("weft"));
        assert_eq!(contexts.names().unwrap(), []);
        assert_eq!(contexts.current().unwrap(), None);
        let bundle = bundle("alice");
        contexts.add(&name("prod"), &bundle).unwrap();
        let path = dir.path().join("weft/contexts/prod.json");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let loaded = contexts.load(&name("prod")).unwrap();
        assert_eq!(loaded.credentials.identity().name, name("alice"));
        assert_eq!(loaded.managers, bundle.managers);
        let taken = contexts.add(&name("prod"), &bundle).unwrap_err();
        assert!(taken.to_string().contains("already"), "{taken}");
        let local = contexts.add(&name("local"), &bundle).unwrap_err();
        assert!(local.to_string().contains("--name"), "{local}");
        let absent = contexts.choose(Some(&name("test"))).unwrap_err();
        assert!(absent.to_string().contains("weft context ls"), "{absent}");
        contexts.choose(Some(&name("prod"))).unwrap();
        assert_eq!(contexts.current().unwrap(), Some(name("prod")));
        assert_eq!(contexts.names().unwrap(), [name("prod")]);
        contexts.remove(&name("prod")).unwrap();
        assert_eq!(contexts.current().unwrap(), None, "it was the chosen one");
        assert!(contexts.load(&name("prod")).is_err());
        assert!(contexts.remove(&name("prod")).is_err());
    }

    #[test]
    fn a_damaged_bundle_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.weft");
        fs::write(&path, "{}").unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.to_string().contains("x.weft"), "{error}");
    }
}
