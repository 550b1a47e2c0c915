//! One order: from the name to a certificate that was checked.
//!
//! Runs at start, at reload, or on a timer.

use std::path::PathBuf;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier,
    KeyAuthorization, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};

use super::certificate::Certificate;
use super::failure::{Failure, is_about_replacing};
use super::nonces::{Nonces, repeat};
use super::retry::Cause;
use super::settings::ChallengeKind;
use super::store::Store;
use crate::tls::is_token;

/// What an order is about.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) challenge: ChallengeKind,
    /// The certificate that is to be replaced.
    pub(super) replaces: Option<&'a CertificateIdentifier<'static>>,
}

/// Why an order ended without a certificate.
#[derive(Debug)]
pub(super) enum Ended {
    /// By the answer to a request.
    Answered(Error),
    /// By something else.
    Failed(Failure),
}

/// Orders a certificate. Returns it and its text: the key and the chain as PEM.
pub(super) async fn order(
    wanted: Wanted<'_>,
    account: &Account,
    store: &Store,
) -> Result<(Certificate, String), Ended> {
    let mut order = place(wanted, account).await?;
    let proof = prove(&mut order, wanted, store).await?;
    let status = repeat!(order.poll_ready(&POLLS));
    drop(proof);
    match status {
        Ok(OrderStatus::Invalid) | Err(Error::Api(_)) => {
            let known = verdict(&mut order, wanted).await;
            return Err(known.map_or_else(|| undecided(status), Ended::Failed));
        }
        Ok(_) => (),
        Err(error) => return Err(error.into()),
    }
    finish(order, wanted).await
}

/// Places the order, as the successor of the certificate that is to be replaced if the authority wants
/// to know (RFC 9773, section 5).
async fn place(wanted: Wanted<'_>, account: &Account) -> Result<Order, Error> {
    let names = [Identifier::Dns(wanted.name.to_owned())];
    if let Some(replaced) = wanted.replaces {
        let successor = NewOrder::new(&names).replaces(replaced.clone());
        match repeat!(account.new_order(&successor)) {
            Err(error) if is_about_replacing(&error) => (),
            placed => return placed,
        }
    }
    repeat!(account.new_order(&NewOrder::new(&names)))
}

