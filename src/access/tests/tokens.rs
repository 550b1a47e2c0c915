//! Tokens of all kinds that strangers make.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::jwt::TokenFault;
use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The seconds since 1970, and so many more.
fn unix(more: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() + more
}

fn claims() -> Value {
    json!({ "sub": "ann", "exp": unix(60) })
}

fn hs256(claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes()).unwrap())
        .unwrap()
}

/// A token with this head, claims and signature, as they are.
fn raw(head: &str, claims: &Value, signature: &[u8]) -> String {
    let [head, claims] =
        [head.to_owned(), claims.to_string()].map(|text| URL_SAFE_NO_PAD.encode(text));
    format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn settings(change: impl FnOnce(&mut JwtSettings)) -> Settings {
    let mut jwt = JwtSettings { secrets: vec![TokenSecret::new(SECRET)], ..JwtSettings::default() };
    change(&mut jwt);
    Settings { auth: Some(AuthSettings::Jwt(jwt)), ..Settings::default() }
}

/// The verdict on a bearer's token.
fn verdict(access: &Access, token: &str) -> Result<Grant, TokenFault> {
    match check(access, &fields(&[("authorization", &format!("Bearer {token}"))]), None) {
        Ok(grant) => Ok(grant),
        Err(Refusal::Token(fault)) => Err(fault),
        Err(other) => panic!("{other:?}"),
    }
}

fn fault(access: &Access, token: &str) -> Option<TokenFault> {
    verdict(access, token).err()
}

#[test]
fn a_token_is_good_until_30_seconds_after_it_expires() {
    let access = with(&settings(|_| ()));
    let check = |claims: Value, expected| {
        assert_eq!(fault(&access, &hs256(&claims)), expected, "{claims}");
    };
    check(claims(), None);
    check(json!({ "exp": unix(-25) }), None);
    check(json!({ "exp": unix(-35) }), Some(TokenFault::Expired));
    check(json!({ "exp": unix(60), "nbf": unix(25) }), None);
    check(json!({ "exp": unix(60), "nbf": unix(35) }), Some(TokenFault::NotYetValid));
    check(json!({ "sub": "ann" }), Some(TokenFault::BadClaim));
    check(json!({ "exp": "soon" }), Some(TokenFault::BadClaim));
    check(json!({ "exp": -1 }), Some(TokenFault::BadClaim));
    check(json!({ "exp": 1e300 }), Some(TokenFault::BadClaim));
    check(json!({ "exp": u64::MAX }), None);
    let missing = super::check(&access, &HeaderMap::new(), None).unwrap_err();
    assert_eq!(missing, Refusal::Token(TokenFault::Missing));
}

#[test]
fn issuer_and_audience_must_be_ours_if_they_are_named() {
    let open = with(&settings(|_| ()));
    let bound = with(&settings(|jwt| {
        jwt.issuers = vec!["https://id.example".to_owned()];
        jwt.audiences = vec!["chat".to_owned(), "mail".to_owned()];
    }));
    let check = |access: &Access, more: Value, expected| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(fault(access, &hs256(&claims)), expected, "{claims}");
    };
    let foreign = Some(TokenFault::Foreign);
    check(&open, json!({ "iss": "anyone" }), None);
    check(&open, json!({ "aud": "chat" }), foreign);
    check(&bound, json!({ "iss": "https://id.example", "aud": "chat" }), None);
    check(&bound, json!({ "iss": "https://id.example", "aud": ["x", "mail"] }), None);
    check(&bound, json!({ "iss": "https://id.example", "aud": ["x"] }), foreign);
    check(&bound, json!({ "iss": "https://evil.example", "aud": "chat" }), foreign);
    check(&bound, json!({ "iss": "https://id.example" }), Some(TokenFault::BadClaim));
    check(&bound, json!({ "aud": "chat" }), Some(TokenFault::BadClaim));
    check(&bound, json!({ "iss": { "a": 1 }, "aud": "chat" }), Some(TokenFault::BadClaim));
}

/// A key pair of each algorithm, its public keys as files, and what signs.
struct Keys {
    directory: TempDir,
    signers: Vec<(Algorithm, EncodingKey)>,
    public: Vec<String>,
}

