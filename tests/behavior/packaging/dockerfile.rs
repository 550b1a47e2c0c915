//! `Dockerfile`, held against what it copies and runs.

use super::{CONFIGURATION, PROGRAM, assert_accepted, root, shipped, words};

#[test]
fn what_is_copied_is_there_and_not_ignored() {
    let ignored = shipped(".dockerignore");
    let copies = arguments_of("COPY");
    let sources: Vec<&str> = copies
        .iter()
        .filter(|copy| !copy.starts_with("--from"))
        .flat_map(|copy| copy.split(' ').rev().skip(1).collect::<Vec<_>>())
        .collect();
    assert!(!sources.is_empty());
    for source in sources {
        assert!(root(source).exists(), "{source}");
        let first = source.split('/').next().unwrap();
        assert!(!ignored.lines().any(|line| line == first), "{source} is in .dockerignore");
    }
}

#[test]
fn what_the_build_reads_is_not_ignored() {
    let manifest = shipped("Cargo.toml");
    let members = manifest.lines().find(|line| line.starts_with("members = ")).unwrap();
    let members = members.split('"').skip(1).step_by(2);
    let ignored = shipped(".dockerignore");
    for needed in members.chain(["Cargo.toml", "Cargo.lock", "src", "benches", "configs"]) {
        assert!(!ignored.lines().any(|line| line == needed), "{needed}");
    }
}

#[test]
fn the_compiler_is_the_one_that_the_tests_had() {
    let toolchain = shipped("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap();
    let image = format!("rust:{}-", channel.trim_matches('"'));
    assert!(arguments_of("FROM")[0].starts_with(&image), "{image}");
}

#[test]
fn the_program_runs_as_a_user_who_is_not_root() {
    let user = arguments_of("USER").pop().expect("a user");
    let number: u32 = user.split(':').next().unwrap().parse().expect("a user by number");
    assert_ne!(number, 0);
}

#[test]
fn the_program_that_is_built_is_the_one_that_is_run() {
    let built = arguments_of("RUN").join(" ");
    let name = root(env!("CARGO_BIN_EXE_sockeye"));
    let name = name.file_name().unwrap().to_str().unwrap();
    assert!(built.contains(&format!("--bin {name} ")), "{built}");
    assert!(built.contains(&format!("cp target/release/{name} {PROGRAM}")), "{built}");
    let copies = arguments_of("COPY");
    assert!(copies.contains(&format!("--from=build {PROGRAM} {PROGRAM}")), "{copies:?}");
    assert!(copies.iter().any(|copy| copy.ends_with(CONFIGURATION)), "{copies:?}");

    assert_eq!(listed("ENTRYPOINT"), [PROGRAM]);
    assert_accepted(&listed("CMD"));
    assert!(listed("CMD").contains(&CONFIGURATION.to_owned()));
}

#[test]
fn the_health_check_asks_the_program_where_the_image_lets_it_answer() {
    let check = arguments_of("HEALTHCHECK").pop().expect("a health check");
    let (_, command) = check.split_once(" CMD ").expect("a command");
    let command = words(&serde_yaml::from_str(command).unwrap());
    let (program, arguments) = command.split_first().unwrap();
    assert_eq!(program, PROGRAM);
    assert_accepted(arguments);
    for configuration in ["configs/container.yaml", "examples/chat/sockeye.compose.yaml"] {
        assert!(shipped(configuration).contains("admin: { bind: 127.0.0.1:9090 }"));
    }
}

/// The words of an instruction in its form as a list.
fn listed(instruction: &str) -> Vec<String> {
    let arguments = arguments_of(instruction).pop().expect(instruction);
    words(&serde_yaml::from_str(&arguments).unwrap())
}

/// What stands behind each `instruction`, on one line and with single spaces.
fn arguments_of(instruction: &str) -> Vec<String> {
    let text = shipped("Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter_map(|line| line.strip_prefix(instruction)?.strip_prefix(' '));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}
