//! Where a configuration is read from: a YAML file, or a file in another language that is translated.
//!
//! Runs at start, at reload, or on a timer.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file, and how it is read.
#[derive(Clone)]
pub(crate) struct Source {
    /// The file; `-` is standard input.
    pub(crate) path: PathBuf,
    translate: Option<Translate>,
}

/// Makes YAML of the file at a path. Blocks for some seconds at most.
type Translate = Arc<dyn Fn(&Path) -> Translation + Send + Sync>;

/// What became of a file in another language.
#[derive(Debug)]
pub(crate) struct Translation {
    /// The YAML.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, as the rest of a sentence that begins with its name.
    pub(crate) yaml: Result<String, String>,
    /// What is said of it each time that it is read.
    pub(crate) warnings: Vec<String>,
    /// The files that were read, and those that may come later.
    pub(crate) files: Vec<PathBuf>,
}

impl Source {
    /// The YAML file at `path`.
    pub(crate) fn yaml(path: PathBuf) -> Self {
        Self { path, translate: None }
    }

    /// The file at `path`, of which `translate` makes YAML.
    pub(crate) fn translated(
        path: PathBuf,
        translate: impl Fn(&Path) -> Translation + Send + Sync + 'static,
    ) -> Self {
        Self { path, translate: Some(Arc::new(translate)) }
    }

    /// The translation of the file as it is now; `None` if it is YAML.
    pub(super) fn translation(&self) -> Option<Translation> {
        self.translate.as_ref().map(|translate| translate(&self.path))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_translated = self.translate.is_some();
        f.debug_struct("Source")
            .field("path", &self.path)
            .field("is_translated", &is_translated)
            .finish()
    }
}
