//! `cargo xtask test`: nothing is skipped for want of a part, since setup comes first.

use crate::command::{Failure, cargo, run};
use crate::setup::setup;

/// Sets up, then runs `cargo test` over the workspace with `arguments`.
pub(crate) fn test(arguments: &[String]) -> Result<(), Failure> {
    setup()?;
    let mut test = cargo();
    test.args(["test", "--all-features", "--locked"]);
    if !names_a_package(arguments) {
        test.arg("--workspace");
    }
    run(test.args(arguments))
}

/// Whether `arguments` choose among the workspace's packages themselves.
fn names_a_package(arguments: &[String]) -> bool {
    let mut own = arguments.iter().take_while(|argument| *argument != "--");
    own.any(|argument| argument == "-p" || argument.starts_with("--package"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_before_the_dashes_only() {
        fn check(arguments: &[&str], expected: bool) {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            assert_eq!(names_a_package(&arguments), expected, "{arguments:?}");
        }
        check(&[], false);
        check(&["-p", "xtask"], true);
        check(&["--package=xtask"], true);
        check(&["--lib", "tunnel"], false);
        check(&["--", "-p"], false);
    }
}
