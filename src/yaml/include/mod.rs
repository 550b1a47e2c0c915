//! Other files that a file includes: their sections become parts of its own.
//!
//! An included file has only sections that may be in several files: maps and lists, which are joined.
//! It cannot include others. Each value keeps the position in its own file.
//!
//! Runs at start, at reload, or on a timer.

mod faults;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

use super::directory::{FoundFile, Place, identity, read_places};
use super::key_path::{KeyPath, Step};
use super::problem::Diagnostic;
use super::report::Report;
use super::source::on_one_line;
use super::source_map::SourceMap;
use super::{TEXT_BYTES_MAX, decode, events, read_text, without_mark};

/// How files are included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The key whose value is the path of a file or directory, or a list of paths.
    pub(crate) key: &'static str,
    /// The sections that an included file may have. Each is a map, or else a list.
    pub(crate) sections: &'static [(&'static str, Section)],
    /// The other keys, which only the file itself may have.
    pub(crate) own: &'static [&'static str],
}

/// How sections are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// No two files may have the same key.
    Map,
    /// In the order of the files.
    List,
}

/// Where the included files are.
#[derive(Debug, Default)]
pub(crate) struct Included {
    /// Each path that is included, and the files in the directories.
    pub(crate) paths: Vec<PathBuf>,
    /// The directory of each file, by its number less one.
    pub(crate) directories: Vec<PathBuf>,
}

/// Reads all files that `tree` includes, which is in the file at `path`, and adds their sections to it.
/// Blocks for some seconds at most. If a file could not be read, there is a problem in `report`, and
/// what it would have added is missing.
pub(crate) fn include(
    rules: Rules,
    path: &Path,
    tree: &mut Value,
    report: &mut Report<'_>,
) -> Included {
    let places = places(rules.key, tree, report);
    let mut joining = Joining {
        rules,
        base: path.parent().map(Path::to_owned).unwrap_or_default(),
        own: identity(path),
        bytes: report.text_bytes(),
        values: report.count(),
        known: HashMap::new(),
        included: Included::default(),
    };
    if places.is_empty() {
        return joining.included;
    }
    joining.prepare(tree, report);
    let paths: Vec<PathBuf> = places.iter().map(|(_, path)| joining.base.join(path)).collect();
    joining.included.paths.clone_from(&paths);
    let left = TEXT_BYTES_MAX.saturating_sub(joining.bytes);
    for ((at, written), found) in places.iter().zip(read_places(&paths, left)) {
        match found {
            Ok(place) => joining.place((at, written), place, tree, report),
            Err(error) => report.refuse(at, faults::unreachable(&joining.base, written, &error)),
        }
    }
    joining.included
}

/// Checks the paths that `tree` includes, and reads nothing.
pub(crate) fn check(rules: Rules, tree: &Value, report: &mut Report<'_>) {
    places(rules.key, tree, report);
}

/// The paths that `tree` includes. Values of another kind are reported by the type of the key.
fn places(key: &str, tree: &Value, report: &mut Report<'_>) -> Vec<(KeyPath, String)> {
    let at = KeyPath::root().key(key);
    let written: Vec<(KeyPath, &Value)> = match tree.get(key) {
        Some(Value::Sequence(items)) => {
            items.iter().enumerate().map(|(index, item)| (at.index(index), item)).collect()
        }
        Some(text @ Value::String(_)) => vec![(at, text)],
        Some(_) | None => return Vec::new(),
    };
    let mut places = Vec::new();
    for (path, value) in written {
        match value {
            Value::String(text) if !text.is_empty() => places.push((path, text.clone())),
            Value::String(_) | Value::Null => {
                report.refuse(&path, Diagnostic::new("is empty").help(WRITE_A_DIRECTORY));
            }
            _ => (),
        }
    }
    if places.len() > PLACES_MAX {
        let diagnostic = Diagnostic::new(format!("has more than {PLACES_MAX} paths"));
        report.refuse(
            &KeyPath::root().key(key),
            diagnostic.help("put the files into a directory, and write the directory"),
        );
        places.clear();
    }
    places
}

