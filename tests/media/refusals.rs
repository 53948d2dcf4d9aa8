//! What cannot be read or written is refused with a message that says what, why and how to mend it.

use std::{fs, path::Path};

use stylize::{
    sink::{self, SinkOptions},
    source::{self, SourceOptions},
};

use crate::{ffmpeg, sample, text, tools};

fn refused(input: &Path) -> String {
    source::open(input, &SourceOptions::default()).err().expect("must be refused").to_string()
}

#[test]
fn inputs_that_are_no_video() {
    if !tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert!(refused(&path("missing.mp4")).contains("No such file"));
    assert!(refused(folder.path()).contains("it is a folder"));
    fs::write(path("empty.mp4"), b"").unwrap();
    assert!(refused(&path("empty.mp4")).contains("the file is empty"));
    fs::write(path("text.mp4"), "This is a letter and no film.\n".repeat(50)).unwrap();
    assert!(refused(&path("text.mp4")).contains("no video in any format"));
    ffmpeg(&["-f", "lavfi", "-i", "sine=duration=0.5", "-c:a", "aac", text(&path("sound.m4a"))]);
    assert!(refused(&path("sound.m4a")).contains("sound only (aac)"));
    let cover = path("cover.png");
    ffmpeg(&["-f", "lavfi", "-i", "color=red:size=64x64", "-frames:v", "1", text(&cover)]);
    let song = path("song.m4a");
    ffmpeg(&[
        "-i",
        text(&path("sound.m4a")),
        "-i",
        text(&cover),
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
        "-disposition:v",
        "attached_pic",
        text(&song),
    ]);
    assert!(refused(&song).contains("cover picture"), "{}", refused(&song));
}

#[test]
fn names_that_look_like_something_else() {
    let Some(input) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    // A colon is no protocol, and a percent sign no number.
    for name in ["http:x.mp4", "100% done.mp4", "ä ö.mp4"] {
        let (from, to) = (folder.path().join(name), folder.path().join(format!("out {name}")));
        fs::copy(&input, &from).unwrap();
        crate::pass_all(&from, &to).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(to.exists());
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let name = folder.path().join(std::ffi::OsStr::from_bytes(b"not \xff utf-8.mp4"));
        fs::copy(&input, &name).unwrap();
        crate::pass_all(&name, &folder.path().join("plain.mp4")).unwrap();
    }
}

#[test]
fn outputs_that_cannot_be_made() {
    let Some(input) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("in.mp4");
    fs::copy(&input, &copy).unwrap();
    let info = source::open(&copy, &SourceOptions::default()).unwrap().info().clone();
    let refused = |name: &str| {
        let mut options = SinkOptions::new(&info).with_streams_of(&copy, &SourceOptions::default());
        options.overwrite = true;
        sink::create(&folder.path().join(name), &options).err().expect("must be refused").to_string()
    };
    assert!(refused("in.mp4").contains("it is the input"));
    assert!(refused("out").contains("no extension"));
    assert!(refused("out.xyz").contains(".xyz") && refused("out.xyz").contains(".mkv"));
    assert!(refused("out.wav").contains("holds no video"));
    assert!(refused("no/out.mp4").contains("does not exist"));
    assert!(refused("out.png").contains("single picture"));
    assert!(refused("no/%03d.png").contains("does not exist"));
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["in.mp4"], "nothing is left behind");
}

#[test]
fn an_existing_output_survives_a_run_that_fails() {
    let Some(input) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    fs::write(&output, b"precious").unwrap();
    let mut source = source::open(&input, &SourceOptions::default()).unwrap();
    let mut options = SinkOptions::new(source.info());
    assert!(sink::create(&output, &options).err().unwrap().to_string().contains("it exists"));
    options.overwrite = true;
    let mut sink = sink::create(&output, &options).unwrap();
    sink.write(&source.next().unwrap().unwrap()).unwrap();
    drop(sink);
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the temporary file is gone");
    // No frame at all is no video.
    let error = sink::create(&output, &options).unwrap().finish().unwrap_err().to_string();
    assert!(error.contains("no frame"), "{error}");
    assert_eq!(fs::read(&output).unwrap(), b"precious");
}
