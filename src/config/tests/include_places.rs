//! Where included files are: paths that lead nowhere, to the file itself, or to one file twice.

use std::fs;
use std::os::unix::fs::symlink;

use super::include::{CHAT, MAIN, SHOP, check, files, read, said, said_of};
use crate::config::{Source, load_with_files, parse_alone, schema_of_included};

#[test]
fn a_path_that_leads_nowhere_is_refused() {
    check(
        &[("main.yaml", "include: [apps.d/, more.d]\n"), ("apps.d/a.yaml", SHOP)],
        "\
main.yaml:1:20: include[1]: `more.d` does not exist in HERE
 1 | include: [apps.d/, more.d]
   |                    ^^^^^^
   = help: create the directory, or correct the path
1 problem in main.yaml",
    );
    check(
        &[("main.yaml", "include: apps.d/*.yaml\n"), ("apps.d/a.yaml", SHOP)],
        "\
main.yaml:1:10: include: `apps.d/*.yaml` is a pattern, and only paths can be included
 1 | include: apps.d/*.yaml
   |          ^^^^^^^^^^^^^
   = help: write the directory: its files that end in .yaml or .yml are included
1 problem in main.yaml",
    );
    for (written, what) in [
        ("5", "is neither text nor a list"),
        ("[5]", "is not text"),
        ("{ a: b }", "is neither text nor a list"),
        ("['']", "is empty"),
        ("''", "is empty"),
        ("[~]", "is empty"),
    ] {
        let main = format!("include: {written}\n{SHOP}");
        assert!(said(&[("main.yaml", &main)]).contains(what), "{written}");
    }
    let many = format!("include: [{}]\n{SHOP}", "a, ".repeat(101));
    assert!(said(&[("main.yaml", &many)]).contains("has more than 100 paths"));
}

#[test]
fn the_file_itself_and_a_file_twice_are_refused() {
    let own = "is a directory that contains this file itself";
    assert!(said(&[("main.yaml", &format!("include: .\n{SHOP}"))]).contains(own));
    let own = said(&[("main.yaml", &format!("include: main.yaml\n{SHOP}"))]);
    assert!(own.contains("`main.yaml` is this file itself"), "{own}");
    let twice =
        said(&[("main.yaml", "include: [apps.d/, apps.d/a.yaml]\n"), ("apps.d/a.yaml", SHOP)]);
    assert!(twice.contains("include[1]: `apps.d/a.yaml` includes apps.d/a.yaml twice"), "{twice}");

    let directory = files(&[("main.yaml", MAIN), ("apps.d/a.yaml", SHOP)]);
    symlink("a.yaml", directory.path().join("apps.d/b.yaml")).unwrap();
    let same = "includes apps.d/b.yaml, which is the same file as apps.d/a.yaml";
    assert!(said_of(&directory).contains(same), "{}", said_of(&directory));
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_nothing_follows_from_it() {
    let directory = files(&[("main.yaml", MAIN), ("apps.d/a.yaml", SHOP)]);
    symlink("nowhere", directory.path().join("apps.d/b.yaml")).unwrap();
    fs::create_dir(directory.path().join("apps.d/c.yaml")).unwrap();
    fs::write(directory.path().join("apps.d/d.yaml"), "# nothing yet\n").unwrap();
    fs::write(directory.path().join("apps.d/e.yaml"), b"a: \xff\n").unwrap();
    fs::write(directory.path().join("apps.d/f.yaml"), "- a\n").unwrap();
    fs::write(directory.path().join("apps.d/g.yaml"), "routes: { a: b }\nupstreams: [a]\n")
        .unwrap();
    fs::write(directory.path().join("apps.d/h.yaml"), "routes: [a\n").unwrap();
    let expected = "\
apps.d/b.yaml: cannot be read: it is a link to a file that does not exist
   = help: correct the link or remove it
apps.d/c.yaml: is a directory, and its name is that of a file
   = help: give it another name, or write its path under include
apps.d/d.yaml: is empty
   = help: write upstreams and routes, or rename or remove the file
apps.d/e.yaml: is not UTF-8 text, first on line 1
   = help: save it as YAML text in UTF-8
apps.d/f.yaml: is not a map of keys
   = help: write upstreams: and routes:
apps.d/g.yaml:1:1: routes: is not a list
 1 | routes: { a: b }
   | ^^^^^^
   = help: begin each item with `- `
apps.d/g.yaml:2:1: upstreams: is not a map
 2 | upstreams: [a]
   | ^^^^^^^^^
   = help: write a map: { name: { … } }
apps.d/h.yaml:2:1: is not valid YAML: while parsing a flow sequence, expected ',' or ']'
   = help: close the bracket before this, or write a comma
8 problems in 7 files";
    assert_eq!(said_of(&directory), expected);
}

#[test]
fn an_empty_directory_is_a_warning_as_long_as_there_are_routes() {
    let warning = "main.yaml:1:1: include: the directory has no file that ends in .yaml or .yml";
    check(&[("main.yaml", &format!("{MAIN}{SHOP}")), ("apps.d/", "")], warning);
    let nothing = said(&[("main.yaml", MAIN), ("apps.d/", "")]);
    assert!(nothing.contains("main.yaml: routes: has no route"), "{nothing}");
}

#[test]
fn all_files_together_have_the_bounds_of_one() {
    let large = format!("#{}\n{CHAT}", "x".repeat(600 * 1024));
    let two = [("main.yaml", MAIN), ("apps.d/a.yaml", &large), ("apps.d/b.yaml", &large)];
    let expected = "apps.d/b.yaml: is too much: all files together are larger than 1 MiB\n";
    assert!(said(&two).starts_with(expected), "{}", said(&two));
    let huge = "x".repeat(2 << 20);
    let expected = "apps.d/a.yaml: is too much: all files together are larger than 1 MiB\n";
    assert!(said(&[("main.yaml", MAIN), ("apps.d/a.yaml", &huge)]).starts_with(expected));

    let many = format!("routes: [{}]\n", "1, ".repeat(60_000));
    let two = [("main.yaml", MAIN), ("apps.d/a.yaml", &many), ("apps.d/b.yaml", &many)];
    let expected = "apps.d/b.yaml: expands, with the files before it, to more than 100000 values";
    assert!(said(&two).contains(expected), "{}", said(&two));
}

#[test]
fn a_file_that_an_included_file_names_is_relative_to_that_file() {
    let auth = "upstreams: { a: { nodes: [a:1] } }\n\
                routes: [{ upstream: a, auth: { basic: { htpasswd_file: users } } }]\n";
    let line = "ann:$2y$05$abcdefghijklmnopqrstuuu9bJ8gW5sWhhVnhlvYsPBWkzBR5Yl5C\n";
    let directory = files(&[("main.yaml", MAIN), ("apps.d/a.yaml", auth), ("apps.d/users", line)]);
    let read = read(&directory);
    let read = read.map_err(|problems| problems.to_string());
    let access = &read.unwrap().routes[0].access;
    assert!(format!("{access:?}").contains("apps.d/users"), "{access:?}");
}

#[test]
fn a_secret_of_an_included_file_is_not_shown() {
    let secret = "0123456789abcdef";
    for text in [
        format!(
            "upstreams: {{ a: {{ nodes: [a], affinity: {{ sid: {{ keys: [{secret}] }} }} }} }}\n"
        ),
        format!("log: {{ keys: [{secret}] }}\n"),
        format!("upstreams: {{ a: {{ keys: [{secret}"),
        format!("upstreams: {{ a: {{ nodes: [a:1], keys: [{secret}] }}, a: 1 }}\n"),
    ] {
        let said = said(&[("main.yaml", MAIN), ("apps.d/a.yaml", &text)]);
        assert!(said.contains("problem") && !said.contains(secret), "{said}");
    }
}

#[test]
fn what_is_to_be_followed_is_known_although_it_is_broken() {
    let directory = files(&[("main.yaml", "include: [apps.d, none.d]\n"), ("apps.d/a.yaml", "x")]);
    let loaded = load_with_files(&Source::yaml(directory.path().join("main.yaml")));
    assert!(loaded.outcome.is_err());
    for name in ["apps.d", "apps.d/a.yaml", "none.d"] {
        assert!(loaded.files.contains(&directory.path().join(name)), "{name}");
    }
}

#[test]
fn without_files_nothing_is_included() {
    let config = parse_alone("a.yaml", &format!("include: /etc/\n{SHOP}")).unwrap();
    assert!(config.included.is_empty());
}

#[test]
fn an_included_file_has_a_schema_of_its_own() {
    let schema = jsonschema::validator_for(&schema_of_included()).unwrap();
    let fits = |text: &str| schema.is_valid(&serde_yaml::from_str(text).unwrap());
    assert!(fits(SHOP) && fits(CHAT) && fits("routes: [{ upstream: a }]"));
    assert!(!fits("log: {}") && !fits("include: a") && !fits("routes: [{ upstreams: a }]"));
    let whole = super::schema::validator();
    let fits = |text: &str| whole.is_valid(&serde_yaml::from_str(text).unwrap());
    assert!(fits(MAIN) && fits("include: [a, b]") && fits(SHOP));
    assert!(!fits("include: 5") && !fits("include: ['']") && !fits("log: {}"));
}
