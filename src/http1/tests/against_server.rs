//! The requests that we write, read by hyper's server.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, request};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncWriteExt, duplex};

use crate::http1::{CHUNK_END, LAST_CHUNK, RequestFraming};
use crate::http1::{write_chunk_head, write_head};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn hyper_reads_the_request_that_was_meant(
        method in select(METHODS.to_vec()),
        target in target(),
        mut headers in headers(),
        chunks in vec(vec(any::<u8>(), 1..300), 0..4),
        framing in 0..3_u8,
    ) {
        let body = chunks.concat();
        let (framing, body) = match framing {
            0 => (RequestFraming::None, Vec::new()),
            1 => (RequestFraming::Length(body.len() as u64), body),
            _ => (RequestFraming::Chunked, body),
        };
        let mut bytes = BytesMut::new();
        let fields = headers.iter().map(|(name, value)| (name, value.as_bytes()));
        write_head(&mut bytes, method, &target, fields, framing);
        match framing {
            RequestFraming::None => (),
            RequestFraming::Length(_) => bytes.extend_from_slice(&body),
            RequestFraming::Chunked => write_chunks(&mut bytes, &chunks),
        }

        let read = read_by_hyper(&bytes);
        prop_assert_eq!(read.len(), 1, "{}", bytes.escape_ascii());
        let (head, read_body) = read.into_iter().next().unwrap();
        prop_assert_eq!(&head.method, method);
        prop_assert_eq!(head.uri.to_string(), target);
        prop_assert_eq!(read_body, body);

        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
        match framing {
            RequestFraming::None if !["POST", "PUT", "PATCH"].contains(&method.as_str()) => (),
            RequestFraming::None => _ = headers.insert(CONTENT_LENGTH, 0.into()),
            RequestFraming::Length(bytes) => _ = headers.insert(CONTENT_LENGTH, bytes.into()),
            RequestFraming::Chunked => {
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        prop_assert_eq!(head.headers, headers);
    }
}

fn write_chunks(bytes: &mut BytesMut, chunks: &[Vec<u8>]) {
    for chunk in chunks {
        write_chunk_head(bytes, NonZeroUsize::new(chunk.len()).expect("no chunk is empty"));
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(CHUNK_END);
    }
    bytes.extend_from_slice(LAST_CHUNK);
}

/// All requests that are in `bytes`.
fn read_by_hyper(bytes: &[u8]) -> Vec<(request::Parts, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut ours, theirs) = duplex(bytes.len() + 64 * 1024);
    let requests = Mutex::new(Vec::new());
    runtime.block_on(async {
        ours.write_all(bytes).await.unwrap();
        ours.shutdown().await.unwrap();
        let service = service_fn(async |request: Request<Incoming>| {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes().to_vec();
            requests.lock().unwrap().push((head, body));
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        let server =
            http1::Builder::new().half_close(true).serve_connection(TokioIo::new(theirs), service);
        let served = server.await;
        served.expect("nothing is wrong with the bytes");
    });
    requests.into_inner().unwrap()
}

fn target() -> impl Strategy<Value = String> {
    let target = "/[a-zA-Z0-9._~%/+-]{0,20}(\\?[a-zA-Z0-9._~%/?=&+-]{0,20}){0,1}";
    prop_oneof![9 => target, 1 => Just("*".to_owned())]
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let name = prop_oneof![
        select(NAMES.to_vec()).prop_map(str::to_owned),
        "[a-z][a-z0-9_!#$%&'*+.^`|~-]{0,12}",
    ];
    let value = "([!-~\u{e9}]([ -~\t]{0,20}[!-~\u{fc}]){0,1}){0,1}";
    vec((name, value), 0..12).prop_map(|fields| {
        let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("chat.test"))]);
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            // Two of these would be another request.
            if name != HOST {
                headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
        }
        headers
    })
}

const METHODS: [&Method; 7] = [
    &Method::GET,
    &Method::HEAD,
    &Method::POST,
    &Method::PUT,
    &Method::PATCH,
    &Method::DELETE,
    &Method::OPTIONS,
];

const NAMES: [&str; 12] = [
    "accept",
    "content-length",
    "content-type",
    "cookie",
    "etag",
    "sec-websocket-key",
    "te",
    "transfer-encoding",
    "user-agent",
    "www-authenticate",
    "x-forwarded-for",
    "x-request-id",
];
