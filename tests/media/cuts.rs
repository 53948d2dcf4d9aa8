//! Parts of a file: `--start` and `--duration`, and a run that the user stops.

use stylize::source::SourceOptions;

use crate::{clip, ffmpeg, pass, probe, text};

const CLIP: &str = "torchcodec_nasa_13013.mp4";

#[test]
fn a_part_begins_at_the_very_frame_and_takes_its_sound_along() {
    let Some(input) = clip(CLIP) else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    let (start, duration) = (3.21, 1.5);
    let options = SourceOptions { start: Some(start), duration: Some(duration), ..SourceOptions::default() };
    pass(&input, &output, &options, u64::MAX).unwrap();

    let (before, after) = (probe::video(&input), probe::video(&output));
    let inside = |time: f64| (start..start + duration).contains(&time);
    let times: Vec<f64> =
        before.frames(&input).0.into_iter().filter(|&time| inside(time)).map(|time| time - start).collect();
    let (kept, _) = after.frames(&output);
    assert!(probe::largest_difference(&times, &kept) <= before.tick());
    for (before, after) in probe::of_kind(&input, "audio").iter().zip(&probe::of_kind(&output, "audio")) {
        let packets: Vec<_> = before.packets(&input).into_iter().filter(|packet| inside(packet.time)).collect();
        let copied = after.packets(&output);
        assert_eq!(packets.len(), copied.len());
        for (packet, copy) in packets.iter().zip(&copied) {
            assert_eq!(packet.hash, copy.hash);
            assert!((packet.time - start - copy.time).abs() <= 2.0 * before.tick(), "{packet:?} {copy:?}");
        }
    }
}

#[test]
fn the_first_frame_of_a_part_is_the_frame_of_that_time() {
    let Some(input) = clip(CLIP) else { return };
    // Any moment, whatever keyframe lies before it, gives the picture that decoding from the beginning gives.
    let mut whole = stylize::source::open(&input, &SourceOptions::default()).unwrap();
    let base = whole.info().time_base;
    let mut moments = [0.5, 4.0, 5.005, 9.99].into_iter().peekable();
    while let (Some(&moment), Some(frame)) = (moments.peek(), whole.next().unwrap()) {
        if base.seconds(frame.pts) + 1e-4 < moment {
            continue;
        }
        moments.next();
        let options = SourceOptions { start: Some(moment), ..SourceOptions::default() };
        let part = stylize::source::open(&input, &options).unwrap().next().unwrap().unwrap();
        assert!(part.pixels() == frame.pixels(), "another picture at {moment}");
        assert!((base.seconds(frame.pts) - moment - base.seconds(part.pts)).abs() < 1e-4);
    }
    assert_eq!(moments.next(), None);
}

#[test]
fn a_start_behind_the_end_is_an_error_that_says_so() {
    let Some(input) = clip(CLIP) else { return };
    let options = SourceOptions { start: Some(1000.0), ..SourceOptions::default() };
    let error = stylize::source::open(&input, &options).err().unwrap().to_string();
    assert!(error.contains("--start 1000") && error.contains("13.01 s"), "{error}");
}

#[test]
fn a_stopped_run_ends_its_sound_with_its_last_frame() {
    let Some(input) = clip(CLIP) else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    let outcome = pass(&input, &output, &SourceOptions::default(), 100).unwrap();
    assert_eq!(outcome.frames, 100);
    let end = 100.0 * 1001.0 / 30000.0;
    assert!((probe::video(&output).duration() - end).abs() < 1e-3);
    let sounds = probe::of_kind(&output, "audio");
    assert_eq!(sounds.len(), 2);
    for sound in sounds {
        let last = sound.packets(&output).last().unwrap().time;
        assert!(last < end && last > end - 0.15, "the last packet of sound is at {last}, the video ends at {end}");
    }
}

#[test]
fn chapters_and_tags_are_kept_and_cut_with_the_video() {
    let Some(input) = clip("cotracker_paragliding.mp4") else { return };
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("chapters.txt");
    let chapter = |start, end, title| format!("[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\ntitle={title}\n");
    let text_of = format!(
        ";FFMETADATA1\ntitle=Über den Wolken\nartist=Somebody\n{}{}",
        chapter(0, 200, "up"),
        chapter(200, 2333, "down")
    );
    std::fs::write(&list, text_of).unwrap();
    for extension in ["mp4", "mkv"] {
        let with = folder.path().join(format!("in.{extension}"));
        ffmpeg(&[
            "-i",
            text(&input),
            "-i",
            text(&list),
            "-map_metadata",
            "1",
            "-map",
            "0:v",
            "-c",
            "copy",
            text(&with),
        ]);
        let output = folder.path().join(format!("out.{extension}"));
        pass(&with, &output, &SourceOptions::default(), 15).unwrap();
        let key = if extension == "mkv" { "ARTIST" } else { "artist" };
        assert_eq!(probe::tag(&output, "title").as_deref(), Some("Über den Wolken"));
        assert_eq!(probe::tag(&output, key).as_deref(), Some("Somebody"));
        let chapters = probe::chapters(&output);
        assert_eq!(chapters.len(), 2, "{extension}: {chapters:?}");
        assert_eq!((chapters[0].2.as_str(), chapters[1].2.as_str()), ("up", "down"));
        assert!(
            (chapters[1].0 - 0.2).abs() < 0.002 && (chapters[1].1 - 0.5).abs() < 0.002,
            "{extension}: {chapters:?}"
        );
        assert!(
            (probe::length(&output) - 0.5).abs() < 0.002,
            "{extension}: the last chapter must not stretch the file"
        );
    }
}
