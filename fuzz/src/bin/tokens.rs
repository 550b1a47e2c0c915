//! JSON Web Tokens and where they are: what nobody signed grants nothing, and what was signed grants only
//! what its claims say, in fields that are valid.

#![no_main]

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sockeye::internal::access::TokenRules;

fuzz_target!(|bytes: &[u8]| {
    what_nobody_signed_grants_nothing(bytes);
    claims_say_what_is_granted(bytes);
    a_header_cannot_choose_the_rules(bytes);
    a_cookie_among_others_is_the_token(bytes);
});

fn what_nobody_signed_grants_nothing(bytes: &[u8]) {
    for (name, prefix) in [(AUTHORIZATION, "Bearer "), (COOKIE, "t="), (COOKIE, "")] {
        if let Ok(value) = HeaderValue::from_bytes(&[prefix.as_bytes(), bytes].concat()) {
            assert!(RULES.check(&HeaderMap::from_iter([(name, value)]), None).is_err());
        }
    }
    if let Ok(query) = std::str::from_utf8(bytes) {
        assert!(RULES.check(&HeaderMap::new(), Some(query)).is_err());
        assert!(RULES.check(&HeaderMap::new(), Some(&format!("t={query}"))).is_err());
    }
}

fn claims_say_what_is_granted(claims: &[u8]) {
    let Ok(fields) = check(&token(HEADER, claims)) else { return };
    let claims: Value = serde_json::from_slice(claims).expect("claims are JSON");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let expiry = claims.get("exp").and_then(Value::as_f64).expect("it was required");
    assert!(expiry > now - 40.0, "{expiry}");
    for (name, claim) in [("x-user", "sub"), ("x-roles", "roles")] {
        let field = fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
        let claim = claims.get(claim).filter(|claim| !claim.is_null());
        assert_eq!(field.is_some(), claim.is_some(), "{name}");
        if let (Some(field), Some(text)) = (field, claim.and_then(Value::as_str)) {
            assert_eq!(field.as_bytes(), text.as_bytes());
        }
    }
}

fn a_header_cannot_choose_the_rules(header: &[u8]) {
    if check(&token(header, CLAIMS)).is_ok() {
        let header: Value = serde_json::from_slice(header).expect("a header is JSON");
        assert_eq!(header.get("alg"), Some(&Value::from("HS256")));
        assert!(header.get("crit").is_none_or(Value::is_null));
    }
}

fn a_cookie_among_others_is_the_token(others: &[u8]) {
    let cookies = [others, b"; t=", token(HEADER, CLAIMS).as_bytes()].concat();
    let Ok(cookies) = HeaderValue::from_bytes(&cookies) else { return };
    let found = RULES.check(&HeaderMap::from_iter([(COOKIE, cookies)]), None);
    let is_doubled =
        others.split(|byte| *byte == b';').any(|pair| pair.trim_ascii().starts_with(b"t="));
    assert_eq!(found.is_err(), is_doubled, "{found:?}");
}

fn check(token: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let value = HeaderValue::try_from(format!("Bearer {token}")).expect("base64 and dots");
    RULES.check(&HeaderMap::from_iter([(AUTHORIZATION, value)]), None)
}

fn token(header: &[u8], claims: &[u8]) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = format!("{header}.{claims}");
    let key = EncodingKey::from_secret(SECRET.as_bytes()).expect("it is not empty");
    let signature = sign(signed.as_bytes(), &key, Algorithm::HS256).expect("a key of HMAC");
    format!("{signed}.{signature}")
}

static RULES: LazyLock<TokenRules> =
    LazyLock::new(|| TokenRules::new(SECRET).expect("a secret is a key"));

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const HEADER: &[u8] = br#"{"alg":"HS256"}"#;
const CLAIMS: &[u8] = br#"{"exp":99999999999,"sub":"a"}"#;
