//! What becomes of names: the keeper with an authority for tests.

mod authority;
mod failures;
mod issuing;
mod sharing;

use std::path::Path;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use self::authority::Authority;
use super::certificate::Certificate;
use super::record::Record;
use super::store::certificate_path;
use super::unix_time::UnixTime;
use super::work::now;
use super::{ChallengeKind, Keeper, NameStatus, Settings, Status, Wanted, WantedNames};
use crate::tasks::Tasks;

/// The name that tests order for.
const NAME: &str = "chat.example.com";

/// A keeper that runs until its test ends.
struct Kept {
    status: Status,
    wanted: WantedNames,
}

impl Kept {
    fn start(settings: &Settings) -> Self {
        let (keeper, wanted, status) = Keeper::new();
        Tasks::default().spawn(keeper.run());
        let kept = Self { status, wanted };
        kept.want(settings);
        kept
    }

    fn want(&self, settings: &Settings) {
        let names = vec![NAME.to_owned()];
        self.wanted.send_replace(Some(Wanted { settings: settings.clone(), names }));
    }

    /// Waits until the state of the name is as `is_so` wants it.
    async fn until(&self, is_so: impl Fn(&NameStatus) -> bool) -> NameStatus {
        let found = async {
            loop {
                let names = self.status.names();
                if let Some(name) = names.first().filter(|name| is_so(name)) {
                    return name.clone();
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        let found = timeout(Duration::from_secs(30), found).await;
        found.unwrap_or_else(|_| panic!("the state is {:?}", self.status.names()))
    }

    async fn until_issued(&self) -> NameStatus {
        self.until(|name| name.expires.is_some()).await
    }

    async fn until_failed(&self) -> NameStatus {
        self.until(|name| name.failures > 0).await
    }
}

fn settings(authority: &Authority, store: &Path) -> Settings {
    Settings {
        directory: authority.url().into(),
        contact: vec!["mailto:ops@example.com".to_owned()],
        store: store.to_owned(),
        challenge: ChallengeKind::Http01,
        eab: None,
        ca: Some(authority.ca()),
    }
}

/// The certificate of the name in the store.
fn stored(store: &Path) -> Certificate {
    let pem = std::fs::read(certificate_path(store, NAME)).unwrap();
    Certificate::parse(&pem, NAME).unwrap()
}

/// What the store knows of the name.
fn record(store: &Path) -> Record {
    let text = std::fs::read(store.join("state").join(format!("{NAME}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The time until then.
fn left(until: UnixTime) -> Duration {
    until.since(now())
}
