//! Documents made of the reference, each with one value replaced: schema and parser say the same of
//! each, and whatever the parser refuses has a sentence that says what to write.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::super::{Problems, parse_alone as parse};
use super::described::{DescribedKey, described_keys};
use super::schema::validator;
use super::shipped::shipped;

#[test]
fn schema_and_parser_agree_on_every_key_and_each_refusal_helps() {
    let validator = validator();
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for document in documents() {
        for pointer in pointers(&document) {
            let few = FEW.map(|value| serde_json::from_str(value).unwrap());
            let whole = mutants(&document, &pointer, few.to_vec());
            let value = document.pointer(&pointer).unwrap().to_string();
            let is_new = seen.insert((generic(&pointer), value));
            let small = is_new.then(|| mutants(&around(&document, &pointer), &pointer, values()));
            for mutant in whole.into_iter().chain(small.into_iter().flatten()) {
                let refused = parse("a.yaml", &mutant.document.to_string()).err();
                let fits = validator.is_valid(&mutant.document);
                found.extend(disagreement(&mutant, fits, refused.as_ref()));
                found.extend(refused.as_ref().and_then(|problems| unhelpful(&mutant, problems)));
            }
        }
    }
    found.dedup();
    assert!(found.is_empty(), "{} to do:\n{}", found.len(), found.join("\n"));
}

