//! Any answer of an application, and any state of a roll-out or known-good revision in an object, is read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| reload_gate::fuzzing::answer(data));
