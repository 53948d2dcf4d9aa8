//! Runs the binary `stylize-video` as a user does, in a folder of its own.

#![allow(dead_code, reason = "each test file uses its part of this")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Far more than any run here needs, even on a machine that is busy otherwise.
const PATIENCE: Duration = Duration::from_secs(300);

/// Small and fast: these tests are not about the painting.
pub const FAST: [&str; 8] = ["--model", "tiny", "--size", "64", "--steps", "1", "--first-steps", "2"];

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Material that is not in the repository; None, said aloud, where it is absent.
pub fn asset(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("STYLIZE_ASSETS").map_or_else(|| repository("../shared/assets"), PathBuf::from);
    let file = folder.join(path);
    if !file.exists() {
        eprintln!("skipped: no {path} (STYLIZE_ASSETS names the folder of test material)");
        return None;
    }
    Some(file)
}

/// How a run ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stderr: String,
}

/// A folder that is gone after the test, with `in.mp4`: half a second of the sample clip, with sound.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = Folder(tempfile::tempdir().expect("a temporary folder"));
        fs::write(folder.path("in.mp4"), short_clip()).expect("copying the clip");
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("writing a test file");
    }

    /// Names in it, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("listing the folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The program with these arguments, in this folder, without a display.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stylize-video"));
        command.args(arguments);
        self.prepare(&mut command);
        command
    }

    /// The program under a shell's `setup` (such as a limit).
    pub fn command_after(&self, setup: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{setup}; exec \"$0\" \"$@\"")).arg(env!("CARGO_BIN_EXE_stylize-video"));
        command.args(arguments);
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        command.current_dir(self.0.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("RUST_LOG");
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        finish(self.command(arguments).spawn().expect("starting stylize-video"))
    }

    /// A run that must succeed, with [`FAST`]'s settings.
    pub fn paint(&self, arguments: &[&str]) -> String {
        let ended = self.run(&[arguments, &FAST].concat());
        assert!(ended.status.success(), "{arguments:?}: {}\n{}", ended.status, ended.stderr);
        ended.stderr
    }

    /// A run that must be refused: an error is reported with all of `words`, nothing panics, and no file appears or changes.
    pub fn refuses(&self, arguments: &[&str], words: &[&str]) {
        self.refuses_command(self.command(arguments), words);
    }

    pub fn refuses_command(&self, mut command: Command, words: &[&str]) {
        let before = self.contents();
        let Ended { status, stderr } = finish(command.spawn().expect("starting stylize-video"));
        let told = format!("{command:?}\n{status}\n{stderr}");
        // 1 from the program, 2 from its command line; a panic would be 101, a signal has no code.
        assert!(matches!(status.code(), Some(1 | 2)), "{told}");
        assert!(!stderr.contains("panicked"), "{told}");
        assert!(stderr.lines().any(|line| line.starts_with("error: ")), "{told}");
        for word in words {
            assert!(stderr.contains(word), "no {word:?} in: {told}");
        }
        assert_eq!(self.contents(), before, "files changed: {told}");
    }

    fn contents(&self) -> Vec<(String, Option<Vec<u8>>)> {
        self.names().into_iter().map(|name| (name.clone(), fs::read(self.path(&name)).ok())).collect()
    }
}

/// Waits, and reads what was reported.
pub fn finish(mut child: Child) -> Ended {
    use std::io::Read;
    let mut pipe = child.stderr.take().expect("stderr is piped");
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        // Read to the end: a full pipe would stop the program.
        let _ = pipe.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("waiting for stylize-video") {
            break status;
        }
        if begin.elapsed() > PATIENCE {
            child.kill().expect("killing stylize-video");
            panic!("stylize-video hangs: {}", reader.join().unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    Ended { status, stderr: reader.join().expect("reading stderr") }
}

/// ffmpeg's own programs make the inputs and judge the outputs; scripts/setup --tests installs them.
pub fn tool(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}; scripts/setup --tests installs it"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `ffmpeg` in few words: quiet, replacing, no questions.
pub fn ffmpeg(arguments: &[&str]) -> String {
    tool("ffmpeg", &[&["-v", "error", "-nostdin", "-y"], arguments].concat())
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// Twelve frames of samples/clip.mp4 with sound, key frames every six.
fn short_clip() -> &'static [u8] {
    static CLIP: OnceLock<Vec<u8>> = OnceLock::new();
    CLIP.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (clip, out) = (repository("samples/clip.mp4"), folder.path().join("short.mp4"));
        let coding = ["-t", "0.5", "-c:v", "libx264", "-g", "6", "-bf", "0", "-c:a", "copy", "-movflags", "+faststart"];
        ffmpeg(&[&["-i", text(&clip)], &coding[..], &[text(&out)]].concat());
        fs::read(out).expect("reading the short clip")
    })
}
