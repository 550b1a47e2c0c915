//! The answers of nginx and of an import side by side: what differs has to be named in the table, by something
//! that the importer says; and what is named has to differ.

use std::collections::BTreeSet;

use super::answers::{self, Answer};
use super::imported::Imported;
use super::original::Nginx;
use super::side::Side;
use super::table::{Case, Difference, Request};

/// What was compared.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) requests: usize,
    /// Differences that the tables name.
    pub(super) differences: usize,
    /// What is otherwise than the tables say.
    pub(super) faults: Vec<String>,
}

/// Serves the case by nginx and by an import of it, and compares what comes of its requests.
pub(super) async fn compare(case: &Case) -> Outcome {
    let mut outcome = Outcome::default();
    let authority = super::authority(case);
    let (one, other) = (Side::new(case, &authority).await, Side::new(case, &authority).await);
    let started = (Nginx::start(case, &one).await, Imported::start(case, &other).await);
    let (_nginx, imported) = match started {
        (Ok(nginx), Ok(imported)) => (nginx, imported),
        (nginx, imported) => {
            let said = nginx.err().into_iter().chain(imported.err());
            outcome.faults.extend(said.map(|said| format!("{}: {said}", case.name)));
            return outcome;
        }
    };
    let mut unused: BTreeSet<&Difference> = case.everywhere.iter().collect();
    for request in &case.requests {
        let nginx = answers::answer(case, &one, &authority, request).await;
        let sockeye = answers::answer(case, &other, &authority, request).await;
        outcome.requests += 1;
        let mut named: Vec<(&Difference, bool)> =
            request.differs.iter().map(|it| (it, false)).collect();
        for what in differing(&nginx, &sockeye) {
            let own = named.iter_mut().find(|(difference, _)| difference.what == what);
            if let Some((_, is_seen)) = own {
                *is_seen = true;
                outcome.differences += 1;
            } else if let Some(general) = case.everywhere.iter().find(|it| it.what == what) {
                unused.remove(general);
                outcome.differences += 1;
            } else {
                let [nginx, sockeye] = [&nginx, &sockeye].map(|it| it.get(&what).cloned());
                let values = format!("{what}: nginx {nginx:?}, Sockeye {sockeye:?}");
                outcome.faults.push(place(case, request, &values));
            }
        }
        for (difference, _) in named.iter().filter(|(_, is_seen)| !is_seen) {
            outcome.faults.push(place(case, request, &format!("{} is alike", difference.what)));
        }
    }
    outcome.faults.extend(unused.iter().map(|it| format!("{}: {} is alike", case.name, it.what)));
    let of_requests = case.requests.iter().flat_map(|request| &request.differs);
    let unsaid = case.everywhere.iter().chain(of_requests);
    let unsaid: BTreeSet<&Difference> =
        unsaid.filter(|it| !imported.said.contains(&it.by)).collect();
    outcome.faults.extend(
        unsaid.iter().map(|it| format!("{}: {} is not said: {}", case.name, it.by, it.what)),
    );
    outcome
}

fn place(case: &Case, request: &Request, what: &str) -> String {
    format!("{}:{} {} {what}", case.name, request.line, request.target)
}

/// What differs between two answers. If another node answers, or none, all else follows from it.
fn differing(nginx: &Answer, sockeye: &Answer) -> Vec<String> {
    let names: BTreeSet<&String> = nginx.keys().chain(sockeye.keys()).collect();
    let is_other = |what: &str| nginx.get(what) != sockeye.get(what);
    let follows = |what: &str| match what {
        "status" | "node" => false,
        _ if is_other("node") => true,
        // Whether a node was asked for an upgrade is what its status shows.
        "sees connection" | "sees upgrade" | "body" => is_other("status"),
        // Sockeye speaks HTTP/1.1, as nginx does since 1.29.7.
        "version" => sockeye.get(what).is_some_and(|it| it == "HTTP/1.1"),
        _ => what.starts_with("gets ") && is_other("status"),
    };
    let is_extra = |what: &str| ADDED.contains(&what) && !nginx.contains_key(what);
    let differing =
        names.into_iter().filter(|what| is_other(what) && !follows(what) && !is_extra(what));
    differing.cloned().collect()
}

/// What nodes get of Sockeye on each request, whether nginx sends it or not.
const ADDED: [&str; 6] = [
    "sees x-forwarded-host",
    "sees x-forwarded-port",
    "sees x-forwarded-prefix",
    "sees x-forwarded-proto",
    "sees x-real-ip",
    "sees via",
];
