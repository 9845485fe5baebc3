//! Any text of manifests gets its gates once, or stays as it is.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| reload_gate::fuzzing::inject(data));
