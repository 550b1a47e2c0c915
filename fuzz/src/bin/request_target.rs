//! The query of a request target: a sid that is put into it is read back, and nothing else changes.

#![no_main]

use http::uri::PathAndQuery;
use libfuzzer_sys::fuzz_target;
use sockeye::internal::engineio::{Call, Sid, with_sid};

fuzz_target!(|query: &str| {
    let Ok(Some(call)) = Call::parse(Some(query)) else { return };
    let Some(own) = &call.sid else { return };

    let odd = Sid::new("ü %+&=#?\"\\.x").expect("it has no control characters");
    for sid in [own, &odd] {
        let replaced = with_sid(query, sid);
        let expected = Call { sid: Some(sid.clone()), ..call.clone() };
        assert_eq!(Call::parse(Some(&replaced)), Ok(Some(expected)), "{replaced}");
        assert_eq!(with_sid(&replaced, sid), replaced);
        assert!(!is_target(query) || is_target(&replaced), "{replaced}");
    }
});

/// Whether hyper takes it.
fn is_target(query: &str) -> bool {
    PathAndQuery::try_from(format!("/?{query}")).is_ok_and(|target| target.query() == Some(query))
}