/// What has been joined so far.
struct Joining {
    rules: Rules,
    /// The directory of the file that includes.
    base: PathBuf,
    /// The file that includes, without symlinks.
    own: PathBuf,
    /// Of all texts.
    bytes: usize,
    /// In all files.
    values: usize,
    /// The files that are included, without symlinks, and how they are called.
    known: HashMap<PathBuf, String>,
    included: Included,
}

impl Joining {
    /// Makes sure that the file's own sections can be joined.
    fn prepare(&self, tree: &mut Value, report: &mut Report<'_>) {
        for (name, section) in self.rules.sections {
            let Some(value) = tree.get_mut(name) else { continue };
            if !value.is_null() && !section.fits(value) {
                report.refuse(&KeyPath::root().key(name), section.misfit());
            }
            if !section.fits(value) {
                *value = section.empty();
            }
        }
    }

    fn place(
        &mut self,
        (at, written): (&KeyPath, &str),
        place: Place,
        tree: &mut Value,
        report: &mut Report<'_>,
    ) {
        if place.is_directory && place.files.is_empty() {
            report.warn(at, "the directory has no file that ends in .yaml or .yml");
        }
        for file in place.files {
            // The first file with which there is too much has been reported.
            if report.is_full() || self.bytes > TEXT_BYTES_MAX {
                return;
            }
            let name = self.name(report.file_name(), written, &file, place.is_directory);
            if let Some(diagnostic) = self.twin(&name, &file, place.is_directory) {
                report.refuse(at, diagnostic);
                continue;
            }
            self.included.paths.push(file.path.clone());
            let directory = file.path.parent().map(Path::to_owned).unwrap_or_default();
            self.included.directories.push(directory);
            self.file(name, file.bytes, tree, report);
        }
    }

    /// What an included file is called: from where the file itself is named.
    fn name(&self, own: &str, written: &str, file: &FoundFile, is_in_directory: bool) -> String {
        let own_directory = Path::new(own).parent().unwrap_or_else(|| Path::new(""));
        let mut path = own_directory.join(written);
        if is_in_directory {
            path.extend(file.path.file_name());
        }
        on_one_line(&path)
    }

    /// Why a file is not included that is known by another name.
    fn twin(&mut self, name: &str, file: &FoundFile, is_in_directory: bool) -> Option<Diagnostic> {
        if file.identity == self.own {
            let (what, help) = match is_in_directory {
                true => ("is a directory that contains this file itself", OWN_DIRECTORY),
                false => ("is this file itself", "remove it"),
            };
            return Some(Diagnostic::new(what).help(help));
        }
        let first = self.known.get(&file.identity).cloned();
        match first {
            None => {
                self.known.insert(file.identity.clone(), name.to_owned());
                None
            }
            Some(first) if first == name => Some(
                Diagnostic::new(format!("includes {name} twice")).help("remove one of the two"),
            ),
            Some(first) => {
                let what = format!("includes {name}, which is the same file as {first}");
                Some(Diagnostic::new(what).help("remove one of the two"))
            }
        }
    }

    fn file(
        &mut self,
        name: String,
        bytes: io::Result<Vec<u8>>,
        tree: &mut Value,
        report: &mut Report<'_>,
    ) {
        let text = bytes.map_err(|error| faults::unreadable(&error)).and_then(|bytes| {
            self.bytes += bytes.len();
            if self.bytes > TEXT_BYTES_MAX { Err(faults::too_much()) } else { decode(bytes) }
        });
        let (text, fault) = match text {
            Ok(text) => (without_mark(&text).to_owned(), None),
            Err(diagnostic) => (String::new(), Some(diagnostic)),
        };
        let number = report.add_file(name, text.clone());
        if let Some(diagnostic) = fault {
            return report.adopt(number, [diagnostic.into_problem(String::new())]);
        }
        match read_text(&text, number, EMPTY_HELP) {
            Err(problems) => report.adopt(number, problems),
            Ok(found) => self.join(number, found, tree, report),
        }
    }

