//! Several processes with one store.

use super::authority::{Authority, Behavior};
use super::{Kept, settings, stored};
use crate::acme::store::Store;

#[tokio::test]
async fn of_several_processes_one_orders_and_all_have_the_certificate() {
    let store = tempfile::tempdir().unwrap();
    let authority = Authority::start(store.path(), Behavior::default()).await;
    let settings = settings(&authority, store.path());
    let all = [(); 4].map(|()| Kept::start(&settings));
    for kept in &all {
        kept.until_issued().await;
    }
    assert_eq!(all.iter().map(|kept| kept.status.issued.get()).sum::<u64>(), 1);
    assert_eq!(authority.orders().len(), 1);
    assert_eq!(authority.accounts().len(), 1);
}

#[tokio::test]
async fn who_finds_the_lock_taken_waits_for_the_other() {
    let store = tempfile::tempdir().unwrap();
    let authority = Authority::start(store.path(), Behavior::default()).await;
    let opened = Store::open(store.path()).await.unwrap();
    let lock = opened.try_lock().unwrap().unwrap();
    assert!(opened.try_lock().unwrap().is_none());

    let kept = Kept::start(&settings(&authority, store.path()));
    kept.until(|name| name.is_left_to_other).await;
    assert!(authority.orders().is_empty());
    drop(lock);
    kept.until_issued().await;
    stored(store.path());
}

#[tokio::test]
async fn a_store_that_everyone_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let store = tempfile::tempdir().unwrap();
    std::fs::set_permissions(store.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let refused = Store::open(store.path()).await.unwrap_err();
    assert!(refused.what.contains("every user of this host may write to it"), "{refused:?}");
}

#[tokio::test]
async fn a_file_is_replaced_as_a_whole_and_nothing_is_left_behind() {
    let store = tempfile::tempdir().unwrap();
    let opened = Store::open(store.path()).await.unwrap();
    let path = opened.certificate_path("a.example.com");
    for text in ["one", "another"] {
        opened.write(&path, text.as_bytes()).unwrap();
        assert_eq!(opened.read(&path).unwrap().unwrap(), text.as_bytes());
    }
    opened.write(&store.path().join("nowhere/file"), b"x").unwrap_err();
    let names = std::fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["accounts", "certificates", "challenges", "state"]);
}
