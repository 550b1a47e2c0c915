//! Reading: what nginx accepts is read as nginx does, and what it refuses is read too.

use std::collections::BTreeMap;

use super::*;

/// Files in memory.
struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Memory {
    fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (path.into(), text.as_bytes().to_vec())).collect())
    }
}

impl Files for Memory {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        let found = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(found.iter().take(bytes_max + 1).copied().collect())
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let names = self.0.keys().filter_map(|file| {
            let rest = if path == Path::new(".") { file } else { file.strip_prefix(path).ok()? };
            Some(rest.components().next()?.as_os_str().to_string_lossy().into_owned())
        });
        Ok(names.collect())
    }
}

/// The tree on one line: words joined by `|`.
fn shown(directives: &[Directive]) -> String {
    let one = |directive: &Directive| {
        let mut words = vec![directive.name.clone()];
        words.extend(directive.texts().map(str::to_owned));
        let words = words.join("|");
        match &directive.block {
            Some(block) => format!("{words}{{{}}}", shown(block)),
            None => format!("{words};"),
        }
    };
    directives.iter().map(one).collect()
}

fn ids(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.id).collect()
}

#[track_caller]
fn check(text: &str, expected: &str, faults: &[&str]) {
    let parsed = parse("a.conf", text);
    assert_eq!(shown(&parsed.directives), expected, "{text}");
    assert_eq!(ids(&parsed.findings), faults, "{text}\n{:?}", parsed.findings);
}

#[test]
fn text_is_divided_as_nginx_does_it() {
    check("a b c;", "a|b|c;", &[]);
    check("a{b;}c;", "a{b;}c;", &[]);
    check("a 'b c' \"d;e\" f\\ g;", "a|b c|d;e|f\\ g;", &[]);
    check("a \"b\\\"c\" 'd\\'e' \\n;", "a|b\"c|d'e|\n;", &[]);
    check("a b#c; # d\n#e\nf;", "a|b#c;f;", &[]);
    check("a \"#b\" '';", "a|#b|;", &[]);
    check("a ${b}c{}", "a|${b}c{}", &[]);
    check("a \"${b}\";", "a|${b};", &[]);
    check("location ~ \\.(js|css)$ { }", "location|~|\\.(js|css)${}", &[]);
    check("if ($a = \"b\") { return 200; }", "if|($a|=|b|){return|200;}", &[]);
    check("a\r\n\tb\r\n;\r\n", "a|b;", &[]);
    check("a 'ü\nß' \u{5d0};", "a|ü\nß|\u{5d0};", &[]);
    check("map $a $b { default x; '' y; ~*^z$ \"\"; }", "map|$a|$b{default|x;|y;~*^z$|;}", &[]);
    check("\u{feff}a;", "a;", &[]);
    check("", "", &[]);
}

#[test]
fn the_code_of_lua_has_braces_of_its_own() {
    let code = " local t = { a = '}' } -- }\n s = [[ } ]] --[==[ } ]==] x = \"\\\"}\" ";
    let text = format!("content_by_lua_block {{{code}}} a;");
    check(&text, &format!("content_by_lua_block|{code}{{}}a;"), &[]);
    check("a_by_lua_block { never", "a_by_lua_block| never{}", &[]);
}

#[test]
fn what_nginx_refuses_is_read_too() {
    check("a b;;", "a|b;", &["double-semicolon"]);
    check("a { b; ", "a{b;}", &["unbalanced-braces"]);
    check("a; } b;", "a;b;", &["unbalanced-braces"]);
    check("a { return 404 } b;", "a{return|404;}b;", &["missing-semicolon"]);
    check(
        "proxy_pass http://a\nproxy_buffering off;",
        "proxy_pass|http://a;proxy_buffering|off;",
        &["missing-semicolon"],
    );
    check("server_name a\n  b.example;", "server_name|a|b.example;", &[]);
    check("{ a; } b;", "b;", &["block-without-name"]);
    check("a \"b", "a|b;", &["missing-semicolon", "open-quote"]);
    check("a \"b\"c;", "a|b|c;", &["space-after-quote"]);
    check("a \u{201c}b\u{201d};", "a|b;", &["typographic-quotes"]);
    check("a\u{a0}b;", "a|b;", &["other-space"]);
    check("proxy_set_header Host \\$host;", "proxy_set_header|Host|$host;", &["escaped-dollar"]);
    check("{% if x %}\na {{ b }};\n{% endif %}", "a|{{ b }};", &["template"]);
    check("${SSL}\nlisten 80;", "${SSL};listen|80;", &[]);
    check("listen {{ .Port }};\n{{ if .x }} a; {{ end }}", "listen|{{ .Port }};a;", &["template"]);
}

