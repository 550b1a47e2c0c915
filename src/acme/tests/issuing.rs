//! Certificates that are issued and renewed.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::authority::{Authority, Behavior};
use super::{Kept, left, record, settings, stored};
use crate::acme::store::certificate_path;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_name_gets_a_certificate_that_only_the_process_can_read() {
    let store = tempfile::tempdir().unwrap();
    let authority = Authority::start(store.path(), Behavior::default()).await;
    let kept = Kept::start(&settings(&authority, store.path()));
    let name = kept.until_issued().await;

    let renewal = left(name.next_order.unwrap());
    assert!((DAY * 56..=DAY * 60).contains(&renewal), "{renewal:?}");
    assert_eq!((name.failures, name.failure), (0, None));
    assert_eq!(kept.status.issued.get(), 1);
    stored(store.path());

    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&certificate_path(store.path(), super::NAME)), 0o600);
    for directory in ["accounts", "certificates", "state", "challenges"] {
        assert_eq!(mode(&store.path().join(directory)), 0o700, "{directory}");
    }
    let proofs = std::fs::read_dir(store.path().join("challenges/http-01")).unwrap().count();
    assert_eq!(proofs, 0, "the proof was removed");
    let account = &authority.accounts()[0];
    assert_eq!(account["contact"][0], "mailto:ops@example.com");
    assert_eq!(account["termsOfServiceAgreed"], true);
}

#[tokio::test]
async fn a_restart_orders_nothing_and_a_new_authority_gets_an_order() {
    let store = tempfile::tempdir().unwrap();
    let authority = Authority::start(store.path(), Behavior::default()).await;
    let settings = settings(&authority, store.path());
    Kept::start(&settings).until_issued().await;
    let first = stored(store.path()).digest();

    let kept = Kept::start(&settings);
    kept.until_issued().await;
    assert_eq!(authority.orders().len(), 1);

    let other = Authority::start(store.path(), Behavior::default()).await;
    kept.want(&super::settings(&other, store.path()));
    kept.until(|_| other.orders().len() == 1 && kept.status.issued.get() == 1).await;
    assert_ne!(stored(store.path()).digest(), first);
    assert_eq!(other.accounts().len(), 1, "each authority has an account of its own");
    assert!(other.orders()[0]["replaces"].is_null(), "it did not issue what is replaced");
}

#[tokio::test]
async fn the_authority_says_when_to_renew() {
    let store = tempfile::tempdir().unwrap();
    let behavior = Behavior { window: Some((3600, 7200, 600)), ..Behavior::default() };
    let authority = Authority::start(store.path(), behavior).await;
    let kept = Kept::start(&settings(&authority, store.path()));
    let soon =
        |name: &super::NameStatus| name.expires.is_some() && left(name.next_order.unwrap()) < DAY;
    let name = kept.until(soon).await;
    let wait = left(name.next_order.unwrap());
    assert!((3590..=7200).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(authority.orders().len(), 1, "its time has not come");
    let identifier = stored(store.path()).identifier().unwrap().to_string();
    assert_eq!(authority.asked_windows(), [identifier]);
    let again = left(record(store.path()).renewal.unwrap().ask_at);
    assert!((590..=600).contains(&again.as_secs()), "{again:?}");
}

#[tokio::test]
async fn a_window_in_the_past_renews_at_once_and_names_what_is_replaced() {
    let store = tempfile::tempdir().unwrap();
    let authority = Authority::start(store.path(), Behavior::default()).await;
    let settings = settings(&authority, store.path());
    Kept::start(&settings).until_issued().await;
    let revoked = stored(store.path());

    // As for a certificate that has to be revoked. Its successor has the usual life.
    authority.behave(Behavior { window: Some((-7200, -3600, 600)), ..Behavior::default() });
    let mut known = record(store.path());
    known.renewal = None;
    let state = store.path().join("state").join(format!("{}.json", super::NAME));
    std::fs::write(state, serde_json::to_vec(&known).unwrap()).unwrap();

    let kept = Kept::start(&settings);
    kept.until(|_| kept.status.issued.get() == 1).await;
    let orders = authority.orders();
    assert_eq!(orders[1]["replaces"], revoked.identifier().unwrap().to_string());
    assert_ne!(stored(store.path()).digest(), revoked.digest());
}

#[tokio::test]
async fn a_certificate_of_seconds_is_renewed_in_time() {
    let store = tempfile::tempdir().unwrap();
    let behavior = Behavior { life: Duration::from_secs(6), ..Behavior::default() };
    let authority = Authority::start(store.path(), behavior).await;
    let kept = Kept::start(&settings(&authority, store.path()));
    let first = kept.until_issued().await.expires.unwrap();
    let renewed = kept.until(|name| name.expires > Some(first)).await;
    assert!(super::now() < first, "the old one was still valid: {renewed:?}");
}
