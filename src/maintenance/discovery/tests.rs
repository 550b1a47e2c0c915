//! Which lookups a refresh causes, and how long it waits.

use std::cell::Cell;

use crate::Instant;

use super::*;
use crate::upstream::Upstream;
use crate::upstream::settings::{Discover, NodeAddress, Settings, Source};

fn discovery() -> Arc<Discovery> {
    let address = NodeAddress { host: "chat.test".into(), port: 3000 };
    let source = Source::Addresses(address);
    let discover = Discover { source, every: Duration::from_secs(60), server: None };
    Discovery::new(&"chat".into(), &discover, None)
}

/// Stands for the lookups: each takes 100 ms and is counted.
async fn run_counting(discovery: &Discovery, lookups: &Cell<u32>) {
    let mut cause = Cause::Time;
    loop {
        discovery.enter(Stage::Asking);
        lookups.set(lookups.get() + 1);
        tokio::time::sleep(Duration::from_millis(100)).await;
        cause = rest(discovery, cause, discovery.discover().every).await;
    }
}

#[tokio::test(start_paused = true)]
async fn refreshes_share_a_look_up_and_cause_one_each_second() {
    let discovery = discovery();
    let lookups = Cell::new(0);
    let asks = async {
        let began = Instant::now();
        tokio::task::yield_now().await;
        // When three ask at once, when they are done, and how many lookups there were by then.
        for (asked_at, done_at, expected) in [
            (0, 100, 1), // the one that is under way
            (200, 300, 2),
            (301, 301, 2), // what the last one told counts
            (1299, 1299, 2),
            (1300, 1400, 3),
            (9000, 9100, 4),
        ] {
            sleep_until(began + Duration::from_millis(asked_at)).await;
            let now = Instant::now();
            tokio::join!(discovery.refresh(now), discovery.refresh(now), discovery.refresh(now));
            let passed = began.elapsed().as_millis();
            assert_eq!((passed, lookups.get()), (done_at, expected), "asked at {asked_at}");
        }
    };
    tokio::select! {
        () = asks => (),
        () = run_counting(&discovery, &lookups) => (),
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_waits_for_a_second_at_most() {
    let discovery = discovery();
    let began = Instant::now();
    discovery.refresh(began).await;
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody looks up");

    discovery.enter(Stage::Asking);
    discovery.refresh(began).await;
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_discovery_that_is_no_longer_followed_does_not_look_up() {
    let discovery = discovery();
    let (mut lookups, _found) = Lookups::new();
    lookups.follow([&discovery].into_iter());
    lookups.follow([&discovery].into_iter());
    assert_eq!(lookups.running(), 1, "it goes on");
    assert_eq!(discovery.stage(), Stage::Asking);

    lookups.follow(std::iter::empty());
    while lookups.running() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(discovery.stage(), Stage::Off);
}

#[test]
fn the_same_question_goes_on_and_another_begins_with_what_is_known() {
    let mut settings = Settings::new("chat", Vec::new());
    settings.discover = Some(discovery().discover().clone());
    let first = Upstream::new(&settings, None);
    assert!(first.nodes().is_empty());
    let node = NodeSettings::new("a", NodeAddress { host: "10.0.0.1".into(), port: 3000 });
    Found::new(first.discovery().unwrap().clone(), vec![node]).0.accept();

    let second = Upstream::new(&settings, Some(&first));
    assert!(Arc::ptr_eq(first.discovery().unwrap(), second.discovery().unwrap()));
    assert_eq!(second.nodes().len(), 1);

    settings.discover.as_mut().unwrap().every = Duration::from_secs(1);
    let third = Upstream::new(&settings, Some(&second));
    assert!(!Arc::ptr_eq(second.discovery().unwrap(), third.discovery().unwrap()));
    assert!(Arc::ptr_eq(&second.nodes()[0], &third.nodes()[0]), "until there is an answer");
    assert!(!third.discovery().unwrap().has_answered());

    settings.discover = None;
    let fourth = Upstream::new(&settings, Some(&third));
    assert!(fourth.nodes().is_empty() && fourth.discovery().is_none());
    assert_eq!(fourth.retired().len(), 1);
}