#[test]
fn blocks_are_bounded_in_depth() {
    let parsed = parse("a.conf", &"a {".repeat(100_000));
    assert_eq!(parsed.findings.iter().filter(|finding| finding.id == "too-deep").count(), 1);
    let parsed = parse("a.conf", &format!("{}{}b;", "a{".repeat(500), "}".repeat(500)));
    assert_eq!(ids(&parsed.findings), ["too-deep"]);
    assert_eq!(parsed.directives.len(), 2, "the text behind is read");
}

#[test]
fn positions_are_lines_and_characters() {
    let parsed = parse("a.conf", "ü;\n  ß 'x' y;\n");
    let places: Vec<(u32, u32)> =
        parsed.directives.iter().map(|it| (it.at.line, it.at.column)).collect();
    assert_eq!(places, [(1, 1), (2, 3)]);
    let words = &parsed.directives[1].arguments;
    assert_eq!((words[0].at.column, words[0].is_quoted), (5, true));
    assert_eq!((words[1].at.column, words[1].is_quoted), (9, false));
}

fn read_all(files: &[(&str, &str)]) -> Read {
    read(Path::new(files[0].0), &Memory::of(files)).unwrap()
}

#[track_caller]
fn check_include(files: &[(&str, &str)], expected: &str, faults: &[&str]) {
    let found = read_all(files);
    assert_eq!(shown(&found.directives), expected, "{files:?}");
    assert_eq!(ids(&found.findings), faults, "{files:?}\n{:?}", found.findings);
}

#[test]
fn includes_are_relative_to_the_main_file() {
    let main = ("/etc/nginx/nginx.conf", "include conf.d/*.conf; include b;");
    check_include(
        &[
            main,
            ("/etc/nginx/conf.d/2.conf", "two;"),
            ("/etc/nginx/conf.d/1.conf", "include b;"),
            ("/etc/nginx/b", "b;"),
            ("/etc/nginx/conf.d/x", "x;"),
        ],
        "b;two;b;",
        &[],
    );
    // Next to the file that includes it, although nginx would not find it there.
    check_include(&[("n/a", "include d/b;"), ("n/d/b", "include c;"), ("n/d/c", "c;")], "c;", &[]);
    check_include(&[("n.conf", "include *.x;"), ("1.x", "a;")], "a;", &[]);
    check_include(&[("n.conf", "include /etc/nginx/d/a.conf;"), ("d/a.conf", "a;")], "a;", &[]);
    check_include(&[("n.conf", "include /etc/nginx/d/*.conf;"), ("d/a.conf", "a;")], "a;", &[]);
    check_include(&[("n.conf", "include /etc/nginx/*.conf;"), ("a.conf", "a;")], "", &["include"]);
    check_include(
        &[("n", "http { map $a $b { include m; } }"), ("m", "x y;")],
        "http{map|$a|$b{x|y;}}",
        &[],
    );
}

#[test]
fn an_absent_include_is_reported_and_a_known_one_is_replaced() {
    let found =
        read_all(&[("n", "include ssl.conf; include sites/*; include /etc/nginx/mime.types;")]);
    assert_eq!(shown(&found.directives), "");
    let levels: Vec<Level> = found.findings.iter().map(|finding| finding.level).collect();
    assert_eq!(levels, [Level::ByHand, Level::Note, Level::NotNeeded]);
    for path in ["n", "ssl.conf", "sites"] {
        assert!(
            found.files.contains(&PathBuf::from(path)),
            "it may come: {path} {:?}",
            found.files
        );
    }
    let found = read_all(&[("n", "include proxy_params;")]);
    assert!(shown(&found.directives).starts_with("proxy_set_header|Host|$http_host;"));
    assert_eq!(&*found.directives[0].at.file, "proxy_params as it usually is");
}

