//! Basic authentication (RFC 7617).
//!
//! A password is checked on a thread of its own and not by the worker, two of a route at the same time:
//! the hashes are made to be slow, and strangers decide how many passwords there are to check. A
//! password that was right is remembered for a minute.
//!
//! Runs for every request.

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderMap;
use http::{HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::credentials::{CredentialFault, basic};
use super::flights::{Checked, Flights};
use super::followed_file::{FileFault, FollowedFile};
use super::grant::Grant;
use super::passwords::Users;
use super::refusal::Refusal;
use super::settings::BasicSettings;
use crate::Instant;
use crate::metrics::AuthCounts;

/// Checks the names and passwords of one route.
#[derive(Debug)]
pub(super) struct PasswordCheck {
    user_field: Option<HeaderName>,
    challenge: HeaderValue,
    users: Option<Arc<Users>>,
    file: Option<Arc<FollowedFile<Users>>>,
    flights: Flights,
    permits: Arc<Semaphore>,
}

/// Why a name and a password are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordFault {
    /// The request has none.
    #[error("the request has no name and password")]
    Missing,
    /// They cannot be read.
    #[error(transparent)]
    Unreadable(#[from] CredentialFault),
    /// There is no such user, or the password is another one.
    #[error("the name or the password is wrong")]
    Wrong,
}

impl PasswordCheck {
    /// Reads the users of `settings`. Blocks for some seconds at most.
    ///
    /// # Errors
    ///
    /// The file has none.
    pub(super) fn new(settings: &BasicSettings) -> Result<Self, FileFault> {
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", settings.realm);
        let challenge = HeaderValue::try_from(challenge);
        let lines: Vec<&[u8]> = settings.passwords.iter().map(|line| &*line.0).collect();
        let file = settings.file.as_ref().map(|path| FollowedFile::open(path, Users::parse));
        Ok(Self {
            user_field: settings.user_field.clone(),
            challenge: challenge.unwrap_or(HeaderValue::from_static("Basic realm=\"\"")),
            users: Users::parse(&lines.join(&b'\n')).ok().map(Arc::new),
            file: file.transpose()?,
            flights: Flights::default(),
            permits: Arc::new(Semaphore::new(CHECKS_MAX)),
        })
    }

    /// Whether there is a file.
    pub(super) fn has_files(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file again if it has changed. Blocks for some seconds at most.
    pub(super) fn refresh(&self) {
        self.file.iter().for_each(|file| file.refresh());
    }

    /// What the name and the password of a request grant.
    ///
    /// # Errors
    ///
    /// They are wrong, or could not be checked in time.
    pub(super) async fn check(
        &self,
        headers: &HeaderMap,
        counts: &AuthCounts,
    ) -> Result<Grant, Refusal> {
        let written = basic(headers).map_err(|fault| self.refusal(fault.into()))?;
        let (name, password) = written.ok_or_else(|| self.refusal(PasswordFault::Missing))?;
        let users = self.users_with(&name).ok_or_else(|| self.refusal(PasswordFault::Wrong))?;
        let key = users.key(&name, &password);
        if let Some(fields) = users.cache.find(key, Instant::now()) {
            counts.remembered.inc();
            return Ok(Grant::of(fields));
        }
        let check = async {
            let checked = self.verify(users, name, password).await;
            counts.passwords.count([outcome(&checked)]);
            checked
        };
        self.flights.join(key, check).await.map(Grant::of)
    }

    async fn verify(&self, users: Arc<Users>, name: String, password: String) -> Checked {
        let permit = timeout(TURN_WITHIN, self.permits.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(Refusal::PasswordsBusy) };
        let field = self.user_field.clone().zip(HeaderValue::from_str(&name).ok());
        let checking = spawn_blocking({
            let users = users.clone();
            move || {
                let is_right = users.verify(&name, &password);
                // Also if the client has left meanwhile.
                drop(permit);
                is_right.then(|| users.key(&name, &password))
            }
        });
        match checking.await {
            Ok(Some(key)) => {
                let fields: Vec<_> = field.into_iter().collect();
                users.cache.put(key, fields.clone(), Instant::now());
                Ok(fields)
            }
            Ok(None) => Err(self.refusal(PasswordFault::Wrong)),
            Err(_) => Err(Refusal::PasswordsBusy),
        }
    }

    /// Those that know `name`; else any, so that a check takes its time in any case.
    fn users_with(&self, name: &str) -> Option<Arc<Users>> {
        let of_file = self.file.as_ref().map(|file| Arc::clone(&file.current()));
        let all = [self.users.clone(), of_file];
        let mut all = all.into_iter().flatten();
        let first = all.next()?;
        let is_first = first.know(name);
        Some(all.find(|users| !is_first && users.know(name)).unwrap_or(first))
    }

    fn refusal(&self, fault: PasswordFault) -> Refusal {
        Refusal::Password(fault, self.challenge.clone())
    }
}

/// The label of what a check found.
fn outcome(checked: &Checked) -> &'static str {
    match checked {
        Ok(_) => "right",
        Err(Refusal::PasswordsBusy) => "busy",
        Err(_) => "wrong",
    }
}

/// Checks of one route at the same time: more would take the processor from the workers.
const CHECKS_MAX: usize = 2;

/// How long a check may wait for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);
