//! Files that no operator writes: each is refused in one message, soon, and nothing breaks.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::super::{Problems, load, parse};

fn refused(text: &str) -> Problems {
    match parse("a.yaml", text) {
        Ok(_) => panic!("{} bytes are taken", text.len()),
        Err(problems) => problems,
    }
}

/// What is said of `text`, whose only problem it is.
fn check(text: &str, what: &str) {
    let problems = refused(text);
    assert_eq!(problems.iter().map(|problem| &*problem.what).collect::<Vec<_>>(), [what]);
}

#[test]
fn nesting_has_a_limit() {
    for deep in ["[", "{a: ", "- ", ": "] {
        check(&deep.repeat(100_000 / deep.len()), "is nested too deeply");
    }
    let mut indented = String::new();
    for depth in 0..1000 {
        indented.extend([&" ".repeat(depth), "a:\n"]);
    }
    check(&indented, "is nested too deeply");
    check(&"? ".repeat(50_000), "has a key that is not a word");
}

#[test]
fn aliases_cannot_multiply_without_end() {
    let mut laughs = String::from("a0: &a0 lol\n");
    for level in 1..30 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    check(&laughs, "expands to more than 100000 values");
    check("a: &a [*a]", "is an alias inside its own anchor");
    check("a: &a { b: *a }", "is an alias inside its own anchor");
}

#[test]
fn many_values_are_refused() {
    check(&format!("a: [{}]", "1, ".repeat(110_000)), "expands to more than 100000 values");
    check(&"- a\n".repeat(110_000), "expands to more than 100000 values");
}

#[test]
fn many_problems_end_at_a_hundred() {
    let keys: String = (0..1000).map(|n| format!("key_{n}: {n}\n")).collect();
    let problems = refused(&keys);
    assert_eq!(problems.iter().count(), 100);
    assert!(problems.to_string().ends_with("\n100 or more problems in a.yaml"));

    let upstreams: String = (0..1000).map(|n| format!("  u{n}: {{ nodes: [a:1] }}\n")).collect();
    let routes: String = (0..1000).map(|n| format!("  - {{ upstream: v{n} }}\n")).collect();
    let problems = refused(&format!("upstreams:\n{upstreams}routes:\n{routes}"));
    assert_eq!(problems.iter().count(), 100);
}

#[test]
fn a_name_without_end_is_shown_in_part() {
    let long = "x".repeat(100_000);
    for text in [
        format!("{long}: 1"),
        format!("upstreams: {{ a: {{ nodes: [b:1] }} }}\nroutes: [{{ upstream: {long} }}]"),
        format!("upstreams: {{ {long}: {{ nodes: [b:1] }} }}\nroutes: [{{ upstream: a }}]"),
        format!("upstreams: {{ a: {{ nodes: [\"{long}\"] }} }}\nroutes: [{{ upstream: a }}]"),
    ] {
        let shown = refused(&text).to_string();
        assert!(shown.len() < 4000, "{} bytes are shown", shown.len());
    }
}

#[test]
fn what_is_no_text_is_refused() {
    check("a: \0", "contains a control character, first on line 1");
    check("a: 1\n\u{1b}[31m", "contains a control character, first on line 2");
    check("a: 1\rb: 2", "contains a control character, first on line 1");
    check(&" ".repeat((1 << 20) + 1), "is larger than 1 MiB");
    for empty in ["", "\u{feff}", "\n\n", "# only a comment\n", "---\n", "--- \n...\n"] {
        check(empty, "is empty");
    }
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let check = |path: &Path, what: &str| {
        let problems = load(path).unwrap_err();
        let shown = problems.to_string();
        assert!(shown.starts_with(&format!("{}: {what}", path.display())), "{shown}");
    };
    let file = directory.path().join("a.yaml");
    check(&file, "cannot be read: No such file or directory");
    check(directory.path(), "is a directory");
    fs::write(&file, b"a: 1\nb: \xff\n").unwrap();
    check(&file, "is not UTF-8 text, first on line 2");
    fs::write(&file, vec![b' '; 3 << 20]).unwrap();
    check(&file, "is larger than 1 MiB");
    fs::write(&file, vec![0xff; 3 << 20]).unwrap();
    check(&file, "is larger than 1 MiB");
    #[cfg(unix)]
    check(Path::new("/dev/zero"), "is larger than 1 MiB");
}

/// Pieces that a YAML file is made of, so that some of what is put together parses.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "listeners",
        "upstreams",
        "routes",
        "log",
        "nodes",
        "affinity",
        "sid",
        "keys",
        "bind",
        "path",
        "exact",
        "upstream",
        "tunnel",
        "idle_timeout",
        "rendezvous",
        "by",
        ": ",
        ":",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "\"",
        "'",
        "&a ",
        "*a",
        "!t ",
        "|",
        ">",
        "# ",
        "---\n",
        "? ",
        "\t",
        "é",
        "30s",
        "1",
        "-1",
        "1.5",
        "true",
        "null",
        "~",
        "auto",
        "<<",
        "a:1",
        "/",
        "\r\n",
        "%",
        "@",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse("a.yaml", &text).map_err(|problems| problems.to_string());
    }

    #[test]
    fn no_yaml_panics(text in pieces()) {
        let _ = parse("a.yaml", &text).map_err(|problems| problems.to_string());
    }

    #[test]
    fn no_secret_is_shown(text in pieces(), before: bool) {
        let secret = "hush-hush-hush-hush";
        let keys = format!("\nupstreams: {{ a: {{ affinity: {{ sid: {{ keys: [{secret}] }} }} }} }}\n");
        let text = if before { keys + &text } else { text + &keys };
        if let Err(problems) = parse("a.yaml", &text) {
            prop_assert!(!problems.to_string().contains("hush"), "{problems}");
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        fs::write(&file, bytes).unwrap();
        let _ = load(&file).map_err(|problems| problems.to_string());
    }
}
