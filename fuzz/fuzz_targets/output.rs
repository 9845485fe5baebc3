//! Any output of a checker becomes findings without quotations of a Secret.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| reload_gate::fuzzing::output(data));
