//! `stylize-check doctor`: says what this machine has for stylize-video and stylize-live, and what is missing.
//! `stylize-check device`: measures how fast a device is, and checks what it computes.
//! `stylize-check score`: measures a stylized video against its content video.

mod device;
mod doctor;
mod score;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Look after stylize-video and stylize-live
#[derive(Parser)]
#[command(name = "stylize-check", version, about)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what was found, what is missing, and the command that gets it
    ///
    /// Ends with an error if something is missing without which no video can be painted.
    Doctor,

    /// Measure how many optimizer steps a second a device takes, and with --check whether they are right
    ///
    /// Needs no video, camera or display: `cargo run --release --no-default-features --bin stylize-check -- device --check`.
    Device(device::Args),

    /// Measure how good a stylized video is: flicker, ghosts, unpainted motion, sharpness, drift
    ///
    /// Compare settings with it: score what each of them made of the same video. The motion is the content video's own.
    Score(score::Args),
}

fn main() -> ExitCode {
    stylize::cli::interrupt::end_with_the_reader();
    let done = match Args::parse().command {
        Command::Doctor => return if doctor::examine() { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        Command::Device(args) => device::run(&args),
        Command::Score(args) => score::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", stylize::cli::describe(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
