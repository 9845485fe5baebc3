//! Any stream of manifests has a report in each format, with findings at places that exist.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| reload_gate::fuzzing::check(data));
