//! Finds the program of a task, and says precisely why there is none.

use super::setup_error::SetupError;
use rustix::fs::Access;
use std::path::Path;
use std::path::PathBuf;

/// Looks a command up as a shell would: a name with a slash is a path, any other is searched.
pub(super) fn find(command: &str, path: &str) -> Result<PathBuf, SetupError> {
    if command.contains('/') {
        return match check(Path::new(command)) {
            Found::Yes => Ok(PathBuf::from(command)),
            Found::NotExecutable => Err(SetupError::NotExecutable(command.to_owned())),
            Found::No => Err(SetupError::NoSuchFile(command.to_owned())),
        };
    }
    let mut unusable = false;
    for dir in path.split(':') {
        // An empty part means the current directory.
        let candidate = Path::new(if dir.is_empty() { "." } else { dir }).join(command);
        match check(&candidate) {
            Found::Yes => return Ok(candidate),
            Found::NotExecutable => unusable = true,
            Found::No => {}
        }
    }
    if unusable {
        return Err(SetupError::NotExecutable(command.to_owned()));
    }
    Err(SetupError::NotInPath {
        command: command.to_owned(),
        path: path.to_owned(),
    })
}

enum Found {
    Yes,
    NotExecutable,
    No,
}

fn check(file: &Path) -> Found {
    match file.metadata() {
        Err(_) => Found::No,
        Ok(meta) if meta.is_file() && rustix::fs::access(file, Access::EXEC_OK).is_ok() => {
            Found::Yes
        }
        Ok(_) => Found::NotExecutable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_directory_with_the_command_wins() {
        assert_eq!(
            find("sh", "/nowhere:/bin:/usr/bin").unwrap(),
            PathBuf::from("/bin/sh")
        );
    }

    #[test]
    fn a_misspelt_command_is_named_with_the_path_searched() {
        let error = find("ngnix", "/usr/sbin:/usr/bin").unwrap_err();
        assert_eq!(
            error.to_string(),
            "command \"ngnix\" not found in PATH (/usr/sbin:/usr/bin)"
        );
    }

    #[test]
    fn a_file_that_cannot_be_executed_is_told_from_a_missing_one() {
        assert!(matches!(
            find("/etc/passwd", ""),
            Err(SetupError::NotExecutable(_))
        ));
        assert!(matches!(
            find("/etc/nothing", ""),
            Err(SetupError::NoSuchFile(_))
        ));
        assert!(matches!(
            find("passwd", "/etc"),
            Err(SetupError::NotExecutable(_))
        ));
    }
}