#[test]
fn a_cycle_is_reported_with_its_chain() {
    let found = read_all(&[("n", "a; include b;"), ("b", "include c;"), ("c", "c; include n;")]);
    assert_eq!(shown(&found.directives), "a;c;");
    assert_eq!(found.findings[0].what, "the files include each other: n > b > c > n");
}

#[test]
fn files_are_bounded_in_number_depth_and_size() {
    // Each file includes the next one twice.
    let chain: Vec<(String, String)> = (0..40)
        .map(|number| (format!("{number}"), format!("include {0}; include {0}; a;", number + 1)))
        .collect();
    let files: Vec<(&str, &str)> = chain.iter().map(|(path, text)| (&**path, &**text)).collect();
    let found = read_all(&files);
    assert!(ids(&found.findings).contains(&"too-long"), "{:?}", ids(&found.findings));

    let many: Vec<(String, String)> =
        (0..1000).map(|it| (format!("d/{it}.conf"), format!("a {it};"))).collect();
    let mut files = vec![("n", "include d/*.conf;")];
    files.extend(many.iter().map(|(path, text)| (&**path, &**text)));
    let found = read_all(&files);
    assert_eq!((found.directives.len(), found.findings.len()), (1000, 0));

    let large = format!("a;{}", " ".repeat(BYTES_MAX));
    let error = read(Path::new("n"), &Memory::of(&[("n", &large)])).unwrap_err();
    assert_eq!(error.to_string(), "n and what it includes have more than 16 MiB");
    let found = read_all(&[("n", "a; include b; include c;"), ("b", &large), ("c", "c;")]);
    assert_eq!(
        (shown(&found.directives), ids(&found.findings)),
        ("a;".to_owned(), vec!["too-long"])
    );
}

#[test]
fn a_binary_file_is_refused() {
    let error = read(Path::new("n"), &Memory::of(&[("n", "\u{7f}ELF\0\0")])).unwrap_err();
    assert_eq!(error.to_string(), "n is a binary file and no configuration");
    let error = read(Path::new("n"), &Memory::of(&[])).unwrap_err();
    assert!(error.to_string().starts_with("cannot read n: "), "{error}");
    let found = read_all(&[("n", "a; include b;"), ("b", "\0")]);
    assert_eq!(
        (shown(&found.directives), ids(&found.findings)),
        ("a;".to_owned(), vec!["include"])
    );
}

#[test]
fn a_file_in_latin_1_is_read() {
    let files = Memory([(PathBuf::from("n"), b"a; # gr\xfc\xdfe\nb;".to_vec())].into());
    assert_eq!(shown(&read(Path::new("n"), &files).unwrap().directives), "a;b;");
}

#[test]
fn placeholders_get_a_value_and_are_asked_for() {
    let check = |text: &str, expected: &str, asked: usize| {
        let found = read_all(&[("n", text)]);
        assert_eq!(shown(&found.directives), expected, "{text}");
        let by_hand = found.findings.iter().filter(|finding| finding.level == Level::ByHand);
        assert_eq!(by_hand.count(), asked, "{text}\n{:?}", found.findings);
    };
    check("listen ${PORT};", "listen|8080;", 1);
    check("listen ${PORT:-80};", "listen|80;", 0);
    check("listen %ip%:%port%;", "listen|0.0.0.0:8080;", 2);
    check(
        "proxy_pass http://{{ app_host }}:{{ app_port }};",
        "proxy_pass|http://app-host:3000;",
        2,
    );
    check("proxy_pass ${API_URL}; a ${API_URL};", "proxy_pass|http://api-url;a|api-url;", 1);
    check("location __PATH__/socket.io/ { }", "location|path/socket.io/{}", 1);
    check("${SSL_LINES}\na;", "a;", 1);
    check(
        "set $UPSTREAM a; proxy_pass http://$UPSTREAM;",
        "set|$UPSTREAM|a;proxy_pass|http://$UPSTREAM;",
        0,
    );
    check(
        "proxy_set_header Host $host; location ~ ^/(?<path>.*)$ { }",
        "proxy_set_header|Host|$host;location|~|^/(?<path>.*)${}",
        0,
    );
}
