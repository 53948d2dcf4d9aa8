//! Bad input, one test a kind: a clear message, a non-zero exit, no panic, nothing half-written, existing files untouched.

mod program;

use std::{fs, process::Command};

use program::{FAST, Folder, ffmpeg, repository, text};

/// Both names, then [`FAST`]'s settings, then more.
fn arguments<'a>(input: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[input, output], &FAST[..], more].concat()
}

fn refuses(folder: &Folder, input: &str, output: &str, words: &[&str]) {
    folder.refuses(&arguments(input, output, &[]), words);
}

/// True for root, whom no permission stops.
fn permissions_do_not_bind(folder: &Folder) -> bool {
    use std::os::unix::fs::PermissionsExt;
    folder.write("locked", b"x");
    let path = folder.path("locked");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let readable = fs::read(&path).is_ok();
    fs::remove_file(path).unwrap();
    readable
}

#[test]
fn input_that_is_missing() {
    let folder = Folder::new();
    refuses(&folder, "absent.mp4", "out.mp4", &["cannot read absent.mp4", "No such file"]);
    refuses(&folder, "absent/%05d.png", "out.mp4", &["absent"]);
    refuses(&folder, "absent.png", "out.png", &["absent.png", "No such file"]);
}

#[test]
fn a_cause_is_said_once() {
    let ended = Folder::new().run(&["absent.mp4", "out.mp4"]);
    assert_eq!(ended.stderr.matches("No such file").count(), 1, "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn input_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    if permissions_do_not_bind(&folder) {
        eprintln!("skipped: root may read everything");
        return;
    }
    fs::set_permissions(folder.path("in.mp4"), fs::Permissions::from_mode(0o000)).unwrap();
    refuses(&folder, "in.mp4", "out.mp4", &["in.mp4", "Permission denied"]);
}

#[test]
fn input_that_is_empty() {
    let folder = Folder::new();
    folder.write("empty.mp4", b"");
    folder.write("empty.png", b"");
    refuses(&folder, "empty.mp4", "out.mp4", &["empty.mp4", "the file is empty"]);
    refuses(&folder, "empty.png", "out.png", &["empty.png", "empty"]);
}

