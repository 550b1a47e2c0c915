//! Reads a configuration with the files that it includes. Everything is bounded.
//!
//! Runs at start, at reload, or on a timer.

mod glob;
mod known;
mod lexer;
mod names;
mod parser;
mod placeholder;
mod substitute;
#[cfg(test)]
mod tests;
mod wrapping;

use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::finding::{Finding, Level};
use super::tree::{Directive, Position};
pub(super) use parser::refused;
pub use parser::{Parsed, parse};
use placeholder::placeholder;

/// Where files are read from.
pub trait Files {
    /// The bytes of the file at `path`, at most `bytes_max` and one more.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be read.
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>>;

    /// The names in the directory at `path`, in any order.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be read.
    fn names(&self, path: &Path) -> io::Result<Vec<String>>;
}

/// A configuration that was read.
#[derive(Debug, Default)]
pub struct Read {
    /// All directives; an `include` is replaced by what it includes.
    pub directives: Vec<Directive>,
    /// What nginx would refuse, and which files are missing.
    pub findings: Vec<Finding>,
    /// The files that were read, and the directories and absent files that may have others later.
    pub files: Vec<PathBuf>,
}

/// Why nothing could be read.
#[derive(Debug)]
pub enum ReadError {
    /// The file cannot be read.
    Io(PathBuf, io::Error),
    /// The file contains bytes that no text has.
    Binary(PathBuf),
    /// The file and those that it includes are too large.
    TooLarge(PathBuf),
}

/// Reads the configuration at `path`.
///
/// # Errors
///
/// The file itself cannot be read, is binary, or is too large. What is wrong with a file that it includes is
/// a finding.
pub fn read(path: &Path, files: &dyn Files) -> Result<Read, ReadError> {
    let mut reader = Reader {
        files,
        base: path.parent().map(Path::to_owned).unwrap_or_default(),
        chain: Vec::new(),
        bytes: 0,
        count: 0,
        is_full: false,
        read: Read::default(),
    };
    let directives = reader.file(path)?;
    let mut read = reader.read;
    read.directives = directives;
    substitute::substitute(&mut read);
    read.files.sort();
    read.files.dedup();
    Ok(read)
}

