//! The program `viewd`: parses, runs, gives the exit code. Everything else is the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    viewd::cli::run(std::env::args_os())
}
