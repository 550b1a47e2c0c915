//! An `nginx.conf`: whatever it contains, it is read and imported, and what comes out of it loads.

#![no_main]

use std::io;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sockeye::internal::config::parse_alone;
use sockeye::internal::nginx::{Files, import, parse};

/// One file, which may include itself by another name.
struct One<'b>(&'b [u8]);

impl Files for One<'_> {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("n" | "b.conf") => Ok(self.0.iter().take(bytes_max + 1).copied().collect()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn names(&self, _path: &Path) -> io::Result<Vec<String>> {
        Ok(vec!["b.conf".to_owned()])
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let words = parse("n", &text).words;
    assert!(words <= bytes.len(), "a word has at least one byte");
    let Ok(import) = import(Path::new("n"), &One(bytes), "fuzz") else { return };
    if let Some(yaml) = import.yaml {
        parse_alone("sockeye.yaml", &yaml).expect("the importer writes what loads");
    }
});