struct Reader<'f> {
    files: &'f dyn Files,
    /// The directory of the main file, to which nginx takes paths as relative.
    base: PathBuf,
    /// The files that are open: each includes the next.
    chain: Vec<PathBuf>,
    bytes: usize,
    count: usize,
    /// Whether a bound was reached and reported.
    is_full: bool,
    read: Read,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path) -> Result<Vec<Directive>, ReadError> {
        self.read.files.push(path.to_owned());
        let left = BYTES_MAX.saturating_sub(self.bytes);
        let bytes = self.files.read(path, left).map_err(|it| ReadError::Io(path.to_owned(), it))?;
        if bytes.len() > left {
            return Err(ReadError::TooLarge(path.to_owned()));
        }
        if bytes.contains(&0) {
            return Err(ReadError::Binary(path.to_owned()));
        }
        self.bytes += bytes.len();
        self.count += 1;
        let name = super::name_of(path);
        let text = String::from_utf8_lossy(&bytes);
        let parsed = parse(&name, &text);
        self.read.findings.extend(parsed.findings);
        self.chain.push(path.to_owned());
        let directives = self.expand(parsed.directives);
        self.chain.pop();
        Ok(directives)
    }

    /// The same with the content of files instead of `include`.
    fn expand(&mut self, directives: Vec<Directive>) -> Vec<Directive> {
        let mut expanded = Vec::with_capacity(directives.len());
        for mut directive in directives {
            if directive.name == "include" && directive.block.is_none() {
                expanded.extend(self.include(&directive));
                continue;
            }
            directive.block = directive.block.map(|block| self.expand(block));
            expanded.push(directive);
        }
        expanded
    }

    fn include(&mut self, directive: &Directive) -> Vec<Directive> {
        let Some(written) = directive.argument(0).filter(|written| !written.is_empty()) else {
            return Vec::new();
        };
        if placeholder(written).is_some() {
            self.absent(directive, "its name is a placeholder", Level::ByHand);
            return Vec::new();
        }
        let found = match glob::is_pattern(written) {
            true => self.matching(written),
            false => self
                .candidates(written)
                .into_iter()
                .find(|path| self.exists(path))
                .into_iter()
                .collect(),
        };
        if found.is_empty() {
            return self.without_file(directive, written);
        }
        found.iter().flat_map(|path| self.included(directive, path)).collect()
    }

    fn included(&mut self, directive: &Directive, path: &Path) -> Vec<Directive> {
        if self.is_full {
            return Vec::new();
        }
        if self.chain.iter().any(|open| open == path) {
            let mut chain: Vec<String> = self.chain.iter().map(|it| super::name_of(it)).collect();
            chain.push(super::name_of(path));
            let what = format!("the files include each other: {}", chain.join(" > "));
            let finding =
                refused("include-cycle", &directive.at, what, "remove one of the includes");
            self.read.findings.push(finding);
            return Vec::new();
        }
        if self.count >= FILES_MAX || self.chain.len() >= DEPTH_MAX {
            self.report_full(
                &directive.at,
                &format!("more than {FILES_MAX} files, or {DEPTH_MAX} deep"),
            );
            return Vec::new();
        }
        match self.file(path) {
            Ok(directives) => directives,
            Err(error @ ReadError::TooLarge(_)) => {
                self.report_full(&directive.at, &error.to_string());
                Vec::new()
            }
            Err(error) => {
                self.absent(directive, &error.to_string(), Level::ByHand);
                Vec::new()
            }
        }
    }

    fn report_full(&mut self, at: &Position, what: &str) {
        self.is_full = true;
        let remedy = "import the files that are about Socket.IO and WebSockets";
        let what = format!("the rest was not read: {what}");
        self.read.findings.push(Finding::new(Level::ByHand, "too-long", Some(at), what, remedy));
    }

    /// What an absent file is known to contain, or a finding.
    fn without_file(&mut self, directive: &Directive, written: &str) -> Vec<Directive> {
        // It may come later.
        let place = self.base.join(written);
        self.read.files.push(match glob::is_pattern(written) {
            true => place.parent().map(Path::to_owned).unwrap_or_default(),
            false => place,
        });
        if glob::is_pattern(written) {
            self.absent(directive, "no file has such a name", Level::Note);
            return Vec::new();
        }
        if let Some(content) = known::content(written) {
            let name = written.rsplit('/').next().unwrap_or(written);
            self.absent(
                directive,
                "it was not found, so what it usually contains was read",
                Level::NotNeeded,
            );
            return parse(&format!("{name} as it usually is"), content).directives;
        }
        self.absent(directive, "it was not found", Level::ByHand);
        Vec::new()
    }

    fn absent(&mut self, directive: &Directive, why: &str, level: Level) {
        let what = format!("{}: {why}", directive.shown());
        let remedy = match level {
            Level::ByHand => {
                "import the file together with this one, or read it and see what it needs"
            }
            _ => "",
        };
        self.read.findings.push(Finding::new(level, "include", Some(&directive.at), what, remedy));
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.read(path, 0).is_ok()
    }

    /// Where the file that is written `written` may be: where nginx looks for it, next to the file that
    /// includes it, and for an absolute path also below the directory of the main file.
    fn candidates(&self, written: &str) -> Vec<PathBuf> {
        let written = Path::new(written);
        let mut found = vec![self.base.join(written)];
        let including = self.chain.last().and_then(|path| path.parent());
        found.extend(including.map(|directory| directory.join(written)));
        if written.is_absolute() {
            let parts: Vec<Component<'_>> = written.components().skip(1).collect();
            let ends = (0..parts.len()).map(|at| parts.iter().skip(at).collect::<PathBuf>());
            found.extend(ends.map(|end| self.base.join(end)));
        }
        found
    }

    /// The files that match the pattern, in alphabetical order.
    fn matching(&mut self, written: &str) -> Vec<PathBuf> {
        for candidate in self.candidates(written) {
            // Without a directory of its own, the pattern would find whatever is next to the main file.
            let is_loose = candidate.parent() == Some(&self.base) && written.starts_with('/');
            let found = if is_loose { Vec::new() } else { self.glob(&candidate) };
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    fn glob(&mut self, pattern: &Path) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::new()];
        for part in pattern.components() {
            let text = part.as_os_str().to_string_lossy();
            if !glob::is_pattern(&text) {
                found.iter_mut().for_each(|path| path.push(part));
                continue;
            }
            let mut next = Vec::new();
            for path in found {
                let directory = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
                let Ok(mut names) = self.files.names(directory) else { continue };
                self.read.files.push(directory.to_owned());
                names.retain(|name| glob::matches(&text, name));
                names.sort();
                next.extend(names.into_iter().map(|name| path.join(name)));
                next.truncate(FILES_MAX);
            }
            found = next;
        }
        found.retain(|path| self.exists(path));
        found
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "cannot read {}: {error}", super::name_of(path)),
            Self::Binary(path) => {
                write!(f, "{} is a binary file and no configuration", super::name_of(path))
            }
            Self::TooLarge(path) => write!(
                f,
                "{} and what it includes have more than {} MiB",
                super::name_of(path),
                BYTES_MAX >> 20
            ),
        }
    }
}

impl std::error::Error for ReadError {}

/// Of all files together.
const BYTES_MAX: usize = 16 << 20;
const FILES_MAX: usize = 10_000;
/// How many files include each other.
const DEPTH_MAX: usize = 32;