impl Keys {
    fn generate() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (mut signers, mut public) = (Vec::new(), Vec::new());
        for (algorithm, kind) in [
            (Algorithm::RS256, &PKCS_RSA_SHA256),
            (Algorithm::ES256, &PKCS_ECDSA_P256_SHA256),
            (Algorithm::EdDSA, &PKCS_ED25519),
        ] {
            let pair = KeyPair::generate_for(kind).unwrap();
            let pem = pair.serialize_pem();
            let signer = match algorithm {
                Algorithm::RS256 => EncodingKey::from_rsa_pem(pem.as_bytes()),
                Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
                _ => EncodingKey::from_ed_pem(pem.as_bytes()),
            };
            signers.push((algorithm, signer.unwrap()));
            let path = directory.path().join(format!("{algorithm:?}.pem"));
            std::fs::write(path, pair.public_key_pem()).unwrap();
            public.push(pair.public_key_pem());
        }
        Self { directory, signers, public }
    }

    fn access(&self) -> Arc<Access> {
        let path = |(algorithm, _): &(Algorithm, _)| {
            self.directory.path().join(format!("{algorithm:?}.pem"))
        };
        with(&settings(|jwt| {
            jwt.secrets.clear();
            jwt.public_keys = self.signers.iter().map(path).collect();
        }))
    }
}

#[test]
fn each_key_checks_tokens_of_its_own_algorithm_alone() {
    let keys = Keys::generate();
    let access = keys.access();
    for (algorithm, signer) in &keys.signers {
        let token = encode(&Header::new(*algorithm), &claims(), signer).unwrap();
        assert_eq!(fault(&access, &token), None, "{algorithm:?}");
        let (message, _) = token.rsplit_once('.').unwrap();
        for signature in ["", "AAAA", &"A".repeat(86), &"A".repeat(342)] {
            let forged = format!("{message}.{signature}");
            assert_eq!(fault(&access, &forged), Some(TokenFault::BadSignature), "{algorithm:?}");
        }
    }
    // The public key, which everybody knows, as the secret of HS256.
    for public in &keys.public {
        for secret in [public.as_bytes(), public.trim().as_bytes()] {
            let key = EncodingKey::from_secret(secret).unwrap();
            let confused = encode(&Header::default(), &claims(), &key).unwrap();
            assert_eq!(fault(&access, &confused), Some(TokenFault::NoKey));
        }
    }
    let other = encode(&Header::new(Algorithm::RS512), &claims(), &keys.signers[0].1);
    assert_eq!(fault(&access, &other.unwrap()), Some(TokenFault::NoKey));
}

