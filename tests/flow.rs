//! Optical flow against the Middlebury pairs (Baker et al., "A Database and Evaluation Methodology for Optical Flow",
//! IJCV 2011). Their files are not part of the repository: the test says so and passes where they are absent.

use std::{fs, path::PathBuf, time::Instant};

use stylize::{
    frame::Size,
    motion::{DisFlow, DisSettings, Flow, FlowField, Plane},
};

fn assets() -> Option<PathBuf> {
    let root = std::env::var_os("STYLIZE_ASSETS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/assets"), PathBuf::from);
    let flow = root.join("flow");
    flow.is_dir().then_some(flow)
}

fn gray(path: PathBuf) -> Plane {
    let rgb = image::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).to_rgb32f();
    let size = Size::new(rgb.width() as usize, rgb.height() as usize);
    Plane::from_vec(size, rgb.pixels().map(|p| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]).collect())
}

/// The ground truth: "PIEH", width, height, then u, v of each pixel; above 1e9 is unknown.
fn truth(path: PathBuf) -> (Size, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    let words: Vec<[u8; 4]> = bytes.chunks_exact(4).map(|b| b.try_into().unwrap()).collect();
    assert_eq!(&words[0], b"PIEH");
    let size = Size::new(i32::from_le_bytes(words[1]) as usize, i32::from_le_bytes(words[2]) as usize);
    (size, words[3..].iter().map(|&b| f32::from_le_bytes(b)).collect())
}

fn end_point_error(flow: &FlowField, truth: &[f32]) -> f64 {
    let known =
        truth.chunks_exact(2).zip(flow.u.iter().zip(&flow.v)).filter(|(t, _)| t[0].abs() < 1e9 && t[1].abs() < 1e9);
    let (sum, count) =
        known.fold((0.0, 0), |(sum, count), (t, (u, v))| (sum + f64::from((u - t[0]).hypot(v - t[1])), count + 1));
    sum / f64::from(count)
}

#[test]
fn middlebury_end_point_errors_are_no_worse_than_opencv_dis_medium() {
    let Some(root) = assets() else {
        eprintln!("skipped: no Middlebury pairs (set STYLIZE_ASSETS)");
        return;
    };
    // OpenCV 4's DIS, preset MEDIUM, on the same pairs: end-point errors.
    let opencv = [("Grove2", 0.324), ("Hydrangea", 0.251), ("RubberWhale", 0.223), ("Urban2", 0.652), ("Venus", 0.391)];
    let presets = [("fast", DisSettings::FAST), ("good", DisSettings::GOOD)];
    let (mut sums, mut limit) = ([0.0; 2], 0.0);
    for (name, reference) in opencv {
        let folder = root.join(format!("middlebury_{name}"));
        let (first, second) = (gray(folder.join("frame10.png")), gray(folder.join("frame11.png")));
        let (size, truth) = truth(folder.join("flow10.flo"));
        let mut line = format!("{name:12} OpenCV {reference:.3}");
        for ((preset, settings), sum) in presets.into_iter().zip(&mut sums) {
            let mut flow = DisFlow::new(size, settings);
            flow.compute(&first, &second).unwrap();
            let start = Instant::now();
            let error = end_point_error(&flow.compute(&first, &second).unwrap().forward, &truth);
            line += &format!("  {preset} {error:.3} ({:.1} ms)", start.elapsed().as_secs_f64() * 1e3);
            *sum += error / opencv.len() as f64;
        }
        limit += reference / opencv.len() as f64;
        eprintln!("{line}");
    }
    eprintln!("mean         OpenCV {limit:.3}  fast {:.3}  good {:.3}", sums[0], sums[1]);
    assert!(sums[1] <= limit, "good: {} where OpenCV has {limit}", sums[1]);
    assert!(sums[0] <= 0.56, "fast: {} where OpenCV's FAST has 0.564", sums[0]);
}
