//! Any text is read as a file of /proc, a command line and a program.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| reload_gate::fuzzing::process(data));
