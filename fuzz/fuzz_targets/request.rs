//! Any bytes that a client sends to the listener get an answer of HTTP, or none.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| reload_gate::fuzzing::request(data));
