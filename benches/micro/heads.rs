//! The guard that reads each request's head before hyper does.

use divan::Bencher;
use divan::counter::BytesCount;
use sockeye::internal::head_guard::HeadGuard;

#[divan::bench]
fn a_poll_of_a_browser(bencher: Bencher<'_, '_>) {
    let mut guard = HeadGuard::default();
    bencher
        .counter(BytesCount::new(POLL.len()))
        .bench_local(|| guard.inspect(divan::black_box(POLL)).is_ok());
    assert_eq!(guard.fault(), None);
}

#[divan::bench]
fn a_post_of_a_kibibyte(bencher: Bencher<'_, '_>) {
    let mut request =
        b"POST /socket.io/?EIO=4&transport=polling&sid=lv_VI97HAXpY6yYWAAAC HTTP/1.1\r\n\
          Host: chat.test\r\nContent-Length: 1024\r\n\r\n"
            .to_vec();
    request.resize(request.len() + 1024, b'x');
    let mut guard = HeadGuard::default();
    bencher
        .counter(BytesCount::new(request.len()))
        .bench_local(|| guard.inspect(divan::black_box(&request)).is_ok());
    assert_eq!(guard.fault(), None);
}

const POLL: &[u8] =
    b"GET /socket.io/?EIO=4&transport=polling&t=PqXz&sid=lv_VI97HAXpY6yYWAAAC HTTP/1.1\r\n\
    Host: chat.test\r\nConnection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
    Accept: */*\r\nOrigin: https://chat.test\r\nReferer: https://chat.test/room/7\r\n\
    Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: theme=dark; consent=1\r\n\r\n";
