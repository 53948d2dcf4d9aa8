//! `stylize-video INPUT OUTPUT`: paints a video in the style of a picture.

mod args;
mod job;
mod preview;
mod report;

use std::process::ExitCode;

use clap::Parser;
use stylize::cli::interrupt::stop_on_interrupt;

fn main() -> ExitCode {
    let args = args::Args::parse();
    env_logger::Builder::new().filter_level(args.log_level).init();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", stylize::cli::describe(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &args::Args) -> anyhow::Result<()> {
    let stop = stop_on_interrupt("\nstopping: finishing the file; Ctrl-C again stops at once")?;
    job::run(args, &stop)
}
