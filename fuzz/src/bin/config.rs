//! The configuration file: it is taken or refused in a message that ends, and what is taken says
//! the same when it is shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye::internal::config::parse_alone as parse;

fuzz_target!(|text: &str| {
    match parse("sockeye.yaml", text) {
        Ok(config) => {
            let _ = config.snapshot(None);
            let _ = config.render();
        }
        Err(problems) => {
            let shown = problems.to_string();
            assert!(shown.len() < SHOWN_BYTES_MAX, "{} bytes are shown", shown.len());
        }
    }
});

/// A hundred problems of a few lines each.
const SHOWN_BYTES_MAX: usize = 512 * 1024;
