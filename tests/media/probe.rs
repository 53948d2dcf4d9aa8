//! What `ffprobe` says of a file.

use std::{path::Path, process::Command};

use serde_json::Value;

/// One stream as ffprobe sees it.
#[derive(Debug)]
pub struct Stream {
    pub index: i64,
    pub kind: String,
    json: Value,
}

/// One packet of a copied stream: time in seconds and a hash of its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    pub time: f64,
    pub hash: String,
}

fn run(path: &Path, arguments: &[&str]) -> Value {
    let output =
        Command::new("ffprobe").args(["-v", "error", "-of", "json"]).args(arguments).arg(path).output().unwrap();
    assert!(output.status.success(), "ffprobe {}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_str().and_then(|text| text.parse().ok()).or(value.as_f64()).unwrap_or(f64::NAN)
}

pub fn streams(path: &Path) -> Vec<Stream> {
    let list = run(path, &["-show_streams"])["streams"].as_array().cloned().unwrap_or_default();
    list.into_iter()
        .map(|json| Stream {
            index: json["index"].as_i64().unwrap(),
            kind: json["codec_type"].as_str().unwrap_or_default().to_owned(),
            json,
        })
        .collect()
}

pub fn of_kind(path: &Path, kind: &str) -> Vec<Stream> {
    streams(path).into_iter().filter(|stream| stream.kind == kind).collect()
}

/// The video that players show: the largest.
pub fn video(path: &Path) -> Stream {
    of_kind(path, "video").into_iter().max_by_key(|stream| stream.size().0).expect("a video stream")
}

/// Seconds that the whole file lasts.
pub fn length(path: &Path) -> f64 {
    number(&run(path, &["-show_format"])["format"]["duration"])
}

pub fn chapters(path: &Path) -> Vec<(f64, f64, String)> {
    let list = run(path, &["-show_chapters"])["chapters"].as_array().cloned().unwrap_or_default();
    let title = |chapter: &Value| chapter["tags"]["title"].as_str().unwrap_or_default().to_owned();
    list.iter().map(|chapter| (number(&chapter["start_time"]), number(&chapter["end_time"]), title(chapter))).collect()
}

pub fn tag(path: &Path, key: &str) -> Option<String> {
    run(path, &["-show_format"])["format"]["tags"][key].as_str().map(str::to_owned)
}

impl Stream {
    pub fn text(&self, key: &str) -> &str {
        self.json[key].as_str().unwrap_or_default()
    }

    pub fn number(&self, key: &str) -> i64 {
        self.json[key].as_i64().unwrap_or(0)
    }

    pub fn size(&self) -> (i64, i64) {
        (self.json["width"].as_i64().unwrap_or(0), self.json["height"].as_i64().unwrap_or(0))
    }

    pub fn is_rotated(&self) -> bool {
        let data = self.json["side_data_list"].as_array();
        data.is_some_and(|list| list.iter().any(|data| data["rotation"].as_i64().unwrap_or(0) != 0))
    }

    /// Seconds of one tick.
    pub fn tick(&self) -> f64 {
        let (numerator, denominator) = self.text("time_base").split_once('/').expect("a fraction");
        numerator.parse::<f64>().unwrap() / denominator.parse::<f64>().unwrap()
    }

    pub fn duration(&self) -> f64 {
        number(&self.json["duration"])
    }

    /// Presentation times in seconds of all frames that a decoder shows, and the decoded size.
    pub fn frames(&self, path: &Path) -> (Vec<f64>, (i64, i64)) {
        let entries = "frame=best_effort_timestamp,width,height";
        let list = run(path, &["-select_streams", &self.index.to_string(), "-show_entries", entries]);
        let list = list["frames"].as_array().cloned().unwrap_or_default();
        let size = list
            .first()
            .map_or((0, 0), |frame| (frame["width"].as_i64().unwrap_or(0), frame["height"].as_i64().unwrap_or(0)));
        (list.iter().map(|frame| number(&frame["best_effort_timestamp"]) * self.tick()).collect(), size)
    }

    pub fn packets(&self, path: &Path) -> Vec<Packet> {
        let arguments = ["-select_streams", &self.index.to_string(), "-show_packets", "-show_data_hash", "md5"];
        let list = run(path, &arguments);
        let packet = |json: &Value| Packet {
            time: number(&json["pts_time"]),
            hash: json["data_hash"].as_str().unwrap_or_default().to_owned(),
        };
        list["packets"].as_array().map(|list| list.iter().map(packet).collect()).unwrap_or_default()
    }
}

/// The largest difference between two lists of times, which must be equally long.
pub fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "number of frames");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