#[test]
fn other_words_for_off_are_refused_with_a_hint() {
    let mut checked = 0;
    for (document, pointer, key) in described() {
        let value = key.value.as_deref().unwrap_or(&key.sentence);
        if !value.contains("`off`") {
            continue;
        }
        for value in [json!(false), json!("no"), json!("False")] {
            let (value, help) = first_help(&document, &pointer, value);
            assert!(help.contains("write off"), "{pointer}: {value}: {help}");
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn the_proposal_for_a_number_without_unit_is_accepted() {
    let mut checked = 0;
    for (document, pointer, key) in described() {
        let mut words = key.value.iter().flat_map(|value| value.split(['`', ' ']));
        let amount = words.find(|word| word.starts_with(char::is_numeric));
        let unit = amount.map(|word| word.trim_start_matches(char::is_numeric));
        let Some("ms" | "s" | "m" | "h" | "B" | "KiB" | "MiB" | "GiB" | "%") = unit else {
            continue;
        };
        for number in [0, 1, 10, 64, 600, 3000, 65_536, 10_000_000] {
            let (number, help) = first_help(&document, &pointer, json!(number));
            let written = help.split([' ', ',']).nth(1).unwrap();
            let followed = replaced(&document, &pointer, json!(written));
            let outcome = parse("a.yaml", &followed.document.to_string());
            assert!(outcome.is_ok(), "{pointer}: {number}: {help}: {outcome:?}");
            checked += 1;
        }
    }
    assert!(checked > 200, "{checked}");
}

/// Each value of the documents of which the schema has a sentence.
fn described() -> Vec<(Value, String, DescribedKey)> {
    let keys = described_keys();
    let mut described = Vec::new();
    for document in documents() {
        for pointer in pointers(&document) {
            let key = keys.iter().find(|key| key.path == generic(&pointer));
            described.extend(key.map(|key| (document.clone(), pointer, key.clone())));
        }
    }
    described
}

/// What is said first of `document` with this value at `pointer`.
fn first_help(document: &Value, pointer: &str, value: Value) -> (String, String) {
    let mutant = replaced(document, pointer, value);
    let problems = parse("a.yaml", &mutant.document.to_string()).unwrap_err();
    let help = problems.iter().find_map(|problem| problem.help.clone()).unwrap();
    (mutant.value, help)
}

/// A document with one value replaced.
struct Mutant {
    document: Value,
    pointer: String,
    value: String,
}

/// Parts of the reference that are documents by themselves: each upstream, each route, all else.
fn documents() -> Vec<Value> {
    let reference: Value = serde_yaml::from_str(&shipped("configs/reference.yaml")).unwrap();
    let node = json!({ "nodes": ["10.0.0.1:3000"] });
    let upstreams = reference["upstreams"].as_object().unwrap().iter();
    let mut documents: Vec<Value> = upstreams
        .map(|(name, upstream)| {
            let upstreams = Map::from_iter([(name.clone(), upstream.clone())]);
            json!({ "upstreams": upstreams, "routes": [{ "upstream": name }] })
        })
        .collect();
    let routes = reference["routes"].as_array().unwrap().iter();
    documents
        .extend(routes.map(|route| json!({ "upstreams": { "chat": node }, "routes": [route] })));
    let mut rest = reference.clone();
    rest["upstreams"] = json!({ "chat": node });
    rest["routes"] = json!([{ "upstream": "chat" }]);
    let listeners = rest["listeners"].take();
    for listener in listeners.as_array().unwrap() {
        rest["listeners"] = json!([listener]);
        documents.push(rest.clone());
        // The next ones need no more than the authority.
        rest.as_object_mut().unwrap().retain(|key, _| BESIDE_LISTENERS.contains(&key.as_str()));
    }
    documents
}

/// The JSON pointers of all values below the top.
fn pointers(document: &Value) -> Vec<String> {
    let mut pointers = Vec::new();
    let mut open = vec![(String::new(), document)];
    while let Some((at, value)) = open.pop() {
        match value {
            Value::Object(map) => {
                open.extend(map.iter().map(|(key, below)| (format!("{at}/{key}"), below)));
            }
            Value::Array(items) => {
                let items = items.iter().enumerate();
                open.extend(items.map(|(index, below)| (format!("{at}/{index}"), below)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
        }
        if !at.is_empty() {
            pointers.push(at);
        }
    }
    pointers
}

/// The document without the maps and lists that are not around `pointer`, as far as it is accepted without
/// them. It takes a fraction of the time to read, and there are many mutants.
fn around(document: &Value, pointer: &str) -> Value {
    let mut small = document.clone();
    let mut others = pointers(document);
    others.retain(|other| {
        let is_list_or_map = document.pointer(other).is_some_and(|value| !is_single(value));
        is_list_or_map && !is_below(pointer, other) && !is_below(other, pointer)
    });
    others.sort_by_key(String::len);
    for other in others {
        let without = without(&small, &other);
        if without != small && parse("a.yaml", &without.to_string()).is_ok() {
            small = without;
        }
    }
    small
}

fn is_single(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// Whether `pointer` leads to what `other` leads to, or into it.
fn is_below(pointer: &str, other: &str) -> bool {
    pointer.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The document without the member of a map that `pointer` leads to.
fn without(document: &Value, pointer: &str) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let mut without = document.clone();
    if let Some(Value::Object(map)) = without.pointer_mut(parent) {
        map.remove(key);
    }
    without
}

fn mutants(document: &Value, pointer: &str, values: Vec<Value>) -> Vec<Mutant> {
    let mut mutants: Vec<Mutant> =
        values.into_iter().map(|value| replaced(document, pointer, value)).collect();
    let without = without(document, pointer);
    if without != *document {
        let (pointer, value) = (pointer.to_owned(), "nothing".to_owned());
        mutants.push(Mutant { document: without, pointer, value });
    }
    mutants
}

fn replaced(document: &Value, pointer: &str, value: Value) -> Mutant {
    let shown = value.to_string();
    let mut document = document.clone();
    *document.pointer_mut(pointer).unwrap() = value;
    Mutant { document, pointer: pointer.to_owned(), value: shown }
}

/// What operators and other programs write, right in some places and wrong in others.
fn values() -> Vec<Value> {
    let others = r#"[null, true, false, 0, 1, 7, -1, 1.5, 1.0, 101, 200, 3000, 1000001, 10000000000,
        [], {}, ["x"], [null], [{}], {"x": 1}]"#;
    let mut values: Vec<Value> = serde_json::from_str(others).unwrap();
    values.extend(TEXTS.map(Value::from));
    values
}

/// What the two say otherwise.
fn disagreement(mutant: &Mutant, fits: bool, refused: Option<&Problems>) -> Option<String> {
    let of_two_values =
        |problems: &Problems| problems.iter().all(|problem| is_of_two_values(&problem.what));
    let (what, problems) = match (fits, refused) {
        (true, None) | (false, Some(_)) => return None,
        (true, Some(problems)) if of_two_values(problems) => return None,
        (true, Some(problems)) => ("only the parser refuses", problems.to_string()),
        (false, None) => ("only the schema refuses", String::new()),
    };
    Some(format!("{what} {} at {}\n{problems}", mutant.value, mutant.pointer))
}

/// Whether a problem is one between two places, which no schema can tell.
fn is_of_two_values(what: &str) -> bool {
    let between = [
        "is not an upstream",
        // An included file may have some.
        "has no upstream",
        "has no route",
        "has the same address as",
        "has the same name as",
        "has the same host and path as",
        "is not the beginning of the route's path",
        "is not a valid Host",
        "lets every page act",
        "is the same as",
        "overlaps with",
        "is for plain HTTP",
        "needs an authority",
        "asks no authority",
        "is for a service of https",
        "has no effect",
        "has no place",
    ];
    between.iter().any(|sentence| what.starts_with(sentence))
}

/// What does not say what to write.
fn unhelpful(mutant: &Mutant, problems: &Problems) -> Option<String> {
    let problem = problems.iter().find(|problem| problem.help.is_none())?;
    Some(format!("no help: {} at {}: {}", mutant.value, mutant.pointer, problem.what))
}

/// The pointer as the manual writes a key.
fn generic(pointer: &str) -> String {
    let mut path = String::new();
    for (depth, step) in pointer.split('/').skip(1).enumerate() {
        match step {
            step if step.bytes().all(|b| b.is_ascii_digit()) => path.push_str("[]"),
            _ if depth == 1 && path == "upstreams" => path.push_str(".*"),
            step if depth == 0 => path.push_str(step),
            step => path.extend([".", step]),
        }
    }
    path
}

/// What the document of a listener has as well.
const BESIDE_LISTENERS: [&str; 3] = ["acme", "upstreams", "routes"];

/// What each place of a whole document is replaced by too, for what keys say of each other.
const FEW: [&str; 8] = ["null", "{}", "[]", "1", "true", "\"off\"", "\"x\"", "\"1s\""];

/// Texts among [`values`].
const TEXTS: [&str; 104] = [
    "",
    "off",
    "auto",
    "no",
    "none",
    "x",
    "chat",
    "two words",
    "0",
    "1",
    "10",
    "+1",
    "-1",
    "007",
    "1000",
    "1000000",
    "99999999999",
    "0s",
    "99ms",
    "100ms",
    "500ms",
    "1s",
    "10s",
    "15s",
    "61s",
    "1m",
    "5m",
    "1h",
    "24h",
    "25h",
    "720h",
    "1000h",
    "1m30s",
    "30s1m",
    "1.5s",
    "10S",
    "0B",
    "1B",
    "4095B",
    "4KiB",
    "64KiB",
    "1MB",
    "16MiB",
    "17MiB",
    "1024GiB",
    "1025GiB",
    "1M",
    "0%",
    "1%",
    "10%",
    "100%",
    "101%",
    "10",
    ":80",
    ":0",
    "0.0.0.0:80",
    "256.0.0.1:80",
    "127.0.0.1:9090",
    "[::1]:53",
    "[::]:65536",
    "10.0.0.1",
    "10.0.0.0/8",
    "10.0.0.0/33",
    "::1/128",
    "a:1",
    "a.b:3000",
    "a.b.:3000",
    "-a:1",
    "1.2:3",
    "http://a:1",
    "a:0",
    "a:65535",
    "localhost",
    "*",
    "*.example.com",
    "a.*.com",
    "a_b-c.example",
    "/",
    "/x",
    "/x*",
    "/a/../b",
    "/a?b",
    "/a#b",
    "/.a/..b/",
    "x/",
    "_a._tcp.b",
    "X-User-Id",
    "ü",
    "text",
    "json",
    "loud",
    "debug",
    "sid",
    "cookie",
    "rendezvous",
    "tcp",
    "random-two",
    "least-lag",
    "address",
    "200",
    "200-299",
    "600",
    "99",
    "a secret of 21 letters",
];
