//! Arguments in, exit code out.

use std::process::ExitCode;

use reload_gate::cli;
use reload_gate::exit::Exit;

fn main() -> ExitCode {
    reload_gate::end_process_at_panics(Exit::Bug as i32);
    ExitCode::from(cli::main() as u8)
}