#[test]
fn input_that_is_no_video() {
    let folder = Folder::new();
    folder.write("text.mp4", b"This is no video.\n");
    folder.write("noise.mkv", &(0..40_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>());
    refuses(&folder, "text.mp4", "out.mp4", &["cannot read text.mp4", "no video"]);
    refuses(&folder, "noise.mkv", "out.mp4", &["cannot read noise.mkv"]);
}

#[test]
fn input_that_is_a_folder() {
    let folder = Folder::new();
    fs::create_dir(folder.path("frames")).unwrap();
    refuses(&folder, "frames", "out.mp4", &["cannot read frames", "it is a folder", "%05d.png"]);
}

#[test]
fn input_without_a_picture_in_it() {
    let folder = Folder::new();
    ffmpeg(&["-i", text(&folder.path("in.mp4")), "-vn", "-c", "copy", text(&folder.path("sound.m4a"))]);
    refuses(&folder, "sound.m4a", "out.mp4", &["sound.m4a", "sound only (aac)"]);
}

#[test]
fn a_style_that_is_no_picture() {
    let folder = Folder::new();
    folder.write("text.png", b"no picture");
    fs::create_dir(folder.path("styles")).unwrap();
    let style =
        |style: &str, words: &[&str]| folder.refuses(&arguments("in.mp4", "out.mp4", &["--style", style]), words);
    style("text.png", &["text.png", "not a picture"]);
    style("in.mp4", &["in.mp4", "not a picture"]);
    style("absent.png", &["absent.png", "No such file"]);
    style("styles", &["styles", "folder"]);
    style("text.png:0", &["--style", "positive weight"]);
    style("text.png:-1", &["--style", "positive weight"]);
    style("text.png:nan", &["--style", "positive weight"]);
}

/// A safetensors file of zeros: name, shape and number of values of each tensor.
fn weights(metadata: &str, tensors: &[(&str, &str, usize)]) -> Vec<u8> {
    let mut entries = vec![format!(r#""__metadata__":{metadata}"#)];
    let mut end = 0;
    for (name, shape, values) in tensors {
        let begin = end;
        end += 4 * values;
        entries.push(format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{begin},{end}]}}"#));
    }
    let header = format!("{{{}}}", entries.join(","));
    let length = u64::try_from(header.len()).unwrap();
    [&length.to_le_bytes()[..], header.as_bytes(), &vec![0; end]].concat()
}

#[test]
fn weights_that_are_none() {
    let folder = Folder::new();
    folder.write("text.safetensors", b"no weights at all");
    folder.write("empty.safetensors", b"");
    folder.write("picture.safetensors", &fs::read(repository("samples/ink.jpg")).unwrap());
    folder.write("other.safetensors", &weights("{}", &[("linear.weight", "[2,2]", 4)]));
    let described = r#"{"format":"stylize-vgg/1","name":"x","input":"{\"order\":\"rgb\",\"scale\":1.0,\"mean\":[0,0,0]}",
        "layers":"[\"conv1_1\"]","taps":"[{\"layer\":\"conv1_1\",\"lambda\":1.0}]","content":"{\"layer\":\"conv1_1\"}"}"#;
    let described = described.replace('\n', "");
    folder.write(
        "shape.safetensors",
        &weights(&described, &[("conv1_1.bias", "[4]", 4), ("conv1_1.weight", "[4,3,5,5]", 300)]),
    );
    folder.write("lacking.safetensors", &weights(&described, &[("conv9_9.weight", "[4,3,3,3]", 108)]));
    let model = |model: &str, words: &[&str]| folder.refuses(&["in.mp4", "out.mp4", "--model", model], words);
    for name in ["text", "empty", "picture", "other", "shape", "lacking"] {
        let file = format!("{name}.safetensors");
        model(&file, &["the network", &file, "cannot be used"]);
    }
    model("shape.safetensors", &["conv1_1: weight [4, 3, 5, 5]"]);
    model("lacking.safetensors", &["conv1_1"]);
    model("absent.safetensors", &["absent.safetensors", "no file", "vgg19"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_can_be_read_only_once() {
    let folder = Folder::new();
    assert!(std::process::Command::new("mkfifo").arg(folder.path("pipe.mp4")).status().expect("mkfifo").success());
    let mut command = folder.command(&arguments("pipe.mp4", "out.mp4", &[]));
    let ended = command.output().expect("starts");
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(1) && told.contains("it is a pipe"), "{told}");
}

#[test]
fn vgg19_that_is_not_installed() {
    let folder = Folder::new();
    let mut command = folder.command(&["in.mp4", "out.mp4", "--model", "vgg19"]);
    command.env("XDG_DATA_HOME", folder.path("nothing"));
    folder.refuses_command(command, &["vgg19", "scripts/fetch-vgg19"]);
}

#[test]
fn numbers_out_of_range() {
    let folder = Folder::new();
    let cases: &[(&str, &[&str])] = &[
        ("--size", &["0", "-5", "nan", "31", "99999999", "1e9", "9999999999999999999999"]),
        ("--steps", &["0", "-1", "nan", "100001"]),
        ("--step-every", &["0", "-1", "1.5", "101"]),
        ("--first-steps", &["0", "-1", "1.5", "10000000"]),
        ("--multi-pass", &["0", "-1", "1.5", "101"]),
        ("--strength", &["-0.1", "1.1", "nan", "inf", "much"]),
        ("--style-weight", &["-1", "nan", "inf", "1e300"]),
        ("--content-weight", &["-1", "nan", "inf"]),
        ("--tv", &["-1", "nan"]),
        ("--tv-colour", &["-1", "nan"]),
        ("--rate", &["0", "-1", "nan", "5"]),
        ("--detail", &["-0.5", "2", "nan"]),
        ("--threads", &["-1", "1000000"]),
        ("--seed", &["-1", "x"]),
        ("--start", &["-1", "nan", "inf", "1e30", "1:x", "1:2:3:4"]),
        ("--duration", &["0", "-1", "nan", "inf"]),
        ("--fps", &["0", "-1", "nan"]),
        ("--crf", &["-1", "900", "x"]),
    ];
    for (option, values) in cases {
        for value in *values {
            folder.refuses(&["in.mp4", "out.mp4", option, value], &[option]);
        }
    }
    folder.refuses(&["in.mp4", "out.mp4", "--content-weight", "0", "--style-weight", "0"], &["--style-weight"]);
    folder.refuses(&["in.mp4", "out.mp4", "--start", "99"], &["--start 99", "0.50 s long"]);
}

#[test]
fn an_encoder_that_is_not_there() {
    let folder = Folder::new();
    folder.refuses(&arguments("in.mp4", "out.mp4", &["--codec", "nonsense"]), &["nonsense", "libx264"]);
    folder.refuses(&arguments("in.mp4", "out.mp4", &["--codec", "aac"]), &["aac"]);
}

#[cfg(unix)]
#[test]
fn output_that_is_the_input() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("in.mp4", folder.path("soft.mp4")).unwrap();
    fs::hard_link(folder.path("in.mp4"), folder.path("hard.mp4")).unwrap();
    let absolute = folder.path("in.mp4");
    for output in ["in.mp4", "./in.mp4", "soft.mp4", "hard.mp4", text(&absolute)] {
        folder.refuses(&arguments("in.mp4", output, &["-y"]), &[output, "it is the input"]);
    }
    folder.refuses(&arguments("soft.mp4", "hard.mp4", &["-y"]), &["it is the input"]);
    image::RgbImage::new(64, 48).save(folder.path("1.png")).unwrap();
    folder.refuses(&arguments("%d.png", "1.png", &["-y"]), &["it is the input"]);
    let url = format!("file://{}", text(&absolute));
    folder.refuses(&arguments(&url, "in.mp4", &["-y"]), &["it is the input"]);
    std::os::unix::fs::symlink(repository("models/tiny.safetensors"), folder.path("net.mp4")).unwrap();
    folder.refuses(
        &["in.mp4", "net.mp4", "-y", "--model", text(&repository("models/tiny.safetensors"))],
        &["it is the input"],
    );
    folder.write("a.jpg", &fs::read(repository("samples/ink.jpg")).unwrap());
    folder.refuses(&arguments("a.jpg", "a.jpg", &["-y"]), &["it is the input"]);
    folder.write("b.jpg", &fs::read(repository("samples/ink.jpg")).unwrap());
    folder.refuses(&arguments("b.jpg", "a.jpg", &["-y", "--style", "./a.jpg:2"]), &["a style picture"]);
}

#[test]
fn output_that_exists() {
    let folder = Folder::new();
    folder.write("out.mp4", b"precious");
    folder.write("out.png", b"precious");
    folder.write("a.jpg", &fs::read(repository("samples/ink.jpg")).unwrap());
    refuses(&folder, "in.mp4", "out.mp4", &["out.mp4", "it exists", "--overwrite"]);
    refuses(&folder, "a.jpg", "out.png", &["out.png", "it exists", "--overwrite"]);
}

#[test]
fn output_that_cannot_be_made() {
    let folder = Folder::new();
    fs::create_dir(folder.path("folder.mp4")).unwrap();
    refuses(&folder, "in.mp4", "absent/out.mp4", &["the folder absent does not exist"]);
    refuses(&folder, "in.mp4", "folder.mp4", &["folder.mp4", "it is a folder"]);
    refuses(&folder, "in.mp4", "out.xyz", &[".xyz", ".mp4"]);
    refuses(&folder, "in.mp4", "out", &["no extension"]);
    refuses(&folder, "in.mp4", "out.png", &["out.png", "12 frames", "%05d.png"]);
    refuses(&folder, "in.mp4", "out.mp3", &["out.mp3"]);
    refuses(&folder, "in.mp4", "/dev/null", &["/dev/null"]);
    if cfg!(target_os = "linux") {
        // Not even root can create files there.
        refuses(&folder, "in.mp4", "/proc/out.mp4", &["/proc"]);
    }
}

#[cfg(unix)]
#[test]
fn output_folder_that_may_not_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    if permissions_do_not_bind(&folder) {
        eprintln!("skipped: root may write everywhere");
        return;
    }
    fs::create_dir(folder.path("locked")).unwrap();
    fs::set_permissions(folder.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    refuses(&folder, "in.mp4", "locked/out.mp4", &["locked", "Permission denied"]);
}

#[cfg(unix)]
#[test]
fn a_limit_of_the_file_size_as_a_full_disk() {
    let folder = Folder::new();
    // The signal that comes with the limit is ignored: then writes fail as they do on a full disk.
    let limit = "trap '' XFSZ; ulimit -f 16";
    for output in ["out.mp4", "out.mkv"] {
        folder.refuses_command(folder.command_after(limit, &arguments("in.mp4", output, &[])), &[output]);
    }
}

/// A real full disk: a file system of 64 KiB, which only root can mount, in a name space that ends with the shell.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let folder = Folder::new();
    fs::create_dir(folder.path("disk")).unwrap();
    let mount = "mount -t tmpfs -o size=64k none disk";
    let possible = Command::new("unshare")
        .args(["--mount", "sh", "-c", mount])
        .current_dir(folder.path("."))
        .output()
        .is_ok_and(|output| output.status.success());
    if !possible {
        eprintln!("skipped: no file system can be mounted here (that needs root)");
        return;
    }
    for output in ["disk/out.mp4", "disk/out.mkv", "disk/%03d.png"] {
        // What is left on the small disk is listed by the shell: the mount is gone afterwards.
        let script = format!("{mount}; \"$0\" \"$@\"; code=$?; ls -A disk | sed 's/^/left: /' >&2; exit $code");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_stylize-video")]);
        command.args(arguments("in.mp4", output, &[])).current_dir(folder.path("."));
        command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        let ended = program::finish(command.spawn().unwrap());
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("No space left on device"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        if !output.ends_with(".png") {
            assert!(!ended.stderr.contains("left: "), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_device_that_is_not_there() {
    let folder = Folder::new();
    for (device, cure) in [("cuda", "--gpu"), ("tensorrt", "--gpu"), ("openvino", "--openvino")] {
        let probe = folder.run(&arguments("in.mp4", "probe.mp4", &["--device", device, "--duration", "0.05"]));
        if probe.status.success() {
            eprintln!("skipped: {device} is there");
            fs::remove_file(folder.path("probe.mp4")).unwrap();
            continue;
        }
        folder.refuses(&arguments("in.mp4", "out.mp4", &["--device", device]), &[device, cure, "--device auto"]);
    }
    folder.refuses(&arguments("in.mp4", "out.mp4", &["--device", "abacus"]), &["abacus", "cpu"]);
}

#[test]
fn an_onnx_runtime_that_is_not_there() {
    let folder = Folder::new();
    for library in ["absent.so", "in.mp4"] {
        let mut command = folder.command(&arguments("in.mp4", "out.mp4", &[]));
        command.env("ORT_DYLIB_PATH", folder.path(library));
        folder.refuses_command(command, &["ONNX Runtime cannot be loaded", library, "scripts/setup"]);
    }
}

#[cfg(all(feature = "window", target_os = "linux"))]
#[test]
fn no_display_for_the_preview() {
    let folder = Folder::new();
    folder.refuses(&arguments("in.mp4", "out.mp4", &["--preview"]), &["no window can be opened", "display"]);
}

#[test]
fn arguments_that_are_none() {
    let folder = Folder::new();
    folder.refuses(&[], &["<INPUT>", "<OUTPUT>"]);
    folder.refuses(&["in.mp4"], &["<OUTPUT>"]);
    folder.refuses(&["in.mp4", "", "--steps", "1"], &["<OUTPUT>"]);
    folder.refuses(&["in.mp4", "out.mp4", "--polish"], &["--polish"]);
    folder.refuses(&["in.mp4", "out.mp4", "--strength", "0.5", "--style-weight", "40"], &["--style-weight"]);
}

#[test]
fn a_video_with_nothing_that_can_be_decoded() {
    let folder = Folder::new();
    let mut clip = fs::read(folder.path("in.mp4")).unwrap();
    let media = clip.windows(4).position(|name| name == b"mdat").expect("the media data");
    clip[media + 4..].fill(0);
    folder.write("blank.mp4", &clip);
    refuses(&folder, "blank.mp4", "out.mp4", &["blank.mp4", "could be decoded"]);
    folder.write("index.mp4", &clip[..media + 40]);
    refuses(&folder, "index.mp4", "out.mp4", &["cannot read index.mp4"]);
}
