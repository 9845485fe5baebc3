//! Arguments in, exit code out.

use std::process::ExitCode;

use reload_gate::cli;
use reload_gate::exit::Exit;

fn main() -> ExitCode {
    // A panic is a bug, in whatever thread it happens, and has an exit code of its own.
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        default(panic);
        std::process::exit(Exit::Bug as i32);
    }));
    ExitCode::from(cli::main() as u8)
}
