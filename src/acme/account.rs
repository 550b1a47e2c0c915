//! The account at the authority: made once, then read from the store.
//!
//! Runs at start, at reload, or on a timer.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountCredentials, Error, ExternalAccountKey, NewAccount};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::client::Client;
use super::failure::Failure;
use super::nonces::repeat;
use super::retry::Cause;
use super::store::Store;
use super::{ExternalAccount, Settings};
use crate::yaml::source;

/// An account as the store has it.
#[derive(Deserialize, Serialize)]
struct Kept {
    /// Of the authority, for people who read the file.
    directory: String,
    /// What the authority was told last.
    contact: Vec<String>,
    credentials: AccountCredentials,
}

/// The account of `settings`, which is registered if the store has none.
pub(super) async fn account(
    settings: &Settings,
    store: &Store,
    client: &Client,
) -> Result<Account, Failure> {
    let path = store.account_path(&settings.directory);
    let file = path.clone();
    let kept = store.run(move |store| store.read_json::<Kept>(&file)).await?;
    let failed = |error| Failure::of_request(&error, &path).of_all();
    let Some(kept) = kept else {
        let customer = match settings.eab.clone() {
            Some(eab) => Some(store.run(move |_| customer(&eab)).await?),
            None => None,
        };
        let (account, kept) = register(settings, client, customer).await.map_err(failed)?;
        let file = path.clone();
        store.run(move |store| store.write_json(&file, &kept)).await?;
        return Ok(account);
    };
    let Kept { directory, contact, credentials } = kept;
    // The credentials are used up, and they are kept as text.
    let text = serde_json::to_value(&credentials).map_err(Error::Json).map_err(failed)?;
    let builder = Account::builder_with_http(Box::new(client.clone()));
    let account = builder.from_credentials(credentials).await.map_err(failed)?;
    if contact != settings.contact {
        change_contact(&account, settings).await.map_err(failed)?;
        let credentials = serde_json::from_value(text).map_err(Error::Json).map_err(failed)?;
        let kept = Kept { directory, contact: settings.contact.clone(), credentials };
        let file = path.clone();
        store.run(move |store| store.write_json(&file, &kept)).await?;
    }
    Ok(account)
}

/// Forgets an account that the authority does not know, so that the next order registers a new one.
pub(super) async fn forget(settings: &Settings, store: &Store) -> Result<(), Failure> {
    let path = store.account_path(&settings.directory);
    warn!(
        account = %path.display(),
        "the authority does not know the account: a new one is registered"
    );
    store.run(move |store| store.set_aside(&path)).await
}

/// Reads the key that the authority gave its customer.
fn customer(eab: &ExternalAccount) -> Result<ExternalAccountKey, Failure> {
    let path = &eab.hmac_file;
    let wrong = |error: String| {
        let advice = "write what the authority shows as the HMAC key into the file of acme.eab";
        Failure::new(Cause::Local, format!("{}: {error}", path.display()), advice).of_all()
    };
    let bytes = source::read_regular(path, KEY_FILE_BYTES_MAX);
    let bytes = bytes.map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    // Some authorities show it with padding, and some in plain base64.
    let text = text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
    match URL_SAFE_NO_PAD.decode(&text) {
        Ok(key) if !key.is_empty() => Ok(ExternalAccountKey::new(eab.kid.to_string(), &key)),
        Ok(_) => Err(wrong("is empty".to_owned())),
        Err(error) => Err(wrong(format!("is not base64url: {error}"))),
    }
}

/// Far more than a key takes.
const KEY_FILE_BYTES_MAX: usize = 64 * 1024;

async fn register(
    settings: &Settings,
    client: &Client,
    customer: Option<ExternalAccountKey>,
) -> Result<(Account, Kept), Error> {
    let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        // The configuration is refused otherwise.
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = || Account::builder_with_http(Box::new(client.clone()));
    let directory = || settings.directory.to_string();
    let registered = repeat!(builder().create(&new, directory(), customer.as_ref()));
    let (account, credentials) = registered?;
    info!(account = account.id(), directory = %settings.directory, "registered with the authority");
    Ok((account, Kept { directory: directory(), contact: settings.contact.clone(), credentials }))
}

async fn change_contact(account: &Account, settings: &Settings) -> Result<(), Error> {
    let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
    repeat!(account.update_contacts(&contact))?;
    info!(account = account.id(), "changed the contact of the account");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_customer_is_read_as_authorities_show_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("eab.hmac");
        let check = |text: &str, expected: Result<(), &str>| {
            std::fs::write(&path, text).unwrap();
            let eab = ExternalAccount { kid: "kid-1".into(), hmac_file: path.clone() };
            let read = customer(&eab).map(|_| ());
            match expected {
                Ok(()) => assert_eq!(read, Ok(()), "{text}"),
                Err(what) => {
                    let failure = read.unwrap_err();
                    assert!(failure.what.contains(what), "{text}: {}", failure.what);
                    assert!(failure.concerns_all);
                }
            }
        };
        check("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wE\n", Ok(()));
        check("-_-_", Ok(()));
        check("+/+/", Ok(()));
        check("YWI=", Ok(()));
        check("", Err("is empty"));
        check("not base64", Err("is not base64url"));
        std::fs::remove_file(&path).unwrap();
        let eab = ExternalAccount { kid: "kid-1".into(), hmac_file: path };
        assert!(customer(&eab).is_err());
    }
}