#[test]
fn a_token_cannot_choose_how_it_is_checked() {
    let access = with(&settings(|_| ()));
    for (head, expected) in [
        (r#"{"alg":"none"}"#, TokenFault::Malformed),
        (r#"{"alg":"None","typ":"JWT"}"#, TokenFault::Malformed),
        (r#"{"alg":""}"#, TokenFault::Malformed),
        (r#"{"typ":"JWT"}"#, TokenFault::Malformed),
        (r#"{"alg":"HS512"}"#, TokenFault::NoKey),
        (r#"{"alg":"RS256"}"#, TokenFault::NoKey),
        (r#"{"alg":"HS256","crit":["x"]}"#, TokenFault::Malformed),
        (r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, TokenFault::Malformed),
        (r#"{"alg":"HS256","kid":"../../dev/null"}"#, TokenFault::BadSignature),
        (r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#, TokenFault::BadSignature),
        (r#"{"alg":"HS256","jku":"https://evil.example/jwks"}"#, TokenFault::BadSignature),
        (r#"[]"#, TokenFault::Malformed),
    ] {
        for signature in [&b""[..], &[0; 32]] {
            let found = fault(&access, &raw(head, &claims(), signature));
            assert_eq!(found, Some(expected), "{head} {signature:?}");
        }
    }
    for garbage in ["a", "a.b", "a.b.c", "..", "a.b.c.d", "....", "\u{e4}.b.c"] {
        assert_eq!(fault(&access, garbage), Some(TokenFault::Malformed), "{garbage}");
    }
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    let deep = URL_SAFE_NO_PAD.encode(deep);
    assert_eq!(fault(&access, &format!("{deep}.{deep}.AAAA")), Some(TokenFault::Malformed));
}

/// RFC 7515, appendix A.1: a token of 2011.
#[test]
fn the_example_of_the_rfc_has_a_right_signature_and_has_expired() {
    let key =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let jwks = json!({ "keys": [{ "kty": "oct", "k": key }] });
    std::fs::write(&path, jwks.to_string()).unwrap();
    let access = with(&settings(|jwt| jwt.jwks = Some(path)));
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAs\
                 DQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(fault(&access, token), Some(TokenFault::Expired));
    assert_eq!(
        fault(&access, &format!("{}A", &token[..token.len() - 1])),
        Some(TokenFault::BadSignature)
    );
}

#[test]
fn claims_become_fields_that_a_field_can_have() {
    let field = |name: &str| name.parse().unwrap();
    let access = with(&settings(|jwt| {
        jwt.claims =
            vec![("sub".to_owned(), field("x-user")), ("roles".to_owned(), field("x-roles"))];
    }));
    let check = |more: Value, expected: Option<&[(&str, &str)]>| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let found = verdict(&access, &hs256(&claims)).ok().map(|grant| grant.fields);
        let found = found.map(|fields| {
            let text = |value: HeaderValue| String::from_utf8(value.as_bytes().to_vec()).unwrap();
            fields
                .into_iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect::<Vec<_>>()
        });
        let expected = expected.map(|all| {
            all.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>()
        });
        assert_eq!(found, expected, "{claims}");
    };
    check(json!({}), Some(&[("x-user", "ann")]));
    check(json!({ "sub": null }), Some(&[]));
    check(
        json!({ "sub": 7, "roles": ["a", "b"] }),
        Some(&[("x-user", "7"), ("x-roles", r#"["a","b"]"#)]),
    );
    check(json!({ "sub": "ä" }), Some(&[("x-user", "ä")]));
    check(json!({ "sub": "a\r\nX-Admin: 1" }), None);
    check(json!({ "sub": "a\u{0}" }), None);
    assert!(access.owned_fields().own(&field("X_Roles")));
}

#[test]
fn a_set_of_keys_is_followed_and_kid_selects_from_it() {
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let other = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let jwk = |pair: &KeyPair, kid: &str| {
        let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig" })
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let write = |keys: Value| std::fs::write(&path, json!({ "keys": keys }).to_string()).unwrap();
    write(
        json!([jwk(&pair, "a"), { "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }, { "kty": "new" }]),
    );
    let access = with(&settings(|jwt| {
        jwt.secrets.clear();
        jwt.jwks = Some(path.clone());
    }));
    let token = |pair: &KeyPair, kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
        let key = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap();
        encode(&header, &claims(), &key).unwrap()
    };
    assert_eq!(fault(&access, &token(&pair, Some("a"))), None);
    assert_eq!(fault(&access, &token(&pair, None)), None);
    assert_eq!(fault(&access, &token(&pair, Some("b"))), Some(TokenFault::NoKey));
    assert_eq!(fault(&access, &token(&other, Some("a"))), Some(TokenFault::BadSignature));

    let refresh = || match &access.auth {
        Some(Auth::Jwt(tokens)) => tokens.refresh(),
        Some(Auth::Forward(_) | Auth::Basic(_)) | None => panic!("there are tokens"),
    };
    write(json!([jwk(&other, "b")]));
    refresh();
    assert_eq!(fault(&access, &token(&other, Some("b"))), None);
    assert_eq!(fault(&access, &token(&pair, Some("a"))), Some(TokenFault::NoKey));
    write(json!([]));
    refresh();
    assert_eq!(
        fault(&access, &token(&other, Some("b"))),
        None,
        "what cannot be used changes nothing"
    );
}

#[test]
fn a_file_without_a_usable_key_is_refused_with_what_to_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let check = |contents: &str, expected: &str| {
        std::fs::write(&path, contents).unwrap();
        let settings = settings(|jwt| jwt.public_keys = vec![path.clone()]);
        let fault = Access::new(&settings, None).unwrap_err().to_string();
        assert!(fault.contains(expected), "{fault}");
    };
    check(&p384.serialize_pem(), "write the public one");
    check(&p384.public_key_pem(), "no public key of RSA, P-256 or Ed25519");
    check("-----BEGIN CERTIFICATE-----", "write its key");
    check("", "no public key");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_token_is_known_if_it_ends_the_websocket() {
    let now = Instant::now();
    let token = hs256(&json!({ "exp": unix(60) }));
    let never = with(&settings(|_| ()));
    assert_eq!(verdict(&never, &token).unwrap().expires_at, None);
    let ends = with(&settings(|jwt| jwt.close_expired = true));
    let after = verdict(&ends, &token).unwrap().expires_at.unwrap() - now;
    assert!((Duration::from_secs(89)..=Duration::from_secs(91)).contains(&after), "{after:?}");
    let endless = hs256(&json!({ "exp": u64::MAX }));
    assert_eq!(verdict(&ends, &endless).unwrap().expires_at, None);
}

#[test]
fn a_preflight_carries_no_token_and_passes() {
    let access = with(&settings(|_| ()));
    let check = |method: Method, lines: &[(&'static str, &str)], expected: bool| {
        let headers = &fields(lines);
        let address = [10, 0, 0, 1].into();
        let visitor = Visitor { method: &method, ..visitor(address, headers) };
        let checked =
            access.check(&visitor, &Pool::new(), &AuthCounts::default()).now_or_never().unwrap();
        assert_eq!(checked.is_ok(), expected, "{method} {lines:?}");
    };
    let asks = ("access-control-request-method", "POST");
    check(Method::OPTIONS, &[("origin", "https://a.b"), asks], true);
    check(Method::OPTIONS, &[("origin", "https://a.b")], false);
    check(Method::OPTIONS, &[asks], false);
    check(Method::GET, &[("origin", "https://a.b"), asks], false);
}
