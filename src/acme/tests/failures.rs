//! Orders that fail, and what comes of it.

use std::time::Duration;

use super::authority::{Authority, Behavior};
use super::{Kept, left, record, settings, stored};

/// The status after an order that failed, and the wait until the next one.
async fn failed(behavior: Behavior) -> (String, Duration) {
    let store = tempfile::tempdir().unwrap();
    let authority = Authority::start(store.path(), behavior).await;
    let kept = Kept::start(&settings(&authority, store.path()));
    let name = kept.until_failed().await;
    assert_eq!((name.failures, name.expires), (1, None));
    (name.failure.unwrap(), left(name.next_order.unwrap()))
}

fn refusing(status: u16, kind: &'static str, retry_after: Option<u64>) -> Behavior {
    Behavior { refuses_orders: Some((status, kind, retry_after)), ..Behavior::default() }
}

#[tokio::test]
async fn a_refusal_that_only_a_person_can_change_is_not_repeated_for_a_day() {
    let (said, wait) = failed(refusing(400, "rejectedIdentifier", None)).await;
    assert!(said.contains("as the test says (rejectedIdentifier): take the name out"), "{said}");
    assert!(wait > Duration::from_hours(23), "{wait:?}");
}

#[tokio::test]
async fn the_authority_is_left_alone_as_long_as_it_asks() {
    let (said, wait) = failed(refusing(429, "rateLimited", Some(100_000))).await;
    assert!(said.contains("rateLimited"), "{said}");
    assert!((99_990..=125_000).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn an_authority_that_is_not_well_is_asked_again_within_minutes() {
    let (said, wait) = failed(refusing(503, "serverInternal", None)).await;
    assert!(said.contains("serverInternal"), "{said}");
    assert!((50..=75).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn a_proof_that_is_not_found_is_reported_with_what_to_do() {
    let (said, wait) = failed(Behavior { believes_nobody: true, ..Behavior::default() }).await;
    let advice = "no answer (connection): let port 80 of chat.example.com be reached";
    assert!(said.starts_with(advice), "{said}");
    assert!((50..=75).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn an_authority_that_is_down_is_asked_again_within_minutes() {
    let store = tempfile::tempdir().unwrap();
    let authority = Authority::start(store.path(), Behavior::default()).await;
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mut settings = settings(&authority, store.path());
    settings.directory = format!("https://localhost:{port}/directory").into();
    let name = Kept::start(&settings).until_failed().await;
    let said = name.failure.unwrap();
    assert!(said.starts_with("cannot connect to localhost: "), "{said}");
    assert!((50..=75).contains(&left(name.next_order.unwrap()).as_secs()));
}

#[tokio::test]
async fn one_that_is_not_to_be_trusted_is_told_nothing() {
    let store = tempfile::tempdir().unwrap();
    let authority = Authority::start(store.path(), Behavior::default()).await;
    let mut settings = settings(&authority, store.path());
    settings.ca = None;
    let said = Kept::start(&settings).until_failed().await.failure.unwrap();
    assert!(said.contains("certificate"), "{said}");
    assert!(authority.accounts().is_empty());
}

#[tokio::test]
async fn other_settings_are_tried_at_once() {
    let store = tempfile::tempdir().unwrap();
    let authority = Authority::start(store.path(), refusing(400, "invalidContact", None)).await;
    let mut settings = settings(&authority, store.path());
    let kept = Kept::start(&settings);
    kept.until_failed().await;
    authority.behave(Behavior::default());
    settings.contact = vec!["mailto:others@example.com".to_owned()];
    kept.want(&settings);
    let name = kept.until_issued().await;
    assert_eq!((name.failures, name.failure), (0, None));
    assert_eq!(authority.accounts()[0]["contact"][0], "mailto:others@example.com");
}

#[tokio::test]
async fn the_old_certificate_stays_until_a_new_one_works() {
    let store = tempfile::tempdir().unwrap();
    let short = Behavior { life: Duration::from_secs(4), ..Behavior::default() };
    let authority = Authority::start(store.path(), short.clone()).await;
    let kept = Kept::start(&settings(&authority, store.path()));
    kept.until_issued().await;
    let old = stored(store.path()).digest();
    authority.behave(Behavior { issues_for: Some("other.example.com"), ..short });
    let name = kept.until_failed().await;
    let said = name.failure.unwrap();
    assert!(said.contains("does not work: it is not for chat.example.com"), "{said}");
    assert!(name.expires.is_some());
    assert_eq!(stored(store.path()).digest(), old);
    assert!(left(name.next_order.unwrap()) > Duration::from_mins(59), "what it issues counts");
}

#[tokio::test]
async fn nonces_that_are_refused_again_and_again_do_not_end_an_order() {
    let store = tempfile::tempdir().unwrap();
    let behavior = Behavior { refuses_nonces: 12, ..Behavior::default() };
    let authority = Authority::start(store.path(), behavior).await;
    let kept = Kept::start(&settings(&authority, store.path()));
    kept.until_issued().await;
    assert_eq!(kept.status.failed.get(), 0);
}

#[tokio::test]
async fn an_authority_that_lost_its_accounts_gets_a_new_one() {
    let store = tempfile::tempdir().unwrap();
    let short = Behavior { life: Duration::from_secs(4), ..Behavior::default() };
    let authority = Authority::start(store.path(), short).await;
    let kept = Kept::start(&settings(&authority, store.path()));
    kept.until_issued().await;
    authority.forget_accounts();
    kept.until(|_| kept.status.issued.get() == 2).await;
    assert_eq!(kept.status.failed.get(), 0);
    assert_eq!(authority.accounts().len(), 1);
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_reported() {
    let store = tempfile::tempdir().unwrap();
    let authority = Authority::start(store.path(), Behavior::default()).await;
    let mut settings = settings(&authority, store.path());
    settings.store = store.path().join("file");
    std::fs::write(&settings.store, "").unwrap();
    let name = Kept::start(&settings).until(|name| name.failure.is_some()).await;
    let said = name.failure.unwrap();
    assert!(said.contains("make acme.store a directory that the user"), "{said}");
    assert_eq!(name.next_order, None);
}

#[tokio::test]
async fn a_failure_is_known_after_a_restart() {
    let store = tempfile::tempdir().unwrap();
    let authority = Authority::start(store.path(), refusing(400, "rejectedIdentifier", None)).await;
    let settings = settings(&authority, store.path());
    Kept::start(&settings).until_failed().await;
    let known = record(store.path());
    authority.behave(Behavior::default());
    let name = Kept::start(&settings).until_failed().await;
    assert_eq!(name.failures, 1);
    assert_eq!(record(store.path()), known, "it was not tried again");
    assert!(authority.orders().is_empty());
}
