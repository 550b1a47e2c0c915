//! From a host and a path to a route.

use divan::Bencher;

use crate::config;

#[divan::bench(args = [10, 1000])]
fn find_on_a_named_host(bencher: Bencher<'_, '_>, routes: usize) {
    let snapshot = config(routes).snapshot(None).expect("three nodes with different tags");
    let host = format!("h{}.test", routes / 2);
    bencher.bench_local(|| snapshot.routes.find(divan::black_box(&host), "/app/x").is_some());
}

#[divan::bench(args = [10, 1000])]
fn find_on_any_host(bencher: Bencher<'_, '_>, routes: usize) {
    let snapshot = config(routes).snapshot(None).expect("three nodes with different tags");
    let host = "elsewhere.test";
    bencher.bench_local(|| snapshot.routes.find(divan::black_box(host), "/socket.io/").is_some());
}
