//! `stylize-live`: a webcam, or a video in its place, painted while one looks at it.

mod args;
mod job;
mod keys;
mod screen;
mod statistics;

use std::process::ExitCode;

use clap::Parser;
use stylize::cli::interrupt::stop_on_interrupt;

fn main() -> ExitCode {
    let args = args::Args::parse();
    stylize::cli::show_log(args.log_level);
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", stylize::cli::describe(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &args::Args) -> anyhow::Result<()> {
    let stop = stop_on_interrupt("\nstopping: finishing recordings; Ctrl-C again stops at once")?;
    job::run(args, &stop)
}
