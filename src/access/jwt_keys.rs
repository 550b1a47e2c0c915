//! Keys of JSON Web Tokens: each has one algorithm, whatever a token says of itself.
//!
//! A token that chooses its algorithm chooses how it is checked: with `none` not at all, and with HS256
//! against an RSA key by a secret that everybody knows (RFC 8725, section 3.1).
//!
//! Runs at start, at reload, or on a timer.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// A key, and the only algorithm with which it is used.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
    /// The name by which tokens choose it.
    pub(super) id: Option<Box<str>>,
}

/// The key of HS256.
pub(super) fn of_secret(secret: &[u8]) -> Option<Key> {
    let key = DecodingKey::from_secret(secret).ok()?;
    Some(Key { algorithm: Algorithm::HS256, key, id: None })
}

/// The public key in a PEM file: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA.
///
/// # Errors
///
/// What is wrong with the file.
pub(super) fn of_pem(bytes: &[u8]) -> Result<Vec<Key>, String> {
    let has = |words: &[u8]| memchr::memmem::find(bytes, words).is_some();
    if has(b"PRIVATE KEY") {
        return Err("it is a private key: write the public one, `openssl pkey -pubout`".to_owned());
    }
    if has(b"BEGIN CERTIFICATE") {
        return Err("it is a certificate: write its key, `openssl x509 -pubkey -noout`".to_owned());
    }
    let of_ec = || {
        let key = DecodingKey::from_ec_pem(bytes).ok()?;
        is_p256(&key).then_some((Algorithm::ES256, key))
    };
    let of_rsa = || Some((Algorithm::RS256, DecodingKey::from_rsa_pem(bytes).ok()?));
    let of_ed = || Some((Algorithm::EdDSA, DecodingKey::from_ed_pem(bytes).ok()?));
    let (algorithm, key) = of_rsa().or_else(of_ec).or_else(of_ed).ok_or_else(|| {
        "it has no public key of RSA, P-256 or Ed25519 in PEM, `-----BEGIN PUBLIC KEY-----`"
            .to_owned()
    })?;
    Ok(vec![Key { algorithm, key, id: None }])
}

/// The keys of a JWK set (RFC 7517) that can check signatures. Keys for other purposes and of other
/// algorithms are left out.
///
/// # Errors
///
/// What is wrong with the file.
pub(super) fn of_jwks(bytes: &[u8]) -> Result<Vec<Key>, String> {
    let set: Value = serde_json::from_slice(bytes).map_err(|error| format!("no JSON: {error}"))?;
    let Some(items) = set.get("keys").and_then(Value::as_array) else {
        return Err("it is no JWK set, `{\"keys\": [...]}`".to_owned());
    };
    let keys: Vec<Key> = items.iter().filter_map(of_jwk).collect();
    match keys.len() {
        0 => Err("it has no key for RS256, ES256, EdDSA or HS256".to_owned()),
        count if count > KEYS_MAX => Err(format!("it has more than {KEYS_MAX} keys")),
        _ => Ok(keys),
    }
}

fn of_jwk(item: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(item.clone()).ok()?;
    let is_for_signatures = !matches!(
        jwk.common.public_key_use,
        Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_))
    );
    let verifies =
        jwk.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, "RS256"),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, "ES256")
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, "EdDSA")
        }
        AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, "HS256"),
        _ => return None,
    };
    let is_its_algorithm =
        item.get("alg").is_none_or(|alg| alg.as_str().is_some_and(|alg| alg == name));
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let is_long_enough = match algorithm {
        Algorithm::HS256 => key.try_get_as_bytes().is_ok_and(|key| key.len() >= SECRET_BYTES_MIN),
        Algorithm::ES256 => is_p256(&key),
        _ => true,
    };
    let is_usable = is_for_signatures && verifies && is_its_algorithm && is_long_enough;
    let id = jwk.common.key_id.map(String::into_boxed_str);
    is_usable.then_some(Key { algorithm, key, id })
}

/// Whether a key of an elliptic curve is a point of P-256 in its uncompressed form.
fn is_p256(key: &DecodingKey) -> bool {
    key.try_get_as_bytes().is_ok_and(|point| point.len() == 65)
}

/// A key must be as long as the hash (RFC 7518, section 3.2).
pub(crate) const SECRET_BYTES_MIN: usize = 32;

/// Each could be tried for a token that names none.
const KEYS_MAX: usize = 16;