/// Puts the proof where the authority looks for it, and asks it to look. `None` if it knows already that
/// the name is ours.
async fn prove(
    order: &mut Order,
    wanted: Wanted<'_>,
    store: &Store,
) -> Result<Option<Proof>, Ended> {
    let mut nonces = Nonces::default();
    loop {
        let mut authorizations = order.authorizations();
        let mut authorization = match authorizations.next().await {
            None => return Err(refused("the order has no authorization").into()),
            // It is fetched only once it is known.
            Some(Err(error)) if nonces.may_repeat(&error) => continue,
            Some(authorization) => authorization?,
        };
        match authorization.status {
            AuthorizationStatus::Valid => return Ok(None),
            AuthorizationStatus::Pending => (),
            status => return Err(refused(&format!("its authorization is {status:?}")).into()),
        }
        let kind = match wanted.challenge {
            ChallengeKind::Http01 => ChallengeType::Http01,
            ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        };
        let offered: Vec<String> =
            authorization.challenges.iter().map(|offered| label(&offered.r#type)).collect();
        let Some(mut challenge) = authorization.challenge(kind) else {
            return Err(not_offered(wanted, &offered).into());
        };
        let authorization = challenge.key_authorization();
        let proof = Proof::put(wanted, &challenge.token, &authorization, store).await?;
        repeat!(challenge.set_ready())?;
        return Ok(Some(proof));
    }
}

/// What the authority found wrong with the proof.
async fn verdict(order: &mut Order, wanted: Wanted<'_>) -> Option<Failure> {
    let mut authorizations = order.authorizations();
    let mut authorization = authorizations.next().await?.ok()?;
    repeat!(async { authorization.refresh().await.map(|_| ()) }).ok()?;
    let problem = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref())?;
    Some(Failure::of_challenge(problem, wanted.name, wanted.challenge))
}

fn undecided(status: Result<OrderStatus, Error>) -> Ended {
    match status {
        Err(error) => Failure::of_order(&error).into(),
        Ok(_) => {
            let what = "the authority ended the order without a reason";
            Failure::new(Cause::Unproven, what, "nothing: it is tried again").into()
        }
    }
}

/// Sends the key's request and fetches the certificate.
async fn finish(mut order: Order, wanted: Wanted<'_>) -> Result<(Certificate, String), Ended> {
    let (key, request) = new_key(wanted.name)
        .map_err(|error| refused(&format!("no request can be made for the name: {error}")))?;
    repeat!(order.finalize_csr(&request))?;
    let chain = repeat!(order.poll_certificate(&POLLS))?;
    let pem = format!("{}{chain}", key.serialize_pem());
    match Certificate::parse(pem.as_bytes(), wanted.name) {
        Ok(certificate) => Ok((certificate, pem)),
        Err(wrong) => {
            let what = format!("the authority issued what does not work: {wrong}");
            Err(Failure::new(Cause::Unfit, what, "tell the authority").into())
        }
    }
}

/// A new key for each certificate, and its request in DER.
fn new_key(name: &str) -> Result<(KeyPair, Vec<u8>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut request = CertificateParams::new(vec![name.to_owned()])?;
    // A subject would be of this library.
    request.distinguished_name = DistinguishedName::new();
    let request = request.serialize_request(&key)?.der().to_vec();
    Ok((key, request))
}

/// A proof in the store, which is removed with this value.
#[derive(Debug)]
struct Proof {
    path: PathBuf,
}

impl Proof {
    async fn put(
        wanted: Wanted<'_>,
        token: &str,
        authorization: &KeyAuthorization,
        store: &Store,
    ) -> Result<Self, Failure> {
        let (path, content) = match wanted.challenge {
            ChallengeKind::Http01 if !is_token(token) => {
                return Err(refused("the token of the challenge is not one"));
            }
            ChallengeKind::Http01 => {
                (store.challenges().of_token(token), authorization.as_str().to_owned())
            }
            ChallengeKind::TlsAlpn01 => {
                let made = certificate_of_proof(wanted.name, authorization.digest().as_ref());
                let made = made.map_err(|error| refused(&format!("no proof: {error}")))?;
                (store.challenges().of_name(wanted.name), made)
            }
        };
        let proof = Self { path: path.clone() };
        store.run(move |store| store.write(&path, content.as_bytes())).await?;
        Ok(proof)
    }
}

impl Drop for Proof {
    fn drop(&mut self) {
        // What stays is swept by a later order.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The key and the certificate that RFC 8737, section 3, wants to see.
fn certificate_of_proof(name: &str, digest: &[u8]) -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut proof = CertificateParams::new(vec![name.to_owned()])?;
    proof.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let proof = proof.self_signed(&key)?;
    Ok(format!("{}{}", key.serialize_pem(), proof.pem()))
}

fn refused(what: &str) -> Failure {
    Failure::new(Cause::Refused, what, "use another authority, or report it as a bug")
}

fn not_offered(wanted: Wanted<'_>, offered: &[String]) -> Failure {
    let what = format!(
        "the authority does not offer {}, but {}",
        wanted.challenge.label(),
        offered.join(", ")
    );
    Failure::new(Cause::Refused, what, "write another acme.challenge")
}

fn label(kind: &ChallengeType) -> String {
    match kind {
        ChallengeType::Http01 => "http-01".to_owned(),
        ChallengeType::TlsAlpn01 => "tls-alpn-01".to_owned(),
        ChallengeType::Dns01 => "dns-01".to_owned(),
        ChallengeType::Unknown(other) => other.clone(),
        other => format!("{other:?}"),
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Answered(error)
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// How often the authority is asked whether it has decided, if it does not say itself how often.
const POLLS: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_mins(5));
