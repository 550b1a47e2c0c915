//! Whether a thing was made from what its source says now: the stamp is a copy of the source, left
//! inside what was made, so that both go together.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::Failure;

/// The stamp inside a directory that is made from one file.
pub(crate) struct Stamp {
    source: PathBuf,
    copy: PathBuf,
}

impl Stamp {
    /// `made` is the directory, `source` the file that decides its contents.
    pub(crate) fn new(made: &Path, source: &Path) -> Self {
        Self { source: source.to_path_buf(), copy: made.join(".made-from") }
    }

    /// Whether the directory was made, to its end, from the source as it is now.
    pub(crate) fn is_fresh(&self) -> bool {
        match (fs::read(&self.copy), fs::read(&self.source)) {
            (Ok(copy), Ok(source)) => copy == source,
            (Err(_), _) | (_, Err(_)) => false,
        }
    }

    /// Says that the directory is complete.
    pub(crate) fn leave(&self) -> Result<(), Failure> {
        match fs::copy(&self.source, &self.copy) {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure(format!("cannot write {}: {error}", self.copy.display()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_fresh_until_its_source_changes() {
        let home = tempfile::tempdir().unwrap();
        let source = home.path().join("lock");
        fs::write(&source, "one").unwrap();
        let stamp = Stamp::new(home.path(), &source);
        assert!(!stamp.is_fresh(), "nothing was made yet");

        stamp.leave().unwrap();
        assert!(stamp.is_fresh());

        fs::write(&source, "two").unwrap();
        assert!(!stamp.is_fresh());
    }
}