    /// Adds the sections of `found` to `tree`.
    fn join(
        &mut self,
        number: usize,
        (found, mut source_map): (Value, SourceMap),
        tree: &mut Value,
        report: &mut Report<'_>,
    ) {
        let root = KeyPath::root();
        self.values += source_map.count();
        let Value::Mapping(found) = found else {
            let diagnostic =
                Diagnostic::new("is not a map of keys").help(faults::write_sections(&self.rules));
            return report.refuse_in_file((number, &source_map), &root, diagnostic);
        };
        if self.values > events::COUNT_MAX {
            let what = format!(
                "expands, with the files before it, to more than {} values",
                events::COUNT_MAX
            );
            let diagnostic = Diagnostic::new(what).help("write fewer routes and nodes");
            return report.refuse_in_file((number, &source_map), &root, diagnostic);
        }
        for (key, value) in found {
            let Some(name) = super::typed::key_text(&key) else { continue };
            let at = root.key(&name);
            let known = self.rules.sections.iter().find(|(section, _)| *section == name);
            match known {
                None => {
                    let diagnostic = faults::foreign(&self.rules, &name, report.file_name());
                    report.refuse_in_file((number, &source_map), &at, diagnostic);
                }
                Some(_) if value.is_null() => (),
                Some((_, section)) if !section.fits(&value) => {
                    report.refuse_in_file((number, &source_map), &at, section.misfit());
                }
                Some((section, _)) => {
                    let Some(target) = section_of(tree, section, &value) else { continue };
                    match (target, value) {
                        (Value::Mapping(target), Value::Mapping(entries)) => {
                            add_entries(number, &at, (target, entries), &mut source_map, report);
                        }
                        (Value::Sequence(target), Value::Sequence(items)) => {
                            for (index, item) in items.into_iter().enumerate() {
                                let step = Step::Index(target.len());
                                report.include(&mut source_map, &at.index(index), (section, step));
                                target.push(item);
                            }
                        }
                        _ => (),
                    }
                }
            }
        }
    }
}

/// The section `name` of `tree`, which is made if it has none: as `like`, a map or list.
fn section_of<'t>(tree: &'t mut Value, name: &str, like: &Value) -> Option<&'t mut Value> {
    let empty = || match like {
        Value::Mapping(_) => Value::Mapping(Mapping::new()),
        _ => Value::Sequence(Vec::new()),
    };
    Some(tree.as_mapping_mut()?.entry(name.into()).or_insert_with(empty))
}

/// Adds entries to a map. Those that another file has are refused.
fn add_entries(
    number: usize,
    at: &KeyPath,
    (target, entries): (&mut Mapping, Mapping),
    source_map: &mut SourceMap,
    report: &mut Report<'_>,
) {
    let Some((_, Step::Key(section))) = at.split_last() else { return };
    for (key, value) in entries {
        let Some(name) = super::typed::key_text(&key) else { continue };
        let path = at.key(&name);
        if target.contains_key(&key) {
            let first = report.place(&path);
            let diagnostic = Diagnostic::new(format!("is already defined in {first}"));
            let diagnostic = diagnostic.help("give one of the two another name");
            report.refuse_in_file((number, source_map), &path, diagnostic);
            continue;
        }
        report.include(source_map, &path, (section, Step::Key(name.into())));
        target.insert(key, value);
    }
}

impl Section {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Map => value.is_mapping(),
            Self::List => value.is_sequence(),
        }
    }

    fn empty(self) -> Value {
        match self {
            Self::Map => Value::Mapping(Mapping::new()),
            Self::List => Value::Sequence(Vec::new()),
        }
    }
}

const WRITE_A_DIRECTORY: &str = "write a directory: include: conf.d/";
const OWN_DIRECTORY: &str = "put the files to include into a directory of their own: conf.d/";
const EMPTY_HELP: &str = "write upstreams and routes, or rename or remove the file";

/// Paths in one list.
const PLACES_MAX: usize = 100;
