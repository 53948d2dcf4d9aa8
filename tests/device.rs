//! Devices through the programs: what cannot be loaded is said, with the library that is missing; `auto` says what it did not
//! take; the check of a device runs here on the CPU.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// stylize-check with these arguments, and the ONNX Runtime of a file if one is named.
fn check(arguments: &[&str], library: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stylize-check"));
    command.args(arguments).stdin(Stdio::null());
    if let Some(library) = library {
        command.env("ORT_DYLIB_PATH", library);
    }
    command.output().expect("starting stylize-check")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const SMALL: [&str; 8] = ["--networks", "tiny", "--sizes", "64x48,97x33", "--time", "0.05", "--steps", "5"];

#[test]
fn the_check_of_a_device_ends_in_a_table() {
    let output = check(&[&["device", "--check", "--device", "cpu"], &SMALL[..]].concat(), None);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    let has = |words: &[&str]| out.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(has(&["device: cpu"]), "{out}");
    for precision in ["fp32", "fp16"] {
        assert!(has(&["tiny", precision, "ok"]), "{precision}: {out}");
    }
    let rounds = stylize::net::ops::Isa::rounding().is_some();
    assert_eq!(has(&["tiny", "bf16", "ok"]), rounds, "{out}");
    assert!(has(&["matrix products fp32", "100%"]), "{out}");
    let rows: Vec<&str> = out.lines().filter(|line| line.contains("tiny") && line.contains('x')).collect();
    for size in ["64x48", "97x33"] {
        let row = rows.iter().find(|row| row.contains(size)).unwrap_or_else(|| panic!("no {size}: {out}"));
        let cells: Vec<&str> = row.split_whitespace().collect();
        let number = |from_end: usize| cells[cells.len() - from_end].trim_end_matches('%').parse::<f64>();
        let [share, rate, time, steps] = [2, 3, 4, 5].map(|from_end| number(from_end).expect("a number"));
        assert!(steps > 0.0 && rate >= 0.0 && share >= 0.0, "{row}");
        assert!((steps * time / 1e3 - 1.0).abs() < 0.1, "steps a second and their time agree: {row}");
    }
    assert!(!out.contains("WRONG") && !out.contains("failed"), "{out}");
}

#[test]
fn wrong_arguments_of_the_check_are_named() {
    for (option, value) in
        [("--sizes", "640"), ("--sizes", "0x5"), ("--time", "0"), ("--steps", "0"), ("--device", "abacus")]
    {
        let output = check(&["device", option, value], None);
        assert_eq!(output.status.code(), Some(2), "{option} {value}");
        assert!(text(&output.stderr).contains(option), "{option} {value}: {}", text(&output.stderr));
    }
    let output = check(&["device", "--device", "cpu", "--networks", "nonsense"], None);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nonsense"), "{}", text(&output.stderr));
}

/// What is not there is refused by each program that takes a device, and nothing is measured on another in its place.
#[test]
fn a_device_that_does_not_load_is_refused() {
    for (device, cure) in [("cuda", "--gpu"), ("tensorrt", "--gpu"), ("openvino", "--openvino")] {
        let output = check(&[&["device", "--device", device], &SMALL[..]].concat(), None);
        if output.status.success() {
            eprintln!("skipped: {device} is there");
            continue;
        }
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{err}");
        for word in [device, cure, "cannot be used", "doctor"] {
            assert!(err.contains(word), "no {word}: {err}");
        }
        assert!(!text(&output.stdout).contains("steps/s"), "{}", text(&output.stdout));
    }
}

#[test]
fn the_doctor_says_of_each_device_whether_it_loads() {
    let out = text(&check(&["doctor"], None).stdout);
    assert!(out.contains("ok       --device cpu"), "{out}");
    for device in ["cuda", "tensorrt", "openvino"] {
        let line = out.lines().find(|line| line.contains(&format!("--device {device}")));
        let line = line.unwrap_or_else(|| panic!("no {device}: {out}"));
        assert!(line.contains("ok ") || line.contains("built without it") || line.contains("is missing"), "{line}");
    }
}

/// An ONNX Runtime for NVIDIA cards where there is no driver: scripts/setup --gpu with an XDG_DATA_HOME of its own gets one,
/// and STYLIZE_GPU_RUNTIME names its libonnxruntime.so.
#[test]
fn without_a_driver_its_library_is_named_and_auto_takes_the_cpu() {
    let Some(library) = std::env::var_os("STYLIZE_GPU_RUNTIME") else {
        eprintln!("skipped: STYLIZE_GPU_RUNTIME names no libonnxruntime.so for NVIDIA cards");
        return;
    };
    let library = Path::new(&library);
    let output = check(&[&["device", "--device", "cuda"], &SMALL[..]].concat(), Some(library));
    if output.status.success() {
        eprintln!("skipped: there is a card");
        return;
    }
    let err = text(&output.stderr);
    assert!(err.contains("libcuda.so.1 (the NVIDIA driver) is missing"), "{err}");
    let err = text(&check(&["device", "--device", "tensorrt"], Some(library)).stderr);
    assert!(err.contains("libnvinfer.so.10 (TensorRT) is missing"), "{err}");
    let output = check(&[&["device", "--device", "auto"], &SMALL[..]].concat(), Some(library));
    let out = text(&output.stdout);
    assert!(
        output.status.success() && out.contains("device: cpu (") && out.contains("no cuda: the library libcuda.so.1"),
        "{out}"
    );
}
