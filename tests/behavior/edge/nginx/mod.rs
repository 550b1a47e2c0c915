//! Configurations of nginx in the manner of those that people publish, served by real nginx.
//!
//! Each directory of `tests/nginx` is a case, with a table `requests.txt`: what stands for what in the
//! configuration, which mistakes it has (`finds`), and the requests, each with what nginx answers, and with
//! what an import answers otherwise (`differs`, `everywhere`), with the id of what the importer says of it.

mod answers;
mod comparison;
mod imported;
mod nodes;
mod original;
mod refusals;
mod side;
mod table;

use std::path::{Path, PathBuf};

use original::Nginx;
use side::Side;
use table::Case;

use crate::support::tls::Authority;

#[tokio::test]
#[ignore = "needs nginx: cargo xtask edge"]
async fn nginx_answers_as_the_tables_say() {
    let mut faults = Vec::new();
    let mut requests = 0;
    for directory in directories() {
        let case = Case::read(&directory);
        case.check_differences();
        requests += case.requests.len();
        faults.extend(try_case(&case).await);
    }
    assert!(requests > 0, "no case was found");
    assert!(
        faults.is_empty(),
        "{} faults in {requests} requests:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[tokio::test]
#[ignore = "needs nginx: cargo xtask edge"]
async fn imports_answer_as_nginx_does_or_say_so() {
    let mut all = comparison::Outcome::default();
    for directory in directories() {
        let outcome = comparison::compare(&Case::read(&directory)).await;
        all.requests += outcome.requests;
        all.differences += outcome.differences;
        all.faults.extend(outcome.faults);
    }
    assert!(all.requests > 0, "no case was found");
    assert!(
        all.faults.is_empty(),
        "{} faults in {} requests with {} named differences:\n{}",
        all.faults.len(),
        all.requests,
        all.differences,
        all.faults.join("\n")
    );
}

/// Where the cases are.
fn directories() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nginx");
    let entries = std::fs::read_dir(root).unwrap().map(|it| it.unwrap().path());
    let mut directories: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    directories.sort();
    directories
}

/// An authority with certificates for the hosts of the case.
fn authority(case: &Case) -> Authority {
    let authority = Authority::new();
    let hosts: Vec<&str> = case.requests.iter().map(|request| &*request.host).collect();
    authority.issue("fullchain", "test", &hosts);
    std::fs::copy(authority.path("fullchain.key"), authority.path("privkey.pem")).unwrap();
    authority
}

/// What nginx answers otherwise than the table of the case says.
async fn try_case(case: &Case) -> Vec<String> {
    let authority = authority(case);
    let side = Side::new(case, &authority).await;
    let _nginx = match Nginx::start(case, &side).await {
        Ok(nginx) => nginx,
        Err(said) => return vec![format!("{}: nginx: {said}", case.name)],
    };
    let mut faults = Vec::new();
    for request in &case.requests {
        let answer = answers::answer(case, &side, &authority, request).await;
        let (status, node) = (&answer["status"], &answer["node"]);
        if (status, node) != (&request.status, &request.node) {
            let place = format!("{}:{} {}", case.name, request.line, request.target);
            faults.push(format!("{place}: nginx answers {status} {node}"));
        }
    }
    faults
}
