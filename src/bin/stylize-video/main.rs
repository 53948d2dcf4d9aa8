//! `stylize-video INPUT OUTPUT`: paints a video in the style of a picture.

mod args;
mod job;
mod preview;
mod report;

use std::process::ExitCode;

use clap::Parser;
use job::End;
use stylize::cli::interrupt::{INTERRUPTED, stop_on_interrupt};

fn main() -> ExitCode {
    let args = args::Args::parse();
    stylize::cli::show_log(args.log_level);
    match run(&args) {
        Ok(End::Complete) => ExitCode::SUCCESS,
        Ok(End::Stopped) => ExitCode::from(INTERRUPTED),
        Err(error) => {
            eprintln!("error: {}", stylize::cli::describe(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &args::Args) -> anyhow::Result<End> {
    let stop = stop_on_interrupt("\nstopping: finishing the file; Ctrl-C again stops at once")?;
    job::run(args, &stop)
}
